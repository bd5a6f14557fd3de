from __future__ import annotations

import pytest

from rung.schedule.median_stop import MedianStop
from rung.schedule.protocol import Entry, RungTable, Statistic, Verdict
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, AsynchronousContract

GO, STOP = Verdict.CONTINUE, Verdict.STOP
WORDING = Wording(metric=METRIC, resource="epoch")


class TestMedianStop(AsynchronousContract):
    def make(self) -> MedianStop:
        return MedianStop(2, 6, wording=WORDING)


class TestMedianStopWithOneOtherTrial(AsynchronousContract):
    def make(self) -> MedianStop:
        return MedianStop(1, 5, min_trials=1, wording=WORDING)


def test_without_a_last_step_every_comparison_may_stop() -> None:
    rule = MedianStop(1, None, min_trials=1, wording=WORDING)
    last = rule.rungs(0)[-1]
    table = RungTable.of([(Entry(0, last, 0.5, 1, best=0.0), 0, GO)])
    assert rule.target is None
    assert rule.judge(table, Entry(1, last, 0.9, 2, best=0.9), 0).verdict is Verdict.STOP


def means(*figures: float, step: int = 5) -> RungTable:
    return RungTable.of([(Entry(n, step, value, n + 1, best=0.0), 0, GO) for n, value in enumerate(figures)])


@pytest.mark.parametrize(
    ("others", "mean", "best", "want"),
    [
        pytest.param([0.3, 0.4, 0.5], 0.9, 0.41, STOP, id="its best is worse than the middle one of three"),
        pytest.param([0.3, 0.4, 0.5], 0.9, 0.4, GO, id="as good as the median is good enough"),
        pytest.param([0.3, 0.4, 0.5], 0.9, 0.1, GO, id="a bad mean is forgiven for one good step"),
        pytest.param(
            [0.1, 0.2, 0.4, 0.9], 0.5, 0.31, STOP, id="of four the median is the mean of the two in the middle"
        ),
        pytest.param([0.1, 0.2, 0.4, 0.9], 0.5, 0.3, GO, id="and equal to that mean goes on"),
        pytest.param([0.1, 0.2], 0.9, 0.9, GO, id="two others are too few"),
        pytest.param([], 0.9, 0.9, GO, id="nobody else was here"),
    ],
)
def test_the_best_so_far_is_compared_with_the_median_of_means(
    others: list[float], mean: float, best: float, want: Verdict
) -> None:
    entry = Entry(99, 5, mean, 100, best)
    assert MedianStop(1, 10).judge(means(*others), entry, 0).verdict is want


def test_an_entry_without_its_best_is_taken_at_its_mean() -> None:
    assert MedianStop(1, 10).judge(means(0.3, 0.4, 0.5), Entry(9, 5, 0.41, 9), 0).verdict is STOP


@pytest.mark.parametrize(
    ("best", "want"),
    [
        pytest.param(
            0.71,
            "stopped at epoch 5: best val_loss 0.71 is worse than 0.4, the median of the running means of 3 trials",
            id="stopped",
        ),
        pytest.param(
            0.2,
            "goes on at epoch 5: best val_loss 0.2 is not worse than 0.4, the median of the running means of 3 trials",
            id="goes on",
        ),
    ],
)
def test_reasons(best: float, want: str) -> None:
    scheduler = MedianStop(1, 10, wording=WORDING)
    assert scheduler.judge(means(0.3, 0.4, 0.5), Entry(9, 5, 0.8, 9, best), 0).reason == want


def test_too_few_others_are_told() -> None:
    reason = MedianStop(1, 10, wording=WORDING).judge(means(0.3), Entry(9, 5, 0.8, 9, 0.7), 0).reason
    assert reason == "goes on at epoch 5: best val_loss 0.7, 1 other trials were here and a median needs 3"


def test_it_asks_for_running_means_at_every_step_or_at_32() -> None:
    assert MedianStop(5, 10).statistic is Statistic.RUNNING_MEAN
    assert MedianStop(5, 10).rungs(0) == (5, 6, 7, 8, 9, 10)
    assert len(MedianStop(1, 1_000).rungs(0)) == 32


def test_a_median_of_no_trial_is_refused() -> None:
    with pytest.raises(ValueError, match="min_trials 0"):
        MedianStop(1, 10, min_trials=0)
