"""From a parameter of the spec to its dimension. Every refusal names the field."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from rung.api.errors import InvalidStudy
from rung.api.facts import Value
from rung.api.study import Parameter, ParameterType, Scale
from rung.space.dimensions import (
    MAX_VALUES,
    Choices,
    Dimension,
    Fixed,
    Lattice,
    Real,
    Unfit,
    as_float,
    parse_double,
    parse_int,
)
from rung.space.priors import Bend
from rung.space.texts import number_of, render
from rung.space.warps import EXACT, EXACT_UNDER_PRIOR, Linear, Log, ReverseLog, Warp

NARROWEST = 1e-6
"""Of the range: a deviation below it leaves values that four digits cannot tell apart. It also bounds the arithmetic."""

MAX_VALUES_UNDER_PRIOR = 2**32
"""Values on a lattice: where a prior is flat, each still owns a thousand doubles."""


class _Grid(NamedTuple):
    """Bounds and step as exact decimals, and the decimals of the values; None: integers."""

    low: Decimal
    high: Decimal
    step: Decimal
    decimals: int | None


def build(parameter: Parameter, path: str) -> Dimension:
    """The dimension of a parameter that is not derived. Raises InvalidStudy.

    A range of one value is legal, and so is a fixed `value` beside a range, which it must keep to.
    """
    if parameter.value is not None:
        return _fixed(parameter, parameter.value, path)
    if parameter.type is ParameterType.DOUBLE:
        return _double(parameter, path)
    if parameter.type is ParameterType.INT:
        return _int(parameter, path)
    return _choices(parameter, path)


def _fixed(parameter: Parameter, text: str, path: str) -> Dimension:
    try:
        value = _typed(parameter, text)
        if parameter.values or (parameter.min is not None and parameter.max is not None):
            dimension = build(parameter.model_copy(update={"value": None}), path)
            value = dimension.parse(text)
            dimension.check(value)
    except Unfit as error:
        raise InvalidStudy(f"{path}.value", str(error)) from None
    shown = render(value) if parameter.type is ParameterType.INT else text
    return Fixed(parameter.name, value, shown)


def _typed(parameter: Parameter, text: str) -> Value:
    if parameter.type is ParameterType.DOUBLE:
        return parse_double(text)
    if parameter.type is ParameterType.INT:
        return parse_int(text)
    number = number_of(text) if parameter.type is ParameterType.ORDINAL else None
    return text if number is None else number


def _double(parameter: Parameter, path: str) -> Dimension:
    low, high = _bounds(parameter, path)
    scale = _scale(parameter, float(low), float(high), path)
    if parameter.step is None:
        real = Real(parameter.name, float(low), float(high), scale)
        return replace(real, bend=_bend(parameter, scale, real.first, real.last, path))
    step = _step(parameter, path)
    decimals = max(0, *(-int(number.as_tuple().exponent) for number in (low, step)))
    return _lattice(parameter, _Grid(low, high, step, decimals), scale, path)


def _int(parameter: Parameter, path: str) -> Dimension:
    low, high = _bounds(parameter, path)
    for field, bound in (("min", low), ("max", high)):
        if bound != bound.to_integral_value() or abs(bound) > MAX_VALUES:
            raise InvalidStudy(f"{path}.{field}", f"must be a whole number of at most {MAX_VALUES}, got {bound}")
    step = Decimal(1) if parameter.step is None else _step(parameter, path)
    if step != step.to_integral_value():
        raise InvalidStudy(f"{path}.step", f"must be a whole number for an Int, got {parameter.step}")
    scale = _scale(parameter, float(low), float(high), path)
    return _lattice(parameter, _Grid(low, high, step, None), scale, path)


def _lattice(parameter: Parameter, grid: _Grid, scale: Warp, path: str) -> Dimension:
    count = int(((grid.high - grid.low) / grid.step).to_integral_value(ROUND_FLOOR)) + 1
    if count > MAX_VALUES:
        raise InvalidStudy(f"{path}.step", f"makes {count} values, at most {MAX_VALUES} are allowed; leave it out")
    if parameter.prior is not None and count > MAX_VALUES_UNDER_PRIOR:
        raise InvalidStudy(f"{path}.prior", f"is for at most {MAX_VALUES_UNDER_PRIOR} values, there are {count}")
    warp = None if isinstance(scale, Linear) else scale
    if grid.decimals is None:
        lattice = Lattice(parameter.name, int(grid.low), int(grid.step), count, warp, None)
    else:
        lattice = Lattice(parameter.name, float(grid.low), float(grid.step), count, warp, grid.decimals)
    first, last = (lattice.first, lattice.last) if count > 1 else (0.0, 0.0)
    if warp is None and count > 1:  # on the axis of the values; the outer two own half a step beyond themselves
        half = float(grid.step) / 2
        first, last = float(grid.low) - half, as_float(lattice.at(count - 1)) + half
    return replace(lattice, bend=_bend(parameter, scale, first, last, path))


def _bend(parameter: Parameter, scale: Warp, first: float, last: float, path: str) -> Bend | None:
    """The prior on the axis of the scale, from `first` to `last`. Raises InvalidStudy."""
    prior = parameter.prior
    if prior is None:
        return None
    low, high = _bounds(parameter, path)
    mean, deviation = _decimal(prior.mean, f"{path}.prior.mean"), _decimal(prior.deviation, f"{path}.prior.deviation")
    if not low <= mean <= high:
        what = f"must be between min and max, {parameter.min} and {parameter.max}, got {prior.mean}"
        raise InvalidStudy(f"{path}.prior.mean", what)
    least = NARROWEST * (scale.forward(float(high)) - scale.forward(float(low)))
    if deviation < least:
        unit = "" if isinstance(scale, Linear) else " in natural logarithms"
        what = f"must be at least a millionth of the range, {least:.3g}{unit}, got {prior.deviation}; or fix the value"
        raise InvalidStudy(f"{path}.prior.deviation", what)
    return Bend.of(scale.forward(float(mean)), float(deviation), first, last) if first < last else None


def _choices(parameter: Parameter, path: str) -> Dimension:
    if not parameter.values:
        raise InvalidStudy(f"{path}.values", f"are required for type {parameter.type.value}")
    ordered = parameter.type is ParameterType.ORDINAL
    numbers = [number_of(text) for text in parameter.values] if ordered else []
    values: list[Value] = [number for number in numbers if number is not None]
    if len(values) < len(parameter.values):
        values = list(parameter.values)
    for i, value in enumerate(values):
        if value in values[:i]:
            raise InvalidStudy(f"{path}.values[{i}]", f"{parameter.values[i]!r} stands there twice")
    return Choices(parameter.name, tuple(values), tuple(parameter.values), ordered)


def _bounds(parameter: Parameter, path: str) -> tuple[Decimal, Decimal]:
    if parameter.min is None or parameter.max is None:
        missing = "min" if parameter.min is None else "max"
        raise InvalidStudy(f"{path}.{missing}", f"is required for type {parameter.type.value} without a fixed value")
    low, high = _decimal(parameter.min, f"{path}.min"), _decimal(parameter.max, f"{path}.max")
    if low > high:
        raise InvalidStudy(f"{path}.min", f"must not be above max, got {parameter.min} and {parameter.max}")
    return low, high


def _step(parameter: Parameter, path: str) -> Decimal:
    step = _decimal(str(parameter.step), f"{path}.step")
    if step <= 0:
        raise InvalidStudy(f"{path}.step", f"must be above 0, got {parameter.step}")
    return step


def _decimal(text: str, path: str) -> Decimal:
    """An exact decimal within the range of doubles that arithmetic is safe in."""
    if number_of(text) is not None:
        number = Decimal(text)
        if not number or Decimal("1e-300") <= abs(number) <= Decimal("1e300"):
            return number
    raise InvalidStudy(path, f"must be a number between 1e-300 and 1e300 in size, or 0, got {text!r}")


def _scale(parameter: Parameter, low: float, high: float, path: str) -> Warp:
    exact = EXACT if parameter.prior is None else EXACT_UNDER_PRIOR
    if parameter.scale is Scale.LOG:
        if low <= 0:
            raise InvalidStudy(f"{path}.min", f"must be above 0 when scale is Log, got {parameter.min}")
        return Log.of(low, high)
    if parameter.scale is Scale.REVERSE_LOG:
        if parameter.type is ParameterType.INT:
            raise InvalidStudy(f"{path}.scale", "ReverseLog is for numbers below 1: use it with type Double")
        if high >= 1:
            raise InvalidStudy(f"{path}.max", f"must be below 1 when scale is ReverseLog, got {parameter.max}")
        return ReverseLog.of(low, high, exact)
    return Linear.of(low, high, exact)
