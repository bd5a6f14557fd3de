"""A Gaussian process whose hyperparameters maximise the posterior density (MAP), with analytic gradients.

    Φ  (n, D)  features          y  (n,)  standardised targets        v  (n,)  noise variance known of each point
    θ  (G + 2,)  log ℓ_1 … log ℓ_G, log s², log σ²                    K = s² M(Φ; ℓ) + diag(σ² + v)

minimised: ½ yᵀK⁻¹y + ½ log|K| − log p(ℓ) − log p(s²) − log p(σ²), where

    ℓ_g ~ LogNormal(√2 + ½ log d, √3)   its density taken in ℓ itself, so that its mode is at 0.21 √d: distances grow with
                                        √d, and without this prior MAP calls dimensions irrelevant after ten points
                                        (Hvarfner, Hellsten & Nardi 2024, section 5)
    σ²  ~ LogNormal(NOISE)              most objectives repeat themselves well; the wide prior lets data say otherwise
    s²  ~ LogNormal(0, SIGNAL)          targets have variance 1

The fit begins at the same place whatever was fitted before: equal data, equal model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri

from rung.search.gp.kernel import matern, squared_distances
from rung.space.space import Array

LOC, SCALE = np.sqrt(2.0), np.sqrt(3.0)
NOISE = (-4.0, 1.0)  # log σ²: about 0.02 at the centre
SIGNAL = 1.0
JITTER = 1e-6  # of s²: keeps K positive definite where points coincide
LOWEST, HIGHEST = np.log(0.01), np.log(100.0)  # of a length scale: beyond, nothing changes on the unit cube
LEAST_NOISE, MOST_NOISE = np.log(1e-6), 2.0
START = (-0.69, -4.0)
"""Where fits begin: log ℓ − ½ log d, log σ². From more noise, structure is often mistaken for noise: regret after 50 trials
was .1 higher from (0, −2), although noisy objectives are then modelled better."""
STEPS = 40


@dataclass(frozen=True, slots=True)
class Hyper:
    """θ, and what follows from it."""

    theta: Array
    groups: NDArray[np.intp]

    @property
    def root_w(self) -> Array:
        """(D,) √w for each feature."""
        return np.asarray(np.exp(-self.theta[:-2])[self.groups])

    @property
    def signal(self) -> float:
        """s²."""
        return float(np.exp(self.theta[-2]))

    @property
    def noise(self) -> float:
        """σ²."""
        return float(np.exp(self.theta[-1]))


def negative_log_posterior(
    theta: Array, phi: Array, y: Array, known: Array, groups: NDArray[np.intp], d: int
) -> tuple[float, Array]:
    """The value that is minimised, up to a constant, and its gradient."""
    hyper = Hyper(theta, groups)
    scaled = phi * hyper.root_w
    n, count = len(y), len(theta) - 2
    k, slope = matern(squared_distances(scaled, scaled))
    k *= hyper.signal
    covariance = k.copy()
    covariance.flat[:: n + 1] += hyper.noise + known + JITTER * hyper.signal
    factor, failed = dpotrf(covariance, lower=1, overwrite_a=1)
    if failed:
        return 1e10, np.zeros_like(theta)
    inverse, _ = dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ y
    value = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor)).sum())
    outer = inverse
    outer -= np.outer(alpha, alpha)  # ∂value/∂K = ½ outer
    gradient = np.empty_like(theta)
    gradient[-2] = 0.5 * (np.vdot(outer, k) + JITTER * hyper.signal * np.trace(outer))
    gradient[-1] = 0.5 * hyper.noise * np.trace(outer)
    q = outer
    q *= slope
    q *= hyper.signal
    # ½ Σ_ab outer_ab ∂k_ab/∂r² ∂r²/∂log ℓ = ½ Σ_ab q_ab · 2 (x_a − x_b)²
    sums = 2.0 * (q.sum(axis=1) @ (scaled * scaled)) - 2.0 * np.einsum("ij,ij->j", scaled, q @ scaled)
    gradient[:-2] = np.bincount(groups, sums, minlength=count) if count else 0.0
    return _with_priors(value, gradient, theta, d)


def _with_priors(value: float, gradient: Array, theta: Array, d: int) -> tuple[float, Array]:
    log_l = theta[:-2]
    off = log_l - (LOC + 0.5 * np.log(max(d, 1)))
    value += float(np.sum(0.5 * off * off / SCALE**2 + log_l))
    gradient[:-2] += off / SCALE**2 + 1.0
    value += 0.5 * (theta[-2] / SIGNAL) ** 2
    gradient[-2] += theta[-2] / SIGNAL**2
    off_noise = theta[-1] - NOISE[0]
    value += 0.5 * (off_noise / NOISE[1]) ** 2
    gradient[-1] += off_noise / NOISE[1] ** 2
    return value, gradient


def fitted(phi: Array, y: Array, known: Array, groups: NDArray[np.intp], d: int) -> Hyper:
    """The hyperparameters of highest posterior density that are found from START."""
    from scipy.optimize import fmin_l_bfgs_b  # noqa: PLC0415 - 0.2 s, which samplers without a model need not pay

    count = int(groups.max(initial=-1)) + 1
    start = np.r_[np.full(count, START[0] + 0.5 * np.log(max(d, 1))), 0.0, START[1]]
    bounds = [(LOWEST, HIGHEST)] * count + [(-4.0, 4.0), (LEAST_NOISE, MOST_NOISE)]
    if len(y) < 2:
        return Hyper(start, groups)
    theta, _, _ = fmin_l_bfgs_b(
        negative_log_posterior,
        start,
        args=(phi, y, known, groups, d),
        bounds=bounds,
        maxiter=STEPS,
        maxfun=STEPS + 10,
        factr=1e9,
    )
    return Hyper(np.asarray(theta), groups)


@dataclass(slots=True)
class Posterior:
    """What a model believes: targets at Φ under θ. Points in `pending` are believed to get what is expected of them,
    which leaves the mean as it is and takes away variance (Ginsbourger, Le Riche & Carraro 2010, section 4.2).
    """

    hyper: Hyper
    phi: Array
    y: Array
    known: Array
    pending: Array | None = None
    alpha: Array = field(init=False)
    scaled: Array = field(init=False)
    all_scaled: Array = field(init=False)
    factor: Array = field(init=False)
    _inverse: Array | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        root_w = self.hyper.root_w
        self.scaled = self.phi * root_w
        n = len(self.y)
        extra = 0 if self.pending is None else len(self.pending)
        self.all_scaled = self.scaled if self.pending is None else np.vstack([self.scaled, self.pending * root_w])
        k, _ = matern(squared_distances(self.all_scaled, self.all_scaled))
        k *= self.hyper.signal
        # Without noise: what is expected is the noise-free value, and to try it again would be to learn nothing.
        noise = np.r_[self.hyper.noise + self.known, np.zeros(extra)]
        k.flat[:: n + extra + 1] += noise + JITTER * self.hyper.signal
        self.factor = _cholesky(k)
        # The first n rows of the factor are the factor of the points without the pending ones.
        top = np.asfortranarray(self.factor[:n, :n])
        half = dtrsm(1.0, top, self.y[:, None], lower=1)
        self.alpha = dtrsm(1.0, top, half, lower=1, trans_a=1)[:, 0]

    def mean(self, phi: Array) -> Array:
        """(m,) of the noise-free target."""
        k, _ = matern(squared_distances(phi * self.hyper.root_w, self.scaled))
        return np.asarray(self.hyper.signal * (k @ self.alpha))

    def mean_and_deviation(self, phi: Array) -> tuple[Array, Array]:
        """(m,) each, of the noise-free target."""
        k, _ = matern(squared_distances(phi * self.hyper.root_w, self.all_scaled))
        k *= self.hyper.signal
        mean = k[:, : len(self.y)] @ self.alpha
        half = dtrsm(1.0, self.factor, k.T, lower=1)
        variance = self.hyper.signal - np.einsum("ij,ij->j", half, half)
        return mean, np.sqrt(np.maximum(variance, 1e-12 * self.hyper.signal))

    def with_gradients(self, phi: Array) -> tuple[Array, Array, Array, Array]:
        """(m,), (m,), (m, D), (m, D): mean and deviation, and their gradients by the features."""
        root_w = self.hyper.root_w
        scaled = phi * root_w
        n = len(self.y)
        k, slope = matern(squared_distances(scaled, self.all_scaled))
        k *= self.hyper.signal
        slope *= self.hyper.signal
        mean = k[:, :n] @ self.alpha
        solved = k @ self.inverse
        variance = np.maximum(self.hyper.signal - np.einsum("ij,ij->i", k, solved), 1e-12 * self.hyper.signal)
        deviation = np.sqrt(variance)
        # ∂k_ab/∂φ_a = −2 slope_ab w (φ_a − φ_b), summed over b with weights c_b: −2 (Σ c slope φ_a − Σ c slope φ_b) w
        by_mean = slope[:, :n] * self.alpha
        d_mean = -2.0 * (by_mean.sum(axis=1)[:, None] * scaled - by_mean @ self.scaled) * root_w
        by_variance = slope * solved
        d_variance = 4.0 * (by_variance.sum(axis=1)[:, None] * scaled - by_variance @ self.all_scaled) * root_w
        return mean, deviation, d_mean, d_variance / (2.0 * deviation[:, None])

    @property
    def inverse(self) -> Array:
        """K⁻¹ of all points."""
        if self._inverse is None:
            lower, _ = dpotri(self.factor, lower=1)
            self._inverse = np.tril(lower) + np.tril(lower, -1).T
        return self._inverse


def _cholesky(k: Array) -> Array:
    """The lower factor; with more on the diagonal where rounding has made k indefinite."""
    lift = 0.0
    for attempt in range(8):
        factor, failed = dpotrf(k + lift * np.eye(len(k)) if lift else k, lower=1)
        if not failed:
            return np.asarray(factor)
        lift = 1e-8 * 100.0**attempt * float(np.diag(k).mean())
    raise FloatingPointError("a covariance matrix has no Cholesky factor")  # its diagonal was multiplied by a million
