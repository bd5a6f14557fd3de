"""Fronts, ranks, crowding and volumes, against definitions that are slow and plainly true."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rung.pareto import (
    Array,
    contributions,
    crowding,
    free_boxes,
    hypervolume,
    in_ranges,
    non_dominated,
    ranks,
    volume_first,
)


def dominates(a: Array, b: Array) -> bool:
    return bool((a <= b).all() and (a < b).any())


def volume_by_inclusion_and_exclusion(points: Array, reference: Array) -> float:
    """The volume of a union of boxes: plus all single ones, minus all pairs, plus all triples, …"""
    inside = points[(points < reference).all(axis=1)]
    total = 0.0
    for size in range(1, len(inside) + 1):
        for chosen in combinations(inside, size):
            total -= (-1) ** size * float(np.prod(reference - np.max(chosen, axis=0)))
    return total


def clouds(most: int) -> st.SearchStrategy[Array]:
    """Points on a coarse grid, so that ties and duplicates are frequent."""
    sizes = st.tuples(st.integers(1, most), st.integers(1, 4))
    return sizes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(0, 5).map(float)))


@given(clouds(12))
def test_the_front_holds_exactly_what_nothing_dominates(points: Array) -> None:
    want = [not any(dominates(other, point) for other in points) for point in points]
    assert non_dominated(points).tolist() == want


@given(
    clouds(12) | arrays(np.float64, st.tuples(st.integers(20, 60), st.just(2)), elements=st.integers(0, 30).map(float))
)
def test_each_rank_is_the_front_of_what_is_left(points: Array) -> None:
    left, level = np.arange(len(points)), 0
    want = np.zeros(len(points), dtype=int)
    while len(left):
        front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        want[front] = level
        left, level = np.setdiff1d(left, front), level + 1
    assert ranks(points).tolist() == want.tolist()


@given(clouds(8))
def test_the_volume_agrees_with_inclusion_and_exclusion(points: Array) -> None:
    reference = np.full(points.shape[1], 4.5)  # some points are beyond it
    assert hypervolume(points, reference) == pytest.approx(volume_by_inclusion_and_exclusion(points, reference))


@given(clouds(8))
def test_the_free_boxes_are_disjoint_and_are_all_that_is_not_won(points: Array) -> None:
    reference = np.full(points.shape[1], 4.5)
    low, high = free_boxes(points, reference)
    places = np.stack(np.meshgrid(*[np.arange(-0.75, 6, 0.5)] * points.shape[1]), axis=-1).reshape(-1, points.shape[1])
    covered = ((low[None] < places[:, None]) & (places[:, None] <= high[None])).all(axis=2).sum(axis=1)
    won = (points[None] < places[:, None]).all(axis=2).any(axis=1)
    assert covered.tolist() == ((places <= reference).all(axis=1) & ~won).astype(int).tolist()


@given(clouds(7))
def test_a_points_contribution_is_the_volume_lost_without_it(points: Array) -> None:
    reference = np.full(points.shape[1], 6.0)
    whole = volume_by_inclusion_and_exclusion(points, reference)
    want = [
        whole - volume_by_inclusion_and_exclusion(np.delete(points, i, axis=0), reference) for i in range(len(points))
    ]
    assert contributions(points, reference) == pytest.approx(np.array(want), abs=1e-9)


@given(clouds(8), st.integers(1, 8))
def test_each_point_adds_the_most_volume_to_those_before(points: Array, enough: int) -> None:
    order = volume_first(points, enough).tolist()
    assert sorted(order) == list(range(len(points)))
    y, reference = in_ranges(points), np.full(points.shape[1], 1.1)
    for k, chosen in enumerate(order[:enough]):
        volumes = {i: volume_by_inclusion_and_exclusion(y[[*order[:k], i]], reference) for i in order[k:]}
        assert volumes[chosen] == pytest.approx(max(volumes.values()))


@pytest.mark.parametrize("m", [2, 3, 4])
def test_real_numbers_agree_with_inclusion_and_exclusion(m: int) -> None:
    rng = np.random.default_rng(m)
    for _ in range(10):
        points = rng.random((10, m))
        want = volume_by_inclusion_and_exclusion(points, np.ones(m))
        assert hypervolume(points, np.ones(m)) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3])
def test_a_known_volume(m: int) -> None:
    """A simplex: the share of the cube above sum(z) = 1 is 1 - 1/m!, which a fine front approaches."""
    steps = np.arange(0, 1.0001, 1 / 40)
    grid = np.stack(np.meshgrid(*[steps] * (m - 1)), axis=-1).reshape(-1, m - 1)
    front = np.column_stack([grid, 1 - grid.sum(axis=1)])[grid.sum(axis=1) <= 1 + 1e-9]
    assert hypervolume(front, np.ones(m)) == pytest.approx(1 - 1 / [1, 1, 2, 6][m], abs=0.03)


def test_nothing_is_won_beyond_the_reference() -> None:
    assert hypervolume(np.array([[0.0, 2.0], [2.0, 0.0]]), np.ones(2)) == 0.0
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0


def test_ends_are_lonely_and_the_crowded_are_not() -> None:
    front = np.array([[0.0, 10.0], [4.0, 4.0], [4.1, 3.9], [10.0, 0.0]])
    distance = crowding(front)
    assert np.isinf(distance[[0, 3]]).all()
    assert distance[1] == pytest.approx(0.41 + 0.61)
    assert distance[2] == pytest.approx(0.6 + 0.4)


def test_a_thousand_points_of_three_objectives_are_ranked_and_measured() -> None:
    points = np.random.default_rng(0).random((1000, 3))
    assert ranks(points).max() > 5
    front = points[non_dominated(points)]
    assert hypervolume(points, np.ones(3)) == pytest.approx(hypervolume(front, np.ones(3)))
