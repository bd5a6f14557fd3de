"""Regularised evolution: the best of a few recent trials has a child that differs in one parameter.

    population   the last P trials that have ended: who is too old leaves, however good. So a lucky value under noise
                 dies out unless its children can repeat it
    tournament   S members drawn without replacement; the best one is the parent
    child        one of the parent's active parameters changed: a choice becomes another one, a number moves by a normal
                 step. What becomes active by that is drawn anew

The population is read from the facts, so workers wait for nobody. The first P trials are Sobol' points. Numbers are not in
the paper; their step of 0.15 of the range, or to a neighbour on a lattice that is coarser, did as well as random lengths.
Source: Real et al. 2019, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from rung.search.fitting import fitting
from rung.search.protocol import Proposal, Request, Setting, Told
from rung.search.randomness import generator
from rung.search.sequences import sobol
from rung.search.standing import comparable, concluded, places
from rung.space.dimensions import Choices, Dimension
from rung.space.space import Array, Space

POPULATION = 30
SAMPLE = 10
"""Measured on eight tables and functions at 300 trials, against 20/5, 20/8, 50/10 and the paper's 100/25: no worse than any,
and better where spaces are conditional."""

STEP = 0.15
PATIENCE = 30
"""Children in a row that do not fit, before one more parameter is changed at a time: a parent's surroundings may all
be taken or forbidden."""


class EvolutionSampler:
    """Ageing population with tournaments."""

    learns = True

    def __init__(self, setting: Setting, *, population: int = POPULATION, sample: int = SAMPLE) -> None:
        """`startup` replaces the number of points that come first."""
        self._population = population
        self._sample = sample
        self._startup = startup(setting, population)
        self._target = setting.target

    def propose(self, request: Request) -> Proposal | None:
        """A child of a recent trial that did well. None: a finite space is exhausted."""
        trials = concluded(comparable(request.history, self._startup, self._target))
        if len(trials) < max(self._startup, 1):
            return fitting(request, sobol(request.seed, request.space.d, request.number))
        return fitting(request, self._children(request, trials[-self._population :]))

    def _children(self, request: Request, population: Sequence[Told]) -> Iterator[Sequence[float]]:
        random = generator(request.seed, request.number, "evolution")
        place = places(population)
        size = min(self._sample, len(population))
        for k in count():
            drawn = random.permutation(len(population))[:size]
            parent = population[int(drawn[np.argmin(place[drawn])])]
            yield child(request.space, parent, random, genes=1 + k // PATIENCE).tolist()


def startup(setting: Setting, population: int) -> int:
    """Points that come first: a population of them, but at most a third of the study."""
    if setting.startup is not None:
        return setting.startup
    return population if setting.trials is None else min(population, max(setting.trials // 3, 1))


def child(space: Space, parent: Told, random: np.random.Generator, *, genes: int) -> Array:
    """(d,) the parent's point with so many of its active coordinates changed; the inactive ones are drawn anew."""
    u = space.encode(parent.parameters)
    is_active = np.array([dimension.name in parent.parameters for dimension in space.dimensions], dtype=bool)
    u[~is_active] = random.random(int((~is_active).sum()))
    for axis in random.permutation(np.flatnonzero(is_active))[:genes].tolist():
        u[axis] = mutated(space.dimensions[axis], float(u[axis]), random)
    return u


def mutated(dimension: Dimension, u: float, random: np.random.Generator) -> float:
    """Another choice, each as likely; for a number the place after a normal step, mirrored at the ends."""
    if isinstance(dimension, Choices) and not dimension.ordered:
        k = len(dimension.values)
        return (int(u * k) + int(random.integers(1, k)) + 0.5) / k % 1.0
    step = STEP if dimension.size is None else max(STEP, 1.0 / dimension.size)
    return mirrored(u + step * random.standard_normal())


def mirrored(x: float) -> float:
    """The place in [0, 1] after reflections at its ends."""
    x = abs(x) % 2.0
    return 2.0 - x if x > 1.0 else x
