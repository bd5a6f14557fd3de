"""Populations: who is replaced by whose clone, whatever happens in whatever order, and what the study counts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.facts import TrialFacts, TrialState, Verdict
from rung.api.study import parse_study
from rung.brain import Plan, StudyRecord, Trials
from rung.brain.intervals import Look
from rung.brain.population import clones as made
from rung.brain.population import lineage
from rung.executor.record import facts_of, trial_of
from rung.executor.status import study_status
from rung.search.pbt import explore
from rung.search.randomness import generator
from tests.brain.world import World, a_study

INTERVAL, TARGET = 3, 12
PARAMETERS = [
    {"name": "lr", "type": "Double", "min": "1e-5", "max": "1e-1", "scale": "Log"},
    {"name": "width", "type": "Ordinal", "values": [16, 32, 64]},
    {"name": "momentum", "type": "Double", "min": 0, "max": "0.99"},
]


KINDS = ("PBT", "PB2")


def a_plan(
    population: int = 6,
    *,
    kind: str = "PBT",
    mutate: tuple[str, ...] = ("lr", "momentum"),
    parallelism: int = 3,
    **spec: Any,
) -> Plan:
    document = a_study(
        parameters=PARAMETERS,
        scheduler={
            "type": kind,
            "resource": {"metric": "epoch", "max": TARGET},
            "pbt": {"population": population, "intervalSteps": INTERVAL, "mutate": list(mutate)},
        },
        **{"limits": {"parallelism": parallelism}, "seed": 11, **spec},
    )
    document["spec"]["trial"] |= {"checkpoint": {"uri": "s3://b/c"}, "infeasible": {"outOfMemory": True}}
    return Plan.of(parse_study(document))


def loss(facts: TrialFacts, step: int) -> float:
    """Good near a rate of 1e-3, and better later."""
    return abs(float(facts.parameters["lr"]) - 1e-3) * 10 + 1 / step + facts.number * 1e-6


def a_world(plan: Plan | None = None, *, checkpoint_every: int = 1) -> World:
    world = World(plan or a_plan(), value=loss, checkpoint_every=checkpoint_every)
    world.reconcile()
    return world


def play(world: World, script: list[tuple[int, str]]) -> World:
    """A world after this script (`World.happen`); a lazy step finds pods that were told to end still ending."""
    for pick, what in script:
        if what != "lazy":
            world.let_end()
        if not world.happen(pick, "step" if what == "lazy" else what):
            break
        check_population(world)
    return world


def drained(world: World) -> World:
    for k in range(2000):
        world.let_end()
        if not world.running:
            world.now += 100.0
            world.reconcile()
            if not world.running:
                return world
        world.advance(sorted(world.running)[k % len(world.running)])
        check_population(world)
    raise AssertionError("the study does not come to its end")


def check_population(world: World) -> None:
    population = world.plan.population
    assert population is not None
    unfinished = [facts for facts in world.trials if not facts.finished]
    assert len(unfinished) + len(world.trials.vacant) <= population.population, "the population has grown"


def clones(world: World) -> list[TrialFacts]:
    return [facts for facts in world.trials if facts.descent is not None]


scripts = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["step", "step", "steps", "lazy", "crash", "disrupt", "memory"])),
    max_size=80,
)
laws = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", KINDS)
@laws
@given(script=scripts, every=st.sampled_from([1, 2, 5, 0]), data=st.data())
def test_the_laws_of_a_population_hold_whatever_happens(
    kind: str, script: list[tuple[int, str]], every: int, data: st.DataObject
) -> None:
    world = drained(play(a_world(a_plan(kind=kind), checkpoint_every=every), script))
    trials, population = world.trials, world.plan.population
    assert population is not None

    assert sum(1 for facts in trials if facts.descent is None) == 6, "clones count towards limits.trials"
    places = {f.number for f in trials if trials.place_of(f) is not None}
    replaced = [f.descent.replaces for f in clones(world) if f.descent]
    stopped = {f.number for f in trials if any(record.verdict is Verdict.STOP for record in f.rungs)}
    assert len(replaced) == len(set(replaced)), "two clones in one place"
    assert stopped <= set(replaced), "one that was stopped was not replaced"
    assert places - set(replaced) == {n for n in places - set(replaced) if trials.model_of(n) is None}, "no clone"

    for clone in clones(world):
        descent = clone.descent
        assert descent is not None
        loser = trials[descent.replaces]
        entry = trials.table.entry(loser.number, descent.rung)
        if entry is None:
            assert loser.state is TrialState.INFEASIBLE
            assert descent.step is None or descent.step <= descent.rung < TARGET
            continue
        number = population.parent(trials.table, entry)
        assert number is not None
        model = trials[number]
        there = descent.rung - INTERVAL if f"at epoch {descent.rung - INTERVAL} its" in loser.message else descent.rung
        others = [e.number for e in trials.table.at(0, there) if e.order < entry.order and e.number != loser.number]
        assert number in others[: -(-(len(others) + 1) // 4)], "the parent was not among the best of that step"
        assert f"trial {model.number}'s clone" in loser.message
        assert descent.parent in lineage(trials, model.number), "the weights are not those of the parent or an ancestor"
        assert descent.step is None or descent.step <= descent.rung
        assert all(record.step > descent.rung for record in clone.rungs), "compared twice at a step"
        assert clone.parameters["width"] == model.parameters["width"], "changed what mutate does not name"
        assert 1e-5 <= float(clone.parameters["lr"]) <= 1e-1
        assert 0 <= float(clone.parameters["momentum"]) <= 0.99

    order = data.draw(st.permutations(sorted(facts.number for facts in trials)))
    assert world.decide(world.rebuilt(order)) == world.decide()


@pytest.mark.parametrize("kind", KINDS)
@laws
@given(script=scripts, data=st.data())
def test_facts_in_any_order_and_read_back_from_their_records_lead_to_the_same_clones(
    kind: str, script: list[tuple[int, str]], data: st.DataObject
) -> None:
    world = play(a_world(a_plan(kind=kind, parallelism=6)), script)
    order = data.draw(st.permutations(sorted(facts.number for facts in world.trials)))
    rebuilt = world.rebuilt(order)
    assert (rebuilt.vacant, rebuilt.counted) == (world.trials.vacant, world.trials.counted)
    for facts in world.trials:
        read = facts_of(trial_of(facts, world.plan, None, world.now), world.plan)
        assert (read.descent, read.checkpoints, read.parameters) == (facts.descent, facts.checkpoints, facts.parameters)


@pytest.mark.parametrize("kind", KINDS)
@laws
@given(script=scripts, every=st.sampled_from([1, 2, 5]), data=st.data())
def test_every_clone_is_made_again_as_it_was_whatever_has_happened_since(
    kind: str, script: list[tuple[int, str]], every: int, data: st.DataObject
) -> None:
    """From the facts as they are listed after the end, in any order, read back from their records. Only a parent's checkpoint may
    have come later, and who stood in for one that proved infeasible.
    """
    world = drained(play(a_world(a_plan(kind=kind, parallelism=6), checkpoint_every=every), script))
    read = [facts_of(trial_of(facts, world.plan, None, world.now), world.plan) for facts in world.trials]
    read = data.draw(st.permutations(read))
    for clone in clones(world):
        lacking = Trials(world.plan, [facts for facts in read if facts.number != clone.number])
        again = next(made(world.plan, lacking, iter([clone.number]), 1))
        assert clone.descent is not None
        assert again.descent is not None
        assert (again.descent.replaces, again.descent.rung) == (clone.descent.replaces, clone.descent.rung)
        infeasible = world.trials[clone.descent.replaces].state is TrialState.INFEASIBLE
        if not infeasible and (kind == "PBT" or again.descent == clone.descent):
            assert again.parameters == clone.parameters


@pytest.mark.parametrize("kind", KINDS)
@laws
@given(script=scripts, killed=st.sets(st.integers(0, 30), max_size=8))
def test_a_process_killed_between_two_clones_makes_the_missing_one(
    kind: str, script: list[tuple[int, str]], killed: set[int]
) -> None:
    """Of the trials that a decision creates side by side any may be missing; their numbers are filled from below."""
    world = play(a_world(a_plan(kind=kind, parallelism=6)), script)
    world.let_end()
    begun = [f for f in clones(world) if f.number in killed and f.state is TrialState.QUEUED and not f.rungs]
    lost = [f.number for f in begun if f.descent and world.trials[f.descent.replaces].state is TrialState.STOPPED]
    twin = World(world.plan, value=loss)
    twin.record = StudyRecord(started_at=1000.0, created=min(lost, default=len(world.created)))
    for facts in world.trials:
        if facts.number not in lost:
            twin.trials.put(facts)
    twin.reconcile()
    for number in lost:
        again, before = twin.trials[number].descent, world.trials[number].descent
        assert again is not None
        assert before is not None
        if len(lost) == 1:
            assert (again.replaces, again.rung) == (before.replaces, before.rung)
            if kind == "PBT" or again == before:
                assert twin.trials[number].parameters == world.trials[number].parameters


def falling_behind(world: World, *, others: int = 3) -> int:
    """Members 0, 1, 2 reach the first step in this order and 3 comes last; the number of who is stopped there."""
    for number in range(others):
        world.advance(number, INTERVAL)
    world.advance(others, INTERVAL)
    return others


def by_number(facts: TrialFacts, step: int) -> float:
    """The later, the worse; clones are the best."""
    return (-1.0 if facts.descent else facts.number) + 1 / step


def a_small_world(**more: Any) -> World:
    world = World(a_plan(population=4, parallelism=4, **more), value=by_number)
    world.reconcile()
    return world


def test_a_clone_goes_on_from_its_parents_checkpoint_at_that_step() -> None:
    world = a_small_world()
    world.advance(0, INTERVAL + 2)  # it is ahead of the step
    for number in (1, 2, 3):
        world.advance(number, INTERVAL)
    stopped = [facts.number for facts in world.trials if facts.state is TrialState.STOPPED]
    assert stopped == [1, 2, 3][-len(stopped) :]
    world.let_end()
    (first, *_) = clones(world)
    assert first.descent is not None
    assert (first.descent.replaces, first.descent.rung) == (stopped[0], INTERVAL)
    assert (first.descent.parent, first.descent.step) == (0, INTERVAL)
    assert first.message.startswith(
        f"goes on from trial 0 at epoch 3 in the place of trial {stopped[0]}; changed of trial 0: "
    )
    assert world.plan.rungs(first) == (6, 9, 12)


def test_the_newest_checkpoint_up_to_the_step_counts_not_a_later_one() -> None:
    world = World(a_plan(population=2, parallelism=2), value=by_number, checkpoint_every=2)
    world.reconcile()
    world.advance(0, 8)
    world.advance(1, INTERVAL)
    world.let_end()
    (clone,) = clones(world)
    assert clone.descent is not None
    assert (clone.descent.parent, clone.descent.step, clone.descent.rung) == (0, 2.0, 3)


def test_a_parent_without_a_checkpoint_of_its_own_hands_on_the_one_it_began_with() -> None:
    world = World(a_plan(population=2, parallelism=2, mutate=("lr",)), value=by_number, checkpoint_every=3)
    world.reconcile()
    world.advance(0, 3)
    world.advance(1, 3)
    world.let_end()
    (clone,) = clones(world)
    world.checkpoint_every = 0  # from now on nobody writes any
    world.advance(clone.number, 3)
    world.advance(0, 3)  # worse than the clone at 6
    world.let_end()
    second = clones(world)[-1]
    assert second.descent is not None
    assert (second.descent.replaces, second.descent.parent, second.descent.step) == (0, 0, 3.0)


def test_without_any_checkpoint_a_clone_begins_from_nothing_and_says_so() -> None:
    world = World(a_plan(population=2, parallelism=2), value=by_number, checkpoint_every=0)
    world.reconcile()
    world.advance(0, 3)
    world.advance(1, 3)
    world.let_end()
    (clone,) = clones(world)
    assert clone.descent is not None
    assert clone.descent.step is None
    assert clone.message.startswith(
        "begins from nothing, since trial 0 has no checkpoint up to epoch 3, in the place of"
    )
    assert world.running[clone.number][1] == 0


def test_programs_that_get_worse_with_every_resumption_still_come_to_an_end() -> None:
    world = World(a_plan(), value=lambda facts, step: facts.number + 1 / step)
    world.reconcile()
    drained(world)
    rungs = TARGET // INTERVAL - 1
    assert len(clones(world)) <= 6 * rungs
    assert world.outcome is not None
    assert world.outcome.verdict.reason == "TrialsCompleted"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("limits", "members", "note"),
    [
        pytest.param({}, 6, "", id="limits.trials is the population"),
        pytest.param({"gpuHours": "100"}, 6, "", id="whatever else limits the study"),
        pytest.param({"trials": 9}, 9, "", id="with more, others begin when members have ended"),
        pytest.param(
            {"trials": 2},
            2,
            "the study can run; limits.trials leaves the population of 6 with 2 members",
            id="with fewer",
        ),
        pytest.param(
            {"trials": 1}, 1, "the study can run; limits.trials leaves the population of 6 with 1 member", id="alone"
        ),
    ],
)
def test_how_many_members_there_are(kind: str, limits: dict[str, Any], members: int, note: str) -> None:
    world = drained(a_world(a_plan(kind=kind, limits={**limits, "parallelism": 8})))
    assert sum(1 for facts in world.trials if facts.descent is None) == members
    assert world.outcome is not None
    verdict = world.outcome.verdict
    assert verdict.reason == "TrialsCompleted"
    status = study_status(world.plan, world.trials, verdict, None, 0.0, created=1, frozen_hash="")
    accepted = next(c.message for c in status.conditions if c.type == "Accepted")
    assert accepted == (note or "the study can run")
    assert status.progress == f"{members}/{members}"


def test_a_place_that_waits_for_its_clone_does_not_count_as_done() -> None:
    world = a_small_world()
    falling_behind(world)
    assert world.trials.vacant
    assert world.outcome is not None
    status = study_status(world.plan, world.trials, world.outcome.verdict, None, 0.0, created=4, frozen_hash="")
    assert status.progress == "0/4"


def test_the_best_shows_the_trials_that_it_rests_on() -> None:
    world = drained(a_small_world())
    assert world.outcome is not None
    status = study_status(world.plan, world.trials, world.outcome.verdict, None, 0.0, created=9, frozen_hash="")
    best = status.best
    assert best is not None
    numbers = [int(a.trial.rpartition("-")[2]) for a in best.lineage]
    assert numbers == lineage(world.trials, numbers[-1])
    assert best.trial == best.lineage[-1].trial
    assert len(numbers) > 1
    assert best.lineage[0].since == 0.0


def test_stopped_members_save_no_gpu_time_since_their_clones_spend_it() -> None:
    world = drained(a_world())
    assert clones(world)
    assert world.trials.ledger(world.now).saved == 0


def test_samplers_hear_of_members_alone_and_count_them_without_gaps() -> None:
    world = drained(a_world(a_plan(limits={"trials": 9, "parallelism": 8})))
    told = world.trials.told()
    assert [t.number for t in told] == list(range(9))
    undisturbed = World(Plan.of(parse_study({**a_study(parameters=PARAMETERS, seed=11, limits={"trials": 9})})))
    drained_members = [t.parameters for t in told]
    undisturbed.reconcile()
    while undisturbed.running:
        undisturbed.advance(min(undisturbed.running), 3)
    assert drained_members == [undisturbed.trials[n].parameters for n in range(9)]


def test_a_clone_that_was_deleted_by_hand_is_made_again_under_a_new_number() -> None:
    world = a_small_world()
    falling_behind(world)
    world.let_end()
    (clone, *_) = clones(world)
    assert clone.descent is not None
    world.trials.drop(clone.number)
    world.running.pop(clone.number)
    world.reconcile()
    again = next(f for f in clones(world) if f.descent and f.descent.replaces == clone.descent.replaces)
    assert again.number > clone.number


def test_a_member_that_diverges_is_replaced_at_the_step_that_it_did_not_reach() -> None:
    def value(facts: TrialFacts, step: int) -> float:
        return math.nan if facts.number == 3 and step > 4 else by_number(facts, step)

    world = World(a_plan(population=4, parallelism=4), value=value)
    world.reconcile()
    for number in (3, 2, 1, 0):
        world.advance(number, 5)
    before = {facts.number for facts in world.trials}
    world.advance(3, 1)
    world.let_end()
    assert world.trials[3].state is TrialState.INFEASIBLE
    (clone,) = [facts for facts in world.trials if facts.number not in before]
    assert clone.descent is not None
    assert (clone.descent.replaces, clone.descent.rung, clone.descent.parent) == (3, 6, 0)
    assert clone.descent.step == 5.0, "its newest checkpoint"
    assert "in the place of trial 3" in clone.message


def test_where_nobody_has_reached_a_step_there_is_nobody_to_clone() -> None:
    world = World(a_plan(population=2, parallelism=2), value=lambda _facts, _step: math.nan)
    world.reconcile()
    for number in (0, 1):
        world.advance(number, INTERVAL)
    world.let_end()
    assert [facts.state for facts in world.trials] == [TrialState.INFEASIBLE] * 2
    assert world.outcome is not None
    assert world.outcome.verdict.over


def test_a_configuration_that_always_diverges_is_replaced_once_for_each_step() -> None:
    def value(facts: TrialFacts, step: int) -> float:
        return 1 / step if facts.number == 0 else math.nan

    world = drained(World(a_plan(), value=value))
    assert len(clones(world)) <= 5 * (TARGET // INTERVAL - 1)


def test_a_member_stopped_by_hand_leaves_no_place() -> None:
    world = a_small_world()
    world.advance(0, 1)
    world.trials.put(replace(world.trials[0], stop_requested=True))
    world.reconcile()
    assert world.trials[0].state is TrialState.STOPPED
    assert world.trials.vacant == []


@pytest.mark.parametrize("kind", KINDS)
def test_repeats_are_refused(kind: str) -> None:
    with pytest.raises(InvalidStudy, match=f"{kind} knows no repeats") as refused:
        a_plan(kind=kind, repeats={"count": 2})
    assert refused.value.field == "spec.repeats"


def by_rate(facts: TrialFacts, step: int) -> float:
    """Of every step a loss that has to be paid by all, and what the rate adds to it: 1e-3 adds nothing."""
    return 1 / step + step * 0.01 * math.log10(float(facts.parameters["lr"]) / 1e-3) ** 2


def a_bandit(comparisons: int) -> World:
    """A population of eight after so many comparisons."""
    world = World(a_plan(8, kind="PB2", mutate=("lr",), parallelism=8), value=by_rate)
    world.reconcile()
    together(world, comparisons)
    return world


def together(world: World, turns: int) -> None:
    """All who run go on to their next comparisons, so many times."""
    for _ in range(turns):
        for number in sorted(world.running):
            if number in world.running and number not in world.ending:
                world.advance(number, INTERVAL - world.running[number][1] % INTERVAL)
        world.let_end()


def off(world: World, among: list[TrialFacts]) -> list[float]:
    return [abs(math.log10(float(facts.parameters["lr"]) / 1e-3)) for facts in among]


def test_a_bandits_first_clones_are_drawn_and_later_ones_proposed() -> None:
    """Nobody knows with which value a member began, so its first interval tells nothing."""
    world = a_bandit(3)
    drawn = [facts for facts in clones(world) if facts.descent and facts.descent.rung == INTERVAL]
    proposed = [facts for facts in clones(world) if facts.descent and facts.descent.rung == 3 * INTERVAL]
    assert drawn
    assert proposed
    for facts in drawn:
        assert facts.descent is not None
        model = world.trials.model_of(facts.descent.replaces)
        assert model is not None
        options = world.plan.spec.scheduler.pbt
        assert options is not None
        random = generator(world.plan.spec.seed, facts.number, "clone")
        before = world.trials[model].parameters
        assert facts.parameters == explore(world.plan.space, before, ("lr",), 0.25, random)
    assert max(off(world, proposed)) < 0.3, "far from the rate that brought most"


def test_a_bandit_knows_of_the_records_before_the_verdict_and_of_clones_that_begin_beside_its_own() -> None:
    world = a_bandit(2)
    newest = max(facts.number for facts in clones(world))
    descent = world.trials[newest].descent
    assert descent is not None
    look = Look(world.plan, world.trials, {}, newest, descent.replaces)
    last = world.trials[descent.replaces].rungs[-1].order
    over = [i for i in look.intervals() if i.change is not None]
    running = [i for i in look.intervals() if i.change is None]
    ends = [r for f in world.trials for r in f.rungs if r.order <= last and r.step > INTERVAL]
    assert len(over) == len(ends)
    assert {i.turn for i in over} == {1}
    others = [f for f in world.trials if f.number < newest and not f.finished]
    assert sorted(str(i.parameters) for i in running) == sorted(str(f.parameters) for f in others)


def test_of_a_clone_the_value_it_began_with_is_that_of_its_parent_there() -> None:
    world = World(a_plan(population=2, kind="PB2", parallelism=2), value=by_number, checkpoint_every=2)
    world.reconcile()
    world.advance(0, 6)
    world.advance(1, INTERVAL)
    world.let_end()
    (clone,) = clones(world)
    world.advance(clone.number, 4)
    assert clone.descent is not None
    assert (clone.descent.parent, clone.descent.step) == (0, 2.0)
    world.advance(0, INTERVAL)
    look = Look(world.plan, world.trials, {}, 99, 0)
    (own,) = [i for i in look.intervals() if i.parameters == clone.parameters and i.change is not None]
    there, after = 0 + 1 / 3, -1 + 1 / 6  # of its parent at 3, the first record; its own at 6
    assert own.before == pytest.approx(there)
    assert own.change == pytest.approx((after - there) / (6 - 2))


def test_an_interval_in_which_a_member_diverged_is_known_to_the_clone_in_its_place_and_to_later_ones() -> None:
    def value(facts: TrialFacts, step: int) -> float:
        return math.nan if facts.number == 3 and step > 4 else by_number(facts, step)

    world = World(a_plan(population=4, kind="PB2", parallelism=4), value=value)
    world.reconcile()
    for number in (3, 2, 1, 0):
        world.advance(number, 5)
    before = max(facts.number for facts in world.trials)
    world.advance(3, 1)
    world.let_end()
    assert world.trials[3].state is TrialState.INFEASIBLE
    clone = world.trials.clone_of(3)
    assert clone == before + 1

    def diverged(number: int, loser: int) -> list[float]:
        look = Look(world.plan, world.trials, {}, number, loser)
        return [i.before for i in look.intervals() if i.change == math.inf]

    assert diverged(clone, 3) == [3 + 1 / 3]
    assert diverged(clone + 1, 2) == [3 + 1 / 3]
    earlier = [facts for facts in clones(world) if facts.number < clone]
    assert all(f.descent and diverged(f.number, f.descent.replaces) == [] for f in earlier)
