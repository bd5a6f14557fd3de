"""Kinds of strings and numbers that occur in the API, each with its bounds. What a person reads when one is broken stands
in `PATTERN_WORDS`.

API conventions forbid floats in a spec, so decimals are strings; since everybody writes `min: 16`, whole numbers pass
unquoted and are read as the string "16".
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from rung.api.base import Keywords

DECIMAL_PATTERN: Final = r"^[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,2})?$"
"""Two digits of exponent: whatever passes is a finite double, so no rule can fail at run time (1e999 would)."""

PARAMETER_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""A name in expressions and placeholders."""

METRIC_NAME_PATTERN: Final = r"^[A-Za-z0-9_]([A-Za-z0-9_ @'./:%()\[\]+*-]*[A-Za-z0-9_'%)\]+*])?$"
"""As programs print them: `eval/loss`, `recall@10`, `mAP@0.5`, `valid_1 auc`."""

LABEL_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
COUNT_PATTERN: Final = r"^([1-9][0-9]{0,2}|[A-Za-z_][A-Za-z0-9_]*)$"
URI_PATTERN: Final = r"^[a-z][a-z0-9+.-]*://.+$"
PATH_PATTERN: Final = r"^/"

PATTERN_WORDS: Final = {
    DECIMAL_PATTERN: 'must be a number such as 16, "0.5" or "1e-4" (at most 20 digits, and two of the exponent)',
    PARAMETER_NAME_PATTERN: "must consist of letters, digits and underscores and not begin with a digit",
    METRIC_NAME_PATTERN: "must be a metric's name: letters, digits and _ @ ' . / : % ( ) [ ] + * - with blanks inside",
    LABEL_PATTERN: "must consist of lower case letters, digits and dashes, with a letter or digit at both ends",
    SUBDOMAIN_PATTERN: "must consist of lower case letters, digits, dashes and dots, with a letter or digit at both ends",
    COUNT_PATTERN: "must be a whole number of at least 1, or the name of an Int parameter",
    URI_PATTERN: "must be a URI such as s3://bucket/folder",
    PATH_PATTERN: "must begin with a slash",
}
"""What a pattern asks for, in words."""

MAX_INT32: Final = 2**31 - 1
MAX_SAFE_INT: Final = 2**53 - 1
"""Whole numbers up to here survive every JSON parser."""

MAX_STEPS: Final = 1_000_000_000
"""Of a fidelity resource: tokens are counted in thousands. min * eta stays a 64-bit number."""


def _text(value: object) -> object:
    """A whole number as its digits; YAML's yes and 0.5 get an answer that says what to do."""
    if isinstance(value, bool):
        raise PydanticCustomError("unquoted", "must be a string or a whole number, got a boolean; quote it")
    if isinstance(value, float):
        quoted = repr(value) if math.isfinite(value) else "a finite number"
        raise PydanticCustomError(
            "unquoted",
            "must be a string or a whole number, got the float {value}; quote it: {quoted}",
            {"value": str(value), "quoted": f'"{quoted}"'},
        )
    return str(value) if isinstance(value, int) else value


def _int_or_string(max_length: int, pattern: str | None = None) -> tuple[Any, Any, Any]:
    schema: dict[str, Any] = {"x-kubernetes-int-or-string": True, "maxLength": max_length}
    if pattern is not None:
        schema["pattern"] = pattern
    return (
        StringConstraints(max_length=max_length, pattern=pattern),
        BeforeValidator(_text),
        WithJsonSchema(schema),
    )


Decimal = Annotated[str, *_int_or_string(48, DECIMAL_PATTERN)]
"""A number in a spec, as its digits. 48 characters: sign, twice 20 digits, point, exponent."""

Value = Annotated[str, *_int_or_string(128)]
"""A value of a parameter. 128 characters hold a list of LoRA targets or a genotype's name."""

Count = Annotated[str, *_int_or_string(63, COUNT_PATTERN)]

ParameterName = Annotated[str, Field(min_length=1, max_length=63, pattern=PARAMETER_NAME_PATTERN)]
MetricName = Annotated[str, Field(min_length=1, max_length=128, pattern=METRIC_NAME_PATTERN)]
ContainerName = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN_PATTERN)]
StudyName = Annotated[str, Field(min_length=1, max_length=40, pattern=LABEL_PATTERN)]

Formula = Annotated[str, Field(min_length=1, max_length=512)]
"""An expression's text. Its grammar is checked when the Study is accepted."""

Switch = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
"""A whole number of the JSON kind: "8" and true are none."""

Positive = Annotated[Whole, Field(ge=1, le=MAX_INT32)]
NotNegative = Annotated[Whole, Field(ge=0, le=MAX_INT32)]
Steps = Annotated[Whole, Field(ge=1, le=MAX_STEPS)]

# --- of a status: bounds for the schema alone, so that any version can read what another has written
Word = Annotated[str, Keywords(max_length=64)]
Printed = Annotated[str, Keywords(max_length=64)]
"""A number or a short text for a column."""

Name = Annotated[str, Keywords(max_length=253)]
Line = Annotated[str, Keywords(max_length=1024)]
Moment = Annotated[str, Keywords(format="date-time")]
Tally = Annotated[int, Keywords(minimum=0, format="int64")]


def number(text: str | None) -> float:
    """The number that a Decimal writes; NaN for None and for what is none (another check has said so)."""
    if text is None:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan
