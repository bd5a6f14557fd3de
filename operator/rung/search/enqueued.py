"""Points that the user wants tried first, or whose results are known already: `warmStart.points`; behind them the best of
other studies.

Which points have been served is read from the facts (a trial carries its point's index, or the trial that it repeats), not
from trial numbers, so points may be appended while the study runs: they come next, and numbers that were given out keep
their meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from rung.api.errors import InvalidStudy
from rung.api.facts import Assignment
from rung.api.study import StudySpec
from rung.search.protocol import Proposal, Request, Sampler
from rung.search.randomness import generator
from rung.space.space import Space

FILLS = 2_000
"""Ways to fill in a partial point that are tried for a feasible one: as many as for the whole space."""

ACTIVE_FILLS = 64
"""Ways that are tried for one in which everything that the point says is active; a parent with that many values is
rare.
"""


@dataclass(frozen=True, slots=True)
class EnqueuedPoint:
    """One point as the user wrote it. `values`: its known results by metric; such a point is recorded, never run."""

    parameters: Mapping[str, str]
    values: Mapping[str, float] | None
    path: str  # of the field, for messages
    origin: str = ""  # the trial of another study that it repeats


def enqueued(spec: StudySpec, space: Space) -> tuple[EnqueuedPoint, ...]:
    """The points of the spec, checked. Raises InvalidStudy with the field's path.

    A point without values has to keep to the ranges, and there has to be a feasible way to fill in what it leaves open.
    One with values may lie anywhere: it was measured where it was measured.
    """
    if spec.warm_start is None:
        return ()
    points = []
    for i, point in enumerate(spec.warm_start.points):
        path = f"spec.warmStart.points[{i}]"
        values = None if point.values is None else {name: float(text) for name, text in point.values.items()}
        read = EnqueuedPoint(dict(point.parameters), values, f"{path}.parameters")
        check_point(read, space)
        points.append(read)
    return tuple(points)


def check_point(point: EnqueuedPoint, space: Space) -> None:
    """Raises InvalidStudy for a point that cannot be served."""
    if point.values is None:
        _fill(point, space, iter(()))
    else:
        space.known(point.parameters, point.path)


class WithEnqueued:
    """A sampler that serves the enqueued points before anything of its own.

    A point that leaves nothing open and whose assignment is taken already is passed over: nothing is evaluated twice.
    """

    def __init__(self, sampler: Sampler, points: Sequence[EnqueuedPoint]) -> None:
        """`sampler` comes next, and fills in what partial points leave open. Points of other studies stand behind the
        spec's, whose indices count.
        """
        self._sampler = sampler
        self._points = tuple(points)

    @property
    def learns(self) -> bool:
        """As the sampler behind the points."""
        return self._sampler.learns

    def propose(self, request: Request) -> Proposal | None:
        """The first point that has no trial yet; behind the last one what the sampler proposes."""
        space = request.space
        for i, point in enumerate(self._points):
            key = point.origin or i
            if key in request.enqueued:
                continue
            if point.values is not None:
                return Proposal(space.known(point.parameters, point.path), enqueued=key, values=point.values)
            fillings = iter(()) if _is_whole(point, space) else self._fillings(request)
            parameters = _fill(point, space, fillings, request)
            if space.key(parameters) not in request.taken:
                return Proposal(parameters, enqueued=key)
        return self._sampler.propose(request)

    def _fillings(self, request: Request) -> Iterator[Sequence[float]]:
        """What the sampler would have proposed, then random points. Where it is exhausted or silent, random ones from
        the start.
        """
        space = request.space
        random = generator(request.seed, request.number, "fill")
        proposal = self._sampler.propose(request)
        if proposal is not None:
            u = space.encode(proposal.parameters)
            inactive = [
                axis for axis, dimension in enumerate(space.dimensions) if dimension.name not in proposal.parameters
            ]
            u[inactive] = random.random(len(inactive))
            yield u.tolist()
        while True:
            yield random.random(space.d).tolist()


def _is_whole(point: EnqueuedPoint, space: Space) -> bool:
    """Whether it leaves nothing open: then no sampler, which may take its time, has to be asked."""
    completed = space.complete(point.parameters, (0.5,) * space.d, point.path)
    return all(d.name in point.parameters for d in space.dimensions if d.name in completed)


def _fill(
    point: EnqueuedPoint, space: Space, fillings: Iterator[Sequence[float]], request: Request | None = None
) -> Assignment:
    """The first feasible way to fill in a point, by `fillings` and then by points that are the same each time.

    Ways in which all that the point says is active, and that are not taken, go first.
    """
    feasible: Assignment | None = None
    why = ""
    for k, u in enumerate(_chained(fillings, space)):
        assignment = space.complete(point.parameters, u, point.path)
        violation = space.violation(assignment)
        is_whole = all(d.name in point.parameters for d in space.dimensions if d.name in assignment)
        if violation is not None:
            why = why or violation
        else:
            is_new = request is None or space.key(assignment) not in request.taken
            if is_new and all(name in assignment for name in point.parameters):
                return assignment
            feasible = feasible or assignment
        if is_whole or (feasible is not None and k >= ACTIVE_FILLS):
            break  # there is no other way, or hardly a better one
    if feasible is None:
        raise InvalidStudy(point.path, f"cannot be completed to a feasible assignment: {why}")
    return feasible


def _chained(fillings: Iterator[Sequence[float]], space: Space) -> Iterator[Sequence[float]]:
    """FILLS points of `fillings`, then fixed ones: those with which the point was checked when the study was
    accepted.
    """
    yield from islice(fillings, FILLS)
    yield space.encode(space.witness).tolist()
    fixed = generator(0, 0, "enqueued")
    for _ in range(FILLS):
        yield fixed.random(space.d).tolist()
