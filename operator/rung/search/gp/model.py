"""A Gaussian process whose hyperparameters maximise the posterior density (MAP), with analytic gradients.

    Φ  (n, D)  features          y  (n,)  standardised targets        v  (n,)  noise variance known of each point
    θ  (G + 2 + B + 0 or 1,)     log ℓ_1 … log ℓ_G, log s², log σ², b_1 … b_B, and of a model with times log c
                                 K = s² M(w(Φ; b); ℓ) + diag(σ² + v)

minimised: ½ yᵀK⁻¹y + ½ log|K| − log p(ℓ) − log p(s²) − log p(σ²) − log p(b), where

    ℓ_g ~ LogNormal(√2 + ½ log d, √3)   its density taken in ℓ itself, so that its mode is at 0.21 √d: distances grow with
                                        √d, and without this prior MAP calls dimensions irrelevant after ten points
                                        (Hvarfner, Hellsten & Nardi 2024, section 5)
    σ²  ~ LogNormal(NOISE)              most objectives repeat themselves well; the wide prior lets data say otherwise
    s²  ~ LogNormal(0, SIGNAL)          targets have variance 1
    b   ~ Normal(0, BEND)               how far each axis bends (`bending`): most scales are well chosen

Where points have times, so that what was seen long ago counts for less, K = s² M ∘ e^{−c |t − t'|} + diag(σ² + v):
(1 − ε)^{|t − t'| / 2} of Bogunovic, Scarlett & Cevher 2016 with c = −½ log(1 − ε). As there, forgetting is slow until data
say otherwise: c ~ LogNormal(FADE), half of it forgotten in 14 units.

The fit begins at the same place whatever was fitted before: equal data, equal model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri

from rung.search.gp.bending import bent, by_bend, by_place
from rung.search.gp.kernel import matern, squared_distances
from rung.space.space import Array

Index = NDArray[np.intp]

LOC, SCALE = np.sqrt(2.0), np.sqrt(3.0)
NOISE = (-4.0, 1.0)  # log σ²: about 0.02 at the centre
SIGNAL = 1.0
FADE = (np.log(0.05), 1.0)  # log c: ε is about 0.1
JITTER = 1e-6  # of s²: keeps K positive definite where points coincide
BEND = 1.0
"""With .5 as much is found in the mean of 29 problems; with 2 regret after 25, 50 and 100 trials was .01, .05 and .04 ± .025 higher
on thirteen. With linear scales in the place of logarithmic ones on five of them, regret after 100 trials is .22 with 1, .36
and .37 with those, .38 without bends."""
LOWEST, HIGHEST = np.log(0.01), np.log(100.0)  # of a length scale: beyond, nothing changes on the unit cube
LEAST_NOISE, MOST_NOISE = np.log(1e-6), 2.0
SLOWEST, FASTEST = np.log(1e-4), np.log(2.0)  # of c: nothing is forgotten, and all within a few units
LEAST_SPREAD = 1e-12  # of targets, as a variance: less is rounding
MOST_BENT = 6.0  # of b: half of the axis is then what the ninth part at one end was
START = (-0.69, -4.0)
"""Where fits begin: log ℓ − ½ log d, log σ². From more noise, structure is often mistaken for noise: regret after 50 trials
was .1 higher from (0, −2), although noisy objectives are then modelled better."""
STEPS = 40


@dataclass(frozen=True, slots=True)
class Hyper:
    """Hyperparameters, and what follows from them."""

    theta: Array  # (G + 2,): log ℓ, log s², log σ²
    groups: Index
    bends: Array | None = None  # (D,) b of each feature, 0 where it cannot bend; None: all are straight
    fade: float = 0.0  # c

    def scaled(self, phi: Array) -> Array:
        """(n, D) features bent, and divided by their length scales."""
        return (phi if self.bends is None else bent(phi, self.bends)) * self.root_w

    def slopes(self, phi: Array) -> Array:
        """(n, D), or (D,) where nothing bends: derivatives of `scaled` by the features."""
        return self.root_w if self.bends is None else self.root_w * by_place(phi, self.bends)

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


@dataclass(frozen=True, slots=True)
class Form:
    """What θ is made of: `groups` (D,) says which length scale each feature has, `bending` (B,) which features may bend."""

    groups: Index
    d: int
    bending: Index = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    @property
    def lengths(self) -> int:
        """G."""
        return int(self.groups.max(initial=-1)) + 1

    def hyper(self, theta: Array) -> Hyper:
        """Of θ, with log c behind it or without."""
        base, count = self.lengths + 2, len(self.bending)
        bends = None
        if count:
            bends = np.zeros(len(self.groups))
            bends[self.bending] = theta[base : base + count]
        timed = len(theta) > base + count
        return Hyper(theta[:base], self.groups, bends, float(np.exp(theta[-1])) if timed else 0.0)


def negative_log_posterior(
    theta: Array, phi: Array, y: Array, known: Array, form: Form, gaps: Array | None = None
) -> tuple[float, Array]:
    """The value that is minimised, up to a constant, and its gradient. With `gaps` (n, n), the |t − t'|, log c is last in theta."""
    hyper = form.hyper(theta)
    scaled = hyper.scaled(phi)
    n, count = len(y), form.lengths
    k, slope = matern(squared_distances(scaled, scaled))
    if gaps is not None:
        faded = np.exp(-hyper.fade * gaps)
        k *= faded
        slope *= faded
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
    gradient[count] = 0.5 * (np.vdot(outer, k) + JITTER * hyper.signal * np.trace(outer))
    gradient[count + 1] = 0.5 * hyper.noise * np.trace(outer)
    if gaps is not None:
        gradient[-1] = -0.5 * hyper.fade * np.vdot(outer, k * gaps)
        value += 0.5 * ((theta[-1] - FADE[0]) / FADE[1]) ** 2
        gradient[-1] += (theta[-1] - FADE[0]) / FADE[1] ** 2
    q = outer
    q *= slope
    q *= hyper.signal
    # ½ Σ_ab outer_ab ∂k_ab/∂r² ∂r²/∂log ℓ = ½ Σ_ab q_ab · 2 (x_a − x_b)²
    sums = 2.0 * (q.sum(axis=1) @ (scaled * scaled)) - 2.0 * np.einsum("ij,ij->j", scaled, q @ scaled)
    gradient[:count] = np.bincount(form.groups, sums, minlength=count) if count else 0.0
    if hyper.bends is not None:
        columns = form.bending
        x, b = scaled[:, columns], hyper.bends[columns]
        by_x = -2.0 * (q.sum(axis=1)[:, None] * x - q @ x) * hyper.root_w[columns]
        gradient[count + 2 : count + 2 + len(b)] = (by_x * by_bend(phi[:, columns], b)).sum(axis=0) + b / BEND**2
        value += 0.5 * float(b @ b) / BEND**2
    return _with_priors(value, gradient, hyper.theta, form.d), gradient


