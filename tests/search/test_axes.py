"""Axes as arrays: cells and activity agree with what the space decodes, point by point."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rung.search.axes import FINE, Activity, axes_of
from rung.space.space import Space
from tests.search.problems import BATCH, LR, MOMENTUM, OPTIMIZER, WIDTH, branching, mixed
from tests.space.strategies import parameter

LAYERS = parameter("layers", "Int", min=1, max=200, scale="Log")
PRIOR = parameter("dropout", "Double", min=0, max=1, step="0.05", prior={"mean": "0.2", "deviation": "0.1"})


@pytest.mark.parametrize(
    "axis",
    [
        pytest.param(WIDTH, id="steps"),
        pytest.param(LAYERS, id="integers on a log scale"),
        pytest.param(BATCH, id="ordered choices"),
        pytest.param(OPTIMIZER, id="unordered choices"),
        pytest.param(PRIOR, id="steps under a prior"),
    ],
)
def test_a_cell_is_what_decodes_to_one_value(axis: object) -> None:
    space = Space.of([axis])
    (found,) = axes_of(space)
    u = np.random.default_rng(0).random(2_000)
    names = [dimension.at(k) for dimension in space.dimensions for k in range(found.count)]
    assert [names[k] for k in found.cell(u)] == [space.decode([place])[axis.name] for place in u]


def test_cells_are_neighbours_from_end_to_end() -> None:
    for axis in axes_of(Space.of([WIDTH, LAYERS, BATCH, OPTIMIZER, PRIOR])):
        assert (axis.edges[0], axis.edges[-1]) == (0, 1)
        assert all(low < high for low, high in pairwise(axis.edges))


def test_real_numbers_and_very_fine_lattices_have_no_cells() -> None:
    real, fine = axes_of(Space.of([LR, parameter("x", "Int", min=0, max=FINE)]))
    assert real.edges is None
    assert fine.edges is None


CHILD = {"type_": "Double", "min": 0, "max": 1}
CONDITIONAL = [
    pytest.param(mixed, id="no conditions"),
    pytest.param(branching, id="branches of branches"),
    pytest.param(
        Space.of([LAYERS, parameter("x", **CHILD, when=[{"parameter": "layers", "min": 3, "max": 20}])]),
        id="between two values of an integer",
    ),
    pytest.param(
        Space.of([LR, parameter("x", **CHILD, when=[{"parameter": "lr", "min": "1e-3"}])]),
        id="above a value of a real number",
    ),
    pytest.param(
        Space.of(
            [
                LR, OPTIMIZER, MOMENTUM,
                parameter("m2", "Derived", expression="coalesce(momentum, 0) * 2"),
                parameter("x", **CHILD, when=[{"parameter": "m2", "min": 1}]),
                parameter("y", **CHILD, when=[{"parameter": "momentum"}, {"parameter": "lr", "max": "0.01"}]),
            ]
        ),
        id="of a derived parameter, and two at once",
    ),
    pytest.param(
        Space.of([parameter("k", "Int", value=3), parameter("x", **CHILD, when=[{"parameter": "k", "in": ["3"]}])]),
        id="of a fixed parameter",
    ),
    pytest.param(
        Space.of([PRIOR, parameter("x", **CHILD, when=[{"parameter": "dropout", "max": "0.2"}])]),
        id="of a parameter with a prior",
    ),
]  # fmt: skip


@pytest.mark.parametrize("space", CONDITIONAL)
def test_what_is_active_is_what_the_space_says(space: Space) -> None:
    u = np.random.default_rng(0).random((300, space.d))
    names = [dimension.name for dimension in space.dimensions]
    want = [[name in assignment for name in names] for assignment in map(space.decode, u)]
    assert Activity(space, axes_of(space)).at(u).tolist() == want
