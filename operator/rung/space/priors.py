"""Priors: where good values are expected, as a map of the unit interval onto itself.

    v   a place on the parameter's scale: 0 at its lower end, 1 at its upper one
    u   the coordinate that samplers see
    u = F(v), F the distribution function of a normal distribution on the scale, cut off at both ends

Equal lengths of u are equally likely, so a uniform u gives normally distributed values: every sampler follows a prior
without knowing of it, and a model sees the region where good values are expected spread out.

The little that lies beyond TAIL deviations is spread evenly up to the end: no value is ever out of reach, and two
places that a double can tell apart stay apart in u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

TAIL = 3.0
"""Deviations. A prior of a sixth of the range around its middle, the customary one, has no flat tail."""

FLAT = 10.0
"""Ranges. A normal distribution that is wider than so many is even over the range, to half a percent."""

_QUANTILE = NormalDist().inv_cdf  # Wichura 1988, algorithm AS 241: 16 digits


@dataclass(frozen=True, slots=True)
class Bend:
    """One prior on one range, in standard scores: (value on the scale - mean) / deviation."""

    first: float  # the ends of the range
    last: float
    low: float  # between these two it is normal
    high: float
    below: float  # probabilities of the flat tails and of the whole, before that is scaled to 1
    above: float
    total: float

    @staticmethod
    def of(mean: float, deviation: float, first: float, last: float) -> Bend:
        """For a range with `first` < `last`, all on the scale. A mean beyond it (behind the last step) is at its end."""
        mean = min(max(mean, first), last)
        deviation = min(deviation, FLAT * (last - first))
        a, b = (first - mean) / deviation, (last - mean) / deviation
        low, high = max(a, -TAIL), min(b, TAIL)
        below, above = _below(a), _below(-b)
        return Bend(a, b, low, high, _below(low) - below, _below(-high) - above, 1.0 - below - above)

    def share(self, v: float) -> float:
        """U of a place. Each tail is computed from its own end, where alone doubles are fine enough."""
        if not 0.0 < v < 1.0:
            return 0.0 if v <= 0.0 else 1.0
        a, b, total = self.first, self.last, self.total
        z = a + v * (b - a)
        if z <= self.low and a < self.low:
            return self.below / total * (v * (b - a) / (self.low - a))
        if z >= self.high and self.high < b:
            return 1.0 - self.above / total * ((1.0 - v) * (b - a) / (b - self.high))
        if z < 0.0:
            return (self.below + _below(z) - _below(self.low)) / total
        return 1.0 - (self.above + _below(-z) - _below(-self.high)) / total

    def place(self, u: float) -> float:
        """The place of which u is the share."""
        if not 0.0 < u < 1.0:
            return 0.0 if u <= 0.0 else 1.0
        a, b = self.first, self.last
        p, q = u * self.total, (1.0 - u) * self.total
        if p <= self.below and a < self.low:
            return p / self.below * (self.low - a) / (b - a)
        if q <= self.above and self.high < b:
            return 1.0 - q / self.above * (b - self.high) / (b - a)
        lower = _below(self.low) + p - self.below
        z = _QUANTILE(lower) if lower <= 0.5 else -_QUANTILE(_below(-self.high) + q - self.above)
        return min(max((z - a) / (b - a), 0.0), 1.0)


def _below(z: float) -> float:
    """The share of a standard normal distribution that lies below z, exact in the lower tail."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))
