"""The history as arrays, and who is better than whom."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rung.api.facts import TrialState
from rung.search import Told
from rung.search.observed import Encoder
from rung.search.standing import best_first, comparable, places
from tests.search.contract import told
from tests.search.problems import branching, mixed

DONE, STOPPED = TrialState.SUCCEEDED, TrialState.STOPPED


class TestEncoder:
    def test_rows_are_ordered_so_that_the_newest_of_this_study_are_the_last(self) -> None:
        history = [*told(mixed, 5), *(replace(trial, source="old") for trial in told(mixed, 3))]
        seen = Encoder(mixed).observed(history[::-1])
        assert [(t.source, t.number) for t in seen.trials] == [("old", n) for n in range(3)] + [
            ("", n) for n in range(5)
        ]
        assert np.array_equal(seen.u, [mixed.encode(t.parameters) for t in seen.trials])

    def test_inactive_axes_are_told_apart(self) -> None:
        (row,) = Encoder(branching).observed([Told(0, {"model": "svm", "kernel": "rbf"}, DONE, (1.0,))]).active
        active = {d.name for d, on in zip(branching.dimensions, row, strict=True) if on}
        assert active == {"model", "kernel"}

    def test_what_is_remembered_is_never_wrong(self) -> None:
        """Other studies' trials, deleted ones, and a number that means another assignment."""
        encoder, history = Encoder(mixed), told(mixed, 6)
        swapped = [replace(history[0], parameters=history[1].parameters), *history[3:]]
        for asked in (history, history[2:], [], swapped, [replace(t, source="b") for t in history], history):
            seen, fresh = encoder.observed(asked), Encoder(mixed).observed(asked)
            assert np.array_equal(seen.u, fresh.u)
            assert np.array_equal(seen.active, fresh.active)


def trial(
    number: int, *objectives: float, state: TrialState = DONE, step: float = 0, v: tuple[float, ...] = ()
) -> Told:
    curve = ((step, objectives[0]),) if step else ()
    return Told(number, {}, state, objectives or None, violations=v, curve=curve)


@pytest.mark.parametrize(
    ("trials", "want"),
    [
        pytest.param([trial(0, 3), trial(1, 1), trial(2, 2)], [1, 2, 0], id="smaller is better"),
        pytest.param([trial(0, 1), trial(1, 1)], [0, 1], id="ties go to the lower number"),
        pytest.param(
            [trial(0, 5), trial(1, 1, state=STOPPED, step=3), trial(2, 2, state=STOPPED, step=9)], [0, 2, 1],
            id="whole runs first, then who came further",
        ),
        pytest.param(
            [trial(0, 2, state=STOPPED, step=3), trial(1, 1, state=STOPPED, step=3)], [1, 0],
            id="stopped at the same step: by value",
        ),
        pytest.param(
            [trial(0, 1, v=(0.5,)), trial(1, 9, v=(-1.0,)), trial(2, 2, v=(0.1,)), trial(3, 3, v=(float("nan"),))],
            [1, 2, 0, 3], id="feasible first, then by violation, unreported last",
        ),
        pytest.param(
            [trial(0, 1, v=(1.0, 0.0)), trial(1, 1, v=(0.0, 10.0)), trial(2, 1, v=(3.0, 0.0)), trial(3, 1, v=(0.0, 90.0))],
            [1, 0, 2, 3], id="each constraint in its own unit",
        ),
        pytest.param(
            [trial(0), trial(1, state=TrialState.RUNNING), trial(2, 4), trial(3, 1, state=TrialState.FAILED)], [2],
            id="failed and pending ones have no place",
        ),
        pytest.param(
            [trial(0, 2, 2), trial(1, 0, 3), trial(2, 1, 1), trial(3, 3, 0)], [2, 1, 3, 0],
            id="several objectives: by front, then by the volume added",
        ),
        pytest.param(
            [trial(0, 2, 2, 2, 2), trial(1, 0, 3, 0, 0), trial(2, 1, 1, 1, 1), trial(3, 3, 0, 1, 1)], [1, 3, 2, 0],
            id="more than three objectives: by front, then the lonely ones",
        ),
    ],
)  # fmt: skip
def test_who_is_better(trials: list[Told], want: list[int]) -> None:
    assert best_first(trials, 10) == want


def test_places_are_shares_of_the_own_study() -> None:
    running = trial(4, state=TrialState.RUNNING)
    own = [trial(0, 5), trial(1, 1), trial(2, 5), trial(3, state=TrialState.FAILED), running]
    other = [replace(trial(n, 100 + n), source="old") for n in range(2)]
    want = [1 / 2, 1 / 8, 1 / 2, 7 / 8, math.nan, 1 / 4, 3 / 4]
    assert places([*own, *other]) == pytest.approx(want, nan_ok=True)


def ran(number: int, *values: float, state: TrialState = DONE, source: str = "") -> Told:
    """A trial that said these at the steps 1, 3, 9, 27."""
    curve = tuple(zip((1.0, 3.0, 9.0, 27.0), values, strict=False))
    return Told(number, {}, state, (values[-1],) if state.finished else None, curve=curve, source=source)


RUNNING = TrialState.RUNNING


@pytest.mark.parametrize(
    ("trials", "enough", "want"),
    [
        pytest.param([ran(0, 5), trial(1, 2), trial(2)], 9, [(0, 5), (1, 2), (2, None)],
                     id="where nothing was stopped nothing changes"),
        pytest.param([ran(0, 9, 8, 7, 6), ran(1, 8, 7, 6, 5), ran(2, 1, state=STOPPED)], 2, [(0, 6), (1, 5)],
                     id="enough whole runs: who was stopped before is left out"),
        pytest.param([ran(0, 9, 8, 7, 6), ran(1, 8, 5, state=STOPPED), ran(2, 1, state=STOPPED)], 2, [(0, 8), (1, 5)],
                     id="the furthest step that enough came to, and the values there"),
        pytest.param([ran(0, 9, 8, state=STOPPED), ran(1, 8, 5, 4, state=RUNNING), ran(2, 7, state=RUNNING)], 2,
                     [(0, 8), (1, 5), (2, None)], id="running ones count where they have been"),
        pytest.param([ran(0, 9, 8, state=STOPPED), trial(1, 1, state=STOPPED, step=9), ran(2, 9, 7, state=STOPPED)],
                     2, [(0, 8), (2, 7)], id="who began to report later has no value there"),
        pytest.param([ran(n, n, state=STOPPED) for n in range(9)], 2, [],
                     id="a first step that says too little"),
        pytest.param([ran(0, 9, 8, state=STOPPED), trial(1, state=TrialState.FAILED)], 2, [(1, None)],
                     id="failures stay, and are not counted"),
        pytest.param([ran(0, 4, 3, state=STOPPED), ran(1, 4, 2, state=STOPPED), ran(0, 7, state=STOPPED, source="old"),
                      trial(1, state=STOPPED)], 2, [(0, 3), (1, 2)],
                     id="each study by itself; one that said nothing is left out"),
        pytest.param([trial(0, 1, state=STOPPED, step=3, v=(1.0,)),
                      replace(ran(1, 3, 2, state=RUNNING), violations=(math.nan,))], 1, [(0, 1), (1, None)],
                     id="a constraint that was not reported yet is not held against a running trial"),
    ],
)  # fmt: skip
def test_what_can_be_compared(trials: list[Told], enough: int, want: list[tuple[int, float | None]]) -> None:
    assert [(told.number, told.value) for told in comparable(trials, enough, target=27)] == want
