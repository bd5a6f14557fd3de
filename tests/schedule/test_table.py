from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.schedule.protocol import Entry, Judgement, RungTable, Verdict

values = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, 1.0]))


def table_of(figures: list[float], *, rung: int = 9, bracket: int = 0) -> RungTable:
    table = RungTable()
    for number, value in enumerate(figures):
        table.add(Entry(number, rung, value, number + 1), bracket, Verdict.CONTINUE)
    return table


def stop(number: int, rung: int = 9) -> Judgement:
    return Judgement(number, rung, Verdict.STOP, "why")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_without_a_rank_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="trial 3 at rung 9"):
        Entry(3, 9, value, 1)
    with pytest.raises(ValueError, match="trial 3 at rung 9"):
        Entry(3, 9, 0.5, 1, best=value)


@given(figures=st.lists(values, min_size=1, max_size=40), data=st.data())
def test_an_entry_is_compared_with_those_before_it_alone(figures: list[float], data: st.DataObject) -> None:
    table = table_of(figures)
    number = data.draw(st.integers(0, len(figures) - 1))
    seen = table.at(0, 9).compare(Entry(number, 9, figures[number], number + 1))
    before = sorted((value, n) for n, value in enumerate(figures[: number + 1]))
    assert seen.n == len(before)
    assert seen.rank == before.index((figures[number], number)) + 1
    assert [seen.ranked(rank) for rank in range(1, seen.n + 1)] == [value for value, _ in before]


@given(figures=st.lists(values, min_size=2, max_size=40))
def test_the_median_of_the_others_is_the_true_median(figures: list[float]) -> None:
    number = len(figures) - 1
    found = table_of(figures).at(0, 9).compare(Entry(number, 9, figures[number], number + 1)).median_of_others
    assert found == pytest.approx(statistics.median(figures[:-1]), rel=1e-12, abs=1e-300)


@given(figures=st.lists(values, min_size=1, max_size=20))
def test_whether_the_table_holds_the_entry_already_makes_no_difference(figures: list[float]) -> None:
    number = len(figures) - 1
    entry = Entry(number, 9, figures[number], number + 1)
    held, new = table_of(figures).at(0, 9).compare(entry), table_of(figures[:-1]).at(0, 9).compare(entry)
    assert (held.n, held.rank, held.median_of_others) == (new.n, new.rank, new.median_of_others)
    assert [held.ranked(r) for r in range(1, held.n + 1)] == [new.ranked(r) for r in range(1, new.n + 1)]


def test_alone_there_is_no_median() -> None:
    assert RungTable().at(0, 9).compare(Entry(0, 9, 0.5, 1)).median_of_others is None


@pytest.mark.parametrize("rank", [0, 3, -1])
def test_a_rank_that_nobody_has_is_refused(rank: int) -> None:
    with pytest.raises(IndexError, match=f"rank {rank} of 2"):
        table_of([0.1, 0.2]).at(0, 9).compare(Entry(1, 9, 0.2, 2)).ranked(rank)


def test_brackets_and_rungs_are_apart() -> None:
    table = RungTable()
    table.add(Entry(0, 1, 0.5, 1), 0)
    table.add(Entry(0, 3, 0.4, 2), 0)
    table.add(Entry(1, 3, 0.3, 3), 1)
    assert [(b, s, [e.number for e in rung]) for b, s, rung in table.rungs()] == [(0, 1, [0]), (0, 3, [0]), (1, 3, [1])]
    assert len(table.at(7, 7)) == 0
    assert table.entry(1, 3) == Entry(1, 3, 0.3, 3)
    assert table.entry(1, 1) is None
    assert table.verdict(2, 1) is None


def test_a_second_entry_at_a_rung_is_refused() -> None:
    table = table_of([0.5])
    with pytest.raises(ValueError, match="trial 0 has an entry at rung 9 already"):
        table.add(Entry(0, 9, 0.4, 2), 0)


def test_a_trial_cannot_change_its_bracket() -> None:
    table = table_of([0.5])
    with pytest.raises(ValueError, match="trial 0 is recorded in bracket 0, not 1"):
        table.add(Entry(0, 27, 0.4, 2), 1)


def test_nobody_is_judged_twice() -> None:
    table = RungTable()
    table.add(Entry(0, 9, 0.5, 1), 0)
    table.record(stop(0))
    with pytest.raises(ValueError, match=r"trial 0 was judged \(Stop\) at rung 9"):
        table.record(stop(0))
    with pytest.raises(ValueError, match="trial 1 has no entry at rung 9"):
        table.record(stop(1))


def test_an_open_verdict_leaves_the_entry_open() -> None:
    table = RungTable()
    table.add(Entry(0, 9, 0.5, 1), 4)
    table.record(Judgement(0, 9, Verdict.OPEN, "still"))
    assert table.open_brackets() == (4,)
    assert table.waits(0)


