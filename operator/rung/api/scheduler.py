"""Who stops, promotes or clones trials while they run.

A scheduler compares trials at *rungs*, counts of a *resource* that the trials spend: epochs, steps, a share of the data.
Defaults that only sometimes apply (eta, mode) are no defaults of the schema: an API server fills those in before it
validates, and could then no longer say that eta has no meaning for MedianStop.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords, rule
from rung.api.objectives import Direction
from rung.api.scalars import Decimal, MetricName, ParameterName, Positive, Steps, Whole, number


class SchedulerType(StrEnum):
    """An algorithm that decides at rungs."""

    NONE = "None"
    SUCCESSIVE_HALVING = "SuccessiveHalving"
    HYPERBAND = "Hyperband"
    ASHA = "ASHA"
    MEDIAN_STOP = "MedianStop"
    HYPER_TUNE = "HyperTune"
    PASHA = "PASHA"
    CURVE_EXTRAPOLATION = "CurveExtrapolation"
    PBT = "PBT"
    PB2 = "PB2"


class Mode(StrEnum):
    """What a rung does with those that are not among the best."""

    STOP = "Stop"
    PROMOTE = "Promote"
    RESTART = "Restart"


LADDERS = frozenset(
    {
        SchedulerType.SUCCESSIVE_HALVING,
        SchedulerType.HYPERBAND,
        SchedulerType.ASHA,
        SchedulerType.HYPER_TUNE,
        SchedulerType.PASHA,
    }
)
"""Rungs at min, min * eta, min * eta**2, …"""

BRACKETED = frozenset({SchedulerType.HYPERBAND, SchedulerType.ASHA, SchedulerType.HYPER_TUNE})
POPULATIONS = frozenset({SchedulerType.PBT, SchedulerType.PB2})
COUNTING = LADDERS | POPULATIONS | {SchedulerType.CURVE_EXTRAPOLATION}
"""They need a resource. MedianStop compares trials at equal steps, and need not know the last."""

DEFAULT_ETA = 3
"""e is the optimum of the bound in Li et al. 2018, and 3 is the next whole number."""

_LADDERS = "['SuccessiveHalving', 'Hyperband', 'ASHA', 'HyperTune', 'PASHA']"
_BRACKETED = "['Hyperband', 'ASHA', 'HyperTune']"
_COUNTING = "['SuccessiveHalving', 'Hyperband', 'ASHA', 'HyperTune', 'PASHA', 'PBT', 'PB2', 'CurveExtrapolation']"


class Resource(ApiModel):
    """The fidelity resource that trials spend."""

    metric: MetricName = Field(
        default="step",
        description="The counter's name in what the trial reports: epoch, step. Not needed in mode Restart.",
    )
    min: Steps = Field(default=1, description="The first rung: no trial is compared before.")
    max: Steps = Field(description="The last rung: full training. It is $(resource.target) and RUNG_RESOURCE_TARGET.")

    @rule(
        "self.min <= self.max",
        "resource.min must not exceed resource.max",
        says="'resource.min %d must not exceed resource.max %d'.format([self.min, self.max])",
        at=".min",
    )
    def _ordered(self) -> str | None:
        if self.min <= self.max:
            return None
        return f"resource.min {self.min} must not exceed resource.max {self.max}"


class RankBy(ApiModel):
    """What trials are compared by at rungs, where the first objective is known only at the end or is dear."""

    metric: MetricName = Field(description="The metric; its last value up to the rung counts.")
    direction: Direction = Field(description="Whether less or more is better.")


class MedianStopOptions(ApiModel):
    """Options of scheduler MedianStop."""

    start_step: Steps | None = Field(
        default=None, description="The first step at which a trial may be stopped; resource.min if absent, or 1."
    )
    min_trials: Positive | None = Field(
        default=None, description="Other trials that must have come as far before one is stopped; 3 if absent."
    )


class PbtOptions(ApiModel):
    """Options of schedulers PBT and PB2: a population that copies its best members and changes the copies."""

    population: Annotated[Whole, Field(ge=2, le=10_000)] = Field(
        description="Members at the same time; limits.trials is as many if absent. Those that don't fit into "
        "limits.parallelism begin when others have ended, and are compared with what those had at the same steps."
    )
    interval_steps: Steps | None = Field(
        default=None, description="Steps between two comparisons; a tenth of resource.max if absent."
    )
    # Jaderberg et al. 2017 truncate at 20 %; a quarter is what most programs took over from Ray.
    quantile: Decimal = Field(
        default="0.25",
        description="Share of the population that is replaced by copies of as many best: above 0, at most 0.5.",
    )
    resample_probability: Decimal = Field(
        default="0.25",
        description="How often a copied parameter is drawn anew instead of moved a little: 0 to 1. With PB2 only as long as its "
        "model knows too little to propose.",
    )
    mutate: Annotated[tuple[ParameterName, ...], Field(max_length=64), Keywords(x_kubernetes_list_type="set")] = Field(
        default=(),
        description="Parameters that may change in a copy; all searched ones if absent. Leave out what a checkpoint fixes, "
        "such as a width.",
    )

    @rule(
        "double(self.quantile) > 0.0 && double(self.quantile) <= 0.5",
        "pbt.quantile must be above 0 and at most 0.5",
        says="'pbt.quantile must be above 0 and at most 0.5, got %s'.format([self.quantile])",
        at=".quantile",
    )
    def _replaced(self) -> str | None:
        if 0 < number(self.quantile) <= 0.5:
            return None
        return f"pbt.quantile must be above 0 and at most 0.5, got {self.quantile}"

    @rule(
        "double(self.resampleProbability) >= 0.0 && double(self.resampleProbability) <= 1.0",
        "pbt.resampleProbability must be between 0 and 1",
        says="'pbt.resampleProbability must be between 0 and 1, got %s'.format([self.resampleProbability])",
        at=".resampleProbability",
    )
    def _probability(self) -> str | None:
        if 0 <= number(self.resample_probability) <= 1:
            return None
        return f"pbt.resampleProbability must be between 0 and 1, got {self.resample_probability}"


class SchedulerSpec(ApiModel):
    """Who stops, promotes or clones trials."""

    # None: a program that reports no steps must be tunable too, and nothing should be stopped unasked.
    type: SchedulerType = Field(
        default=SchedulerType.NONE,
        description="None: every trial runs to its end. SuccessiveHalving, Hyperband: cohorts that wait for each other. ASHA: "
        "the same without waiting. MedianStop: stops what is worse than the median. HyperTune: ASHA over all brackets; those "
        "get most trials whose first rung has told how the next one ranks. PASHA: ASHA whose end moves on while ranks still "
        "change. CurveExtrapolation: stops what a fitted curve gives up on. PBT: a population whose worst give way to "
        "changed copies of its best. PB2: the same, where a model of what changes have brought proposes them.",
    )
    resource: Resource | None = Field(
        default=None,
        description="What trials spend, and up to where. Needed by all types but None and MedianStop; with None it says how "
        "long a full training is.",
    )
    eta: Annotated[Whole, Field(ge=2, le=16)] | None = Field(
        default=None,
        description="The best one in eta goes on, and the next rung is eta times as far; 3 if absent. For SuccessiveHalving, "
        "Hyperband, ASHA, HyperTune and PASHA.",
    )
    mode: Mode | None = Field(
        default=None,
        description="Stop: end the losers at a rung; what holds if absent. Promote: pause all with a checkpoint, resume the "
        "winners. Restart: every rung is a fresh run at $(resource.target). For SuccessiveHalving, Hyperband, ASHA, HyperTune "
        "and PASHA.",
    )
    rank_by: RankBy | None = Field(
        default=None,
        description="What to compare at rungs. If absent, the objectives: of several, SuccessiveHalving, Hyperband, ASHA, "
        "HyperTune and PASHA compare all by non-dominated sorting, the others the first. Not for type None.",
    )
    brackets: Annotated[Whole, Field(ge=1, le=16)] | None = Field(
        default=None,
        description="How many brackets, each with a later first rung. If absent, 1 for ASHA and all that the ladder allows for "
        "Hyperband and HyperTune.",
    )
    median_stop: MedianStopOptions | None = Field(default=None, description="Options of scheduler MedianStop.")
    pbt: PbtOptions | None = Field(default=None, description="Options of schedulers PBT and PB2, which need it.")

    @rule(
        f"!(self.type in {_COUNTING}) || has(self.resource)",
        "the scheduler needs a resource",
        says="'scheduler %s needs resource, such as {metric: epoch, max: 27}'.format([self.type])",
    )
    def _resource_given(self) -> str | None:
        if self.type not in COUNTING or self.resource is not None:
            return None
        return f"scheduler {self.type} needs resource, such as {{metric: epoch, max: 27}}"

    @rule(
        f"self.type in {_LADDERS} || (!has(self.eta) && !has(self.mode))",
        "eta and mode are only for SuccessiveHalving, Hyperband, ASHA, HyperTune and PASHA",
        says="'eta and mode do not apply to scheduler %s'.format([self.type])",
    )
    def _ladder_applies(self) -> str | None:
        if self.type in LADDERS or (self.eta is None and self.mode is None):
            return None
        return f"eta and mode do not apply to scheduler {self.type}"

    @rule(
        f"!(self.type in {_LADDERS}) || !has(self.resource) || self.resource.min >= self.resource.max || "
        f"self.resource.min * (has(self.eta) ? self.eta : {DEFAULT_ETA}) <= self.resource.max",
        "resource.min times eta exceeds resource.max: there would be a single rung",
        says="'resource.min %d times eta %d exceeds resource.max %d: there would be a single rung'"
        f".format([self.resource.min, has(self.eta) ? self.eta : {DEFAULT_ETA}, self.resource.max])",
        at=".resource",
    )
    def _two_rungs(self) -> str | None:
        if self.type not in LADDERS or self.resource is None:
            return None
        low, high, eta = self.resource.min, self.resource.max, self.eta or DEFAULT_ETA
        if low >= high or low * eta <= high:
            return None
        return f"resource.min {low} times eta {eta} exceeds resource.max {high}: there would be a single rung"

    @rule(
        f"self.type in {_BRACKETED} || !has(self.brackets)",
        "brackets is only for Hyperband, ASHA and HyperTune",
        says="'brackets does not apply to scheduler %s'.format([self.type])",
        at=".brackets",
    )
    def _brackets_apply(self) -> str | None:
        if self.type in BRACKETED or self.brackets is None:
            return None
        return f"brackets does not apply to scheduler {self.type}"

    @rule(
        "self.type == 'MedianStop' || !has(self.medianStop)",
        "medianStop is only for scheduler MedianStop",
        says="'medianStop does not apply to scheduler %s'.format([self.type])",
        at=".medianStop",
    )
    def _median_applies(self) -> str | None:
        if self.type is SchedulerType.MEDIAN_STOP or self.median_stop is None:
            return None
        return f"medianStop does not apply to scheduler {self.type}"

    @rule(
        "(self.type in ['PBT', 'PB2']) == has(self.pbt)",
        "pbt is required for schedulers PBT and PB2 and does not apply to others",
        says="(has(self.pbt) ? 'pbt does not apply to scheduler %s' : 'pbt.population is required for scheduler %s')"
        ".format([self.type])",
    )
    def _pbt_applies(self) -> str | None:
        if (self.type in POPULATIONS) == (self.pbt is not None):
            return None
        if self.pbt is not None:
            return f"pbt does not apply to scheduler {self.type}"
        return f"pbt.population is required for scheduler {self.type}"

    @rule(
        "self.type != 'None' || !has(self.rankBy)",
        "rankBy does not apply to scheduler None, which compares nothing",
        at=".rankBy",
    )
    def _ranked(self) -> str | None:
        if self.type is not SchedulerType.NONE or self.rank_by is None:
            return None
        return "rankBy does not apply to scheduler None, which compares nothing"

    @rule(
        "!has(self.medianStop) || !has(self.medianStop.startStep) || !has(self.resource) || "
        "self.medianStop.startStep <= self.resource.max",
        "medianStop.startStep must not exceed resource.max",
        says="'medianStop.startStep %d must not exceed resource.max %d'"
        ".format([self.medianStop.startStep, self.resource.max])",
        at=".medianStop",
    )
    def _starts_in_time(self) -> str | None:
        start = self.median_stop.start_step if self.median_stop is not None else None
        if start is None or self.resource is None or start <= self.resource.max:
            return None
        return f"medianStop.startStep {start} must not exceed resource.max {self.resource.max}"
