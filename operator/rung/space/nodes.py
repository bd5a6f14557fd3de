"""The parts of a parsed expression, and how they are evaluated.

Values are numbers, strings, conditions (bool) and None, which stands for a parameter that is inactive. None spreads:
what rests on an inactive parameter is itself inactive. `coalesce` skips it, `and` and `or` give an answer where the
other side alone decides (Kleene's three-valued logic), and a condition that remains None does not restrict anything.

Integers stay integers under + - * % ** abs min max; `/` gives a real number; `//`, ceil, floor and round give integers.
Nothing here takes long: integers are limited to MAX_BITS bits, and powers are refused before they are computed.
"""

# ruff: noqa: D102 - what calling a node gives is said by the class, in one line

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rung.api.facts import Value
from rung.space.texts import number_of

Result = Value | bool | None
Number = float | int

MAX_BITS = 1024  # what a double can just hold; larger integers are mistakes, and slow ones


class Unanswerable(Exception):  # noqa: N818 - never leaves this package: Expression turns it into ExpressionError
    """An operation has no result for its operands."""


class Node(Protocol):
    """A part of an expression."""

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        """Its value for these inputs. Raises Unanswerable."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a string as written."""

    value: Value

    def __call__(self, values: Mapping[str, Value | None]) -> Result:  # noqa: ARG002 - the same for all inputs
        return self.value


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter or metric; one that is not given is inactive."""

    name: str

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        return values.get(self.name)


@dataclass(frozen=True, slots=True)
class Negative:
    """-x."""

    operand: Node

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        value = self.operand(values)
        return None if value is None else -as_number(value, "-")


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """first op second op third …, operators of equal precedence from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        result = self.first(values)
        for symbol, node in self.rest:
            operand = node(values)
            if result is None or operand is None:
                return None
            result = checked(OPERATIONS[symbol](as_number(result, symbol), as_number(operand, symbol)))
        return result


@dataclass(frozen=True, slots=True)
class Comparison:
    """a < b <= c …: every neighbouring pair must hold."""

    first: Node
    rest: tuple[tuple[str, Node], ...]

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        answers = []
        left = self.first(values)
        for symbol, node in self.rest:
            right = node(values)
            answers.append(_compare(symbol, left, right))
            left = right
        return _all(answers)


@dataclass(frozen=True, slots=True)
class Membership:
    """x in (a, b, …), or not in."""

    item: Node
    among: tuple[Node, ...]
    negated: bool

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        item = self.item(values)
        answer = _any([_compare("==", item, node(values)) for node in self.among])
        return None if answer is None else answer is not self.negated


@dataclass(frozen=True, slots=True)
class Not:
    """not x."""

    operand: Node

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        value = truth(self.operand(values), "not")
        return None if value is None else not value


@dataclass(frozen=True, slots=True)
class Logic:
    """a and b and …, or: a or b or …; the first operand that decides ends it."""

    symbol: str
    operands: tuple[Node, ...]

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        deciding = self.symbol == "or"
        unknown = False
        for node in self.operands:
            value = truth(node(values), self.symbol)
            if value is deciding:
                return deciding
            unknown = unknown or value is None
        return None if unknown else not deciding


@dataclass(frozen=True, slots=True)
class Choice:
    """a if c else b; only the chosen side is evaluated."""

    condition: Node
    chosen: Node
    otherwise: Node

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        condition = truth(self.condition(values), "if")
        if condition is None:
            return None
        return self.chosen(values) if condition else self.otherwise(values)


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first operand that is active."""

    operands: tuple[Node, ...]

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        for node in self.operands:
            if (value := node(values)) is not None:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Call:
    """A function of numbers."""

    name: str
    operands: tuple[Node, ...]

    def __call__(self, values: Mapping[str, Value | None]) -> Result:
        arguments = [node(values) for node in self.operands]
        if any(argument is None for argument in arguments):
            return None
        numbers = [as_number(argument, self.name) for argument in arguments]
        return checked(FUNCTIONS[self.name].apply(*numbers))


@dataclass(frozen=True, slots=True)
class Function:
    """A function of numbers and how many it takes (`most` None: any number)."""

    apply: Callable[..., Number]
    least: int = 1
    most: int | None = 1


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        if base.bit_length() * exponent > MAX_BITS and base not in (-1, 0, 1):
            raise Unanswerable(f"{_shown(base)} ** {_shown(exponent)} is too large")
        return base**exponent if base not in (-1, 0, 1) else (base if exponent % 2 else base * base)
    result = base**exponent
    if isinstance(result, complex):
        raise Unanswerable(f"{_shown(base)} ** {_shown(exponent)} is not a real number")
    return result


def _floor_divide(left: Number, right: Number) -> int:
    return left // right if isinstance(left, int) and isinstance(right, int) else math.floor(left / right)


def _round(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > 15:
        raise Unanswerable(f"round takes a whole number of digits between -15 and 15, not {_shown(digits)}")
    return round(value, digits) if digits else round(value)


OPERATIONS: Mapping[str, Callable[[Number, Number], Number]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": _floor_divide,
    "%": lambda left, right: left % right,
    "**": _power,
}

FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(abs),
    "min": Function(lambda *numbers: min(numbers), most=None),
    "max": Function(lambda *numbers: max(numbers), most=None),
    "round": Function(_round, most=2),
    "floor": Function(math.floor),
    "ceil": Function(math.ceil),
    "sqrt": Function(math.sqrt),
    "exp": Function(math.exp),
    "log": Function(math.log),
    "log2": Function(math.log2),
    "log10": Function(math.log10),
}


def as_number(value: Result, symbol: str) -> Number:
    """`value`, if `symbol` can compute with it. Raises Unanswerable."""
    if isinstance(value, bool):
        raise Unanswerable(f"{symbol!r} needs a number, got a condition; write 1 if … else 0")
    if isinstance(value, (int, float)):
        return value
    raise Unanswerable(f"{symbol!r} needs a number, got {_shown(value)}")


def checked(value: Number) -> Number:
    """`value`, if it is finite and not too large to go on with. Raises Unanswerable."""
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise Unanswerable("the result is too large")
    elif not math.isfinite(value):
        raise Unanswerable("the result is not a finite number")
    return value


def truth(value: Result, symbol: str) -> bool | None:
    """`value` as a condition; numbers count as true unless they are 0. Raises Unanswerable for strings."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        raise Unanswerable(f"{symbol!r} needs a condition, got {_shown(value)}")
    return value != 0


def _compare(symbol: str, left: Result, right: Result) -> bool | None:
    if left is None or right is None:
        return None
    if symbol in ("==", "!="):
        return _same(left, right) is (symbol == "==")
    first, second = as_number(left, symbol), as_number(right, symbol)
    if symbol in ("<", ">="):
        return (first < second) is (symbol == "<")
    return (first > second) is (symbol == ">")


def _same(left: Result, right: Result) -> bool:
    """Equality by what is meant: the string "16" equals the number 16, two strings are compared as they stand."""
    if isinstance(left, str) is isinstance(right, str):
        return left == right
    text, other = (left, right) if isinstance(left, str) else (right, left)
    return number_of(str(text)) == other


def _all(answers: list[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _any(answers: list[bool | None]) -> bool | None:
    if True in answers:
        return True
    return None if None in answers else False


def _shown(value: Result) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"
