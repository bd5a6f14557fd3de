"""The board: the best assignment so far, the Pareto front, and who is about to become the best.

    for good     feasible results of whole runs that are confirmed; they never change
    for now      the rest: stopped trials, and assignments that lack repeats. The best of them stands in as the incumbent
                 until there is one for good; those that no confirmed one beats are the contenders

The board is a function of the results it was given, whatever their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rung.brain.measure import Measure
from rung.brain.repeats import Result


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The best trial so far. Until one has run to its end the best of the stopped ones stands in (`complete` False)."""

    number: int
    objectives: tuple[float, ...]  # smaller is better
    complete: bool
    step: float
    confirmed: bool = True  # it has been repeated as often as the study asks for
    runs: int = 1  # behind its values
    last: int = 0  # the newest trial among them
    errors: tuple[float | None, ...] = ()  # standard errors of the objectives; () where none is known
    values: Mapping[str, float] = field(default_factory=dict)  # as reported; of several runs aggregated

    @staticmethod
    def of(measure: Measure, result: Result) -> Incumbent | None:
        """None: the result cannot be the best of anything."""
        objectives = measure.objectives(result.values)
        if objectives is None or not measure.feasible(result.values):
            return None
        return Incumbent(
            number=result.number,
            objectives=objectives,
            complete=result.complete,
            step=result.step,
            confirmed=result.confirmed,
            runs=result.runs,
            last=result.last,
            errors=result.errors,
            values=result.values,
        )

    @property
    def for_good(self) -> bool:
        """Nothing that is still to come can change its values."""
        return self.complete and self.confirmed

    @property
    def place(self) -> tuple[bool, float, tuple[float, ...], int]:
        """What incumbents are compared by: a whole run before a part, a longer part before a shorter one, then the value, then
        the lower number. Smaller is better.
        """
        return (not self.complete, 0.0 if self.complete else -self.step, self.objectives, self.number)

    def dominates(self, other: Incumbent) -> bool:
        """No worse in any objective, and better in one or the earlier of two equals."""
        if self.objectives == other.objectives:
            return self.number < other.number
        return all(a <= b for a, b in zip(self.objectives, other.objectives, strict=True))


@dataclass(slots=True)
class Board:
    """Results by assignment."""

    front: tuple[Incumbent, ...] = ()  # of those for good; one entry where there is one objective
    _best: Incumbent | None = None  # for good
    _stand_in: Incumbent | None = None  # None: none, or not known
    _others: dict[int, Incumbent] = field(default_factory=dict)  # for now

    def put(self, number: int, candidate: Incumbent | None) -> None:
        """What is known of an assignment now."""
        self._others.pop(number, None)
        self._stand_in = None
        if candidate is None:
            return
        if not candidate.for_good:
            if self._matters(candidate):
                self._others[number] = candidate
            return
        if self._best is None or candidate.place < self._best.place:
            self._best = candidate
        if not any(other.dominates(candidate) for other in self.front):
            kept = [other for other in self.front if not candidate.dominates(other)]
            self.front = tuple(sorted([*kept, candidate], key=lambda i: (i.objectives, i.number)))
        self._others = {n: other for n, other in self._others.items() if self._matters(other)}

    @property
    def incumbent(self) -> Incumbent | None:
        """The best for good, or until there is one the best for now."""
        if self._best is None and self._stand_in is None:
            self._stand_in = min(self._others.values(), key=lambda other: other.place, default=None)
        return self._best or self._stand_in

    def contenders(self) -> list[tuple[int, Incumbent]]:
        """Assignments of whole runs that wait for more repeats, and that no confirmed one beats; the best first."""
        whole = [(number, other) for number, other in self._others.items() if other.complete]
        return sorted(whole, key=lambda pair: pair[1].place)

    def _matters(self, candidate: Incumbent) -> bool:
        """It may stand in, or become the best."""
        if not candidate.complete:
            return self._best is None
        return not any(other.dominates(candidate) for other in self.front)
