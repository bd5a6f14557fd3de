"""What a trial is worth: reductions at rungs and at the end, names of every kind in expressions, the ledger's own figures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.facts import AttemptEnd, MetricSummary, Observation, RungRecord, TrialFacts, TrialState, Verdict
from rung.api.study import Reduce
from rung.brain.judging import finite
from rung.brain.measure import reduced, summarised
from rung.brain.plan import Plan
from rung.brain.trials import curve_of

from .world import World, a_plan

NAN, INF = math.nan, math.inf
TEMPLATE = {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "i:1"}]}}}


def a_trial(*values: float | dict[str, float], metric: str = "loss", **more: object) -> TrialFacts:
    """One value per step, or several metrics' values."""
    curve = tuple(
        Observation(float(step), value if isinstance(value, dict) else {metric: value})
        for step, value in enumerate(values, start=1)
    )
    summaries: dict[str, MetricSummary] = {}
    for o in curve:
        for name, value in o.values.items():
            known = summaries.get(name)
            summaries[name] = known.then(o.step, value) if known else MetricSummary.of(o.step, value)
    return TrialFacts(number=0, parameters={"x": 0.5}, curve=curve, metrics=summaries, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "values", "want"),
    [
        pytest.param(Reduce.LAST, [3, 1, 2], 2, id="the last"),
        pytest.param(Reduce.MIN, [3, 1, 2], 1, id="the least"),
        pytest.param(Reduce.MAX, [3, 1, 2], 3, id="the largest"),
        pytest.param(Reduce.MEAN, [3, 1, 2], 2, id="the mean"),
        pytest.param(Reduce.LAST, [1, NAN], NAN, id="a last one that is not finite"),
        pytest.param(Reduce.MIN, [NAN, 3, 1, NAN], 1, id="the least of the finite"),
        pytest.param(Reduce.MAX, [INF, 3, 1], 3, id="the largest of the finite"),
        pytest.param(Reduce.MEAN, [NAN, 3, 1], 2, id="the mean of the finite"),
        pytest.param(Reduce.MIN, [NAN, INF], INF, id="never finite: the last"),
    ],
)
def test_a_reduction_at_a_rung_and_at_the_end(how: Reduce, values: list[float], want: float) -> None:
    facts = a_trial(*values)
    assert reduced(facts.curve, "loss", how) == pytest.approx(want, nan_ok=True)
    assert summarised(facts.metrics["loss"], how) == pytest.approx(want, nan_ok=True)


@given(
    st.lists(st.integers(-9, 9) | st.sampled_from([NAN, INF, -INF]), min_size=1, max_size=12), st.sampled_from(Reduce)
)
def test_the_end_agrees_with_the_last_rung(values: list[float], how: Reduce) -> None:
    facts = a_trial(*map(float, values))
    at_the_end, at_the_rung = summarised(facts.metrics["loss"], how), reduced(facts.curve, "loss", how)
    assert at_the_end is not None
    assert at_the_rung is not None
    assert at_the_end == pytest.approx(at_the_rung, nan_ok=True)


def an_objective(**more: object) -> Plan:
    return a_plan(objectives=[{"metric": "loss", "direction": "Minimize", **more}])


def test_a_rungs_value_is_the_reduction_over_the_steps_up_to_it() -> None:
    measure = an_objective(reduce="Min").measure
    facts = a_trial(3.0, 1.0, 2.0)
    assert [measure.ranking.figure.of(facts, upto=step) for step in (1, 2, 3)] == [3, 1, 1]


def test_rungs_rank_by_another_metric_than_the_objective() -> None:
    plan = a_plan(
        objectives=[{"metric": "mmlu", "direction": "Maximize"}],
        scheduler={
            "type": "ASHA",
            "resource": {"metric": "epoch", "min": 1, "max": 3},
            "rankBy": {"metric": "eval_loss", "direction": "Minimize"},
        },
    )
    assert plan.measure.wanted == ("mmlu", "eval_loss")
    facts = a_trial({"eval_loss": 0.5}, {"eval_loss": 0.25}, {"mmlu": 60.0})
    ranking = plan.measure.ranking
    value = ranking.figure.of(facts, upto=2)
    assert value == 0.25
    assert ranking.rank(value) == 0.25
    assert plan.measure.values(facts) == {"mmlu": 60.0}


def test_a_peak_counts_in_a_constraint() -> None:
    plan = a_plan(constraints=[{"metric": "memory", "max": 38, "reduce": "Max"}])
    facts = a_trial({"memory": 30.0}, {"memory": 40.0}, {"memory": 20.0, "loss": 1.0})
    values = plan.measure.values(facts)
    assert values == {"loss": 1.0, "memory": 40.0}
    assert not plan.measure.feasible(values)


NAMES = [
    pytest.param("1 - recall@10", {}, {"recall@10": 0.25}, 0.75, id="an at sign"),
    pytest.param("mAP@0.5 * 2", {}, {"mAP@0.5": 0.25}, 0.5, id="an at sign and a number"),
    pytest.param("eval/loss * 2", {}, {"eval/loss": 0.25}, 0.5, id="a slash without blanks is a name"),
    pytest.param("loss / steps", {}, {"loss": 3.0, "steps": 2.0}, 1.5, id="with blanks it divides"),
    pytest.param(
        "(train/loss + eval/loss)/2", {}, {"train/loss": 1.0, "eval/loss": 2.0}, 1.5, id="by a number it divides"
    ),
    pytest.param("loss/log(n)", {}, {"loss": 1.0, "n": math.e}, 1.0, id="by a function it divides"),
    pytest.param("eval.loss + 1", {}, {"eval.loss": 0.5}, 1.5, id="a nested name"),
    pytest.param(
        "valid_1's auc * 2", {"record": ["valid_1's auc"]}, {"valid_1's auc": 0.25}, 0.5, id="a blank and a quote"
    ),
    pytest.param(
        "iou[0] + iou[1]", {"record": ["iou[0]", "iou[1]"]}, {"iou[0]": 1.0, "iou[1]": 2.0}, 3.0, id="brackets"
    ),
    pytest.param(
        "auc * 2", {"extract": [{"metric": "auc", "key": "valid_1's auc"}]}, {"auc": 0.25}, 0.5, id="an alias for one"
    ),
    pytest.param("-precision-at-5", {"record": ["precision-at-5"]}, {"precision-at-5": 0.25}, -0.25, id="hyphens"),
]


