"""What samplers are asked and what they answer.

A sampler is a pure function of the request: the same facts get the same proposal, in whatever order they are listed, in
whatever process. It may keep what it has computed, never what it has answered.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rung.api.facts import Assignment, Observation, TrialState
from rung.space.space import Space


@dataclass(frozen=True, slots=True)
class Told:
    """One trial as samplers see it. `value` is the objective, smaller is better; None: there is none (yet)."""

    number: int
    parameters: Assignment
    state: TrialState
    value: float | None = None
    curve: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """The question: what should trial `number` of this study try?

    `taken` holds the keys (`Space.key`) of all assignments that have a trial, `enqueued` the indices of the warm
    start's points that have one. Both are asked for membership: give sets. Number i means the same trial for ever, also
    after other trials are deleted.
    """

    space: Space
    number: int
    seed: int
    history: Sequence[Told] = ()
    taken: Collection[Hashable] = frozenset()
    enqueued: Collection[Hashable] = frozenset()


@dataclass(frozen=True, slots=True)
class Proposal:
    """The answer. `enqueued` is the index of the warm start's point that it is; `values` are that point's known
    results: never run it.
    """

    parameters: Assignment
    enqueued: int | None = None
    values: Mapping[str, float] | None = None


class Sampler(Protocol):
    """Proposes assignments."""

    @property
    def learns(self) -> bool:
        """Whether the history makes a difference; where it does not, it need not be collected."""

    def propose(self, request: Request) -> Proposal | None:
        """The assignment for one more trial: feasible, and none that is taken as long as there are others.

        None: nothing is left to try.
        """
