"""The grid: each feasible assignment of a finite space once, in order, at a cost of what it yields."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.api.study import Parameter
from rung.space.space import Space
from tests.space.strategies import parameter, points, spaces


@given(spaces(finite=True), st.data())
@settings(max_examples=50)
def test_the_grid_has_each_feasible_assignment_once(drawn: Space, data: st.DataObject) -> None:
    size = drawn.grid_size()
    assert size is not None
    keys = [drawn.key(point) for point in itertools.islice(drawn.grid, 2000)]
    assert len(set(keys)) == len(keys)
    if len(keys) < 2000:
        for _ in range(5):
            assignment = drawn.decode(data.draw(points(drawn.d)))
            assert (drawn.key(assignment) in keys) is drawn.is_feasible(assignment)


@given(spaces(finite=True))
@settings(max_examples=50)
def test_full_indices_and_positions_tell_the_same(drawn: Space) -> None:
    size = drawn.grid_size()
    assert size is not None
    by_index = [point for k in range(min(size, 3000)) if (point := drawn.grid_point(k)) is not None]
    assert by_index == list(itertools.islice(drawn.grid, len(by_index)))
    if size <= 3000:
        assert drawn.grid.count(10_000) == len(by_index)
        assert not drawn.grid.has(len(by_index))
        assert drawn.grid_point(size) is None


def test_the_last_parameter_changes_fastest() -> None:
    space = Space.of([parameter("a", "Int", min=1, max=2), parameter("b", "Categorical", values=["x", "y", "z"])])
    assert [(p["a"], p["b"]) for p in space.grid] == list(itertools.product([1, 2], ["x", "y", "z"]))


def test_a_child_before_its_parent_is_no_obstacle() -> None:
    child = parameter("c", "Int", min=1, max=3, when=[{"parameter": "p", "in": ["b"]}])
    space = Space.of([child, parameter("p", "Categorical", values=["a", "b"])])
    assert [dict(point) for point in space.grid] == [{"p": "a"}, *({"c": c, "p": "b"} for c in (1, 2, 3))]


def branches(n: int) -> list[Parameter]:
    """One choice, and for each of its values a parameter of its own with ten values: 10 n points, n 10**n indices."""
    choice = parameter("branch", "Categorical", values=[f"b{i}" for i in range(n)])
    return [
        choice,
        *(parameter(f"x{i}", "Int", min=0, max=9, when=[{"parameter": "branch", "in": [f"b{i}"]}]) for i in range(n)),
    ]


@pytest.mark.parametrize("n", [pytest.param(n, id=f"{n} branches of ten") for n in (1, 3, 12, 40)])
def test_repetitions_are_jumped_over(n: int) -> None:
    space = Space.of(branches(n))
    assert space.grid.count(10_000) == 10 * n
    assert space.grid[10 * n - 1] == {"branch": f"b{n - 1}", f"x{n - 1}": 9}


def test_a_huge_grid_is_entered_at_once() -> None:
    space = Space.of([parameter(f"x{i}", "Int", min=0, max=9) for i in range(30)])
    assert space.grid_size() == 10**30
    assert space.grid[123] == {f"x{i}": 0 for i in range(27)} | {"x27": 1, "x28": 2, "x29": 3}


@pytest.mark.parametrize(
    ("parameters", "want"),
    [
        pytest.param([parameter("x", "Double", min=0, max=1)], None, id="continuous"),
        pytest.param([parameter("x", "Double", min="0.01", max="0.05", step="0.005")], 9, id="a Double with a step"),
        pytest.param(
            [parameter("x", "Int", min=1, max=10), parameter("y", "Ordinal", values=[1, 2])], 20, id="a product"
        ),
    ],
)
def test_the_size_of_the_grid(parameters: list[Parameter], want: int | None) -> None:
    assert Space.of(parameters).grid_size() == want


def test_there_is_nothing_behind_the_last_point() -> None:
    grid = Space.of([parameter("x", "Int", min=1, max=3)]).grid
    with pytest.raises(IndexError):
        grid[3]
    with pytest.raises(IndexError):
        grid[-1]
