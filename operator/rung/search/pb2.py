"""Population based bandits, the exploring half: what a clone changes is proposed by a model of what each change brought so far.

    interval   what one member, clones included, did from one comparison to the next: with which parameters, from which value
    turn       t, the number of the comparison at an interval's end
    Φ  (n, D)  features of the parameters (`gp.encoding`), and the value at the beginning        n  intervals that are over
    y  (n,)    the change of the value per step, smaller is better

y and the values at the beginning are standings among those of the same turn (`gp.outputs.Warp` of each turn: mean 0, deviation 1):
a loss falls by a tenth in the first interval and by a thousandth in the last one, and what is to be learned is who fell by more than
the others. Among m of a turn a standing has an error of variance 1 / m, the model's known noise; a single one tells nothing. An
interval in which a member diverged, or proved infeasible otherwise, counts like the worst there is.

    model      k = s² M(Φ, Φ'; ℓ) e^{−c |t − t'|}, with hyperparameters by MAP (`gp.model`): who was right long ago counts for less
    proposal   the least of μ(Φ) − √β σ(Φ) over what may change, at the turn and the value that the clone begins with;
               β = 0.2 log(0.4 n). Intervals that are not over take part in σ: they are believed to bring what is expected
    too little less than `ENOUGH` intervals: nothing is proposed, and the clone is changed as in PBT (`rung.search.pbt`)

At most `MOST` intervals are looked at, the newest. What may not change stays, derived parameters follow, and of what the score
likes the first that keeps to the constraints is taken.

Choices, ordered and not, are features like all others. PB2-Mix (Parker-Holder et al. 2021) draws them by a bandit of their own, EXP3
that forgets, and lets the model propose the numbers beside. Median of the final losses on the problem with a choice of
tests/optimizer/test_population.py, by members (60 seeds other than those of docs/search.md):

    what chooses                          4        8
    the model                          0.0036   0.0019
    EXP3 that forgets, simplified      0.0033   0.0020
    as PBT: drawn one time in four     0.0045   0.0019
    PBT as it is                       0.0048   0.0026

The three differ by no more than chance, so it is the one that needs nothing more.

Source: Parker-Holder, Nguyen & Roberts 2020 (PB2). They standardise over all intervals, whatever their turn: with eight members
and the rate alone (30 seeds) it was then ahead of PBT on 11 seeds in the place of 20; with four there is no sure difference. The time
kernel and its name ε: Bogunovic, Scarlett & Cevher 2016; the constants of β: the authors' program in Ray.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from rung.api.facts import Assignment
from rung.search.gp.encoding import Encoding
from rung.search.gp.model import Form, Posterior, fitted
from rung.search.gp.optimise import Region, best_first
from rung.search.gp.outputs import Warp
from rung.search.pbt import mutable
from rung.space.space import Array, Space

MOST = 120
"""Intervals: six turns of a population of 20. A clone then takes 20 to 35 ms of processor time
with one to eight parameters, with 200 intervals 70 to 80, and with all 400 half a second; and what is so old has faded."""

ENOUGH = 4
"""Intervals that are over, as for a model of `gp.sampler`."""

BETA = (0.2, 0.4)
"""β = 0.2 log(0.4 n)."""

BEGINNING = 0.29
"""The deviation of the values at the beginning, as a feature: that of a uniform draw from [0, 1], as parameters have."""

FAR = 10.0
"""Spreads beyond the median, from where on a value is as bad as can be: how far one has gone astray tells nothing of the others."""

PROBED = 100
"""Points among which feasible ones are looked for, to begin the search with."""

TRIES = 100
"""Points that the score likes, until one keeps to the constraints."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What a member did from one comparison to the next. Values are ranked ones: smaller is better."""

    parameters: Assignment
    turn: int
    before: float  # the value at its beginning
    change: float | None  # per step; infinite: it diverged; None: it is not over


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a clone begins."""

    parent: Assignment  # whose parameters it would have if nothing changed
    turn: int  # of its first interval
    before: float


class Bandit:
    """Proposes what clones change. A pure function of what it is told; immutable."""

    def __init__(self, space: Space, mutate: Collection[str]) -> None:
        """`mutate` as for `pbt.explore`."""
        self._space = space
        self._encoding = Encoding(space)
        self._mutable = mutable(space, mutate)

    def propose(
        self, intervals: Sequence[Interval], beginning: Beginning, random: np.random.Generator
    ) -> Assignment | None:
        """A clone's parameters: feasible. None: too little is known, or nothing can change."""
        region = self._region(beginning.parent)
        known = [interval for interval in intervals if interval.change is not None]
        y = _targets(known)
        told = np.flatnonzero(~np.isnan(y))
        if len(told) < ENOUGH or np.array_equal(region.low, region.high):
            return None
        score = self._score([known[i] for i in told], y[told], intervals, beginning)
        best = told[np.argsort(y[told], kind="stable")[: len(told) // 4]]
        places = self._encoding.rows([dict(beginning.parent), *(dict(known[i].parameters) for i in best)])
        around = self._encoding.snapped(np.clip(places, region.low, region.high))
        feasible = None if self._space.unrestricted else self._feasible(region, beginning.parent, random)
        points = best_first(score, self._encoding, region, around, random, feasible)
        for _, u in zip(range(TRIES), points, strict=False):
            clone = self._clone(beginning.parent, u)
            if self._space.is_feasible(clone):
                return clone
        return None

    def _score(self, known: list[Interval], y: Array, intervals: Sequence[Interval], beginning: Beginning) -> _Bound:
        pending = [interval for interval in intervals if interval.change is None]
        rows = known + pending
        before = _relative([*((i.turn, i.before) for i in rows), (beginning.turn, beginning.before)])
        u = self._encoding.rows([dict(interval.parameters) for interval in rows])
        phi = np.column_stack([self._encoding.features(self._encoding.snapped(u)), BEGINNING * before[:-1]])
        turns = np.array([interval.turn for interval in rows], dtype=float)
        n, d = len(known), self._encoding.d
        form = Form(np.append(self._encoding.groups, d), d + 1)
        several = Counter(interval.turn for interval in known)
        errors = np.array([1.0 / several[interval.turn] for interval in known])
        hyper = fitted(phi[:n], y, errors, form, turns[:n])
        model = Posterior(hyper, phi[:n], y, errors, phi[n:] if pending else None, beginning.turn - turns)
        boldness = math.sqrt(max(BETA[0] * math.log(BETA[1] * n), 0.0))
        return _Bound(model, float(BEGINNING * before[-1]), boldness)

    def _region(self, parent: Assignment) -> Region:
        """What is not to change stays in its place; what `parent` does not have may become active."""
        u = self._space.encode(parent)
        names = [dimension.name for dimension in self._space.dimensions]
        free = np.array([name in self._mutable or name not in parent for name in names], dtype=bool)
        return Region(np.where(free, 0.0, u), np.where(free, 1.0, u))

    def _clone(self, parent: Assignment, u: Array) -> Assignment:
        kept = {name: value for name, value in parent.items() if name not in self._mutable}
        return self._space.complete(self._space.render(kept), u)

    def _feasible(self, region: Region, parent: Assignment, random: np.random.Generator) -> Array:
        """(k, d) points in the region."""
        drawn = region.low + random.random((PROBED, self._space.d)) * (region.high - region.low)
        points = np.vstack([self._space.encode(parent), self._encoding.snapped(drawn)])  # the parent's is feasible
        return np.array([u for u in points if self._space.is_feasible(self._space.decode(u))])


@dataclass(frozen=True, slots=True)
class _Bound:
    """How much better than expected a change may well be: √β σ − μ, for a clone that begins with this value."""

    model: Posterior
    before: float  # as a feature
    boldness: float  # √β

    @property
    def rows(self) -> int:
        return len(self.model.all_scaled)

    def at(self, phi: Array) -> Array:
        mean, deviation = self.model.mean_and_deviation(self._whole(phi))
        return self.boldness * deviation - mean

    def with_gradient(self, phi: Array) -> tuple[Array, Array]:
        mean, deviation, by_mean, by_deviation = self.model.with_gradients(self._whole(phi))
        return self.boldness * deviation - mean, (self.boldness * by_deviation - by_mean)[:, :-1]

    def _whole(self, phi: Array) -> Array:
        return np.column_stack([phi, np.full(len(phi), self.before)])


def _targets(known: Sequence[Interval]) -> Array:
    """(n,) how the changes compare with those of the same turn; NaN where there is no other."""
    changes = np.array([math.nan if i.change is None else i.change for i in known], dtype=float)
    y = np.full(len(known), np.nan)
    went = [k for k, interval in enumerate(known) if changes[k] < math.inf]
    for rows in _by_turn([known[k].turn for k in went]):
        at = np.array(went)[rows]
        if len(at) > 1:
            y[at] = _standing(changes[at])
    if not np.isnan(y).all():
        y[changes == math.inf] = np.nanmax(y)
    return y


def _relative(values: Sequence[tuple[int, float]]) -> Array:
    """(n,) of (turn, value) the values among those of the same turn."""
    value = np.array([value for _, value in values])
    out = np.empty(len(values))
    for rows in _by_turn([turn for turn, _ in values]):
        out[rows] = _standing(value[rows])
    return out


def _standing(values: Array) -> Array:
    """(n,) with mean 0 and deviation 1."""
    warp = Warp.of(values)
    cut = np.minimum(values, warp.median + FAR * warp.spread)
    return Warp.of(cut)(cut)


def _by_turn(turns: Sequence[int]) -> list[list[int]]:
    """The indices of each turn."""
    found: dict[int, list[int]] = defaultdict(list)
    for k, turn in enumerate(turns):
        found[turn].append(k)
    return list(found.values())
