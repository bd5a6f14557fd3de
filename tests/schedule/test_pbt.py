from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.schedule.pbt import Pbt
from rung.schedule.protocol import Entry, RungTable, Verdict
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, AsynchronousContract, Course, courses, laws, play

GO, STOP = Verdict.CONTINUE, Verdict.STOP
WORDING = Wording(metric=METRIC, resource="epoch")


def a_pbt(quantile: float = 0.25, *, seed: int = 0) -> Pbt:
    return Pbt(1, 20, 5, population=8, quantile=quantile, seed=seed, wording=WORDING)


class PopulationContract(AsynchronousContract):
    @given(course=courses())
    @laws
    def test_the_strictly_best_entry_of_a_rung_is_never_stopped_there(self, course: Course) -> None:
        """Unless nearly nobody else has come as far, and it was not good at the step before."""
        played = play(self.make(), course)
        steps = played.scheduler.rungs(0)
        for _, step, rung in played.table.rungs():
            best = next(iter(rung))
            before = played.table.entry(best.number, steps[max(steps.index(step) - 1, 0)])
            there = [] if before is None else list(played.table.at(0, before.rung))
            if before is None or before.rung == step or there[0] == before:
                assert played.table.verdict(best.number, step) is not STOP, (step, list(rung))


class TestPbt(PopulationContract):
    def make(self) -> Pbt:
        return a_pbt()


class TestPbtThatReplacesHalf(PopulationContract):
    def make(self) -> Pbt:
        return a_pbt(0.5)


def there(*values: float, rung: int = 5) -> RungTable:
    """Trials 0, 1, … with these values at a rung."""
    return RungTable.of([(Entry(n, rung, value, n + 1), 0, GO) for n, value in enumerate(values)])


@pytest.mark.parametrize(
    ("others", "quantile", "value", "want"),
    [
        pytest.param([], 0.25, 9.0, GO, id="nobody else was here"),
        pytest.param([0.5], 0.25, 0.6, STOP, id="of two the worse one is replaced, at any quantile"),
        pytest.param([0.5], 0.25, 0.4, GO, id="and the better one is not"),
        pytest.param([0.1, 0.2, 0.3], 0.25, 0.4, STOP, id="the worst of four"),
        pytest.param([0.1, 0.2, 0.4], 0.25, 0.3, GO, id="the third of four"),
        pytest.param([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8], 0.25, 0.7, STOP, id="a quarter of eight are two"),
        pytest.param([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8], 0.25, 0.6, GO, id="the sixth of eight"),
        pytest.param([0.1, 0.2, 0.3, 0.5], 0.5, 0.4, STOP, id="half of five are two, never three"),
        pytest.param([0.1, 0.2, 0.4, 0.5], 0.5, 0.3, GO, id="so the third goes on"),
    ],
)
def test_the_worst_of_those_there_so_far_are_replaced(
    others: list[float], quantile: float, value: float, want: Verdict
) -> None:
    assert a_pbt(quantile).judge(there(*others), Entry(99, 5, value, 100), 0).verdict is want


def test_a_lone_first_comer_is_compared_once_more_at_the_step_before() -> None:
    """Else whoever always comes first, as the lowest number of those that are read together, would never be judged."""
    table = there(0.9, 0.2, 0.3, 0.4)
    said = a_pbt().judge(table, Entry(0, 10, 0.7, 9), 0)
    assert said.verdict is STOP
    assert said.reason == (
        "stopped at epoch 10: at epoch 5 its val_loss 0.9 is worse than 0.4, the limit of the best 3 of 4 there "
        "(trial 1's clone takes its place)"
    )
    said = a_pbt().judge(table, Entry(1, 10, 0.7, 9), 0)
    assert (said.verdict, said.reason) == (
        GO,
        "goes on at epoch 10: at epoch 5 its val_loss 0.2 has rank 1 of 4 there, the best 3 go on",
    )


