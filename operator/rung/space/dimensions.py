"""Dimensions: the values that one parameter may take, and their place on the unit interval.

    decode(u)     u in [0, 1] -> a value; equal lengths of u are equally likely, on the parameter's scale or by its prior
    encode(value) value -> the u in [0, 1] that stands for it; decode(encode(decode(u))) == decode(u)
    at(k)         the k-th value of a finite dimension, in order

`Real` has no gaps, `Lattice` has a step, `Choices` lists its values, `Fixed` has one. They know texts too: what a user
or a Trial object writes is read by `parse` and written by `render`, and comes back as the same value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rung.api.facts import Value
from rung.space.priors import Bend
from rung.space.texts import number_of, render
from rung.space.tokens import did_you_mean
from rung.space.warps import Warp

MAX_VALUES = 2**40
"""Values on a lattice. Doubles place a value among so many exactly, on a log scale too; no study needs a million times
less.
"""


class Unfit(ValueError):  # noqa: N818 - never leaves this package: Space turns it into InvalidStudy
    """A text or value that the dimension cannot take; the message says what it takes."""


class Dimension(Protocol):
    """The values of one parameter."""

    @property
    def name(self) -> str:
        """The parameter's name."""

    @property
    def size(self) -> int | None:
        """How many values there are; None: not finite."""

    def decode(self, u: float) -> Value:
        """The value at u."""

    def encode(self, value: Value) -> float:
        """The place of a value; of the nearest one if it is not among the values."""

    def at(self, k: int) -> Value:
        """The k-th value of a finite dimension."""

    def parse(self, text: str) -> Value:
        """The value that a text writes, in range or not. Raises Unfit if it is of another type."""

    def render(self, value: Value) -> str:
        """The text that a program is given."""

    def check(self, value: Value) -> None:
        """Raises Unfit if the value is none of this dimension's."""


@dataclass(frozen=True, slots=True)
class Real:
    """A real number between two bounds, both included. Values are rounded (see `Warp.digits`), bounds met exactly."""

    name: str
    low: float
    high: float
    warp: Warp
    bend: Bend | None = None
    first: float = field(init=False)  # the bounds on the axis of the scale
    last: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", self.warp.forward(self.low))
        object.__setattr__(self, "last", self.warp.forward(self.high))

    @property
    def size(self) -> int | None:
        """1 if the bounds are equal, else not finite."""
        return 1 if self.low == self.high else None

    def decode(self, u: float) -> Value:
        """The rounded value at u; at the ends the bounds themselves."""
        if u <= 0.0:
            return self.low
        if u >= 1.0:
            return self.high
        place = u if self.bend is None else self.bend.place(u)
        x = self.warp.backward(self.first + place * (self.last - self.first))
        digits = self.warp.digits(x)
        rounded = round(x, digits)
        near = 0.1 * 10.0**-digits  # so near to a bound that its place could be taken for the bound's
        if rounded < self.low + near:
            return self.low
        return self.high if rounded > self.high - near else rounded

    def encode(self, value: Value) -> float:
        """Its place on the scale; a value beyond a bound is placed at the bound."""
        if self.low == self.high:
            return 0.5
        x = min(max(as_float(value), self.low), self.high)
        place = (self.warp.forward(x) - self.first) / (self.last - self.first)
        return place if self.bend is None else self.bend.share(min(max(place, 0.0), 1.0))

    def at(self, k: int) -> Value:
        """The only value, if there is only one. Raises IndexError."""
        if k or self.low != self.high:
            raise IndexError(f"{self.name} has no {k}-th value: it is continuous")
        return self.low

    def parse(self, text: str) -> Value:
        """A finite real number. Raises Unfit."""
        return parse_double(text)

    def render(self, value: Value) -> str:
        """The shortest decimal that reads back as the same number."""
        return render(value)

    def check(self, value: Value) -> None:
        """Raises Unfit for a value beyond the bounds."""
        if not self.low <= as_float(value) <= self.high:
            raise Unfit(f"must be between {self.low!r} and {self.high!r}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Lattice:
    """low, low + step, … , as far as they do not exceed the upper bound; integers, or reals with a step.

    Each value owns the part of the axis that is nearer to it than to its neighbours; the outer two own as much beyond
    themselves as towards their neighbour. On a linear scale all parts are equally long, so all values are equally
    likely.
    """

    name: str
    low: float | int
    step: float | int
    count: int
    warp: Warp | None  # None: linear, which needs no arithmetic but u * count
    decimals: int | None  # to which values are exact; None: integers
    bend: Bend | None = None
    first: float = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        first, last = 0.0, 1.0
        if self.warp is not None and self.count > 1:
            second, last_but_one = self._place(1), self._place(self.count - 2)
            first = self._place(0) - (second - self._place(0)) / 2
            last = self._place(self.count - 1) + (self._place(self.count - 1) - last_but_one) / 2
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "last", last)

    @property
    def size(self) -> int | None:
        """How many values there are."""
        return self.count

    def decode(self, u: float) -> Value:
        """The value that owns the place u."""
        if self.bend is not None:
            u = self.bend.place(u)
        if self.warp is None or self.count == 1:
            return self.at(min(int(u * self.count), self.count - 1))
        place = self.first + u * (self.last - self.first)
        k = self._clipped(math.floor((self.warp.backward(place) - self.low) / self.step))
        while k > 0 and place < (self._place(k - 1) + self._place(k)) / 2:
            k -= 1
        while k < self.count - 1 and place >= (self._place(k) + self._place(k + 1)) / 2:
            k += 1
        return self.at(k)

    def encode(self, value: Value) -> float:
        """The place of the value, or of the nearest one; inside the part that it owns."""
        k = self._clipped(round((as_float(value) - self.low) / self.step))
        if self.warp is None or self.count == 1:
            place = (k + 0.5) / self.count
        else:
            place = min(max((self._place(k) - self.first) / (self.last - self.first), 0.0), 1.0)
        return place if self.bend is None else self.bend.share(place)

    def at(self, k: int) -> Value:
        """Low + k * step, exact in decimals."""
        value = self.low + k * self.step
        return value if self.decimals is None else round(value, self.decimals)

    def parse(self, text: str) -> Value:
        """A whole number, or a real one for a Double. Raises Unfit."""
        return parse_int(text) if self.decimals is None else parse_double(text)

    def render(self, value: Value) -> str:
        """The shortest decimal that reads back as the same number."""
        return render(value)

    def check(self, value: Value) -> None:
        """Raises Unfit for a value beyond the bounds or between two steps."""
        x, high = as_float(value), self.at(self.count - 1)
        if not self.low <= x <= as_float(high):
            raise Unfit(f"must be between {self.low!r} and {high!r}, got {value!r}")
        if self.at(self._clipped(round((x - self.low) / self.step))) != value:
            raise Unfit(f"must be {self.low!r} plus a multiple of the step {self.step!r}, got {value!r}")

    def _place(self, k: int) -> float:
        x = as_float(self.at(k))
        return x if self.warp is None else self.warp.forward(x)

    def _clipped(self, k: int) -> int:
        return min(max(k, 0), self.count - 1)


