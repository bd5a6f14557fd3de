"""Repeats: who is run again, with which seed, and what several runs of one assignment are worth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.facts import AttemptEnd, TrialFacts, TrialState
from rung.brain import StudyState, Trials
from rung.brain.repeats import result_of, root_of
from rung.brain.trials import Incumbent

from .world import World, a_plan, loss

LOSS = {"metric": "loss", "direction": "Minimize"}
SPEED = {"metric": "speed", "direction": "Maximize"}
ASHA = {"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": 9}}
THREE = {"count": 3}
LEADERS = {"count": 3, "of": "Leaders"}
TEMPLATE = {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "i:1"}]}}}


def runs_of(world: World) -> dict[int, list[int]]:
    """Repeats by the number of the first run, in the order of the trials' numbers."""
    found: dict[int, list[int]] = {}
    for facts in sorted(world.trials, key=lambda facts: facts.number):
        found.setdefault(root_of(facts), []).append(facts.repeat)
    return found


def drained(world: World, most: int = 1000) -> World:
    """Until nothing runs; the lowest number first."""
    world.reconcile()
    for _ in range(most):
        if not world.running:
            return world
        world.advance(min(world.running), 100)
    raise AssertionError("the study does not end")


def best_of(world: World) -> Incumbent:
    best = world.trials.incumbent
    assert best is not None
    return best


def finished(
    number: int, value: float | None, *, repeat: int = 0, state: str = "Succeeded", **values: float
) -> TrialFacts:
    """A run of assignment 0 that has ended."""
    values = {**({} if value is None else {"loss": value}), **values}
    root = None if repeat == 0 else 0
    return TrialFacts(
        number, {"x": 0.5}, repeat=repeat, repeat_of=root, state=TrialState(state), values=values, ended_at=1.0
    )


