from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.schedule.rungs import bracket_sizes, cohort_size, evenly, keep, ladder, thinning, weighted_choice


@given(low=st.integers(1, 50), eta=st.integers(2, 5), k=st.integers(0, 6))
def test_exact_powers_give_every_rung(low: int, eta: int, k: int) -> None:
    assert ladder(low, low * eta**k, eta) == tuple(low * eta**i for i in range(k + 1))


@given(low=st.integers(1, 50), above=st.integers(0, 10_000), eta=st.integers(2, 5))
def test_a_ladder_ascends_by_at_most_eta_and_ends_at_the_maximum(low: int, above: int, eta: int) -> None:
    rungs = ladder(low, low + above, eta)
    assert rungs[0] == low
    assert rungs[-1] == low + above
    assert all(a < b <= a * eta for a, b in pairwise(rungs))
    assert all(b == a * eta for a, b in pairwise(rungs[:-1]))


@pytest.mark.parametrize(
    ("low", "high", "eta", "want"),
    [
        pytest.param(1, 27, 3, (1, 3, 9, 27), id="the digits example"),
        pytest.param(
            1, 243, 3, (1, 3, 9, 27, 81, 243), id="243, whose logarithm to base 3 is below 5 in floating point"
        ),
        pytest.param(1, 100, 3, (1, 3, 9, 27, 81, 100), id="a last step shorter than the others"),
        pytest.param(3, 27, 3, (3, 9, 27), id="a minimum above one"),
        pytest.param(64, 1024, 4, (64, 256, 1024), id="channels of a network"),
        pytest.param(5, 5, 3, (5,), id="minimum and maximum alike: one rung, nothing to compare"),
        pytest.param(1, 2, 3, (1, 2), id="a maximum below the first multiple"),
    ],
)
def test_ladders(low: int, high: int, eta: int, want: tuple[int, ...]) -> None:
    assert ladder(low, high, eta) == want


@pytest.mark.parametrize(
    ("low", "high", "eta", "complaint"),
    [
        pytest.param(0, 9, 3, "1 <= min <= max, got min 0", id="a minimum of zero"),
        pytest.param(10, 9, 3, "got min 10 and max 9", id="a maximum below the minimum"),
        pytest.param(1, 9, 1, "eta of at least 2, got 1", id="an eta of one would never arrive"),
        pytest.param(1, 2**40, 2, "there are 41 rungs, 32 are possible", id="more rungs than a record holds"),
    ],
)
def test_impossible_ladders_are_refused(low: int, high: int, eta: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ladder(low, high, eta)


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        pytest.param(5, 10, (5, 6, 7, 8, 9, 10), id="every step where they are few"),
        pytest.param(1, 32, tuple(range(1, 33)), id="32 steps are all of them"),
        pytest.param(1, 63, tuple(range(1, 64, 2)), id="every second one of 63"),
        pytest.param(7, 7, (7,), id="one step"),
    ],
)
def test_even_steps(low: int, high: int, want: tuple[int, ...]) -> None:
    assert evenly(low, high) == want


@given(low=st.integers(1, 1_000), span=st.integers(0, 100_000))
def test_even_steps_are_at_most_32_and_hold_both_ends(low: int, span: int) -> None:
    steps = evenly(low, low + span)
    assert steps[0] == low
    assert steps[-1] == low + span
    assert len(steps) == min(span + 1, 32)
    gaps = [b - a for a, b in pairwise(steps)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(low=st.integers(1, 1_000))
def test_steps_without_an_end_are_32_that_lie_ever_further_apart(low: int) -> None:
    steps = thinning(low)
    gaps = [b - a for a, b in pairwise(steps)]
    assert (len(steps), steps[0], gaps[:11]) == (32, low, [1] * 11)
    assert gaps == sorted(gaps)
    assert steps[-1] >= 5_000


@pytest.mark.parametrize(("low", "high"), [pytest.param(0, 5, id="start 0"), pytest.param(6, 5, id="start above max")])
def test_impossible_steps_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="1 <= start <= max"):
        evenly(low, high)


@pytest.mark.parametrize(
    ("rungs", "eta", "want"),
    [
        pytest.param(5, 3, (81, 34, 15, 8, 5), id="table 1 of the paper: R = 81, eta = 3"),
        pytest.param(4, 3, (27, 12, 6, 4), id="R = 27"),
        pytest.param(1, 3, (1,), id="one rung"),
        pytest.param(3, 4, (16, 6, 3), id="R = 16, eta = 4"),
    ],
)
def test_bracket_sizes(rungs: int, eta: int, want: tuple[int, ...]) -> None:
    assert bracket_sizes(rungs, eta) == want


@given(rungs=st.integers(1, 7), eta=st.integers(2, 5))
def test_every_bracket_costs_the_same_but_for_rounding(rungs: int, eta: int) -> None:
    """B = (s_max + 1) * R steps if each rung is trained from nothing; n(s) is rounded up by less than one trial, and
    each floor(n / eta**i) down by less than one."""
    budget = rungs * eta ** (rungs - 1)
    for bracket, size in enumerate(bracket_sizes(rungs, eta)):
        resources = [eta**i for i in range(bracket, rungs)]
        cost = sum(size // eta**i * resource for i, resource in enumerate(resources))
        assert budget - sum(resource - resources[0] for resource in resources) <= cost
        assert cost < budget + len(resources) * resources[0]


@given(rungs=st.integers(1, 6), eta=st.integers(2, 5))
def test_of_a_full_cohort_exactly_one_reaches_the_last_rung(rungs: int, eta: int) -> None:
    left = cohort_size(rungs, eta)
    for rung in range(rungs - 1):
        left = keep(cohort_size(rungs, eta), eta, rung)
        assert left == eta ** (rungs - 2 - rung)
    assert left == 1


@given(planned=st.integers(1, 10_000), eta=st.integers(2, 5), rung=st.integers(0, 8))
def test_keeping_step_by_step_keeps_as_many_as_keeping_at_once(planned: int, eta: int, rung: int) -> None:
    left = planned
    for _ in range(rung + 1):
        left //= eta
    assert keep(planned, eta, rung) == max(1, left)


@given(weights=st.lists(st.integers(1, 100), min_size=1, max_size=6), start=st.integers(0, 10_000))
def test_choices_follow_their_weights_in_any_run_of_numbers(weights: list[int], start: int) -> None:
    count = 500
    chosen = [weighted_choice(number, weights) for number in range(start, start + count)]
    for index, weight in enumerate(weights):
        assert abs(chosen.count(index) - count * weight / sum(weights)) <= 6  # the discrepancy of a golden sequence


def test_number_zero_gets_the_first_choice() -> None:
    assert weighted_choice(0, [1, 1_000]) == 0


def test_no_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        weighted_choice(3, [])
