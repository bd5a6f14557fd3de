"""Covariance matrix adaptation: one generation after the other moves and shapes a normal distribution.

    N      axes                            λ    points of a generation; μ = ⌊λ/2⌋ of them pull, the rest push
    m      (N,)    mean                    σ    step size, relative to C
    C      (N, N)  covariance              w    (λ,) weights by rank, the first μ sum to 1, the others are negative
    p_σ, p_c  (N,) evolution paths         y    (λ, N)  (x − m) / σ
    q      (A, K)  probabilities of the values of A choices; 0 beyond a choice's own values

A discrete axis keeps a *margin*: the distribution leaves the cell of its mean with a probability of at least
α = 1 / (N λ) on either side, or it would never try another value again once its spread is below a cell. Choices have
probabilities of their own that follow the same weights, with a margin likewise.

Points need not come from the distribution: they may have been drawn before it moved, or be the user's. Steps too long
for it are shortened to the length that the longest of its own would have (Hansen 2011). Equal ranks share weights.

Sources: Hansen 2016 (the CMA-ES tutorial), equations 49 to 58 and table 1, with negative weights; Hamano et al. 2022,
section 4 (margin); Hamano et al. 2024 (CatCMA) for choices, with a fixed rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rung.space.space import Array

CHOICE_RATE = 0.3
"""How far probabilities of choices move to what the weights say in a generation."""

WIDEST = 0.5
"""The largest standard deviation on the unit interval: mirrored at its ends, more would be no wider."""


@dataclass(frozen=True, slots=True)
class Normal:
    """The distribution between two generations; see the module for the symbols."""

    mean: Array
    sigma: float
    covariance: Array
    path_sigma: Array
    path_c: Array
    choices: Array
    generation: int
    axes: Array  # (N, N) eigenvectors of C in columns
    lengths: Array  # (N,) square roots of its eigenvalues

    @property
    def deviations(self) -> Array:
        """(N,) the standard deviation on each axis."""
        return np.asarray(self.sigma * np.sqrt(np.diag(self.covariance)))


@dataclass(frozen=True, slots=True)
class Constants:
    """Weights and rates for N and λ: Hansen 2016, table 1."""

    weights: Array
    mu: int
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    expected: float  # E‖N(0, I)‖


@lru_cache(maxsize=64)
def constants(n: int, population: int) -> Constants:
    """For n axes (at least one) and a population of at least two."""
    mu = population // 2
    raw = np.log((population + 1) / 2) - np.log(np.arange(1, population + 1))
    mu_eff = raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum()
    mu_eff_minus = raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum() if (raw[mu:] != 0).any() else 0.0
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
    c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))
    negative = min(1 + c_1 / c_mu, 1 + 2 * mu_eff_minus / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu))
    lost = -raw[raw < 0].sum()
    weights = np.where(raw >= 0, raw / raw[raw > 0].sum(), negative * raw / (lost or 1.0))
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
    expected = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
    return Constants(weights, mu, float(mu_eff), float(c_sigma), float(d_sigma), c_c, c_1, c_mu, expected)


def initial(mean: Array, sigma: float, choices: Array) -> Normal:
    """A round distribution."""
    n = len(mean)
    return Normal(mean, sigma, np.eye(n), np.zeros(n), np.zeros(n), choices, 0, np.eye(n), np.ones(n))


def adapted(before: Normal, x: Array, place: Array) -> Normal:
    """The distribution after a generation of points x (λ, N) with their places (λ,), 0 for the best."""
    n = len(before.mean)
    if not n or place.max() == place.min():
        return replace(before, generation=before.generation + 1)  # nothing to adapt, or equals, which teach nothing
    k = constants(n, len(x))
    w = shared(k.weights, place)
    y, reach = _steps(before, x)
    mean_step = shared(np.maximum(k.weights, 0.0), place) @ y
    whitened = before.axes @ ((before.axes.T @ mean_step) / before.lengths)
    generation = before.generation + 1
    path_sigma = (1 - k.c_sigma) * before.path_sigma + math.sqrt(k.c_sigma * (2 - k.c_sigma) * k.mu_eff) * whitened
    length = float(np.linalg.norm(path_sigma))
    settled = math.sqrt(1 - (1 - k.c_sigma) ** (2 * generation))
    moves = 1.0 if length / settled < (1.4 + 2 / (n + 1)) * k.expected else 0.0
    path_c = (1 - k.c_c) * before.path_c + moves * math.sqrt(k.c_c * (2 - k.c_c) * k.mu_eff) * mean_step
    safe = np.where(w >= 0, w, w * n / np.maximum(reach**2, 1e-300))
    stalled = (1 - moves) * k.c_c * (2 - k.c_c)
    covariance = (1 + k.c_1 * stalled - k.c_1 - k.c_mu * w.sum()) * before.covariance
    covariance += k.c_1 * np.outer(path_c, path_c) + k.c_mu * (y.T * safe) @ y
    sigma = before.sigma * math.exp(min(1.0, k.c_sigma / k.d_sigma * (length / k.expected - 1)))
    mean = np.clip(before.mean + before.sigma * mean_step, 0.0, 1.0)
    return factored(replace(
        before, mean=mean, sigma=sigma, covariance=covariance, path_sigma=path_sigma, path_c=path_c, generation=generation
    ))  # fmt: skip


def _steps(before: Normal, x: Array) -> tuple[Array, Array]:
    """(λ, N) steps in units of σ, none longer than the distribution's own would be, and (λ,) their lengths in it."""
    n = len(before.mean)
    y = (x - before.mean) / before.sigma
    reach = np.linalg.norm(y @ before.axes / before.lengths, axis=1)
    most = math.sqrt(n) + 2 * n / (n + 2)
    short = np.minimum(1.0, most / np.maximum(reach, 1e-300))
    return y * short[:, None], reach * short