def test_a_bracket_is_open_until_each_entry_has_its_word() -> None:
    table = RungTable()
    for number, rung in ((0, 1), (0, 3), (1, 1)):
        table.add(Entry(number, rung, 0.5, 1), 4)
    table.record(Judgement(0, 1, Verdict.CONTINUE, "why"))
    assert table.waits(0)
    table.record(Judgement(0, 3, Verdict.CONTINUE, "why"))
    assert not table.waits(0)
    assert table.open_brackets() == (4,)
    table.record(stop(1, 1))
    assert table.open_brackets() == ()


@pytest.mark.parametrize("stop_first", [True, False], ids=["the stop comes first", "the open entry comes first"])
def test_nothing_waits_for_a_stopped_trial(stop_first: bool) -> None:
    records = [(Entry(0, 1, 0.5, 1), 0, Verdict.STOP), (Entry(0, 3, 0.4, 2), 0, Verdict.OPEN)]
    table = RungTable.of(records if stop_first else records[::-1])
    assert table.stopped(0)
    assert not table.waits(0)
    assert table.open_brackets() == ()
    table.record(Judgement(0, 3, Verdict.CONTINUE, "said late"))
    assert table.stopped(0)


def test_put_makes_the_table_agree_with_the_record_however_often() -> None:
    table = RungTable()
    entry = Entry(0, 9, 0.5, 1)
    for verdict in (Verdict.OPEN, Verdict.OPEN, Verdict.STOP, Verdict.STOP):
        table.put(entry, 0, verdict)
        assert table.verdict(0, 9) is verdict
    assert table.stopped(0)


@pytest.mark.parametrize(
    ("entry", "bracket", "verdict", "complaint"),
    [
        pytest.param(Entry(0, 9, 0.4, 1), 0, Verdict.CONTINUE, "was recorded as", id="another value"),
        pytest.param(Entry(0, 9, 0.5, 2), 0, Verdict.CONTINUE, "was recorded as", id="another order"),
        pytest.param(Entry(0, 9, 0.5, 1), 1, Verdict.CONTINUE, "was recorded as", id="another bracket"),
        pytest.param(Entry(0, 9, 0.5, 1), 0, Verdict.STOP, "was judged", id="another verdict"),
    ],
)
def test_a_record_that_contradicts_the_table_is_refused(
    entry: Entry, bracket: int, verdict: Verdict, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        table_of([0.5]).put(entry, bracket, verdict)


def contents(table: RungTable, trials: int) -> tuple[object, ...]:
    rungs = [(b, s, list(rung), [rung.verdict(e.number) for e in rung]) for b, s, rung in table.rungs()]
    return (
        rungs,
        table.open_brackets(),
        [(table.stopped(n), table.waits(n)) for n in range(trials)],
    )


@given(
    verdicts=st.lists(st.lists(st.sampled_from(Verdict), max_size=3), min_size=1, max_size=5),
    figures=st.lists(values, min_size=15, max_size=15),
    data=st.data(),
)
def test_a_dropped_trial_leaves_the_table_that_the_others_build(
    verdicts: list[list[Verdict]], figures: list[float], data: st.DataObject
) -> None:
    records = [
        (Entry(number, 3**place, figures[3 * number + place], 3 * number + place + 1), number % 2, verdict)
        for number, said in enumerate(verdicts)
        for place, verdict in enumerate(said)
    ]
    gone = data.draw(st.integers(0, len(verdicts)))
    whole = RungTable.of(records)
    table = whole.copy()
    table.drop(gone)
    assert contents(table, 6) == contents(RungTable.of(r for r in records if r[0].number != gone), 6)
    assert contents(whole, 6) == contents(RungTable.of(records), 6)
    table.put(Entry(gone, 1, 0.5, 99), 1, Verdict.OPEN)
    seen = table.at(1, 1).compare(Entry(gone, 1, 0.5, 99))
    assert seen.n == len(table.at(1, 1))


@pytest.mark.parametrize("origin_first", [True, False], ids=["the origin writes first", "the copy writes first"])
def test_a_copy_and_its_origin_grow_apart(origin_first: bool) -> None:
    origin = RungTable()
    origin.add(Entry(0, 9, 0.5, 1), 0)
    copy = origin.copy()
    if origin_first:
        origin.add(Entry(2, 9, 0.3, 2), 0)
    copy.add(Entry(1, 9, 0.4, 2), 0)
    copy.record(stop(0))
    if not origin_first:
        origin.add(Entry(2, 9, 0.3, 2), 0)
    origin.add(Entry(2, 27, 0.2, 3), 0)
    assert [e.number for e in copy.at(0, 9)] == [1, 0]
    assert [e.number for e in origin.at(0, 9)] == [2, 0]
    assert (origin.stopped(0), copy.stopped(0)) == (False, True)
    assert (origin.waits(0), copy.waits(0)) == (True, False)
    assert len(copy.at(0, 27)) == 0
    assert origin.verdict(0, 9) is Verdict.OPEN
