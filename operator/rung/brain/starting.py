"""What is started while there are free slots: attempts of trials that have none, repeats, new assignments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Hashable, Iterator

from rung.api.facts import Assignment, AttemptEnd, TrialFacts, TrialState
from rung.brain.decisions import Create, Decision, Start
from rung.brain.plan import Plan
from rung.brain.population import clones, places
from rung.brain.trials import Trials
from rung.brain.verdict import StudyRecord
from rung.search.protocol import Request, Told

CRASH_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
"""After a crash the next attempt waits 1, 2, 4 … seconds: programs that die at once would otherwise eat the cluster's writes.
A disrupted attempt is followed by the next one at once: nothing is wrong with it."""

CRASHES = frozenset({AttemptEnd.CRASHED, AttemptEnd.SILENT, AttemptEnd.OUT_OF_MEMORY})
"""Ends after which the same program may be tried again, with a pause."""


def starts(plan: Plan, record: StudyRecord, trials: Trials, now: float, free: int) -> list[Decision]:
    """Attempts for trials that have none, then new trials, while there are free slots."""
    starts: list[Decision] = []
    for facts in trials.unfinished:
        if free <= 0:
            return starts
        if facts.state is TrialState.PENDING and (facts.live is None or not facts.live.live):
            free -= 1  # also while it pauses: its slot is not given to a new trial, or retries would starve
            if _ready_at(facts) <= now:
                starts.append(Start(facts.number, facts.attempt + 1, afresh=plan.rung_by_rung))
    for create in _proposals(plan, record, trials, free):
        starts.append(create)
        if create.values is None:
            starts.append(Start(create.number, 1))
    return starts


def _ready_at(facts: TrialFacts) -> float:
    """When a trial without an attempt may have its next one."""
    ended = facts.live.ended_at if facts.live is not None else None
    if ended is None or facts.live is None or facts.live.end not in CRASHES or not facts.crashes:
        return 0.0
    return ended + min(CRASH_PAUSE_SECONDS * 2.0 ** min(facts.crashes - 1, 30), LONGEST_PAUSE_SECONDS)


def pausing(trials: Trials, now: float) -> list[float]:
    """When trials that pause after a crash are ready again."""
    pending = (facts for facts in trials.unfinished if facts.state is TrialState.PENDING)
    return [ready for facts in pending if (ready := _ready_at(facts)) > now]


def _proposals(plan: Plan, record: StudyRecord, trials: Trials, free: int) -> Iterator[Create]:
    """New trials: at most `free` that run, and any known points that come first. Clones and repeats go before new
    assignments.
    """
    numbers = trials.free_numbers(record.created)
    others = 0  # repeats and clones that are created here
    for clone in clones(plan, trials, numbers, free):
        yield clone
        others, free = others + 1, free - 1
    taken, enqueued = Extended(trials.taken), Extended(trials.enqueued)
    room = math.inf if plan.trial_limit is None else plan.trial_limit - trials.counted
    room = min(room, places(plan, trials))
    history = [*plan.told, *trials.told()] if free > 0 and plan.sampler.learns else []
    due = list(trials.repeats_due())
    new: dict[int, Assignment] = {}  # first runs that are created here
    while free > 0 and room > 0:
        number = next(numbers)
        # a hole below a first run was not meant for its repeats
        place = next((i for i, (root, _) in enumerate(due) if root < number), None)
        if place is not None:
            root, repeat = due.pop(place)
            parameters = new[root] if root in new else trials.runs_of(root)[0].parameters
            yield _repeat(plan, trials, number, parameters, root, repeat)
            others, free, room = others + 1, free - 1, room - 1
            continue
        if room < plan.cost:
            return
        index = trials.assignments.index(number) - others
        request = Request(plan.space, index, plan.spec.seed, history, taken, enqueued)
        proposal = plan.sampler.propose(request)
        if proposal is None:
            return
        yield Create(
            number=number,
            parameters=proposal.parameters,
            seed=plan.trial_seed(number),
            bracket=plan.scheduler.bracket(number, trials.table),
            enqueued=proposal.enqueued,
            values=proposal.values,
        )
        taken.add(plan.space.key(proposal.parameters))
        if plan.sampler.learns and proposal.values is None:
            history.append(Told(index, proposal.parameters, TrialState.PENDING))
        if proposal.enqueued is not None:
            enqueued.add(proposal.enqueued)
        if proposal.values is None:
            free -= 1
            room -= 1
            if plan.repeats_at_once:
                new[number] = proposal.parameters
                due = [*((number, repeat) for repeat in range(1, plan.runs_each)), *due]


def _repeat(plan: Plan, trials: Trials, number: int, parameters: Assignment, root: int, repeat: int) -> Create:
    """One more run of an assignment."""
    return Create(
        number=number,
        parameters=parameters,
        seed=plan.trial_seed(number, repeat),
        bracket=plan.scheduler.bracket(number, trials.table),
        repeat_of=root,
        repeat=repeat,
    )


class Extended(Collection[Hashable]):
    """A collection and a few more, without copying it: a study of 100,000 trials asks for its next one."""

    def __init__(self, base: Collection[Hashable]) -> None:
        self._base = base
        self._more: set[Hashable] = set()

    def add(self, item: Hashable) -> None:
        """One more; the base is not touched."""
        self._more.add(item)

    def __contains__(self, item: object) -> bool:
        return item in self._more or item in self._base

    def __iter__(self) -> Iterator[Hashable]:
        return itertools.chain(self._base, (item for item in self._more if item not in self._base))

    def __len__(self) -> int:
        return sum(1 for _ in self)
