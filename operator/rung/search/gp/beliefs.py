"""The models of one state of knowledge: one for each objective, each constraint, and for failing.

Objectives are modelled as targets (`outputs.Warp`), constraints as bent violations. Whether trials fail is one constraint
more, −1 where they did not and 1 where they did: its model keeps the search away from where they do. The axes of an
objective's model may bend (`bending`), unless values are forecast: what seems to bend is then as often the forecasts' error,
and regret on learning curves after half of the clock was .03 ± .02 higher (20 seeds). A constraint's, which is to say where a
border lies and has less to go by, are straight: with bends one study of ten lost sight of gardner2's optimum for 50 trials,
and the worst of ten on spring ended at .01303 in the place of .01286.

**Other studies** may measure the same thing on another scale, or another thing altogether. Each is modelled by itself,
and this study's values are regressed on what that model says at the same places: y = a + b z. Its trials then count as
observations a + b z with the error that the regression leaves, so a study that tells nothing about this one counts for
nothing. Before this study has values of its own the two are taken to be alike, with an error of `UNLIKE` deviations.

**Many trials.** At most `MOST` rows enter a model: the best ones, those around the place where the search is going on, and
an even selection of the rest. Hyperparameters are fitted to at most `FITTED` of them, and beyond `EACH` trials only at
milestones, the trials up to the last power of `GROWTH`: they change slowly, and equal facts still give equal models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rung.search.gp.encoding import Encoding
from rung.search.gp.knowledge import Knowledge
from rung.search.gp.model import Form, Hyper, Posterior, fitted
from rung.search.gp.outputs import Violations, Warp
from rung.space.space import Array

Rows = NDArray[np.intp]
Targets = Callable[[Array, Array], tuple[Array, Array]]
"""(values, their errors) -> (targets, their noise variances)."""

STRAIGHT = 5.0  # spreads beyond the median to which targets of several objectives are linear
MOST = 300  # rows of one model: what is done with its matrix takes about 20 ms
FITTED = 200  # rows that hyperparameters are fitted to
EACH = 40  # up to so many trials each new one is worth a fit
GROWTH = 1.1
REMEMBERED = 64  # fits
CAUTION = -0.5
"""The limit between −1, no trial failed here, and 1. Half way between them lies the border, where every other trial
fails: measured on a fence, 13 of 20 trials fail with 0, 8 with −0.5, and what is found is as good."""
UNLIKE = 0.5
LIKE_ROWS = 2.0  # own trials that the assumption of likeness is worth


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What there is to know about any point. `warps` turn objectives into targets."""

    rows: Rows  # of the knowledge: those that the objectives' models hold
    phi: Array  # (n, D) features of all rows of the knowledge
    objectives: tuple[Posterior, ...]
    warps: tuple[Warp, ...]
    constraints: tuple[tuple[Posterior, float], ...]  # feasible where the target is at most the number

    @property
    def skill(self) -> float:
        """Of the model that explains most."""
        return max(model.skill for model in (*self.objectives, *(model for model, _ in self.constraints)))


