"""Grid search: every assignment of a finite space once, in the order of the spec with the last parameter changing
fastest.
"""

from __future__ import annotations

from rung.api.errors import InvalidStudy
from rung.search.protocol import Proposal, Request
from rung.space.space import Space

CONSTRAINED = 1_000_000
"""Points of a grid with constraints: to know the next feasible one, all before it have to be looked at."""


class GridSampler:
    """Trial n is the n-th feasible point of the grid, not counting trials that came from the warm start.

    One that is taken already (by such a trial) is passed over. Behind the last point it starts again with what was left
    out.
    """

    learns = False

    def __init__(self, space: Space) -> None:
        """Raises InvalidStudy if the space is not finite, or too large to be looked through for what its constraints
        allow.
        """
        size = space.grid_size()
        if size is None:
            raise InvalidStudy("spec.sampler.type", f"Grid needs finitely many values: {_what_to_do(space)}")
        if size > CONSTRAINED and not space.unrestricted:
            what = (
                f"with constraints Grid takes at most {CONSTRAINED:,} points, got {size:,}; use larger steps, or Sobol"
            )
            raise InvalidStudy("spec.sampler.type", what)

    def propose(self, request: Request) -> Proposal | None:
        """The next point of the grid. None: all are taken."""
        space, grid = request.space, request.space.grid
        start = max(request.number - len(request.enqueued), 0)
        position = start
        while grid.has(position):
            point = grid[position]
            if space.key(point) not in request.taken:
                return Proposal(point)
            position += 1
        for position in range(min(start, grid.count(start))):
            point = grid[position]
            if space.key(point) not in request.taken:
                return Proposal(point)
        return None


def _what_to_do(space: Space) -> str:
    """Which parameters lack a step, and how many points the others make."""
    continuous = [dimension.name for dimension in space.dimensions if dimension.size is None]
    others = 1
    for dimension in space.dimensions:
        others *= dimension.size or 1
    shown = ", ".join(continuous[:4]) + (", …" if len(continuous) > 4 else "")
    tenfold = others * 10 ** len(continuous)
    example = f"{others:,} points by themselves, {tenfold:,} with ten values for each of these"
    return f"give {shown} a step, or list values with type Ordinal; the other parameters make {example}"
