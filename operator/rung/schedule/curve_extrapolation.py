"""Curve extrapolation: a trial stops once its own curve says that it will hardly be the best at the end.

    t      (k,)  steps so far as shares of the last one        φ_j(t)  shapes that fall: t**-c, exp(-c t), -ln t
    y      (k,)  values so far                                 a, b    y ≈ a + b φ_j(t), b ≥ 0, by weighted least squares

Each shape gives a forecast at t = 1, normal with the variance that least squares gives it, residuals and parameters both. Shapes
are averaged by their likelihood with the noise integrated out, RSS**(-k / 2). The trial stops if the probability that it ends
below the best value of any other trial so far, whole run or not, is less than DOUBT: whoever is that far already will
hardly end above it. Later values weigh more, by t: they say more about where a curve ends. The best so far at a step never
stops there, and nobody does before there are POINTS values.

Values are compared at every whole step from resource.min on, or at 32 evenly spaced ones, like the median rule does:
that is all that the record holds, and a verdict can be repeated from it.

Measured on curves of 200 random configurations each of two surrogates of networks (52 epochs) and two tables of optimisers
(50 epochs): 40 trials, 4 at a time, ten draws; how many of the epochs were trained, and what was given away of the best
final value, in units of what separates ten random trials from the optimum.

    scheduler            networks             optimisers
    ASHA                 11, 12 %   .48 .36   17, 13 %   .00 .14
    PASHA                10, 11 %   .48 .36   13, 11 %   .05 .15
    MedianStop           39, 37 %   .18 .26   26, 26 %   .00 .09
    CurveExtrapolation   48, 28 %   .00 .01   29, 31 %   .00 .00

Source: Domhan et al. 2015, with two
parameters fitted in closed form where the paper samples the parameters of eleven families.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rung.schedule.at_steps import AtSteps
from rung.schedule.protocol import Entry, Rung, RungTable, Statistic, Verdict
from rung.schedule.rungs import evenly
from rung.schedule.wording import Wording

Array = NDArray[np.float64]

DOUBT = 0.05
"""The paper's threshold."""

POINTS = 5
"""Of fewer values three are used up by the shape, and noise is anybody's guess."""

POWERS = np.array([0.1, 0.25, 0.5, 1.0, 2.0])
RATES = np.array([2.0, 4.0, 8.0, 16.0])

LEAST_NOISE = 0.01
"""Standard deviation, as a share of the range of the curve: a curve that fits exactly is still no certainty."""


class CurveExtrapolation(AtSteps):
    """Forecasts each trial by itself."""

    statistic = Statistic.REDUCED

    def __init__(self, low: int, high: int, *, wording: Wording | None = None) -> None:
        """Raises ValueError unless 1 <= low <= high."""
        super().__init__(evenly(low, high), high, wording)

    @property
    def _end(self) -> int:
        return self._steps[-1]

    def word(self, table: RungTable, entry: Entry) -> tuple[Verdict, str]:
        """Stop if the forecast leaves too little hope."""
        wording, value = self._wording, entry.value
        if entry.rung == self._end:
            return Verdict.CONTINUE, wording.last(entry.rung, value)
        t, y = self._curve(table, entry)
        others = [v for v in (_best_of_others(table.at(0, step), entry) for step in self._steps) if v is not None]
        if len(y) < POINTS or not others:
            return Verdict.CONTINUE, wording.unforeseen(entry.rung, value, points=len(y))
        goal = min(others)
        chance, mean = forecast(t, y, goal)
        is_best = table.at(0, entry.rung).compare(entry).rank == 1
        if chance < DOUBT and not is_best:
            of = max(table.at(0, step).compare(entry).n - 1 for step in self._steps)
            return Verdict.STOP, wording.hopeless(entry.rung, value, mean, goal, end=self._end, chance=chance, of=of)
        return Verdict.CONTINUE, wording.hopeful(entry.rung, value, mean, goal, end=self._end, chance=chance)

    def _curve(self, table: RungTable, entry: Entry) -> tuple[Array, Array]:
        """What the trial has said up to this entry: shares of the last step, and values."""
        before = (table.entry(entry.number, step) for step in self._steps if step < entry.rung)
        said = [(e.rung, e.value) for e in before if e is not None and e.order < entry.order]
        points = np.array([*said, (entry.rung, entry.value)], dtype=float)
        return points[:, 0] / self._end, points[:, 1]


def _best_of_others(rung: Rung, entry: Entry) -> float | None:
    """The best value that another trial recorded at the rung before the entry."""
    return next((e.value for e in rung if e.order < entry.order and e.number != entry.number), None)


def forecast(t: Array, y: Array, best: float) -> tuple[float, float]:
    """The probability that a curve ends below `best`, and its mean at the end."""
    size = max(float(np.abs(y).max()), abs(best), 1e-300)  # divided first: differences of enormous values overflow
    y, goal = y / size, best / size
    powers, rates = t[None, :] ** -POWERS[:, None], np.exp(-RATES[:, None] * t[None, :])
    shapes = np.vstack([powers, rates, -np.log(t)[None, :]])
    ends = np.concatenate([np.ones(len(POWERS)), np.exp(-RATES), [0.0]])
    w = t / t.sum()
    middle, mean = shapes @ w, float(w @ y)
    away = shapes - middle[:, None]
    spread = (away**2) @ w
    b = np.maximum(away @ (w * (y - mean)) / spread, 0.0)
    at_end = mean + b * (ends - middle)
    k = len(y)
    misfit = ((y - mean - b[:, None] * away) ** 2) @ w * k + (LEAST_NOISE * np.ptp(y)) ** 2 + 1e-24
    # Weights sum to 1, so k / (k - 2) times the mean misfit is the variance; both parameters add to it at the end.
    variance = misfit / (k - 2) * (1 + 1 / k + (ends - middle) ** 2 / (k * spread))
    likelihood = (misfit / misfit.min()) ** (-k / 2)
    share = likelihood / likelihood.sum()
    below = np.array([0.5 * math.erfc(z / math.sqrt(2)) for z in ((at_end - goal) / np.sqrt(variance)).tolist()])
    return float(share @ below), float(share @ at_end) * size
