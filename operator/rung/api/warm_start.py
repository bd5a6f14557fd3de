"""What is known before the first trial: other studies, points to try first, results of old logs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords
from rung.api.scalars import Decimal, MetricName, ParameterName, Positive, StudyName, Value

MAX_POINTS = 256
"""Old logs have hundreds of rows. More would make every status write of the Study dear, since rules run on each."""


class Use(StrEnum):
    """What is taken from another study."""

    ENQUEUE = "Enqueue"
    MODEL = "Model"


class WarmStartStudy(ApiModel):
    """Another study of the same namespace. If it has not ended, this one waits for its end. What it found is taken once,
    when this study starts.
    """

    name: StudyName = Field(description="Its name.")
    top: Positive | None = Field(
        default=None,
        description="Only so many of its best trials, by its own objectives; all if absent. With several objectives the Pareto "
        "front comes first.",
    )
    # Model: learning from a study is harmless; running its points again costs GPU time and has to be asked for.
    use: Use = Field(
        default=Use.MODEL,
        description="Enqueue: run its points again in this study, numbers outside the ranges moved to the nearest bound. Model: "
        "let the sampler learn from its results, those outside the ranges left out.",
    )


class WarmStartPoint(ApiModel):
    """A point to try before the sampler's own, or, with values, a result that is known and not run again."""

    parameters: Annotated[dict[ParameterName, Value], Field(max_length=64), Keywords(min_properties=1)] = Field(
        description="Values by parameter. Those left out are filled in by the sampler."
    )
    values: Annotated[dict[MetricName, Decimal], Field(max_length=32), Keywords(min_properties=1)] | None = Field(
        default=None,
        description="Known results by metric. The point is then recorded, not run, and may lie outside the ranges.",
    )


class WarmStart(ApiModel):
    """What is known before the first trial."""

    studies: Annotated[
        tuple[WarmStartStudy, ...],
        Field(max_length=8),
        Keywords(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = Field(default=(), description="Other studies of this namespace; 8 at most.")
    points: Annotated[tuple[WarmStartPoint, ...], Field(max_length=MAX_POINTS)] = Field(
        default=(),
        description=f"Points to try first, in this order; {MAX_POINTS} at most. More may be appended while the study runs.",
    )