def test_with_half_of_them_there_the_step_itself_counts() -> None:
    table = there(0.9, 0.2, 0.3, 0.4)
    table.add(Entry(1, 10, 0.6, 5), 0, GO)
    assert a_pbt().judge(table, Entry(0, 10, 0.5, 9), 0).verdict is GO
    assert a_pbt().judge(table, Entry(0, 10, 0.7, 9), 0).verdict is STOP


@given(course=courses(), seed=st.integers(0, 2**40))
@laws
def test_a_clones_parent_is_among_the_best_that_the_loser_was_compared_with(course: Course, seed: int) -> None:
    scheduler = a_pbt(seed=seed)
    played = play(scheduler, course)
    for entry in played.entries:
        judgement = played.judgements[entry.number, entry.rung]
        if judgement.verdict is STOP:
            parent = scheduler.parent(played.table, entry)
            step = entry.rung - 5 if f"at epoch {entry.rung - 5} its" in judgement.reason else entry.rung
            before = [e for e in played.table.at(0, step) if e.order < entry.order and e.number != entry.number]
            assert parent in [e.number for e in before][: -(-(len(before) + 1) // 4)]
            assert f"(trial {parent}'s clone" in judgement.reason


@given(course=courses(), data=st.data())
@laws
def test_the_same_parent_is_found_in_a_table_that_was_filled_in_another_order(
    course: Course, data: st.DataObject
) -> None:
    played = play(a_pbt(), course)
    again = RungTable.of(data.draw(st.permutations(played.records())))
    for entry in played.entries:
        if played.judgements[entry.number, entry.rung].verdict is STOP:
            assert a_pbt().parent(again, entry) == a_pbt().parent(played.table, entry)


def test_the_best_are_cloned_equally_often() -> None:
    table, loser = there(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), Entry(99, 5, 0.8, 100)
    drawn = Counter(a_pbt(seed=seed).parent(table, loser) for seed in range(2000))
    assert set(drawn) == {0, 1}
    assert 900 < drawn[0] < 1100


def test_who_is_stopped_hears_its_value_the_limit_and_whose_clone_comes() -> None:
    said = a_pbt().judge(there(0.1, 0.2, 0.3), Entry(7, 5, 0.4, 9), 0)
    assert said.reason == (
        "stopped at epoch 5: val_loss 0.4 is worse than 0.3, the limit of the best 3 of 4 (trial 0's clone takes its place)"
    )


@pytest.mark.parametrize(
    ("low", "high", "interval", "want"),
    [
        pytest.param(1, 20, 5, (5, 10, 15, 20), id="every five"),
        pytest.param(1, 27, 10, (10, 20, 27), id="the last step is the target"),
        pytest.param(8, 20, 5, (10, 15, 20), id="not before resource.min"),
        pytest.param(5, 10, 5, (5, 10), id="resource.min itself"),
    ],
)
def test_members_are_compared_at_every_interval(low: int, high: int, interval: int, want: tuple[int, ...]) -> None:
    assert Pbt(low, high, interval, population=4, quantile=0.25).rungs(0) == want


@pytest.mark.parametrize(
    ("low", "interval", "why"),
    [
        pytest.param(1, 20, "no comparison before 20", id="an interval of the whole training"),
        pytest.param(18, 5, "no comparison before 20", id="nothing between min and max"),
        pytest.param(1, 0, "at least 1", id="no interval"),
    ],
)
def test_without_a_step_to_compare_at_there_is_no_population(low: int, interval: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Pbt(low, 20, interval, population=4, quantile=0.25)


def test_more_comparisons_than_a_record_holds_say_which_interval_would_do() -> None:
    with pytest.raises(ValueError, match="100 comparisons, 32 are possible: compare every 32 steps"):
        Pbt(1, 1000, 10, population=4, quantile=0.25)
    assert len(Pbt(1, 1000, 32, population=4, quantile=0.25).rungs(0)) == 32
