"""The SDK's /observations: pages of the right shape, pages of others, reports that make no sense."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rung.api.errors import BadObservation
from rung.api.facts import Observation
from rung.observe.extract import Wanted
from rung.observe.sdk import SdkReader, WrongSpeaker
from rung_trial import Trial


def a_reader(*metrics: str) -> SdkReader:
    return SdkReader(Wanted.of(None, metrics or ("loss",), "epoch"), "digits-3", 1)


def a_page(*reports: Any, **other: Any) -> bytes:
    page = {"trial": "digits-3", "attempt": 1, "next": len(reports), "observations": list(reports), **other}
    return json.dumps(page).encode()


def report(step: Any, **values: Any) -> dict[str, Any]:
    return {"n": 0, "step": step, "time": 1.7e9, "values": values}


def test_a_page_gives_its_observations_and_the_next_cursor() -> None:
    r = a_reader()
    page = r.read(a_page(report(1, loss=0.5, other=3), report(2, loss="NaN"), next=12, outputs={"model": "s3://m"}))
    assert page.observations[0] == Observation(1, {"loss": 0.5})
    assert math.isnan(page.observations[1].values["loss"])
    assert (page.next, r.since, page.reports, page.done) == (12, 12, 2, False)
    assert r.sightings.outputs == {"model": "s3://m"}
    assert list(r.sightings.names) == ["loss", "other"]


def test_the_real_sdk_is_understood(tmp_path: Path) -> None:
    log = tmp_path / "termination"
    trial = Trial(
        {"RUNG_TRIAL": "digits-3", "RUNG_RESOURCE_METRIC": "epoch", "RUNG_METRICS_HOST": "127.0.0.1"}
        | {"RUNG_METRICS_PORT": "0", "RUNG_TERMINATION_LOG": str(log)}
    )
    trial.report(step=1, loss=0.5)
    trial.report(step=2, loss=math.inf)
    trial.output("model", "s3://m")
    r = a_reader()
    page = r.read((trial._answer("/observations", 0) or ("", ""))[1].encode())
    assert page.observations == (Observation(1, {"loss": 0.5}), Observation(2, {"loss": math.inf}))
    assert r.since == 2
    assert r.read((trial._answer("/observations", r.since) or ("", ""))[1].encode()).observations == ()
    trial.finish()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"<html>hello", ["expected the SDK's JSON", "<html>hello"], id="a web page"),
        pytest.param(b"\xff\xfe\x00", ["expected the SDK's JSON"], id="bytes that are no text"),
        pytest.param(b"[" * 50_000, ["nested too deeply"], id="deep nesting"),
        pytest.param(b"[1]", ["JSON object", "a list of 1"], id="a list"),
        pytest.param(a_page(trial="digits-4"), ["digits-3", "'digits-4' answers", "hostNetwork"], id="another trial"),
        pytest.param(a_page(attempt=2), ["attempt 1", "attempt 2 answers"], id="another attempt"),
        pytest.param(a_page(attempt=True), ["attempt 1"], id="true is not attempt 1"),
        pytest.param(a_page(next=-1), ["next", "at least 0", "-1"], id="a negative cursor"),
        pytest.param(a_page(next="x" * 999), ["next", "whole number"], id="a cursor that is text"),
        pytest.param(a_page(observations={}), ["observations", "list"], id="observations of another shape"),
        pytest.param(a_page(3), ["observations[0]", "got 3"], id="a report of another shape"),
        pytest.param(a_page({"step": 1}), ["observations[0]", "values"], id="a report without values"),
        pytest.param(a_page(observations=[report(1)] * 5001), ["at most 5000"], id="too many reports"),
    ],
)
def test_a_page_of_another_shape_or_speaker_is_refused_and_said_why(body: bytes, words: list[str]) -> None:
    with pytest.raises(BadObservation) as refused:
        a_reader().read(body)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert len(str(refused.value)) < 400


def test_another_speaker_is_told_apart_by_type() -> None:
    with pytest.raises(WrongSpeaker):
        a_reader().read(a_page(trial="digits-4"))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param(report(-1, loss=1), "got -1", id="a negative step"),
        pytest.param(report("Infinity", loss=1), "got Infinity", id="an endless step"),
        pytest.param(report("three", loss=1), "'step' must be a number", id="a step in words"),
        pytest.param(
            report(1, loss="0.5"), 'must be a number, "NaN" or "Infinity", got \'0.5\'', id="a number as text"
        ),
        pytest.param(report(1, loss=[1]), "a list of 1", id="a list as value"),
    ],
)
def test_one_senseless_report_is_left_out_and_the_others_count(bad: Any, words: str) -> None:
    r = a_reader()
    page = r.read(a_page(report(1, loss=3), bad, report(2, loss=2)))
    assert [o.step for o in page.observations] == [1, 2]
    assert any(words in problem for problem in r.sightings.problems), r.sightings.problems


def test_of_a_page_of_senseless_values_the_first_are_told() -> None:
    r = a_reader()
    r.read(a_page(*(report(i, loss=str(i)) for i in range(1000))))
    assert [problem.split(": ")[1] for problem in r.sightings.problems] == [f"observations[{i}]" for i in range(8)]
    r.read(a_page(report(9, loss="x"), next=9))
    assert "got 'x'" in list(r.sightings.problems)[-1]


def test_a_report_without_a_step_is_one_further() -> None:
    page = a_reader().read(a_page({"values": {"loss": 3}}, {"values": {"loss": 2}}))
    assert [o.step for o in page.observations] == [1, 2]


def test_a_checkpoint_is_kept_apart_from_the_metrics() -> None:
    r = a_reader()
    page = r.read(a_page(report(9, checkpoint_step=9), report(9, checkpoint_step=6)))
    assert page.observations == ()
    assert r.sightings.checkpoint_step == 9