class Modeller:
    """Makes beliefs of knowledge. Remembers fits by the data they are fits of."""

    def __init__(self, encoding: Encoding, parallelism: int, *, forecasts: bool) -> None:
        self._encoding = encoding
        self._parallelism = parallelism
        self._straight = Form(encoding.groups, encoding.d)
        self._form = self._straight if forecasts else Form(encoding.groups, encoding.d, encoding.ordered)
        self._fits: dict[Hashable, Hyper] = {}

    def beliefs(self, known: Knowledge) -> Beliefs:
        """The models; at least two trials of this or other studies must have objectives."""
        phi = self._encoding.features(known.u)
        pending = self._encoding.features(known.pending) if len(known.pending) else None
        y, errors = self._aligned(known, phi)
        measured = np.flatnonzero(~np.isnan(y).any(axis=1))
        rows = measured[self._selected(phi[measured], y[measured])]
        objectives, warps = [], []
        for j in range(y.shape[1]):
            own = measured[known.source[measured] == 0]
            warp = Warp.of(y[own if len(own) > 1 else measured, j], STRAIGHT if y.shape[1] > 1 else 0.0)
            hyper = self._hyper(self._form, phi, y[:, j], errors[:, j], measured, partial(_warped, warp.straight))
            t, noise = warp(y[rows, j]), (errors[rows, j] * warp.slope(y[rows, j])) ** 2
            objectives.append(Posterior(hyper, phi[rows], t, noise, pending))
            warps.append(warp)
        return Beliefs(rows, phi, tuple(objectives), tuple(warps), self._constraints(known, phi, pending))

    def _constraints(self, known: Knowledge, phi: Array, pending: Array | None) -> tuple[tuple[Posterior, float], ...]:
        out = []
        own = known.source == 0
        columns = [(column, 0.0) for column in known.violations.T]
        if known.failed.any():
            columns.append((np.where(known.failed, 1.0, np.where(known.measured, -1.0, np.nan)), CAUTION))
        for column, most in columns:
            reported = np.flatnonzero(~np.isnan(column) & own)
            if len(reported) < 2:
                continue
            bend = Violations.of(column[reported])
            targets, limit = bend(column), float(bend(np.array([most]))[0])
            rows = reported[self._selected(phi[reported], np.abs(targets[reported, None] - limit))]
            zero = np.zeros(len(targets))
            hyper = self._hyper(self._straight, phi, column, zero, reported, _bent)
            out.append((Posterior(hyper, phi[rows], targets[rows], zero[rows], pending), limit))
        return tuple(out)

    def _hyper(self, form: Form, phi: Array, values: Array, errors: Array, rows: Rows, targets: Targets) -> Hyper:
        """Of the rows up to the milestone. Their targets are made of these alone, so the fit stays until the next one."""
        n = len(rows) - self._parallelism
        if n > EACH:
            rows = rows[: int(EACH * GROWTH ** np.floor(np.log(n / EACH) / np.log(GROWTH)))]
        if len(rows) > FITTED:
            rows = rows[np.linspace(0, len(rows) - 1, FITTED).astype(np.intp)]
        x, (y, v) = phi[rows], targets(values[rows], errors[rows])
        data = hashlib.blake2b(x.tobytes() + y.tobytes() + v.tobytes(), digest_size=16).digest()
        key = (data, len(form.bending))
        hyper = self._fits.get(key)
        if hyper is None:
            hyper = fitted(x, y, v, form)
            while len(self._fits) >= REMEMBERED:
                self._fits.pop(next(iter(self._fits)), None)
            self._fits[key] = hyper
        return hyper

    def _selected(self, phi: Array, y: Array) -> Rows:
        """Indices of at most MOST rows."""
        n = len(phi)
        if n <= MOST:
            return np.arange(n)
        badness = np.argsort(np.argsort(y, axis=0, kind="stable"), axis=0).min(axis=1)
        order = np.argsort(badness, kind="stable")
        best = order[: MOST // 4]
        near = np.argsort(((phi - phi[order[0]]) ** 2).sum(axis=1), kind="stable")[: MOST // 2]
        chosen = np.union1d(best, near)
        rest = np.setdiff1d(np.arange(n), chosen)
        even = rest[np.linspace(0, len(rest) - 1, MOST - len(chosen)).astype(np.intp)]
        return np.union1d(chosen, even)

    def _aligned(self, known: Knowledge, phi: Array) -> tuple[Array, Array]:
        """(n, m) each: values on the scale of this study, and their errors."""
        y, errors = known.y.copy(), known.errors.copy()
        own = known.measured & (known.source == 0)
        for k in range(1, int(known.source.max(initial=0)) + 1):
            theirs = np.flatnonzero(known.measured & (known.source == k))
            if len(theirs) < 2:
                y[theirs] = np.nan
                continue
            for j in range(y.shape[1]):
                warp = Warp.of(y[theirs, j])
                t = warp(y[theirs, j])
                noise = (errors[theirs, j] * warp.slope(y[theirs, j])) ** 2
                rows = self._selected(phi[theirs], t[:, None])
                hyper = self._hyper(
                    self._form, phi[theirs], y[theirs, j], errors[theirs, j], rows, partial(_warped, 0.0)
                )
                model = Posterior(hyper, phi[theirs[rows]], t[rows], noise[rows])
                y[theirs, j], errors[theirs, j] = _onto(warp, t, model.mean(phi[own]), known.y[own, j], noise)
        return y, errors


def _warped(straight: float, y: Array, errors: Array) -> tuple[Array, Array]:
    warp = Warp.of(y, straight)
    return warp(y), (errors * warp.slope(y)) ** 2


def _bent(c: Array, errors: Array) -> tuple[Array, Array]:
    return Violations.of(c)(c), errors


def _onto(warp: Warp, theirs: Array, at_ours: Array, ours: Array, noise: Array) -> tuple[Array, Array]:
    """Targets of another study on the scale of ours, and their errors; `at_ours` is what its model says of our places.

    The line is that of least squares, with LIKE_ROWS trials more that lie on the line of equal scales.
    """
    unit = 1.0 / float(warp.slope(np.array([warp.median]))[0])  # of theirs, for one of a target
    middle = float(warp.inverse(np.zeros(1))[0])
    if not len(ours):
        return warp.inverse(theirs), np.sqrt(noise + UNLIKE**2) / warp.slope(warp.inverse(theirs))
    clipped = np.clip(ours, *np.quantile(ours, [0, 0.9])) if len(ours) > 4 else ours
    extra = np.array([-1.0, 1.0])
    x, y = np.append(at_ours, extra), np.append(clipped, middle + unit * extra)
    weight = np.append(np.ones(len(ours)), np.full(2, LIKE_ROWS / 2))
    centre = np.average(x, weights=weight)
    slope = max(
        0.0, float(np.average((x - centre) * y, weights=weight) / np.average((x - centre) ** 2, weights=weight))
    )
    level = float(np.average(y, weights=weight))
    left = y - level - slope * (x - centre)
    spread = float(np.average(left**2, weights=weight)) + (UNLIKE * slope) ** 2 * LIKE_ROWS / weight.sum()
    return level + slope * (theirs - centre), np.sqrt(spread + noise * slope**2)


def key(known: Knowledge) -> Hashable:
    """What tells two states of knowledge apart."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (known.u, known.y, known.errors, known.violations, known.failed, known.source, known.pending):
        digest.update(part.tobytes())
    return digest.digest()