class TestWhoIsRepeated:
    @pytest.mark.parametrize("parallelism", [1, 2, 7])
    def test_all_assignments_run_as_often_as_the_study_says(self, parallelism: int) -> None:
        world = drained(World(a_plan(repeats=THREE, limits={"trials": 9, "parallelism": parallelism})))
        assert runs_of(world) == {0: [0, 1, 2], 3: [0, 1, 2], 6: [0, 1, 2]}
        assert world.outcome is not None
        assert world.outcome.verdict.reason == "TrialsCompleted"

    def test_an_assignment_that_does_not_fit_into_the_limit_is_not_begun(self) -> None:
        world = drained(World(a_plan(repeats=THREE, limits={"trials": 11, "parallelism": 4})))
        assert len(world.created) == 9
        assert world.outcome is not None
        assert world.outcome.verdict.reason == "TrialsCompleted"

    def test_fewer_trials_than_repeats_are_refused(self) -> None:
        with pytest.raises(InvalidStudy) as caught:
            a_plan(repeats=THREE, limits={"trials": 2})
        assert caught.value.field == "spec.limits.trials"
        assert "repeats count too" in caught.value.message

    def test_repeat_r_has_the_same_seed_in_every_assignment(self) -> None:
        world = drained(World(a_plan(repeats=THREE, limits={"trials": 9, "parallelism": 2})))
        seeds = {(facts.repeat, facts.seed) for facts in world.trials}
        assert len(seeds) == 3
        assert len({seed for _, seed in seeds}) == 3, "and another one than the other repeats"
        assert all(f.parameters == world.trials[root_of(f)].parameters for f in world.trials)

    @pytest.mark.parametrize("sampler", ["Sobol", "Halton", "Random", "Grid", "TPE"])
    def test_samplers_count_assignments_and_not_runs(self, sampler: str) -> None:
        space = [{"name": "x", "type": "Int", "min": 0, "max": 99}]
        study: dict[str, Any] = {"parameters": space, "sampler": {"type": sampler}}
        once = drained(World(a_plan(**study, limits={"trials": 4, "parallelism": 2})))
        thrice = drained(World(a_plan(**study, repeats=THREE, limits={"trials": 12, "parallelism": 6})))
        assert [once.trials[i].parameters for i in range(4)] == [thrice.trials[3 * i].parameters for i in range(4)]

    def test_a_scheduler_judges_first_runs_and_only_those_that_come_to_the_end_are_repeated(self) -> None:
        world = drained(World(a_plan(repeats=THREE, scheduler=ASHA, limits={"trials": 24, "parallelism": 3})))
        for root, repeats in runs_of(world).items():
            first = world.trials[root]
            assert first.state in {TrialState.STOPPED, TrialState.SUCCEEDED}
            assert repeats == ([0] if first.state is TrialState.STOPPED else [0, 1, 2])
        assert {f.number for f in world.trials if f.rungs} == set(runs_of(world))
        assert any(f.state is TrialState.STOPPED for f in world.trials)
        assert all(f.step == 9.0 for f in world.trials if f.repeat), "a measurement trains to the end"

    def test_a_repeat_of_a_fresh_run_is_one_run_at_full_length(self) -> None:
        study = {"repeats": {"count": 2}, "scheduler": {**ASHA, "mode": "Restart"}}
        world = drained(World(a_plan(**study, limits={"trials": 4, "parallelism": 1})))
        again = next(f for f in world.trials if f.repeat)
        assert (again.attempt, again.values["loss"], again.state) == (1, loss(again.number, 9), TrialState.SUCCEEDED)

    def test_only_leaders_are_repeated_until_one_is_confirmed(self) -> None:
        world = World(a_plan(repeats=LEADERS, limits={"trials": 30, "parallelism": 2}))
        drained(world)
        runs = runs_of(world)
        best = best_of(world)
        assert (best.runs, best.confirmed) == (3, True)
        assert runs[best.number] == [0, 1, 2]
        once = [root for root, repeats in runs.items() if len(repeats) == 1]
        assert len(once) > len(runs) / 2, "most are run once"
        assert all(world.trials[root].values["loss"] > best.objectives[0] for root in once if root < best.last)

    def test_a_lucky_run_is_found_out(self) -> None:
        def value(facts: TrialFacts, step: int) -> float:
            lucky = facts.number == 1
            return 0.1 if lucky else 0.5 + 0.01 * root_of(facts)

        world = drained(World(a_plan(repeats=LEADERS, limits={"trials": 12, "parallelism": 1}), value))
        assert runs_of(world)[0] == [0, 1, 2]
        assert best_of(world).number == 0
        assert best_of(world).objectives[0] < 0.51

    def test_a_grid_is_gone_through_and_its_best_confirmed(self) -> None:
        grid = [{"name": "x", "type": "Int", "min": 0, "max": 4}]
        study: dict[str, Any] = {"parameters": grid, "sampler": {"type": "Grid"}, "repeats": LEADERS}
        world = drained(World(a_plan(**study, limits={"parallelism": 8})))
        assert len(runs_of(world)) == 5
        assert best_of(world).confirmed
        assert world.outcome is not None
        assert world.outcome.verdict.reason == "SearchSpaceExhausted"

    def test_a_list_of_points_is_run_as_often_as_the_study_says(self) -> None:
        points = [{"parameters": {"x": "0.25"}}, {"parameters": {"x": "0.75"}}]
        study: dict[str, Any] = {"sampler": {"type": "List"}, "warmStart": {"points": points}, "repeats": {"count": 10}}
        world = drained(World(a_plan(**study, limits={"parallelism": 4})))
        assert runs_of(world) == {0: list(range(10)), 10: list(range(10))}
        assert {f.parameters["x"] for f in world.trials if root_of(f) == 10} == {0.75}
        assert [f.enqueued for f in world.trials if f.enqueued is not None] == [0, 1]
        assert world.outcome is not None
        assert world.outcome.verdict.reason == "SearchSpaceExhausted"

    def test_known_points_are_not_repeated(self) -> None:
        points = [{"parameters": {"x": "0.5"}, "values": {"loss": "-9"}}]
        study: dict[str, Any] = {"warmStart": {"points": points}, "repeats": {"count": 2}}
        world = drained(World(a_plan(**study, limits={"trials": 2, "parallelism": 2})))
        assert runs_of(world) == {0: [0], 1: [0, 1]}
        assert best_of(world).number == 0

    def test_a_repeat_that_is_deleted_is_made_again_under_a_new_number(self) -> None:
        world = World(a_plan(repeats=THREE, limits={"trials": 3, "parallelism": 3}))
        world.reconcile()
        world.running.pop(1)
        world.trials.drop(1)
        world.reconcile()
        assert world.created == [0, 1, 2, 3]
        assert (world.trials[3].repeat, world.trials[3].repeat_of) == (1, 0)
        assert world.trials[3].seed == world.plan.trial_seed(3, 1)

    def test_a_first_run_is_there_before_its_repeats(self) -> None:
        class Killed(World):
            async def create(self, facts: TrialFacts) -> None:
                if facts.repeat == 0:
                    raise ConnectionError
                await super().create(facts)

        world = Killed(a_plan(repeats=THREE, limits={"trials": 3, "parallelism": 3}))
        with pytest.raises(AssertionError):
            world.reconcile()
        assert world.created == []


