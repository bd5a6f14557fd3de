"""Conditions: when is a parameter active?

A parameter is active if all of its `when` entries hold. An entry holds if its parent is active and the parent's value
is among `in` (by value, so "16" is 16), not below `min` and not above `max`. An entry that names only the parent asks
for it to be active. Since an inactive parent fulfils nothing, a child of an inactive parameter is inactive too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rung.api.errors import InvalidStudy
from rung.api.facts import Value
from rung.api.study import When
from rung.space.dimensions import Choices, Dimension, Fixed, Unfit
from rung.space.texts import number_of

Parse = Callable[[str], Value]


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of a `when`, with its texts read as values of the parent."""

    parent: str
    among: frozenset[Value] | None
    low: float | None
    high: float | None

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it holds, given the values of the active parameters."""
        value = values.get(self.parent)
        if value is None or (self.among is not None and value not in self.among):
            return False
        if self.low is None and self.high is None:
            return True
        if isinstance(value, str):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def condition(when: When, dimension: Dimension | None, path: str) -> Condition:
    """Read one entry; `dimension` is the parent's, None if it is derived. Raises InvalidStudy."""
    among = frozenset(_members(when.in_, dimension, f"{path}.in")) if when.in_ else None
    low = _bound(when.min, dimension, f"{path}.min")
    high = _bound(when.max, dimension, f"{path}.max")
    if low is not None and high is not None and low > high:
        raise InvalidStudy(f"{path}.min", f"must not be above max, got {when.min} and {when.max}")
    return Condition(when.parameter, among, low, high)


def _members(texts: Sequence[str], dimension: Dimension | None, path: str) -> list[Value]:
    """The values of the parent that `texts` write. One that a listed parent can never have is a misspelling."""
    members: list[Value] = []
    for i, text in enumerate(texts):
        if dimension is None:
            number = number_of(text)
            members += [text] if number is None else [text, number]
            continue
        try:
            value = dimension.parse(text)
            if isinstance(dimension, Choices):
                dimension.check(value)
        except Unfit as error:
            raise InvalidStudy(f"{path}[{i}]", f"can never be the value of {dimension.name!r}: {error}") from None
        members.append(value)
    return members


def _bound(text: str | None, dimension: Dimension | None, path: str) -> float | None:
    if text is None:
        return None
    has_texts = (isinstance(dimension, Choices) and not dimension.numeric) or (
        isinstance(dimension, Fixed) and isinstance(dimension.value, str)
    )
    if dimension is not None and has_texts:
        raise InvalidStudy(path, f"needs a parent with numbers, and {dimension.name!r} has texts; use in")
    number = number_of(text)
    if number is None:
        raise InvalidStudy(path, f"must be a finite number, got {text!r}")
    return number


def in_order(names: Sequence[str], parents: Mapping[str, frozenset[str]]) -> list[str]:
    """`names` so that all parents come before their children; otherwise in the order given. Raises Cycle."""
    placed: dict[str, None] = {}
    for name in names:
        _place(name, parents, placed)
    return list(placed)


class Cycle(Exception):  # noqa: N818 - never leaves this package: Space turns it into InvalidStudy
    """Parameters that depend on each other in a circle."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(" -> ".join([*names, names[0]]))


def _place(name: str, parents: Mapping[str, frozenset[str]], placed: dict[str, None]) -> None:
    """Put `name` behind all that it depends on. Keeps a stack of its own: chains may be longer than Python recurses."""
    path: list[str] = [name]
    while path:
        at = path[-1]
        waiting = next((parent for parent in sorted(parents[at]) if parent not in placed), None)
        if waiting is None:
            placed.setdefault(at)
            path.pop()
        elif waiting in path:
            raise Cycle(path[path.index(waiting) :])
        else:
            path.append(waiting)
