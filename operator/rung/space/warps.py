"""Scales: monotone maps between a parameter's value and the axis on which equal lengths get equal shares of the search.

    Linear      w = x
    Log         w = ln x             0 < x      each factor of ten gets the same share
    ReverseLog  w = -ln(1 - x)       x < 1      the gap to 1 is on a log scale: 0.9, 0.99 and 0.999 are evenly spaced

All grow with x. The same object says how finely a sampled value is written, see `Warp.digits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

EXACT = 13
"""Decimals of numbers around 1 that survive the way through the cube: a double has 15."""

EXACT_UNDER_PRIOR = 11
"""Where a prior is flat, an error of its coordinate becomes one of the value that is up to 700 times as large."""

SIGNIFICANT = 4
"""Significant digits of a sampled real number: what a table shows is then what the program was given, and no objective
is so sharp that a ten-thousandth of its argument is felt."""


class Warp(Protocol):
    """One scale on one range."""

    def forward(self, x: float) -> float:
        """From the value to the axis."""

    def backward(self, w: float) -> float:
        """From the axis to the value."""

    def digits(self, x: float) -> int:
        """Decimals to which a value near `x` is rounded.

        So many that SIGNIFICANT digits of x remain (of 1 - x too, for ReverseLog), and that the whole range has at
        least a thousand values however narrow it is; but no more than arithmetic in doubles can bring back, so that a
        rounded value survives encoding and decoding.
        """


@dataclass(frozen=True, slots=True)
class Linear:
    """Equal differences get equal shares."""

    by_range: int
    most: int

    @staticmethod
    def of(low: float, high: float, exact: int = EXACT) -> Linear:
        """For a range."""
        largest = max(abs(low), abs(high))
        return Linear(SIGNIFICANT - 1 - magnitude(high - low), exact - magnitude(largest))

    def forward(self, x: float) -> float:
        """X."""
        return x

    def backward(self, w: float) -> float:
        """W."""
        return w

    def digits(self, x: float) -> int:
        """Decimals for a value near x; the error of low + u * (high - low) is in the 16th digit of the larger bound."""
        return min(max(SIGNIFICANT - 1 - magnitude(x), self.by_range), self.most)


@dataclass(frozen=True, slots=True)
class Log:
    """Equal ratios get equal shares."""

    by_range: int

    @staticmethod
    def of(low: float, high: float) -> Log:
        """For a range above 0."""
        return Log(SIGNIFICANT - 1 - magnitude(high - low))

    def forward(self, x: float) -> float:
        """Ln x."""
        return math.log(x)

    def backward(self, w: float) -> float:
        """E ** w."""
        return math.exp(w)

    def digits(self, x: float) -> int:
        """Decimals for a value near x; exp(log(x)) keeps about 13 digits of x."""
        own = magnitude(x)
        return max(SIGNIFICANT - 1 - own, min(self.by_range, 11 - own))


@dataclass(frozen=True, slots=True)
class ReverseLog:
    """Equal ratios of the gap to 1 get equal shares."""

    by_range: int
    exact: int = EXACT

    @staticmethod
    def of(low: float, high: float, exact: int = EXACT) -> ReverseLog:
        """For a range below 1."""
        return ReverseLog(SIGNIFICANT - 1 - magnitude(high - low), exact)

    def forward(self, x: float) -> float:
        """-ln(1 - x), exact near 0 too."""
        return -math.log1p(-x)

    def backward(self, w: float) -> float:
        """1 - e ** -w, exact near 0 too."""
        return -math.expm1(-w)

    def digits(self, x: float) -> int:
        """Decimals for a value near x; near 1 the gap is known to the 16th decimal, elsewhere to the 14th."""
        wanted = max(SIGNIFICANT - 1 - magnitude(1 - x), SIGNIFICANT - 1 - magnitude(x), self.by_range)
        return min(wanted, self.exact if x < 0.999 else 15, self.exact - magnitude(x))


def magnitude(x: float) -> int:
    """The power of ten of the first digit of x: 2 for 123, -2 for 0.05; 0 for 0."""
    return math.floor(math.log10(abs(x))) if x else 0
