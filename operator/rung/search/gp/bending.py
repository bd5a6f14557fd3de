"""Input warping: an axis bends, so that a function that changes fastest near one of its ends looks alike all along it.

    u, b    places on axes in [0, 1], and the bend of each axis; they broadcast
    w(u) = (e^{bu} − 1) / (e^b − 1), and u where b = 0

Monotone, its ends stay in their places, and all its derivatives are finite, which those of a power are not. b > 0 spreads
the upper end, b < 0 the lower one: with b = −4 half of the axis is what the lowest sixth was. So a parameter that was given
a linear scale where its effect is logarithmic, or the other way round, is put right by the data. Source: Snoek et al. 2014,
with one number for each axis where their distribution function of Beta has two.
"""

from __future__ import annotations

import numpy as np

from rung.space.space import Array

STRAIGHT = 1e-3  # smaller bends: by the series, whose next terms are of order 1e-11


def bent(u: Array, b: Array) -> Array:
    """w(u)."""
    small, safe = _parts(b)
    series = u + u * (u - 1.0) * (b / 2.0 + b * b * (2.0 * u - 1.0) / 12.0)
    return np.where(small, series, np.expm1(safe * u) / np.expm1(safe))


def by_place(u: Array, b: Array) -> Array:
    """∂w/∂u."""
    small, safe = _parts(b)
    series = 1.0 + b * (u - 0.5) + b * b * (6.0 * u * u - 6.0 * u + 1.0) / 12.0
    return np.where(small, series, safe * np.exp(safe * u) / np.expm1(safe))


def by_bend(u: Array, b: Array) -> Array:
    """∂w/∂b."""
    small, safe = _parts(b)
    series = u * (u - 1.0) * (0.5 + b * (2.0 * u - 1.0) / 6.0)
    whole = np.expm1(safe)
    exact = (u * np.exp(safe * u) - np.expm1(safe * u) * np.exp(safe) / whole) / whole
    return np.where(small, series, exact)


def _parts(b: Array) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], Array]:
    """Which bends are small, and the others."""
    small = np.abs(b) < STRAIGHT
    return small, np.where(small, 1.0, b)
