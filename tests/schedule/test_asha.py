from __future__ import annotations

import heapq
import random
from collections import Counter
from itertools import islice

import pytest

from rung.schedule.asha import Asha
from rung.schedule.protocol import Entry, RungTable, Verdict
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, AsynchronousContract

GO, STOP = Verdict.CONTINUE, Verdict.STOP
WORDING = Wording(metric=METRIC, resource="epoch")


class TestAsha(AsynchronousContract):
    def make(self) -> Asha:
        return Asha(1, 27, 3, wording=WORDING)


class TestAshaWithBrackets(AsynchronousContract):
    def make(self) -> Asha:
        return Asha(1, 27, 3, brackets=3, wording=WORDING)


class TestAshaOnAnUnevenLadder(AsynchronousContract):
    def make(self) -> Asha:
        return Asha(2, 21, 2, wording=WORDING)


def arrivals(scheduler: Asha, figures: list[float], rung: int = 1) -> list[Verdict]:
    table, verdicts = RungTable(), []
    for number, value in enumerate(figures):
        entry = Entry(number, rung, value, number + 1)
        verdicts.append(scheduler.judge(table, entry, 0).verdict)
        table.add(entry, 0, verdicts[-1])
    return verdicts


@pytest.mark.parametrize(
    ("figures", "want"),
    [
        pytest.param([5.0], [GO], id="the first one has nobody to lose against"),
        pytest.param([5.0, 4.0, 3.0, 2.0], [GO, GO, GO, GO], id="whoever is the best so far goes on"),
        pytest.param([2.0, 3.0, 4.0], [GO, STOP, STOP], id="of up to three one is kept"),
        pytest.param([2.0, 5.0, 4.0, 3.0], [GO, STOP, STOP, GO], id="of four two are kept: ceil(4 / 3)"),
        pytest.param([1.0, 2.0, 3.0, 2.5, 4.0, 2.2, 2.1], [GO, STOP, STOP, STOP, STOP, STOP, GO], id="of seven three"),
        pytest.param([1.0, 1.0], [GO, STOP], id="a tie goes to the lower number"),
    ],
)
def test_the_best_third_rounded_up_goes_on(figures: list[float], want: list[Verdict]) -> None:
    assert arrivals(Asha(1, 27, 3), figures) == want


def test_a_tie_goes_to_the_lower_number_even_if_it_arrives_later() -> None:
    table = RungTable.of([(Entry(8, 1, 0.5, 1), 0, GO)])
    assert Asha(1, 27, 3).judge(table, Entry(2, 1, 0.5, 2), 0).verdict is GO


def test_a_stopped_trial_says_by_how_much_it_lost() -> None:
    table = RungTable.of([(Entry(n, 9, 0.1 * n, n), 0, GO) for n in range(1, 9)])
    judgement = Asha(1, 27, 3, wording=WORDING).judge(table, Entry(9, 9, 0.71, 9), 0)
    assert judgement.reason == "stopped at epoch 9: val_loss 0.71 is worse than 0.3, the limit of the best 3 of 9"


def test_a_maximised_metric_is_told_as_it_was_reported() -> None:
    table = RungTable.of([(Entry(0, 1, -0.95, 1), 0, GO)])
    scheduler = Asha(1, 9, 3, wording=Wording("accuracy", "epoch", maximize=True))
    judgement = scheduler.judge(table, Entry(1, 1, -0.9, 2), 0)
    assert judgement.reason == "stopped at epoch 1: accuracy 0.9 is worse than 0.95, the limit of the best 1 of 2"


def test_figures_that_differ_late_are_told_with_more_digits() -> None:
    table = RungTable.of([(Entry(0, 1, 0.123456, 1), 0, GO)])
    assert "0.123457 is worse than 0.123456" in Asha(1, 9, 3).judge(table, Entry(1, 1, 0.123457, 2), 0).reason


def test_brackets_do_not_compete_and_skip_the_first_rungs() -> None:
    scheduler = Asha(1, 27, 3, brackets=2)
    assert [scheduler.rungs(b) for b in range(2)] == [(1, 3, 9, 27), (3, 9, 27)]
    table = RungTable.of([(Entry(0, 3, 0.1, 1), 0, GO)])
    assert scheduler.judge(table, Entry(1, 3, 0.9, 2), 1).verdict is GO


def test_brackets_share_the_trials_as_hyperband_would() -> None:
    scheduler = Asha(1, 27, 3, brackets=4)
    found = Counter(scheduler.bracket(n, RungTable()) for n in range(490))
    assert found == pytest.approx({0: 270, 1: 120, 2: 60, 3: 40}, abs=4)


@pytest.mark.parametrize("brackets", [0, 5])
def test_more_brackets_than_rungs_are_refused(brackets: int) -> None:
    with pytest.raises(ValueError, match=f"4 rungs make 1 to 4 brackets, got {brackets}"):
        Asha(1, 27, 3, brackets=brackets)


def learning(seed: int, trials: int = 32) -> list[list[float]]:
    """Noisy power laws whose paces differ, so that curves cross: (trials, 27)."""
    draw = random.Random(seed)
    curves = []
    for _ in range(trials):
        end, pace = draw.random() ** 1.5, draw.lognormvariate(0, 0.6)
        curves.append([(end + 1.5 * t ** (-0.7 * pace)) * draw.lognormvariate(0, 0.03) for t in range(1, 28)])
    return curves


def train(curves: list[list[float]], workers: int, seed: int) -> tuple[int, int, float]:
    """Trials stopped, epochs trained, the best final value: workers take the next trial as soon as they are free."""
    scheduler, table, draw = Asha(1, 27, 3), RungTable(), random.Random(seed)
    pace = [draw.lognormvariate(0, 0.3) for _ in curves]
    coming = iter(range(len(curves)))
    events = [(pace[n], n, 0) for n in islice(coming, workers)]
    heapq.heapify(events)
    stopped, epochs, best, order = 0, 0, float("inf"), 0
    while events:
        now, number, place = heapq.heappop(events)
        rung = scheduler.rungs(0)[place]
        order += 1
        entry = Entry(number, rung, curves[number][rung - 1], order)
        verdict = scheduler.judge(table, entry, 0).verdict
        table.add(entry, 0, verdict)
        if verdict is GO and rung < 27:
            further = scheduler.rungs(0)[place + 1] - rung
            heapq.heappush(events, (now + pace[number] * further, number, place + 1))
            continue
        epochs += rung
        stopped += verdict is STOP
        best = best if verdict is STOP else min(best, entry.value)
        for following in islice(coming, 1):
            heapq.heappush(events, (now + pace[following], following, 0))
    return stopped, epochs, best


def test_half_of_32_trials_stop_early_and_the_best_is_hardly_ever_lost() -> None:
    losses, shares = [], []
    for seed in range(20):
        curves = learning(seed)
        stopped, epochs, best = train(curves, workers=4, seed=seed)
        assert stopped >= 16
        shares.append(epochs / (32 * 27))
        losses.append(sum(curve[-1] < best for curve in curves))
    assert max(shares) <= 0.45
    assert sum(rank == 0 for rank in losses) >= 16
    assert max(losses) <= 3
