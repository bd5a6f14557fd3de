"""The laws of the brain, on worlds where anything may happen in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rung.api.facts import AttemptEnd, TrialState, Verdict
from rung.brain import StudyRecord, StudyState

from .world import World, a_plan, a_study

RESOURCE = {"metric": "epoch", "min": 1, "max": 9}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "none": {"type": "None", "resource": RESOURCE},
    "asha": {"type": "ASHA", "resource": RESOURCE},
    "halving": {"type": "SuccessiveHalving", "resource": RESOURCE},
    "hyperband": {"type": "Hyperband", "resource": RESOURCE},
    "median": {"type": "MedianStop", "resource": RESOURCE},
    "asha-restart": {"type": "ASHA", "mode": "Restart", "resource": RESOURCE},
    "hypertune": {"type": "HyperTune", "resource": RESOURCE},
    "pasha-restart": {"type": "PASHA", "mode": "Restart", "resource": RESOURCE},
    "halving-restart": {"type": "SuccessiveHalving", "mode": "Restart", "resource": RESOURCE},
    "hyperband-restart": {"type": "Hyperband", "mode": "Restart", "resource": RESOURCE},
    "pbt": {"type": "PBT", "resource": RESOURCE, "pbt": {"population": 5, "intervalSteps": 2}},
    "pb2": {"type": "PB2", "resource": RESOURCE, "pbt": {"population": 5, "intervalSteps": 2}},
    "pb2-many": {
        "type": "PB2",
        "resource": {**RESOURCE, "max": 6},
        "pbt": {"population": 4, "intervalSteps": 1, "quantile": "0.5"},
    },
    "pbt-many": {"type": "PBT", "resource": RESOURCE, "pbt": {"population": 4, "intervalSteps": 2, "quantile": "0.5"}},
    "none-all": {"type": "None", "resource": RESOURCE},
    "asha-all": {"type": "ASHA", "resource": RESOURCE},
    "asha-front": {"type": "ASHA", "resource": RESOURCE},
    "hyperband-front": {"type": "Hyperband", "resource": RESOURCE},
    "halving-restart-front": {"type": "SuccessiveHalving", "mode": "Restart", "resource": RESOURCE},
    "none-leaders": {"type": "None", "resource": RESOURCE},
    "halving-restart-leaders": {"type": "SuccessiveHalving", "mode": "Restart", "resource": RESOURCE},
}
FRONT = [
    {"metric": "loss", "direction": "Minimize"},
    {"metric": "off", "direction": "Maximize", "expression": "-abs(loss - 2)"},
]
REPEATS = {"all": {"count": 2, "of": "All"}, "leaders": {"count": 3, "of": "Leaders"}}

events = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["step", "steps", "crash", "disrupt"])), max_size=60)


def run(scheduler: str, script: list[tuple[int, str]], *, lazy: bool = False) -> World:
    """A world after this script (`World.happen`); `lazy` keeps ended pods ending."""
    repeats = REPEATS.get(scheduler.rpartition("-")[2])
    more: dict[str, Any] = {} if repeats is None else {"repeats": repeats}
    if scheduler.endswith("-front"):
        more["objectives"] = FRONT
    asked = SCHEDULERS[scheduler]
    if "pbt" in asked:
        more["trial"] = {**a_study()["spec"]["trial"], "checkpoint": {"uri": "s3://b/c"}}
    world = World(a_plan(scheduler=asked, limits={"trials": 12, "parallelism": 3}, **more))
    world.reconcile()
    for pick, what in script:
        if not lazy:
            world.let_end()
        if not world.happen(pick, what):
            break
    return world


def drain(world: World) -> World:
    """Let every trial run to its end."""
    for _ in range(2000):
        world.let_end()
        if not world.running:
            world.now += 100.0  # beyond any pause after a crash
            world.reconcile()
            if not world.running:
                break
        world.advance(min(world.running))
    return world


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=events, lazy=st.booleans(), data=st.data())
def test_whatever_happens_the_laws_hold(
    scheduler: str, script: list[tuple[int, str]], lazy: bool, data: st.DataObject
) -> None:
    world = run(scheduler, script, lazy=lazy)

    assert world.most_live <= 3, "more trials were active than parallelism allows"
    assert len(world.created) == len(set(world.created)), "a number was used twice"
    assert world.created == sorted(world.created) == list(range(len(world.created)))
    assert len(world.started) == len(set(world.started)), "an attempt was started twice"

    now = world.decide()
    assert not now.decisions, "deciding again after applying decided something new"
    assert world.decide() == now, "the same facts gave other decisions"
    order = data.draw(st.permutations(sorted(f.number for f in world.trials)))
    rebuilt = world.rebuilt(order)
    assert world.decide(rebuilt) == now, "a permuted trial list gave other decisions"
    assert world.decide(rebuilt, slots=5) == world.decide(slots=5), "it created other trials"
    assert (rebuilt.incumbent, rebuilt.front, rebuilt.told()) == (
        world.trials.incumbent,
        world.trials.front,
        world.trials.told(),
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=events)
def test_every_study_comes_to_its_end(scheduler: str, script: list[tuple[int, str]]) -> None:
    world = drain(run(scheduler, script))
    assert world.outcome is not None
    assert world.outcome.verdict.over
    assert all(facts.finished for facts in world.trials)
    assert not world.trials.live


@pytest.mark.parametrize(
    "scheduler",
    [
        "asha",
        "asha-front",
        "median",
        "hypertune",
        "asha-restart",
        "pasha-restart",
        "asha-all",
        "pbt",
        "pbt-many",
        "pb2",
        "pb2-many",
    ],
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=events)
def test_replaying_the_records_gives_the_recorded_verdicts(scheduler: str, script: list[tuple[int, str]]) -> None:
    from rung.brain.replay import contradictions

    world = run(scheduler, script)
    assert contradictions(world.plan, list(world.trials)) == []


def test_trials_are_ranked_by_all_objectives_and_record_them() -> None:
    records = {f.number: f.rungs for f in drain(run("asha-front", [])).trials}
    rungs = [record for number in records for record in records[number]]
    assert all(len(record.others) == 1 for record in rungs)
    assert all(record.others[0] == pytest.approx(-abs(record.value - 2)) for record in rungs)
    assert any("by all objectives" in record.reason and record.verdict is Verdict.STOP for record in rungs)
    alone = {f.number: f.rungs for f in drain(run("asha", [])).trials}
    assert all(not record.others for number in alone for record in alone[number])
    verdicts = [{n: [record.verdict for record in rungs] for n, rungs in of.items()} for of in (records, alone)]
    assert verdicts[0] != verdicts[1], "the second objective made no difference"


@pytest.mark.parametrize("scheduler", ["halving", "hyperband", "hyperband-front"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(one=events, other=events)
def test_synchronous_verdicts_do_not_depend_on_the_order_of_arrival(
    scheduler: str, one: list[tuple[int, str]], other: list[tuple[int, str]]
) -> None:
    def calm(script: list[tuple[int, str]]) -> list[tuple[int, str]]:
        return [(pick, what) for pick, what in script if what.startswith("step")]

    def verdicts(world: World) -> dict[tuple[int, int], Verdict]:
        return {(f.number, r.step): r.verdict for f in world.trials for r in f.rungs if r.verdict is not Verdict.OPEN}

    first, second = drain(run(scheduler, calm(one))), drain(run(scheduler, calm(other)))
    stopped = {f.number for f in first.trials if f.state is TrialState.STOPPED}
    assert stopped == {f.number for f in second.trials if f.state is TrialState.STOPPED}
    assert first.trials.incumbent == second.trials.incumbent
    one_way, other_way = verdicts(first), verdicts(second)
    shared = one_way.keys() & other_way.keys()
    assert {k: one_way[k] for k in shared} == {k: other_way[k] for k in shared}


@pytest.mark.parametrize("scheduler", ["halving", "hyperband"])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=events)
def test_fresh_runs_are_judged_as_trials_that_train_on(scheduler: str, script: list[tuple[int, str]]) -> None:
    def judged(world: World) -> dict[int, tuple[TrialState, list[tuple[int, float, Verdict]]]]:
        return {f.number: (f.state, [(r.step, r.value, r.verdict) for r in f.rungs]) for f in world.trials}

    calm = [(pick, what) for pick, what in script if what != "crash"]
    one, other = drain(run(scheduler, [])), drain(run(f"{scheduler}-restart", calm))
    assert judged(one) == judged(other)
    assert one.trials.incumbent == other.trials.incumbent


@pytest.mark.parametrize(
    "limits",
    [
        {"trials": 12},
        {"trials": 12, "patienceTrials": 3},
        {"trials": 12, "failedTrials": 1},
        {"gpuHours": "0.004"},
        {"durationSeconds": 9},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("goal", [None, "0.9"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=events)
def test_a_study_that_has_ended_stays_so(
    limits: dict[str, Any], goal: str | None, script: list[tuple[int, str]]
) -> None:
    objective = {"metric": "loss", "direction": "Minimize", **({"goal": goal} if goal else {})}
    world = World(a_plan(objectives=[objective], scheduler=SCHEDULERS["asha"], limits={**limits, "parallelism": 3}))
    world.reconcile()
    over = ""
    for pick, what in [*script, *[(0, "steps")] * 40]:
        candidates = sorted(set(world.running) - world.ending)
        if not candidates:
            break
        number = candidates[pick % len(candidates)]
        if what.startswith("step"):
            world.advance(number, 1 if what == "step" else 4)
        else:
            world.finish(number, AttemptEnd.CRASHED)
        world.let_end()
        assert world.outcome is not None
        verdict = world.outcome.verdict
        assert not over or verdict.reason == over, f"ended by {over}, then {verdict}"
        over = verdict.reason if verdict.over else over
        if over:
            world.record = StudyRecord(started_at=1000.0, created=len(world.created), reason=over, ended_at=world.now)
    world.now += 1000.0
    assert not over or world.reconcile().verdict.reason == over


@pytest.mark.parametrize(
    ("script", "order"),
    [
        pytest.param(
            [(1, "step"), (1, "steps"), (1, "steps")], [1, 0, 2, 3], id="the repeat has ended, not the first run"
        ),
        pytest.param([(0, "step"), (0, "steps"), (0, "steps")], [0, 1, 2, 3], id="the first run has, not the repeat"),
    ],
)
def test_runs_of_an_assignment_are_one_result_in_whatever_order_they_are_listed(
    script: list[tuple[int, str]], order: list[int]
) -> None:
    world = run("none-all", script)
    assert world.trials.incumbent is not None
    assert world.rebuilt(order).incumbent == world.trials.incumbent


def test_what_a_trial_said_before_its_next_rung_is_known_to_a_new_process_too() -> None:
    """Else "the first 3 trials ended without one observation" ended the study after a restart, and not without one."""
    world = run(
        "pasha-restart",
        [(0, "step"), (0, "crash"), (0, "crash"), (0, "crash"), (1, "crash"), (0, "crash"), (0, "crash")],
    )
    assert world.trials.counts[TrialState.FAILED] == 3
    assert world.decide(world.rebuilt()) == world.decide()


def test_a_raised_limit_reopens_the_study_it_ended() -> None:
    world = drain(run("asha", []))
    assert world.outcome is not None
    assert (world.outcome.verdict.state, world.outcome.verdict.reason) == (StudyState.SUCCEEDED, "TrialsCompleted")
    more = a_plan(scheduler=SCHEDULERS["asha"], limits={"trials": 14, "parallelism": 3})
    again = World(more)
    for facts in world.trials:
        again.trials.put(facts)
    outcome = again.reconcile()
    assert outcome.verdict.state is StudyState.RUNNING
    assert again.created == [12, 13]
