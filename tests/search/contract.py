"""What every sampler promises. Inherit the class that fits, and say how the sampler is made for a space.

`SamplerContract` is for all, on finite spaces. `SeededContract` adds what follows from using the seed, `ContinuousContract`
what holds for samplers that search continuous spaces too. All are told results, whether they learn from them or not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import pytest

from rung.api.facts import TrialState
from rung.search import Proposal, Request, Sampler, Told
from rung.space.space import Space
from tests.search.problems import CONTINUOUS, FINITE, OPEN, SMALL

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
