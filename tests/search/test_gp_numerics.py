"""The GP's numbers against definitions: formulas written out densely, quadrature, finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr

from rung.pareto import free_boxes, hypervolume
from rung.search.gp.acquisition import (
    log_ehvi,
    log_ehvi_slopes,
    log_ei,
    log_ei_slopes,
    log_feasible_slopes,
    log_h,
)
from rung.search.gp.bending import bent, by_bend, by_place
from rung.search.gp.kernel import matern, squared_distances
from rung.search.gp.model import (
    BEND,
    FADE,
    JITTER,
    LOC,
    NOISE,
    SCALE,
    SIGNAL,
    Form,
    Hyper,
    Posterior,
    fitted,
    negative_log_posterior,
)
from rung.search.gp.scores import Score
from rung.space.space import Array

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

GROUPS = np.array([0, 1, 1, 2])
THETA = np.array([-0.5, 0.2, 0.7, 0.3, -3.0])
STRAIGHT, BENT = Form(GROUPS, 6), Form(GROUPS, 6, np.array([0, 3]))
BENDS = np.array([1.5, -0.7])  # of BENT
TIMES = np.repeat(np.arange(4.0), 3)


def data(n: int = 12, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    phi = rng.random((n, 4))
    return phi, np.sin(5 * phi).sum(axis=1) - 1, rng.choice([0.0, 0.3], n)


def kernel(theta: Array, a: Array, b: Array) -> Array:
    """Pair by pair."""
    out = np.empty((len(a), len(b)))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            r = np.sqrt(sum((x[k] - y[k]) ** 2 / np.exp(2 * theta[GROUPS[k]]) for k in range(4)))
            out[i, j] = np.exp(theta[-2]) * (1 + np.sqrt(5) * r + 5 / 3 * r * r) * np.exp(-np.sqrt(5) * r)
    return out


def slopes(f: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """Central differences."""
    steps = step * np.eye(len(x))
    return np.array([(f(x + e) - f(x - e)) / (2 * step) for e in steps])


def bent_by_hand(phi: Array, first: float, last: float) -> Array:
    """What BENT does to features."""
    out = phi.copy()
    for column, b in ((0, first), (3, last)):
        out[:, column] = (np.exp(b * phi[:, column]) - 1) / (np.exp(b) - 1)
    return out


class TestBending:
    BENDS = (-6.0, -1.0, -2e-3, -9e-4, -1e-6, 0.0, 1e-5, 9.9e-4, 1.01e-3, 0.5, 4.0, 6.0)

    @pytest.mark.parametrize("b", BENDS)
    def test_an_axis_keeps_its_ends_and_its_order(self, b: float) -> None:
        w = bent(np.linspace(0, 1, 101), np.float64(b))
        assert (w[0], w[-1]) == pytest.approx((0.0, 1.0), abs=1e-14)
        assert (np.diff(w) > 0).all()

    @pytest.mark.parametrize("b", BENDS)
    def test_a_bend_and_its_opposite_are_mirror_images(self, b: float) -> None:
        u = np.linspace(0, 1, 11)
        assert bent(1 - u, np.float64(-b)) == pytest.approx(1 - bent(u, np.float64(b)), abs=1e-10)

    @pytest.mark.parametrize("b", BENDS)
    def test_its_slopes_agree_with_differences(self, b: float) -> None:
        u, step = np.linspace(0, 1, 11), 1e-5
        by_u = (bent(u + step, np.float64(b)) - bent(u - step, np.float64(b))) / (2 * step)
        by_b = (bent(u, np.float64(b + step)) - bent(u, np.float64(b - step))) / (2 * step)
        assert by_place(u, np.float64(b)) == pytest.approx(by_u, rel=1e-5, abs=1e-6)
        assert by_bend(u, np.float64(b)) == pytest.approx(by_b, rel=1e-5, abs=1e-6)


class TestModel:
    def test_the_kernel_is_the_formula(self) -> None:
        phi, _, _ = data()
        scaled = phi * Hyper(THETA, GROUPS).root_w
        k, slope = matern(squared_distances(scaled, scaled))
        assert np.exp(THETA[-2]) * k == pytest.approx(kernel(THETA, phi, phi), abs=1e-12)
        r2 = np.linspace(1e-3, 9, 50)
        assert -matern(r2)[1] == pytest.approx((matern(r2 + 1e-6)[0] - matern(r2 - 1e-6)[0]) / 2e-6, rel=1e-5)
        assert slope.diagonal() == pytest.approx(5 / 6, abs=1e-6)

    def test_what_is_minimised_is_the_density_of_the_data_and_of_the_priors(self) -> None:
        phi, y, known = data()
        covariance = kernel(THETA, phi, phi) + np.diag(np.exp(THETA[-1]) + known + JITTER * np.exp(THETA[-2]))
        want = 0.5 * y @ np.linalg.solve(covariance, y) + 0.5 * np.linalg.slogdet(covariance)[1]
        lengths = np.exp(THETA[:3])
        log_normal = -np.log(lengths) - (np.log(lengths) - LOC - 0.5 * np.log(6)) ** 2 / (2 * SCALE**2)
        want -= log_normal.sum() - (THETA[3] / SIGNAL) ** 2 / 2 - ((THETA[4] - NOISE[0]) / NOISE[1]) ** 2 / 2
        assert negative_log_posterior(THETA, phi, y, known, STRAIGHT)[0] == pytest.approx(want, rel=1e-10)

    def test_axes_that_bend_are_other_features_and_have_a_prior(self) -> None:
        phi, y, known = data()
        straight = negative_log_posterior(THETA, bent_by_hand(phi, *BENDS), y, known, STRAIGHT)[0]
        bending = negative_log_posterior(np.r_[THETA, BENDS], phi, y, known, BENT)[0]
        assert bending == pytest.approx(straight + (BENDS**2).sum() / (2 * BEND**2), rel=1e-10)

    def test_a_model_that_bends_believes_what_one_of_bent_features_does(self) -> None:
        phi, y, known = data()
        at, others = np.random.default_rng(1).random((2, 5, 4))
        bending = Posterior(BENT.hyper(np.r_[THETA, BENDS]), phi, y, known, others)
        by_hand = [bent_by_hand(points, *BENDS) for points in (phi, others, at)]
        straight = Posterior(STRAIGHT.hyper(THETA), by_hand[0], y, known, by_hand[1])
        for one, other in zip(bending.mean_and_deviation(at), straight.mean_and_deviation(by_hand[2]), strict=True):
            assert one == pytest.approx(other, rel=1e-9)

    def test_its_gradient_agrees_with_differences(self) -> None:
        phi, y, known = data()
        for theta in (THETA, THETA + 1, -THETA):
            for form, bends in ((STRAIGHT, ()), (BENT, BENDS), (BENT, [-3.0, 0.0])):
                whole = np.r_[theta, bends]
                want = slopes(lambda t, form=form: negative_log_posterior(t, phi, y, known, form)[0], whole)
                assert negative_log_posterior(whole, phi, y, known, form)[1] == pytest.approx(want, rel=1e-5, abs=1e-5)

    def test_the_posterior_is_the_dense_formula(self) -> None:
        phi, y, known = data()
        at = np.random.default_rng(1).random((5, 4))
        noise = np.diag(np.exp(THETA[-1]) + known + JITTER * np.exp(THETA[-2]))
        inverse = np.linalg.inv(kernel(THETA, phi, phi) + noise)
        cross = kernel(THETA, at, phi)
        posterior = Posterior(Hyper(THETA, GROUPS), phi, y, known)
        mean, deviation = posterior.mean_and_deviation(at)
        assert mean == pytest.approx(cross @ inverse @ y, rel=1e-9)
        variance = np.exp(THETA[-2]) - np.einsum("ij,jk,ik->i", cross, inverse, cross)
        assert deviation**2 == pytest.approx(variance, rel=1e-8)
        assert posterior.mean(at) == pytest.approx(mean)
        again = posterior.with_gradients(at)
        assert again[0] == pytest.approx(mean)
        assert again[1] == pytest.approx(deviation)

    def test_with_times_the_kernel_fades_and_its_density_and_gradient_are_those_of_the_formula(self) -> None:
        phi, y, known = data()
        gaps = np.abs(np.subtract.outer(TIMES, TIMES))
        for theta in (np.append(THETA, np.log(0.1)), np.append(-THETA, 0.3)):
            c = np.exp(theta[-1])
            covariance = kernel(theta[:-1], phi, phi) * np.exp(-c * gaps)
            covariance += np.diag(np.exp(theta[-2]) + known + JITTER * np.exp(theta[-3]))
            want = 0.5 * y @ np.linalg.solve(covariance, y) + 0.5 * np.linalg.slogdet(covariance)[1]
            lengths, (middle, spread) = theta[:3], FADE
            want += (lengths + (lengths - LOC - 0.5 * np.log(6)) ** 2 / (2 * SCALE**2)).sum()
            want += (theta[3] / SIGNAL) ** 2 / 2 + ((theta[4] - NOISE[0]) / NOISE[1]) ** 2 / 2
            want += ((theta[5] - middle) / spread) ** 2 / 2
            value, gradient = negative_log_posterior(theta, phi, y, known, STRAIGHT, gaps)
            assert value == pytest.approx(want, rel=1e-10)
            assert gradient == pytest.approx(
                slopes(lambda t: negative_log_posterior(t, phi, y, known, STRAIGHT, gaps)[0], theta),
                rel=1e-5,
                abs=1e-5,
            )

    def test_what_was_seen_long_ago_counts_for_less_by_the_formula(self) -> None:
        phi, y, known = data()
        at = np.random.default_rng(1).random((5, 4))
        fade, now = 0.2, 6.0
        posterior = Posterior(Hyper(THETA, GROUPS, fade=fade), phi, y, known, ages=now - TIMES)
        noise = np.diag(np.exp(THETA[-1]) + known + JITTER * np.exp(THETA[-2]))
        faded = np.exp(-fade * np.abs(np.subtract.outer(TIMES, TIMES)))
        inverse = np.linalg.inv(kernel(THETA, phi, phi) * faded + noise)
        cross = kernel(THETA, at, phi) * np.exp(-fade * np.abs(now - TIMES))
        mean, deviation = posterior.mean_and_deviation(at)
        assert mean == pytest.approx(cross @ inverse @ y, rel=1e-9)
        variance = np.exp(THETA[-2]) - np.einsum("ij,jk,ik->i", cross, inverse, cross)
        assert deviation**2 == pytest.approx(variance, rel=1e-8)
        assert posterior.mean(at) == pytest.approx(mean)

    def test_a_fit_finds_how_fast_things_change(self) -> None:
        rng = np.random.default_rng(3)
        phi, times = rng.random((60, 1)), np.repeat(np.arange(12.0), 5)
        form, none = Form(np.array([0]), 1), np.zeros(60)
        still, moving = np.sin(6 * phi[:, 0]), np.sin(6 * phi[:, 0] + times)
        slow, fast = (fitted(phi, y / y.std(), none, form, times).fade for y in (still, moving))
        assert slow < 0.03
        assert fast > 0.1

    @pytest.mark.parametrize("ages", [None, np.append(4 - TIMES, [0.0, 1.0, 0.0])], ids=["without times", "with times"])
    @pytest.mark.parametrize("pending", [None, 3])
    @pytest.mark.parametrize("bends", [None, np.array([1.5, 0.0, 0.0, -0.7])], ids=["straight", "bent"])
    def test_its_gradients_agree_with_differences(
        self, pending: int | None, ages: Array | None, bends: Array | None
    ) -> None:
        phi, y, known = data()
        rng = np.random.default_rng(2)
        others = None if pending is None else rng.random((pending, 4))
        ages = None if ages is None else ages[: len(y) + (pending or 0)]
        posterior = Posterior(Hyper(THETA, GROUPS, bends, 0.2), phi, y, known, others, ages)
        at = rng.random((3, 4))
        _, _, by_mean, by_deviation = posterior.with_gradients(at)
        for i, x in enumerate(at):
            means = slopes(lambda u: float(posterior.mean_and_deviation(u[None])[0][0]), x)
            deviations = slopes(lambda u: float(posterior.mean_and_deviation(u[None])[1][0]), x)
            assert by_mean[i] == pytest.approx(means, rel=1e-5, abs=1e-6)
            assert by_deviation[i] == pytest.approx(deviations, rel=1e-5, abs=1e-6)

    @pytest.mark.parametrize("boldness", [1.0, 0.5])
    def test_a_score_of_several_objectives_counts_the_share_of_the_deviations_that_it_says(
        self, boldness: float
    ) -> None:
        phi, y, known = data()
        models = tuple(Posterior(Hyper(THETA, GROUPS), phi, sign * y, known) for sign in (1.0, -1.0))
        boxes = free_boxes(np.array([[-1.0, 0.5], [0.0, 0.0], [0.5, -1.0]]), np.array([2.0, 2.0]))
        score = Score(models, (), None, boxes, boldness)
        at = np.random.default_rng(3).random((3, 4))
        beliefs = [model.mean_and_deviation(at) for model in models]
        mean, deviation = (np.column_stack(part) for part in zip(*beliefs, strict=True))
        assert score.at(at) == pytest.approx(log_ehvi(mean, boldness * deviation, *boxes), rel=1e-12)
        value, gradient = score.with_gradient(at)
        assert value == pytest.approx(score.at(at), rel=1e-9)
        for i, x in enumerate(at):
            assert gradient[i] == pytest.approx(slopes(lambda u: float(score.at(u[None])[0]), x), rel=1e-5, abs=1e-5)

    def test_pending_points_leave_the_mean_and_take_variance(self) -> None:
        phi, y, known = data()
        rng = np.random.default_rng(3)
        pending, at = rng.random((2, 4)), rng.random((6, 4))
        hyper = Hyper(THETA, GROUPS)
        without, with_ = Posterior(hyper, phi, y, known), Posterior(hyper, phi, y, known, pending)
        assert with_.mean_and_deviation(at)[0] == pytest.approx(without.mean_and_deviation(at)[0])
        assert (with_.mean_and_deviation(at)[1] < without.mean_and_deviation(at)[1]).all()
        assert with_.mean_and_deviation(pending)[1].max() < 0.01
        told = Posterior(
            hyper,
            np.vstack([phi, pending]),
            np.r_[y, without.mean(pending)],
            np.r_[known, -np.exp(THETA[-1]) * np.ones(2)],
        )
        assert with_.mean_and_deviation(at)[0] == pytest.approx(told.mean_and_deviation(at)[0], abs=1e-6)
        assert with_.mean_and_deviation(at)[1] == pytest.approx(told.mean_and_deviation(at)[1], rel=1e-6)

    @pytest.mark.parametrize("pending", [0, 4])
    def test_its_skill_is_what_it_says_of_points_left_out(self, pending: int) -> None:
        rng = np.random.default_rng(3)
        phi, more = rng.random((15, 2)), rng.random((pending, 2))
        y, known = np.sin(4 * phi[:, 0]) + 0.3 * rng.standard_normal(15), rng.uniform(0, 0.2, 15)
        hyper = Hyper(np.log([0.6, 0.9, 1.1, 0.05]), np.arange(2))
        misses, spread = 0.0, 0.0
        for i in range(15):
            others = np.arange(15) != i
            without = Posterior(hyper, phi[others], y[others], known[others])
            misses += (y[i] - without.mean(phi[i : i + 1])[0]) ** 2
            spread += (y[i] - y[others].mean()) ** 2
        model = Posterior(hyper, phi, y, known, more if pending else None)
        assert model.skill == pytest.approx(1 - misses / spread, rel=1e-6)
        assert 0.2 < model.skill < 0.95

    @pytest.mark.parametrize("n", [1, 6])
    def test_of_equal_targets_there_is_nothing_to_explain(self, n: int) -> None:
        phi = np.random.default_rng(0).random((n, 2))
        assert Posterior(Hyper(np.zeros(4), np.arange(2)), phi, np.full(n, 0.3), np.zeros(n)).skill == 0.0

    def test_a_fit_finds_what_matters_and_how_noisy_it_is(self) -> None:
        rng = np.random.default_rng(5)
        phi = rng.random((80, 4))
        clean, form = np.sin(6 * phi[:, 0]), Form(np.arange(4), 4)
        quiet = fitted(phi, clean / clean.std(), np.zeros(80), form)
        loud = fitted(phi, clean / clean.std() + 0.7 * rng.standard_normal(80), np.zeros(80), form)
        assert quiet.theta[0] + 1 < quiet.theta[1:4].min()
        assert quiet.noise < 0.01
        assert 0.1 < loud.noise < 1.0

    def test_a_fit_finds_which_axis_was_given_the_wrong_scale(self) -> None:
        rng = np.random.default_rng(6)
        phi = rng.random((60, 2))
        y = np.sin(2 * np.log(phi[:, 0] + 0.02)) + np.sin(3 * phi[:, 1])
        hyper = fitted(phi, y / y.std(), np.zeros(60), Form(np.arange(2), 2, np.arange(2)))
        assert hyper.bends is not None
        assert hyper.bends[0] < -1.5
        assert abs(hyper.bends[1]) < 0.75

    def test_equal_points_and_no_noise_are_no_obstacle(self) -> None:
        phi = np.full((30, 4), 0.5)
        hyper = Hyper(np.array([0.0, 0.0, 0.0, 4.0, np.log(1e-6)]), GROUPS)
        mean, deviation = Posterior(hyper, phi, np.ones(30), np.zeros(30), phi[:5]).mean_and_deviation(phi[:2])
        assert mean == pytest.approx(1.0, abs=1e-3)
        assert np.isfinite(deviation).all()


class TestExpectedImprovement:
    @pytest.mark.parametrize("z", [5.0, 1.0, 0.0, -0.5, -1.0, -1.0001, -3.0, -10.0, -30.0])
    def test_it_agrees_with_quadrature(self, z: float) -> None:
        """h(z) = ∫_0^∞ t φ(t - z) dt, with φ(z) taken out so that the tail does not underflow."""
        scaled, _ = quad(lambda t: t * np.exp(z * t - 0.5 * t * t), 0, np.inf, epsabs=0, epsrel=1e-13, limit=400)
        want = np.log(scaled) - 0.5 * z * z - 0.5 * np.log(2 * np.pi)
        assert log_h(np.array([z]))[0] == pytest.approx(want, rel=1e-10, abs=1e-10)

    @pytest.mark.parametrize("z", [-1e2, -1e3, -4.99e3, -5.01e3, -1e5, -1e100])
    def test_the_far_tail_agrees_with_its_series(self, z: float) -> None:
        series = 1 - 3 / z**2 + 15 / z**4 - 105 / z**6 if abs(z) < 1e50 else 1.0
        correction = log_h(np.array([z]))[0] + 0.5 * z * z
        want = -0.5 * np.log(2 * np.pi) - 2 * np.log(-z) + np.log(series)
        assert correction == pytest.approx(want, rel=1e-9, abs=1e-7 + 2e-16 * z * z)

    def test_it_grows_with_z_everywhere(self) -> None:
        z = np.concatenate([-np.logspace(6, -3, 4000), np.linspace(0, 10, 500)])
        assert (np.diff(log_h(z)) > 0).all()

    def test_its_slopes_agree_with_differences(self) -> None:
        for mean, deviation in ((0.3, 0.5), (2.0, 0.1), (40.0, 0.5), (-3.0, 0.2)):
            x = np.array([mean, deviation])
            want = slopes(lambda v: float(log_ei(v[:1], v[1:], 0.0)[0]), x)
            _, by_mean, by_deviation = log_ei_slopes(x[:1], x[1:], 0.0)
            assert [by_mean[0], by_deviation[0]] == pytest.approx(want, rel=1e-5)
            want = slopes(lambda v: float(log_feasible_slopes(v[:1], v[1:])[0][0]), x)
            value, by_mean, by_deviation = log_feasible_slopes(x[:1], x[1:])
            assert value[0] == pytest.approx(log_ndtr(-mean / deviation))
            assert [by_mean[0], by_deviation[0]] == pytest.approx(want, rel=1e-5, abs=1e-9)


class TestExpectedHypervolumeImprovement:
    @pytest.mark.parametrize("m", [2, 3])
    def test_it_agrees_with_a_mean_of_draws(self, m: int) -> None:
        rng = np.random.default_rng(m)
        front, reference = rng.random((6, m)), np.ones(m)
        mean, deviation = rng.random((3, m)), 0.1 + 0.3 * rng.random((3, m))
        boxes = free_boxes(front, reference)
        have = hypervolume(front, reference)
        for i in range(3):
            draws = mean[i] + deviation[i] * rng.standard_normal((800, m))
            gains = [hypervolume(np.vstack([front, y]), reference) - have for y in draws]
            error = np.std(gains) / np.sqrt(len(gains))
            got = np.exp(log_ehvi(mean[i : i + 1], deviation[i : i + 1], *boxes))[0]
            assert got == pytest.approx(np.mean(gains), abs=4 * error)

    def test_of_one_objective_it_is_expected_improvement(self) -> None:
        boxes = free_boxes(np.array([[0.3], [0.7]]), np.array([1.0]))
        mean, deviation = np.array([[0.1], [0.5], [30.0]]), np.array([[0.2], [0.1], [0.5]])
        assert log_ehvi(mean, deviation, *boxes) == pytest.approx(log_ei(mean[:, 0], deviation[:, 0], 0.3))

    def test_its_slopes_agree_with_differences_in_the_tail_too(self) -> None:
        rng = np.random.default_rng(5)
        boxes = free_boxes(rng.random((5, 2)), np.ones(2))
        for mean in (np.array([0.2, 0.4]), np.array([0.9, 0.9]), np.array([6.0, 9.0])):
            deviation = np.array([0.1, 0.3])
            _, by_mean, by_deviation = log_ehvi_slopes(mean[None], deviation[None], *boxes)
            want = slopes(lambda v: float(log_ehvi(v[None, :2], v[None, 2:], *boxes)[0]), np.r_[mean, deviation])
            assert np.r_[by_mean[0], by_deviation[0]] == pytest.approx(want, rel=1e-4)
