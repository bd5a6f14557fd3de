"""The search space: one parameter, its range or values, and when it exists.

                 needs                     may have
    Double, Int  min and max, or value     step, scale, prior, when, count, role
    Ordinal      values, or value          when, count, role
    Categorical  values, or value          when, count, role
    Derived      expression                when, role

A fixed `value` may stand beside a range or a list, which it then keeps to: freezing is one word in a diff.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords, rule
from rung.api.scalars import Count, Decimal, Formula, ParameterName, Value, number

WHOLE_PATTERN = r"^[+-]?[0-9]{1,15}$"
"""Up to 15 digits are exact in a double."""


class ParameterType(StrEnum):
    """The kind of a parameter."""

    DOUBLE = "Double"
    INT = "Int"
    ORDINAL = "Ordinal"
    CATEGORICAL = "Categorical"
    DERIVED = "Derived"


class Scale(StrEnum):
    """How a range is searched."""

    LINEAR = "Linear"
    LOG = "Log"
    REVERSE_LOG = "ReverseLog"


class Role(StrEnum):
    """What a study asks of a parameter."""

    SCIENTIFIC = "Scientific"
    NUISANCE = "Nuisance"


Values = Annotated[tuple[Value, ...], Field(max_length=64), Keywords(min_items=1)]
"""An empty list is refused by the API server; in Python it is the same as an absent one."""

RANGED = frozenset({ParameterType.DOUBLE, ParameterType.INT})
LISTED = frozenset({ParameterType.ORDINAL, ParameterType.CATEGORICAL})


class When(ApiModel):
    """A condition on another parameter. With its name alone: that parameter must itself be active."""

    parameter: ParameterName = Field(description="Name of the other parameter. If it is inactive, so is this one.")
    in_: Values = Field(
        default=(), alias="in", description="Values of the other parameter for which this one exists, 64 at most."
    )
    min: Decimal | None = Field(default=None, description="The other parameter must be at least this.")
    max: Decimal | None = Field(default=None, description="The other parameter must be at most this.")


class Prior(ApiModel):
    """Where good values are expected: a normal distribution on the parameter's scale, cut off at the bounds. The little beyond
    three deviations is spread evenly, so that no value is out of reach.
    """

    mean: Decimal = Field(description="The most likely value, in the parameter's own unit, between min and max.")
    deviation: Decimal = Field(
        description="Standard deviation on the scale: in the parameter's unit for Linear, in natural logarithms for Log "
        "and ReverseLog. One sixth of the range is mild."
    )

    @rule(
        "double(self.deviation) > 0.0",
        "prior.deviation must be above 0",
        says="'prior.deviation must be above 0, got %s'.format([self.deviation])",
        at=".deviation",
    )
    def _spread(self) -> str | None:
        return None if number(self.deviation) > 0 else f"prior.deviation must be above 0, got {self.deviation}"


class Parameter(ApiModel):
    """One dimension of the search space."""

    name: ParameterName = Field(
        description="Its name in $(params.NAME), in expressions and in RUNG_PARAMETERS: letters, digits and underscores."
    )
    type: ParameterType = Field(
        description="Double: a real number. Int: a whole number. Ordinal: discrete numbers or ordered words, such as batch "
        "sizes. Categorical: words without an order. Derived: computed from others."
    )
    min: Decimal | None = Field(default=None, description='Lower bound, included, of a Double or Int: 16 or "1e-5".')
    max: Decimal | None = Field(default=None, description='Upper bound, included, of a Double or Int: 512 or "0.1".')
    step: Decimal | None = Field(
        default=None,
        description="Distance between neighbouring values of a Double or Int, counted from min. An Int without one takes "
        "every whole number. Grid needs it on a Double.",
    )
    # No default in the schema: Linear on every parameter would then be "given" to those that have no scale.
    scale: Scale | None = Field(
        default=None,
        description="How the range of a Double or Int is searched. Linear: evenly, and what holds if absent. Log: evenly in "
        "the logarithm, when the bounds are decades apart (min > 0). ReverseLog: evenly in log(1 - x), for values that crowd "
        "near 1, such as a momentum (Double with max < 1).",
    )
    values: Values = Field(
        default=(),
        description="The values of an Ordinal, in their order, or of a Categorical: 64 at most. Quote yes, no, on, off and "
        "decimals.",
    )
    value: Value | None = Field(
        default=None, description="Fixes the parameter; range or values may stay beside it for later. Not for Derived."
    )
    when: Annotated[
        tuple[When, ...],
        Field(max_length=4),
        Keywords(min_items=1, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["parameter"]),
    ] = Field(default=(), description="The parameter exists only in trials for which all of these hold; 4 at most.")
    expression: Formula | None = Field(
        default=None,
        description='How a Derived parameter is computed: "128 // (8 * micro_batch)". Knows + - * / // % **, comparisons, '
        "and or not, in, a if c else b, abs min max round floor ceil sqrt exp log log2 log10, and coalesce(a, b) for the "
        "first that is active.",
    )
    count: Count | None = Field(
        default=None,
        description="Makes so many parameters NAME_0, NAME_1, … of this one: a whole number of at least 1, or the name of an "
        "Int parameter, of which those with an index below its value are active. $(params.NAME) is all active ones, joined by "
        "commas. At most 256 parameters in all.",
    )
    prior: Prior | None = Field(default=None, description="Where good values of a Double or Int are expected.")
    role: Role | None = Field(
        default=None,
        description="For insights. Scientific: its effect is the question. Nuisance: tuned so that the comparison is fair. "
        "May be changed at any time.",
    )

    @rule(
        "!(self.type in ['Double', 'Int']) || has(self.value) || (has(self.min) && has(self.max))",
        "min and max are required for Double and Int without a fixed value",
        says="'parameter %s: type %s needs min and max, or a fixed value'.format([self.name, self.type])",
    )
    def _range_given(self) -> str | None:
        if self.type not in RANGED or self.value is not None or (self.min is not None and self.max is not None):
            return None
        return f"parameter {self.name}: type {self.type} needs min and max, or a fixed value"

    @rule(
        "self.type in ['Double', 'Int'] || "
        "(!has(self.min) && !has(self.max) && !has(self.step) && !has(self.scale) && !has(self.prior))",
        "min, max, step, scale and prior are only for Double and Int",
        says="'parameter %s: min, max, step, scale and prior do not apply to type %s'.format([self.name, self.type])",
    )
    def _range_applies(self) -> str | None:
        given = (self.min, self.max, self.step, self.scale, self.prior)
        if self.type in RANGED or all(field is None for field in given):
            return None
        return f"parameter {self.name}: min, max, step, scale and prior do not apply to type {self.type}"

    @rule(
        "!(self.type in ['Ordinal', 'Categorical']) || has(self.value) || has(self.values)",
        "values is required for Ordinal and Categorical without a fixed value",
        says="'parameter %s: type %s needs values, or a fixed value'.format([self.name, self.type])",
    )
    def _values_given(self) -> str | None:
        if self.type not in LISTED or self.value is not None or self.values:
            return None
        return f"parameter {self.name}: type {self.type} needs values, or a fixed value"

    @rule(
        "self.type in ['Ordinal', 'Categorical'] || !has(self.values)",
        "values is only for Ordinal and Categorical",
        says="'parameter %s: values does not apply to type %s'.format([self.name, self.type])",
        at=".values",
    )
    def _values_apply(self) -> str | None:
        if self.type in LISTED or not self.values:
            return None
        return f"parameter {self.name}: values does not apply to type {self.type}"

    @rule(
        "(self.type == 'Derived') == has(self.expression)",
        "expression is required for Derived and does not apply to other types",
        says="(has(self.expression) ? 'parameter %s: expression does not apply to type %s' : "
        "'parameter %s: expression is required for type %s').format([self.name, self.type])",
    )
    def _expression_applies(self) -> str | None:
        if (self.type is ParameterType.DERIVED) == (self.expression is not None):
            return None
        verb = "is required for" if self.expression is None else "does not apply to"
        return f"parameter {self.name}: expression {verb} type {self.type}"

    @rule(
        "self.type != 'Derived' || (!has(self.value) && !has(self.count))",
        "value and count do not apply to Derived",
        says="'parameter %s: value and count do not apply to type Derived'.format([self.name])",
    )
    def _derived_is_computed(self) -> str | None:
        if self.type is not ParameterType.DERIVED or (self.value is None and self.count is None):
            return None
        return f"parameter {self.name}: value and count do not apply to type Derived"

    @rule(
        "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
        "min must not exceed max",
        says="'parameter %s: min %s must not exceed max %s'.format([self.name, self.min, self.max])",
        at=".min",
    )
    def _ordered(self) -> str | None:
        if not number(self.min) > number(self.max):
            return None
        return f"parameter {self.name}: min {self.min} must not exceed max {self.max}"

    @rule(
        "!has(self.scale) || self.scale != 'Log' || !has(self.min) || double(self.min) > 0.0",
        "scale Log needs min above 0",
        says="'parameter %s: scale Log needs min above 0, got %s'.format([self.name, self.min])",
        at=".min",
    )
    def _log_of_positive(self) -> str | None:
        if self.scale is not Scale.LOG or not number(self.min) <= 0:
            return None
        return f"parameter {self.name}: scale Log needs min above 0, got {self.min}"

    @rule(
        "!has(self.scale) || self.scale != 'ReverseLog' || "
        "(self.type != 'Int' && (!has(self.max) || double(self.max) < 1.0))",
        "scale ReverseLog needs type Double and max below 1",
        says="'parameter %s: scale ReverseLog needs type Double and max below 1'.format([self.name])",
        at=".scale",
    )
    def _reverse_log_below_one(self) -> str | None:
        if self.scale is not Scale.REVERSE_LOG or (self.type is not ParameterType.INT and not number(self.max) >= 1):
            return None
        return f"parameter {self.name}: scale ReverseLog needs type Double and max below 1"

    @rule(
        "self.type != 'Int' || [has(self.min) ? string(self.min) : '0', has(self.max) ? string(self.max) : '0', "
        "has(self.step) ? string(self.step) : '1', has(self.value) ? string(self.value) : '0']"
        f".all(x, x.matches('{WHOLE_PATTERN}'))",
        "min, max, step and value of an Int must be whole numbers of at most 15 digits",
        says="'parameter %s: min, max, step and value of an Int must be whole numbers of at most 15 digits, such as 16'"
        ".format([self.name])",
    )
    def _whole(self) -> str | None:
        given = (self.min, self.max, self.step, self.value)
        if self.type is not ParameterType.INT or all(re.fullmatch(WHOLE_PATTERN, x) for x in given if x is not None):
            return None
        return f"parameter {self.name}: min, max, step and value of an Int must be whole numbers of at most 15 digits, such as 16"

    @rule(
        "!has(self.step) || double(self.step) > 0.0",
        "step must be above 0",
        says="'parameter %s: step must be above 0, got %s'.format([self.name, self.step])",
        at=".step",
    )
    def _step_positive(self) -> str | None:
        if not number(self.step) <= 0:
            return None
        return f"parameter {self.name}: step must be above 0, got {self.step}"

    @rule(
        "!has(self.when) || self.when.all(w, w.parameter != self.name)",
        "when must not refer to the parameter itself",
        says="'parameter %s: when must not refer to the parameter itself'.format([self.name])",
        at=".when",
    )
    def _when_of_another(self) -> str | None:
        if all(w.parameter != self.name for w in self.when):
            return None
        return f"parameter {self.name}: when must not refer to the parameter itself"
