"""The search space: parameters on one side, the unit cube on the other.

    d           searched parameters: those with more than one value that are neither fixed nor derived; each element
                of an array is one
    u    (d,)   a point in the unit cube, one coordinate for each of `Space.dimensions`, in the order of the spec
    assignment  name -> value of all active parameters in the order of the spec, fixed and derived ones included

`decode` goes from u to an assignment: parents first, each parameter only if its conditions hold, derived ones by their
expressions. `encode` goes back; coordinates of inactive parameters become 0.5. Real numbers are rounded when they are
sampled, so what is shown, stored and passed on is the same number: decode(encode(decode(u))) == decode(u).

An assignment is feasible if every derived parameter has a value and no parameter constraint is violated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rung.api.errors import InvalidStudy
from rung.api.facts import Assignment, Value
from rung.api.study import Parameter
from rung.space.arrays import expanded, folded
from rung.space.dimensions import Dimension, Unfit, nearest
from rung.space.expressions import Expression, ExpressionError
from rung.space.grid import GridOrder
from rung.space.texts import render
from rung.space.tokens import did_you_mean
from rung.space.variables import Variable, compile_variables, parents_first

Array = NDArray[np.float64]

PROBES = 2_000
"""Points that are tried before a space is called infeasible: a feasible share of 0.5 % is then missed once in 20,000
studies.
"""


class Space:
    """Immutable. Two spaces of the same parameters and constraints behave the same; `Space.of` builds them."""

    def __init__(
        self,
        variables: Sequence[Variable],
        order: Sequence[str],
        constraints: Sequence[Expression],
        arrays: Mapping[str, tuple[str, ...]],
    ) -> None:
        """For `Space.of`: `order` has parents first, `arrays` the names of elements."""
        by_name = {variable.name: variable for variable in variables}
        self.names = tuple(by_name)
        self.variables = tuple(variables)
        self.constraints = tuple(constraints)
        self.arrays = arrays
        self._by_name = by_name
        self._parents_first = tuple(by_name[name] for name in order)
        self._in_spec_order = tuple(order) == self.names
        self._searched = tuple(variable for variable in variables if variable.axis >= 0)
        self._keyed = tuple(variable.name for variable in variables if variable.expression is None)
        self._derived = tuple(variable for variable in self._parents_first if variable.expression is not None)
        self._centre = (0.5,) * len(self._searched)

    @staticmethod
    def of(parameters: Sequence[Parameter], constraints: Sequence[str] = ()) -> Space:
        """The space of a study's parameters.

        Raises InvalidStudy with the field's path for whatever does not fit together: unknown parents, circles, bounds
        that cross, expressions that cannot be read, and constraints that leave nothing feasible.
        """
        return _compiled(tuple(parameters), tuple(constraints))

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Of the searched parameters, in the order of the coordinates of u."""
        return tuple(v.dimension for v in self._searched if v.dimension is not None)

    @property
    def d(self) -> int:
        """How many parameters are searched."""
        return len(self._searched)

    @property
    def unrestricted(self) -> bool:
        """Whether every assignment is feasible: there are neither constraints nor expressions that might fail."""
        return not self.constraints and not self._derived

    def decode(self, u: Array | Sequence[float]) -> Assignment:
        """The assignment at u. It may be infeasible; a derived parameter that has no value there is left out."""
        coordinates: Sequence[float] = u.tolist() if isinstance(u, np.ndarray) else u
        return self._assembled(lambda axis, dimension: dimension.decode(coordinates[axis]))

    def encode(self, assignment: Assignment) -> Array:
        """The point in the cube that stands for an assignment, whether it keeps to the bounds or not."""
        u = np.full(self.d, 0.5)
        for variable, dimension in zip(self._searched, self.dimensions, strict=True):
            value = assignment.get(variable.name)
            if value is not None:
                try:
                    u[variable.axis] = dimension.encode(value)
                except Unfit:
                    continue  # a value of another type, from an older study: as good as unknown
        return u

    def is_feasible(self, assignment: Assignment) -> bool:
        """Whether every derived parameter has a value and no constraint is violated."""
        return self.violation(assignment) is None

    def violation(self, assignment: Assignment) -> str | None:
        """Why an assignment is infeasible, in one line; None: it is feasible."""
        try:
            for variable in self._derived:
                if variable.name not in assignment and variable.is_active(assignment):
                    variable.derive(assignment)
            for i, constraint in enumerate(self.constraints):
                if constraint.evaluate(assignment) is False:
                    return f"violates parameterConstraints[{i}]: {constraint.text}"
        except ExpressionError as error:
            return str(error)
        return None

    def complete(self, partial: Mapping[str, str], u: Array | Sequence[float], path: str = "parameters") -> Assignment:
        """The assignment that takes what `partial` says and fills in the rest from u.

        Derived parameters follow from the others and inactive ones are left out, even if `partial` names them, so that
        an assignment copied from elsewhere may be passed as it is. Raises InvalidStudy for unknown names and for values
        that are out of range.
        """
        given = self._read(partial, path)
        for name, value in given.items():
            dimension = self._by_name[name].dimension
            if dimension is not None:
                _check(dimension, value, f"{path}.{name}")
        coordinates: Sequence[float] = u.tolist() if isinstance(u, np.ndarray) else u

        def pick(axis: int, dimension: Dimension) -> Value:
            value = given.get(dimension.name)
            return dimension.decode(coordinates[axis]) if value is None else value

        return self._assembled(pick)

    def known(self, partial: Mapping[str, str], path: str = "parameters") -> Assignment:
        """The assignment of a point whose result is known: just what it says, in range or not, and what can be derived
        from that.

        Nothing is filled in, since no filled-in value was there when the result came about. Raises InvalidStudy for
        unknown names and for texts where a number is needed.
        """
        values = self._read(partial, path)
        for variable in self._derived:
            if variable.name not in values and variable.is_active(values):
                try:
                    derived = variable.derive(values)
                except ExpressionError:
                    continue
                if derived is not None:
                    values[variable.name] = derived
        return {name: values[name] for name in self.names if name in values}

    def adopted(self, texts: Mapping[str, str]) -> Assignment | None:
        """The assignment of another study's trial, as far as it has a place here; None: one of its values has none.

        Unknown parameters are left out, missing ones stay open, numbers between two values go to the nearest.
        """
        values: dict[str, Value] = {}
        for variable in self._parents_first:
            dimension, text = variable.dimension, texts.get(variable.name)
            if not variable.is_active(values):
                continue
            if dimension is None:
                try:
                    derived = variable.derive(values)
                except ExpressionError:
                    continue
                if derived is not None:
                    values[variable.name] = derived
            elif text is not None:
                found = nearest(dimension, text)
                if found is None or not found[1]:
                    return None
                values[variable.name] = found[0]
            elif dimension.size == 1:
                values[variable.name] = dimension.at(0)
        return {name: values[name] for name in self.names if name in values}

    def moved(self, texts: Mapping[str, str]) -> dict[str, str]:
        """What another study's trial says of the parameters that are searched here, numbers moved into the ranges.

        Words that are not listed here are left open, as what the other study did not know.
        """
        result = {}
        for name, text in texts.items():
            variable = self._by_name.get(name)
            if variable is None or variable.dimension is None or variable.axis < 0:
                continue
            found = nearest(variable.dimension, text)
            if found is not None:
                result[name] = variable.dimension.render(found[0])
        return result

    def render(self, assignment: Assignment) -> dict[str, str]:
        """The texts that programs and Trial objects are given. `parse` reads them back as the same values."""
        texts = {}
        for name, value in assignment.items():
            dimension = self._by_name[name].dimension
            texts[name] = render(value) if dimension is None else dimension.render(value)
        return texts

    def shown(self, assignment: Assignment) -> dict[str, str]:
        """What people read: as `render`, an array's active elements in one text."""
        return folded(self.arrays, self.render(assignment))

    def parse(self, strings: Mapping[str, str]) -> Assignment:
        """What `render` wrote. Raises InvalidStudy if a name or a type does not belong to this space."""
        values = self._read(strings, "parameters")
        return {name: values[name] for name in self.names if name in values}

    def key(self, assignment: Assignment) -> Hashable:
        """What makes two assignments the same: all but the derived values, which follow."""
        return tuple([assignment.get(name) for name in self._keyed])

    def grid_size(self) -> int | None:
        """Points of the full grid, those that conditions merge and constraints forbid included; None: not finite."""
        sizes = [dimension.size for dimension in self.dimensions]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def grid_point(self, index: int) -> Assignment | None:
        """The point of that index in mixed radix, the last dimension fastest; None: infeasible, or the same as an
        earlier one.

        Parents count before their children, else as in the spec. Two indices give the same assignment if they differ in
        inactive dimensions only; the one that has 0 there stands for all.
        """
        return self.grid.point(index)

    @cached_property
    def grid(self) -> GridOrder:
        """The feasible points of the grid, one after the other."""
        axes = [variable.axis for variable in self._parents_first if variable.axis >= 0]
        return GridOrder(self, axes)

    @cached_property
    def witness(self) -> Assignment:
        """A feasible assignment, the same at each call. Raises InvalidStudy if none is found."""
        centre = self.decode(self._centre)
        first = self.violation(centre)
        if first is None:
            return centre
        size = self.grid_size()
        if size is not None and size <= PROBES:
            found = next((point for k in range(size) if (point := self.grid_point(k)) is not None), None)
            tried = f"all {size} assignments were" if size > 1 else "its only assignment was"
        else:
            points = np.random.default_rng(PROBES).random((PROBES, self.d))
            found = next((point for u in points if self.is_feasible(point := self.decode(u))), None)
            tried = f"{PROBES} assignments from all over the space were"
        if found is None:
            field = "spec.parameterConstraints" if self.constraints else "spec.parameters"
            raise InvalidStudy(field, f"nothing is feasible: {tried} tried; the first {first}")
        return found

    def at_grid(self, digits: Sequence[int]) -> Assignment:
        """The assignment of the digits[axis]-th value on each axis, feasible or not."""
        return self._assembled(lambda axis, dimension: dimension.at(digits[axis]))

    def _assembled(self, pick: Callable[[int, Dimension], Value]) -> dict[str, Value]:
        """Values of the active parameters, parents first, each as `pick` says."""
        values: dict[str, Value] = {}
        for variable in self._parents_first:
            if variable.conditions and not variable.is_active(values):
                continue
            if variable.dimension is not None:
                axis, dimension = variable.axis, variable.dimension
                values[variable.name] = pick(axis, dimension) if axis >= 0 else dimension.at(0)
                continue
            try:
                derived = variable.derive(values)
            except ExpressionError:
                continue  # `violation` meets the same error and tells it
            if derived is not None:
                values[variable.name] = derived
        return values if self._in_spec_order else {name: values[name] for name in self.names if name in values}

    def _read(self, strings: Mapping[str, str], path: str) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, text in strings.items():
            variable = self._by_name.get(name)
            if variable is None:
                raise InvalidStudy(f"{path}.{name}", f"there is no such parameter{did_you_mean(name, self.names)}")
            if variable.dimension is not None:
                try:
                    values[name] = variable.dimension.parse(text)
                except Unfit as error:
                    raise InvalidStudy(f"{path}.{name}", str(error)) from None
        for variable in self._derived:
            if variable.name in strings:
                values[variable.name] = variable.recognise(values, strings[variable.name])
        return values


def _check(dimension: Dimension, value: Value, path: str) -> None:
    try:
        dimension.check(value)
    except Unfit as error:
        raise InvalidStudy(path, str(error)) from None


# A pure function of the spec, asked again for each look at a study: room for one entry for each active study.
@lru_cache(maxsize=64)
def _compiled(parameters: tuple[Parameter, ...], constraints: tuple[str, ...]) -> Space:
    variables = compile_variables(parameters)
    names = [variable.name for variable in variables]
    space = Space(variables, parents_first(variables), _constraints(constraints, names), expanded(parameters).arrays)
    if not space.unrestricted:
        _ = space.witness  # raises if there is none
    return space


def _constraints(texts: Sequence[str], names: Collection[str]) -> list[Expression]:
    constraints = []
    for i, text in enumerate(texts):
        path = f"spec.parameterConstraints[{i}]"
        try:
            constraint = Expression.parse(text, names)
        except ExpressionError as error:
            raise InvalidStudy(path, str(error)) from None
        if not constraint.is_condition:
            raise InvalidStudy(path, f"{text!r} is no condition; compare with something, as in a <= b")
        constraints.append(constraint)
    return constraints
