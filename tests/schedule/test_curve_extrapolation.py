from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from rung.schedule.curve_extrapolation import CurveExtrapolation, forecast
from rung.schedule.protocol import Entry, RungTable, Verdict
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, AsynchronousContract

GO, STOP = Verdict.CONTINUE, Verdict.STOP
T = np.arange(1, 11) / 27


class TestCurveExtrapolation(AsynchronousContract):
    def make(self) -> CurveExtrapolation:
        return CurveExtrapolation(1, 12, wording=Wording(metric=METRIC, resource="epoch"))


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(lambda t: 0.3 + 0.5 * t**-0.5, id="a power law"),
        pytest.param(lambda t: 0.2 + math.exp(-4 * t), id="an exponential"),
        pytest.param(lambda t: 0.4 - 0.1 * math.log(t), id="a logarithm"),
    ],
)
def test_a_curve_of_a_known_shape_is_foreseen(curve: Callable[[float], float]) -> None:
    y = np.array([curve(t) for t in T.tolist()])
    assert forecast(T, y, 0.0)[1] == pytest.approx(curve(1.0), abs=0.02)


@pytest.mark.parametrize(
    ("best", "low", "high"),
    [
        pytest.param(0.1, 0.0, 0.01, id="what it will not reach"),
        pytest.param(0.39, 0.1, 0.9, id="what it may reach"),
        pytest.param(0.6, 0.99, 1.0, id="what it will surely beat"),
    ],
)
def test_the_chance_is_that_of_the_forecast(best: float, low: float, high: float) -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(T))
    assert low <= forecast(T, 0.3 + 0.09 * T**-0.5 + noise, best)[0] <= high


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(np.full(10, 0.5), id="a constant"),
        pytest.param(np.linspace(1, 2, 10), id="one that rises"),
        pytest.param(np.array([1e300, -1e300] * 5), id="enormous values"),
        pytest.param(np.zeros(10), id="nothing but zeros"),
    ],
)
def test_any_curve_has_a_forecast(y: np.ndarray) -> None:
    chance, mean = forecast(T, y, 0.1)
    assert 0 <= chance <= 1
    assert math.isfinite(mean)


def test_a_rising_curve_is_not_expected_to_fall() -> None:
    assert forecast(T, np.linspace(1, 2, 10), 0.9)[1] >= 1


def verdicts(level: float, *, whole_runs: int) -> list[Verdict]:
    """A trial among whole runs that end at 0.3; it falls in the same way, to `level`."""
    scheduler, table, order = CurveExtrapolation(1, 12), RungTable(), 0
    found = []
    for number in range(whole_runs + 1):
        end = level if number == whole_runs else 0.3
        for step in range(1, 13):
            order += 1
            entry = Entry(number, step, end + 0.5 * step**-1.0, order)
            judgement = scheduler.judge(table, entry, 0)
            table.add(entry, 0, judgement.verdict)
            if number == whole_runs:
                found.append(judgement.verdict)
    return found


def test_a_trial_without_hope_stops_as_soon_as_there_are_enough_values() -> None:
    assert verdicts(0.5, whole_runs=3)[:5] == [GO, GO, GO, GO, STOP]


@pytest.mark.parametrize(
    ("level", "whole_runs"),
    [pytest.param(0.2, 3, id="with hope"), pytest.param(0.5, 0, id="with nobody to compare to")],
)
def test_a_trial_goes_on(level: float, whole_runs: int) -> None:
    assert set(verdicts(level, whole_runs=whole_runs)) == {GO}


@pytest.mark.parametrize(
    ("level", "stops"),
    [pytest.param(0.5, True, id="far ahead of it"), pytest.param(0.305, False, id="where it may still come to")],
)
def test_who_has_not_ended_is_compared_with_too(level: float, *, stops: bool) -> None:
    """Another trial is at epoch 6, and nobody has ended."""
    scheduler, table, found = (
        CurveExtrapolation(1, 12, wording=Wording(metric=METRIC, resource="epoch")),
        RungTable(),
        [],
    )
    for order, (number, step) in enumerate([(n, s) for n, steps in ((0, 6), (1, 5)) for s in range(1, steps + 1)]):
        entry = Entry(number, step, (level if number else 0.3) + 0.5 * step**-1.0, order)
        found.append(scheduler.judge(table, entry, 0))
        table.add(entry, 0, found[-1].verdict)
    assert [j.verdict for j in found[:-1]] == [GO] * 10
    assert found[-1].verdict is (STOP if stops else GO)
    assert "the best value so far of 1 other (chance" in found[-1].reason or not stops
