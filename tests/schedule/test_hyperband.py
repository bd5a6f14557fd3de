from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.schedule.hyperband import Hyperband
from rung.schedule.protocol import Entry, Membership, RungTable, Verdict
from rung.schedule.rungs import bracket_sizes
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, SynchronousContract

WORDING = Wording(metric=METRIC, resource="epoch")


class TestHyperband(SynchronousContract):
    """Iterations of 9 + 5 + 3 trials: rungs 1, 3, 9."""

    def make(self) -> Hyperband:
        return Hyperband(1, 9, 3, wording=WORDING)

    def places(self, bracket: int, rung: int, members: int) -> int:
        first = (1, 3, 9)[bracket % 3]
        return max(1, members // (3 * rung // first))


class TestHyperbandWithTheFirstBracketsOnly(SynchronousContract):
    def make(self) -> Hyperband:
        return Hyperband(1, 9, 3, brackets=2, wording=WORDING)

    def places(self, bracket: int, rung: int, members: int) -> int:
        first = (1, 3)[bracket % 2]
        return max(1, members // (3 * rung // first))


@pytest.mark.parametrize(
    ("number", "bracket", "rungs"),
    [
        pytest.param(0, 0, (1, 3, 9, 27, 81), id="the first of the most aggressive bracket"),
        pytest.param(80, 0, (1, 3, 9, 27, 81), id="its last"),
        pytest.param(81, 1, (3, 9, 27, 81), id="the second bracket"),
        pytest.param(114, 1, (3, 9, 27, 81), id="its 34th"),
        pytest.param(137, 3, (27, 81), id="the last of bracket s = 1"),
        pytest.param(142, 4, (81,), id="bracket s = 0 compares nobody"),
        pytest.param(143, 5, (1, 3, 9, 27, 81), id="the second iteration"),
        pytest.param(286, 10, (1, 3, 9, 27, 81), id="the third iteration"),
    ],
)
def test_trials_go_through_the_brackets_by_number(number: int, bracket: int, rungs: tuple[int, ...]) -> None:
    scheduler = Hyperband(1, 81, 3)
    assert scheduler.bracket(number, RungTable()) == bracket
    assert scheduler.rungs(bracket) == rungs
    assert number in scheduler.cohort(bracket).members


@given(low=st.integers(1, 5), rungs=st.integers(1, 5), eta=st.integers(2, 4), short=st.integers(0, 3), data=st.data())
def test_cohorts_are_the_numbers_of_their_bracket(
    low: int, rungs: int, eta: int, short: int, data: st.DataObject
) -> None:
    scheduler = Hyperband(low, low * eta ** (rungs - 1) + short, eta)
    length = len(scheduler.rungs(0))
    number = data.draw(st.integers(0, 3 * sum(bracket_sizes(length, eta))))
    bracket = scheduler.bracket(number, RungTable())
    cohort = scheduler.cohort(bracket)
    first, last = cohort.members[0], cohort.members[-1]
    assert number in cohort.members
    assert [scheduler.bracket(n, RungTable()) for n in (first, last, last + 1)] == [bracket, bracket, bracket + 1]
    assert len(cohort.members) == bracket_sizes(length, eta)[length - len(cohort.rungs)]


def test_brackets_are_judged_apart() -> None:
    """The second bracket (5 trials from rung 3 on) is complete while the first one still waits."""
    scheduler = Hyperband(1, 9, 3)
    table = RungTable()
    for number in range(9, 14):
        table.add(Entry(number, 3, number / 10, number), 1)
    found = scheduler.settle(table, 1, lambda n: Membership.ALIVE if n < 14 else Membership.COMING)
    assert {j.number: j.verdict for j in found} == {9: Verdict.CONTINUE} | dict.fromkeys(range(10, 14), Verdict.STOP)
    assert scheduler.settle(table, 0, lambda _: Membership.ALIVE) == []


@pytest.mark.parametrize("brackets", [0, 4])
def test_more_brackets_than_rungs_are_refused(brackets: int) -> None:
    with pytest.raises(ValueError, match=f"3 rungs make 1 to 3 brackets, got {brackets}"):
        Hyperband(1, 9, 3, brackets=brackets)
