"""Tree-structured Parzen estimator: try what is likely under the good trials and unlikely under the others.

The trials are split into a few good ones and the rest; l and g are the densities (`parzen`) of the two. Of a number of
points drawn from l the one with the largest l(x) / g(x) is proposed, which is the one with the largest expected
improvement over the value at the split (Bergstra et al. 2011, section 4.1).

    good    the best SHARE of those that have a place in `standing`: MOST_GOOD at most, which keeps l sharp
    rest    the others; the failed and infeasible ones; the pending ones as well, so that workers that ask at the same
            time spread out (constant liar)

Where trials are stopped, both are made of those that can be compared at one step (`standing.comparable`): what was stopped
before is neither good nor bad, and until there are enough at a step that says something, points are Sobol's.
Trials of other studies are split among themselves, since their values may be on another scale, and count for less the
more there is to learn from this study. All axes share one density (Falkner et al. 2018), whatever conditions there are
between them: see `parzen`. No assignment is proposed twice as long as there are others.

With several objectives the good ones are the best fronts, and count for the volume that would be lost without them.

Sources: Bergstra et al. 2011; Falkner et al. 2018 (BOHB); Watanabe 2023 (each constant's part, by ablation); Ozaki et al. 2020
(several objectives).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rung.pareto import BEHIND, contributions, in_ranges
from rung.search.axes import Activity, Ints, axes_of
from rung.search.fitting import fitting
from rung.search.observed import Encoder, Observed
from rung.search.parzen import Parzen
from rung.search.protocol import Proposal, Request, Setting, Told
from rung.search.randomness import generator
from rung.search.sequences import sobol, uniform
from rung.search.standing import EXACT, best_first, by_source, comparable
from rung.space.space import Array

STARTUP = 10
"""Trials that come from Sobol' points: with five, each of the densities rests on two or three points."""

CANDIDATES = 512
"""Points drawn from l. On the problems that this was tuned on, many find better than the customary 24, all the way through:
the regret after 100 trials was .23 instead of .28."""

ROUNDS = 20
"""Draws of CANDIDATES points each in search of one that is new and feasible."""

SHARE = 0.1
MOST_GOOD = 25
"""Good ones among 100 trials, and at most."""

MOST_REST = 500
"""Trials that g is made of: the newest. More of them change it little and cost time in proportion."""

LEAST_SHARE = 0.1
"""What a good trial counts for that adds little to a front: it is among the best all the same."""

FADING = 10
"""Trials of this study after which one of another study counts half."""


class TPESampler:
    """Startup from Sobol' points, then the densities."""

    learns = True

    def __init__(self, setting: Setting) -> None:
        """`setting.startup` replaces STARTUP."""
        self._startup = STARTUP if setting.startup is None else setting.startup
        self._target = setting.target
        self._axes = axes_of(setting.space)
        self._activity = Activity(setting.space, self._axes)
        self._encoder = Encoder(setting.space)

    def propose(self, request: Request) -> Proposal | None:
        """The most promising of the points drawn from l. None: a finite space is exhausted."""
        seen = self._encoder.observed(comparable(request.history, self._startup, self._target))
        good, rest = _split(seen.trials)
        if len(good) == 0 or sum(told.state.finished for told in seen.trials) < self._startup:
            return fitting(request, sobol(request.seed, request.space.d, request.number))
        rest = rest[-MOST_REST:]
        weights = _weights(seen.trials)
        l = self._density(seen, good, weights[good] * _won([seen.trials[i] for i in good.tolist()]))  # noqa: E741 - the paper's
        return fitting(request, self._points(request, l, self._density(seen, rest, weights[rest])))

    def _density(self, seen: Observed, rows: Ints, weights: Array) -> Parzen:
        return Parzen.of(self._axes, seen.u[rows], seen.active[rows], weights)

    def _points(self, request: Request, l: Parzen, g: Parzen) -> Iterator[Sequence[float]]:  # noqa: E741 - as in the paper
        """Points of l, the most promising of each round first; then uniform ones, for where l has nothing that fits."""
        random = generator(request.seed, request.number, "tpe")
        for _ in range(ROUNDS):
            x = l.sample(random, CANDIDATES)
            active = self._activity.at(x)
            yield from x[np.argsort(g.log_density(x, active) - l.log_density(x, active), kind="stable")].tolist()
        yield from uniform(request.seed, request.space.d, request.number)


def _split(trials: Sequence[Told]) -> tuple[Ints, Ints]:
    """The indices of the good trials and of the rest, each ascending."""
    good: list[int] = []
    for rows in by_source(trials):
        order = best_first([trials[i] for i in rows], MOST_GOOD)
        good += [rows[k] for k in order[: min(math.ceil(SHARE * len(order)), MOST_GOOD)]]
    mask = np.zeros(len(trials), dtype=bool)
    mask[good] = True
    return np.flatnonzero(mask), np.flatnonzero(~mask)


def _won(good: Sequence[Told]) -> Array:
    """(n,) what each of the good trials counts for beside the others: with several objectives, the volume that would be lost
    without it, as a share of the most.
    """
    share = np.ones(len(good))
    for rows in by_source(good):
        y = np.array([good[i].objectives for i in rows])
        if 1 < y.shape[1] <= EXACT and not any(v > 0 for i in rows for v in good[i].violations):
            won = contributions(in_ranges(y), np.full(y.shape[1], BEHIND))
            share[rows] = np.maximum(won / max(won.max(), LEAST_SHARE), LEAST_SHARE)
    return share


def _weights(trials: Sequence[Told]) -> Array:
    """What each trial counts for, up to 1."""
    own = sum(not told.source for told in trials)
    return np.array([FADING / (FADING + own) if told.source else 1.0 for told in trials])
