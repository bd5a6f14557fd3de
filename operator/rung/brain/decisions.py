"""What the brain can decide. An executor applies decisions in the given order and stops at the first record it cannot write.

Records (`Judge`, `Conclude`, `Wait`, `Retry`) change what is known and are written to the trial before anything follows from
them; actions (`Create`, `Start`, `End`) change the world and may be repeated without harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from rung.api.facts import (
    Assignment,
    Attempt,
    AttemptPhase,
    Descent,
    EnqueuedKey,
    RungRecord,
    TrialFacts,
    TrialState,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Judge:
    """Record values at rungs, and the scheduler's verdict on each; a Stop ends the trial.

    `then`: the rung was an attempt of its own, which is over; the trial waits for a verdict, or for its next attempt.
    """

    number: int
    rungs: tuple[RungRecord, ...]  # all of the trial's, new ones and new verdicts included
    reason: str = ""
    message: str = ""
    values: Mapping[str, float] = field(default_factory=dict)  # at a Stop, or of an attempt that is over
    stop: bool = False
    then: TrialState | None = None


@dataclass(frozen=True, slots=True)
class Conclude:
    """The trial is over."""

    number: int
    state: TrialState
    reason: str
    message: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """The program has ended well; a synchronous rung has yet to judge the trial."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt is over and another one may start."""

    number: int
    attempt: int
    reason: str
    message: str
    crash: bool = False  # uses up one of trial.retries
    disruption: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """A new trial."""

    number: int
    parameters: Assignment
    seed: int
    bracket: int
    enqueued: EnqueuedKey | None = None
    values: Mapping[str, float] | None = None  # known: it will never run
    repeat_of: int | None = None
    repeat: int = 0
    descent: Descent | None = None  # of a clone
    message: str = ""  # how a clone came about


@dataclass(frozen=True, slots=True)
class Start:
    """Start attempt `attempt` of a trial, from its newest checkpoint if it has one; `afresh`: from nothing."""

    number: int
    attempt: int
    afresh: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """End a live attempt at once."""

    number: int
    attempt: int
    reason: str


Record = Judge | Conclude | Wait | Retry
Action = Create | Start | End
Decision = Record | Action


class StudyState(StrEnum):
    """Where a study stands; the condition of that name is true."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """Where the study stands and why, in one CamelCase word and one line."""

    state: StudyState
    reason: str
    message: str

    @property
    def over(self) -> bool:
        """Nothing more will be started."""
        return self.state in {StudyState.SUCCEEDED, StudyState.FAILED}


@dataclass(frozen=True, slots=True)
class Decisions:
    """One call's worth. With `again` set the facts will have changed once these are applied: decide again at once."""

    decisions: tuple[Decision, ...]
    verdict: StudyVerdict | None = None
    again: bool = False
    look_again_at: float | None = None  # when the clock alone may change the answer


def applied(facts: TrialFacts, decision: Decision, now: float) -> TrialFacts:
    """The trial after the decision. Pure; the executor writes the result."""
    match decision:
        case Judge(stop=True):
            return replace(_finished(facts, TrialState.STOPPED, decision, now), rungs=decision.rungs)
        case Judge(then=TrialState() as state):
            spent = _with_time_of(facts, now)
            return replace(
                spent,
                state=state,
                rungs=decision.rungs,
                values=decision.values,
                reason=decision.reason,
                message=decision.message,
            )
        case Judge():
            explained = decision if decision.message else facts
            return replace(facts, rungs=decision.rungs, reason=explained.reason, message=explained.message)
        case Conclude():
            return _finished(facts, decision.state, decision, now)
        case Wait():
            spent = _with_time_of(facts, now)
            return replace(spent, state=TrialState.WAITING, reason="WaitingForRung", message=decision.message)
        case Retry():
            spent = _with_time_of(facts, now)
            return replace(
                spent,
                state=TrialState.PENDING,
                lost_seconds=facts.lost_seconds + _lost_seconds(facts, now),
                attempt=max(facts.attempt, decision.attempt),
                crashes=facts.crashes + decision.crash,
                disruptions=facts.disruptions + decision.disruption,
                reason=decision.reason,
                message=decision.message,
            )
        case Start():
            live = facts.live  # the body may have seen more of it already: that it was refused, say
            if live is None or live.number != decision.attempt:
                live = Attempt(decision.attempt, AttemptPhase.QUEUED)
            if decision.afresh:
                facts = afresh(facts)
            return replace(facts, state=TrialState.QUEUED, attempt=decision.attempt, live=live)
        case End():
            live = facts.live
            return facts if live is None else replace(facts, live=replace(live, ending=True))
        case Create():
            return created(decision)


