"""From points of the cube to a proposal that fits: feasible, and not taken.

The points of a request are tried one after the other. Where that finds nothing in time,

    a finite space that is small enough is looked through, so None is answered exactly when it is exhausted;
    a larger finite one that offers nothing but taken assignments is treated as exhausted;
    a continuous one accepts a duplicate rather than end the study.

All bounds are counts, never seconds: a slow machine proposes what a fast one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from rung.api.facts import Assignment
from rung.search.protocol import Proposal, Request
from rung.search.randomness import generator
from rung.space.space import Space

TRIES = 20_000
"""Infeasible points in a row. A space of which one point in 2,000 is feasible fails so often once in 20,000 proposals.
"""

TAKEN_TRIES = 1_000
"""Feasible but taken points: beyond that, more than 99 % of the space is taken."""

SEARCHABLE = 100_000
"""Points of a grid that is looked through one by one: a second at most, and only when nearly all of them are taken."""


def fitting(request: Request, points: Iterator[Sequence[float]]) -> Proposal | None:
    """The first of `points` that fits, or what stands in for it (see above)."""
    space = request.space
    duplicate: Assignment | None = None
    met = 0
    for u in islice(points, TRIES):
        assignment = space.decode(u)
        if not space.is_feasible(assignment):
            continue
        if space.key(assignment) not in request.taken:
            return Proposal(assignment)
        duplicate = duplicate or assignment
        met += 1
        if met == TAKEN_TRIES or space.d == 0:
            break
    left = _left_on_grid(request) if is_searchable(space) else None
    if left is not None:
        return Proposal(left)
    if space.grid_size() is None:
        return Proposal(duplicate or space.witness)
    if is_searchable(space) or space.key(space.witness) in request.taken:
        return None
    return Proposal(space.witness)


def is_searchable(space: Space) -> bool:
    """Whether the grid is small enough to be looked through."""
    size = space.grid_size()
    if size is None:
        return False
    return size <= SEARCHABLE or (space.unrestricted and space.grid.count(SEARCHABLE + 1) <= SEARCHABLE)


def _left_on_grid(request: Request) -> Assignment | None:
    """A point of the grid that is not taken, searched for from a place that belongs to the trial."""
    grid, space = request.space.grid, request.space
    count = grid.count(SEARCHABLE)
    start = int(generator(request.seed, request.number, "left").integers(count)) if count else 0
    for position in chain(range(start, count), range(start)):
        point = grid[position]
        if space.key(point) not in request.taken:
            return point
    return None
