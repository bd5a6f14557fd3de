"""The history as arrays: what was tried where, what came out, and how far each figure can be trusted.

    n  trials that say something: finished ones with objectives, failed ones, and running ones with a curve
    U  (n, d)   where they lie              Y  (n, m)   objectives; NaN: none
    E  (n, m)   standard error of each objective: reported by the trial, or of the forecast where it was stopped
    C  (n, c)   violations; NaN: not reported
    failed (n,)  finished without objectives: Failed, Infeasible
    stopped (n,)  stopped early: Y is a forecast
    source (n,)  which study each is of (`observed.sources`)

Rows are in the order of `observed`, so the order in which facts arrive makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.api.facts import TrialState
from rung.search.gp.forecast import Curve, forecast
from rung.search.observed import Encoder, sources
from rung.search.protocol import Setting, Told
from rung.space.space import Array

HARDLY = 1.645
"""Standard errors that leave a chance of 5 %, as `CurveExtrapolation` does."""

_BROKEN = frozenset({TrialState.FAILED, TrialState.INFEASIBLE})


@dataclass(frozen=True, slots=True)
class Knowledge:
    """See the module. `pending` (p, d) is where unfinished trials lie."""

    u: Array
    y: Array
    errors: Array
    violations: Array
    failed: NDArray[np.bool_]
    stopped: NDArray[np.bool_]
    source: NDArray[np.intp]
    pending: Array

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(n,) Which trials have objectives."""
        return np.asarray(~np.isnan(self.y).any(axis=1))

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """(n,) Which trials of this study have objectives and violate nothing. What was not reported is not held
        against a trial.
        """
        return np.asarray(self.measured & ~(self.violations > 0).any(axis=1) & (self.source == 0))

    @property
    def pruned(self) -> bool:
        """Whether trials of this study were stopped early."""
        return bool((self.stopped & (self.source == 0)).any())


class Reader:
    """Reads histories of one study."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._encoder = Encoder(setting.space)

    def read(self, history: Sequence[Told]) -> Knowledge:
        """The history in arrays."""
        setting = self._setting
        observed = self._encoder.observed(history)
        told = observed.trials
        spoken = [i for i, trial in enumerate(told) if self._says_something(trial)]
        says = [told[i] for i in spoken]
        n, m = len(says), setting.objectives
        y = _table([trial.objectives for trial in says], m)
        errors = np.zeros((n, m))
        for i, trial in enumerate(says):
            if trial.deviations:
                errors[i] = [deviation or 0.0 for deviation in trial.deviations]
        violations = _table([trial.violations for trial in says], setting.constraints)
        source = sources(says)
        failed = np.array([trial.state in _BROKEN and not trial.objectives for trial in says], dtype=bool)
        stopped = np.zeros(n, dtype=bool)
        if setting.target is not None:
            partial = np.array([_is_partial(trial, setting.target) for trial in says], dtype=bool)
            stopped = partial & np.array([trial.state.finished for trial in says], dtype=bool)
            _complete([trial.curve for trial in says], y, errors, partial, stopped, source, setting.target)
        pending = [i for i, trial in enumerate(told) if not trial.state.finished and not trial.source]
        return Knowledge(observed.u[spoken], y, errors, violations, failed, stopped, source, observed.u[pending])

    def _says_something(self, trial: Told) -> bool:
        return bool(trial.objectives or trial.state in _BROKEN or (trial.curve and self._setting.target is not None))


def _table(rows: Sequence[Sequence[float] | None], columns: int) -> Array:
    """(n, columns); NaN where a trial has no row."""
    nothing = (np.nan,) * columns
    return np.array([row or nothing for row in rows], dtype=float).reshape(len(rows), columns)


def _complete(
    curves: Sequence[Curve],
    y: Array,
    errors: Array,
    partial: NDArray[np.bool_],
    stopped: NDArray[np.bool_],
    source: NDArray[np.intp],
    target: float,
) -> None:
    """Put forecasts of the first objective in the place of what unfinished and stopped trials had come to."""
    for k in np.unique(source[partial]):
        rows = np.flatnonzero(source == k)
        finals = np.where(partial[rows], np.nan, y[rows, 0])
        value, error = forecast([curves[i] for i in rows.tolist()], finals, target)
        if not np.isnan(finals).all():
            _judged(value, error, stopped[rows], float(np.nanmin(finals)))
        at, found = rows[partial[rows]], partial[rows]
        y[at, 0] = value[found]
        errors[at, 0] = np.hypot(error[found], errors[at, 0])
        y[at[np.isnan(y[at]).any(axis=1)]] = np.nan  # some objectives are not known yet


def _judged(value: Array, error: Array, stopped: NDArray[np.bool_], best: float) -> None:
    """Make forecasts of stopped trials agree with the verdict on them: none is better than the best whole run, but for a
    chance of HARDLY. Forecasts alone now and then promise more than the incumbent has, of a place where each trial is stopped
    anew: one study of lcbench_168330 spent its second half on 60 trials of which no two differed by more than a hundredth.
    """
    value[stopped] = np.maximum(value[stopped], best)
    error[stopped] = np.minimum(error[stopped], (value[stopped] - best) / HARDLY)


def _is_partial(trial: Told, target: float) -> bool:
    if not trial.curve or trial.state in _BROKEN:
        return False
    return not trial.state.finished or (trial.state is TrialState.STOPPED and trial.curve[-1][0] < target)
