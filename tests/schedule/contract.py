"""What every scheduler promises: inherit SynchronousContract or AsynchronousContract and name the scheduler.

A `Course` is a whole study in small: what each trial would say at each step, who fails and when, and how the arrivals
mix. `play` runs it as an executor would in mode Stop: trials are created by number while slots are free, each goes
from rung to rung, its entries are judged and recorded, and whoever is stopped frees a slot.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rung.schedule.protocol import Entry, Judgement, Membership, RungTable, Scheduler, Statistic, Verdict

METRIC = "val_loss"
"""The name that reasons have to carry."""


@dataclass(frozen=True)
class Course:
    trials: int
    parallelism: int
    seed: int = 0
    mixing: int = 0  # seeds the order of arrival, nothing else
    digits: int = 6  # few digits make ties
    failing: Mapping[int, int] = field(default_factory=dict)  # number -> rungs that it reaches before it fails
    others: int = 0  # further objectives; of each sixth trial they are not known

    def said(self, number: int, step: int, objective: int = 0) -> float:
        which = f"{self.seed} {number}" + (f" of {objective}" if objective else "")
        random_ = random.Random(f"{which} {step}")
        level = random.Random(which).random()
        return round(level + 0.3 * random_.random() + 1 / step, self.digits)

    def said_of_others(self, number: int, step: int) -> tuple[float, ...]:
        known = random.Random(f"{self.seed} {number} knows").random() > 1 / 6
        return tuple(self.said(number, step, 1 + k) for k in range(self.others)) if known else ()


@dataclass
class Played:
    scheduler: Scheduler
    entries: list[Entry] = field(default_factory=list)  # as recorded
    table: RungTable = field(default_factory=RungTable)
    judgements: dict[tuple[int, int], Judgement] = field(default_factory=dict)  # the final ones
    brackets: dict[int, int] = field(default_factory=dict)  # by trial number, as recorded when it was created
    finished: set[int] = field(default_factory=set)

    def verdicts(self) -> dict[tuple[int, int], Verdict]:
        return {key: judgement.verdict for key, judgement in self.judgements.items()}

    def note(self, judgement: Judgement) -> None:
        key = (judgement.number, judgement.rung)
        assert key not in self.judgements or self.judgements[key].verdict is Verdict.OPEN, f"judged twice: {judgement}"
        self.judgements[key] = judgement

    def create(self, number: int) -> None:
        self.brackets[number] = self.scheduler.bracket(number, self.table)

    def rungs(self, number: int) -> tuple[int, ...]:
        return self.scheduler.rungs(self.brackets[number])

    def records(self) -> list[tuple[Entry, int, Verdict]]:
        return [(e, self.brackets[e.number], self.judgements[e.number, e.rung].verdict) for e in self.entries]


def entry_of(played: Played, course: Course, number: int, rung: int) -> Entry:
    """The next one, with the statistic that the scheduler asks for, over the rungs up to this one."""
    order = len(played.entries) + 1
    if played.scheduler.statistic is Statistic.REDUCED:
        others = course.said_of_others(number, rung)
        return Entry(number, rung, course.said(number, rung), order, others=others)
    so_far = [course.said(number, r) for r in played.rungs(number) if r <= rung]
    return Entry(number, rung, sum(so_far) / len(so_far), order, min(so_far))


def play(scheduler: Scheduler, course: Course) -> Played:
    played = Played(scheduler)
    mixing = random.Random(course.mixing)
    running: dict[int, int] = {}  # number -> rungs reached
    created = 0
    while created < course.trials or running:
        while created < course.trials and len(running) < course.parallelism:
            played.create(created)
            running[created] = 0
            created += 1
        number = mixing.choice(sorted(running))
        rungs = played.rungs(number)
        if running[number] == len(rungs) or running[number] == course.failing.get(number):
            del running[number]
            played.finished.add(number)
        else:
            rung = rungs[running[number]]
            running[number] += 1
            entry = entry_of(played, course, number, rung)
            judgement = scheduler.judge(played.table, entry, played.brackets[number])
            played.table.add(entry, played.brackets[number], judgement.verdict)
            played.entries.append(entry)
            played.note(judgement)
        settle(scheduler, played, expectation(course, created, running))
        for stopped in [n for n in running if played.table.stopped(n)]:
            del running[stopped]
            played.finished.add(stopped)
    return played


def expectation(course: Course, created: int, running: Mapping[int, int]) -> dict[int, Membership]:
    """Numbers beyond the course are missing: they never come."""
    found = dict.fromkeys(range(created, course.trials), Membership.COMING)
    return found | {n: Membership.ALIVE if n in running else Membership.GONE for n in range(created)}


def settle(scheduler: Scheduler, played: Played, expected: Mapping[int, Membership]) -> None:
    for bracket in played.table.open_brackets():
        for judgement in scheduler.settle(played.table, bracket, lambda n: expected.get(n, Membership.NEVER)):
            played.table.record(judgement)
            played.note(judgement)


def courses(most: int = 30, others: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Course]:
    return st.builds(
        Course,
        trials=st.integers(1, most),
        parallelism=st.integers(1, 9),
        seed=st.integers(0, 10_000),
        mixing=st.integers(0, 10_000),
        digits=st.sampled_from([1, 6]),
        failing=st.dictionaries(st.integers(0, most), st.integers(0, 3), max_size=4),
        others=st.just(0) if others is None else others,
    )


# One law is run once for every class that inherits it; hypothesis would suspect an accident.
laws = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class SchedulerContract:
    @abstractmethod
    def make(self) -> Scheduler:
        """A scheduler with at least three rungs in its first bracket and METRIC as its metric."""

    @given(number=st.integers(0, 5_000))
    @laws
    def test_a_bracket_has_ascending_rungs_up_to_the_target(self, number: int) -> None:
        scheduler = self.make()
        rungs = scheduler.rungs(scheduler.bracket(number, RungTable()))
        assert list(rungs) == sorted(set(rungs))
        assert 1 <= len(rungs) <= 32
        assert rungs[-1] == scheduler.target

    @given(course=courses())
    @laws
    def test_the_same_facts_give_the_same_verdicts_and_reasons(self, course: Course) -> None:
        assert play(self.make(), course).judgements == play(self.make(), course).judgements

    @given(course=courses(), data=st.data())
    @laws
    def test_a_table_built_from_the_record_in_any_order_is_the_same_table(
        self, course: Course, data: st.DataObject
    ) -> None:
        played = play(self.make(), course)
        again = RungTable.of(data.draw(st.permutations(played.records())))
        assert [(b, s, list(r)) for b, s, r in again.rungs()] == [(b, s, list(r)) for b, s, r in played.table.rungs()]
        assert again.open_brackets() == played.table.open_brackets()
        assert {n for n in range(course.trials) if again.stopped(n)} == {
            n for n in range(course.trials) if played.table.stopped(n)
        }

    @given(course=courses())
    @laws
    def test_the_strictly_best_entry_of_a_rung_is_never_stopped_there(self, course: Course) -> None:
        played = play(self.make(), course)
        for bracket, step, rung in played.table.rungs():
            figures = sorted((e.value if e.best is None else e.best, e.number) for e in rung)
            if len(figures) == 1 or figures[0][0] < figures[1][0]:
                best = figures[0][1]
                assert played.table.verdict(best, step) is not Verdict.STOP, (bracket, step, list(rung))

    @given(course=courses())
    @laws
    def test_the_last_rung_stops_nobody(self, course: Course) -> None:
        played = play(self.make(), course)
        last = [j for (_, rung), j in played.judgements.items() if rung == played.scheduler.target]
        assert all(judgement.verdict is Verdict.CONTINUE for judgement in last)

    @given(course=courses())
    @laws
    def test_every_reason_names_the_step_the_metric_and_the_value(self, course: Course) -> None:
        played = play(self.make(), course)
        for entry in played.entries:
            reason = played.judgements[entry.number, entry.rung].reason
            figure = entry.value if entry.best is None else entry.best
            assert f"epoch {entry.rung}" in reason
            assert f"{METRIC} {figure:.4g}"[:8] in reason, reason
            assert "\n" not in reason
            assert len(reason) <= 256

    @given(course=courses())
    @laws
    def test_a_stop_says_the_limit_and_how_many_were_compared(self, course: Course) -> None:
        played = play(self.make(), course)
        for judgement in played.judgements.values():
            if judgement.verdict is Verdict.STOP:
                assert judgement.reason.startswith(f"stopped at epoch {judgement.rung}: ")
                assert " is worse than " in judgement.reason or " equals " in judgement.reason
                assert judgement.reason.split(" of ")[-1].split()[0].isdigit()

    def test_an_entry_at_a_step_that_is_no_rung_is_refused(self) -> None:
        with pytest.raises(ValueError, match="is none of"):
            self.make().judge(RungTable(), Entry(0, 9_999, 0.5, 1), 0)


class AsynchronousContract(SchedulerContract):
    def test_it_says_that_it_waits_for_nobody(self) -> None:
        assert not self.make().synchronous

    @given(course=courses())
    @laws
    def test_every_entry_is_judged_when_it_arrives(self, course: Course) -> None:
        played = play(self.make(), course)
        assert Verdict.OPEN not in played.verdicts().values()
        assert played.table.open_brackets() == ()

    @given(course=courses(), data=st.data())
    @laws
    def test_a_recorded_verdict_can_be_repeated_from_the_whole_record(
        self, course: Course, data: st.DataObject
    ) -> None:
        """Whatever else the table holds by then, and in whatever order it was filled."""
        played = play(self.make(), course)
        table = RungTable.of(data.draw(st.permutations(played.records())))
        brackets = played.brackets
        assert [self.make().judge(table, entry, brackets[entry.number]) for entry in played.entries] == [
            played.judgements[entry.number, entry.rung] for entry in played.entries
        ]


class SynchronousContract(SchedulerContract):
    @abstractmethod
    def places(self, bracket: int, rung: int, members: int) -> int:
        """How many of a cohort of so many members may go on from this rung."""

    def test_it_says_that_it_waits(self) -> None:
        assert self.make().synchronous

    @given(course=courses(), mixing=st.integers(0, 10_000), parallelism=st.integers(1, 40))
    @laws
    def test_the_order_of_arrival_is_irrelevant(self, course: Course, mixing: int, parallelism: int) -> None:
        """Trials that ran on while they waited may have said more: what both runs recorded is judged alike."""
        one = play(self.make(), course).verdicts()
        other = play(self.make(), Course(**{**vars(course), "mixing": mixing, "parallelism": parallelism})).verdicts()
        stopped = {key for key, verdict in one.items() if verdict is Verdict.STOP}
        assert stopped == {key for key, verdict in other.items() if verdict is Verdict.STOP}
        assert all(one[key] is other[key] for key in one.keys() & other.keys() if not superseded(key, stopped))

    @given(course=courses())
    @laws
    def test_when_the_study_is_over_nothing_waits(self, course: Course) -> None:
        played = play(self.make(), course)
        stopped = {key for key, verdict in played.verdicts().items() if verdict is Verdict.STOP}
        still_open = {key for key, verdict in played.verdicts().items() if verdict is Verdict.OPEN}
        assert all(superseded(key, stopped) for key in still_open)
        assert played.table.open_brackets() == ()

    @given(course=courses())
    @laws
    def test_no_more_go_on_than_there_are_places(self, course: Course) -> None:
        played = play(self.make(), course)
        for bracket, step, rung in played.table.rungs():
            if step == played.scheduler.target:
                continue
            members = list(played.brackets.values()).count(bracket)
            going = [e.number for e in rung if played.table.verdict(e.number, step) is Verdict.CONTINUE]
            assert len(going) <= self.places(bracket, step, members)

    @given(course=courses())
    @laws
    def test_settling_again_finds_nothing_new(self, course: Course) -> None:
        played = play(self.make(), course)
        gone = dict.fromkeys(range(course.trials), Membership.GONE)
        for bracket in {played.brackets[entry.number] for entry in played.entries}:
            found = played.scheduler.settle(played.table, bracket, lambda n: gone.get(n, Membership.NEVER))
            assert found == []

    @given(course=courses(most=12))
    @laws
    def test_nothing_is_settled_while_a_member_is_to_come(self, course: Course) -> None:
        scheduler = self.make()
        played = Played(scheduler)
        for number in range(course.trials):
            played.create(number)
            entry = entry_of(played, course, number, played.rungs(number)[0])
            played.table.add(entry, played.brackets[number])
            played.entries.append(entry)
        last = played.brackets[course.trials - 1]
        if scheduler.bracket(course.trials, played.table) == last:
            assert scheduler.settle(played.table, last, lambda n: membership_before(course.trials, n)) == []


def membership_before(created: int, number: int) -> Membership:
    return Membership.ALIVE if number < created else Membership.COMING


def superseded(key: tuple[int, int], stopped: set[tuple[int, int]]) -> bool:
    """The trial was stopped at a lower rung: what it said above, before that was known, is void."""
    number, rung = key
    return any((number, lower) in stopped for lower in range(rung))