def _with_priors(value: float, gradient: Array, theta: Array, d: int) -> float:
    """The value with the priors of θ; the gradient gets theirs too."""
    log_l, log_signal, log_noise = theta[:-2], theta[-2], theta[-1]
    count = len(log_l)
    off = log_l - (LOC + 0.5 * np.log(max(d, 1)))
    value += float(np.sum(0.5 * off * off / SCALE**2 + log_l))
    gradient[:count] += off / SCALE**2 + 1.0
    value += 0.5 * (log_signal / SIGNAL) ** 2
    gradient[count] += log_signal / SIGNAL**2
    off_noise = log_noise - NOISE[0]
    value += 0.5 * (off_noise / NOISE[1]) ** 2
    gradient[count + 1] += off_noise / NOISE[1] ** 2
    return value


def fitted(phi: Array, y: Array, known: Array, form: Form, times: Array | None = None) -> Hyper:
    """The hyperparameters of highest posterior density that are found from START. `times` (n,): when each point was seen."""
    from scipy.optimize import fmin_l_bfgs_b  # noqa: PLC0415 - 0.2 s, which samplers without a model need not pay

    count, bends = form.lengths, len(form.bending)
    start = np.r_[np.full(count, START[0] + 0.5 * np.log(max(form.d, 1))), 0.0, START[1], np.zeros(bends)]
    bounds = [(LOWEST, HIGHEST)] * count + [(-4.0, 4.0), (LEAST_NOISE, MOST_NOISE)] + [(-MOST_BENT, MOST_BENT)] * bends
    gaps = None
    if times is not None:
        start, bounds = np.r_[start, FADE[0]], [*bounds, (SLOWEST, FASTEST)]
        gaps = np.abs(times[:, None] - times)
    theta = start
    if len(y) >= 2:
        theta, _, _ = fmin_l_bfgs_b(
            negative_log_posterior,
            start,
            args=(phi, y, known, form, gaps),
            bounds=bounds,
            maxiter=STEPS,
            maxfun=STEPS + 10,
            factr=1e9,
        )
    return form.hyper(np.asarray(theta))


