"""The state directory: what it refuses, and that a file is never half of one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from rung.api.study import Study
from rung.brain import Plan, StudyState, StudyVerdict, Trials
from rung.executor.record import trial_of
from rung.executor.status import study_status
from rung.local.state import State, StateError
from rung.simulate.engine import simulate_now
from tests.executor.contract import ReplayedCurves, a_study


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({}, "", id="the same"),
        pytest.param({"limits": {"trials": 99, "parallelism": 9}}, "", id="limits may change"),
        pytest.param({"objectives": [{"metric": "loss", "direction": "Minimize", "goal": "1"}]}, "", id="a goal may"),
        pytest.param({"seed": 6}, "spec.seed", id="the seed may not"),
        pytest.param({"arguments": ("--exit=1",)}, "spec.trial", id="nor may the template"),
    ],
)
def test_what_may_change_once_trials_exist(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    study = a_study()
    state = filled(tmp_path, study)
    plan = Plan.of(study)
    verdict = StudyVerdict(StudyState.RUNNING, "TrialsRunning", "")
    state.write_study(study, study_status(plan, Trials(plan), verdict, None, 0.0, created=9, frozen_hash=""))
    if not named:
        assert state.accept(a_study(**changes), "") is not None
        return
    with pytest.raises(StateError, match=named):
        state.accept(a_study(**changes), "")


def test_before_the_first_trial_everything_may_change(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.open()
    plan = Plan.of(a_study())
    verdict = StudyVerdict(StudyState.RUNNING, "TrialsRunning", "")
    state.write_study(plan.study, study_status(plan, Trials(plan), verdict, None, 0.0, created=0, frozen_hash=""))
    assert state.accept(a_study(seed=6), "") is not None


def filled(path: Path, study: Study) -> State:
    """With the trials of a simulated run."""
    state = State(path)
    state.open()
    plan = Plan.of(study)
    state.accept(study, "the file")
    for facts in simulate_now(plan, ReplayedCurves()).trials:
        state.write_trial(trial_of(facts, plan, None, 0.0))
    return state


def test_trials_come_back_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    state = filled(tmp_path, a_study(limits={"trials": 12, "parallelism": 1}))
    assert [trial.spec.number for trial in state.trials()] == list(range(12))
    assert (tmp_path / "study.yaml").read_text() == "the file"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "Trial"}', "\x00"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    state = filled(tmp_path, a_study(limits={"trials": 2}))
    (tmp_path / "trials" / "1.json").write_text(text)
    with pytest.raises(StateError, match=r"trials/1\.json"):
        list(state.trials())


def test_what_a_killed_write_leaves_is_not_read(tmp_path: Path) -> None:
    state = filled(tmp_path, a_study(limits={"trials": 2}))
    (tmp_path / "trials" / ".1.json.new").write_text("{")
    assert [trial.spec.number for trial in state.trials()] == [0, 1]


def test_a_directory_has_one_owner_until_it_is_closed(tmp_path: Path) -> None:
    first, second = State(tmp_path), State(tmp_path)
    first.open()
    with pytest.raises(StateError, match="another `rung run`"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file/study"):
        State(tmp_path / "file" / "study").open()


def test_fresh_forgets_everything_that_is_ours(tmp_path: Path) -> None:
    filled(tmp_path, a_study(limits={"trials": 2})).close()
    (tmp_path / "notes.txt").touch()
    state = State(tmp_path)
    state.open()
    state.clear()
    assert list(state.trials()) == []
    assert state.study() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempts", "lock", "notes.txt", "trials"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    with pytest.raises(StateError, match="is no state of `rung run`"):
        State(tmp_path).open()
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_the_newest_attempt_of_each_trial_is_found_by_number_not_by_text(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.open()
    for number, attempt in itertools.product((1, 10), (2, 9, 10)):
        state.attempt(number, attempt).path.mkdir()
    (state.attempts / "notes").mkdir()
    assert {number: folder.attempt for number, folder in state.newest_attempts().items()} == {1: 10, 10: 10}
