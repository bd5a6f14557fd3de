"""Several objectives at rungs: non-dominated sorting, and the schedulers that go by it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.pareto import front_by_front
from rung.schedule.asha import Asha
from rung.schedule.hyperband import Hyperband
from rung.schedule.pasha import Pasha
from rung.schedule.protocol import Entry, Membership, RungTable, Scheduler, Verdict
from rung.schedule.successive_halving import SuccessiveHalving
from rung.schedule.table import best_first
from rung.schedule.wording import Wording
from tests.schedule.contract import Course, courses, laws, play, superseded

GO, STOP = Verdict.CONTINUE, Verdict.STOP
WORDING = Wording(metric="loss", resource="epoch", others=(("accuracy", True), ("seconds", False)))
SEVERAL = courses(others=st.integers(1, 3))

few = st.integers(0, 4).map(float)  # ties and duplicates
vectors = st.integers(1, 3).flatmap(lambda m: st.lists(st.tuples(*[few] * m), min_size=1, max_size=14))


def asynchronous() -> list[Scheduler]:
    return [Asha(1, 27, 3, wording=WORDING), Pasha(1, 27, 3, wording=WORDING)]


def synchronous() -> list[Scheduler]:
    return [SuccessiveHalving(1, 27, 3, wording=WORDING), Hyperband(1, 27, 3, wording=WORDING)]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def fronts(points: Sequence[Sequence[float]]) -> list[int]:
    """By the definition."""
    front: dict[int, int] = {}
    while len(front) < len(points):
        left = [i for i in range(len(points)) if i not in front]
        level = max(front.values(), default=-1) + 1
        front |= {i: level for i in left if not any(dominates(points[j], points[i]) for j in left)}
    return [front[i] for i in range(len(points))]


def entry(number: int, *values: float, rung: int = 1) -> Entry:
    return Entry(number, rung, values[0], number + 1, others=values[1:])


class TestOrder:
    @given(points=vectors)
    def test_front_comes_after_front(self, points: list[tuple[float, ...]]) -> None:
        order = front_by_front(np.array(points))
        assert sorted(order.tolist()) == list(range(len(points)))
        assert [fronts(points)[i] for i in order] == sorted(fronts(points))

    @given(values=st.lists(few, min_size=1, max_size=9))
    def test_with_one_objective_it_is_the_order_of_the_values(self, values: list[float]) -> None:
        entries = [entry(n, value) for n, value in enumerate(values)]
        assert best_first(reversed(entries)) == sorted(entries, key=lambda e: (e.value, e.number))

    def test_in_a_front_the_ends_come_first_and_the_crowded_last(self) -> None:
        points = np.array([[0.0, 1.0], [0.5, 0.5], [0.52, 0.48], [0.54, 0.1], [1.0, 0.0]])
        assert front_by_front(points).tolist() == [0, 4, 1, 3, 2]

    @given(points=vectors, data=st.data())
    def test_the_order_in_which_entries_come_makes_no_difference(
        self, points: list[tuple[float, ...]], data: st.DataObject
    ) -> None:
        entries = [entry(n, *point) for n, point in enumerate(points)]
        assert best_first(data.draw(st.permutations(entries))) == best_first(entries)

    def test_what_was_not_said_counts_as_the_worst_that_was(self) -> None:
        silent, better, worse = entry(0, 1.0), entry(1, 1.0, 5.0), entry(2, 0.5, 9.0)
        assert best_first([silent, better, worse]) == [worse, better, silent]

    def test_enormous_values_have_their_places(self) -> None:
        assert [e.number for e in best_first([entry(0, 1e308, -1e308), entry(1, 1e308, 1e308)])] == [0, 1]

    @pytest.mark.parametrize("others", [(math.nan,), (1.0, math.inf)])
    def test_what_has_no_rank_is_refused(self, others: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="no rank"):
            Entry(0, 1, 0.5, 1, others=others)


class TestRank:
    @given(points=vectors)
    def test_it_is_the_place_among_those_before(self, points: list[tuple[float, ...]]) -> None:
        entries = [entry(n, *point) for n, point in enumerate(points)]
        table = RungTable.of([(e, 0, GO) for e in entries])
        for n, one in enumerate(entries):
            assert table.at(0, 1).rank(one) == best_first(entries[: n + 1]).index(one) + 1

    def test_dropped_entries_leave_no_trace(self) -> None:
        table = RungTable.of([(entry(0, 1.0, 2.0), 0, GO), (entry(1, 0.5), 0, GO)])
        table.drop(0)
        assert table.at(0, 1).rank(entry(2, 0.7)) == 2


class TestVerdicts:
    def test_the_best_of_another_objective_goes_on_and_the_dominated_stop(self) -> None:
        table, said = RungTable(), {}
        for n, point in enumerate([(0.1, 9.0), (0.9, 1.0), (0.95, 2.0), (0.3, 9.5), (0.5, 5.0), (0.05, 9.9)]):
            judgement = Asha(1, 27, 3, wording=WORDING).judge(table, entry(n, *point), 0)
            table.add(entry(n, *point), 0, judgement.verdict)
            said[n] = judgement
        assert [said[n].verdict for n in range(6)] == [GO, STOP, STOP, STOP, STOP, GO]
        assert said[2].reason == (
            "stopped at epoch 1: loss 0.95, accuracy -2 has rank 3 of 3 by all objectives, the best 1 go on"
        )
        assert said[5].reason.startswith("goes on at epoch 1: loss 0.05, accuracy -9.9 has rank ")

    def test_a_cohort_keeps_both_ends_of_its_front(self) -> None:
        scheduler, table = SuccessiveHalving(1, 9, 3, wording=WORDING), RungTable()
        points = [(float(n), float(9 - n)) for n in range(7)] + [(9.0, 9.0), (8.0, 9.5)]
        for n, point in enumerate(points):
            table.add(entry(n, *point), 0)
        judged = scheduler.settle(table, 0, lambda _: Membership.ALIVE)
        going = {j.number for j in judged if j.rung == 1 and j.verdict is GO}
        assert len(going) == 3
        assert {0, 6} <= going

    @given(course=SEVERAL)
    @laws
    def test_whoever_dominates_all_others_is_never_stopped(self, course: Course) -> None:
        for scheduler in (*asynchronous(), *synchronous()):
            played = play(scheduler, course)
            for _, step, rung in played.table.rungs():
                full = [e for e in rung if e.others]
                for one in full:
                    rest = [(e.value, *e.others) for e in full if e is not one]
                    if len(full) == len(rung) and all(dominates((one.value, *one.others), other) for other in rest):
                        assert played.table.verdict(one.number, step) is not STOP

    @given(course=SEVERAL, data=st.data())
    @laws
    def test_a_recorded_verdict_can_be_repeated_from_the_whole_record(
        self, course: Course, data: st.DataObject
    ) -> None:
        for scheduler in asynchronous():
            played = play(scheduler, course)
            table = RungTable.of(data.draw(st.permutations(played.records())))
            assert [scheduler.judge(table, e, played.brackets[e.number]) for e in played.entries] == [
                played.judgements[e.number, e.rung] for e in played.entries
            ]

    @given(course=SEVERAL, mixing=st.integers(0, 10_000))
    @laws
    def test_of_a_cohort_the_order_of_arrival_is_irrelevant(self, course: Course, mixing: int) -> None:
        for scheduler in synchronous():
            one = play(scheduler, course).verdicts()
            other = play(scheduler, Course(**{**vars(course), "mixing": mixing})).verdicts()
            stopped = {key for key, verdict in one.items() if verdict is STOP}
            assert stopped == {key for key, verdict in other.items() if verdict is STOP}
            assert all(one[key] is other[key] for key in one.keys() & other.keys() if not superseded(key, stopped))
