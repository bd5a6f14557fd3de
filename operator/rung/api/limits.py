"""When a study ends, how often a point is repeated, and how many trials that makes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rung.api.base import ApiModel, rule
from rung.api.sampler import SamplerType
from rung.api.scalars import Decimal, NotNegative, Positive, Whole, number

if TYPE_CHECKING:
    from rung.api.spec import StudySpec

DEFAULT_TRIALS = 64
"""Where no other budget is given: enough for a first random round of half a dozen parameters, over in a night."""


class Limits(ApiModel):
    """When a study ends. Each may be changed at any time; raising the one that ended a study reopens it."""

    trials: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="Trials in all; repeats count, retries, clones and points with known values do not. If absent: 64, but no "
        "limit where gpuHours or durationSeconds is given; with sampler Grid the size of the grid, with PBT and PB2 the population.",
    )
    # 4: enough for synchronous rungs not to crawl, few enough for a first try on a shared cluster.
    parallelism: Annotated[Whole, Field(ge=1, le=10_000)] = Field(
        default=4, description="Trials that run at the same time, at most. kubectl scale changes it."
    )
    # 6: a wide first round has a few crashes (diverged and infeasible trials are not counted); a broken program ends in minutes.
    failed_trials: NotNegative = Field(
        default=6,
        description="With more failed trials than this the study fails. Infeasible trials are not failed ones.",
    )
    gpu_hours: Decimal | None = Field(
        default=None, description="GPU-hours in all. The study then ends as Succeeded, running trials are stopped."
    )
    duration_seconds: Positive | None = Field(
        default=None, description="Seconds from the start, in which the study may run. It then ends as Succeeded."
    )
    patience_trials: Positive | None = Field(
        default=None, description="End as Succeeded after so many finished trials in a row without a new best."
    )

    @rule(
        "!has(self.gpuHours) || double(self.gpuHours) > 0.0",
        "gpuHours must be above 0",
        says="'gpuHours must be above 0, got %s'.format([self.gpuHours])",
        at=".gpuHours",
    )
    def _some_hours(self) -> str | None:
        if not number(self.gpu_hours) <= 0:
            return None
        return f"gpuHours must be above 0, got {self.gpu_hours}"


class RepeatsOf(StrEnum):
    """Which assignments are repeated."""

    ALL = "All"
    LEADERS = "Leaders"


class Aggregate(StrEnum):
    """How repeats of an assignment become one value."""

    MEAN = "Mean"
    MEDIAN = "Median"
    WORST = "Worst"


class Repeats(ApiModel):
    """The same assignment several times, since one run may be luck. Each repeat is a trial of its own; run r of every
    assignment has the same seed. A scheduler judges first runs alone, and repeats train to the end.
    """

    count: Annotated[Whole, Field(ge=1, le=100)] = Field(description="Runs of each assignment, the first included.")
    # All: a comparison in which only some were repeated is not fair unless one asks for it.
    of: RepeatsOf = Field(
        default=RepeatsOf.ALL,
        description="All: every assignment whose first run is not stopped. Leaders: the best by what is known so far, until it "
        "has had all its runs.",
    )
    aggregate: Aggregate = Field(
        default=Aggregate.MEAN,
        description="How the values of the runs become one. A failed run is left out; an infeasible one makes the assignment "
        "infeasible.",
    )


def resolved_trials(spec: StudySpec, grid_size: int | None) -> int | None:
    """How many trials the study makes at most; None: another budget ends it, or the sampler does.

    `grid_size` is the number of points of the space, None if it is not finite.
    """
    limits = spec.limits
    if limits.trials is not None:
        return limits.trials
    if spec.sampler.type is SamplerType.LIST:
        return None
    if spec.scheduler.pbt is not None:
        return spec.scheduler.pbt.population
    each = spec.repeats.count if spec.repeats is not None and spec.repeats.of is RepeatsOf.ALL else 1
    if limits.gpu_hours is not None or limits.duration_seconds is not None:
        return None
    if spec.sampler.type is SamplerType.GRID:
        return None if grid_size is None else grid_size * each
    return DEFAULT_TRIALS


def resolved_assignments(spec: StudySpec, grid_size: int | None) -> int | None:
    """How many assignments that is, where each is run several times."""
    trials = resolved_trials(spec, grid_size)
    each = spec.repeats.count if spec.repeats is not None and spec.repeats.of is RepeatsOf.ALL else 1
    return None if trials is None else trials // each
