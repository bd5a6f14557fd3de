"""The parameters of a study, compiled: each knows its conditions, and its dimension or its expression."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rung.api.errors import InvalidStudy
from rung.api.facts import Assignment, Value
from rung.api.study import Parameter, ParameterType
from rung.space.arrays import expanded
from rung.space.build import build
from rung.space.conditions import Condition, Cycle, condition, in_order
from rung.space.dimensions import Dimension
from rung.space.expressions import Expression, ExpressionError
from rung.space.texts import number_of, render
from rung.space.tokens import did_you_mean


@dataclass(frozen=True, slots=True)
class Variable:
    """One parameter. It has a dimension, or an expression if it is derived."""

    name: str
    conditions: tuple[Condition, ...]
    dimension: Dimension | None
    expression: Expression | None
    axis: int  # its coordinate in u; -1: not searched
    entry: int  # index of its entry in spec.parameters

    def is_active(self, values: Assignment) -> bool:
        """Whether all its conditions hold, given the values of its active parents."""
        return all(condition.holds(values) for condition in self.conditions)

    def derive(self, values: Assignment) -> Value | None:
        """The value of a derived parameter; None: it rests on an inactive one. Raises ExpressionError."""
        if self.expression is None:
            return None
        value = self.expression.evaluate(values)
        if isinstance(value, bool):
            what = f"gives a condition where {self.name!r} needs a value; write 1 if … else 0"
            raise ExpressionError(self.expression.text, what)
        return value

    def recognise(self, values: Assignment, text: str) -> Value:
        """A derived value from its text: what follows from the others if written so, else a number, else the text."""
        try:
            derived = self.derive(values)
        except ExpressionError:
            derived = None
        if derived is not None and render(derived) == text:
            return derived
        number = number_of(text)
        return text if number is None else number


def compile_variables(parameters: Sequence[Parameter]) -> tuple[Variable, ...]:
    """In the order of the spec, elements in the place of their array. Raises InvalidStudy with the field's path."""
    _refuse_twins(parameters)
    apart = expanded(tuple(parameters))
    names = [parameter.name for parameter in apart.parameters]
    dimensions: dict[str, Dimension | None] = {}
    expressions: dict[str, Expression | None] = {}
    for i, parameter in zip(apart.entries, apart.parameters, strict=True):
        path = f"spec.parameters[{i}]"
        is_derived = parameter.type is ParameterType.DERIVED
        dimensions[parameter.name] = None if is_derived else build(parameter, path)
        expressions[parameter.name] = _expression(parameter, names, f"{path}.expression") if is_derived else None
    variables: list[Variable] = []
    axes = 0
    for i, parameter in zip(apart.entries, apart.parameters, strict=True):
        dimension = dimensions[parameter.name]
        searched = dimension is not None and dimension.size != 1
        conditions = _conditions(parameter, dimensions, apart.arrays, f"spec.parameters[{i}]")
        axis = axes if searched else -1
        variables.append(Variable(parameter.name, conditions, dimension, expressions[parameter.name], axis, i))
        axes += searched
    return tuple(variables)


def parents_first(variables: Sequence[Variable]) -> list[str]:
    """The names, each behind all that its conditions and its expression name. Raises InvalidStudy for circles."""
    parents = {
        variable.name: frozenset(condition.parent for condition in variable.conditions)
        | (frozenset() if variable.expression is None else variable.expression.names)
        for variable in variables
    }
    names = [variable.name for variable in variables]
    try:
        return in_order(names, parents)
    except Cycle as error:
        first = min((variables[names.index(name)] for name in error.names), key=lambda variable: variable.entry)
        raise InvalidStudy(f"spec.parameters[{first.entry}]", f"depends on itself: {error}") from None


def _refuse_twins(parameters: Sequence[Parameter]) -> None:
    names: dict[str, int] = {}
    for i, parameter in enumerate(parameters):
        if parameter.name in names:
            what = f"{parameter.name!r} is the name of parameters[{names[parameter.name]}] already"
            raise InvalidStudy(f"spec.parameters[{i}].name", what)
        names[parameter.name] = i


def _expression(parameter: Parameter, names: Collection[str], path: str) -> Expression:
    if parameter.expression is None:
        raise InvalidStudy(path, "is required for type Derived")
    try:
        return Expression.parse(parameter.expression, names)
    except ExpressionError as error:
        raise InvalidStudy(path, str(error)) from None


def _conditions(
    parameter: Parameter, dimensions: Mapping[str, Dimension | None], arrays: Mapping[str, Sequence[str]], path: str
) -> tuple[Condition, ...]:
    conditions = []
    for i, when in enumerate(parameter.when):
        if when.parameter in arrays:
            what = f"{when.parameter!r} is an array; name one of its elements, such as {arrays[when.parameter][0]!r}"
            raise InvalidStudy(f"{path}.when[{i}].parameter", what)
        if when.parameter not in dimensions:
            what = f"there is no parameter {when.parameter!r}{did_you_mean(when.parameter, dimensions)}"
            raise InvalidStudy(f"{path}.when[{i}].parameter", what)
        conditions.append(condition(when, dimensions[when.parameter], f"{path}.when[{i}]"))
    return tuple(conditions)
