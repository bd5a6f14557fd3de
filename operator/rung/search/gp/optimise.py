"""Where a score is highest: candidates from everywhere and from around the incumbents, gradients from the best, then
single moves along the discrete axes.

    U  (k, d)  snapped points of the cube (see `encoding`)        region  a box: only points in it are looked at

Nothing here depends on the clock: numbers of candidates and of steps are fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rung.search.gp.encoding import Encoding
from rung.space.space import Array

Index = NDArray[np.intp]

EVERYWHERE, AROUND = 400, 300  # candidates, for a model of up to FULL rows; fewer for a larger one, which is slower
FULL = 150
STARTS = 4  # of them that gradients start from, together
STEPS = 20  # of these gradients
MOVERS = 2  # ends whose discrete neighbours are looked at
MOVES = 3  # in a row
FEW = 8  # values of an axis that are all looked at; of longer axes those at some distances


class Score(Protocol):
    """What is to be high."""

    @property
    def rows(self) -> int:
        """Of the model behind it."""

    def at(self, phi: Array) -> Array:
        """(k,) of the features (k, D) of k points."""

    def with_gradient(self, phi: Array) -> tuple[Array, Array]:
        """(k,) and (k, D)."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of the cube that is searched. Where its ends coincide a parameter stays as it is."""

    low: Array
    high: Array


def best_first(
    score: Score,
    encoding: Encoding,
    region: Region,
    incumbents: Array,
    rng: np.random.Generator,
    feasible: Array | None,
) -> Iterator[Array]:
    """Points, (d,) each, the most promising first. `feasible` (k, d) are known feasible points, for a space of which
    most is not; None: all of it is.
    """
    points = candidates(score, encoding, region, incumbents, rng, feasible)
    values = score.at(encoding.features(points))
    order = np.argsort(-values, kind="stable")
    if feasible is None:
        starts = points[order[:STARTS]]
    else:
        fits = [i for i in order[: 8 * STARTS] if _is_feasible(encoding, points[i])]
        starts = points[np.array(fits or order[:1], dtype=np.intp)[:STARTS]]
    ends = encoding.snapped(climbed(score, encoding, region, starts))
    if feasible is not None:
        ends = np.array([_feasible_part(encoding, start, end) for start, end in zip(starts, ends, strict=True)])
    pool, worth = [ends, points], [score.at(encoding.features(ends)), values]
    if not encoding.continuous.all():
        for i in np.argsort(-worth[0], kind="stable")[:MOVERS]:
            moved, value = _moved(score, encoding, region, ends[i], float(worth[0][i]))
            pool.append(moved)
            worth.append(value)
    everything, value = np.vstack(pool), np.concatenate(worth)
    return (everything[i] for i in np.argsort(-value, kind="stable"))


def candidates(
    score: Score,
    encoding: Encoding,
    region: Region,
    incumbents: Array,
    rng: np.random.Generator,
    feasible: Array | None,
) -> Array:
    """(k, d) snapped points, the first of them from everywhere."""
    d, share = encoding.d, min(1.0, FULL / score.rows)
    many, near = int(EVERYWHERE * share), int(AROUND * share)
    everywhere = region.low + rng.random((many, d)) * (region.high - region.low)
    if feasible is not None and len(feasible):
        everywhere[: len(feasible)] = feasible[:many]
    # Few coordinates at a time: in many dimensions a move along all of them leads away from what made a point good.
    around = incumbents[rng.integers(len(incumbents), size=near)]
    moved = np.minimum(rng.choice([2.0, 5.0, d], size=(near, 1)) / d, 1.0)
    moves = rng.random((near, d)) < moved
    moves[np.arange(near), rng.integers(d, size=near)] = True
    width = 10.0 ** rng.uniform(-2.5, -0.5, size=(near, 1))
    places = around + width * rng.standard_normal((near, d))
    places = np.abs(places)
    places = np.clip(np.where(places > 1, 2 - places, places), 0, 1)
    redrawn = rng.random((near, d))
    places = np.where(~encoding.continuous & (rng.random((near, d)) < 0.5), redrawn, places)
    nearby = np.clip(np.where(moves, places, around), region.low, region.high)
    return encoding.snapped(np.vstack([everywhere, nearby]))


def climbed(score: Score, encoding: Encoding, region: Region, starts: Array) -> Array:
    """(k, d) where gradients lead from the starts, along active continuous axes, all of them at once."""
    from scipy.optimize import fmin_l_bfgs_b  # noqa: PLC0415 - 0.2 s, which samplers without a model need not pay

    rows, axes = np.nonzero(encoding.active(starts) & encoding.continuous)
    if not len(rows):
        return starts
    columns = np.array([axis.group.start for axis in encoding.axes])[axes]
    phi = encoding.features(starts)
    x0 = starts[rows, axes]
    low, high = np.minimum(region.low[axes], x0), np.maximum(region.high[axes], x0)
    loss = partial(_loss, score, phi, rows, columns)
    x, _, _ = fmin_l_bfgs_b(loss, x0, bounds=np.column_stack([low, high]), maxiter=STEPS, maxfun=STEPS + 8, factr=1e8)
    out = starts.copy()
    out[rows, axes] = x
    return out


def neighbours(encoding: Encoding, region: Region, u: Array) -> Array:
    """(k, d) snapped points that differ from u in one discrete parameter, and in what that makes active."""
    moves = []
    active = encoding.active(u[None])[0]
    for j, axis in enumerate(encoding.axes):
        if axis.places is None or not active[j] or region.low[j] == region.high[j]:
            continue
        k = len(axis.places)
        at = int(np.searchsorted(axis.edges, u[j], side="right"))
        near = [at + sign * step for step in sorted({1, 2, 4, k // 16, k // 4} - {0}) for sign in (-1, 1)]
        targets = range(k) if axis.categories or k <= FEW else near
        for i in targets:
            if 0 <= i < k and i != at:
                moved = u.copy()
                moved[j] = axis.places[i]
                moves.append(moved)
    return encoding.snapped(np.array(moves)) if moves else np.empty((0, encoding.d))


def _moved(score: Score, encoding: Encoding, region: Region, u: Array, value: float) -> tuple[Array, Array]:
    """All neighbours met on the way up, and their scores."""
    met, worth = [np.empty((0, encoding.d))], [np.empty(0)]
    for _ in range(MOVES):
        around = neighbours(encoding, region, u)
        if not len(around):
            break
        values = score.at(encoding.features(around))
        met.append(around)
        worth.append(values)
        best = int(values.argmax())
        if values[best] <= value:
            break
        u, value = around[best], float(values[best])
    return np.vstack(met), np.concatenate(worth)


def _loss(score: Score, phi: Array, rows: Index, columns: Index, x: Array) -> tuple[float, Array]:
    phi[rows, columns] = x
    value, gradient = score.with_gradient(phi)
    return -float(value.sum()), -gradient[rows, columns]


def _is_feasible(encoding: Encoding, u: Array) -> bool:
    return encoding.space.is_feasible(encoding.space.decode(u))


def _feasible_part(encoding: Encoding, start: Array, end: Array) -> Array:
    """The end, or a point on the way to it that is feasible."""
    for share in (1.0, 0.5, 0.25, 0.1, 0.03):
        point = encoding.snapped((start + share * (end - start))[None])[0]
        if _is_feasible(encoding, point):
            return np.asarray(point)
    return start
