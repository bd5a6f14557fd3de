"""Facts: what is known about the trials of a study, in the form that the pure core eats.

A Trial object (`rung.api.trial`) is the record on a cluster, a disk or in memory; a `TrialFacts` is that record joined with
what can be seen of its running attempt right now. Facts are immutable. Times are seconds since the epoch, durations seconds,
GPU time GPU-seconds, steps the study's fidelity resource (whole numbers at rungs, possibly fractions in between: an epoch of 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

Value = float | int | str
Assignment = Mapping[str, Value]
"""Active parameters only, in the order of the spec; fixed and derived ones included."""


EnqueuedKey = int | str
"""A point to try first: its index among the warm start's points, or the name of the other study's trial that it repeats."""


class TrialState(StrEnum):
    """Where a trial stands. The first four are unfinished."""

    PENDING = "Pending"  # no attempt exists at the moment
    QUEUED = "Queued"  # an attempt exists whose pod does not run yet: no clock runs
    RUNNING = "Running"
    WAITING = "Waiting"  # its program has ended well, a synchronous rung has yet to judge it
    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"  # ended by the scheduler, by hand, or with its study
    FAILED = "Failed"
    INFEASIBLE = "Infeasible"  # its configuration cannot work: knowledge, not a failure
    KNOWN = "Known"  # a warm-start point with known values: never run

    @property
    def finished(self) -> bool:
        """Nothing more will happen to the trial."""
        return self in FINISHED


FINISHED = frozenset(
    {TrialState.SUCCEEDED, TrialState.STOPPED, TrialState.FAILED, TrialState.INFEASIBLE, TrialState.KNOWN}
)


class AttemptPhase(StrEnum):
    """Of one attempt: a Job on a cluster, a process on a machine."""

    QUEUED = "Queued"
    RUNNING = "Running"
    ENDED = "Ended"


class AttemptEnd(StrEnum):
    """Why an attempt ended."""

    COMPLETED = "Completed"  # exit 0
    CRASHED = "Crashed"
    DISRUPTED = "Disrupted"  # preempted, evicted, deleted, node lost, exit 143: never the trial's fault
    OUT_OF_MEMORY = "OutOfMemory"
    BAD_CONFIGURATION = "BadConfiguration"  # exit 78: the program says that no retry can help
    TIMED_OUT = "TimedOut"  # trial.timeoutSeconds
    SILENT = "Silent"  # trial.silenceSeconds without one observation
    REFUSED = "Refused"  # the cluster will not take the Job: the template is at fault


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it can be seen now."""

    number: int
    phase: AttemptPhase
    started_at: float | None = None  # its program runs since
    ended_at: float | None = None
    end: AttemptEnd | None = None
    exit_code: int | None = None
    message: str = ""  # one line for people: what was seen
    ending: bool = False  # it has been told to end, and has not ended yet
    collected: bool = False  # ended, and the last of its observations has been read
    node: str = ""
    image_id: str = ""
    starved: str = ""  # name of a container that the kernel ended for its memory, one beside the program included

    @property
    def live(self) -> bool:
        """It takes a slot: an attempt exists whose pod has not ended."""
        return self.phase is not AttemptPhase.ENDED


@dataclass(frozen=True, slots=True)
class Observation:
    """What a trial said of itself at one step. Values may be non-finite: a diverged loss is a fact."""

    step: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """Running figures of one metric over every value that was reported, thinned away from the curve or not."""

    last: float
    min: float
    max: float
    sum: float
    count: int
    step: float  # of the last value

    @staticmethod
    def of(step: float, value: float) -> MetricSummary:
        """The summary of a single value."""
        return MetricSummary(value, value, value, value, 1, step)

    def then(self, step: float, value: float) -> MetricSummary:
        """With one more value. A non-finite one becomes `last` and leaves the other figures alone, once there are any."""
        if not self.count or not math.isfinite(self.min):
            return MetricSummary.of(step, value)
        if not math.isfinite(value):
            return MetricSummary(value, self.min, self.max, self.sum, self.count, step)
        return MetricSummary(value, min(self.min, value), max(self.max, value), self.sum + value, self.count + 1, step)


