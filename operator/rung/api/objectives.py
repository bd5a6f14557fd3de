"""What a study optimises, and what its outcomes must keep to."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from rung.api.base import ApiModel, rule
from rung.api.scalars import Decimal, Formula, MetricName, number


class Direction(StrEnum):
    """Whether less or more is better."""

    MINIMIZE = "Minimize"
    MAXIMIZE = "Maximize"


class Reduce(StrEnum):
    """How the values of a metric over the steps become one."""

    LAST = "Last"
    MIN = "Min"
    MAX = "Max"
    MEAN = "Mean"


class Objective(ApiModel):
    """One figure to optimise."""

    metric: MetricName = Field(
        description="The metric as the trial reports it; with `expression`, the name of the computed figure. "
        "trial_seconds and trial_gpu_seconds are known without being reported."
    )
    direction: Direction = Field(description="Whether less or more is better.")
    goal: Decimal | None = Field(
        default=None,
        description='End the study as Succeeded once a trial is this good or better. A number, such as 1 or "0.05". '
        "May be changed at any time.",
    )
    expression: Formula | None = Field(
        default=None,
        description='Computes the figure from reported metrics, for example "val_loss * log(latency_ms) ** 0.07". '
        "A metric's name stands as it is; put blanks around / to divide.",
    )
    # Last is what a final evaluation means; the best of a noisy curve flatters, so it has to be asked for.
    reduce: Reduce = Field(
        default=Reduce.LAST,
        description="How the values of one trial become one; at a rung, over the steps up to it.",
    )
    standard_error_metric: MetricName | None = Field(
        default=None, description="A metric that holds the standard error of this one, for example of cross-validation."
    )
    reference: Decimal | None = Field(
        default=None,
        description="The objective's coordinate of the reference point for the hypervolume of a Pareto front: a value worse "
        "than all that matter. Keep it the same in studies that you compare.",
    )


class OutcomeConstraint(ApiModel):
    """A bound on an outcome: trials beyond it are no candidates for the best."""

    metric: MetricName = Field(description="The metric as the trial reports it, or trial_seconds or trial_gpu_seconds.")
    min: Decimal | None = Field(default=None, description="At least this. Give min, max or both.")
    max: Decimal | None = Field(default=None, description="At most this. Give min, max or both.")
    reduce: Reduce = Field(
        default=Reduce.LAST,
        description="How the values of one trial become one; Max for a peak, such as memory.",
    )

    @rule(
        "has(self.min) || has(self.max)",
        "a constraint needs min or max",
        says="'constraint on %s: give min, max or both'.format([self.metric])",
    )
    def _bounded(self) -> str | None:
        if self.min is not None or self.max is not None:
            return None
        return f"constraint on {self.metric}: give min, max or both"

    @rule(
        "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
        "min must not exceed max",
        says="'constraint on %s: min %s must not exceed max %s'.format([self.metric, string(self.min), string(self.max)])",
        at=".min",
    )
    def _ordered(self) -> str | None:
        if not number(self.min) > number(self.max):
            return None
        return f"constraint on {self.metric}: min {self.min} must not exceed max {self.max}"
