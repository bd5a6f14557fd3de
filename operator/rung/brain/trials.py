"""All trials of one study, with the sums that decisions need kept up to date, so that a decision costs what is active.

`Trials` built one change at a time equals `Trials` built from scratch, in whatever order the trials come: it holds no hidden
memory. Finished trials never change, so their curves are dropped and their figures are summed up once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace

from rung.api.facts import TrialFacts, TrialState
from rung.brain.decisions import running_seconds
from rung.brain.plan import Plan
from rung.ledger import Ledger, Spent
from rung.schedule.protocol import Entry, RungTable
from rung.search.protocol import Told

RESULTS = frozenset({TrialState.SUCCEEDED, TrialState.KNOWN})
"""States whose values are those of a whole run."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The best trial so far. Until one has run to its end the best of the stopped ones stands in (`complete` False)."""

    number: int
    objectives: tuple[float, ...]  # smaller is better
    complete: bool
    step: float

    def beats(self, other: Incumbent | None) -> bool:
        """A whole run before a part, a longer part before a shorter one, then the value, then the lower number."""
        return other is None or self.place < other.place

    @property
    def place(self) -> tuple[bool, float, tuple[float, ...], int]:
        """What incumbents are compared by; smaller is better."""
        return (not self.complete, 0.0 if self.complete else -self.step, self.objectives, self.number)


