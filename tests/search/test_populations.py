"""Evolution, Reinforce, CMA-ES and NSGA-II: under the contract, and what each of them is known for."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import Assignment, TrialState
from rung.api.sampler import Restarts
from rung.pareto import hypervolume
from rung.search import Request, Sampler, Setting, Told
from rung.search.cmaes import CmaesSampler
from rung.search.evolution import EvolutionSampler, child
from rung.search.nsga2 import Nsga2Sampler, crossed, polynomial
from rung.search.random import RandomSampler
from rung.search.reinforce import ReinforceSampler
from rung.space.dimensions import as_float
from rung.space.space import Space
from tests.search.contract import LearnerContract
from tests.search.problems import branching, categorical, conditional, mixed, plane
from tests.space.strategies import parameter

WHILE = 96
"""Trials: without a model of the objective one learns from generations, not from single results."""

steps = Space.of([parameter(f"k{i}", "Int", min=0, max=9) for i in range(4)])


def study(sampler: Sampler, space: Space, f: Callable[[Assignment], float], n: int, seed: int) -> list[Told]:
    """A study of n trials, one after the other."""
    history: list[Told] = []
    taken: set[Hashable] = set()
    for number in range(n):
        proposal = sampler.propose(Request(space, number, seed, history, taken))
        assert proposal is not None
        taken.add(space.key(proposal.parameters))
        history.append(Told(number, proposal.parameters, TrialState.SUCCEEDED, (f(proposal.parameters),)))
    return history


def best(history: list[Told]) -> float:
    return min(trial.value for trial in history if trial.value is not None)


def matches(parameters: Assignment) -> float:
    """How many choices are wrong; two of them count only together, as operations in a cell do."""
    wrong = [parameters[f"c{i}"] != "b" for i in range(4)]
    return sum(wrong) + (wrong[0] != wrong[1]) + (parameters["optimizer"] != "adam")


def distance(parameters: Assignment) -> float:
    """A narrow valley along the diagonal of the first two axes."""
    x = [as_float(value) for value in parameters.values()]
    return 100 * (x[0] - x[1]) ** 2 + sum((value - 0.7) ** 2 for value in x)


class TestEvolution(LearnerContract):
    enough = WHILE

    def learner(self, setting: Setting) -> Sampler:
        return EvolutionSampler(setting)

    def test_it_finds_good_architectures_sooner_than_random_search(self) -> None:
        ours, theirs = (
            [best(study(sampler, categorical, matches, 80, seed)) for seed in range(4)]
            for sampler in (EvolutionSampler(Setting(categorical, trials=80)), RandomSampler())
        )
        assert np.mean(ours) < np.mean(theirs)
        assert min(ours) == 0

    @pytest.mark.parametrize("space", [pytest.param(s, id=n) for s, n in ((mixed, "mixed"), (categorical, "choices"))])
    def test_a_child_differs_in_one_parameter(self, space: Space) -> None:
        for seed in range(40):
            random = np.random.default_rng(seed)
            parent = Told(0, space.decode(random.random(space.d)), TrialState.SUCCEEDED, (1.0,))
            born = space.decode(child(space, parent, random, genes=1))
            differing = [name for name in born if born[name] != parent.parameters[name]]
            assert len(differing) <= 1
            if space is categorical:
                assert len(differing) == 1

    def test_what_a_child_makes_active_is_drawn_anew(self) -> None:
        parent = Told(0, {"model": "linear"}, TrialState.SUCCEEDED, (1.0,))
        children = [branching.decode(child(branching, parent, np.random.default_rng(s), genes=1)) for s in range(60)]
        assert {c["depth"] for c in children if c["model"] == "forest"} == {1, 2, 3, 4}
        assert all(c["model"] != "linear" for c in children)

    def test_who_is_too_old_has_no_children(self) -> None:
        star = {name: "d" if name != "optimizer" else "lamb" for name in categorical.names}
        dull = {name: "a" if name != "optimizer" else "sgd" for name in categorical.names}
        sampler = EvolutionSampler(Setting(categorical, startup=1), population=5, sample=5)

        def kin(dull_ones: int) -> bool:
            history = [Told(0, star, TrialState.SUCCEEDED, (0.0,))]
            history += [Told(1 + k, dull, TrialState.SUCCEEDED, (1.0,)) for k in range(dull_ones)]
            proposal = sampler.propose(Request(categorical, 1 + dull_ones, 0, history))
            assert proposal is not None
            return sum(proposal.parameters[name] == star[name] for name in star) >= 4

        assert kin(4)
        assert not kin(5)


class TestReinforce(LearnerContract):
    enough = WHILE

    def learner(self, setting: Setting) -> Sampler:
        return ReinforceSampler(setting)

    def test_it_finds_good_architectures_sooner_than_random_search(self) -> None:
        ours, theirs = (
            [best(study(sampler, categorical, matches, 80, seed)) for seed in range(4)]
            for sampler in (ReinforceSampler(Setting(categorical)), RandomSampler())
        )
        assert np.mean(ours) < np.mean(theirs)
        assert min(ours) == 0

    def test_what_does_well_is_drawn_more_often(self) -> None:
        space = Space.of(
            [parameter("a", "Categorical", values=["x", "y", "z"]), parameter("b", "Double", min=0, max=1)]
        )

        def f(parameters: Assignment) -> float:
            return (parameters["a"] != "y") + (as_float(parameters["b"]) < 0.5)

        late = study(ReinforceSampler(Setting(space)), space, f, 150, 0)[-50:]
        assert sum(trial.parameters["a"] == "y" for trial in late) > 35
        assert sum(as_float(trial.parameters["b"]) > 0.5 for trial in late) > 35

    def test_a_draw_that_was_not_active_teaches_nothing(self) -> None:
        sampler = ReinforceSampler(Setting(conditional, startup=1))
        adam = [Told(k, {"lr": 0.01, "optimizer": "adam"}, TrialState.SUCCEEDED, (float(k % 5),)) for k in range(40)]
        policy, _ = sampler._replay.state(0, adam)
        axis = [dimension.name for dimension in conditional.dimensions].index("momentum")
        known = policy.logits[axis][np.isfinite(policy.logits[axis])]
        assert known == pytest.approx(np.zeros(len(known)))


class TestCmaes(LearnerContract):
    enough = WHILE

    def learner(self, setting: Setting) -> Sampler:
        return CmaesSampler(setting)

    def test_it_follows_a_narrow_valley(self) -> None:
        found = [best(study(CmaesSampler(Setting(plane)), plane, distance, 300, seed)) for seed in range(3)]
        assert max(found) < 1e-3

    def test_it_reaches_the_best_integers(self) -> None:
        def f(parameters: Assignment) -> float:
            return sum((as_float(value) - 6) ** 2 * 10**i for i, value in enumerate(parameters.values()))

        assert [best(study(CmaesSampler(Setting(steps)), steps, f, 200, seed)) for seed in range(3)] == [0, 0, 0]

    def test_it_reaches_the_best_choices(self) -> None:
        found = [best(study(CmaesSampler(Setting(categorical)), categorical, matches, 150, s)) for s in range(3)]
        assert found == [0, 0, 0]

    @pytest.mark.parametrize(
        "restarts", [pytest.param(kind, id=kind.value) for kind in (Restarts.IPOP, Restarts.BIPOP)]
    )
    def test_a_converged_run_is_followed_by_one_elsewhere(self, restarts: Restarts) -> None:
        axis = Space.of([parameter("x", "Double", min=0, max=1)])
        again, alone = (
            study(CmaesSampler(Setting(axis), restarts=kind), axis, lambda p: as_float(p["x"]), 200, 0)[-80:]
            for kind in (restarts, Restarts.NONE)
        )
        assert np.ptp([as_float(t.parameters["x"]) for t in again]) > 0.5
        assert np.ptp([as_float(t.parameters["x"]) for t in alone]) < 0.2


class TestNsga2(LearnerContract):
    enough = WHILE

    def learner(self, setting: Setting) -> Sampler:
        return Nsga2Sampler(setting)

    def test_it_spreads_along_the_front(self) -> None:
        """Between (0, 1) and (1, 0); the other parameters should be 0.7."""

        def f(parameters: Assignment) -> tuple[float, float]:
            x = [as_float(value) for value in parameters.values()]
            away = 1 + 2 * sum(abs(value - 0.7) for value in x[1:])
            return x[0], away * (1 - math.sqrt(x[0] / away))

        def volume(sampler: Sampler, seed: int) -> float:
            history: list[Told] = []
            for number in range(160):
                proposal = sampler.propose(Request(plane, number, seed, history))
                assert proposal is not None
                history.append(Told(number, proposal.parameters, TrialState.SUCCEEDED, f(proposal.parameters)))
            return hypervolume(np.array([trial.objectives for trial in history]), np.array([1.1, 1.1]))

        setting = Setting(plane, objectives=2, references=(None, None))
        ours = [volume(Nsga2Sampler(setting), seed) for seed in range(3)]
        theirs = [volume(RandomSampler(), seed) for seed in range(3)]
        assert np.mean(ours) > np.mean(theirs) + 0.1

    def test_while_nothing_is_feasible_every_other_trial_looks_elsewhere(self) -> None:
        history = [
            Told(k, {f"x{i}": 0.2 for i in range(4)}, TrialState.SUCCEEDED, (1.0,), (float(k + 1),)) for k in range(30)
        ]
        sampler = Nsga2Sampler(Setting(plane, constraints=1))

        def at(number: int, told: list[Told]) -> float:
            proposal = sampler.propose(Request(plane, number, 0, told))
            assert proposal is not None
            return float(np.abs(plane.encode(proposal.parameters) - 0.2).max())

        assert all(at(number, history) > 0.3 for number in (30, 32, 34))
        feasible = [replace(trial, violations=(0.0,)) for trial in history]
        assert sum(at(number, feasible) > 0.3 for number in range(30, 50)) < 6


@given(u=st.lists(st.floats(0, 1), min_size=1, max_size=6), seed=st.integers(0, 1_000))
def test_crossover_and_mutation_stay_in_the_cube(u: list[float], seed: int) -> None:
    random, one = np.random.default_rng(seed), np.array(u)
    is_choice = np.arange(len(u)) % 3 == 2
    child = crossed(one, one[::-1].copy(), is_choice, random)
    assert ((child >= 0) & (child <= 1)).all()
    assert all(c in (a, b) for c, a, b, choice in zip(child, one, one[::-1], is_choice, strict=True) if choice)
    moved = polynomial(child, random)
    assert ((moved >= 0) & (moved <= 1)).all()


def test_children_of_crossover_lie_around_their_parents_as_often_as_between_them() -> None:
    """Deb & Agrawal 1995: the child of two points is as likely inside their interval as outside."""
    random, d = np.random.default_rng(0), 20_000
    child = crossed(np.full(d, 0.4), np.full(d, 0.6), np.zeros(d, dtype=bool), random)
    moved = child[(child != 0.4) & (child != 0.6)]
    assert np.mean((moved > 0.4) & (moved < 0.6)) == pytest.approx(0.5, abs=0.02)
    assert np.mean(moved) == pytest.approx(0.5, abs=0.005)
