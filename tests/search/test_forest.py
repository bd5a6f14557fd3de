"""The random forest as a regression: what it learns, and what it admits not to know."""

from __future__ import annotations

import numpy as np
import pytest

from rung.search.random_forest.forest import LEAF, SIDES, grow


def ordered(d: int) -> np.ndarray:
    return np.zeros(d, dtype=bool)


def forest_of(x: np.ndarray, y: np.ndarray, unordered: np.ndarray | None = None, trees: int = 16):
    kinds = ordered(x.shape[1]) if unordered is None else unordered
    return grow(x, y, kinds, np.random.default_rng(1), trees=trees)


def test_a_smooth_function_is_learned() -> None:
    random = np.random.default_rng(0)
    x, new = random.random((400, 4)), random.random((300, 4))

    def f(x: np.ndarray) -> np.ndarray:
        return ((x - 0.4) ** 2) @ np.array([4.0, 2.0, 1.0, 0.0])

    mean, variance = forest_of(x, f(x)).predict(new)
    assert np.mean((mean - f(new)) ** 2) < 0.25 * np.var(f(new))
    assert np.mean(np.abs(mean - f(new)) < 2 * np.sqrt(variance)) > 0.9


def test_unordered_values_are_told_apart() -> None:
    """The values that go together are not neighbours."""
    random = np.random.default_rng(0)
    x = np.column_stack([random.integers(0, 6, 200), random.random(200)]).astype(float)
    y = np.isin(x[:, 0], [0, 3, 5]).astype(float)
    mean, _ = forest_of(x, y, np.array([True, False])).predict(np.array([[value, 0.5] for value in range(6)]))
    assert mean == pytest.approx([1, 0, 0, 1, 0, 1], abs=0.15)


def test_more_values_than_bits_are_no_obstacle() -> None:
    x = np.arange(3 * SIDES, dtype=float)[:, None]
    mean, variance = forest_of(x, x[:, 0], np.array([True])).predict(x)
    assert np.isfinite(mean).all()
    assert np.isfinite(variance).all()


def test_inactive_is_a_value_of_its_own() -> None:
    random = np.random.default_rng(0)
    x = np.where(random.random((200, 1)) < 0.5, -1.0, random.random((200, 1)))
    mean, _ = forest_of(x, (x[:, 0] < 0).astype(float)).predict(np.array([[-1.0], [0.1], [0.9]]))
    assert mean[0] > 0.9
    assert mean[1:].max() < 0.2


@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param(np.zeros((1, 1)), np.array([3.0]), id="one observation"),
        pytest.param(np.random.default_rng(0).random((20, 2)), np.full(20, 3.0), id="a constant"),
        pytest.param(np.zeros((20, 3)), np.full(20, 3.0), id="one point again and again"),
    ],
)
def test_where_there_is_nothing_to_split_the_mean_is_the_answer(x: np.ndarray, y: np.ndarray) -> None:
    mean, variance = forest_of(x, y).predict(x)
    assert mean == pytest.approx(np.full(len(x), 3.0))
    assert variance == pytest.approx(np.zeros(len(x)))


def test_noise_is_known_as_variance() -> None:
    random = np.random.default_rng(0)
    x = random.random((400, 1))
    noisy = x[:, 0] > 0.5
    y = np.where(noisy, random.standard_normal(400), 0.0)
    _, variance = forest_of(x, y).predict(np.linspace(0, 1, 200)[:, None])
    assert variance[:90].max() < 1e-9
    assert variance[110:].mean() > 0.3


def test_predictions_stay_between_what_was_seen() -> None:
    random = np.random.default_rng(3)
    x, y = random.random((60, 3)), random.standard_normal(60)
    mean, _ = forest_of(x, y).predict(10 * random.standard_normal((200, 3)))
    assert y.min() <= mean.min()
    assert mean.max() <= y.max()


def test_leaves_average_over_several_observations() -> None:
    random = np.random.default_rng(3)
    x, y = random.random((64, 2)), random.standard_normal(64)
    forest = forest_of(x, y, trees=1)
    leaves = forest.left == -1
    assert 64 / leaves.sum() >= LEAF


def test_the_same_random_numbers_grow_the_same_forest() -> None:
    random = np.random.default_rng(3)
    x, y = random.random((60, 3)), random.standard_normal(60)
    assert np.array_equal(forest_of(x, y).predict(x), forest_of(x, y).predict(x))
