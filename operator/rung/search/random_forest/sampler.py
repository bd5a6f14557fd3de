"""Random-forest sampler: a forest models the results, and the point with the largest expected improvement is tried.

    n, d, m     trials that are learned from, searched parameters, points that are weighed
    x           (n, d + 1)  features: the coordinate of an ordered parameter, the index of a value of an unordered one;
                        INACTIVE where a condition switches the parameter off, so that a split can tell; and the study
    y           (n,)    targets, smaller is better: the normal score of the trial's place among all (`standing`)

A trial of another study has its place there, and a feature of its own says which study that is: where the studies
disagree the trees split by it, and this study is asked for. Places instead of values make one target of violated
constraints, several objectives and failures (the last place), and no value is so large that it hides the others. Where
trials are stopped, the forest learns from those that can be compared at one step (`standing.comparable`). Pending trials are
believed to come out in the middle: that is better than nothing known there, and worse than what is sought.

The points that are weighed are spread over the space and perturbations of the best trials; then the best of these are
perturbed again, a few times (local search). Every RANDOM-th trial is a Sobol' point, whatever the forest says, so that it
is wrong nowhere for ever.

Sources: Hutter, Hoos & Leyton-Brown 2011 (SMAC: forest, local search, interleaved random points); Lindauer et al. 2022
(SMAC3); Ament et al. 2023 (the logarithm of the expected improvement).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtri

from rung.search.axes import Activity, Bools, Ints, axes_of
from rung.search.fitting import fitting
from rung.search.gp.acquisition import log_ei
from rung.search.observed import Encoder, Observed, sources
from rung.search.protocol import Proposal, Request, Setting
from rung.search.random_forest.forest import Forest, grow
from rung.search.randomness import generator
from rung.search.sequences import sobol, uniform
from rung.search.standing import best_first, comparable, places
from rung.space.space import Array, Space

STARTUP = 10
"""Trials that come from Sobol' points first."""

RANDOM = 12
"""Every so manieth trial is a Sobol' point: SMAC's share."""

TREES = 16
"""More make the variance smoother, and the time longer in proportion."""

MOST = 800
MOST_BEST = 200
"""Trials that the forest learns from, the best of them and the newest of the others: what a tenth of a second allows."""

LEAST_VARIANCE = 1e-12
"""Where all trees and all in their leaves agree; targets are of the order of 1."""

INACTIVE = -1.0
"""Below all coordinates, and at an end, so that one split tells inactive from active."""

SPREAD = 256
INCUMBENTS = 10
NEIGHBOURS = 20
SEARCH_ROUNDS = 4
"""Points all over the space; the best trials, the perturbations of each, and how often the best found are perturbed
again: a thousand points in all, as many as SMAC weighs in a round of local search."""

WIDTHS = (0.02, 0.3)
"""Standard deviations of a perturbation, the smallest and the largest; all sizes in between are equally likely, on a log
scale."""


