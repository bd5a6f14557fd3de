"""Which trials are better than which: one order over everything that is known, for samplers that need no more than an
order.

    1  whole runs that keep to the constraints on outcomes: by objective, or for several by non-dominated fronts and,
       within a front, the lonely ones first
    2  stopped trials that keep to them: who came further first, then by the value there; a scheduler stops the worse
       ones earlier
    3  trials that violate a constraint: by how much, each constraint in units of its own median violation

Failed and infeasible trials have no place in the order, nor have pending ones. Ties go to the lower number. Sources: Deb et
al. 2002 (fronts, crowding, feasibility first); Falkner et al. 2018 (stopped trials).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from rung.api.facts import TrialState
from rung.search.axes import Ints
from rung.search.pareto import crowding, non_dominated
from rung.search.protocol import Told
from rung.space.space import Array

_NOWHERE = (math.nan, math.nan)


def best_first(trials: Sequence[Told], enough: int) -> list[int]:
    """The indices of the trials that have a place, the best first; behind the first `enough` the order may be rough."""
    steps, values = np.array([_reached(told) for told in trials], dtype=float).reshape(-1, 2).T
    placed = np.flatnonzero(~np.isnan(values))
    total = _violations([trials[i] for i in placed.tolist()])
    stopped = np.array([trials[i].state is TrialState.STOPPED for i in placed.tolist()], dtype=bool)
    whole, halted, violating = (placed[mask] for mask in ((total == 0) & ~stopped, (total == 0) & stopped, total > 0))
    return [
        *_by_objectives(whole, trials, enough),
        *halted[np.lexsort((values[halted], -steps[halted]))].tolist(),
        *violating[np.argsort(total[total > 0], kind="stable")].tolist(),
    ]


def concluded(history: Iterable[Told]) -> list[Told]:
    """Trials that have something to teach, those of other studies first and each study's by number.

    One that was stopped by hand before it said anything teaches nothing; one that failed does.
    """
    failed = frozenset({TrialState.FAILED, TrialState.INFEASIBLE})
    known = [
        told for told in history if told.state in failed or (told.state.finished and _reached(told) is not _NOWHERE)
    ]
    known.sort(key=lambda told: (not told.source, told.source, told.number))
    return known


def places(trials: Sequence[Told]) -> Array:
    """The place of each trial among all of its study that are finished, in (0, 1), the best first; equal ones share the
    middle of their places, failed and infeasible ones share the last. (n,); NaN: pending.
    """
    place = np.full(len(trials), math.nan)
    for rows in by_source(trials):
        place[rows] = _places([trials[i] for i in rows])
    return place


def by_source(trials: Sequence[Told]) -> list[list[int]]:
    """The indices of the trials of each study."""
    rows: dict[str, list[int]] = {}
    for i, told in enumerate(trials):
        rows.setdefault(told.source, []).append(i)
    return list(rows.values())


def _places(trials: Sequence[Told]) -> Array:
    """Those of one study."""
    order = best_first(trials, len(trials))
    placed = set(order)
    failed = [i for i, told in enumerate(trials) if told.state.finished and i not in placed]
    place = np.full(len(trials), math.nan)
    whole = len(order) + len(failed)
    at = 0
    for _, tied in groupby([*order, *failed], key=lambda i: _alike(trials[i]) if i in placed else None):
        indices = list(tied)
        place[indices] = (at + len(indices) / 2) / whole
        at += len(indices)
    return place


def _alike(told: Told) -> tuple[object, ...]:
    """What makes two trials equal in the order."""
    return (told.state is TrialState.STOPPED, told.objectives, told.violations, told.curve[-1:])


def _reached(told: Told) -> tuple[float, float]:
    """How far a finished trial came, and the value there; NaN: it has no place."""
    state = told.state
    if state is TrialState.FAILED or state is TrialState.INFEASIBLE:
        return _NOWHERE
    if told.objectives:
        if state is TrialState.SUCCEEDED:
            return 0.0, told.objectives[0]
        if state.finished:
            return told.curve[-1][0] if told.curve else 0.0, told.objectives[0]
    elif told.curve and state is TrialState.STOPPED:
        return told.curve[-1]
    return _NOWHERE


def _violations(trials: Sequence[Told]) -> Array:
    """The total violation of each, (n,); 0: none. One that was not reported counts as violated by the most."""
    width = max((len(told.violations) for told in trials), default=0)
    if not width:
        return np.zeros(len(trials))
    v = np.array([[*told.violations, *[math.nan] * (width - len(told.violations))] for told in trials])
    v = np.where(np.isnan(v), math.inf, np.maximum(v, 0.0))
    positive = np.where((v > 0) & np.isfinite(v), v, math.nan)
    for j in range(width):
        scale = np.nanmedian(positive[:, j]) if np.isfinite(positive[:, j]).any() else 1.0
        v[:, j] /= scale
    total: Array = v.sum(axis=1)
    return total


def _by_objectives(rows: Ints, trials: Sequence[Told], enough: int) -> list[int]:
    """The best first, as far as `enough`; the rest as it comes."""
    if not len(rows):
        return []
    y = np.array([trials[i].objectives for i in rows.tolist()], dtype=float)
    if y.shape[1] == 1:
        order: list[int] = rows[np.argsort(y[:, 0], kind="stable")].tolist()
        return order
    left = np.arange(len(y))
    placed: list[int] = []
    while len(left) and len(placed) < enough:
        front = non_dominated(y[left])
        lonely_first = np.argsort(-crowding(y[left[front]]), kind="stable")
        placed += left[front][lonely_first].tolist()
        left = left[~front]
    return [int(rows[k]) for k in (*placed, *left.tolist())]
