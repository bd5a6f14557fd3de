"""What a point promises, as logarithms, since far from the incumbent expected improvements underflow.

    μ, σ  (k,)    belief about the target at k points; smaller is better      f*  what is to be beaten
    z = (f* − μ) / σ                    EI = σ h(z),  h(z) = φ(z) + z Φ(z)

`log_h` is accurate from z = −1e150 to the overflow of z: below −1 by h(z) = φ(z) (1 − |z| R(|z|)), R being Mills' ratio,
and below −5,000, where that difference is rounding, by its asymptote φ(z) (1 − 3 / z²) / z². Source: Ament et al. 2023, section 4.1.

Expected hypervolume improvement (EHVI) is ∫ P(Y ≤ z) dz over the part of the objective space that the front leaves free.
That part is a union of disjoint boxes (`pareto.free_boxes`), and the objectives are independent given the models, so

    EHVI = Σ_boxes Π_j ∫_{l_j}^{u_j} Φ((t − μ_j) / σ_j) dt = Σ_boxes Π_j σ_j [h((u_j − μ_j) / σ_j) − h((l_j − μ_j) / σ_j)]

which is exact, and is summed as logarithms too. Source: Yang et al. 2019 (the same integral, over strips).
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr

from rung.space.space import Array

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
_FAR = -5e3
"""1 − |z| R(|z|) ≈ 1 / z² has lost 7 of 16 digits where z² is 2.5e7; from there on the asymptote is as good."""


def log_h(z: Array) -> Array:
    """Log of φ(z) + z Φ(z)."""
    z = np.asarray(z, dtype=float)
    out = np.empty_like(z)
    near = z > -1.0
    at = z[near]
    out[near] = np.log(np.exp(-0.5 * at * at - _LOG_ROOT_2PI) + at * np.exp(log_ndtr(at)))
    at = -z[~near]
    near_tail = at < -_FAR
    one_less = 1.0 - at * np.sqrt(np.pi / 2) * erfcx(at / np.sqrt(2))  # ≈ 1 / z²
    correction = np.where(
        near_tail,
        np.log(np.where(near_tail, one_less, 1.0)),
        np.log1p(-3.0 / np.maximum(at, -_FAR) ** 2) - 2.0 * np.log(at),
    )
    out[~near] = -0.5 * at * at - _LOG_ROOT_2PI + correction
    return out


def slope_of_log_h(z: Array, log_of_h: Array) -> Array:
    """Its derivative Φ(z) / h(z)."""
    return np.asarray(np.exp(np.minimum(log_ndtr(z) - log_of_h, 700.0)))


def log_ei(mean: Array, deviation: Array, best: float) -> Array:
    """(k,) log expected improvement."""
    return np.asarray(np.log(deviation) + log_h((best - mean) / deviation))


def log_ei_slopes(mean: Array, deviation: Array, best: float) -> tuple[Array, Array, Array]:
    """(k,) each: log EI, and its derivatives by μ and σ."""
    z = (best - mean) / deviation
    of_h = log_h(z)
    slope = slope_of_log_h(z, of_h)
    return np.log(deviation) + of_h, -slope / deviation, (1.0 - slope * z) / deviation


def log_feasible_slopes(mean: Array, deviation: Array) -> tuple[Array, Array, Array]:
    """(k,) each: log P(violation ≤ 0), and its derivatives by μ and σ."""
    z = -mean / deviation
    log_p = log_ndtr(z)
    ratio = np.exp(np.minimum(-0.5 * z * z - _LOG_ROOT_2PI - log_p, 700.0))  # φ / Φ
    return log_p, -ratio / deviation, -ratio * z / deviation


def log_ehvi_slopes(mean: Array, deviation: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """(k,), (k, m), (k, m): log EHVI of k points and its derivatives by μ and σ. The boxes are (b, m)."""
    spread = deviation[:, None, :]
    upper, lower = (high - mean[:, None, :]) / spread, (low - mean[:, None, :]) / spread  # (k, b, m)
    finite = np.isfinite(lower)
    log_upper, log_lower = log_h(upper), np.full(lower.shape, -np.inf)
    log_lower[finite] = log_h(lower[finite])
    # log(h(u) − h(l)) = log h(u) + log(1 − e^{log h(l) − log h(u)})
    gap = np.minimum(log_lower - log_upper, -1e-15)
    log_edge = log_upper + np.log(-np.expm1(gap))
    log_box = log_edge.sum(axis=2) + np.log(deviation).sum(axis=1)[:, None]
    top = log_box.max(axis=1)
    share = np.exp(log_box - top[:, None])
    total = share.sum(axis=1)
    share /= total[:, None]
    # σ [h(u) − h(l)]: by μ it is −[Φ(u) − Φ(l)], by σ it is φ(u) − φ(l)
    by_mean = -_ratio(log_ndtr(upper), np.where(finite, log_ndtr(lower), -np.inf), log_edge) / spread
    by_deviation = _ratio(_log_phi(upper), _log_phi(lower), log_edge) / spread
    value = top + np.log(total)
    return value, np.einsum("kb,kbm->km", share, by_mean), np.einsum("kb,kbm->km", share, by_deviation)


def log_ehvi(mean: Array, deviation: Array, low: Array, high: Array) -> Array:
    """(k,) log EHVI."""
    return log_ehvi_slopes(mean, deviation, low, high)[0]


def _log_phi(z: Array) -> Array:
    return np.asarray(-0.5 * z * z - _LOG_ROOT_2PI)


def _ratio(log_a: Array, log_b: Array, log_c: Array) -> Array:
    """(a − b) / c."""
    return np.asarray(np.exp(np.minimum(log_a - log_c, 700.0)) - np.exp(np.minimum(log_b - log_c, 700.0)))
