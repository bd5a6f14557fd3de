"""CMA-ES: a normal distribution over the cube that learns where to be, how wide, and how directions hang together.

    N, A   searched parameters that are numbers or ordered, and choices       λ = 4 + ⌊3 ln(N + A)⌋  a generation

Its mathematics stands in `adaptation`. Here is what makes it a sampler: the state is replayed from the trials that have
ended, by number, a generation for each λ of them; whoever asks meanwhile draws from the distribution that stands, so
nobody waits. Draws beyond the cube are mirrored at its faces, infeasible and taken ones are drawn again, and wider after a
while.

A trial tells the value of a discrete parameter, not the place in the value's cell that was drawn, and nothing at all of
an inactive one: such places are drawn again, from the distribution and within the cell (the whole axis), so that they
pull neither to the middle nor inwards.

The first generation is Sobol's. A run has converged when its spread is below what values are rounded to, when nothing has
improved for long, or when its covariance has become singular. Then

    IPOP    (default) starts again anywhere with twice the λ         Auger & Hansen 2005
    BIPOP   gives as many trials to small populations with small
            steps as to growing ones                                 Hansen 2009
    None    goes on where it is
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from rung.api.sampler import Restarts
from rung.search.adaptation import Normal, adapted, chosen, initial, with_margin
from rung.search.cells import edges
from rung.search.fitting import fitting
from rung.search.observed import rows
from rung.search.protocol import Proposal, Request, Setting, Told
from rung.search.randomness import generator
from rung.search.replay import Replay
from rung.search.sequences import sobol
from rung.search.standing import comparable, concluded, places
from rung.space.dimensions import Choices
from rung.space.space import Array, Space

SIGMA = 0.2
"""A distribution as wide as the uniform one, whose standard deviation is 0.289."""

CELLS = 1_000
"""Values of a discrete axis. One with more is as good as continuous: rounding to four digits leaves as many."""

CONVERGED = 1e-4
"""Standard deviation, as a share of the range: values are rounded to four digits."""

SINGULAR = 1e7
"""Ratio of the longest to the shortest axis: Hansen's 1e14 for the condition of C."""

BATCH = 16
PATIENCE = 64
"""Draws that do not fit, before the distribution is widened by itself once more."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of CMA-ES after some generations, and what restarts need to know of the earlier ones."""

    normal: Normal
    seed: int
    population: int
    restarts: int = 0
    best: float = math.inf  # first objective, of this run
    improved: int = 0  # the generation that brought it
    growth: int = 1  # population of the large regime, as a multiple of the default
    small: bool = False  # BIPOP: which regime this run belongs to
    spent: tuple[int, int] = (0, 0)  # BIPOP: trials of the large and of the small regime


class Layout:
    """Which searched parameters are axes of the normal distribution and which are choices."""

    def __init__(self, space: Space) -> None:
        self.space = space
        is_choice = [isinstance(d, Choices) and not d.ordered for d in space.dimensions]
        self.choices = np.flatnonzero(is_choice)
        self.numbers = np.flatnonzero(~np.array(is_choice, dtype=bool))
        self.counts = np.array([space.dimensions[axis].size or 1 for axis in self.choices], dtype=np.intp)
        self.cells = {
            i: cell for i, axis in enumerate(self.numbers) if (cell := edges(space.dimensions[axis], CELLS)) is not None
        }

    @property
    def uniform(self) -> Array:
        """(A, K) equal probabilities."""
        k = np.arange(self.counts.max(initial=1))
        return np.where(k < self.counts[:, None], 1.0 / self.counts[:, None], 0.0)

    @property
    def least(self) -> Array:
        """(A, K) the margin of each value: Hamano et al. 2024, equation 24."""
        share = 1 - 0.73 ** (1 / max(len(self.counts), 1))
        return np.where(self.uniform > 0, share / np.maximum(self.counts[:, None] - 1, 1), 0.0)

    def cell(self, u: Array) -> tuple[Array, Array]:
        """(…, N) the ends of the cells that points lie in; both the point itself on a continuous axis."""
        low, high = u.copy(), u.copy()
        for i, cell in self.cells.items():
            k = np.clip(np.searchsorted(cell, u[..., i], side="right") - 1, 0, len(cell) - 2)
            low[..., i], high[..., i] = cell[k], cell[k + 1]
        return low, high


