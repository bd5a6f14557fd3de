"""Spaces of every kind, for samplers to be tried on."""

from __future__ import annotations

import pytest

from rung.space.space import Space
from tests.space.strategies import parameter

LR = parameter("lr", "Double", min="1e-5", max="1e-1", scale="Log")
WIDTH = parameter("width", "Int", min=16, max=512, step=16)
BATCH = parameter("batch", "Ordinal", values=[16, 32, 64, 128])
OPTIMIZER = parameter("optimizer", "Categorical", values=["sgd", "adam", "lamb"])
MOMENTUM = parameter(
    "momentum", "Double", min="0.5", max="0.99", scale="ReverseLog", when=[{"parameter": "optimizer", "in": ["sgd"]}]
)

mixed = Space.of([LR, WIDTH, BATCH, OPTIMIZER])
conditional = Space.of(
    [LR, OPTIMIZER, MOMENTUM, parameter("speed", "Derived", expression="coalesce(momentum, 0) + lr")]
)
constrained = Space.of(
    [LR, WIDTH, BATCH, parameter("rows", "Derived", expression="batch * width")], ["rows <= 4096", "lr * batch < 1"]
)
narrow = Space.of([LR, parameter("x", "Double", min=0, max=1)], ["0.5 < x < 0.502"])
one_axis = Space.of([parameter("x", "Double", min=0, max=1)])
sixty_axes = Space.of([parameter(f"x{i}", "Double", min=-1, max=1) for i in range(60)])

lattice = Space.of([WIDTH, BATCH, parameter("drop", "Double", min=0, max="0.5", step="0.05")])
categorical = Space.of([OPTIMIZER, *(parameter(f"c{i}", "Categorical", values=["a", "b", "c", "d"]) for i in range(4))])
branching = Space.of(
    [
        parameter("depth", "Int", min=1, max=4, when=[{"parameter": "model", "in": ["forest"]}]),
        parameter("model", "Categorical", values=["svm", "forest", "linear"]),
        parameter("kernel", "Categorical", values=["rbf", "poly"], when=[{"parameter": "model", "in": ["svm"]}]),
        parameter("degree", "Int", min=2, max=5, when=[{"parameter": "kernel", "in": ["poly"]}]),
    ]
)
fenced = Space.of(
    [parameter("a", "Int", min=1, max=9), parameter("b", "Int", min=1, max=9)], ["a + b == 10", "not a == b"]
)
one_point = Space.of([parameter("x", "Int", value=3), parameter("y", "Derived", expression="x + 1")])
huge = Space.of([parameter(f"x{i}", "Int", min=0, max=9) for i in range(60)])

SMALL = [
    pytest.param(branching, id="conditional choices, 10 points"),
    pytest.param(fenced, id="a constraint that leaves 8 of 81"),
    pytest.param(one_point, id="a single point"),
    pytest.param(Space.of([WIDTH, OPTIMIZER]), id="96 points"),
]
FINITE = [
    pytest.param(lattice, id="numbers with steps"),
    pytest.param(categorical, id="nothing but choices"),
    pytest.param(huge, id="sixty integers"),
    *SMALL,
]
CONTINUOUS = [
    pytest.param(mixed, id="every type"),
    pytest.param(conditional, id="conditions and a derived parameter"),
    pytest.param(constrained, id="constraints"),
    pytest.param(narrow, id="a constraint that leaves 0.2 %"),
    pytest.param(one_axis, id="one axis"),
    pytest.param(sixty_axes, id="sixty axes"),
]
OPEN = [
    pytest.param(mixed, id="every type"),
    pytest.param(one_axis, id="one axis"),
    pytest.param(sixty_axes, id="sixty axes"),
]
