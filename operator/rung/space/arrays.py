"""Array parameters: one entry of the spec that stands for several parameters.

    {name: op, count: 8}        op_0, op_1, … op_7
    {name: op, count: depth}    as many as the Int `depth` may become; op_i exists in trials with i < depth

An element is a parameter like any other, with the array's range, `when` and prior: conditions, expressions and points
name it as op_3. The array's own name stands for its active elements, in placeholders and in RUNG_PARAMETERS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter, ParameterType, When
from rung.space.build import build
from rung.space.tokens import did_you_mean

MAX_EXPANDED = 256
"""Parameters, arrays taken apart: as many as a Trial's record holds."""

SEPARATOR = ","


@dataclass(frozen=True, slots=True)
class Expanded:
    """The parameters of a spec with the elements of arrays in their place."""

    parameters: tuple[Parameter, ...]  # none has a count
    entries: tuple[int, ...]  # of each one: the index of its entry in the spec
    arrays: Mapping[str, tuple[str, ...]]  # array -> its elements

    def folded(self, texts: Mapping[str, str]) -> dict[str, str]:
        """What people read: an array's active elements in one text, under its own name."""
        return folded(self.arrays, texts)


# A pure function of the spec, asked for each trial that starts: room for one entry for each active study.
@lru_cache(maxsize=64)
def expanded(parameters: tuple[Parameter, ...]) -> Expanded:
    """Take arrays apart. Raises InvalidStudy with the field's path."""
    found: list[Parameter] = []
    entries: list[int] = []
    arrays: dict[str, tuple[str, ...]] = {}
    for i, parameter in enumerate(parameters):
        elements = [parameter] if parameter.count is None else _elements(parameter, parameters, f"spec.parameters[{i}]")
        if parameter.count is not None:
            arrays[parameter.name] = tuple(element.name for element in elements)
        found += elements
        entries += [i] * len(elements)
        if arrays and len(found) > MAX_EXPANDED:
            what = f"makes more than {MAX_EXPANDED} parameters in all; use a smaller count"
            raise InvalidStudy(f"spec.parameters[{i}].count", what)
    _refuse_clashes(parameters, arrays)
    return Expanded(tuple(found), tuple(entries), MappingProxyType(arrays))


def folded(arrays: Mapping[str, tuple[str, ...]], texts: Mapping[str, str]) -> dict[str, str]:
    """The texts with each array's active elements joined under its name, at the place of the first."""
    array_of = {element: array for array, elements in arrays.items() for element in elements}
    result: dict[str, str] = {}
    for name, text in texts.items():
        shown = array_of.get(name, name)
        result[shown] = f"{result[shown]}{SEPARATOR}{text}" if shown in result else text
    return result


def _elements(parameter: Parameter, parameters: tuple[Parameter, ...], path: str) -> list[Parameter]:
    count = str(parameter.count)
    counter = None
    if count.isdecimal():
        least = most = int(count)
    else:
        counter, least, most = _counter(count, parameters, f"{path}.count")
    if most < 1:
        raise InvalidStudy(f"{path}.count", f"{count} is never above 0, so {parameter.name} would have no element")
    elements = []
    for index in range(min(most, MAX_EXPANDED + 1)):
        when = parameter.when
        if counter is not None and (index >= least or counter.when):
            when = (*when, When(parameter=counter.name, min=str(index + 1)))
        elements.append(parameter.model_copy(update={"name": f"{parameter.name}_{index}", "count": None, "when": when}))
    return elements


def _counter(name: str, parameters: tuple[Parameter, ...], path: str) -> tuple[Parameter, int, int]:
    """The Int that says how many elements are active, with its lowest and highest value."""
    names = [parameter.name for parameter in parameters]
    if name not in names:
        what = f"there is no parameter {name!r}{did_you_mean(name, names)}"
        raise InvalidStudy(path, f"{what}; write a whole number, or the name of an Int parameter")
    index = names.index(name)
    counter = parameters[index]
    if counter.type is not ParameterType.INT or counter.count is not None:
        what = "is an array" if counter.count is not None else f"is of type {counter.type.value}"
        raise InvalidStudy(path, f"must name an Int parameter, and {name!r} {what}")
    dimension = build(counter, f"spec.parameters[{index}]")
    return counter, int(dimension.at(0)), int(dimension.at((dimension.size or 1) - 1))


def _refuse_clashes(parameters: tuple[Parameter, ...], arrays: Mapping[str, tuple[str, ...]]) -> None:
    taken = {parameter.name: f"parameters[{i}]" for i, parameter in enumerate(parameters)}
    for i, parameter in enumerate(parameters):
        for element in arrays.get(parameter.name, ()):
            if element in taken:
                what = f"its element {element!r} has the name of {taken[element]}; rename one of them"
                raise InvalidStudy(f"spec.parameters[{i}].name", what)
            taken[element] = f"an element of parameters[{i}]"
