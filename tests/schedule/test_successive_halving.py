from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from rung.schedule.protocol import Entry, Judgement, Membership, RungTable, Verdict
from rung.schedule.successive_halving import SuccessiveHalving
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, SynchronousContract

GO, STOP, OPEN = Verdict.CONTINUE, Verdict.STOP, Verdict.OPEN
ALIVE, GONE, COMING, NEVER = Membership.ALIVE, Membership.GONE, Membership.COMING, Membership.NEVER
WORDING = Wording(metric=METRIC, resource="epoch")


class TestSuccessiveHalving(SynchronousContract):
    def make(self) -> SuccessiveHalving:
        return SuccessiveHalving(1, 9, 3, wording=WORDING)

    def places(self, bracket: int, rung: int, members: int) -> int:
        return max(1, members // (3 * rung))


class TestSuccessiveHalvingOnAnUnevenLadder(SynchronousContract):
    def make(self) -> SuccessiveHalving:
        return SuccessiveHalving(2, 10, 2, wording=WORDING)

    def places(self, bracket: int, rung: int, members: int) -> int:
        return max(1, members // {2: 2, 4: 4, 8: 8}[rung])


def table_at(rung: int, figures: Mapping[int, float], table: RungTable | None = None) -> RungTable:
    table = table or RungTable()
    for number, value in figures.items():
        table.add(Entry(number, rung, value, number + 1), 0)
    return table


def all_of(count: int, then: Membership = NEVER, **others: Membership) -> Callable[[int], Membership]:
    """The first `count` numbers are alive; `then` stands for the rest; t3=GONE speaks of trial 3."""
    return lambda n: others.get(f"t{n}", ALIVE if n < count else then)


def words(judgements: list[Judgement]) -> dict[tuple[int, int], Verdict]:
    return {(j.number, j.rung): j.verdict for j in judgements}


NINE = {n: 0.9 - 0.1 * n for n in range(9)}  # the higher the number, the better


@pytest.mark.parametrize(
    ("low", "high", "eta", "size"),
    [
        pytest.param(1, 27, 3, 27, id="1 to 27 by 3"),
        pytest.param(1, 9, 3, 9, id="1 to 9 by 3"),
        pytest.param(64, 1024, 4, 16, id="64 to 1024 by 4"),
        pytest.param(5, 5, 3, 1, id="one rung: everybody is alone"),
    ],
)
def test_cohorts_follow_one_another_by_number(low: int, high: int, eta: int, size: int) -> None:
    scheduler = SuccessiveHalving(low, high, eta)
    assert [scheduler.bracket(n, RungTable()) for n in (0, size - 1, size, 5 * size)] == [0, 0, 1, 5]
    assert scheduler.cohort(1).members == range(size, 2 * size)


def test_an_entry_waits_until_its_cohort_is_complete() -> None:
    scheduler = SuccessiveHalving(1, 9, 3, wording=WORDING)
    judgement = scheduler.judge(table_at(1, {n: NINE[n] for n in range(8)}), Entry(8, 1, 0.1, 9), 0)
    assert judgement.verdict is OPEN
    assert judgement.reason == "at epoch 1: val_loss 0.1 waits for the others of its cohort (9 there so far)"
    assert scheduler.settle(table_at(1, {n: NINE[n] for n in range(8)}), 0, all_of(9)) == []


def test_the_best_third_goes_on_and_the_rest_stop() -> None:
    judgements = SuccessiveHalving(1, 9, 3, wording=WORDING).settle(table_at(1, NINE), 0, all_of(9))
    assert words(judgements) == {(n, 1): GO if n >= 6 else STOP for n in range(9)}
    assert judgements[0].reason == "stopped at epoch 1: val_loss 0.9 is worse than 0.3, the limit of the best 3 of 9"
    assert judgements[8].reason == "goes on at epoch 1: val_loss 0.1 has rank 1 of 9, the best 3 go on"


def test_a_complete_rung_may_complete_the_next_one() -> None:
    """All ran on while they waited for trial 8: its losers are not waited for, nor heard, at rung 3."""
    table = table_at(3, dict.fromkeys(range(8), 0.1) | {8: 0.05}, table_at(1, NINE))
    found = words(SuccessiveHalving(1, 9, 3).settle(table, 0, all_of(9)))
    assert {n for (n, rung) in found if rung == 3} == {6, 7, 8}
    assert found[8, 3] is GO
    assert found[6, 3] is STOP


@pytest.mark.parametrize(
    ("figures", "expected", "want"),
    [
        pytest.param({n: NINE[n] for n in range(8)}, all_of(9), {}, id="one that runs is waited for"),
        pytest.param(
            {n: NINE[n] for n in range(8)}, all_of(8, COMING), {}, id="one that will be created is waited for"
        ),
        pytest.param(
            {n: NINE[n] for n in range(8)},
            all_of(9, t8=GONE),
            {n: GO if n >= 5 else STOP for n in range(8)},
            id="one that failed ranks behind everybody: three of nine go on, as planned",
        ),
        pytest.param(
            {n: NINE[n] for n in range(5)},
            all_of(5),
            {n: GO if n == 4 else STOP for n in range(5)},
            id="five trials in all make a cohort of five: one goes on",
        ),
        pytest.param(NINE, all_of(9, t0=GONE), {n: GO if n >= 6 else STOP for n in range(9)}, id="who failed after it"),
        pytest.param({0: 0.5}, all_of(1), {0: GO}, id="a single trial is the best of its cohort"),
        pytest.param({}, all_of(0), {}, id="an empty cohort"),
        pytest.param({1: 0.5}, all_of(2, t0=GONE), {1: GO}, id="the last one left goes on"),
        pytest.param(dict.fromkeys(range(9), 0.5), all_of(9), {n: GO if n < 3 else STOP for n in range(9)}, id="ties"),
    ],
)
def test_who_is_waited_for_and_who_competes(
    figures: dict[int, float], expected: Callable[[int], Membership], want: dict[int, Verdict]
) -> None:
    found = SuccessiveHalving(1, 9, 3).settle(table_at(1, figures), 0, expected)
    assert words(found) == {(n, 1): verdict for n, verdict in want.items()}


def test_a_tie_is_explained() -> None:
    found = SuccessiveHalving(1, 3, 3, wording=WORDING).settle(table_at(1, {0: 0.5, 1: 0.5}), 0, all_of(2))
    assert found[1].reason == (
        "stopped at epoch 1: val_loss 0.5 equals 0.5 of a lower trial number, the limit of the best 1 of 2"
    )


def test_a_raised_limit_lets_later_members_compete_and_leaves_given_verdicts_alone() -> None:
    scheduler = SuccessiveHalving(1, 9, 3)
    table = table_at(1, {n: NINE[n] for n in range(5)})
    for judgement in scheduler.settle(table, 0, all_of(5)):
        table.record(judgement)
    table_at(1, {n: NINE[n] for n in range(5, 9)}, table)
    assert words(scheduler.settle(table, 0, all_of(5, t5=ALIVE, t6=ALIVE, t7=ALIVE, t8=ALIVE))) == {
        (5, 1): STOP,
        (6, 1): GO,
        (7, 1): GO,
        (8, 1): GO,
    }
    assert (table.verdict(4, 1), table.verdict(3, 1)) == (GO, STOP)


def test_without_recorded_verdicts_the_same_are_found_again() -> None:
    """A caller that keeps verdicts elsewhere may leave the table's entries open."""
    scheduler = SuccessiveHalving(1, 9, 3)
    table = table_at(3, {6: 0.3, 7: 0.2, 8: 0.1}, table_at(1, NINE))
    once = scheduler.settle(table, 0, all_of(9))
    for judgement in once:
        if judgement.rung == 1:
            table.record(judgement)
    assert [j for j in once if j.rung == 3] == scheduler.settle(table, 0, all_of(9))