def created(decision: Create) -> TrialFacts:
    """The new trial. One with known values is finished from the start."""
    facts = TrialFacts(
        number=decision.number,
        parameters=decision.parameters,
        seed=decision.seed,
        bracket=decision.bracket,
        enqueued=decision.enqueued,
        repeat_of=decision.repeat_of,
        repeat=decision.repeat,
        descent=decision.descent,
        reason=clone_reason(decision.descent),
        message=decision.message,
    )
    if decision.values is None:
        return facts
    return replace(facts, state=TrialState.KNOWN, values=decision.values, reason="Known", message="values were given")


def clone_reason(descent: Descent | None) -> str:
    """In one word, how a clone began; "" for other trials."""
    if descent is None:
        return ""
    return "Cloned" if descent.step is not None else "NoCheckpoint"


def afresh(facts: TrialFacts) -> TrialFacts:
    """Without what an earlier attempt said of the rung that the next one begins from nothing."""
    reached = facts.rungs[-1].step if facts.rungs else 0
    return replace(facts, metrics={}, curve=tuple(o for o in facts.curve if o.step <= reached))


def open_rungs(facts: TrialFacts) -> tuple[RungRecord, ...]:
    """Recorded rungs that still wait for a verdict."""
    return tuple(r for r in facts.rungs if r.verdict is Verdict.OPEN)


def running_seconds(facts: TrialFacts, now: float) -> float:
    """Time that the trial's programs have run until `now`, ended attempts included. Queued time does not count."""
    return facts.seconds + attempt_seconds(facts, now)


def attempt_seconds(facts: TrialFacts, now: float) -> float:
    """Of the newest attempt, unless it has been added to `facts.seconds` already."""
    live = facts.live
    if live is None or live.started_at is None or facts.state not in {TrialState.QUEUED, TrialState.RUNNING}:
        return 0.0
    return max(0.0, (live.ended_at if live.ended_at is not None else now) - live.started_at)


def _lost_seconds(facts: TrialFacts, now: float) -> float:
    """Of an attempt that is to be repeated: all of it, unless there is a checkpoint to go on from."""
    return attempt_seconds(facts, now) if facts.checkpoint_step is None else 0.0


def _with_time_of(facts: TrialFacts, now: float) -> TrialFacts:
    """The newest attempt's time added to the trial's sum, once."""
    return replace(facts, seconds=facts.seconds + attempt_seconds(facts, now))


def _finished(facts: TrialFacts, state: TrialState, why: Judge | Conclude, now: float) -> TrialFacts:
    live = facts.live
    seconds = running_seconds(facts, now)
    lost = facts.lost_seconds
    if state in {TrialState.FAILED, TrialState.INFEASIBLE}:
        # what earlier attempts have brought to a rung of their own (they left values there) was not for nothing
        lost = lost + attempt_seconds(facts, now) if facts.values else seconds
    return replace(
        facts,
        state=state,
        values=why.values,
        reason=why.reason,
        message=why.message,
        seconds=seconds,
        lost_seconds=lost,
        ended_at=live.ended_at if live is not None and live.ended_at is not None else now,
    )
