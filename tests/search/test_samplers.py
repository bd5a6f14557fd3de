"""The samplers that do not learn, each under the contract."""

from __future__ import annotations

import pytest

from rung.api.study import WarmStartPoint
from rung.search import Request, Sampler
from rung.search.enqueued import EnqueuedPoint, WithEnqueued
from rung.search.grid import GridSampler
from rung.search.halton import HaltonSampler
from rung.search.latin_hypercube import BLOCK, LatinHypercubeSampler
from rung.search.list import ListSampler
from rung.search.random import RandomSampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space
from tests.search.contract import SEED, ContinuousContract, SamplerContract, run
from tests.space.strategies import parameter


def listing(space: Space) -> Sampler:
    """A list of the first 200 points of the space's grid: all of it where it is small."""
    points = [WarmStartPoint(parameters=space.render(space.grid[k])) for k in range(space.grid.count(200))]
    return WithEnqueued(ListSampler(), [EnqueuedPoint(point.parameters, None, "parameters") for point in points])


class TestRandom(ContinuousContract):
    def make(self, space: Space) -> Sampler:
        return RandomSampler()


class TestSobol(ContinuousContract):
    def make(self, space: Space) -> Sampler:
        return SobolSampler()


class TestHalton(ContinuousContract):
    def make(self, space: Space) -> Sampler:
        return HaltonSampler()


class TestLatinHypercube(ContinuousContract):
    def make(self, space: Space) -> Sampler:
        return LatinHypercubeSampler(64)

    @pytest.mark.parametrize("trials", [1, 7, 10])
    def test_with_as_many_trials_as_values_each_value_is_tried_once(self, trials: int) -> None:
        space = Space.of([parameter(f"x{i}", "Int", min=1, max=trials) for i in range(3)])
        proposals = run(LatinHypercubeSampler(trials), space, trials)
        tried = zip(*(p.parameters.values() for p in proposals), strict=True)
        assert [sorted(values) for values in tried] == [list(range(1, trials + 1))] * 3

    def test_where_nobody_knows_how_many_there_will_be_each_block_is_one(self) -> None:
        space = Space.of([parameter("x", "Int", min=1, max=BLOCK), parameter("y", "Double", min=0, max=1)])
        tried = [p.parameters["x"] for p in run(LatinHypercubeSampler(None), space, 2 * BLOCK)]
        assert sorted(tried[:BLOCK]) == sorted(tried[BLOCK:]) == list(range(1, BLOCK + 1))
        assert tried[:BLOCK] != tried[BLOCK:]

    def test_trials_of_the_warm_start_take_no_strata(self) -> None:
        space = Space.of([parameter("x", "Int", min=0, max=99), parameter("y", "Double", min=0, max=1)])
        sampler = LatinHypercubeSampler(100)
        asked = [Request(space, number, SEED, enqueued={0, 1}) for number in range(2, 102)]
        assert [sampler.propose(ask) for ask in asked] == list(run(sampler, space, 100))


class TestGrid(SamplerContract):
    def make(self, space: Space) -> Sampler:
        return GridSampler(space)


class TestList(SamplerContract):
    def make(self, space: Space) -> Sampler:
        return listing(space)
