"""The axes of the unit cube, as arrays: which places mean the same value, and which parameters are active where.

d, m      axes, points                u        (m, d)  points of the cube
edges     (c + 1,)  of an axis with c values: places from edges[k] up to edges[k + 1] mean the k-th
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rung.space.conditions import Condition
from rung.space.dimensions import Choices, Dimension, Lattice
from rung.space.space import Array, Space
from rung.space.variables import Variable

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.intp]

FINE = 256
"""Values of a lattice beyond which it is treated as continuous: little that is modelled is as narrow as its cells."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What a model needs to know of one coordinate."""

    edges: Array | None  # of the cells, ascending from 0 to 1; None: continuous
    ordered: bool = True

    @property
    def count(self) -> int:
        """How many values there are; 0: continuous."""
        return 0 if self.edges is None else len(self.edges) - 1

    def cell(self, u: Array) -> Ints:
        """The indices of the values at these places. Only for an axis that has cells."""
        if self.edges is None:
            raise TypeError("a continuous axis has no cells")
        return np.clip(np.searchsorted(self.edges, u, side="right") - 1, 0, self.count - 1)


def axes_of(space: Space) -> tuple[Axis, ...]:
    """One for each coordinate of the space."""
    return tuple(_axis(dimension) for dimension in space.dimensions)


def _axis(dimension: Dimension) -> Axis:
    size = dimension.size
    if size is None or size > FINE:
        return Axis(None)
    bend = dimension.bend if isinstance(dimension, Lattice) else None
    plain = replace(dimension, bend=None) if isinstance(dimension, Lattice) else dimension
    places = np.array([plain.encode(plain.at(k)) for k in range(size)])
    between = (places[1:] + places[:-1]) / 2
    if bend is not None:  # a value owns what is nearer to it on its scale, before the prior stretches that
        between = np.array([bend.share(place) for place in between.tolist()])
    edges = np.concatenate([[0.0], between, [1.0]])
    return Axis(edges, not isinstance(dimension, Choices) or dimension.ordered)


class Activity:
    """Which parameters are active at a point. Conditions on parents with few values, which nearly all are, become tables;
    with any other the points are decoded one by one.
    """

    def __init__(self, space: Space, axes: Sequence[Axis]) -> None:
        self._space = space
        self._axes = axes
        self._by_name = {variable.name: variable for variable in space.variables}
        self._searched = [variable for variable in space.variables if variable.axis >= 0]
        self._is_conditional = any(variable.conditions for variable in self._searched)
        self._in_tables = all(self._has_tables(variable) for variable in self._searched)

    def at(self, u: Array) -> Bools:
        """(m, d) -> (m, d)."""
        active = np.ones(u.shape, dtype=bool)
        if not self._is_conditional:
            return active
        if self._in_tables:
            known: dict[str, Bools] = {}
            for variable in self._searched:
                active[:, variable.axis] = self._active(variable, u, known)
            return active
        for i, row in enumerate(u.tolist()):
            assignment = self._space.decode(row)
            active[i] = [variable.name in assignment for variable in self._searched]
        return active

    def _has_tables(self, variable: Variable) -> bool:
        parents = [self._by_name[condition.parent] for condition in variable.conditions]
        return all(
            parent.axis >= 0 and self._axes[parent.axis].edges is not None and self._has_tables(parent)
            for parent in parents
        )

    def _active(self, variable: Variable, u: Array, known: dict[str, Bools]) -> Bools:
        """(m,); `known` keeps what was found of other parameters."""
        if variable.name not in known:
            on = np.ones(len(u), dtype=bool)
            for condition in variable.conditions:
                parent = self._by_name[condition.parent]
                on &= self._active(parent, u, known) & self._holds(condition, parent, u)
            known[variable.name] = on
        return known[variable.name]

    def _holds(self, condition: Condition, parent: Variable, u: Array) -> Bools:
        """(m,) whether the parent's value fulfils the condition."""
        axis, dimension = self._axes[parent.axis], self._space.dimensions[parent.axis]
        table = [condition.holds({parent.name: dimension.at(k)}) for k in range(axis.count)]
        return np.array(table, dtype=bool)[axis.cell(u[:, parent.axis])]
