"""The status of a study: what its best trial left behind, and what it waits for."""

from __future__ import annotations

from typing import Any

import pytest

from rung.api.facts import TrialFacts, TrialState
from rung.api.study import StartedFrom, StudyStatus
from rung.brain import Plan, StudyState, StudyVerdict, Trials
from rung.executor.status import study_status, waiting_status
from tests.executor.contract import a_study

RUNNING = StudyVerdict(StudyState.RUNNING, "TrialsRunning", "")


def status(previous: StudyStatus | None = None, **trial: Any) -> StudyStatus:
    plan = Plan.of(a_study("digits", trial=trial))
    facts = TrialFacts(7, {"x": 0.5}, state=TrialState.SUCCEEDED, values={"loss": 1.0}, checkpoint_step=9.0)
    return study_status(plan, Trials(plan, [facts]), RUNNING, previous, 0.0, created=8, frozen_hash="", volume=None)


@pytest.mark.parametrize(
    ("checkpoint", "want"),
    [
        pytest.param({"uri": "s3://ckpt"}, "s3://ckpt/digits/digits-7/step-9", id="at a URI"),
        pytest.param({"persistentVolumeClaim": "runs"}, "pvc://runs/digits/digits-7/step-9", id="in a volume"),
    ],
)
def test_the_best_trial_says_where_its_checkpoint_lies(checkpoint: dict[str, str], want: str) -> None:
    best = status(checkpoint=checkpoint).best
    assert best is not None
    assert (best.checkpoint_step, best.checkpoint) == (9.0, want)


def test_without_checkpoints_there_is_no_place() -> None:
    best = status().best
    assert best is not None
    assert best.checkpoint == ""


def conditions(of: StudyStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in of.conditions}


def test_a_study_that_waits_is_neither_accepted_nor_refused_and_does_not_run() -> None:
    waits = waiting_status(3, None, "WaitingForStudy", "waits for the end of study round-1", 100.0)
    assert conditions(waits) == {"Accepted": ("Unknown", "WaitingForStudy"), "Running": ("False", "WaitingForStudy")}
    assert (waits.state, waits.observed_generation, waits.started_at) == ("Waiting", 3, None)
    assert conditions(status(waits))["Accepted"] == ("True", "Accepted")


def test_saying_it_again_changes_nothing() -> None:
    waits = waiting_status(3, None, "WaitingForStudy", "waits", 100.0)
    assert waiting_status(3, waits, "WaitingForStudy", "waits", 200.0) == waits


def test_what_counts_of_others_is_kept_while_they_are_not_looked_at() -> None:
    known = StudyStatus(warm_start=(StartedFrom(name="round-1", uid="a", trials=3),))
    assert status(known).warm_start == known.warm_start
