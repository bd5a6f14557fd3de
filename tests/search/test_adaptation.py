"""One generation of CMA-ES against what the paper says of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from rung.search.adaptation import adapted, chosen, constants, initial, shared, with_margin

NO_CHOICES = np.zeros((0, 1))


@pytest.mark.parametrize(("n", "population"), [(1, 2), (2, 6), (6, 9), (20, 12), (60, 100)])
def test_rates_and_weights_keep_their_bounds(n: int, population: int) -> None:
    k = constants(n, population)
    assert k.weights[: k.mu].sum() == pytest.approx(1)
    assert (np.diff(k.weights) <= 0).all()
    assert 0 < k.c_1 + k.c_mu <= 1
    assert 1 - k.c_1 - k.c_mu * k.weights.sum() > 0  # the old covariance keeps a positive share


def test_the_weights_of_the_tutorial() -> None:
    """Hansen 2016, table 1, for N = 10 and λ = 10."""
    k = constants(10, 10)
    assert k.mu_eff == pytest.approx(3.167, abs=1e-3)
    assert k.c_sigma == pytest.approx((k.mu_eff + 2) / (10 + k.mu_eff + 5))
    assert k.expected == pytest.approx(3.084, abs=1e-3)


def test_the_mean_moves_to_the_better_half() -> None:
    random = np.random.default_rng(0)
    x = random.normal(0.5, 0.2, (10, 3))
    after = adapted(initial(np.full(3, 0.5), 0.2, NO_CHOICES), x, np.argsort(np.argsort(x[:, 0])))
    assert after.mean[0] < 0.5
    assert after.generation == 1


def test_equal_trials_teach_nothing() -> None:
    before = initial(np.full(2, 0.5), 0.2, NO_CHOICES)
    after = adapted(before, np.random.default_rng(0).random((6, 2)), np.zeros(6, dtype=np.int64))
    assert (after.mean == before.mean).all()
    assert (after.covariance == before.covariance).all()


@given(place=st.lists(st.integers(0, 4), min_size=2, max_size=12))
def test_equals_share_weights_and_nothing_is_lost(place: list[int]) -> None:
    weights = constants(4, len(place)).weights
    got = shared(weights, np.array(place))
    assert got.sum() == pytest.approx(weights.sum())
    for value in place:
        assert len({float(w) for w, p in zip(got, place, strict=True) if p == value}) == 1


def test_a_point_from_far_away_does_not_blow_the_distribution_up() -> None:
    before = initial(np.full(2, 0.5), 1e-4, NO_CHOICES)
    x = np.vstack([np.full((5, 2), 0.5), [[1.0, 1.0]]])
    after = adapted(before, x, np.array([1, 2, 3, 4, 5, 0]))
    assert after.deviations.max() < 1e-3


@given(
    mean=st.floats(0.21, 0.79),
    deviation=st.floats(1e-6, 1.0),
    alpha=st.floats(1e-3, 0.2),
    low=st.sampled_from([-np.inf, 0.2]),
    high=st.sampled_from([np.inf, 0.8]),
)
def test_the_margin_leaves_the_cell_of_the_mean_often_enough(
    mean: float, deviation: float, alpha: float, low: float, high: float
) -> None:
    before = initial(np.array([mean]), deviation, NO_CHOICES)
    after = with_margin(before, np.array([low]), np.array([high]), alpha)
    below, above = ndtr((low - after.mean) / after.deviations), ndtr((after.mean - high) / after.deviations)
    ends = [p[0] for p, edge in ((below, low), (above, high)) if np.isfinite(edge)]
    need = alpha / 2 if len(ends) == 2 else alpha
    # Half a range is the widest that makes sense; a margin that needed more is beyond it.
    assert after.deviations[0] >= 0.499 or all(p >= need * (1 - 1e-6) for p in ends)


def test_a_continuous_axis_needs_no_margin() -> None:
    before = initial(np.array([0.5]), 1e-6, NO_CHOICES)
    after = with_margin(before, np.array([-np.inf]), np.array([np.inf]), 0.1)
    assert after.deviations == pytest.approx(before.deviations)


def test_choices_follow_the_better_half_and_keep_a_margin() -> None:
    q = np.full((1, 3), 1 / 3)
    least = np.full((1, 3), 0.02)
    drawn, active = np.array([[0], [0], [1], [2]]), np.ones((4, 1))
    for _ in range(50):
        q = chosen(q, drawn, active, np.arange(4), least)
    assert q.sum() == pytest.approx(1)
    assert q[0, 0] == q.max()
    assert q.min() >= 0.02 - 1e-12


def test_an_inactive_choice_keeps_its_probabilities() -> None:
    q = np.array([[0.2, 0.8], [0.5, 0.5]])
    active = np.array([[0.0, 1.0]] * 4)
    after = chosen(q, np.zeros((4, 2), dtype=np.intp), active, np.arange(4), np.zeros((2, 2)))
    assert after[0] == pytest.approx(q[0])
    assert after[1, 0] > 0.5