@dataclass(slots=True)
class Posterior:
    """What a model believes: targets at Φ under θ. Points in `pending` are believed to get what is expected of them,
    which leaves the mean as it is and takes away variance (Ginsbourger, Le Riche & Carraro 2010, section 4.2). `ages`
    (n + p,) of a model with times: how long before the moment that is asked for each point was seen, pending ones behind.
    """

    hyper: Hyper
    phi: Array
    y: Array
    known: Array
    pending: Array | None = None
    ages: Array | None = None
    alpha: Array = field(init=False)
    scaled: Array = field(init=False)
    all_scaled: Array = field(init=False)
    factor: Array = field(init=False)
    _inverse: Array | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.scaled = self.hyper.scaled(self.phi)
        n = len(self.y)
        extra = 0 if self.pending is None else len(self.pending)
        self.all_scaled = (
            self.scaled if self.pending is None else np.vstack([self.scaled, self.hyper.scaled(self.pending)])
        )
        k, _ = matern(squared_distances(self.all_scaled, self.all_scaled))
        if self.ages is not None:
            k *= np.exp(-self.hyper.fade * np.abs(self.ages[:, None] - self.ages))
        k *= self.hyper.signal
        # Without noise: what is expected is the noise-free value, and to try it again would be to learn nothing.
        noise = np.r_[self.hyper.noise + self.known, np.zeros(extra)]
        k.flat[:: n + extra + 1] += noise + JITTER * self.hyper.signal
        self.factor = _cholesky(k)
        # The first n rows of the factor are the factor of the points without the pending ones.
        top = np.asfortranarray(self.factor[:n, :n])
        half = dtrsm(1.0, top, self.y[:, None], lower=1)
        self.alpha = dtrsm(1.0, top, half, lower=1, trans_a=1)[:, 0]

    @property
    def skill(self) -> float:
        """Share of the targets' variance that the model explains of points left out of it, one at a time: at most 1, and 0
        where it says no more of them than the mean of the others does (Rasmussen & Williams 2006, equation 5.12).
        """
        n = len(self.y)
        spread = float(((self.y - self.y.mean()) ** 2).sum()) * (n / (n - 1)) ** 2 if n > 1 else 0.0
        if spread < LEAST_SPREAD * n:
            return 0.0
        lower, _ = dpotri(self.factor[:n, :n], lower=1)
        misses = self.alpha / np.diag(lower)
        return 1.0 - float(misses @ misses) / spread

    def mean(self, phi: Array) -> Array:
        """(m,) of the noise-free target."""
        k, _ = self._kernel(self.hyper.scaled(phi), self.scaled)
        return np.asarray(self.hyper.signal * (k @ self.alpha))

    def mean_and_deviation(self, phi: Array) -> tuple[Array, Array]:
        """(m,) each, of the noise-free target."""
        k, _ = self._kernel(self.hyper.scaled(phi), self.all_scaled)
        k *= self.hyper.signal
        mean = k[:, : len(self.y)] @ self.alpha
        half = dtrsm(1.0, self.factor, k.T, lower=1)
        variance = self.hyper.signal - np.einsum("ij,ij->j", half, half)
        return mean, np.sqrt(np.maximum(variance, 1e-12 * self.hyper.signal))

    def with_gradients(self, phi: Array) -> tuple[Array, Array, Array, Array]:
        """(m,), (m,), (m, D), (m, D): mean and deviation, and their gradients by the features."""
        slopes = self.hyper.slopes(phi)
        scaled = self.hyper.scaled(phi)
        n = len(self.y)
        k, slope = self._kernel(scaled, self.all_scaled)
        k *= self.hyper.signal
        slope *= self.hyper.signal
        mean = k[:, :n] @ self.alpha
        solved = k @ self.inverse
        variance = np.maximum(self.hyper.signal - np.einsum("ij,ij->i", k, solved), 1e-12 * self.hyper.signal)
        deviation = np.sqrt(variance)
        # ∂k_ab/∂x_a = −2 slope_ab (x_a − x_b) of what is scaled, summed over b with weights c_b: −2 (Σ c slope x_a − Σ c slope x_b)
        by_mean = slope[:, :n] * self.alpha
        d_mean = -2.0 * (by_mean.sum(axis=1)[:, None] * scaled - by_mean @ self.scaled) * slopes
        by_variance = slope * solved
        d_variance = 4.0 * (by_variance.sum(axis=1)[:, None] * scaled - by_variance @ self.all_scaled) * slopes
        return mean, deviation, d_mean, d_variance / (2.0 * deviation[:, None])

    def _kernel(self, scaled: Array, points: Array) -> tuple[Array, Array]:
        """(m, n) each, for s² = 1, between what is asked and the first n points."""
        k, slope = matern(squared_distances(scaled, points))
        if self.ages is not None:
            faded = np.exp(-self.hyper.fade * np.abs(self.ages[: len(points)]))
            k *= faded
            slope *= faded
        return k, slope

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