class RandomForestSampler:
    """Startup from Sobol' points, then the forest."""

    learns = True

    def __init__(self, setting: Setting) -> None:
        """`setting.startup` replaces STARTUP."""
        self._startup = STARTUP if setting.startup is None else setting.startup
        self._target = setting.target
        self._axes = axes_of(setting.space)
        self._unordered = np.array([not axis.ordered for axis in self._axes], dtype=bool)
        self._kinds = np.append(self._unordered, True)
        self._activity = Activity(setting.space, self._axes)
        self._encoder = Encoder(setting.space)

    def propose(self, request: Request) -> Proposal | None:
        """The point of the largest expected improvement among those weighed. None: a finite space is exhausted."""
        space = request.space
        seen = self._encoder.observed(comparable(request.history, self._startup, self._target))
        even = sobol(request.seed, space.d, request.number)
        finished = sum(told.state.finished for told in seen.trials)
        if finished < self._startup or request.number % RANDOM == RANDOM - 1 or not space.d:
            return fitting(request, even)
        rows = _learned_from(seen)
        learned = Observed(tuple(seen.trials[i] for i in rows.tolist()), seen.u[rows], seen.active[rows])
        place = places(learned.trials)
        if np.isnan(place).all():
            return fitting(request, even)
        return fitting(request, self._points(request, learned, place))

    def _points(self, request: Request, learned: Observed, place: Array) -> Iterator[Sequence[float]]:
        """All points that were weighed, the most promising first; behind them uniform ones."""
        random = generator(request.seed, request.number, "random forest")
        u = learned.u
        x = self._features(u, learned.active)
        y = ndtri(np.where(np.isnan(place), 0.5, place))
        forest = grow(np.column_stack([x[:, :-1], sources(learned.trials)]), y, self._kinds, random, trees=TREES)
        finished = np.flatnonzero(~np.isnan(place))
        best = float(forest.predict(x[finished])[0].min())
        incumbents = u[finished[np.argsort(place[finished], kind="stable")[:INCUMBENTS]]]
        fresh = np.concatenate([random.random((SPREAD, request.space.d)), self._perturbed(incumbents, random)])
        points, gains = self._weighed(request.space, forest, best, fresh)
        for _ in range(SEARCH_ROUNDS):
            fresh = self._perturbed(points[:INCUMBENTS], random)
            more, more_gains = self._weighed(request.space, forest, best, fresh)
            points, gains = np.concatenate([points, more]), np.concatenate([gains, more_gains])
            order = np.argsort(-gains, kind="stable")
            points, gains = points[order], gains[order]
        yield from points.tolist()
        yield from uniform(request.seed, request.space.d, request.number)

    def _weighed(self, space: Space, forest: Forest, best: float, u: Array) -> tuple[Array, Array]:
        """Those of the points that are feasible, and the logarithm of the improvement expected of each; best first."""
        if not space.unrestricted:
            u = u[[space.is_feasible(space.decode(row)) for row in u.tolist()]]
        active = self._activity.at(u)
        mean, variance = forest.predict(self._features(u, active))
        gains = log_ei(mean, np.sqrt(np.maximum(variance, LEAST_VARIANCE)), best)
        order = np.argsort(-gains, kind="stable")
        return u[order], gains[order]

    def _features(self, u: Array, active: Bools) -> Array:
        """(m, d) coordinates to the features of this study's trials, (m, d + 1)."""
        x = np.zeros((len(u), len(self._axes) + 1))
        x[:, :-1] = u
        for k in np.flatnonzero(self._unordered).tolist():
            x[:, k] = self._axes[k].cell(u[:, k])
        x[:, :-1][~active] = INACTIVE
        return x

    def _perturbed(self, u: Array, random: np.random.Generator) -> Array:
        """NEIGHBOURS of each point: about two coordinates of it differ, and one at least. Unordered ones are drawn anew."""
        u = np.repeat(u, NEIGHBOURS, axis=0)
        m, d = u.shape
        changed = random.random((m, d)) < min(1.0, 2.0 / d)
        changed[np.arange(m), random.integers(d, size=m)] = True
        low, high = np.log(WIDTHS)
        width = np.exp(low + random.random((m, 1)) * (high - low))
        moved = np.abs(u + width * random.standard_normal((m, d))) % 2.0
        moved = np.where(moved > 1.0, 2.0 - moved, moved)  # reflected at both ends
        moved = np.where(self._unordered, random.random((m, d)), moved)
        return np.where(changed, moved, u)


def _learned_from(seen: Observed) -> Ints:
    """The rows of the trials that the forest learns from, ascending: all of them, up to MOST."""
    n = len(seen.trials)
    if n <= MOST:
        return np.arange(n)
    best = best_first(seen.trials, MOST_BEST)[:MOST_BEST]
    others = np.setdiff1d(np.arange(n), best)
    return np.sort(np.concatenate([best, others[len(best) - MOST :]]))
