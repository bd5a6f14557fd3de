"""What every sampler promises. Inherit the class that fits, and say how the sampler is made for a space.

`SamplerContract` is for all, on finite spaces. `SeededContract` adds what follows from using the seed, `ContinuousContract`
what holds for samplers that search continuous spaces too. All are told results, whether they learn from them or not.
`LearnerContract` is for samplers that learn: whatever they are told, on whatever space, they answer well, and what they
are told makes a difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from rung.api.facts import Assignment, TrialState
from rung.search import Proposal, Request, Sampler, Setting, Told
from rung.search.sobol import SobolSampler
from rung.space.space import Space
from tests.search.problems import CONTINUOUS, FINITE, OPEN, SMALL, bowl, categorical, fenced, mixed, one_axis

SEED = 7


def told(space: Space, n: int) -> list[Told]:
    """What is known of the first n trials: some done, some running, some stopped, failed or infeasible."""
    states = [TrialState.SUCCEEDED, TrialState.RUNNING, TrialState.STOPPED, TrialState.FAILED, TrialState.INFEASIBLE]
    history = []
    for number in range(n):
        parameters = space.decode([((number * 7919 + axis * 104729) % 1009) / 1009 for axis in range(space.d)])
        state = states[number % len(states)]
        value = (number * 31 % 17) / 17 if state in {TrialState.SUCCEEDED, TrialState.STOPPED} else None
        curve = () if value is None else ((1.0, value + 1), (2.0, value))
        history.append(Told(number, parameters, state, None if value is None else (value,), curve=curve))
    return history


def run(sampler: Sampler, space: Space, most: int, *, seed: int = SEED) -> Iterator[Proposal]:
    """A study: each proposal becomes a trial, so it is taken from then on."""
    taken: set[Hashable] = set()
    enqueued: set[int] = set()
    for number in range(most):
        proposal = sampler.propose(Request(space, number, seed, (), frozenset(taken), frozenset(enqueued)))
        if proposal is None:
            return
        taken.add(space.key(proposal.parameters))
        if proposal.enqueued is not None:
            enqueued.add(proposal.enqueued)
        yield proposal


def request(space: Space, number: int = 12, *, seed: int = SEED, history: Sequence[Told] | None = None) -> Request:
    """The question for one more trial after `number` others."""
    known = told(space, number) if history is None else history
    return Request(space, number, seed, known, frozenset(space.key(t.parameters) for t in known))


class SamplerContract(ABC):
    """For all samplers."""

    @abstractmethod
    def make(self, space: Space) -> Sampler:
        """The sampler, as for a study on this space."""

    @pytest.mark.parametrize("space", FINITE)
    def test_the_same_facts_get_the_same_proposal(self, space: Space) -> None:
        one, other = self.make(space), self.make(space)
        assert one.propose(request(space)) == one.propose(request(space)) == other.propose(request(space))

    @pytest.mark.parametrize("space", FINITE)
    def test_what_was_asked_before_is_irrelevant(self, space: Space) -> None:
        fresh, used = self.make(space), self.make(space)
        for number in (3, 40, 0, 12):
            used.propose(request(space, number, seed=number))
        assert used.propose(request(space, 5)) == fresh.propose(request(space, 5))

    @pytest.mark.parametrize("space", FINITE)
    def test_the_order_in_which_facts_arrive_is_irrelevant(self, space: Space) -> None:
        history = told(space, 12)
        forward, backward = request(space, history=history), request(space, history=history[::-1])
        assert self.make(space).propose(forward) == self.make(space).propose(backward)

    @pytest.mark.parametrize("space", FINITE)
    def test_nothing_infeasible_is_proposed(self, space: Space) -> None:
        for proposal in run(self.make(space), space, 64):
            assert space.violation(proposal.parameters) is None
            assert space.decode(space.encode(proposal.parameters)) == proposal.parameters

    @pytest.mark.parametrize("space", FINITE)
    def test_nothing_is_proposed_twice(self, space: Space) -> None:
        keys = [space.key(proposal.parameters) for proposal in run(self.make(space), space, 200)]
        assert len(set(keys)) == len(keys)

    @pytest.mark.parametrize("space", SMALL)
    def test_a_finite_space_is_exhausted_exactly_when_all_of_it_is_taken(self, space: Space) -> None:
        proposals = list(run(self.make(space), space, 10_000))
        assert {space.key(p.parameters) for p in proposals} == {space.key(point) for point in space.grid}

    @pytest.mark.parametrize("space", FINITE)
    def test_sixty_four_pending_trials_are_no_obstacle(self, space: Space) -> None:
        sampler = self.make(space)
        pending = [p.parameters for p in run(sampler, space, 64)]
        history = [Told(number, parameters, TrialState.RUNNING) for number, parameters in enumerate(pending)]
        proposal = sampler.propose(request(space, len(pending), history=history))
        left = space.grid.count(len(pending) + 1) - len(pending)
        assert (proposal is None) is (left == 0)
        if proposal is not None:
            assert space.key(proposal.parameters) not in {space.key(parameters) for parameters in pending}

    @pytest.mark.parametrize("space", FINITE)
    def test_any_seed_is_allowed(self, space: Space) -> None:
        for seed in (0, -1, 2**63 - 1, -(2**63)):
            assert self.make(space).propose(request(space, 0, seed=seed)) is not None


class SeededContract(SamplerContract):
    """For samplers whose proposals depend on the seed."""

    @pytest.mark.parametrize("space", FINITE[:2])
    def test_different_seeds_differ(self, space: Space) -> None:
        first = [[p.parameters for p in run(self.make(space), space, 8, seed=seed)] for seed in range(4)]
        assert all(first[i] != first[j] for i in range(4) for j in range(i))


class ContinuousContract(SeededContract):
    """For samplers that search continuous spaces too."""

    @pytest.mark.parametrize("space", CONTINUOUS)
    def test_a_continuous_space_is_never_exhausted(self, space: Space) -> None:
        proposals = list(run(self.make(space), space, 80))
        assert len(proposals) == 80
        for proposal in proposals:
            assert space.violation(proposal.parameters) is None
            assert space.decode(space.encode(proposal.parameters)) == proposal.parameters

    @pytest.mark.parametrize("space", CONTINUOUS)
    def test_continuous_facts_in_any_order_get_the_same_proposal(self, space: Space) -> None:
        history = told(space, 12)
        forward, backward = request(space, history=history), request(space, history=history[::-1])
        sampler = self.make(space)
        assert sampler.propose(forward) == sampler.propose(backward) == self.make(space).propose(forward)

    @pytest.mark.parametrize("space", CONTINUOUS)
    def test_continuous_trials_differ(self, space: Space) -> None:
        keys = {space.key(p.parameters) for p in run(self.make(space), space, 64)}
        assert len(keys) == 64

    @pytest.mark.parametrize("space", OPEN)
    def test_before_anything_is_known_both_ends_of_each_axis_are_visited(self, space: Space) -> None:
        us = np.array([space.encode(p.parameters) for p in run(self.make(space), space, 64)])
        assert np.all(us.min(axis=0) < 0.2)
        assert np.all(us.max(axis=0) > 0.8)


STARTUP = 4
"""So few that a history of a dozen trials is learned from, of which five have results."""

EXTREMES = {
    "one value for all": lambda _: 0.25,
    "two values": lambda i: float(i % 2),
    "enormous": lambda i: (-1e300, 1e300, 1e299)[i % 3],
    "one is beyond all others": lambda i: 1e300 if i == 3 else i / 10,
    "nearly equal": lambda i: 1.0 + i * 1e-16,
    "tiny": lambda i: i * 1e-300,
}


def evaluated(
    space: Space,
    n: int,
    values: Callable[[int], Sequence[float] | None],
    violations: Callable[[int], Sequence[float]] = lambda _: (),
) -> list[Told]:
    """n trials that have ended: by these objectives (None: failed), with these violations."""
    history = []
    for trial in told(space, n):
        objectives = values(trial.number)
        state = TrialState.FAILED if objectives is None else TrialState.SUCCEEDED
        known = None if objectives is None else tuple(objectives)
        violated = () if objectives is None else tuple(violations(trial.number))
        history.append(replace(trial, state=state, objectives=known, violations=violated, curve=()))
    return history


def tuned(
    sampler: Sampler, space: Space, f: Callable[[Assignment], float | None], n: int, *, seed: int = SEED
) -> list[Told]:
    """A study of n trials, one after the other; f is None where a trial fails."""
    history: list[Told] = []
    for number in range(n):
        proposal = sampler.propose(request(space, number, seed=seed, history=history))
        assert proposal is not None
        value = f(proposal.parameters)
        state = TrialState.FAILED if value is None else TrialState.SUCCEEDED
        history.append(Told(number, proposal.parameters, state, None if value is None else (value,)))
    return history


class LearnerContract(ContinuousContract):
    """For samplers that learn."""

    enough: ClassVar[int] = bowl.trials
    """Trials after which it is ahead on an easy problem."""

    @abstractmethod
    def learner(self, setting: Setting) -> Sampler:
        """The sampler, as for a study with this setting."""

    def make(self, space: Space) -> Sampler:
        return self.learner(Setting(space, trials=200))

    def answer(self, history: Sequence[Told], setting: Setting, *, number: int | None = None) -> Proposal | None:
        """The proposal after a history; it has been looked over, and is the same for the history in another order."""
        space = setting.space
        ask = request(space, len(history) if number is None else number, history=history)
        shuffled = [history[i] for i in np.random.default_rng(0).permutation(len(history))]
        proposal = self.learner(setting).propose(ask)
        assert self.learner(setting).propose(replace(ask, history=shuffled)) == proposal
        if proposal is None:
            assert space.grid_size() is not None
            assert all(space.key(point) in ask.taken for point in space.grid)
            return None
        assert space.violation(proposal.parameters) is None
        assert space.decode(space.encode(proposal.parameters)) == proposal.parameters
        assert space.key(proposal.parameters) not in ask.taken
        return proposal

    def test_it_learns(self) -> None:
        assert self.make(mixed).learns

    @pytest.mark.parametrize("n", [0, 1, 2, 12, 60])
    @pytest.mark.parametrize("space", [*FINITE, *CONTINUOUS])
    def test_any_number_of_results_on_any_space(self, space: Space, n: int) -> None:
        self.answer(told(space, n), Setting(space, trials=100, startup=STARTUP))

    @pytest.mark.parametrize("extreme", [pytest.param(f, id=name) for name, f in EXTREMES.items()])
    @pytest.mark.parametrize("space", [pytest.param(mixed, id="mixed"), pytest.param(categorical, id="choices")])
    def test_any_values(self, space: Space, extreme: Callable[[int], float]) -> None:
        history = evaluated(space, 16, lambda i: (extreme(i),))
        assert self.answer(history, Setting(space, trials=100, startup=STARTUP)) is not None

    @pytest.mark.parametrize("objectives", [2, 3])
    @pytest.mark.parametrize("space", [pytest.param(mixed, id="mixed"), pytest.param(fenced, id="constrained")])
    def test_several_objectives(self, space: Space, objectives: int) -> None:
        setting = Setting(space, objectives, (None,) * objectives, trials=100, startup=STARTUP)
        self.answer(evaluated(space, 16, lambda i: [(i * (7 + 4 * k)) % 13 for k in range(objectives)]), setting)
        self.answer(evaluated(space, 16, lambda _: [1e300] * objectives), setting)

    @pytest.mark.parametrize(
        "violations",
        [
            pytest.param(lambda i: (i % 3 - 1.5, 0.0), id="some are violated"),
            pytest.param(lambda i: (1.0 + i, 1e300), id="all are violated"),
            pytest.param(lambda _: (-1.0, -2.0), id="none is violated"),
            pytest.param(lambda i: (float("nan"), float(i % 2)), id="one is not reported"),
        ],
    )
    def test_constraints_on_outcomes(self, violations: Callable[[int], Sequence[float]]) -> None:
        setting = Setting(mixed, constraints=2, trials=100, startup=STARTUP)
        assert self.answer(evaluated(mixed, 16, lambda i: (i % 5,), violations), setting) is not None

    @pytest.mark.parametrize("space", [pytest.param(mixed, id="mixed"), pytest.param(categorical, id="choices")])
    def test_nothing_but_failures(self, space: Space) -> None:
        setting = Setting(space, trials=100, startup=STARTUP)
        assert self.answer(evaluated(space, 16, lambda _: None), setting) is not None
        assert self.answer(evaluated(space, 16, lambda i: (1.0,) if i == 5 else None), setting) is not None

    @pytest.mark.parametrize("space", [pytest.param(mixed, id="mixed"), pytest.param(categorical, id="choices")])
    def test_results_of_other_studies(self, space: Space) -> None:
        """They have numbers that occur here too, and may lie outside the space or say less than all."""
        other = [replace(trial, source="old") for trial in evaluated(space, 12, lambda i: (i,))]
        names = [dimension.name for dimension in space.dimensions]
        odd = [
            Told(90, {"lr": 1e9, "width": -5, "optimizer": "none"}, TrialState.KNOWN, (0.5,), source="old"),
            Told(91, dict(list(other[0].parameters.items())[:1]), TrialState.KNOWN, (0.1,), source="old"),
            Told(92, dict.fromkeys(names, "of another type"), TrialState.KNOWN, (0.7,), source="older"),
            Told(93, {}, TrialState.FAILED, source="older"),
        ]
        setting = Setting(space, trials=100, startup=STARTUP)
        assert self.answer([*other, *odd], setting, number=0) is not None
        assert self.answer([*evaluated(space, 8, lambda i: (-i,)), *other, *odd], setting, number=8) is not None

    def test_curves_of_stopped_trials(self) -> None:
        curve = ((1.0, 0.9), (3.0, 0.5))
        stopped = [
            replace(trial, state=TrialState.STOPPED, objectives=(0.5,) if trial.number % 2 else None, curve=curve)
            for trial in evaluated(mixed, 16, lambda i: (i,))
        ]
        done = [replace(trial, number=16 + trial.number) for trial in evaluated(mixed, 4, lambda i: (i,))]
        setting = Setting(mixed, trials=100, target=9.0, startup=STARTUP)
        assert self.answer(stopped, setting) is not None
        assert self.answer([*stopped, *done], setting) is not None

    @pytest.mark.parametrize("space", [pytest.param(mixed, id="mixed"), pytest.param(one_axis, id="one axis")])
    def test_workers_that_ask_while_sixty_four_others_run(self, space: Space) -> None:
        setting = Setting(space, trials=1_000, parallelism=64, startup=STARTUP)
        history = evaluated(space, 12, lambda i: (i % 7,))
        sampler = self.learner(setting)
        for number in range(12, 76):
            trial = space.decode(np.random.default_rng(number).random(space.d))
            history.append(Told(number, trial, TrialState.RUNNING))
        for number in range(76, 80):
            proposal = sampler.propose(request(space, number, history=history))
            assert proposal is not None
            assert space.key(proposal.parameters) not in {space.key(trial.parameters) for trial in history}
            history.append(Told(number, proposal.parameters, TrialState.PENDING))

    def test_what_it_remembers_is_only_what_it_was_told(self) -> None:
        """A process that has just been started continues as the one that has been there all the time."""
        sampler, history = (
            self.learner(Setting(mixed, trials=100, startup=STARTUP)),
            evaluated(mixed, 8, lambda i: (i,)),
        )
        for number in range(8, 14):
            proposal = sampler.propose(request(mixed, number, history=history))
            fresh = self.learner(Setting(mixed, trials=100, startup=STARTUP))
            assert fresh.propose(request(mixed, number, history=history)) == proposal
            assert proposal is not None
            history.append(Told(number, proposal.parameters, TrialState.SUCCEEDED, (number % 4,)))

    def test_it_comes_to_try_better_points_than_an_even_spread(self) -> None:
        def late(sampler: Sampler, seed: int) -> float:
            """What is usual among the last third of the trials."""
            trials = tuned(sampler, bowl.space, bowl.value, self.enough, seed=seed)[-self.enough // 3 :]
            return float(np.median([trial.value for trial in trials if trial.value is not None]))

        setting = Setting(bowl.space, trials=self.enough)
        learned = [late(self.learner(setting), seed) for seed in range(2)]
        spread = [late(SobolSampler(), seed) for seed in range(2)]
        assert np.mean(learned) < 0.7 * np.mean(spread)

    def test_it_keeps_away_from_where_trials_fail(self) -> None:
        def f(parameters: Assignment) -> float | None:
            value = bowl.value(parameters)
            return None if bowl.fails(parameters) else value

        history = tuned(self.learner(Setting(bowl.space, trials=self.enough)), bowl.space, f, self.enough)
        early, late = history[: self.enough // 2], history[self.enough // 2 :]
        assert sum(t.value is None for t in late) < sum(t.value is None for t in early)
