from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rung.schedule.hyper_tune import NEWEST, Array, HyperTune, agreement
from rung.schedule.protocol import Entry, RungTable, Verdict
from rung.schedule.rungs import bracket_sizes
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, AsynchronousContract, Course, play

GO = Verdict.CONTINUE
STEPS = (1, 3, 9, 27)
HYPERBAND = [size / 49 for size in (27, 12, 6, 4)]

Record = tuple[Entry, int, Verdict]


class TestHyperTune(AsynchronousContract):
    def make(self) -> HyperTune:
        return a_hyper_tune()


class TestHyperTuneWithTheFirstBracketsOnly(AsynchronousContract):
    def make(self) -> HyperTune:
        return HyperTune(1, 27, 3, brackets=2, wording=Wording(metric=METRIC, resource="epoch"))


def a_hyper_tune() -> HyperTune:
    return HyperTune(1, 27, 3, brackets=4, wording=Wording(metric=METRIC, resource="epoch"))


def records_of(curves: list[tuple[int, list[float]]]) -> list[Record]:
    """Trials 0, 1, … by their bracket and their values at its rungs, as far as they came."""
    said = [
        (number, bracket, step, value)
        for number, (bracket, values) in enumerate(curves)
        for step, value in zip(STEPS[bracket:], values, strict=False)
    ]
    return [
        (Entry(number, step, value, order), bracket, GO) for order, (number, bracket, step, value) in enumerate(said)
    ]


figures = st.floats(-1e300, 1e300) | st.sampled_from([0.1, 0.2, 0.3])
studies = st.lists(st.tuples(st.integers(0, 3), st.lists(figures, max_size=4)), max_size=25).map(records_of)


@given(records=studies, number=st.integers(0, 30), data=st.data())
def test_weights_are_chances_whatever_is_on_record_and_in_whatever_order(
    records: list[Record], number: int, data: st.DataObject
) -> None:
    weights = a_hyper_tune().weights(number, RungTable.of(records))
    assert all(0 < weight < 1 for weight in weights)
    assert sum(weights) == pytest.approx(1)
    again = RungTable.of(data.draw(st.permutations(records)))
    assert a_hyper_tune().weights(number, again) == weights
    assert a_hyper_tune().bracket(number, again) == a_hyper_tune().bracket(number, RungTable.of(records))


@given(records=studies, number=st.integers(0, 25))
def test_a_trials_weights_rest_on_those_of_lower_numbers(records: list[Record], number: int) -> None:
    lower = [record for record in records if record[0].number < number]
    weights = a_hyper_tune().weights(number, RungTable.of(lower))
    assert a_hyper_tune().weights(number, RungTable.of(records)) == weights


@given(curves=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(-50, 50), max_size=4)), max_size=25))
def test_order_alone_counts(curves: list[tuple[int, list[float]]]) -> None:
    def weights(changed: Callable[[float], float]) -> tuple[float, ...]:
        records = records_of([(bracket, [changed(v) for v in values]) for bracket, values in curves])
        return a_hyper_tune().weights(99, RungTable.of(records))

    assert weights(lambda v: math.exp(v / 10)) == weights(lambda v: v)


@given(low=st.integers(1, 5), rungs=st.integers(1, 6), eta=st.integers(2, 4), data=st.data())
def test_without_records_the_weights_are_hyperbands(low: int, rungs: int, eta: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, rungs))
    sizes = bracket_sizes(rungs, eta)[:count]
    weights = HyperTune(low, low * eta ** (rungs - 1), eta, brackets=count).weights(0, RungTable())
    assert weights == pytest.approx([size / sum(sizes) for size in sizes])


def orders(kind: str, n: int) -> list[float]:
    """Second values of trials whose first ones are 0, 1, …, n - 1."""
    match kind:
        case "the same":
            return [float(i) for i in range(n)]
        case "reversed":
            return [float(-i) for i in range(n)]
        case _:
            return [float(i) for i in np.random.default_rng(n).permutation(n)]


@pytest.mark.parametrize("n", [12, 60])
def test_the_first_bracket_gets_what_its_rung_is_worth(n: int) -> None:
    def weights(kind: str) -> tuple[float, ...]:
        curves = [(0, [float(i), value]) for i, value in enumerate(orders(kind, n))]
        return a_hyper_tune().weights(n, RungTable.of(records_of(curves)))

    same, at_random, reversed_ = weights("the same"), weights("at random"), weights("reversed")
    assert same[0] > HYPERBAND[0] + 0.1
    assert reversed_[0] < at_random[0] < HYPERBAND[0] - 0.1
    for found in (same, at_random, reversed_):
        assert [w / found[3] for w in found[1:]] == pytest.approx([12 / 4, 6 / 4, 1]), "nothing is known of the others"