class Verdict(StrEnum):
    """A scheduler's word on a trial at a rung."""

    OPEN = "Open"  # a synchronous rung that still waits for others
    CONTINUE = "Continue"
    STOP = "Stop"


@dataclass(frozen=True, slots=True)
class RungRecord:
    """One trial's recorded value at one rung, and the decision that followed.

    `value` is as reported (not turned so that smaller is better); `order` counts the study's records 1, 2, 3, …: a decision
    depends on those of lower order alone, which makes every recorded decision repeatable.
    """

    step: int
    value: float
    order: int
    verdict: Verdict
    reason: str = ""
    best: float | None = None  # best value up to this step, where the scheduler asks for it (MedianStop)
    others: tuple[float, ...] = ()  # the further objectives there, as reported; (): none, or not all were said


@dataclass(frozen=True, slots=True)
class Descent:
    """How a clone came about: a population's member was stopped, and this trial took its place."""

    replaces: int  # number of that member
    rung: int  # where it was stopped: the clone is compared at later ones
    parent: int  # whose checkpoint the clone goes on from
    step: float | None  # of that checkpoint; None: there was none, so it begins from nothing


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """Everything a decision may know of one trial."""

    number: int
    parameters: Assignment
    seed: int = 0
    bracket: int = 0
    enqueued: EnqueuedKey | None = None  # which of the points to try first it is
    repeat_of: int | None = None  # number of the assignment's first run; None: this is it
    repeat: int = 0  # which run of its assignment it is
    descent: Descent | None = None  # of a clone
    stop_requested: bool = False
    state: TrialState = TrialState.PENDING
    attempt: int = 0  # the newest attempt that the record knows; 0: none yet
    crashes: int = 0
    disruptions: int = 0
    rungs: tuple[RungRecord, ...] = ()
    curve: tuple[Observation, ...] = ()  # ordered by step, thinned
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)  # final: objectives, constraints, recorded metrics
    outputs: Mapping[str, str] = field(default_factory=dict)
    checkpoint_step: float | None = None
    checkpoints: tuple[float, ...] = ()  # in a population: steps of complete ones, for each rung the newest up to it
    gpus: int = 0
    seconds: float = 0.0  # running time of ended attempts
    lost_seconds: float = 0.0  # the part of it that bought nothing
    started_at: float | None = None
    ended_at: float | None = None
    reason: str = ""  # CamelCase, of the last decision
    message: str = ""  # one line: the last decision explained
    live: Attempt | None = None  # the newest attempt, if anything of it can be seen
    last_observed_at: float | None = None
    missing: str = ""  # what was looked for and what was seen, where the objective's metric is not there
    node: str = ""
    image_id: str = ""

    @property
    def step(self) -> float | None:
        """The furthest step that was reported."""
        return self.curve[-1].step if self.curve else None

    @property
    def stopped_at(self) -> int | None:
        """The step of the rung at which the scheduler stopped it; None: it did not."""
        return next((record.step for record in self.rungs if record.verdict is Verdict.STOP), None)

    @property
    def finished(self) -> bool:
        """Nothing more will happen to this trial."""
        return self.state in FINISHED


def merged(curve: tuple[Observation, ...], more: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """Both, ordered by step as `curve` is; where a step and a metric occur twice the later word (of `more`) holds."""
    if all(before.step < after.step for before, after in pairwise((*curve[-1:], *more))):
        return curve + more
    by_step: dict[float, dict[str, float]] = {}
    for observation in (*curve, *more):
        by_step.setdefault(observation.step, {}).update(observation.values)
    return tuple(Observation(step, by_step[step]) for step in sorted(by_step))
