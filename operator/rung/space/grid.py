"""The grid of a finite space, point after point.

Indices are in mixed radix with the last dimension fastest and parents before their children. Where a dimension is
inactive, all indices that differ in it mean the same assignment, and the one with digit 0 stands for them; the others
are jumped over in one step each, since everything below such a digit is a repetition too. So the walk costs what it
yields, not the full product.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rung.api.facts import Assignment

if TYPE_CHECKING:
    from rung.space.space import Space


class GridOrder:
    """The feasible points in the order of their indices; positions count feasible points only.

    Remembers the indices that it has found: one number for each point that was asked for, so never more than trials
    exist. What it answers does not depend on what was asked before. Safe to share between threads.
    """

    def __init__(self, space: Space, axes: Sequence[int]) -> None:
        """`axes`: coordinates of u, parents first."""
        sizes = [dimension.size for dimension in space.dimensions]
        self._space = space
        self._axes = tuple(axes)
        self._names = tuple(dimension.name for dimension in space.dimensions)
        self._sizes = tuple(0 if size is None else size for size in sizes)
        self._total = space.grid_size() or 0
        self._is_full = space.unrestricted and not any(v.conditions for v in space.variables if v.axis >= 0)
        self._found: list[int] = []  # a full index may need more than 64 bits
        self._next = 0  # the first index that has not been looked at
        self._lock = threading.Lock()

    def point(self, index: int) -> Assignment | None:
        """The feasible point of a full index; None: infeasible, a repetition, or beyond the grid."""
        return None if not 0 <= index < self._total else self._look(index)[0]

    def __getitem__(self, position: int) -> Assignment:
        """The feasible point at a position. Raises IndexError behind the last."""
        index = position if self._is_full else self._index(position)
        point = self.point(index) if position >= 0 else None
        if point is None:
            raise IndexError(f"the grid has no {position}-th feasible point")
        return point

    def __iter__(self) -> Iterator[Assignment]:
        position = 0
        while self.has(position):
            yield self[position]
            position += 1

    def has(self, position: int) -> bool:
        """Whether there are more than `position` feasible points."""
        return position < self._total if self._is_full else self._index(position) < self._total

    def count(self, limit: int) -> int:
        """How many feasible points there are; at most `limit` are counted."""
        if self._is_full:
            return min(self._total, limit)
        return limit if limit <= 0 or self.has(limit - 1) else len(self._found)

    def _index(self, position: int) -> int:
        """The full index of a position; beyond the grid if there are not so many."""
        with self._lock:
            while position >= len(self._found) and self._next < self._total:
                point, following = self._look(self._next)
                if point is not None:
                    self._found.append(self._next)
                self._next = following
            return self._found[position] if position < len(self._found) else self._total

    def _look(self, index: int) -> tuple[Assignment | None, int]:
        """The point at an index, if it is feasible and no repetition, and the next index worth a look."""
        digits = [0] * len(self._sizes)
        blocks = [0] * len(self._sizes)  # how many indices share a digit's higher digits
        rest, block = index, 1
        for axis in reversed(self._axes):
            rest, digits[axis] = divmod(rest, self._sizes[axis])
            block *= self._sizes[axis]
            blocks[axis] = block
        assignment = self._space.at_grid(digits)
        for axis in self._axes:
            if digits[axis] and self._names[axis] not in assignment:
                return None, (index // blocks[axis] + 1) * blocks[axis]
        return (assignment if self._space.is_feasible(assignment) else None), index + 1
