"""The oracle itself: it must find what it is there to find. Histories are made by hand; no cluster is needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from rung.api.names import ATTEMPT_LABEL, STUDY_LABEL, TRIAL_LABEL
from tests.cluster.api import Document, WatchEvent
from tests.cluster.history import Change, Moments, violations

Make = Callable[[int], Change]


def metadata(name: str, number: int, attempt: int | None, uid: str, owner: str | None) -> Document:
    labels = {STUDY_LABEL: "s", TRIAL_LABEL: str(number)} | ({} if attempt is None else {ATTEMPT_LABEL: str(attempt)})
    owners = [] if owner is None else [{"kind": "Trial", "uid": owner, "controller": True}]
    return {"name": name, "labels": labels, "uid": uid, "ownerReferences": owners}


def change(kind: str, event: str, document: Document, at: float | None = None) -> Make:
    def made(revision: int) -> Change:
        seen = {**document, "metadata": {**document["metadata"], "resourceVersion": str(revision)}}
        return Change(kind, WatchEvent(float(revision) if at is None else at, event, seen))

    return made


def trial(number: int, event: str = "ADDED", *, x: str = "0.5", **status: Any) -> Make:
    document = {
        "metadata": metadata(f"s-{number}", number, None, f"t{number}", None),
        "spec": {"parameters": {"x": x}},
        "status": status,
    }
    return change("trials", event, document)


def job(number: int, attempt: int = 1, event: str = "ADDED", *, uid: str = "", owner: str | None = "") -> Make:
    owner = f"t{number}" if owner == "" else owner
    name = f"s-{number}-{attempt}"
    return change("jobs", event, {"metadata": metadata(name, number, attempt, uid or name, owner)})


def pod(number: int, phase: str, attempt: int = 1, event: str = "MODIFIED", at: float | None = None) -> Make:
    name = f"s-{number}-{attempt}-x"
    document = {"metadata": metadata(name, number, attempt, name, None), "status": {"phase": phase}}
    return change("pods", event, document, at)


def history(makes: Iterable[Make]) -> list[Change]:
    return [make(revision) for make, revision in zip(makes, itertools.count(1), strict=False)]


def rung(step: int, value: float, order: int, verdict: str) -> dict[str, Any]:
    return {"rungs": [{"step": step, "value": value, "order": order, "verdict": verdict}]}


WELL = [trial(0), job(0), pod(0, "Running"), pod(0, "Succeeded"), job(0, event="DELETED")]


@pytest.mark.parametrize(
    "makes",
    [
        pytest.param([*WELL, trial(1), job(1), pod(1, "Pending")], id="one after the other"),
        pytest.param(
            [trial(0), job(0), pod(0, "Failed"), trial(1), job(1)],
            id="a slot is free once its pod has ended, Job or not",
        ),
        pytest.param(
            [trial(0), job(0), job(0, event="DELETED"), job(0, 2)], id="a Job that never had a pod is replaced"
        ),
        pytest.param(
            [trial(0, **rung(1, 0.5, 1, "Open")), trial(0, "MODIFIED", **rung(1, 0.5, 1, "Stop"))],
            id="an open verdict is settled",
        ),
    ],
)
def test_a_history_that_keeps_the_guarantee_has_no_violations(makes: list[Make]) -> None:
    assert violations(history(makes), parallelism=1) == []


@pytest.mark.parametrize(
    ("makes", "words"),
    [
        pytest.param([trial(0), job(0), trial(1), job(1)], "2 active attempts", id="two Jobs without pods yet"),
        pytest.param(
            [trial(0), job(0), pod(0, "Running"), job(0, event="DELETED"), job(0, 2)],
            "2 active attempts",
            id="a pod that still ends takes a slot",
        ),
        pytest.param(
            [*WELL, job(0, uid="another")], "two jobs for (trial, attempt) (0, 1)", id="two Jobs for one attempt"
        ),
        pytest.param([trial(0), job(0, owner=None)], "has no owner that exists", id="a Job without an owner"),
        pytest.param([job(0)], "has no owner that exists", id="a Job before its Trial"),
        pytest.param([trial(0), trial(0, "MODIFIED", x="0.6")], "parameters changed", id="other parameters"),
        pytest.param(
            [trial(0, **rung(1, 0.5, 1, "Stop")), trial(0, "MODIFIED")],
            "the record of rung 1 is gone",
            id="a lost rung",
        ),
        pytest.param(
            [trial(0, **rung(1, 0.5, 1, "Open")), trial(0, "MODIFIED", **rung(1, 0.6, 1, "Open"))],
            "the record of rung 1 changed",
            id="another value at a rung",
        ),
        pytest.param(
            [trial(0, **rung(1, 0.5, 1, "Stop")), trial(0, "MODIFIED", **rung(1, 0.5, 1, "Continue"))],
            "the verdict at rung 1 changed",
            id="another verdict",
        ),
        pytest.param(
            [trial(0, finished=True), trial(0, "MODIFIED", finished=False)], "was finished", id="a resurrection"
        ),
        pytest.param([trial(0, attempt=2), trial(0, "MODIFIED", attempt=1)], "attempt went down", id="a lost attempt"),
    ],
)
def test_what_breaks_the_guarantee_is_found(makes: list[Make], words: str) -> None:
    found = violations(history(makes), parallelism=1)
    assert len(found) == 1
    assert words in found[0]


def test_a_refill_is_from_an_end_to_the_start_that_takes_its_place() -> None:
    seen = [
        pod(0, "Running", at=0.0),
        pod(1, "Running", at=0.5),
        pod(1, "Succeeded", at=2.0),
        pod(0, "Succeeded", at=3.0),
        pod(2, "Running", at=2.25),
        pod(3, "Running", at=3.5),
    ]
    assert Moments.of(history(seen)).refills(parallelism=2) == [0.25, 0.5]