class CmaesSampler:
    """Draws from the distribution that the trials so far make."""

    learns = True

    def __init__(self, setting: Setting, *, restarts: Restarts = Restarts.IPOP) -> None:
        """`startup` replaces the size of the first generation."""
        self._layout = Layout(setting.space)
        self._restarts = restarts
        self._target = setting.target
        self._default = 4 + math.floor(3 * math.log(max(setting.space.d, 1)))
        self._startup = max(self._default if setting.startup is None else setting.startup, 2)
        self._replay = Replay(self._first, self._size, self._next)

    def propose(self, request: Request) -> Proposal | None:
        """A draw. None: a finite space is exhausted."""
        trials = concluded(comparable(request.history, self._startup, self._target))
        if len(trials) < self._startup:
            return fitting(request, sobol(request.seed, request.space.d, request.number))
        run, _ = self._replay.state(request.seed, trials)
        return fitting(request, self._draws(request, run.normal))

    def _draws(self, request: Request, normal: Normal) -> Iterator[Sequence[float]]:
        random = generator(request.seed, request.number, "cmaes")
        layout = self._layout
        u = np.empty((BATCH, layout.space.d))
        for k in count():
            wider = 1 + k * BATCH // PATIENCE
            z = random.standard_normal((BATCH, len(normal.mean))) * (normal.sigma * wider) * normal.lengths
            x = np.abs(normal.mean + z @ normal.axes.T) % 2.0
            u[:, layout.numbers] = np.where(x > 1.0, 2.0 - x, x)
            if len(layout.choices):
                q = normal.choices ** (1 / wider)
                cumulated = np.cumsum(q / q.sum(axis=1, keepdims=True), axis=1)
                drawn = (cumulated < random.random((BATCH, len(layout.choices), 1))).sum(axis=2)
                u[:, layout.choices] = (np.minimum(drawn, layout.counts - 1) + 0.5) / layout.counts
            yield from u.tolist()

    def _first(self, seed: int) -> Run:
        centre = np.full(len(self._layout.numbers), 0.5)
        return Run(initial(centre, SIGMA, self._layout.uniform), seed, self._default)

    def _size(self, run: Run) -> int:
        return self._startup if run.normal.generation == 0 and run.restarts == 0 else run.population

    def _next(self, run: Run, trials: Sequence[Told]) -> Run:
        normal, layout = run.normal, self._layout
        place = places(trials)
        points, active = rows(layout.space, trials)
        choices = normal.choices
        if len(layout.choices):
            drawn = np.minimum((points[:, layout.choices] * layout.counts).astype(np.intp), layout.counts - 1)
            choices = chosen(choices, drawn, active[:, layout.choices].astype(float), place, layout.least)
        x = self._placed(run, trials, points[:, layout.numbers], active[:, layout.numbers])
        normal = self._margined(replace(adapted(normal, x, place), choices=choices), len(trials))
        best = min(
            (t.objectives[0] for t, p in zip(trials, place, strict=True) if p == place.min() and t.objectives),
            default=math.inf,
        )
        spent = (run.spent[0] + len(trials) * (not run.small), run.spent[1] + len(trials) * run.small)
        run = replace(run, normal=normal, spent=spent)
        if best < run.best:
            run = replace(run, best=best, improved=normal.generation)
        return self._restarted(run) if self._restarts is not Restarts.NONE and self._converged(run) else run

    def _placed(self, run: Run, trials: Sequence[Told], u: Array, active: NDArray[np.bool_]) -> Array:
        """(λ, N) where each point was drawn, as far as can be said: see the module."""
        low, high = self._layout.cell(u)
        low[~active], high[~active] = 0.0, 1.0
        if not (low < high).any():
            return u
        from scipy.special import ndtr, ndtri  # noqa: PLC0415 - only spaces with steps or conditions need it

        m, s = run.normal.mean, run.normal.deviations
        r = np.array([generator(run.seed, t.number, "cmaes place").random(len(m)) for t in trials])
        a, b = ndtr((low - m) / s), ndtr((high - m) / s)
        return np.asarray(np.clip(m + s * ndtri(np.clip(a + r * (b - a), 1e-300, 1 - 1e-16)), low, high))

    def _margined(self, normal: Normal, population: int) -> Normal:
        if not self._layout.cells:
            return normal
        low, high = self._layout.cell(normal.mean)
        n = len(normal.mean)
        continuous = np.array([i not in self._layout.cells for i in range(n)])
        low = np.where(continuous | (low <= 0.0), -np.inf, low)
        high = np.where(continuous | (high >= 1.0), np.inf, high)
        return with_margin(normal, low, high, 1 / (n * population))

    def _converged(self, run: Run) -> bool:
        normal = run.normal
        n = len(normal.mean)
        idle = normal.generation - run.improved
        if idle > 10 + math.ceil(30 * max(n, 1) / run.population):
            return True
        free = [i for i in range(n) if i not in self._layout.cells]
        is_point = bool(free) and len(free) == self._layout.space.d and normal.deviations[free].max() < CONVERGED
        return is_point or (n > 0 and bool(normal.lengths[-1] > SINGULAR * normal.lengths[0]))

    def _restarted(self, run: Run) -> Run:
        random = generator(run.seed, run.restarts, "cmaes restart")
        mean = random.random(len(self._layout.numbers))
        growth, sigma, small = run.growth, SIGMA, False
        if self._restarts is Restarts.BIPOP and run.spent[1] < run.spent[0] and run.restarts:
            small = True
            population = max(2, math.floor(self._default * (growth / 2) ** (random.random() ** 2)))
            sigma *= 10 ** (-2 * random.random())
        else:
            growth *= 2
            population = self._default * growth
        return replace(
            run, normal=initial(mean, sigma, self._layout.uniform), population=population, restarts=run.restarts + 1,
            best=math.inf, improved=0, growth=growth, small=small,
        )  # fmt: skip