class TestWhatRunsAreWorth:
    @pytest.mark.parametrize(
        ("aggregate", "lost", "speed", "memory"),
        [
            pytest.param("Mean", 3.0, 3.0, 3.0, id="mean"),
            pytest.param("Median", 2.0, 2.0, 2.0, id="median"),
            pytest.param("Worst", 6.0, 1.0, 6.0, id="worst of each, by its direction"),
        ],
    )
    def test_aggregates(self, aggregate: str, lost: float, speed: float, memory: float) -> None:
        plan = a_plan(
            objectives=[LOSS, SPEED],
            constraints=[{"metric": "memory", "max": 4}],
            repeats={"count": 3, "aggregate": aggregate},
            limits={"trials": 9},
        )
        runs = [finished(n, v, repeat=n, speed=v, memory=v) for n, v in enumerate((1.0, 2.0, 6.0))]
        result = result_of(plan, runs)
        assert result.values == {"loss": lost, "speed": speed, "memory": memory}
        error = math.sqrt(7.0) / math.sqrt(3.0)  # deviations -2, -1, 3: 14 / (3 - 1) = 7
        assert result.errors == pytest.approx((error, error))
        assert (result.runs, result.confirmed, result.complete) == (3, True, True)

    @pytest.mark.parametrize(
        ("runs", "state", "value", "confirmed"),
        [
            pytest.param([finished(0, 1.0)], "Succeeded", 1.0, False, id="one of three so far"),
            pytest.param([finished(0, 1.0), finished(1, None, repeat=1, state="Failed"), finished(2, 3.0, repeat=2)], "Succeeded", 2.0, True, id="a failed run is left out"),
            pytest.param([finished(0, None, state="Failed"), finished(1, 2.0, repeat=1)], "Succeeded", 2.0, False, id="the first one too"),
            pytest.param([finished(0, None, state="Failed"), finished(1, None, repeat=1, state="Failed"), finished(2, None, repeat=2, state="Failed")], "Failed", None, True, id="all have failed"),
            pytest.param([finished(0, 1.0), finished(1, None, repeat=1, state="Infeasible"), finished(2, 3.0, repeat=2)], "Infeasible", None, True, id="one that diverges speaks for all"),
            pytest.param([finished(0, 1.0), finished(1, 0.1, repeat=1, state="Stopped"), finished(2, 3.0, repeat=2)], "Succeeded", 2.0, False, id="a run that was stopped confirms nothing"),
            pytest.param([finished(0, 1.0, state="Known")], "Known", 1.0, True, id="a known value needs no other"),
        ],
    )  # fmt: skip
    def test_an_assignment_stands_by_its_runs(
        self, runs: list[TrialFacts], state: str, value: float | None, confirmed: bool
    ) -> None:
        result = result_of(a_plan(repeats=THREE), runs)
        assert (result.state, result.values.get("loss"), result.confirmed) == (state, value, confirmed)

    def test_a_trial_may_know_its_own_standard_error(self) -> None:
        objective = {**LOSS, "standardErrorMetric": "spread"}
        plan = a_plan(objectives=[objective], sampler={"type": "TPE"})
        assert plan.measure.wanted == ("loss", "spread")
        trials = Trials(plan, [finished(0, 1.0, spread=0.25), finished(1, 2.0)])
        assert [told.deviations for told in trials.told()] == [(0.25,), ()]
        assert trials.incumbent is not None
        assert trials.incumbent.errors == (0.25,)
        assert plan.summary(trials) == "best trial 0: loss 1 (standard error 0.25)"

    def test_several_runs_tell_more_of_the_noise_than_one(self) -> None:
        plan = a_plan(objectives=[{**LOSS, "standardErrorMetric": "spread"}], repeats={"count": 2})
        runs = [finished(0, 1.0, spread=9.0), finished(1, 3.0, repeat=1, spread=9.0)]
        assert result_of(plan, runs).errors == (1.0,)

    def test_samplers_hear_of_an_assignment_once(self) -> None:
        plan = a_plan(repeats=THREE, sampler={"type": "TPE"}, limits={"trials": 9, "parallelism": 2})
        world = World(plan, lambda facts, _: root_of(facts) + facts.repeat)
        world.reconcile()
        world.advance(0, 100)
        (told,) = world.trials.told()
        assert (told.number, told.state, told.objectives) == (0, TrialState.PENDING, None), (
            "until all its runs are heard"
        )
        while 2 not in world.running or len(world.created) < 4:
            world.advance(min(world.running), 100)
        world.advance(2, 100)
        told, *others = world.trials.told()
        assert (told.number, told.objectives) == (0, (1.0,))
        assert told.deviations == pytest.approx((1 / math.sqrt(3),))
        assert [other.number for other in others] == [1]

    def test_one_lucky_run_does_not_reach_the_goal(self) -> None:
        study: dict[str, Any] = {"objectives": [{**LOSS, "goal": "1"}], "repeats": {"count": 2}}
        world = World(
            a_plan(**study, limits={"trials": 4, "parallelism": 1}),
            lambda facts, _: [0.5, 3.0, 0.9, 1.0][facts.number],
        )
        world.reconcile()
        world.advance(0, 100)
        world.advance(1, 100)
        assert world.outcome is not None
        assert world.outcome.verdict.state is StudyState.RUNNING
        world.advance(2, 100)
        world.advance(3, 100)
        assert (world.outcome.verdict.reason, best_of(world).number) == ("GoalReached", 2)

    def test_a_failed_repeat_leaves_the_others_alone_and_an_infeasible_one_ends_the_assignment(self) -> None:
        study = {"repeats": THREE, "trial": {**TEMPLATE, "retries": 0, "infeasible": {"exitCodes": [65]}}}
        world = World(a_plan(**study, limits={"trials": 9, "parallelism": 1}))
        world.reconcile()
        world.advance(0, 100)
        world.finish(1, AttemptEnd.CRASHED)
        assert world.trials[2].repeat == 2
        world.advance(2, 100)
        assert (best_of(world).number, best_of(world).runs, best_of(world).confirmed) == (0, 2, True)
        world.finish(3, AttemptEnd.CRASHED, 65)
        assert (world.trials[4].repeat, root_of(world.trials[4])) == (0, 4)

    def test_the_front_is_made_of_confirmed_assignments(self) -> None:
        plan = a_plan(objectives=[LOSS, SPEED], repeats={"count": 2, "of": "Leaders"})
        one = [finished(0, 1.0, speed=1.0), finished(1, 3.0, repeat=1, speed=3.0)]
        lone = replace(finished(2, 0.5, speed=0.5), parameters={"x": 0.7})
        beaten = replace(finished(3, 5.0, speed=1.0), parameters={"x": 0.9})
        trials = Trials(plan, [*one, lone, beaten])
        assert [(point.number, point.objectives) for point in trials.front] == [(0, (2.0, -2.0))]
        assert list(trials.repeats_due()) == [(2, 1)]