def test_a_rung_in_the_middle_takes_from_all_brackets_that_are_cut_there() -> None:
    curves = [(0, [float(i), float(i), value]) for i, value in enumerate(orders("at random", 60))]
    found = a_hyper_tune().weights(60, RungTable.of(records_of(curves)))
    assert found[1] / found[2] < 0.7 * 12 / 6, "no cut at 3"
    assert found[0] / found[1] > 1.8 * 27 / 12, "if at 3, then at 1 too"


@pytest.mark.parametrize(
    ("lower", "upper", "want"),
    [
        pytest.param([], [], 0.5, id="nothing is known"),
        pytest.param([1.0, 2.0, 3.0], [1.0, math.nan, math.nan], 0.5, id="one makes no pair"),
        pytest.param([math.nan, 2.0], [1.0, 2.0], 0.5, id="one was not compared at the lower rung"),
        pytest.param([1.0, 2.0], [1.0, 2.0], 5 / 9, id="one pair kept its order"),
    ],
)
def test_what_a_handful_of_trials_say(lower: list[float], upper: list[float], want: float) -> None:
    assert agreement(np.array(lower), np.array(upper)) == pytest.approx(want)


@pytest.mark.parametrize("n", [2, 3, 10, 100, NEWEST])
def test_agreement_is_ordered_and_a_few_prove_little(n: int) -> None:
    lower = np.arange(float(n))
    same, reversed_ = agreement(lower, lower), agreement(lower, -lower)
    assert 0 < reversed_ < agreement(lower, np.zeros(n)) <= 0.5 < same < 1
    assert (same > 0.85) == (n > 3)


def test_enormous_values_are_values() -> None:
    lower, upper = np.array([1e308, -1e308, 0.0]), np.array([1e308, -1e308, 5.0])
    assert agreement(lower, upper) == agreement(np.array([3.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.0]))


@pytest.mark.parametrize("correlation", [0.5, 0.7, 0.9])
def test_that_only_the_best_went_on_is_allowed_for(correlation: float) -> None:
    """Of 400 normal pairs the best third by the first value have a second: the agreement is that of all, on average."""

    def drawn(seed: int) -> tuple[Array, Array]:
        random = np.random.default_rng(seed)
        first = random.standard_normal(400)
        second = correlation * first + math.sqrt(1 - correlation**2) * random.standard_normal(400)
        second[np.argsort(first)[134:]] = math.nan
        return first, second

    def among_themselves(first: Array, second: Array) -> float:
        kept = np.isfinite(second)
        return float(kendalltau(first[kept], second[kept]).statistic)

    pairs = [drawn(seed) for seed in range(20)]
    of_all = 2 / math.pi * math.asin(correlation)
    assert np.mean([agreement(*pair) for pair in pairs]) == pytest.approx(of_all, abs=0.04)
    assert np.mean([among_themselves(*pair) for pair in pairs]) < of_all - 0.14


@dataclass(frozen=True)
class Told(Course):
    """Trials say at each step what they end with; or at the first one its opposite."""

    misleads: bool = False

    def said(self, number: int, step: int) -> float:
        end = super().said(number, 27)
        return -end if self.misleads and step == 1 else end


@pytest.mark.parametrize("seed", range(3))
def test_a_study_learns_whether_its_first_rung_misleads(seed: int) -> None:
    def share(course: Course) -> float:
        brackets = play(a_hyper_tune(), course).brackets
        return sum(brackets[number] == 0 for number in range(100, 200)) / 100

    assert share(Told(200, 8, seed, misleads=True)) < HYPERBAND[0] - 0.2
    assert share(Told(200, 8, seed)) > HYPERBAND[0] + 0.1


def test_only_the_newest_trials_are_looked_at() -> None:
    random = np.random.default_rng(3)
    curves = [(0, [float(v) for v in random.random(2)]) for _ in range(2 * NEWEST)]
    newest = [record for record in records_of(curves) if record[0].number >= NEWEST]
    whole, part = (
        a_hyper_tune().weights(2 * NEWEST, RungTable.of(records)) for records in (records_of(curves), newest)
    )
    assert whole == part


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_a_reversed_order_of_the_most_trials_there_can_be_has_a_mean(seed: int) -> None:
    random = np.random.default_rng(seed)
    lower = random.permutation(NEWEST) * 1.0
    upper = np.where(random.random(NEWEST) < 0.1, lower, -lower)
    assert 0 < agreement(lower, upper) < 0.5
