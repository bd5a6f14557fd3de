"""Observations merged by step and metric: last word wins, figures exact, memory bounded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import MetricSummary, Observation
from rung.observe.history import History


def test_steps_keep_the_order_of_their_arrival_and_the_last_word_holds() -> None:
    history = History()
    assert history.add([Observation(3, {"a": 1.0}), Observation(1, {"a": 2.0})])
    assert history.add([Observation(3, {"a": 5.0, "b": math.nan})])
    assert not history.add([Observation(3, {"a": 5.0, "b": math.nan}), Observation(1, {})])
    assert [o.step for o in history.observations] == [3, 1]
    assert history.observations[0].values["a"] == 5.0
    assert history.summaries["a"] == MetricSummary(last=5, min=2, max=5, sum=7, count=2, step=3)


def test_filling_changes_nothing_that_is_held() -> None:
    history = History()
    history.add([Observation(1, {"a": 1.0})])
    assert history.add([Observation(1, {"a": 9.0, "b": 2.0})], fill=True)
    assert history.observations == (Observation(1, {"a": 1.0, "b": 2.0}),)


def test_a_snapshot_does_not_change_afterwards() -> None:
    history = History()
    history.add([Observation(1, {"a": 1.0})])
    before = history.observations
    history.add([Observation(1, {"a": 2.0})])
    assert before == (Observation(1, {"a": 1.0}),)


def test_a_metric_that_was_never_finite_has_its_last_value_only() -> None:
    history = History()
    history.add([Observation(1, {"a": math.inf}), Observation(2, {"a": math.nan})])
    summary = history.summaries["a"]
    assert math.isnan(summary.last)
    assert (summary.count, summary.step) == (1, 2)


def test_thinning_keeps_the_end_the_extremes_and_exact_figures() -> None:
    history = History(keep=100)
    values = [abs(i - 333) + 1.0 for i in range(10_000)]
    history.add(Observation(i, {"a": v}) for i, v in enumerate(values))
    assert len(history) <= 100
    assert history.summaries["a"] == MetricSummary(
        last=values[-1], min=1.0, max=max(values), sum=sum(values), count=10_000, step=9999
    )
    assert [o.step for o in history.observations][-40:] == list(range(9960, 10_000))
    assert Observation(333, {"a": 1.0}) in history.observations


def test_reading_a_source_again_after_thinning_adds_nothing() -> None:
    history = History(keep=10)
    told = [Observation(i, {"a": float(i)}) for i in range(100)]
    history.add(told)
    before = (history.observations, history.summaries)
    assert not history.add(told)
    assert (history.observations, history.summaries) == before


REPORTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ab"), st.integers(-5, 5) | st.just(math.nan)))


@given(REPORTS)
def test_the_figures_are_those_of_the_merged_values(reports: list[tuple[int, str, float]]) -> None:
    history = History()
    for step, name, value in reports:
        history.add([Observation(step, {name: float(value)})])
    for name, summary in history.summaries.items():
        held = [o.values[name] for o in history.observations if name in o.values]
        numbers = [v for v in held if math.isfinite(v)]
        if numbers:
            assert (summary.min, summary.max, summary.count) == (min(numbers), max(numbers), len(numbers))
            assert summary.sum == pytest.approx(sum(numbers))
        assert summary.step == max(o.step for o in history.observations if name in o.values)


@given(REPORTS)
def test_saying_everything_again_is_no_news(reports: list[tuple[int, str, float]]) -> None:
    history = History()
    for step, name, value in reports:
        history.add([Observation(step, {name: float(value)})])
    assert not history.add(history.observations)
