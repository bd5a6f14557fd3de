"""The record survives its round trip, stays within the schema's bounds, and folding is idempotent."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.facts import (
    Attempt,
    AttemptEnd,
    AttemptPhase,
    MetricSummary,
    Observation,
    RungRecord,
    TrialFacts,
    TrialState,
    Verdict,
)
from rung.api.status import Best
from rung.brain import StudyState, StudyVerdict, Trials
from rung.executor.body import Sight
from rung.executor.fold import folded, summaries
from rung.executor.record import CURVE_POINTS, facts_of, spec_of, thinned, trial_of
from rung.executor.status import study_status
from tests.brain.world import a_plan

PLAN = a_plan(scheduler={"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": 81}})
NOW = 1_760_000_000.0

finite = st.floats(-1e6, 1e6, allow_nan=False)
times = st.floats(NOW, NOW + 1e6).map(lambda t: round(t, 3))


@st.composite
def trials(draw: st.DrawFn) -> TrialFacts:
    """Any trial that a study could hold."""
    steps = draw(st.lists(st.integers(0, 500), unique=True, max_size=60))
    curve = tuple(Observation(float(s), {"loss": draw(finite)}) for s in sorted(steps))
    metrics: dict[str, MetricSummary] = {}
    for o in curve:
        known = metrics.get("loss")
        value = o.values["loss"]
        metrics["loss"] = MetricSummary.of(o.step, value) if known is None else known.then(o.step, value)
    rungs = tuple(
        RungRecord(
            rung,
            draw(finite),
            order,
            draw(st.sampled_from(Verdict)),
            "because",
            others=tuple(draw(st.lists(finite, max_size=3))),
        )
        for order, rung in enumerate(draw(st.sampled_from([(), (1,), (1, 3), (1, 3, 9)])), 1)
    )
    state = draw(st.sampled_from([s for s in TrialState if s is not TrialState.KNOWN]))
    return TrialFacts(
        number=draw(st.integers(0, 10**6)),
        parameters={"x": draw(st.sampled_from([0.25, 0.5, 0.125]))},
        seed=draw(st.integers(0, 2**31 - 1)),
        state=state,
        attempt=draw(st.integers(1, 9)),
        crashes=draw(st.integers(0, 3)),
        disruptions=draw(st.integers(0, 50)),
        rungs=rungs,
        curve=curve,
        metrics=metrics,
        values={"loss": draw(finite)} if state.finished else {},
        gpus=draw(st.integers(0, 8)),
        seconds=round(draw(st.floats(0, 1e6)), 3),
        started_at=draw(times),
        reason=draw(st.sampled_from(["", "Completed", "StoppedAtRung"])),
        message=draw(st.sampled_from(["", "loss 0.5"])),
    )


@given(trials())
def test_what_a_decision_may_rest_on_survives_the_round_trip(facts: TrialFacts) -> None:
    trial = trial_of(facts, PLAN, None, NOW)
    again = facts_of(
        type(trial).model_validate(json.loads(trial.model_dump_json(by_alias=True, exclude_none=True))), PLAN
    )
    assert replace(again, live=None, last_observed_at=None) == replace(facts, live=None, last_observed_at=None)


@given(st.integers(0, 3000), st.sampled_from([(), (1, 3), (1, 3, 9, 27, 81)]))
def test_a_curve_keeps_its_ends_and_its_rungs_within_the_bound(points: int, rungs: tuple[int, ...]) -> None:
    curve = tuple(Observation(float(s), {"loss": 1.0 / s}) for s in range(1, points + 1))
    kept = thinned(curve, rungs)
    assert len(kept) == min(points, CURVE_POINTS)
    steps = [o.step for o in kept]
    assert steps == sorted(set(steps))
    if curve:
        assert (steps[0], steps[-1]) == (1.0, float(points))
        assert {float(r) for r in rungs if r <= points} <= set(steps)


def test_nothing_that_is_not_finite_is_written() -> None:
    facts = TrialFacts(
        0,
        {"x": 0.5},
        state=TrialState.INFEASIBLE,
        curve=(Observation(1.0, {"loss": math.nan}), Observation(2.0, {"loss": 1.0, "other": math.inf})),
        metrics={"loss": MetricSummary.of(1.0, math.nan)},
        values={"loss": math.nan},
    )
    text = trial_of(facts, PLAN, None, NOW).model_dump_json(by_alias=True, exclude_none=True)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the record"))
    assert "other" not in text


def running(number: int = 1, *, ended: bool = False) -> Attempt:
    if ended:
        return Attempt(number, AttemptPhase.ENDED, NOW, NOW + 9, AttemptEnd.COMPLETED, 0, collected=True)
    return Attempt(number, AttemptPhase.RUNNING, NOW)


@given(st.lists(st.tuples(st.integers(1, 50), finite), max_size=40), st.booleans())
def test_folding_twice_equals_folding_once(points: list[tuple[int, float]], ended: bool) -> None:
    facts = TrialFacts(0, {"x": 0.5}, state=TrialState.QUEUED, attempt=1)
    sight = Sight(
        running(ended=ended), tuple(Observation(float(s), {"loss": v}) for s, v in points), last_observed_at=NOW
    )
    once = folded(PLAN, facts, sight, NOW)
    assert folded(PLAN, once, sight, NOW) == once


@given(st.lists(finite, min_size=1, max_size=40), st.data())
def test_summaries_do_not_depend_on_how_the_news_was_cut(values: list[float], data: st.DataObject) -> None:
    observations = [Observation(float(i), {"loss": v}) for i, v in enumerate(values)]
    cut = data.draw(st.integers(0, len(values)))
    whole = summaries({}, observations, {})
    assert summaries(summaries({}, observations[:cut], {}), observations, {}) == whole
    assert whole["loss"].min == min(values)
    assert whole["loss"].count == len(values)


@pytest.mark.parametrize(
    ("facts", "sight", "state", "attempt", "end"),
    [
        pytest.param(TrialFacts(0, {}, state=TrialState.QUEUED, attempt=1), Sight(running()), TrialState.RUNNING, 1, None, id="a pod that runs makes its trial running"),
        pytest.param(TrialFacts(0, {}), Sight(running()), TrialState.RUNNING, 1, None, id="an attempt that the record does not know is adopted"),
        pytest.param(TrialFacts(0, {}, state=TrialState.RUNNING, attempt=1), Sight(None), TrialState.RUNNING, 1, AttemptEnd.DISRUPTED, id="an attempt that is gone was disrupted"),
        pytest.param(TrialFacts(0, {}, state=TrialState.PENDING, attempt=1), Sight(None), TrialState.PENDING, 1, None, id="a spent attempt that is gone is no news"),
        pytest.param(TrialFacts(0, {}, state=TrialState.PENDING, attempt=2), Sight(running(1)), TrialState.PENDING, 2, None, id="an older attempt is no news"),
    ],
)  # fmt: skip
def test_what_a_sight_makes_of_a_trial(
    facts: TrialFacts, sight: Sight, state: TrialState, attempt: int, end: AttemptEnd | None
) -> None:
    after = folded(PLAN, facts, sight, NOW)
    assert (after.state, after.attempt) == (state, attempt)
    assert (after.live.end if after.live else None) == end


def test_the_best_of_a_study_with_repeats_says_how_sure_it_is() -> None:
    plan = a_plan(objectives=[{"metric": "loss", "direction": "Maximize"}], repeats={"count": 2})
    runs = [
        TrialFacts(0, {"x": 0.5}, state=TrialState.SUCCEEDED, values={"loss": 1.0}, ended_at=NOW),
        TrialFacts(
            1, {"x": 0.5}, repeat=1, repeat_of=0, state=TrialState.SUCCEEDED, values={"loss": 2.0}, ended_at=NOW
        ),
    ]
    verdict = StudyVerdict(StudyState.SUCCEEDED, "TrialsCompleted", "done")

    def best(count: int) -> Best | None:
        known = Trials(plan, runs[:count])
        return study_status(plan, known, verdict, None, NOW, created=count, frozen_hash="").best

    one, two = best(1), best(2)
    assert one is not None
    assert two is not None
    assert (one.trial, one.value, one.runs, one.confirmed, one.standard_errors) == ("s-0", "1", 1, False, {})
    assert (two.trial, two.value, two.runs, two.confirmed) == ("s-0", "1.5", 2, True)
    assert two.standard_errors == {"loss": "0.5"}
    spec = spec_of(runs[1], plan)
    assert (spec.repeat_of, spec.repeat) == (0, 1)
    assert facts_of(trial_of(runs[1], plan, None, NOW), plan).repeat_of == 0