values = st.floats(-1e3, 1e3)


@settings(max_examples=60, deadline=None)
@given(
    outcomes=st.lists(st.lists(st.one_of(values, st.sampled_from(["Failed", "Infeasible"])), min_size=1, max_size=3), min_size=1, max_size=8),
    of=st.sampled_from(["All", "Leaders"]),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_board_is_a_function_of_the_results(outcomes: list[list[float | str]], of: str, order: Any) -> None:
    plan = a_plan(repeats={"count": 3, "of": of})
    runs: list[TrialFacts] = []
    for each in outcomes:
        root = len(runs)
        for repeat, what in enumerate(each):
            state, known = (what, {}) if isinstance(what, str) else ("Succeeded", {"loss": what})
            runs.append(
                TrialFacts(
                    len(runs),
                    {"x": root / 32},
                    repeat=repeat,
                    repeat_of=None if repeat == 0 else root,
                    state=TrialState(state),
                    values=known,
                    ended_at=1.0,
                )
            )
    one = Trials(plan, runs)
    shuffled = order.sample(runs, len(runs))
    other = Trials(plan, shuffled)
    assert (one.incumbent, one.front, list(one.repeats_due())) == (
        other.incumbent,
        other.front,
        list(other.repeats_due()),
    )
    confirmed = [
        math.fsum(v for v in each if isinstance(v, float)) / sum(isinstance(v, float) for v in each)
        for each in outcomes
        if len(each) == 3 and "Infeasible" not in each and any(isinstance(v, float) for v in each)
    ]
    if confirmed:
        assert one.incumbent is not None
        assert one.incumbent.objectives[0] == pytest.approx(min(confirmed), rel=1e-9, abs=1e-9)
