"""Spaces of every kind, for samplers to be tried on."""

from __future__ import annotations

import math

import pytest

from rung.api.facts import Assignment
from rung.space.dimensions import as_float
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
plane = Space.of([parameter(f"x{i}", "Double", min=0, max=1) for i in range(4)])
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


class Bowl:
    """An easy problem of four axes and one choice, so that who learns anything is ahead of who does not."""

    trials = 48
    space = Space.of(
        [LR, OPTIMIZER, *(parameter(f"x{i}", "Double", min=0, max=1) for i in range(3))],
    )

    def value(self, parameters: Assignment) -> float:
        """0 at best."""
        x = [as_float(parameters[f"x{i}"]) for i in range(3)]
        lr = math.log10(as_float(parameters["lr"])) / 4
        off = 0.0 if parameters["optimizer"] == "adam" else 0.3
        return off + (lr + 0.6) ** 2 + (x[0] - 0.3) ** 2 + (x[1] - 0.8) ** 2 + (x[2] - 0.6) ** 2

    def fails(self, parameters: Assignment) -> bool:
        """Where a program runs out of memory, say; half of the space."""
        return as_float(parameters["x0"]) > 0.5


bowl = Bowl()
