"""Spaces for property tests: parameters of every type, with conditions, derived ones and constraints among them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from rung.api.study import Parameter
from rung.space.space import Space


def parameter(name: str, type_: str, **fields: Any) -> Parameter:
    """A parameter as a user writes it: numbers may stand for strings."""
    return Parameter.model_validate({"name": name, "type": type_, **fields})


def unit() -> st.SearchStrategy[float]:
    """A coordinate of the cube, ends included."""
    return st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0, 1e-9, 1 - 1e-9])


@st.composite
def points(draw: st.DrawFn, d: int) -> np.ndarray:
    return np.array(draw(st.lists(unit(), min_size=d, max_size=d)), dtype=float)


def _decimal(low: float, high: float) -> st.SearchStrategy[float]:
    # An exponent has two digits at most in a Study, and 5 digits of the smallest number are left when it is written.
    return st.floats(low, high, allow_nan=False).map(lambda x: float(f"{x:.5g}") if abs(x) > 1e-90 else 0.0)


@st.composite
def doubles(draw: st.DrawFn, name: str = "x") -> Parameter:
    scale = draw(st.sampled_from(["Linear", "Log", "ReverseLog", None]))
    if scale == "Log":
        low = 10.0 ** draw(st.integers(-12, 6)) * draw(_decimal(1, 9.9))
        high = low * draw(_decimal(1, 10) | st.integers(1, 8).map(lambda k: 10.0**k))
    elif scale == "ReverseLog":
        low, high = sorted([draw(_decimal(-1, 0.9999)), 1 - draw(_decimal(1e-6, 0.5))])
    else:
        low, high = sorted([draw(_decimal(-1000, 1000)), draw(_decimal(-1000, 1000))])
    fields: dict[str, Any] = {"min": repr(low), "max": repr(high), "scale": scale}
    if draw(st.booleans()):
        fields["step"] = repr(float(f"{max((high - low) / draw(st.integers(1, 40)), 1e-9):.2g}"))
    return parameter(name, "Double", **fields, prior=draw(st.none() | _priors(low, high, scale)))


@st.composite
def _priors(draw: st.DrawFn, low: float, high: float, scale: str | None) -> dict[str, str]:
    """From a narrow one at an end to one that is flat over the range."""
    mean = draw(st.sampled_from([low, high]) | _decimal(low, high).map(lambda x: min(max(x, low), high)))
    forward = {"Log": math.log, "ReverseLog": lambda x: -math.log1p(-x)}.get(str(scale), float)
    width = forward(high) - forward(low)
    share = draw(st.sampled_from([1e-5, 0.01, 1 / 6, 0.5, 3.0, 1000.0]) | st.floats(1e-5, 10))
    return {"mean": repr(mean), "deviation": f"{max(width, 1e-6) * share:.10f}1"}


@st.composite
def ints(draw: st.DrawFn, name: str = "x") -> Parameter:
    scale = draw(st.sampled_from(["Linear", "Log", None]))
    low = draw(st.integers(1 if scale == "Log" else -100, 100) | st.integers(1, 10**9))
    width = draw(st.integers(0, 50) | st.integers(0, 10**9))
    prior = draw(st.none() | _priors(float(low), float(low + width), scale))
    step = draw(st.none() | st.integers(1, 20))
    return parameter(name, "Int", min=low, max=low + width, scale=scale, step=step, prior=prior)


@st.composite
def choices(draw: st.DrawFn, name: str = "x") -> Parameter:
    numbers = st.integers(-1000, 1000).map(str) | _decimal(-10, 10).map(repr)
    texts = st.text(min_size=0, max_size=8)
    values = draw(
        st.lists(numbers, min_size=1, max_size=9, unique_by=float)
        | st.lists(texts, min_size=1, max_size=9, unique=True)
    )
    type_ = draw(st.sampled_from(["Ordinal", "Categorical"]))
    if type_ == "Ordinal" and len({float(v) for v in values if _is_number(v)}) < len(values):
        type_ = "Categorical"  # texts such as "1" and "01" among them would be one number
    return parameter(name, type_, values=values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def searched(name: str = "x") -> st.SearchStrategy[Parameter]:
    """Any parameter that has a dimension."""
    return doubles(name) | ints(name) | choices(name)


@st.composite
def spaces(draw: st.DrawFn, *, finite: bool = False) -> Space:
    """1 to 5 parameters in any order. A constraint cuts a range in the middle, so it always leaves something."""
    n = draw(st.integers(1, 4))
    parameters: list[Parameter] = []
    for i in range(n):
        name = f"p{i}"
        kinds = [choices(name), _small_ints(name)] if finite else [searched(name)]
        drawn = draw(st.one_of(kinds))
        if draw(st.booleans()) and parameters:
            drawn = drawn.model_copy(update={"when": parameter("w", "Int", when=[draw(_when(parameters))]).when})
        parameters.append(drawn)
    counted = [p for p in parameters if p.type.value in {"Int", "Double"}]
    if draw(st.booleans()) and counted:
        parameters.append(parameter("twice", "Derived", expression=f"2 * {counted[0].name} + 1"))
    constraints = []
    if draw(st.booleans()) and counted:
        constraints.append(f"{counted[0].name} <= {_middle(counted[0])!r}")
    return Space.of(draw(st.permutations(parameters)), constraints)


@st.composite
def _small_ints(draw: st.DrawFn, name: str) -> Parameter:
    low = draw(st.integers(-5, 5))
    return parameter(name, "Int", min=low, max=low + draw(st.integers(0, 6)), step=draw(st.none() | st.integers(1, 3)))


@st.composite
def _when(draw: st.DrawFn, parents: list[Parameter]) -> dict[str, Any]:
    parent = draw(st.sampled_from(parents))
    if parent.values:
        some = draw(st.lists(st.sampled_from(parent.values), min_size=1, unique=True))
        return {"parameter": parent.name, "in": some}
    if draw(st.booleans()):
        return {"parameter": parent.name}
    bound = draw(st.sampled_from(["min", "max"]))
    return {"parameter": parent.name, bound: repr(_middle(parent))}


def _middle(ranged: Parameter) -> float:
    return (float(str(ranged.min)) + float(str(ranged.max))) / 2
