from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.ledger import GpuSeconds, Ledger, Spent, hours, seconds_until_spent

amounts = st.floats(0, 1e6)
spents = st.builds(
    Spent,
    gpus=st.integers(0, 8),
    seconds=amounts,
    lost_seconds=amounts,
    step=st.floats(0, 100),
    target=st.none() | st.integers(1, 100),
)


@pytest.mark.parametrize(
    ("spent", "used", "saved", "wasted"),
    [
        pytest.param(Spent(2, 100.0, step=27), 200, 0, 0, id="a trial that ran to its end"),
        pytest.param(Spent(2, 90.0, step=9, target=27), 180, 360, 0, id="stopped at 9 of 27: 18 steps of 10 s saved"),
        pytest.param(Spent(1, 50.0, lost_seconds=50.0), 50, 0, 50, id="crashed: all of it bought nothing"),
        pytest.param(Spent(1, 100.0, lost_seconds=10.0, step=9, target=27), 100, 180, 10, id="lost time is no pace"),
        pytest.param(Spent(1, 30.0, target=27), 30, 0, 0, id="stopped by hand before its first step: pace unknown"),
        pytest.param(Spent(1, 30.0, step=30, target=27), 30, 0, 0, id="ran beyond its target: nothing saved"),
        pytest.param(Spent(1, 30.0, step=1e-300, target=27), 30, 0, 0, id="a lie about its step saves nothing"),
        pytest.param(Spent(1, 30.0, lost_seconds=40.0), 30, 0, 30, id="no more is wasted than was used"),
        pytest.param(Spent(0, 30.0, step=1, target=3), 0, 0, 0, id="a trial without GPUs costs no GPU time"),
        pytest.param(Spent(0.5, 30.0), 15, 0, 0, id="half a GPU"),
    ],
)
def test_gpu_time_of_one_trial(spent: Spent, used: float, saved: float, wasted: float) -> None:
    ledger = Ledger().add(spent)
    assert (ledger.used, ledger.saved, ledger.wasted) == (used, saved, wasted)


def test_without_gpus_trial_time_is_counted() -> None:
    ledger = Ledger.of([Spent(0, 90.0, step=9, target=27), Spent(0, 10.0, lost_seconds=10.0)])
    assert (ledger.used_seconds, ledger.saved_seconds, ledger.wasted_seconds) == (100, 180, 10)
    assert ledger.trials == 2


@given(trials=st.lists(spents, max_size=12), data=st.data())
def test_the_order_and_the_grouping_of_trials_are_irrelevant(trials: list[Spent], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(trials))
    cut = data.draw(st.integers(0, len(trials)))
    assert Ledger.of(shuffled) == Ledger.of(trials) == Ledger.of(trials[:cut]) + Ledger.of(trials[cut:])


@given(trials=st.lists(spents, max_size=12))
def test_waste_is_a_part_of_what_was_used(trials: list[Spent]) -> None:
    ledger = Ledger.of(trials)
    assert 0 <= ledger.wasted <= ledger.used
    assert 0 <= ledger.wasted_seconds <= ledger.used_seconds
    assert ledger.used == pytest.approx(math.fsum(t.gpus * t.seconds for t in trials), abs=1e-5)


@given(gpus=st.integers(1, 8), seconds=st.floats(1, 1e5), step=st.integers(1, 50), more=st.integers(0, 50))
def test_used_and_saved_make_the_whole_run_at_the_trials_own_pace(
    gpus: int, seconds: float, step: int, more: int
) -> None:
    ledger = Ledger().add(Spent(gpus, seconds, step=step, target=step + more))
    assert ledger.used + ledger.saved == pytest.approx(gpus * seconds / step * (step + more), abs=1e-5)


def test_adding_leaves_the_old_ledger_alone() -> None:
    before = Ledger().add(Spent(1, 10.0))
    assert before.add(Spent(1, 10.0)).used == pytest.approx(20)
    assert before.used == pytest.approx(10)


@pytest.mark.parametrize(
    ("name", "amount"),
    [("gpus", -1), ("seconds", -0.1), ("seconds", math.nan), ("lost_seconds", math.inf), ("step", -1.0)],
)
def test_amounts_that_cannot_be_are_refused(name: str, amount: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        Spent(**{"gpus": 1, "seconds": 1.0, name: amount})


@pytest.mark.parametrize(
    ("used", "running", "left", "until"),
    [
        pytest.param(1000.0, 4, 2600, 650, id="four GPUs use the rest in a quarter of its time"),
        pytest.param(1000.0, 0, 2600, None, id="while nothing runs it is never spent"),
        pytest.param(3600.0, 4, 0, 0, id="spent to the second"),
        pytest.param(9999.0, 4, 0, 0, id="overspent"),
    ],
)
def test_a_budget_of_one_gpu_hour(used: float, running: int, left: float, until: float | None) -> None:
    ledger, budget = Ledger().add(Spent(1, used)), GpuSeconds(3600.0)
    assert ledger.left(budget) == left
    assert ledger.spends(budget) == (left == 0)
    assert seconds_until_spent(ledger, budget, gpus_running=running) == until


def test_a_study_without_gpus_never_spends_its_gpu_hours() -> None:
    assert not Ledger().add(Spent(0, 1e6)).spends(GpuSeconds(1.0))


@pytest.mark.parametrize(
    ("seconds", "want"),
    [(0, "0.00"), (36, "0.01"), (3599, "1.0"), (3580, "0.99"), (11_520, "3.2"), (359_990, "100"), (460_800, "128")],
)
def test_hours_for_people(seconds: float, want: str) -> None:
    assert hours(seconds) == want
