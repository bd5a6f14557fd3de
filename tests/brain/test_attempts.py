"""What follows when an attempt ends, and what the study's clock and goals do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, MetricSummary, Observation, TrialFacts, TrialState
from rung.brain import StudyRecord, StudyState, Trials, applied
from rung.brain.decisions import Conclude, Retry
from rung.brain.endings import MAX_DISRUPTIONS, after_end
from rung.executor.body import Sight
from rung.executor.fold import folded

from .world import World, a_plan, loss

TEMPLATE = {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "i:1"}]}}}


def ended(end: AttemptEnd, code: int | None = 1) -> Attempt:
    return Attempt(
        1, AttemptPhase.ENDED, started_at=10.0, ended_at=20.0, end=end, exit_code=code, message="words", collected=True
    )


def a_trial(**changes: Any) -> TrialFacts:
    facts = TrialFacts(number=0, parameters={"x": 0.5}, state=TrialState.RUNNING, attempt=1)
    return replace(facts, **changes)


def saying(value: float) -> dict[str, Any]:
    return {
        "curve": (Observation(1.0, {"loss": value}),),
        "metrics": {"loss": MetricSummary.of(1.0, value)},
    }


@pytest.mark.parametrize(
    ("attempt", "facts", "kind", "state", "reason"),
    [
        pytest.param(ended(AttemptEnd.COMPLETED, 0), a_trial(**saying(0.5)), Conclude, TrialState.SUCCEEDED, "Completed", id="a result is a success"),
        pytest.param(ended(AttemptEnd.COMPLETED, 0), a_trial(), Conclude, TrialState.FAILED, "MetricMissing", id="no metric is a failure"),
        pytest.param(ended(AttemptEnd.COMPLETED, 0), a_trial(**saying(float("nan"))), Conclude, TrialState.INFEASIBLE, "NotFinite", id="a diverged loss is knowledge, not a failure"),
        pytest.param(ended(AttemptEnd.CRASHED), a_trial(), Retry, None, "Crashed", id="a first crash is retried"),
        pytest.param(ended(AttemptEnd.CRASHED), a_trial(crashes=1), Conclude, TrialState.FAILED, "Crashed", id="no retry is left after the second"),
        pytest.param(ended(AttemptEnd.DISRUPTED, 143), a_trial(crashes=1), Retry, None, "Disrupted", id="a disrupted trial is retried for free"),
        pytest.param(ended(AttemptEnd.DISRUPTED), a_trial(disruptions=MAX_DISRUPTIONS), Conclude, TrialState.FAILED, "DisruptedTooOften", id="not for ever"),
        pytest.param(ended(AttemptEnd.BAD_CONFIGURATION, 78), a_trial(), Conclude, TrialState.FAILED, "BadConfiguration", id="a bad configuration is never retried"),
        pytest.param(ended(AttemptEnd.REFUSED), a_trial(), Conclude, TrialState.FAILED, "Refused", id="a refused Job is never retried"),
        pytest.param(ended(AttemptEnd.TIMED_OUT), a_trial(), Conclude, TrialState.FAILED, "TimedOut", id="a timeout would come again"),
        pytest.param(ended(AttemptEnd.SILENT), a_trial(), Retry, None, "Silent", id="a hang counts as a crash"),
        pytest.param(ended(AttemptEnd.OUT_OF_MEMORY, 137), a_trial(), Conclude, TrialState.INFEASIBLE, "OutOfMemory", id="out of memory where the study says so"),
        pytest.param(ended(AttemptEnd.CRASHED, 65), a_trial(), Conclude, TrialState.INFEASIBLE, "InfeasibleExitCode", id="an exit code that the study calls infeasible"),
    ],
)  # fmt: skip
def test_what_follows_an_ended_attempt(
    attempt: Attempt, facts: TrialFacts, kind: type, state: TrialState | None, reason: str
) -> None:
    plan = a_plan(trial={**TEMPLATE, "retries": 1, "infeasible": {"exitCodes": [65], "outOfMemory": True}})
    record = after_end(plan, facts, attempt)
    assert isinstance(record, kind)
    assert getattr(record, "reason", None) == reason
    if isinstance(record, Conclude):
        assert record.state is state
    if isinstance(record, Retry):
        assert record.crash is (reason != "Disrupted")


def test_out_of_memory_is_a_crash_where_the_study_does_not_say_otherwise() -> None:
    assert isinstance(after_end(a_plan(), a_trial(), ended(AttemptEnd.OUT_OF_MEMORY, 137)), Retry)


RESTART = {"type": "ASHA", "mode": "Restart", "resource": {"min": 1, "max": 9}, "eta": 3}
OVER = {"phase": AttemptPhase.ENDED, "ended_at": 20.0, "collected": True, "starved": "server"}
HELD = (Observation(1.0, {"loss": 0.5}),)
STARVED = "out of memory: container server was OOMKilled by the kernel; "
NO_RESULT = f"{STARVED}the program ended without a result"
MUTE = {"started_at": -100.0, "starved": "server"}
INFEASIBLE, FAILED = TrialState.INFEASIBLE, TrialState.FAILED


@pytest.mark.parametrize(
    ("seen", "said", "state", "reason", "words", "spec"),
    [
        pytest.param({**OVER, "end": AttemptEnd.COMPLETED}, (), INFEASIBLE, "OutOfMemory", NO_RESULT, {}, id="it left with 0 and no figure"),
        pytest.param({**OVER, "end": AttemptEnd.COMPLETED}, (), INFEASIBLE, "OutOfMemory", NO_RESULT, {"scheduler": RESTART}, id="or with none at a rung of its own"),
        pytest.param({**OVER, "end": AttemptEnd.COMPLETED}, HELD, TrialState.SUCCEEDED, "Completed", "loss 0.5", {}, id="a result is a result"),
        pytest.param({**OVER, "end": AttemptEnd.COMPLETED, "starved": ""}, (), FAILED, "MetricMissing", "without reporting loss", {}, id="no figure and memory enough"),
        pytest.param({**OVER, "end": AttemptEnd.TIMED_OUT}, (), INFEASIBLE, "OutOfMemory", f"{STARVED}ran longer than", {}, id="the kubelet ended it"),
        pytest.param({**OVER, "end": AttemptEnd.TIMED_OUT}, HELD, FAILED, "TimedOut", "ran longer than", {}, id="it was only slow"),
        pytest.param(MUTE, HELD, INFEASIBLE, "OutOfMemory", f"{STARVED}no observation for", {}, id="it hangs"),
        pytest.param({**MUTE, "starved": ""}, HELD, FAILED, "Silent", "no observation for", {}, id="it hangs for itself"),
    ],
)  # fmt: skip
def test_a_container_out_of_memory_beside_the_program_is_the_reason_where_no_result_comes(
    seen: dict[str, Any],
    said: tuple[Observation, ...],
    state: TrialState,
    reason: str,
    words: str,
    spec: dict[str, Any],
) -> None:
    trial = {**TEMPLATE, "retries": 0, "silenceSeconds": 60, "infeasible": {"outOfMemory": True}}
    world = World(a_plan(trial=trial, limits={"trials": 1, "parallelism": 1}, **spec))
    world.reconcile()
    attempt, _ = world.running[0]
    heard = seen.get("started_at")
    world.reconcile({0: Sight(replace(attempt, **seen), said, last_observed_at=heard)})
    facts = world.trials[0]
    assert (facts.state, facts.reason) == (state, reason)
    assert words in facts.message


def test_a_trial_that_has_ended_well_waits_for_an_open_rung() -> None:
    world = World(
        a_plan(
            scheduler={"type": "SuccessiveHalving", "resource": {"metric": "epoch", "max": 9}},
            limits={"trials": 9, "parallelism": 2},
        )
    )
    world.reconcile()
    world.advance(0, 9)
    facts = world.trials[0]
    assert facts.state is TrialState.WAITING
    assert "waiting for the verdict at epoch 1" in facts.message
    assert 0 not in {f.number for f in world.trials.live}, "a waiting trial takes no slot"
    assert sorted(world.running) == [1, 2]


def test_a_suspended_study_ends_its_attempts_and_goes_on_where_it_was() -> None:
    world = World(a_plan(limits={"trials": 5, "parallelism": 2}))
    world.reconcile()
    world.plan = world.trials.plan = a_plan(limits={"trials": 5, "parallelism": 2}, suspend=True)
    outcome = world.reconcile()
    assert outcome.verdict.state is StudyState.SUSPENDED
    assert world.ending == {0, 1}
    world.let_end()
    assert not world.running
    assert {world.trials[n].state for n in (0, 1)} == {TrialState.PENDING}
    assert [world.trials[n].disruptions for n in (0, 1)] == [0, 0]
    world.plan = world.trials.plan = a_plan(limits={"trials": 5, "parallelism": 2})
    world.reconcile()
    assert world.started == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert world.created == [0, 1]


def test_a_goal_met_in_mid_flight_ends_every_trial_at_once() -> None:
    study = {
        "objectives": [{"metric": "loss", "direction": "Minimize", "goal": "1.2"}],
        "scheduler": {"type": "None", "resource": {"max": 27}},
    }
    world = World(a_plan(**study, limits={"trials": 9, "parallelism": 3}))
    world.reconcile()
    for _ in range(5):
        for number in sorted(set(world.running) - world.ending):
            if world.outcome is not None and not world.outcome.verdict.over:
                world.advance(number)
    assert world.outcome is not None
    assert world.outcome.verdict.reason == "GoalReached"
    assert world.ending == set(world.running), "all that runs was told to end"
    assert all(f.finished for f in world.trials)


def test_silence_ends_an_attempt_and_the_clock_says_when_to_look() -> None:
    world = World(
        a_plan(
            trial={**TEMPLATE, "silenceSeconds": 60},
            limits={"trials": 1, "parallelism": 1},
            scheduler={"type": "None", "resource": {"max": 9}},
        )
    )
    world.reconcile()
    outcome = world.advance(0)
    assert outcome.look_again_at == pytest.approx(world.now + 60)
    world.now += 61
    attempt, _ = world.running[0]
    world.reconcile({0: Sight(attempt, (), last_observed_at=world.now - 61)})
    assert world.trials[0].crashes == 1
    assert world.ending == {0}
    assert world.trials[0].reason == "Silent"


def test_a_budget_of_gpu_hours_ends_the_study_when_it_is_spent() -> None:
    world = World(
        a_plan(limits={"gpuHours": "0.01", "parallelism": 2}, scheduler={"type": "None", "resource": {"max": 27}})
    )
    outcome = world.reconcile()
    world.advance(0)
    outcome = world.advance(1)
    assert outcome.verdict.state is StudyState.RUNNING
    assert outcome.look_again_at == pytest.approx(1000.0 + 18.0, abs=2.0), (
        "0.01 hours are 36 GPU-seconds, two GPUs burn them"
    )
    world.now = 1000.0 + 40.0
    outcome = world.reconcile()
    assert (outcome.verdict.state, outcome.verdict.reason) == (StudyState.SUCCEEDED, "GpuHoursSpent")
    assert world.ending == set(world.running)


def test_known_points_do_not_run_and_do_not_count() -> None:
    points = [{"parameters": {"x": "0.25"}, "values": {"loss": "0.5"}}, {"parameters": {"x": "0.75"}}]
    world = World(a_plan(warmStart={"points": points}, limits={"trials": 2, "parallelism": 4}))
    world.reconcile()
    assert world.trials[0].state is TrialState.KNOWN
    assert world.trials[1].parameters["x"] == 0.75
    assert [n for n, _ in world.started] == [1, 2]
    assert world.trials.incumbent is not None
    assert world.trials.incumbent.number == 0


def test_too_many_failures_end_the_study_with_the_last_one_in_words() -> None:
    world = World(a_plan(trial={**TEMPLATE, "retries": 0}, limits={"trials": 20, "parallelism": 1, "failedTrials": 2}))
    world.reconcile()
    for number in range(3):
        world.advance(number)
        world.finish(number, AttemptEnd.CRASHED)
    assert world.outcome is not None
    assert (world.outcome.verdict.state, world.outcome.verdict.reason) == (StudyState.FAILED, "TooManyFailures")
    assert "trial 2: Crashed" in world.outcome.verdict.message
    assert not world.running


def test_nothing_works_is_said_before_the_budget_is_gone() -> None:
    world = World(a_plan(trial={**TEMPLATE, "retries": 0}, limits={"trials": 20, "parallelism": 2}))
    world.reconcile()
    for number in (0, 1):
        world.finish(number, AttemptEnd.CRASHED)
    assert world.outcome is not None
    assert world.outcome.verdict.reason == "NothingWorks"


def test_two_objectives_give_a_front() -> None:
    world = World(
        a_plan(
            objectives=[{"metric": "loss", "direction": "Minimize"}, {"metric": "speed", "direction": "Maximize"}],
            limits={"trials": 4, "parallelism": 4},
        )
    )
    world.reconcile()
    for number, (error, speed) in enumerate([(0.5, 1.0), (0.4, 2.0), (0.3, 0.5), (0.6, 3.0)]):
        attempt, _ = world.running.pop(number)
        over = replace(attempt, phase=AttemptPhase.ENDED, ended_at=world.now, end=AttemptEnd.COMPLETED, collected=True)
        world.reconcile({number: Sight(over, (Observation(1.0, {"loss": error, "speed": speed}),))})
    assert [i.number for i in world.trials.front] == [2, 1, 3]


def test_a_hole_that_a_killed_process_left_is_filled_and_a_deleted_number_is_not() -> None:
    world = World(a_plan(limits={"trials": 6, "parallelism": 3}))
    world.reconcile()
    names = {n: world.trials[n].parameters for n in range(3)}
    left = World(world.plan)
    left.trials.put(world.trials[0])
    left.trials.put(world.trials[2])  # created side by side with 1, which never came to be
    left.reconcile()
    assert left.created == [1]
    assert left.trials[1].parameters == names[1]
    left.trials.drop(1)
    left.running.pop(1)
    left.reconcile()
    assert left.created == [1, 3], "deleted by hand: its number is not given out again"
    later = World(world.plan, record=StudyRecord(started_at=1000.0, created=3))
    later.trials.put(world.trials[0])
    later.trials.put(world.trials[2])
    later.reconcile()
    assert later.created == [3], "the record says that 1 was given out"


RESTART = {"type": "ASHA", "mode": "Restart", "resource": {"min": 1, "max": 9}}
HALVING = {"type": "SuccessiveHalving", "mode": "Restart", "resource": {"min": 1, "max": 9}}


def test_every_rung_is_a_run_of_its_own_at_its_target() -> None:
    world = World(a_plan(scheduler=RESTART, limits={"trials": 1, "parallelism": 1}))
    world.reconcile()
    targets = []
    while world.running:
        targets.append(world.plan.attempt_target(world.trials[0]))
        world.advance(0, 100)
    facts = world.trials[0]
    assert targets == [1, 3, 9]
    assert world.started == [(0, 1), (0, 2), (0, 3)]
    assert [(r.step, r.value) for r in facts.rungs] == [(t, loss(0, t)) for t in (1, 3, 9)]
    assert [o.step for o in world.written[-1].curve] == [1.0, 3.0, 9.0], (
        "whatever a run counts by itself, it stands at its rung"
    )
    assert (facts.state, facts.crashes, facts.disruptions, facts.lost_seconds) == (TrialState.SUCCEEDED, 0, 0, 0.0)
    assert facts.values == {"loss": loss(0, 9)}
    assert facts.seconds == 3.0, "the time of all three runs"


def test_a_run_at_a_rung_is_judged_when_it_is_over_and_not_before() -> None:
    world = World(a_plan(scheduler=RESTART, limits={"trials": 1, "parallelism": 1}))
    world.reconcile()
    world.advance(0, 100)
    world.advance(0, 2)
    assert [r.step for r in world.trials[0].rungs] == [1]
    assert world.trials[0].step == 3.0
    world.finish(0, AttemptEnd.CRASHED)
    facts = world.trials[0]
    assert (facts.state, facts.crashes, facts.lost_seconds) == (TrialState.PENDING, 1, 2.0)
    assert facts.values == {"loss": loss(0, 1)}, "the lower rung stays"
    world.now += 5.0
    world.reconcile()
    assert world.trials[0].metrics == {}, "the next run at this rung begins from nothing"
    assert world.trials[0].step == 1.0


def test_a_trial_at_a_synchronous_rung_waits_without_a_slot_and_goes_on_with_a_new_run() -> None:
    world = World(a_plan(scheduler=HALVING, limits={"trials": 9, "parallelism": 2}))
    world.reconcile()
    while len(world.created) < 9:
        world.advance(min(world.running), 100)
    waiting = [f.number for f in world.trials if f.state is TrialState.WAITING]
    assert len(waiting) == 7
    assert not {f.number for f in world.trials.live} & set(waiting)
    while any(n >= 7 for n in world.running) and len(world.created) == 9:
        world.advance(max(world.running), 100)
    going_on = {f.number for f in world.trials if not f.finished}
    assert len(going_on) == 3, "a third of nine"
    assert {attempt for number, attempt in world.started if number in going_on} == {1, 2}
    assert all(f.reason == "StoppedAtRung" for f in world.trials if f.finished)
    while world.running:
        world.advance(min(world.running), 100)
    assert world.outcome is not None
    assert world.outcome.verdict.reason == "TrialsCompleted"
    spent = world.trials.ledger(world.now)
    assert spent.wasted == 0.0
    assert spent.used == sum(f.seconds for f in world.trials)


def test_a_goal_counts_at_the_last_rung_alone() -> None:
    objective = {"metric": "loss", "direction": "Minimize", "goal": "1.5"}
    world = World(a_plan(objectives=[objective], scheduler=RESTART, limits={"trials": 2, "parallelism": 1}))
    world.reconcile()
    world.advance(0, 100)
    world.advance(0, 100)
    assert world.trials[0].values["loss"] < 1.5
    assert world.trials[0].state is TrialState.QUEUED, "a smaller run says nothing of the whole one"
    world.advance(0, 1)
    world.advance(0, 1)
    assert world.trials[0].reason == "GoalReached"
    assert world.outcome is not None
    assert world.outcome.verdict.reason == "GoalReached"


def test_a_study_that_ends_keeps_what_whole_runs_have_said() -> None:
    world = World(a_plan(scheduler=RESTART, limits={"trials": 3, "parallelism": 3}))
    world.reconcile()
    world.advance(1, 100)
    world.advance(1, 1)
    world.plan = world.trials.plan = a_plan(scheduler=RESTART, limits={"trials": 3, "parallelism": 3}, finish=True)
    world.reconcile()
    assert [dict(world.trials[n].values) for n in (0, 1)] == [{}, {"loss": loss(1, 1)}]
    assert world.trials.incumbent is not None
    assert (world.trials.incumbent.number, world.trials.incumbent.complete, world.trials.incumbent.step) == (
        1,
        False,
        1,
    )


def test_what_a_spent_run_says_late_does_not_stand_at_the_next_rung() -> None:
    world = World(a_plan(scheduler=RESTART, limits={"trials": 1, "parallelism": 1}))
    world.reconcile()
    attempt, _ = world.running[0]
    over = replace(attempt, phase=AttemptPhase.ENDED, ended_at=world.now, end=AttemptEnd.COMPLETED, collected=True)
    sight = Sight(over, (Observation(1.0, {"loss": 0.5}),))
    known = replace(world.trials[0], state=TrialState.RUNNING)
    judged = world.decide(Trials(world.plan, [folded(world.plan, known, sight, world.now)])).decisions[0]
    pending = applied(folded(world.plan, known, sight, world.now), judged, world.now)
    assert (pending.state, world.plan.attempt_target(pending)) == (TrialState.PENDING, 3)
    assert folded(world.plan, pending, sight, world.now).curve == pending.curve
    adopted = replace(over, number=2, phase=AttemptPhase.RUNNING, ended_at=None, end=None)
    later = folded(world.plan, pending, Sight(adopted, (Observation(1.0, {"loss": 0.4}),)), world.now)
    assert [(o.step, o.values["loss"]) for o in later.curve] == [(1.0, 0.5), (3.0, 0.4)]
    assert later.metrics["loss"] == MetricSummary(0.4, 0.4, 0.4, 0.4, 1, 3.0)


@pytest.mark.parametrize(
    ("scheduler", "seconds"),
    [
        pytest.param({"type": "None", "resource": {"max": 9}}, 2.0, id="what a crash has cost does not count"),
        pytest.param(RESTART, 1.0, id="of fresh runs the last one"),
    ],
)
def test_a_trials_own_seconds_are_an_objective(scheduler: dict[str, Any], seconds: float) -> None:
    objective = {"metric": "trial_seconds", "direction": "Minimize"}
    world = World(a_plan(objectives=[objective], scheduler=scheduler, limits={"trials": 1, "parallelism": 1}))
    world.reconcile()
    world.advance(0, 1)
    if world.running[0][1]:
        world.finish(0, AttemptEnd.CRASHED)
        world.now += 5.0
        world.reconcile()
        world.advance(0, 1)
    while world.running:
        world.advance(0, 100)
    assert world.trials[0].values == {"trial_seconds": seconds}