@dataclass(frozen=True, slots=True)
class Choices:
    """Listed values, all equally likely. The values of an Ordinal that are all numbers are numbers, otherwise they are
    texts.
    """

    name: str
    values: tuple[Value, ...]
    texts: tuple[str, ...]  # as the user wrote them, and as programs are given them
    ordered: bool
    index: Mapping[Value, int] = field(init=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {value: k for k, value in enumerate(self.values)})

    @property
    def size(self) -> int | None:
        """How many values are listed."""
        return len(self.values)

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return not isinstance(self.values[0], str)

    def decode(self, u: float) -> Value:
        """The value that owns the place u."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def encode(self, value: Value) -> float:
        """The middle of the part that the value owns; of the nearest one for a number that is not listed."""
        k = self.index.get(value)
        if k is not None:
            return (k + 0.5) / len(self.values)
        if not self.numeric or isinstance(value, str):
            return 0.5  # a text that is not listed is near to none more than to another
        return self.encode(min(self.values, key=lambda listed: (abs(as_float(listed) - value), self.index[listed])))

    def at(self, k: int) -> Value:
        """The k-th value as listed."""
        return self.values[k]

    def parse(self, text: str) -> Value:
        """The listed value that the text means, else the number or text itself. Raises Unfit."""
        if not self.numeric:
            return text
        number = number_of(text)
        if number is None:
            raise Unfit(f"must be a number like the other values, got {text!r}")
        k = self.index.get(number)
        return number if k is None else self.values[k]

    def render(self, value: Value) -> str:
        """The value as the user wrote it."""
        k = self.index.get(value)
        return render(value) if k is None else self.texts[k]

    def check(self, value: Value) -> None:
        """Raises Unfit for a value that is not listed."""
        if value not in self.index:
            raise Unfit(f"{render(value)!r} is none of its values{did_you_mean(render(value), self.texts)}")


@dataclass(frozen=True, slots=True)
class Fixed:
    """One value, written out by the user."""

    name: str
    value: Value
    text: str

    @property
    def size(self) -> int | None:
        """One."""
        return 1

    def decode(self, u: float) -> Value:  # noqa: ARG002 - the same everywhere
        """The value, whatever u is."""
        return self.value

    def encode(self, value: Value) -> float:  # noqa: ARG002 - the same for all
        """The middle: there is nothing to tell apart."""
        return 0.5

    def at(self, k: int) -> Value:
        """The value. Raises IndexError for any k but 0."""
        if k:
            raise IndexError(f"{self.name} has one value")
        return self.value

    def parse(self, text: str) -> Value:
        """A value of the same type. Raises Unfit."""
        if isinstance(self.value, str):
            return text
        return parse_int(text) if isinstance(self.value, int) else parse_double(text)

    def render(self, value: Value) -> str:
        """The value as the user wrote it."""
        return self.text if value == self.value else render(value)

    def check(self, value: Value) -> None:
        """Raises Unfit for any other value."""
        if value != self.value:
            raise Unfit(f"is fixed to {self.text!r}, got {render(value)!r}")


def nearest(dimension: Dimension, text: str) -> tuple[Value, bool] | None:
    """The value that comes closest to a text from another space, and whether the text's own lies within the range.

    None: it is no number where one is needed, or a word that is not listed.
    """
    try:
        value = dimension.parse(text)
    except Unfit:
        return None
    try:
        dimension.check(value)
    except Unfit:
        if isinstance(value, str):
            return None
    else:
        return value, True
    ends = dimension.values if isinstance(dimension, Choices) else (dimension.decode(0.0), dimension.decode(1.0))
    numbers = [as_float(end) for end in ends]
    return dimension.decode(dimension.encode(value)), min(numbers) <= value <= max(numbers)


def parse_double(text: str) -> float:
    """A finite real number. Raises Unfit."""
    number = number_of(text)
    if number is None or abs(number) > 1e308:
        raise Unfit(f"must be a finite number, got {text!r}")
    return float(number)


def parse_int(text: str) -> int:
    """A whole number, however it is written: 1000, 1e3. Raises Unfit."""
    number = number_of(text)
    if number is None or number != int(number):
        raise Unfit(f"must be a whole number, got {text!r}")
    return int(number)


def as_float(value: Value) -> float:
    """A number as it is. Raises Unfit for a text."""
    if isinstance(value, str):
        raise Unfit(f"must be a number, got {value!r}")
    return value
