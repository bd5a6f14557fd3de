"""What a clone changes of its parent's parameters: laws on spaces of every kind, and the steps one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rung.api.facts import Value
from rung.search.pbt import explore, moved
from rung.search.randomness import generator
from rung.space.space import Space
from tests.search.problems import CONTINUOUS, FINITE, OPTIMIZER, conditional, fenced, mixed
from tests.space.strategies import parameter, spaces


def clone(
    space: Space, u: list[float] | np.ndarray, *, mutate: tuple[str, ...] = (), resample: float = 0.25, k: int = 0
):
    parent = space.decode(u)
    return parent, explore(space, parent, mutate, resample, generator(7, k, "clone"))


@given(space=spaces(), data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_clone_is_feasible_in_bounds_and_changes_what_it_may(space: Space, data: st.DataObject) -> None:
    names = [dimension.name for dimension in space.dimensions]
    mutate = tuple(data.draw(st.lists(st.sampled_from(names), unique=True))) if names else ()
    parent = space.witness
    child = explore(space, parent, mutate, data.draw(st.sampled_from([0.0, 0.25, 1.0])), generator(1, 2, "clone"))
    assert space.violation(child) is None
    assert space.complete(space.render(child), [0.5] * space.d) == child, "a value that the space does not have"
    if mutate:
        for name in set(names) - set(mutate):
            assert name not in child or name not in parent or child[name] == parent[name]


@pytest.mark.parametrize("space", [*FINITE, *CONTINUOUS])
def test_the_same_draw_gives_the_same_clone_and_another_draw_another(space: Space) -> None:
    clones = [explore(space, space.witness, (), 0.25, generator(7, k, "clone")) for k in range(20)]
    again = [explore(space, space.witness, (), 0.25, generator(7, k, "clone")) for k in range(20)]
    assert clones == again
    if space.d > 1 and space is not fenced:
        assert len({space.key(c) for c in clones}) > 1


def test_where_constraints_forbid_every_change_the_parents_parameters_are_kept() -> None:
    parent = {"a": 4, "b": 6}
    assert explore(fenced, parent, ("a",), 0.0, generator(7, 0, "clone")) == parent


LOG = {"min": "1e-5", "max": "1e-1", "scale": "Log"}


@pytest.mark.parametrize(
    ("fields", "value", "down", "up"),
    [
        pytest.param(("Double", LOG), 0.01, 0.008, 0.012, id="a value on a log scale"),
        pytest.param(("Double", LOG), 0.1, 0.08, 0.1, id="no further than the bound"),
        pytest.param(("Double", {"min": 0, "max": 1}), 0.5, 0.4, 0.6, id="a value on a linear scale"),
        pytest.param(("Double", {"min": 0, "max": 1}), 0.0, 0.0, 0.02, id="a zero is left again"),
        pytest.param(("Double", {"min": -1, "max": 1}), -0.5, -0.6, -0.4, id="up is up below zero, too"),
        pytest.param(
            ("Double", {"min": 0, "max": "0.999", "scale": "ReverseLog"}), 0.9, 0.88, 0.92, id="the gap to one"
        ),
        pytest.param(("Int", {"min": 1, "max": 100}), 50, 40, 60, id="a whole number"),
        pytest.param(("Int", {"min": 1, "max": 9}), 2, 1, 3, id="a small one moves by one at least"),
        pytest.param(("Int", {"min": 16, "max": 512, "step": 16, "scale": "Log"}), 512, 416, 512, id="to a multiple"),
        pytest.param(("Ordinal", {"values": [16, 32, 64]}), 32, 16, 64, id="the neighbour of an ordered choice"),
        pytest.param(("Ordinal", {"values": [16, 32, 64]}), 64, 32, 64, id="none beyond the last"),
        pytest.param(("Categorical", {"values": ["a", "b", "c"]}), "b", "b", "b", id="an unordered choice has none"),
    ],
)
def test_steps(fields: tuple[str, dict[str, object]], value: Value, down: Value, up: Value) -> None:
    (dimension,) = Space.of([parameter("x", fields[0], **fields[1]), OPTIMIZER]).dimensions[:1]
    assert (moved(dimension, value, up=False), moved(dimension, value, up=True)) == (down, up)


def test_what_is_drawn_anew_comes_from_the_whole_range_as_often_as_asked() -> None:
    wide = Space.of([parameter("x", "Double", min=0, max=1)])
    children = [clone(wide, [0.5], resample=0.25, k=k)[1]["x"] for k in range(2000)]
    anew = [x for x in children if x not in {0.4, 0.6}]
    assert 0.22 < len(anew) / len(children) < 0.28
    assert min(anew) < 0.02
    assert max(anew) > 0.98


def test_both_directions_are_as_likely() -> None:
    wide = Space.of([parameter("x", "Double", min=0, max=1)])
    ups = sum(clone(wide, [0.5], resample=0.0, k=k)[1]["x"] == 0.6 for k in range(2000))
    assert 900 < ups < 1100


def test_what_a_change_makes_active_is_drawn_and_what_it_makes_inactive_is_left_out() -> None:
    parent = conditional.complete({"lr": "0.01", "optimizer": "adam"}, [0.5] * 3)
    children = [explore(conditional, parent, ("optimizer",), 1.0, generator(7, k, "clone")) for k in range(60)]
    assert {child["optimizer"] for child in children} == {"sgd", "adam", "lamb"}
    assert all(("momentum" in child) is (child["optimizer"] == "sgd") for child in children)
    assert {child["lr"] for child in children} == {0.01}


def test_an_array_may_change_by_its_name() -> None:
    space = Space.of([parameter("op", "Int", min=1, max=9, count=3), parameter("lr", "Double", **LOG)])
    parent, child = clone(space, [0.5] * space.d, mutate=("op",), resample=0.0)
    assert all(child[f"op_{i}"] != parent[f"op_{i}"] for i in range(3))
    assert child["lr"] == parent["lr"]


def test_every_type_moves_when_all_may() -> None:
    parent, child = clone(mixed, [0.5] * mixed.d, resample=0.0)
    assert {name for name in parent if parent[name] != child[name]} == {"lr", "width", "batch"}