def shared(weights: Array, place: Array) -> Array:
    """(λ,) the weight of each point; equal ones get the mean of theirs."""
    order = np.argsort(place, kind="stable")
    group = np.unique(place, return_inverse=True)[1]
    ranked = group[order]
    sums = np.bincount(ranked, weights=weights)
    return np.asarray((sums / np.bincount(ranked))[group])


def factored(normal: Normal) -> Normal:
    """With the eigenvalues of its covariance, which keeps within what doubles and the unit interval can bear."""
    covariance = (normal.covariance + normal.covariance.T) / 2
    values, axes = np.linalg.eigh(covariance)
    values = np.clip(values, max(values[-1], 1e-300) * 1e-14, None)
    covariance = (axes * values) @ axes.T
    widest = normal.sigma * math.sqrt(float(np.diag(covariance).max()))
    sigma = normal.sigma * min(1.0, WIDEST / widest)
    return replace(normal, covariance=covariance, sigma=sigma, axes=axes, lengths=np.sqrt(values))


def with_margin(normal: Normal, low: Array, high: Array, alpha: float) -> Normal:
    """The distribution that leaves each mean's cell often enough.

    `low`, `high`: (N,) the ends of the cell of each mean; −inf and inf where nothing lies beyond, and on both sides
    where an axis is continuous.
    """
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 - only spaces with steps need it

    m, s = normal.mean.copy(), normal.deviations
    new = s.copy()
    below, above = ndtr((low - m) / s), ndtr((m - high) / s)
    inner = np.isfinite(low) & np.isfinite(high) & ((below < alpha / 2) | (above < alpha / 2))
    far = -ndtri(alpha)
    first, last = np.isinf(low) & np.isfinite(high), np.isfinite(low) & np.isinf(high)
    m[first] = np.maximum(m, high - far * s)[first]
    m[last] = np.minimum(m, low + far * s)[last]
    if inner.any():
        b, a = below[inner], above[inner]
        within = 1 - a - b
        b, a = np.maximum(b, alpha / 2), np.maximum(a, alpha / 2)
        surplus = (1 - b - a - within) / (b + a + within - 1.5 * alpha)
        z_low, z_high = ndtri(b + surplus * (b - alpha / 2)), ndtri(a + surplus * (a - alpha / 2))
        new[inner] = (high - low)[inner] / -(z_low + z_high)
        m[inner] = low[inner] - new[inner] * z_low
    if np.array_equal(new, s):
        return replace(normal, mean=m)
    scale = new / s
    return factored(replace(normal, mean=m, covariance=normal.covariance * np.outer(scale, scale)))


def chosen(before: Array, drawn: NDArray[np.intp], active: Array, place: Array, least: Array) -> Array:
    """(A, K) the probabilities of choices after a generation.

    `drawn` (λ, A): which value each point has; `active` (λ, A): 1.0 where it has one; `least` (A, K): their margins.
    """
    raw = np.log((len(place) + 1) / 2) - np.log(np.arange(1, len(place) + 1))
    w = shared(np.maximum(raw, 0.0) / np.maximum(raw, 0.0).sum(), place)
    hot = np.arange(before.shape[1]) == drawn[:, :, None]
    pull = np.einsum("t,td,tdk->dk", w, active, hot - before)
    q = before + CHOICE_RATE * pull
    free = np.maximum(q - least, 0.0)
    room = 1.0 - least.sum(axis=1, keepdims=True)
    return np.asarray(least + room * free / free.sum(axis=1, keepdims=True))
