"""What samplers are asked and what they answer.

A sampler is a pure function of the request: the same facts get the same proposal, in whatever order they are listed, in
whatever process. It may keep what it has computed, never what it has answered.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from rung.api.facts import Assignment, EnqueuedKey, TrialState
from rung.space.space import Space

Place: TypeAlias = tuple[bool, str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """One trial as samplers see it. All values are turned so that smaller is better.

    A trial that is not finished is pending: its parameters are what other workers try right now. One without objectives
    has none yet, or none at all (Failed, Infeasible: something to keep away from).
    """

    number: int
    parameters: Assignment
    state: TrialState
    objectives: tuple[float, ...] | None = None  # all of them, finite; of a Stopped trial: at the step it came to
    violations: tuple[float, ...] = ()  # one for each constraint on outcomes: above 0 is violated; NaN: not reported
    curve: tuple[tuple[float, float], ...] = ()  # (step, value of what the scheduler ranks by), ascending, finite
    deviations: tuple[float | None, ...] = ()  # standard error of each objective, where the trial knows it
    source: str = ""  # the other study that it comes from; "": this one

    @property
    def value(self) -> float | None:
        """The first objective; None: there is none (yet)."""
        return self.objectives[0] if self.objectives else None

    @property
    def place(self) -> Place:
        """Where it stands in a history: other studies' first, by name, then this one's, each by number."""
        return (not self.source, self.source, self.number)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sampler that learns knows of its study from the beginning."""

    space: Space
    objectives: int = 1
    references: tuple[float | None, ...] = (None,)  # for the hypervolume, smaller is better; None: to be found out
    constraints: int = 0
    trials: int | None = None  # assignments that limits.trials allows; None: nobody knows how many there will be
    parallelism: int = 1
    target: float | None = None  # the last step of a whole run; None: the study has no resource
    startup: int | None = None  # sampler.startupTrials; None: the sampler's own rule


@dataclass(frozen=True, slots=True)
class Request:
    """The question: what should trial `number` of this study try?

    `taken` holds the keys (`Space.key`) of all assignments that have a trial, `enqueued` the warm start's points
    that have one. Both are asked for membership: give sets. Number i means the same trial for ever, also
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
    """The answer. `enqueued` says which point of the warm start it is; `values` are that point's known
    results: never run it.
    """

    parameters: Assignment
    enqueued: EnqueuedKey | None = None
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
