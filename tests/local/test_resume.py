"""Killed, interrupted or started twice, a run loses nothing, doubles nothing and leaves nothing running."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from rung.api.facts import TrialState
from rung.api.study import Study
from rung.brain import Plan
from rung.executor.record import facts_of
from rung.simulate.engine import simulate_now
from tests.executor.contract import ReplayedCurves, a_study, scheduled, told
from tests.local.command import command, eventually, none_left, recorded, state_of, study_document
from tests.local.conftest import processes_of

STUBBORN = "trap '' TERM; echo started; while :; do sleep 0.05; done"


def slow_study(kind: str, *, mode: str | None = None, **more: Any) -> Study:
    """Nine trials of about 0.2 s."""
    limits = {"trials": 9, "parallelism": 3}
    scheduler = scheduled(kind) if mode is None else scheduled(kind, mode=mode)
    return a_study(arguments=("--sleep=0.02",), sampler={"type": "Sobol"}, scheduler=scheduler, limits=limits, **more)


def shell_study(script: str, *, grace: int = 5) -> Study:
    """One trial that is a shell script."""
    container = {"name": "trial", "image": "none", "command": ["/bin/sh", "-c", script]}
    template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": grace}}
    return a_study(trial={"podTemplate": template}, limits={"trials": 1})


@pytest.mark.parametrize(
    "study",
    [
        pytest.param(slow_study("None"), id="None"),
        pytest.param(slow_study("SuccessiveHalving"), id="SuccessiveHalving"),
        pytest.param(slow_study("Hyperband", mode="Restart"), id="Hyperband, every rung a fresh run"),
        pytest.param(slow_study("None", repeats={"count": 3}), id="every assignment three times"),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again_the_study_ends_as_if_undisturbed(tmp_path: Path, study: Study, seed: int) -> None:
    moments = random.Random(seed)
    for _ in range(3):
        with command(tmp_path, study) as run:
            run.read(moments.randint(1, 12))
            run.kill()
    with command(tmp_path, study, fresh=True) as run:
        code, out, err = run.end()
    assert code == 0, out + err

    plan = Plan.of(study)
    want = simulate_now(plan, ReplayedCurves())
    got = [facts_of(trial, plan) for trial in recorded(tmp_path, study)]
    assert told(got, order=False) == told(want.trials, order=False)
    orders = [record.order for facts in got for record in facts.rungs]
    assert sorted(orders) == list(range(1, len(orders) + 1))
    assert none_left(tmp_path, study)


def test_trials_of_a_killed_run_end_by_themselves(tmp_path: Path) -> None:
    study = a_study(arguments=("--sleep=30",), limits={"trials": 2, "parallelism": 2})
    with command(tmp_path, study) as run:
        run.read_until("trial 1 started")
        assert not none_left(tmp_path, study)
        run.kill()
    eventually(lambda: none_left(tmp_path, study), "the guard ends the trials")


def test_a_trial_that_ignores_the_signal_is_killed_after_its_grace_period(tmp_path: Path) -> None:
    study = shell_study(STUBBORN, grace=1)
    with command(tmp_path, study) as run:
        run.read_until("trial 0 started")
        log = state_of(tmp_path, study) / "attempts" / "0-1" / "log"
        eventually(lambda: log.read_text() != "", "the trap is set")
        run.interrupt()
        code, _, err = run.end()
    assert code == 130
    assert "to go on: rung run study.yaml" in err
    assert none_left(tmp_path, study)


def test_an_interrupt_ends_the_trials_and_the_next_run_goes_on(tmp_path: Path) -> None:
    study = a_study(arguments=("--sleep=0.1",), limits={"trials": 3, "parallelism": 2}, scheduler=scheduled("None"))
    with command(tmp_path, study) as run:
        run.read_until("trial 1 started")
        run.interrupt()
        code, _, err = run.end()
    assert code == 130
    assert "to go on: rung run study.yaml" in err
    assert none_left(tmp_path, study)
    unfinished = recorded(tmp_path, study)
    assert [t.status.state for t in unfinished if t.status] == ["Pending", "Pending"]
    assert [t.status.disruptions + t.status.crashes for t in unfinished if t.status] == [0, 0]

    with command(tmp_path, study) as run:
        code, out, _ = run.end()
    assert code == 0
    assert "going on with" in out
    assert [t.status.state for t in recorded(tmp_path, study) if t.status] == ["Succeeded"] * 3
    assert study_document(tmp_path, study)["status"]["state"] == "Succeeded"


def test_a_second_interrupt_kills_at_once(tmp_path: Path) -> None:
    study = shell_study(STUBBORN, grace=50)
    with command(tmp_path, study) as run:
        run.read_until("trial 0 started")
        log = state_of(tmp_path, study) / "attempts" / "0-1" / "log"
        eventually(lambda: log.read_text() != "", "the trap is set")
        run.interrupt()
        run.read_until("interrupted")
        run.interrupt()
        code, _, _ = run.end()
    assert code == 130
    assert none_left(tmp_path, study)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ways_to_be_asked_to_end_are_interrupts_too(tmp_path: Path, number: signal.Signals) -> None:
    study = a_study(arguments=("--sleep=30",), limits={"trials": 1})
    with command(tmp_path, study) as run:
        run.read_until("trial 0 started")
        run.process.send_signal(number)
        code, _, _ = run.end()
    assert code == 130
    assert none_left(tmp_path, study)


def test_a_finished_study_run_again_says_its_result_at_once(tmp_path: Path) -> None:
    study = a_study(limits={"trials": 2, "parallelism": 2})
    attempts = []
    for _ in range(2):
        with command(tmp_path, study) as run:
            code, out, _ = run.end()
        assert code == 0
        assert "best    trial" in out
        attempts.append([trial.status.attempt for trial in recorded(tmp_path, study) if trial.status])
    assert attempts == [[1, 1], [1, 1]]


def test_a_raised_limit_reopens_a_finished_study(tmp_path: Path) -> None:
    for trials in (2, 4):
        study = a_study(limits={"trials": trials, "parallelism": 2})
        with command(tmp_path, study) as run:
            assert run.end()[0] == 0
    assert [t.spec.number for t in recorded(tmp_path, study)] == [0, 1, 2, 3]


def test_a_study_that_was_changed_is_refused_and_fresh_starts_over(tmp_path: Path) -> None:
    limits = {"trials": 1}
    with command(tmp_path, a_study(limits=limits)) as run:
        assert run.end()[0] == 0
    changed = a_study(limits=limits, seed=6)
    with command(tmp_path, changed) as run:
        code, _, err = run.end()
    assert code == 2
    assert "spec.seed" in err
    assert "--fresh" in err
    with command(tmp_path, changed, "--fresh") as run:
        assert run.end()[0] == 0


def test_two_runs_on_one_state_are_one_too_many(tmp_path: Path) -> None:
    study = a_study(arguments=("--sleep=30",), limits={"trials": 1})
    with command(tmp_path, study) as first:
        first.read_until("trial 0 started")
        with command(tmp_path, study) as second:
            code, _, err = second.end()
        assert code == 2
        assert f"pid {first.process.pid}" in err
        first.interrupt()
        assert first.end()[0] == 130


def test_a_command_that_does_not_exist_fails_the_study_in_words(tmp_path: Path) -> None:
    template = {"spec": {"containers": [{"name": "t", "image": "i", "command": ["no-such-program"]}]}}
    study = a_study(trial={"podTemplate": template}, limits={"trials": 8, "parallelism": 2})
    with command(tmp_path, study) as run:
        code, out, _ = run.end()
    assert code == 1
    assert "NothingWorks" in out
    assert "no 'no-such-program' in PATH" in out
    assert {t.status.state for t in recorded(tmp_path, study) if t.status} == {TrialState.FAILED.value}


def test_with_the_guard_killed_too_the_next_run_ends_what_is_left(tmp_path: Path) -> None:
    study = a_study(arguments=("--sleep=30",), limits={"trials": 2, "parallelism": 2})
    with command(tmp_path, study) as run:
        run.read_until("trial 1 started")
        children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
        guards = [int(pid) for pid in children if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(guards) == 1
        os.kill(guards[0], signal.SIGKILL)
        run.kill()
    assert not none_left(tmp_path, study)
    left = processes_of(state_of(tmp_path, study))
    with command(tmp_path, study) as run:
        run.read_until("trial 1 started again (attempt 2)")
        assert not set(left) & set(processes_of(state_of(tmp_path, study)))
        run.interrupt()
        assert run.end()[0] == 130
    assert none_left(tmp_path, study)
