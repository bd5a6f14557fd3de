"""Values as text, both ways.

Bounds, values and rendered parameters are strings outside (the API forbids floats in a spec); inside they are int,
float or str. What `render` writes, `number_of` reads back as the same number: `repr` of a float is its shortest exact
form.
"""

from __future__ import annotations

import math
import re

from rung.api.facts import Value

_INTEGER = re.compile(r"[+-]?\d+")
_REAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_MAX_LENGTH = 128  # of a value in a spec; int() of more digits than a few thousand is slow, and Python refuses it


def number_of(text: str) -> int | float | None:
    """The number that `text` writes, an int where it is written as one; None if it is no finite number."""
    if len(text) > _MAX_LENGTH:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def render(value: Value) -> str:
    """`value` as the text that a program is given."""
    return value if isinstance(value, str) else repr(value)
