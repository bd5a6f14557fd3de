"""What a curve is worth: metrics reduced to figures, figures to objectives, objectives to an order.

A *figure* is a metric reduced over the steps of a curve (`reduce`: Last, Min, Max, Mean), or a computed expression of such
figures. `None` means that something it needs was not reported; a non-finite figure is a fact (the trial diverged).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rung.api.errors import InvalidStudy
from rung.api.facts import MetricSummary, Observation, TrialFacts
from rung.api.study import Direction, Mode, Objective, Reduce, StudySpec
from rung.brain.decisions import attempt_seconds
from rung.space.expressions import Expression, ExpressionError
from rung.space.nodes import FUNCTIONS
from rung.space.tokens import KEYWORDS

TRIAL_SECONDS = "trial_seconds"
TRIAL_GPU_SECONDS = "trial_gpu_seconds"
_NAME = re.compile(r"(?<![\w.\"'])[A-Za-z_]\w*+(?:(?:/(?=[A-Za-z_])|[@.])\w++(?!\s*\())*+")
BUILT_IN = frozenset({TRIAL_SECONDS, TRIAL_GPU_SECONDS})
"""Metrics that the ledger knows by itself; usable wherever a reported one is."""


def reduced(curve: Sequence[Observation], metric: str, how: Reduce, *, upto: float = math.inf) -> float | None:
    """The metric over the observations with step ≤ `upto`; None where it was never reported.

    As in a `MetricSummary`, a value that is not finite counts as the last one only, or where there is no other.
    """
    values = [o.values[metric] for o in curve if o.step <= upto and metric in o.values]
    if not values:
        return None
    numbers = [value for value in values if math.isfinite(value)]
    if how is Reduce.LAST or not numbers:
        return values[-1]
    if how is Reduce.MIN:
        return min(numbers)
    if how is Reduce.MAX:
        return max(numbers)
    return math.fsum(numbers) / len(numbers)


def summarised(summary: MetricSummary | None, how: Reduce) -> float | None:
    """The same figure from the running summary, which also knows the values that a thinned curve has dropped."""
    if summary is None:
        return None
    match how:
        case Reduce.LAST:
            return summary.last
        case Reduce.MIN:
            return summary.min
        case Reduce.MAX:
            return summary.max
        case Reduce.MEAN:
            return summary.sum / summary.count if summary.count else summary.last


@dataclass(frozen=True, slots=True)
class Figure:
    """A named number of a trial: a reduced metric, or an expression over reduced metrics."""

    name: str
    reduce: Reduce
    expression: Expression | None = None
    last_attempt: bool = False  # each attempt is a run of its own: the time of the last one counts

    @property
    def inputs(self) -> frozenset[str]:
        """Metrics that must be reported for this figure to exist."""
        return self.expression.names if self.expression else frozenset({self.name})

    def of(self, facts: TrialFacts, *, upto: float = math.inf) -> float | None:
        """The figure over the steps up to `upto`; None if an input is missing, NaN where the expression has no value."""
        found: dict[str, float] = {}
        for name in self.inputs:
            value = self._input(facts, name, upto)
            if value is None:
                return None
            found[name] = value
        return self.at(found)

    def at(self, found: Mapping[str, float]) -> float:
        """The figure from its inputs; NaN where the expression has no value."""
        if self.expression is None:
            return found[self.name]
        try:
            result = self.expression.evaluate(found)
        except ExpressionError:
            return math.nan
        return float(result) if isinstance(result, int | float) else math.nan

    def _input(self, facts: TrialFacts, name: str, upto: float) -> float | None:
        if name == TRIAL_SECONDS:
            return self._seconds(facts)
        if name == TRIAL_GPU_SECONDS:
            return self._seconds(facts) * facts.gpus
        if math.isinf(upto):
            return summarised(facts.metrics.get(name), self.reduce)
        return reduced(facts.curve, name, self.reduce, upto=upto)

    def _seconds(self, facts: TrialFacts) -> float:
        """Running time that was not lost to crashes and disruptions, up to the last that is known of the trial."""
        live = facts.live
        known = live.ended_at if live is not None and live.ended_at is not None else facts.last_observed_at
        newest = 0.0 if known is None else attempt_seconds(facts, known)
        return newest if self.last_attempt else facts.seconds - facts.lost_seconds + newest


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective, compiled."""

    figure: Figure
    minimize: bool
    goal: float | None
    error: Figure | None = None  # the trial's own standard error of the figure

    def rank(self, value: float) -> float:
        """Turned so that smaller is better."""
        return value if self.minimize else -value

    def averaged(self, facts: TrialFacts, *, upto: float) -> tuple[float, float] | None:
        """(mean, best) of the figure over the steps up to `upto`; a computed figure is its own mean and best.

        A figure that is not finite there has no mean: the trial has diverged.
        """
        value = self.figure.of(facts, upto=upto)
        if value is None or self.figure.expression is not None or not math.isfinite(value):
            return None if value is None else (value, value)
        mean = reduced(facts.curve, self.figure.name, Reduce.MEAN, upto=upto)
        best = reduced(facts.curve, self.figure.name, Reduce.MIN if self.minimize else Reduce.MAX, upto=upto)
        return None if mean is None or best is None else (mean, best)

    def met_by(self, value: float | None) -> bool:
        """A goal exists and the value is as good or better."""
        return (
            self.goal is not None
            and value is not None
            and math.isfinite(value)
            and self.rank(value) <= self.rank(self.goal)
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """A constraint on an outcome, compiled."""

    figure: Figure
    min: float
    max: float

    def violation(self, value: float) -> float:
        """By how much the constraint is missed, in the metric's own unit; not above 0: it holds."""
        return max(self.min - value, value - self.max)


@dataclass(frozen=True, slots=True)
class Measure:
    """All figures that a study asks for."""

    goals: tuple[Goal, ...]
    bounds: tuple[Bound, ...]
    ranking: Goal  # what a scheduler compares at rungs
    recorded: tuple[str, ...]

    @property
    def others(self) -> tuple[Goal, ...]:
        """The further objectives, where trials are ranked by all of them."""
        return self.goals[1:] if self.ranking is self.goals[0] else ()

    def others_of(self, facts: TrialFacts, *, upto: float = math.inf) -> tuple[float, ...]:
        """Their figures so far; () unless all are there and finite."""
        found = [goal.figure.of(facts, upto=upto) for goal in self.others]
        said = tuple(value for value in found if value is not None and math.isfinite(value))
        return said if len(said) == len(found) else ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """Metrics to read from a trial, the objectives' first, each once."""
        figures = [g.figure for g in self.goals] + [self.ranking.figure] + [b.figure for b in self.bounds]
        figures += [g.error for g in self.goals if g.error is not None]
        names = [name for figure in figures for name in sorted(figure.inputs)]
        return tuple(dict.fromkeys(n for n in (*names, *self.recorded) if n not in BUILT_IN))

    def values(self, facts: TrialFacts, *, upto: float = math.inf) -> dict[str, float]:
        """Every figure that exists so far, by name, objectives first."""
        found: dict[str, float] = {}
        errors = (g.error for g in self.goals if g.error is not None)
        for figure in (*(g.figure for g in self.goals), *(b.figure for b in self.bounds), *errors):
            value = figure.of(facts, upto=upto)
            if value is not None:
                found.setdefault(figure.name, value)
        for name in self.recorded:
            value = summarised(facts.metrics.get(name), Reduce.LAST)
            if value is not None:
                found.setdefault(name, value)
        return found

    def objectives(self, values: Mapping[str, float]) -> tuple[float, ...] | None:
        """The objectives turned so that smaller is better; None if one is missing or not finite."""
        found = [values.get(g.figure.name) for g in self.goals]
        if any(v is None or not math.isfinite(v) for v in found):
            return None
        return tuple(g.rank(v) for g, v in zip(self.goals, found, strict=True) if v is not None)

    def errors(self, values: Mapping[str, float]) -> tuple[float | None, ...]:
        """The standard error of each objective, where the trial says it; () where it says none."""
        found = [None if g.error is None else values.get(g.error.name) for g in self.goals]
        known = tuple(e if e is not None and math.isfinite(e) and e >= 0 else None for e in found)
        return known if any(e is not None for e in known) else ()

    def feasible(self, values: Mapping[str, float]) -> bool:
        """Every constraint on outcomes holds; one whose metric is missing does not."""
        return all((value := values.get(b.figure.name)) is not None and b.min <= value <= b.max for b in self.bounds)

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """By how much each constraint is missed, in the metric's own unit; not above 0: it holds. NaN: not reported."""
        return tuple(
            b.violation(value) if (value := values.get(b.figure.name)) is not None else math.nan for b in self.bounds
        )

    def ranked_curve(self, facts: TrialFacts) -> tuple[tuple[float, float], ...]:
        """(step, value of what trials are ranked by, smaller is better), where it is finite.

        An expression counts at the steps that report all it needs; figures of the ledger have no curve.
        """
        figure, inputs = self.ranking.figure, self.ranking.figure.inputs
        curve: list[tuple[float, float]] = []
        for observation in facts.curve:
            if not inputs <= observation.values.keys():
                continue
            value = figure.at(observation.values)
            if math.isfinite(value):
                curve.append((observation.step, self.ranking.rank(value)))
        return tuple(curve)

    def goal_met(self, values: Mapping[str, float]) -> bool:
        """There is a goal, every objective that has one meets it, and the constraints hold."""
        with_goal = [g for g in self.goals if g.goal is not None]
        return bool(with_goal) and all(g.met_by(values.get(g.figure.name)) for g in with_goal) and self.feasible(values)

    def arrival(self, facts: TrialFacts, rung: float) -> float | None:
        """The step of the report that reaches the rung: the first at or past it that carries the ranking metric.

        A report at step 1003 serves rung 1000; a report at 9 serves rung 9 even if 10, 11 and 12 were read with it.
        """
        inputs = self.ranking.figure.inputs
        for observation in facts.curve:
            if observation.step >= rung and (inputs & observation.values.keys() or not inputs - BUILT_IN):
                return observation.step
        return None


def compile_measure(spec: StudySpec, known: Sequence[str] = ()) -> Measure:
    """Compile objectives, constraints and rankBy.

    Raises InvalidStudy naming the field for an expression that does not parse. `known` adds names that expressions may use.
    """
    recorded = tuple(spec.metrics.record)
    known = (*known, *(e.metric for e in spec.metrics.extract), *(c.metric for c in spec.constraints))
    last_attempt = spec.scheduler.mode is Mode.RESTART
    goals = tuple(
        _goal(i, objective, (*recorded, *known), last_attempt=last_attempt)
        for i, objective in enumerate(spec.objectives)
    )
    bounds = tuple(
        Bound(
            Figure(c.metric, c.reduce, last_attempt=last_attempt),
            -math.inf if c.min is None else float(c.min),
            math.inf if c.max is None else float(c.max),
        )
        for c in spec.constraints
    )
    rank_by = spec.scheduler.rank_by
    ranking = goals[0]
    if rank_by is not None:
        figure = Figure(rank_by.metric, Reduce.LAST, last_attempt=last_attempt)
        ranking = Goal(figure, rank_by.direction is Direction.MINIMIZE, None)
    return Measure(goals, bounds, ranking, recorded)


def _goal(index: int, objective: Objective, names: Sequence[str], *, last_attempt: bool) -> Goal:
    expression = None
    if objective.expression is not None:
        try:
            expression = Expression.parse(objective.expression, {*names, *_words(objective.expression)})
        except ExpressionError as error:
            raise InvalidStudy(f"spec.objectives[{index}].expression", str(error)) from error
    goal = None if objective.goal is None else float(objective.goal)
    figure = Figure(objective.metric, objective.reduce, expression, last_attempt)
    named = objective.standard_error_metric
    deviation = None if named is None else Figure(named, Reduce.LAST)
    return Goal(figure, objective.direction is Direction.MINIMIZE, goal, deviation)


def _words(text: str) -> set[str]:
    """Everything in an expression that may name a metric: what a program reports is not known before it runs.

    `eval/loss`, `recall@10` and `mAP@0.5` are names, as tokens are the longest that fit: a division has blanks around its
    sign. Names with other signs have to stand in metrics.record or metrics.extract.
    """
    return set(_NAME.findall(text)) - FUNCTIONS.keys() - KEYWORDS - {"coalesce"}
