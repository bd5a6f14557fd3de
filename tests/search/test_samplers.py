"""The samplers that do not learn, each under the contract."""

from __future__ import annotations

from rung.api.study import WarmStartPoint
from rung.search import Sampler
from rung.search.enqueued import EnqueuedPoint, WithEnqueued
from rung.search.grid import GridSampler
from rung.search.halton import HaltonSampler
from rung.search.list import ListSampler
from rung.search.random import RandomSampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space
from tests.search.contract import ContinuousContract, SamplerContract


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


class TestGrid(SamplerContract):
    def make(self, space: Space) -> Sampler:
        return GridSampler(space)


class TestList(SamplerContract):
    def make(self, space: Space) -> Sampler:
        return listing(space)
