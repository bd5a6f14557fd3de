"""From assignments to what the kernel sees, for many points at once.

    U  (n, d)  points of the unit cube, one column for each searched parameter
    Φ  (n, D)  features; the kernel's squared distance is Σ_g ‖φ_g − φ'_g‖² / ℓ_g², one length scale for each group g

A number (real, integer, ordinal) is one feature, its place in the cube. A choice among k is k features, one-hot / √2, so
that any two of its values are at distance 1; they share a length scale. A parameter that is inactive sits at the centre
of its features, wherever u is: two points that differ in nothing else are the same to the kernel.

`snapped` is what decoding does to a point, for a whole matrix: values on a lattice get the place of their value, inactive
parameters 0.5. Lattices of more than `LISTED` values are as good as continuous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.space.conditions import Condition
from rung.space.dimensions import Choices, Dimension, Lattice, Real
from rung.space.space import Array, Space
from rung.space.variables import Variable, parents_first

Mask = NDArray[np.bool_]

LISTED = 4096
"""Values of a lattice that are listed: neighbours then differ by a 4,000th of the axis, less than any length scale."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One searched parameter."""

    places: Array | None  # (k,) of its values in the cube, ascending; None: continuous
    edges: Array  # (k - 1,) where one value's part of the axis ends and the next one's begins; none if continuous
    categories: int  # how many values, if they have no order; 0: they have
    conditions: tuple[tuple[int, Mask | tuple[float, float]], ...]  # (parent's axis, its good values or range of u)
    group: slice  # its columns in Φ

    @property
    def is_discrete(self) -> bool:
        """Whether its values are listed."""
        return self.places is not None


class Encoding:
    """Of one space. Immutable."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.d = space.d
        by_name = {variable.name: variable for variable in space.variables}
        searched = [variable for variable in space.variables if variable.axis >= 0]
        self.axes: list[Axis] = []
        self.decodes = False  # whether only decoding tells what is active
        column = 0
        for variable in searched:
            conditions = self._conditions(variable, by_name)
            if conditions is None:
                self.decodes, conditions = True, ()
            dimension = variable.dimension
            assert dimension is not None  # noqa: S101 - a searched parameter has one
            categories = _categories(dimension)
            width = categories if categories > 2 else 1
            places = _places(dimension)
            edges = _edges(dimension, places)
            self.axes.append(Axis(places, edges, categories, conditions, slice(column, column + width)))
            column += width
        self.width = column
        self.groups = np.concatenate(
            [np.full(axis.group.stop - axis.group.start, j) for j, axis in enumerate(self.axes)] or [np.empty(0)]
        ).astype(np.intp)
        ordered = [axis.group.start for axis in self.axes if not axis.categories]
        self.ordered = np.array(ordered, dtype=np.intp)  # columns that are places on a scale
        self.order = [by_name[name].axis for name in parents_first(space.variables) if by_name[name].axis >= 0]
        self.continuous = np.array([not axis.is_discrete for axis in self.axes], dtype=bool)
        self.is_conditional = self.decodes or any(axis.conditions for axis in self.axes)

    def rows(self, assignments: Sequence[dict[str, object]]) -> Array:
        """(n, d) where assignments lie in the cube."""
        return np.array([self.space.encode(a) for a in assignments]).reshape(len(assignments), self.d)  # type: ignore[arg-type]

    def snapped(self, u: Array) -> Array:
        """(n, d) as `encode(decode(u))` would place the points."""
        if self.decodes:
            return np.array([self.space.encode(self.space.decode(row)) for row in u]).reshape(u.shape)
        out = u.copy()
        for j, axis in enumerate(self.axes):
            if axis.places is not None:
                out[:, j] = axis.places[np.searchsorted(axis.edges, u[:, j], side="right")]
        out[~self.active(out)] = 0.5
        return out

    def active(self, u: Array) -> Mask:
        """(n, d) which parameters are active at snapped points."""
        on = np.ones(u.shape, dtype=bool)
        if self.decodes:
            names = [variable.name for variable in self.space.variables if variable.axis >= 0]
            return np.array([[name in a for name in names] for a in map(self.space.decode, u)]).reshape(u.shape)
        if not self.is_conditional:
            return on
        for j in self.order:
            for parent, good in self.axes[j].conditions:
                if parent < 0:
                    on[:, j] = False
                    continue
                on[:, j] &= on[:, parent]
                if isinstance(good, tuple):
                    on[:, j] &= (u[:, parent] >= good[0]) & (u[:, parent] <= good[1])
                else:
                    on[:, j] &= good[np.searchsorted(self.axes[parent].edges, u[:, parent], side="right")]
        return on

    def features(self, u: Array) -> Array:
        """(n, D) of snapped points."""
        phi = np.empty((len(u), self.width))
        on = self.active(u) if self.is_conditional else None
        for j, axis in enumerate(self.axes):
            k = axis.categories
            if k <= 2:
                column = (u[:, j] > 0.5).astype(float) if k else u[:, j]
                phi[:, axis.group.start] = column if on is None else np.where(on[:, j], column, 0.5)
                continue
            index = np.minimum((u[:, j] * k).astype(np.intp), k - 1)
            block = np.zeros((len(u), k))
            block[np.arange(len(u)), index] = np.sqrt(0.5)
            if on is not None:
                block[~on[:, j]] = np.sqrt(0.5) / k
            phi[:, axis.group] = block
        return phi

    def _conditions(
        self, variable: Variable, by_name: dict[str, Variable]
    ) -> tuple[tuple[int, Mask | tuple[float, float]], ...] | None:
        """None: only decoding tells."""
        out: list[tuple[int, Mask | tuple[float, float]]] = []
        for condition in variable.conditions:
            parent = by_name[condition.parent]
            dimension = parent.dimension
            if dimension is None:
                return None
            if parent.axis < 0:
                above = self._conditions(parent, by_name)
                if above is None:
                    return None
                out += above
                if not condition.holds({parent.name: dimension.at(0)}):
                    out.append((-1, (0.0, 0.0)))
                continue
            good = _good(condition, dimension)
            if good is None:
                return None
            out.append((parent.axis, good))
        return tuple(out)


def _good(condition: Condition, dimension: Dimension) -> Mask | tuple[float, float] | None:
    """For which of the parent's values a condition holds, its activity aside. None: not known by its place."""
    size = dimension.size
    if size is not None and size <= LISTED:
        return np.array([condition.holds({dimension.name: dimension.at(k)}) for k in range(size)])
    if condition.among is not None:
        return None
    low = 0.0 if condition.low is None else dimension.encode(condition.low)
    high = 1.0 if condition.high is None else dimension.encode(condition.high)
    return (low, high)


def _categories(dimension: Dimension) -> int:
    return len(dimension.values) if isinstance(dimension, Choices) and not dimension.ordered else 0


def _places(dimension: Dimension) -> Array | None:
    size = dimension.size
    if isinstance(dimension, Real) or size is None or size > LISTED:
        return None
    return np.array([dimension.encode(dimension.at(k)) for k in range(size)])


def _edges(dimension: Dimension, places: Array | None) -> Array:
    """Half way between neighbours, on the parameter's scale."""
    if places is None:
        return np.empty(0)
    bend = dimension.bend if isinstance(dimension, Lattice) else None
    if bend is None:
        return np.asarray((places[1:] + places[:-1]) / 2)
    unbent = np.array([bend.place(u) for u in places.tolist()])
    return np.array([bend.share(v) for v in ((unbent[1:] + unbent[:-1]) / 2).tolist()])
