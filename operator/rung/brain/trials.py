"""All trials of one study, with the sums that decisions need kept up to date, so that a decision costs what is active.

`Trials` built one change at a time equals `Trials` built from scratch, in whatever order the trials come: it holds no hidden
memory. Finished trials never change, so their curves are dropped and their figures are summed up once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import replace

from rung.api.facts import EnqueuedKey, RungRecord, TrialFacts, TrialState
from rung.brain.board import Board, Incumbent
from rung.brain.decisions import running_seconds
from rung.brain.entries import entry_of
from rung.brain.plan import Plan
from rung.brain.repeats import Assignments, is_other, repeated, result_of, root_of
from rung.ledger import Ledger, Spent
from rung.schedule.protocol import RungTable
from rung.search.protocol import Told


class Trials:
    """Every trial of a study, by number."""

    def __init__(self, plan: Plan, trials: Iterable[TrialFacts] = ()) -> None:
        self.plan = plan
        self.table = RungTable()
        self.counts: Counter[TrialState] = Counter()
        self.assignments = Assignments(plan)
        self.board = Board()
        self.last_order = 0  # of the rung records
        self.judged: Counter[tuple[int, int, str]] = Counter()  # (bracket, rung, verdict) -> how many
        self._all: dict[int, TrialFacts] = {}
        self._highest = -1
        self._gapless = 0  # every number below was used
        self._dropped: set[int] = set()
        self._unfinished: set[int] = set()
        self._live: set[int] = set()
        self._heard: set[int] = set()  # those that said something
        self._taken: Counter[Hashable] = Counter()
        self._enqueued: set[EnqueuedKey] = set()
        self._clones: dict[int, int] = {}  # of a population: stopped member -> the trial in its place
        self._recorded: dict[int, int] = {}  # of a population: order of a rung record -> its trial
        self._vacant: set[int] = set()  # members that were stopped, and nobody is in their place yet
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
            self._take_place(facts)
            if facts.enqueued is not None:
                self._enqueued.add(facts.enqueued)
            self.assignments.add(facts)
        else:
            self._subtract(before)
        self._enter(facts)
        self.counts[facts.state] += 1
        if facts.live is not None and facts.live.live:
            self._live.add(number)
        if facts.metrics or facts.rungs:  # what was said of a rung is forgotten where the next one begins from nothing
            self._heard.add(number)
        if self._leaves_place(facts):
            self._vacant.add(number)
        ended = facts.finished and (before is None or not before.finished)
        if ended:
            self._ledger = self._ledger.add(self._spent(facts, facts.ended_at or 0.0))
        elif not facts.finished:
            self._unfinished.add(number)
        self._all[number] = self._slim(facts) if ended else facts
        is_new_run = before is None and self.plan.runs_each > 1  # it counts for its assignment before it has ended, too
        if ended or is_new_run:
            self._weigh(root_of(facts))

    def drop(self, number: int) -> None:
        """Forget an unfinished trial whose object was deleted by hand. Its number is not given out again."""
        facts = self._all.pop(number, None)
        if facts is None:
            return
        self._dropped.add(number)
        self._subtract(facts)
        self.table.drop(number)
        self.assignments.drop(facts)
        self._weigh(root_of(facts))
        if facts.descent is not None:
            self._clones.pop(facts.descent.replaces, None)
            if facts.descent.replaces in self._all:
                self._vacant.add(facts.descent.replaces)
            return
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
    def observed(self) -> bool:
        """Whether any of the trials said anything."""
        return bool(self._heard)

    @property
    def taken(self) -> Collection[Hashable]:
        """Keys of the assignments that exist."""
        return self._taken

    @property
    def enqueued(self) -> Collection[EnqueuedKey]:
        """The warm start's points that have a trial."""
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
        """Trials that count towards limits.trials: all but clones and those whose values were given."""
        return len(self._all) - self.counts[TrialState.KNOWN] - len(self._clones)

    @property
    def done(self) -> int:
        """How many of those have come to their end; of a population: in how many places no further clone is to come."""
        return self.counted - len(self._unfinished) - len(self._vacant)

    @property
    def vacant(self) -> list[int]:
        """Members of a population that left a place in which there is no clone yet, and could be one; in the order of their last
        records.
        """

        def last_record(number: int) -> tuple[int, int]:
            rungs = self._all[number].rungs
            return (rungs[-1].order if rungs else 0, number)

        return sorted((n for n in self._vacant if self._is_clonable(n)), key=last_record)

    def _is_clonable(self, number: int) -> bool:
        """Who was stopped was compared with others, who proved infeasible perhaps with nobody."""
        return self._all[number].state is TrialState.STOPPED or self.model_of(number) is not None

    def model_of(self, number: int) -> int | None:
        """The trial of which a clone takes the place of a member that was stopped, or proved infeasible; None: there is none."""
        facts, population = self._all[number], self.plan.population
        rung = self.place_of(facts)
        if population is None or rung is None:
            return None
        entry = self.table.entry(number, rung)
        if entry is not None:  # if all that were better have been deleted by hand since, its own
            return number if (named := population.parent(self.table, entry)) is None else named
        return population.substitute(
            self.table, number, rung, lambda other: self._all[other].state is TrialState.INFEASIBLE
        )

    def clone_of(self, number: int) -> int | None:
        """The clone in the place that a member of a population has left."""
        return self._clones.get(number)

    def recorded(self, upto: int) -> Iterator[tuple[TrialFacts, RungRecord]]:
        """The rung records of a population up to that order, newest first."""
        for order in range(upto, 0, -1):
            facts = self._all.get(self._recorded.get(order, -1))
            if facts is not None:
                yield from ((facts, record) for record in facts.rungs if record.order == order)

    def place_of(self, facts: TrialFacts) -> int | None:
        """The rung at which a clone takes the trial's place in a population; None: it leaves none."""
        if self.plan.population is None:
            return None
        if facts.state is TrialState.STOPPED:
            return facts.stopped_at
        if facts.state is TrialState.INFEASIBLE:  # at the rung that it was to reach, unless that is the end
            rung = self.plan.next_rung(facts)
            return None if rung == self.plan.target else rung
        return None

    def _take_place(self, facts: TrialFacts) -> None:
        """A new trial's assignment is taken; a clone's is not, since it was not evaluated from the beginning."""
        if facts.descent is None:
            self._taken[self.plan.space.key(facts.parameters)] += 1
        else:
            self._clones[facts.descent.replaces] = facts.number
            self._vacant.discard(facts.descent.replaces)

    def _leaves_place(self, facts: TrialFacts) -> bool:
        return self.place_of(facts) is not None and facts.number not in self._clones

    def ledger(self, now: float) -> Ledger:
        """GPU time of the study until `now`, the running attempts included."""
        total = self._ledger
        for number in self._unfinished | self._live:
            facts = self._all[number]
            if not facts.finished:
                total = total.add(self._spent(facts, now))
        return total

    @property
    def incumbent(self) -> Incumbent | None:
        """The best so far."""
        return self.board.incumbent

    @property
    def front(self) -> tuple[Incumbent, ...]:
        """Pareto front of whole and confirmed runs; one entry where there is one objective."""
        return self.board.front

    def runs_of(self, root: int) -> list[TrialFacts]:
        """The runs of an assignment, the first one first."""
        runs = self.assignments.runs.get(root, {})
        return [self._all[runs[repeat]] for repeat in sorted(runs)]

    def repeats_due(self) -> Iterator[tuple[int, int]]:
        """(first run's number, repeat) of the repeats to start, in this order."""
        if self.plan.runs_each == 1:
            return
        for root in self._repeated():
            for repeat in self.assignments.lacking(root):
                yield root, repeat

    def _repeated(self) -> Iterator[int]:
        """Assignments of which further runs are wanted."""
        if self.plan.repeats_all:
            yield from (root for root in self.assignments.all_lacking() if repeated(self.plan, self.runs_of(root)))
            return
        leaders: list[Incumbent] = []
        for root, candidate in self.board.contenders():
            if not self.assignments.lacking(root) and all(facts.finished for facts in self.runs_of(root)):
                continue  # it will never be confirmed: a run was stopped by hand
            if not any(leader.dominates(candidate) for leader in leaders):
                leaders.append(candidate)
                yield root

    def told(self) -> list[Told]:
        """What a sampler may see, by number: of assignments that are repeated one word each; of clones nothing, since what they
        reach is their ancestors' too.
        """
        if self.plan.runs_each > 1:
            return [self._told_of(self.runs_of(root)) for root in sorted(self.assignments.runs)]
        own = (n for n in sorted(self._all) if not is_other(self._all[n]))
        return [self._told_once.get(n) or self._told(self._all[n]) for n in own]

    def _told(self, facts: TrialFacts) -> Told:
        measure = self.plan.measure
        told = Told(
            number=self.assignments.index(facts.number),
            parameters=facts.parameters,
            state=facts.state,
            objectives=measure.objectives(facts.values) if facts.finished and facts.values else None,
            violations=measure.violations(facts.values),
            curve=curve_of(self.plan, facts),
            deviations=measure.errors(facts.values),
        )
        if facts.finished:
            self._told_once[facts.number] = told
        return told

    def _told_of(self, runs: list[TrialFacts]) -> Told:
        """Of an assignment. Where all are repeated it is pending until the last run has ended: values of unlike numbers of
        runs are not alike.
        """
        measure, first = self.plan.measure, runs[0]
        result = result_of(self.plan, runs)
        lacking = bool(self.assignments.lacking(root_of(first))) and repeated(self.plan, runs)
        open_ = not first.finished or (self.plan.repeats_all and (lacking or any(not facts.finished for facts in runs)))
        return Told(
            number=self.assignments.index(first.number),
            parameters=first.parameters,
            state=TrialState.PENDING if open_ else result.state,
            objectives=None if open_ or not result.values else measure.objectives(result.values),
            violations=measure.violations({} if open_ else result.values),
            curve=curve_of(self.plan, first),
            deviations=() if open_ else result.errors,
        )

    def _subtract(self, facts: TrialFacts) -> None:
        self.counts[facts.state] -= 1
        self._unfinished.discard(facts.number)
        self._live.discard(facts.number)
        self._heard.discard(facts.number)
        for record in facts.rungs:
            self.judged[facts.bracket, record.step, record.verdict.value] -= 1

    def _enter(self, facts: TrialFacts) -> None:
        for record in facts.rungs:
            self.last_order = max(self.last_order, record.order)
            if self.plan.population is not None:
                self._recorded[record.order] = facts.number
            self.judged[facts.bracket, record.step, record.verdict.value] += 1
            self.table.put(entry_of(self.plan.measure, facts.number, record), facts.bracket, record.verdict)

    def _weigh(self, root: int) -> None:
        """What the assignment's runs have brought, as the board wants it."""
        runs = self.runs_of(root)
        if not any(facts.finished for facts in runs):
            self.board.put(root, None)
            return
        result = result_of(self.plan, runs)
        possible = result.complete or result.state is TrialState.STOPPED
        self.board.put(root, Incumbent.of(self.plan.measure, result) if possible else None)

    def _slim(self, facts: TrialFacts) -> TrialFacts:
        """A finished trial without what no decision reads again. The last point keeps its step known."""
        return facts if self.plan.sampler.learns else replace(facts, curve=facts.curve[-1:])

    def _spent(self, facts: TrialFacts, now: float) -> Spent:
        stopped = facts.state is TrialState.STOPPED and facts.stopped_at is not None
        saved_by_scheduler = stopped and self.plan.population is None  # a clone spends what its predecessor did not
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


def curve_of(plan: Plan, facts: TrialFacts) -> tuple[tuple[float, float], ...]:
    """What trials are ranked by, smaller is better, as samplers see it: of attempts that end at rungs the values there.

    Nothing after the rung that stopped it: how far a trial still came until it had ended is chance.
    """
    measure = plan.measure
    if plan.rung_by_rung:
        return tuple((float(record.step), measure.ranking.rank(record.value)) for record in facts.rungs)
    curve = measure.ranked_curve(facts)
    end = None if facts.stopped_at is None else measure.arrival(facts, facts.stopped_at)
    return curve if end is None else tuple(point for point in curve if point[0] <= end)