class Trials:
    """Every trial of a study, by number."""

    def __init__(self, plan: Plan, trials: Iterable[TrialFacts] = ()) -> None:
        self.plan = plan
        self.table = RungTable()
        self.counts: Counter[TrialState] = Counter()
        self.incumbent: Incumbent | None = None
        self.front: tuple[Incumbent, ...] = ()  # Pareto front of whole runs; one entry where there is one objective
        self.observed = False  # any trial ever said anything
        self.last_order = 0  # of the rung records
        self.judged: Counter[tuple[int, int, str]] = Counter()  # (bracket, rung, verdict) -> how many
        self._all: dict[int, TrialFacts] = {}
        self._highest = -1
        self._gapless = 0  # every number below was used
        self._dropped: set[int] = set()
        self._unfinished: set[int] = set()
        self._live: set[int] = set()
        self._taken: Counter[Hashable] = Counter()
        self._enqueued: set[int] = set()
        self._ledger = Ledger()  # of the finished ones
        self._told_once: dict[int, Told] = {}  # of the finished ones, as they are asked for
        for facts in trials:
            self.put(facts)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, number: int) -> bool:
        return number in self._all

    def __getitem__(self, number: int) -> TrialFacts:
        return self._all[number]

    def __iter__(self) -> Iterator[TrialFacts]:
        return iter(self._all.values())

    def put(self, facts: TrialFacts) -> None:
        """Add a trial, or replace what was known of it."""
        number = facts.number
        self._highest = max(self._highest, number)
        while self._gapless == number or self._gapless in self._all or self._gapless in self._dropped:
            self._gapless += 1
        before = self._all.get(number)
        if before is None:
            self._taken[self.plan.space.key(facts.parameters)] += 1
            if facts.enqueued is not None:
                self._enqueued.add(facts.enqueued)
        else:
            self._subtract(before)
        self._enter(facts)
        self.counts[facts.state] += 1
        if facts.live is not None and facts.live.live:
            self._live.add(number)
        self.observed = self.observed or bool(facts.metrics)
        if not facts.finished:
            self._unfinished.add(number)
        elif before is None or not before.finished:
            self._sum_up(facts)
            facts = self._slim(facts)
        self._all[number] = facts

    def drop(self, number: int) -> None:
        """Forget an unfinished trial whose object was deleted by hand. Its number is not given out again."""
        facts = self._all.pop(number, None)
        if facts is None:
            return
        self._dropped.add(number)
        self._subtract(facts)
        self.table.drop(number)
        key = self.plan.space.key(facts.parameters)
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]

    @property
    def unfinished(self) -> list[TrialFacts]:
        """In the order of their numbers."""
        return [self._all[n] for n in sorted(self._unfinished)]

    @property
    def live(self) -> list[TrialFacts]:
        """Those whose newest attempt takes a slot, finished ones that are still ending included; by number."""
        return [self._all[n] for n in sorted(self._live)]

    @property
    def taken(self) -> Collection[Hashable]:
        """Keys of the assignments that exist."""
        return self._taken

    @property
    def enqueued(self) -> Collection[int]:
        """Indices of the warm start's points that have a trial."""
        return self._enqueued

    @property
    def next_number(self) -> int:
        """One more than the highest so far."""
        return self._highest + 1

    def given_out(self, number: int, recorded: int) -> bool:
        """The number was used, by a trial that may have been deleted since: it does not come again."""
        return number in self._all or number in self._dropped or number < recorded

    def free_numbers(self, given_out: int) -> Iterator[int]:
        """Numbers for new trials, lowest first. Those below `given_out` (as the study's record says) are never used again.

        A hole above it was left by a process that was killed while it created several trials side by side.
        """
        holes = (
            n
            for n in range(max(given_out, self._gapless), self.next_number)
            if n not in self._all and not self.given_out(n, given_out)
        )
        return itertools.chain(holes, itertools.count(max(self.next_number, given_out)))

    @property
    def counted(self) -> int:
        """Trials that count towards limits.trials: all but those whose values were given."""
        return len(self._all) - self.counts[TrialState.KNOWN]

    def ledger(self, now: float) -> Ledger:
        """GPU time of the study until `now`, the running attempts included."""
        total = self._ledger
        for number in self._unfinished | self._live:
            facts = self._all[number]
            if not facts.finished:
                total = total.add(self._spent(facts, now))
        return total

    def told(self) -> list[Told]:
        """What a sampler may see, by number."""
        return [self._told_once.get(n) or self._told(self._all[n]) for n in sorted(self._all)]

    def _told(self, facts: TrialFacts) -> Told:
        measure = self.plan.measure
        told = Told(
            number=facts.number,
            parameters=facts.parameters,
            state=facts.state,
            objectives=measure.objectives(facts.values) if facts.finished and facts.values else None,
            violations=measure.violations(facts.values),
            curve=self._curve(facts),
        )
        if facts.finished:
            self._told_once[facts.number] = told
        return told

    def _curve(self, facts: TrialFacts) -> tuple[tuple[float, float], ...]:
        """What trials are ranked by, smaller is better; of attempts that end at rungs the values there."""
        measure = self.plan.measure
        if not self.plan.rung_by_rung:
            return measure.ranked_curve(facts)
        return tuple((float(record.step), measure.ranking.rank(record.value)) for record in facts.rungs)

    def _subtract(self, facts: TrialFacts) -> None:
        self.counts[facts.state] -= 1
        self._unfinished.discard(facts.number)
        self._live.discard(facts.number)
        for record in facts.rungs:
            self.judged[facts.bracket, record.step, record.verdict.value] -= 1

    def _enter(self, facts: TrialFacts) -> None:
        ranking = self.plan.measure.ranking
        for record in facts.rungs:
            self.last_order = max(self.last_order, record.order)
            self.judged[facts.bracket, record.step, record.verdict.value] += 1
            best = None if record.best is None else ranking.rank(record.best)
            entry = Entry(facts.number, record.step, ranking.rank(record.value), record.order, best)
            self.table.put(entry, facts.bracket, record.verdict)

    def _sum_up(self, facts: TrialFacts) -> None:
        self._ledger = self._ledger.add(self._spent(facts, facts.ended_at or 0.0))
        objectives = self.plan.measure.objectives(facts.values)
        if objectives is None or not self.plan.measure.feasible(facts.values):
            return
        complete = facts.state in RESULTS
        if not complete and facts.state is not TrialState.STOPPED:
            return
        step = max((r.step for r in facts.rungs), default=facts.step or 0.0)
        candidate = Incumbent(facts.number, objectives, complete, step)
        if candidate.beats(self.incumbent):
            self.incumbent = candidate
        if complete and not any(_dominates(other, candidate) for other in self.front):
            kept = [other for other in self.front if not _dominates(candidate, other)]
            self.front = tuple(sorted([*kept, candidate], key=lambda i: (i.objectives, i.number)))

    def _slim(self, facts: TrialFacts) -> TrialFacts:
        """A finished trial without what no decision reads again. The last point keeps its step known."""
        return facts if self.plan.sampler.learns else replace(facts, curve=facts.curve[-1:])

    def _spent(self, facts: TrialFacts, now: float) -> Spent:
        saved_by_scheduler = facts.state is TrialState.STOPPED and any(r.verdict.value == "Stop" for r in facts.rungs)
        step, target = facts.step or 0.0, self.plan.target
        if self.plan.rung_by_rung:  # each rung begins at nothing: the steps of all of them are trained
            step = float(sum(record.step for record in facts.rungs))
            target = sum(self.plan.rungs(facts))
        return Spent(
            gpus=facts.gpus,
            seconds=running_seconds(facts, now),
            lost_seconds=facts.lost_seconds,
            step=step,
            target=target if saved_by_scheduler else None,
        )


def _dominates(one: Incumbent, other: Incumbent) -> bool:
    """No worse in any objective, and better in one or the earlier of two equals."""
    if one.objectives == other.objectives:
        return one.number < other.number
    return all(a <= b for a, b in zip(one.objectives, other.objectives, strict=True))
