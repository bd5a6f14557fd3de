"""Where the curves of stopped and running trials would have led, from how those of other trials went on.

    levels  (L + 1,)  ascending steps: those where curves end, and the target last
    V  (n, L + 1)     value of each trial at each level (its latest up to there); NaN beyond the end of its curve

From each level to the next, a line is fitted to all trials that reached the next one: v' = v + a + b (v − v̄), with priors
that shrink a and b towards 0, so that one trial tells the common offset, several the trend. What the line leaves over is
the noise of that step; noise adds up along the way. Everything happens on warped values (`outputs.Warp`), so a diverged
curve is a bad one and nothing more.

A stopped trial was stopped because it was bad: a line from those that went on need only say so. Its noise lets the model
believe the trials that were run to their end more. This is the chain of rungs of freeze-thaw (Swersky, Snoek & Adams 2014)
with a line in the place of each kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rung.search.gp.outputs import Warp
from rung.space.space import Array

Curve = Sequence[tuple[float, float]]

LEVELS = 12  # schedulers have about five rungs; freely ended curves are cut to so many levels
OFFSET, TREND = 1.0, 0.3  # deviations of the priors of a and b, in units of standardised values
LEAST = 0.1  # deviation left over by a line, never less: a few lucky trials must not make it certain
UNSEEN = 0.5  # the same where no trial has gone on yet
PSEUDO = 2.0  # trials that UNSEEN is worth when the left-over deviation is estimated


def forecast(curves: Sequence[Curve], finals: Array, target: float) -> tuple[Array, Array]:
    """(n,) values at the target, and (n,) their standard errors.

    `finals` (n,) are the values of trials that are complete, NaN for the others, which are forecast. A trial that has
    no curve and is not complete stays NaN.
    """
    value, deviation = finals.copy(), np.zeros(len(finals))
    ends = np.array([curve[-1][0] if curve else np.nan for curve in curves])
    open_ = np.isnan(finals) & ~np.isnan(ends)
    if not open_.any():
        return value, deviation
    late = open_ & (ends >= target)  # ran to the end, whatever it was called
    value[late] = [curves[i][-1][1] for i in np.flatnonzero(late).tolist()]
    open_ &= ~late
    levels = np.append(_levels(ends[open_]), target)
    v = _at_levels(curves, levels)
    v[:, -1] = value
    lasts = np.array([curves[i][-1][1] for i in np.flatnonzero(open_).tolist()])
    warp = Warp.of(np.concatenate([lasts, value[~np.isnan(value)]]))
    t = warp(v)
    variance = np.zeros(len(t))
    for k in range(len(levels) - 1):
        here, there = t[:, k], t[:, k + 1]
        line = _Line(here, there)
        go_on = open_ & ~np.isnan(here) & np.isnan(there)
        t[go_on, k + 1], variance[go_on] = line.onwards(here[go_on], variance[go_on])
    value[open_] = warp.inverse(t[open_, -1])
    slope = warp.slope(value[open_])
    deviation[open_] = np.sqrt(variance[open_]) / slope
    return value, deviation


class _Line:
    """From one level to the next."""

    def __init__(self, here: Array, there: Array) -> None:
        both = ~np.isnan(here) & ~np.isnan(there)
        x, rise = here[both], there[both] - here[both]
        n = len(x)
        self.centre = float(x.mean()) if n else 0.0
        design = np.column_stack([np.ones(n), x - self.centre])
        prior = np.diag([1.0 / OFFSET**2, 1.0 / TREND**2])
        noise = UNSEEN**2
        for _ in range(3):  # the noise decides how far the priors count, and follows from the line
            precision = design.T @ design / noise + prior
            self.covariance = np.linalg.inv(precision)
            self.weights = self.covariance @ (design.T @ rise) / noise
            left = rise - design @ self.weights
            noise = max(LEAST**2, float(left @ left + PSEUDO * UNSEEN**2) / (n + PSEUDO))
        self.noise = noise

    def onwards(self, here: Array, variance: Array) -> tuple[Array, Array]:
        design = np.column_stack([np.ones(len(here)), here - self.centre])
        spread = np.einsum("ij,jk,ik->i", design, self.covariance, design)
        return here + design @ self.weights, variance * (1.0 + self.weights[1]) ** 2 + self.noise + spread


def _levels(ends: Array) -> Array:
    levels = np.unique(ends)
    if len(levels) > LEVELS:
        levels = np.unique(np.quantile(ends, np.linspace(0, 1, LEVELS), method="inverted_cdf"))
    return np.asarray(levels)


def _at_levels(curves: Sequence[Curve], levels: Array) -> Array:
    """(n, L + 1) the latest value up to each level; NaN beyond the end, or before the beginning, of a curve.

    A curve that ends between two levels is taken to end at the lower one, with its latest value.
    """
    out = np.full((len(curves), len(levels)), np.nan)
    for i, curve in enumerate(curves):
        if not curve:
            continue
        steps = np.array([step for step, _ in curve])
        values = np.array([value for _, value in curve])
        index = np.searchsorted(steps, levels, side="right") - 1
        seen = (index >= 0) & (levels <= steps[-1])
        out[i, seen] = values[index[seen]]
        lower = int(np.searchsorted(levels, steps[-1], side="right")) - 1
        out[i, max(lower, 0)] = values[-1]
    return out
