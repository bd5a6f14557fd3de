"""Which trials are better than which: one order over everything that is known, for samplers that need no more than an
order.

    1  whole runs that keep to the constraints on outcomes: by objective, or for several by non-dominated fronts and,
       within a front, by the volume that they add to those before
    2  stopped trials that keep to them: who came further first, then by the value there; a scheduler stops the worse
       ones earlier
    3  trials that violate a constraint: by how much, each constraint in units of its own median violation

Failed and infeasible trials have no place in the order, nor have pending ones. Ties go to the lower number.

Who was stopped early is not bad for certain: curves cross, and among those that are ahead after a tenth of the way a
sampler finds the fast starters. So samplers are shown what can be compared (`comparable`): the values at one step, the
furthest that enough trials came to. Sources: Deb et al. 2002 (fronts, feasibility first);
Ozaki et al. 2020 (the volume within a front); Falkner et al. 2018 (the model is that of the largest budget with enough
observations).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from rung.api.facts import TrialState
from rung.pareto import lonely_first, non_dominated, volume_first
from rung.search.axes import Bools, Ints
from rung.search.protocol import Told
from rung.space.space import Array

_BROKEN = frozenset({TrialState.FAILED, TrialState.INFEASIBLE})
_SPOKEN = frozenset({TrialState.SUCCEEDED, TrialState.STOPPED})
_NOWHERE = (math.nan, math.nan)

EXACT = 3
"""Objectives up to which volumes are computed: with four it takes a tenth of a second."""

COUNTED = 25
"""Points of a front that are ordered by volume: no sampler builds on more."""

SOONEST = 0.1
"""The share of a whole run before which values are not compared."""


def by_volume(front: Array) -> Ints:
    """(n,) the order within a front."""
    if front.shape[1] > EXACT:
        return lonely_first(front)
    return volume_first(front, COUNTED)


def best_first(trials: Sequence[Told], enough: int, within: Callable[[Array], Ints] = by_volume) -> list[int]:
    """The indices of the trials that have a place, the best first; behind the first `enough` the order may be rough."""
    steps, values = np.array([_reached(told) for told in trials], dtype=float).reshape(-1, 2).T
    placed = np.flatnonzero(~np.isnan(values))
    total = _violations([trials[i] for i in placed.tolist()])
    stopped = np.array([trials[i].state is TrialState.STOPPED for i in placed.tolist()], dtype=bool)
    whole, halted, violating = (placed[mask] for mask in ((total == 0) & ~stopped, (total == 0) & stopped, total > 0))
    return [
        *_by_objectives(whole, trials, enough, within),
        *halted[np.lexsort((values[halted], -steps[halted]))].tolist(),
        *violating[np.argsort(total[total > 0], kind="stable")].tolist(),
    ]


def concluded(history: Iterable[Told]) -> list[Told]:
    """Trials that have something to teach, those of other studies first and each study's by number.

    One that was stopped by hand before it said anything teaches nothing; one that failed does.
    """
    known = [
        told for told in history if told.state in _BROKEN or (told.state.finished and _reached(told) is not _NOWHERE)
    ]
    return sorted(known, key=lambda told: told.place)


def places(trials: Sequence[Told]) -> Array:
    """The place of each trial among all of its study that are finished, in (0, 1), the best first; equal ones share the
    middle of their places, failed and infeasible ones share the last. (n,); NaN: pending.
    """
    place = np.full(len(trials), math.nan)
    for rows in by_source(trials):
        place[rows] = _places([trials[i] for i in rows])
    return place


def comparable(history: Sequence[Told], enough: int, target: float | None) -> list[Told]:
    """Each study as it is at the furthest step at which `enough` of its trials have a value; a whole run is the furthest.
    Those that have a value there stand as if they had ended with it, running ones too.

    Left out are the other ones that have ended, but for failures: those were stopped before. Where there are not enough at
    any step all are left out. `target`: the last step of a whole run of this study. A study that stopped no trial
    stays as it is.
    """
    trials = list(history)
    if not any(told.state is TrialState.STOPPED for told in trials):
        return trials
    kept = np.ones(len(trials), dtype=bool)
    for rows in by_source(trials):
        there, step = _at_furthest([trials[i] for i in rows], enough, None if trials[rows[0]].source else target)
        for i, is_there in zip(rows, there, strict=True):
            if is_there and step < math.inf:
                trials[i] = replace(trials[i], state=TrialState.SUCCEEDED, objectives=(_value_at(trials[i], step),))
            kept[i] = is_there or trials[i].state not in _SPOKEN
    return [trials[i] for i in np.flatnonzero(kept).tolist()]


def _at_furthest(trials: Sequence[Told], enough: int, target: float | None) -> tuple[Bools, float]:
    """Which trials of a study have a value at its furthest step with enough of them, and that step; infinite: the end."""
    stopped = np.array([told.state is TrialState.STOPPED for told in trials], dtype=bool)
    first, last = np.array([_steps(told) for told in trials], dtype=float).T
    whole = last == math.inf
    if not stopped.any() or whole.sum() >= enough:
        return whole, math.inf
    ends = np.unique(last[stopped & ~np.isnan(last)])[::-1]
    soonest = SOONEST * (ends.max(initial=0.0) if target is None else target)
    for step in ends[ends >= soonest].tolist():
        there = (first <= step) & (step <= last)
        if there.sum() >= enough:
            return there, step
    return np.zeros(len(trials), dtype=bool), math.inf


def _steps(told: Told) -> tuple[float, float]:
    """The first and the last step at which a trial has a value; NaN: there is none."""
    if told.state is TrialState.SUCCEEDED and told.objectives:
        return told.curve[0][0] if told.curve else 0.0, math.inf
    judged = told.state.finished or not any(map(math.isnan, told.violations))
    if told.curve and judged and told.state not in _BROKEN:
        return told.curve[0][0], told.curve[-1][0]
    return _NOWHERE


def _value_at(told: Told, step: float) -> float:
    """The latest up to there; of a run that reported nothing along the way, its result."""
    value = told.objectives[0] if told.objectives else math.nan
    for at, found in told.curve:
        if at > step:
            break
        value = found
    return value


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
    if state in _BROKEN:
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


def _by_objectives(rows: Ints, trials: Sequence[Told], enough: int, within: Callable[[Array], Ints]) -> list[int]:
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
        placed += left[front][within(y[left[front]])].tolist()
        left = left[~front]
    return [int(rows[k]) for k in (*placed, *left.tolist())]
