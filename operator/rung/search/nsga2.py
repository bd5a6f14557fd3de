"""NSGA-II: a population that spreads along the Pareto front.

    μ          the size of the population: the best μ of all, by fronts, and within the last front that has room by how
               lonely they are; feasible ones before all others
    parents    two, each the better one of two drawn at random
    child      numbers by simulated binary crossover and polynomial mutation, choices from either parent and at times anew

Selection is a chain: parents and the next μ trials make the next parents. It is replayed from the trials that have ended, by
number. Whoever asks between two steps gets the μ best of the parents and of what has ended since, so nobody waits for
a generation, and sequential trials are used at once. The first μ trials are Sobol' points; so is every other one while
nothing feasible is known, since following small violations may end where nothing is.

Parents may differ in what is active. A coordinate that only one of them has comes from that one, and one that neither
has is drawn anew. Sources: Deb et al. 2002 (selection, and constraints in section VI), Deb & Agrawal 1995 (crossover), Deb &
Goyal 1996 (mutation).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from rung.pareto import lonely_first
from rung.search.evolution import mutated
from rung.search.fitting import fitting
from rung.search.observed import rows
from rung.search.protocol import Proposal, Request, Setting, Told
from rung.search.randomness import generator
from rung.search.replay import Replay
from rung.search.sequences import sobol
from rung.search.standing import best_first, comparable, concluded
from rung.space.dimensions import Choices
from rung.space.space import Array, Space

Bools = NDArray[np.bool_]

POPULATION = 20
"""The paper's 100 is for tens of thousands of evaluations. Of 10, 15, 20 and 30 this one did best over 60 to 300 trials."""

CROSSOVER = 0.9
CROSSOVER_INDEX = 5.0
MUTATION_INDEX = 5.0
"""Smaller indices make longer steps. The paper's 20 are for thousands of generations: after 300 trials on zdt1 they reach a
hypervolume of 0.56, these 0.75."""

PATIENCE = 30
"""Children in a row that do not fit, before each of their parameters mutates more often by as much again."""


class Nsga2Sampler:
    """Non-dominated sorting, crowding, crossover and mutation."""

    learns = True

    def __init__(self, setting: Setting, *, population: int = POPULATION) -> None:
        """`startup` replaces the number of points that come first."""
        self._population = population
        self._target = setting.target
        self._startup = population if setting.startup is None else setting.startup
        self._is_choice = np.array(
            [isinstance(d, Choices) and not d.ordered for d in setting.space.dimensions], dtype=bool
        )
        self._replay = Replay[tuple[Told, ...]](lambda _: (), lambda _: population, self._selected)

    def propose(self, request: Request) -> Proposal | None:
        """A child of two good trials. None: a finite space is exhausted."""
        trials = concluded(comparable(request.history, self._startup, self._target))
        if len(trials) >= self._startup:
            parents, since = self._replay.state(0, trials)
            parents = self._selected(parents, since)
            if parents and (request.number % 2 or not violates(parents[0])):
                return fitting(request, self._children(request, parents))
        return fitting(request, sobol(request.seed, request.space.d, request.number))

    def _selected(self, parents: tuple[Told, ...], trials: Sequence[Told]) -> tuple[Told, ...]:
        """The best of both, the best first."""
        every = (*parents, *trials)
        return tuple(every[i] for i in best_first(every, self._population, lonely_first)[: self._population])

    def _children(self, request: Request, parents: Sequence[Told]) -> Iterator[Sequence[float]]:
        random = generator(request.seed, request.number, "nsga2")
        space = request.space
        u, active = rows(space, parents)
        for k in count():
            one, other = random.integers(len(parents), size=(2, 2)).min(axis=1)  # of two drawn, who stands in front
            x = crossed(u[one], u[other], self._is_choice, random)
            x = np.where(active[one] & active[other], x, np.where(active[one], u[one], u[other]))
            x = np.where(active[one] | active[other], x, random.random(space.d))
            yield self._mutated(space, x, (1 + k // PATIENCE) / max(space.d, 1), random).tolist()

    def _mutated(self, space: Space, x: Array, share: float, random: np.random.Generator) -> Array:
        hit = random.random(len(x)) < share
        x = np.where(hit & ~self._is_choice, polynomial(x, random), x)
        for axis in np.flatnonzero(hit & self._is_choice).tolist():
            x[axis] = mutated(space.dimensions[axis], float(x[axis]), random)
        return x


def violates(told: Told) -> bool:
    """Whether a constraint is violated, or was not reported."""
    return not all(v <= 0 for v in told.violations)


def crossed(one: Array, other: Array, is_choice: Bools, random: np.random.Generator) -> Array:
    """(d,) one of the two children of simulated binary crossover; each coordinate takes part with a probability of ½."""
    d = len(one)
    swap = random.random(d) < 0.5
    near, far = np.where(swap, other, one), np.where(swap, one, other)
    r = random.random(d)
    spread = np.where(r < 0.5, 2 * r, 1 / np.maximum(2 * (1 - r), 1e-300)) ** (1 / (CROSSOVER_INDEX + 1))
    child = np.clip(((1 + spread) * near + (1 - spread) * far) / 2, 0.0, 1.0)
    takes_part = (random.random(d) < 0.5) & (random.random() < CROSSOVER)
    child = np.where(takes_part, child, one)
    return np.where(is_choice, near, child)


def polynomial(x: Array, random: np.random.Generator) -> Array:
    """(d,) each coordinate moved by polynomial mutation, so that it stays in the unit interval."""
    r, power = random.random(len(x)), MUTATION_INDEX + 1
    down = (2 * r + (1 - 2 * r) * (1 - x) ** power) ** (1 / power) - 1
    up = 1 - np.maximum(2 * (1 - r) + (2 * r - 1) * x**power, 0.0) ** (1 / power)
    return np.asarray(np.clip(x + np.where(r < 0.5, down, up), 0.0, 1.0))
