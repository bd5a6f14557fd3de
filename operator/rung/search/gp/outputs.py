"""Targets: what the models are told instead of the values that trials reported.

`Warp` is linear up to the median and logarithmic beyond it, then standardised: how bad a bad trial is must not decide what
good ones look like, but that it is worse should be known. It is monotone, so nothing changes its rank. Of several
objectives, where volumes count and the worst value of one belongs to the best of another, it is linear much further.

`Violations` keeps its zero, where feasible and infeasible part, and is logarithmic in both directions: by how far a point
misses matters less the further it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.space.space import Array

LARGEST = 1e150  # values beyond are as good as infinite; squares and sums of these still are doubles
_EQUAL = 1e-12  # relative: closer values are equal but for rounding


@dataclass(frozen=True, slots=True)
class Warp:
    """t = (g((y − median) / spread) − shift) / scale with g(x) = x up to `straight`, and logarithmic beyond."""

    median: float
    spread: float
    shift: float
    scale: float
    straight: float = 0.0

    @staticmethod
    def of(y: Array, straight: float = 0.0) -> Warp:
        """That makes the targets of y have mean 0 and deviation 1. The spread is that of the better half."""
        y = np.clip(y, -LARGEST, LARGEST)
        median = float(np.median(y))
        least = _EQUAL * max(abs(median), 1e-290)
        below = y[y <= median]
        spread = float(np.sqrt(np.mean((below - median) ** 2)))
        if spread <= least:
            spread = float(np.sqrt(np.mean((y - median) ** 2)))
        if spread <= least:
            return Warp(median, 1.0, 0.0, 1.0, straight)  # all equal: nothing to scale
        t = _bent((y - median) / spread, straight)
        return Warp(median, spread, float(t.mean()), max(float(t.std()), 1e-9), straight)

    def __call__(self, y: Array) -> Array:
        """Targets of values."""
        x = (np.clip(y, -LARGEST, LARGEST) - self.median) / self.spread
        return (_bent(x, self.straight) - self.shift) / self.scale

    def inverse(self, t: Array) -> Array:
        """Values of targets."""
        x = t * self.scale + self.shift - self.straight
        return self.median + self.spread * (self.straight + np.where(x > 0, np.expm1(np.minimum(x, 345.0)), x))

    def slope(self, y: Array) -> Array:
        """Dt/dy: what turns a standard error of y into one of t."""
        x = (np.clip(y, -LARGEST, LARGEST) - self.median) / self.spread - self.straight
        return np.asarray(1.0 / (1.0 + np.maximum(x, 0.0)) / (self.spread * self.scale))


@dataclass(frozen=True, slots=True)
class Violations:
    """t = asinh(c / unit) / scale − shift."""

    unit: float
    scale: float
    shift: float

    @staticmethod
    def of(c: Array) -> Violations:
        """That makes the targets of c have mean 0 and deviation 1; a typical violation is where they begin to bend."""
        c = np.clip(c, -LARGEST, LARGEST)
        size = np.abs(c)
        unit = max(float(np.median(size)), _EQUAL * float(size.max())) or 1.0
        t = np.arcsinh(c / unit)
        scale = float(t.std())
        scale = scale if scale > 1e-9 else 1.0
        return Violations(unit, scale, float(t.mean()) / scale)

    def __call__(self, c: Array) -> Array:
        """Targets of violations."""
        return np.asarray(np.arcsinh(np.clip(c, -LARGEST, LARGEST) / self.unit) / self.scale - self.shift)


def _bent(x: Array, straight: float) -> Array:
    return np.asarray(np.where(x > straight, straight + np.log1p(np.maximum(x - straight, 0.0)), x))
