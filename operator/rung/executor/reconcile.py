"""One reconcile for three bodies: fold what is seen, decide, apply, until there is nothing left to decide.

Killed between any two writes, the next call ends in the same place: records come before what follows from them, numbers that
were not given out yet are filled from below, and every action may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rung.api.facts import TrialFacts
from rung.brain import Decisions, Plan, StudyRecord, StudyVerdict, Trials, applied, decide
from rung.brain.decisions import Conclude, Create, Decision, End, Judge, Record, Retry, Start, Wait, created
from rung.executor.body import Body, Sight
from rung.executor.fold import folded

SIDE_BY_SIDE = 32
"""Requests of one study under way at once: enough to fill a small control plane, few enough for others to get their turn."""

MAX_ROUNDS = 100_000
"""Each round records at least one fact, so a study of 100,000 rung records in one sweep would still end. A guard, not a limit."""

Think = Callable[[Plan, StudyRecord, Trials, float], Awaitable[Decisions]]
"""How to run `decide`: at once, or off the event loop."""


@dataclass(slots=True)
class Outcome:
    """What a reconcile did."""

    verdict: StudyVerdict
    look_again_at: float | None
    decided: list[Decision] = field(default_factory=list)  # in the order applied
    failures: list[Exception] = field(default_factory=list)  # of actions; the rest was still tried
    created: int = 0  # all numbers below have been given out
    more: bool = False  # trials were left to start: reconcile again at once


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
    most_starts: int | None = None,
) -> Outcome:
    """Move one study one step towards its spec. `trials` is brought up to date in place.

    Raises what the body raises for a record that could not be written (Conflict, ClusterUnavailable): list again and decide
    again. An action that fails is kept in the outcome, and the others are still tried. With `most_starts` no more trials than that
    are started in one call, so that a body that takes long over it looks at those that run in between.
    """
    for number, sight in sights.items():
        if number in trials:
            trials.put(folded(plan, trials[number], sight, now))
    decided: list[Decision] = []
    for _ in range(MAX_ROUNDS):
        decisions = await think(plan, record, trials, now)
        chosen, more = _first_starts(decisions.decisions, most_starts)
        failures = await _apply(chosen, trials, body, now)
        decided.extend(chosen)
        if not decisions.again:
            break
    if decisions.verdict is None:
        raise AssertionError("decide() always ends with a verdict")
    given_out = next(trials.free_numbers(record.created))
    return Outcome(decisions.verdict, decisions.look_again_at, decided, failures, given_out, more)


def _first_starts(decisions: Sequence[Decision], most: int | None) -> tuple[Sequence[Decision], bool]:
    """The decisions with starts of the first `most` trials only, and whether others were left out."""
    numbers = [d.number for d in decisions if isinstance(d, Start)]
    if most is None or len(numbers) <= most:
        return decisions, False
    left = set(numbers[most:])
    return [d for d in decisions if not (isinstance(d, Create | Start) and d.number in left)], True


async def _apply(decisions: Sequence[Decision], trials: Trials, body: Body, now: float) -> list[Exception]:
    """Records side by side, since those of one call rest on nothing of each other; then ends; then starts.

    Raises the first failure of a record, once all were tried: what follows would rest on facts that are not recorded.
    """
    records: list[Awaitable[None]] = []
    ends: list[Awaitable[None]] = []
    launches: dict[int, list[Create | Start]] = {}
    chains: dict[int, int] = {}  # trial -> whose launch it belongs to

    async def record(decision: Record) -> None:
        facts = applied(trials[decision.number], decision, now)
        await body.write(facts)
        trials.put(facts)

    async def end(decision: End) -> None:
        facts = trials[decision.number]
        await body.end(facts, decision.attempt, decision.reason)
        trials.put(applied(facts, decision, now))

    async def launch(steps: Sequence[Create | Start]) -> None:
        for step in steps:
            if isinstance(step, Create):
                await body.create(created(step))
                trials.put(created(step))
            else:
                facts = await body.start(trials[step.number], step.attempt)
                trials.put(applied(facts, step, now))

    for decision in decisions:
        match decision:
            case Judge() | Conclude() | Wait() | Retry():
                records.append(record(decision))
            case End():
                ends.append(end(decision))
            case Create() | Start():  # a repeat behind its first run: what it refers to has to be there
                first = decision.repeat_of if isinstance(decision, Create) else None
                chain = first if first in launches else chains.get(decision.number, decision.number)
                chains[decision.number] = chain
                launches.setdefault(chain, []).append(decision)
    for error in await side_by_side(records):
        raise error
    return [*await side_by_side(ends), *await side_by_side([launch(steps) for steps in launches.values()])]


async def side_by_side(work: Sequence[Awaitable[None]]) -> list[Exception]:
    """Everything side by side, `SIDE_BY_SIDE` at a time; the failures, in the order of the work."""
    if len(work) == 1:  # the common case needs no tasks
        return [error for error in [await _kept(work[0])] if error is not None]
    slots = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(item: Awaitable[None]) -> Exception | None:
        async with slots:
            return await _kept(item)

    return [error for error in await asyncio.gather(*(one(item) for item in work)) if error is not None]


async def _kept(work: Awaitable[None]) -> Exception | None:
    """One action; its failure is the caller's to weigh, and harms no other action."""
    try:
        await work
    except Exception as error:  # noqa: BLE001
        return error
    return None


def changed(before: TrialFacts, after: TrialFacts) -> bool:
    """The record would read differently in what people wait for: state, attempt, or a first sign of running."""
    return (before.state, before.attempt, before.started_at) != (after.state, after.attempt, after.started_at)