@pytest.mark.parametrize(("expression", "metrics", "said", "want"), NAMES)
def test_names_of_every_kind_in_an_expression(
    expression: str, metrics: dict[str, object], said: dict[str, float], want: float
) -> None:
    plan = a_plan(objectives=[{"metric": "f", "direction": "Minimize", "expression": expression}], metrics=metrics)
    assert set(said) <= set(plan.measure.wanted)
    assert plan.measure.values(a_trial(said))["f"] == pytest.approx(want)


def test_a_name_that_no_expression_can_say_is_refused_where_it_is_not_listed() -> None:
    with pytest.raises(InvalidStudy, match="expression"):
        a_plan(objectives=[{"metric": "f", "direction": "Minimize", "expression": "valid_1 auc * 2"}])


@pytest.mark.parametrize(
    "metric", ["recall@10", "mAP@0.5", "valid_1 auc", "valid_1's auc", "eval/loss", "iou[0]", "a b@c"]
)
def test_an_odd_name_may_be_an_objective_a_constraint_and_a_recorded_metric(metric: str) -> None:
    plan = a_plan(
        objectives=[{"metric": metric, "direction": "Minimize", "goal": "0.1"}],
        constraints=[{"metric": f"{metric} x", "max": 1}],
        metrics={"record": [f"train {metric}"]},
    )
    values = plan.measure.values(a_trial({metric: 0.05, f"{metric} x": 0.5, f"train {metric}": 3.0}))
    assert plan.measure.goal_met(values)
    assert plan.measure.wanted == (metric, f"{metric} x", f"train {metric}")


def test_time_and_gpu_time_are_known_without_being_reported() -> None:
    plan = a_plan(
        objectives=[{"metric": "cost", "direction": "Minimize", "expression": "trial_gpu_seconds / 2"}],
        constraints=[{"metric": "trial_seconds", "max": 100}],
    )
    assert plan.measure.wanted == ()
    facts = replace(a_trial(), seconds=60.0, gpus=8)
    values = plan.measure.values(facts)
    assert values == {"cost": 240.0, "trial_seconds": 60.0}
    assert plan.measure.feasible(values)
    assert not plan.measure.feasible(plan.measure.values(replace(facts, seconds=101.0)))


def test_infeasible_trials_are_no_failures_and_end_no_study() -> None:
    world = World(
        a_plan(
            trial={**TEMPLATE, "retries": 0, "infeasible": {"exitCodes": [65], "outOfMemory": True}},
            limits={"trials": 12, "parallelism": 2, "failedTrials": 0},
        ),
        value=lambda facts, _: NAN if facts.number % 3 == 2 else 1.0,
    )
    world.reconcile()
    for turn in range(12):
        number = min(world.running)
        match number % 3:
            case 0:
                world.finish(number, AttemptEnd.OUT_OF_MEMORY, 137)
            case 1:
                world.finish(number, AttemptEnd.CRASHED, 65)
            case _:
                world.advance(number, 3)
        assert world.outcome is not None, turn
    states = {facts.state for facts in world.trials}
    assert states == {TrialState.INFEASIBLE}
    assert world.outcome is not None
    assert world.outcome.verdict.reason == "NoResult"
    assert world.trials.counts[TrialState.FAILED] == 0


@given(st.dictionaries(st.text(max_size=5), st.floats()))
def test_finite_keeps_the_finite_ones_and_nothing_else(values: dict[str, float]) -> None:
    kept = finite(values)
    assert all(math.isfinite(v) for v in kept.values())
    assert kept == {k: v for k, v in values.items() if k in kept}
    assert all(not math.isfinite(values[k]) for k in values.keys() - kept.keys())


@pytest.mark.parametrize(
    ("steps", "verdict", "want"),
    [
        pytest.param(
            (1, 2, 3, 4, 5), Verdict.STOP, (1, 2, 3), id="what came after the rung that stopped it is left out"
        ),
        pytest.param((1, 2, 4, 5), Verdict.STOP, (1, 2, 4), id="a later report served the rung"),
        pytest.param((1, 2, 3, 4, 5), Verdict.CONTINUE, (1, 2, 3, 4, 5), id="it went on"),
    ],
)
def test_samplers_see_of_a_stopped_trial_what_its_stop_rested_on(
    steps: tuple[int, ...], verdict: Verdict, want: tuple[int, ...]
) -> None:
    facts = replace(
        a_trial(),
        curve=tuple(Observation(float(step), {"loss": 1.0 / step}) for step in steps),
        rungs=(RungRecord(1, 1.0, 1, Verdict.CONTINUE, ""), RungRecord(3, 0.3, 2, verdict, "")),
    )
    plan = a_plan(scheduler={"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": 9}})
    assert [step for step, _ in curve_of(plan, facts)] == list(want)
