"""One reconcile for three bodies: fold what is seen, decide, apply, until there is nothing left to decide.

Killed between any two writes, the next call ends in the same place: records come before what follows from them, new trials
are created in the order of their numbers, and every action may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rung.api.facts import TrialFacts
from rung.brain import Decisions, Plan, StudyRecord, StudyVerdict, Trials, applied, decide
from rung.brain.decisions import Conclude, Create, End, Judge, Retry, Start, Wait, created
from rung.executor.body import Body, Sight
from rung.executor.fold import folded

MAX_ROUNDS = 100_000
"""Each round records at least one fact, so a study of 100,000 rung records in one sweep would still end. A guard, not a limit."""

Think = Callable[[Plan, StudyRecord, Trials, float], Awaitable[Decisions]]
"""How to run `decide`: at once, or off the event loop."""


@dataclass(slots=True)
class Outcome:
    """What a reconcile did."""

    verdict: StudyVerdict
    look_again_at: float | None
    decided: list[object] = field(default_factory=list)  # Decision, in the order applied
    failures: list[Exception] = field(default_factory=list)  # of actions; the rest was still tried
    created: int = 0  # numbers given out so far


async def think_at_once(plan: Plan, record: StudyRecord, trials: Trials, now: float) -> Decisions:
    """For bodies whose loop has nothing else to do."""
    return decide(plan, record, trials, now)


async def reconcile(
    plan: Plan,
    record: StudyRecord,
    trials: Trials,
    sights: Mapping[int, Sight],
    body: Body,
    now: float,
    *,
    think: Think = think_at_once,
) -> Outcome:
    """Move one study one step towards its spec. `trials` is brought up to date in place.

    Raises what the body raises for a record that could not be written (Conflict, ClusterUnavailable): list again and decide
    again. An action that fails is kept in the outcome, and the others are still tried.
    """
    for number, sight in sights.items():
        if number in trials:
            trials.put(folded(trials[number], sight, now))
    decided: list[object] = []
    for _ in range(MAX_ROUNDS):
        decisions = await think(plan, record, trials, now)
        failures = await _apply(decisions, trials, body, now)
        decided.extend(decisions.decisions)
        if not decisions.again:
            break
    if decisions.verdict is None:
        raise AssertionError("decide() always ends with a verdict")
    highest = max(trials.next_number, record.created)
    return Outcome(decisions.verdict, decisions.look_again_at, decided, failures, highest)


async def _apply(decisions: Decisions, trials: Trials, body: Body, now: float) -> list[Exception]:
    """Records one after the other; then all ends; then new trials in order, their first attempts side by side."""
    ends: list[End] = []
    starts: list[Create | Start] = []
    for decision in decisions.decisions:
        match decision:
            case Judge() | Conclude() | Wait() | Retry():
                facts = applied(trials[decision.number], decision, now)
                await body.write(facts)
                trials.put(facts)
            case End():
                ends.append(decision)
            case Create() | Start():
                starts.append(decision)
    failures: list[Exception] = []

    async def end(decision: End) -> None:
        facts = trials[decision.number]
        await body.end(facts, decision.attempt, decision.reason)
        trials.put(applied(facts, decision, now))

    await _all(failures, [end(decision) for decision in ends])
    await _launch(starts, trials, body, now, failures)
    return failures


async def _launch(
    starts: Sequence[Create | Start], trials: Trials, body: Body, now: float, failures: list[Exception]
) -> None:
    async def start(decision: Start) -> None:
        facts = await body.start(trials[decision.number], decision.attempt)
        trials.put(applied(facts, decision, now))

    launching: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        for decision in starts:
            if isinstance(decision, Create):
                facts = created(decision)
                try:
                    await body.create(facts)
                except Exception as error:  # noqa: BLE001 - kept for the caller; numbers beyond a hole must not be given out
                    failures.append(error)
                    break
                trials.put(facts)
            else:
                launching.append(group.create_task(_kept(failures, start(decision)), name=f"start {decision.number}"))


async def _all(failures: list[Exception], work: Sequence[Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for item in work:
            group.create_task(_kept(failures, item))


async def _kept(failures: list[Exception], work: Awaitable[None]) -> None:
    """One action; its failure is the caller's to report, and harms no other action."""
    try:
        await work
    except Exception as error:  # noqa: BLE001
        failures.append(error)


def changed(before: TrialFacts, after: TrialFacts) -> bool:
    """The record would read differently in what people wait for: state, attempt, or a first sign of running."""
    return (before.state, before.attempt, before.started_at) != (after.state, after.attempt, after.started_at)
