"""The Trial: the record of one assignment being evaluated, made by the operator; on a cluster, a disk and in memory.

    spec     what never changes: study, number, parameters, seed. `stop` is the one field for people.
    status   what happened: attempts, the curve, the values at rungs with their verdicts, GPU time

Bounds of the status are the schema's alone: an operator must be able to read what another version has written.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords
from rung.api.names import API_VERSION
from rung.api.scalars import Line, Moment, Name, Printed, Tally, Word
from rung.api.status import Assignment, Conditions
from rung.api.study import ObjectMeta

Figures = Annotated[dict[str, float], Keywords(max_properties=64)]
"""Numbers by metric; finite ones only, since one NaN makes an API server refuse the whole write."""

NON_NEGATIVE = Keywords(minimum=0)

FROZEN_SPEC = ("study", "number", "seed", "bracket", "repeat")
FROZEN_SPEC_OPTIONAL = (
    *("parameters", "parent", "parentStep", "replaces", "replacedAt"),
    *("enqueued", "enqueuedFrom", "repeatOf", "values"),
)
"""All of a Trial's spec but `stop`."""


class TrialSpec(ApiModel):
    """Which assignment is evaluated. Only `stop` may change."""

    study: Name = Field(description="Name of the Study, in the same namespace.")
    number: Tally = Field(description="Number within the study, from 0. It is never given out twice.")
    parameters: Assignment = Field(
        default={}, description="Values of the active parameters, fixed and derived ones included."
    )
    seed: Tally = Field(default=0, description="For the program's own randomness; the same in every attempt.")
    parent: Name | None = Field(default=None, description="The trial whose checkpoint this one goes on from.")
    parent_step: Annotated[float, NON_NEGATIVE] | None = Field(
        default=None, description="Step of that checkpoint; absent where the parent had none: it begins from nothing."
    )
    replaces: Tally | None = Field(
        default=None, description="Number of the trial whose place in the population it takes."
    )
    replaced_at: Tally | None = Field(
        default=None, description="The rung at which that one was stopped. This one is compared at later ones."
    )
    bracket: Tally = Field(default=0, description="The scheduler's bracket that the trial belongs to.")
    enqueued: Tally | None = Field(
        default=None, description="Index among spec.warmStart.points of the Study, if it comes from there."
    )
    enqueued_from: Name | None = Field(
        default=None, description="Trial of another study whose parameters are run again, if it comes from there."
    )
    repeat_of: Tally | None = Field(default=None, description="Number of the trial that this one repeats.")
    repeat: Tally = Field(default=0, description="Which run of its assignment it is; 0 is the first.")
    values: Annotated[dict[str, Annotated[str, Keywords(max_length=48)]], Keywords(max_properties=64)] | None = Field(
        default=None, description="Known results by metric. Such a trial is never run."
    )
    # The only field that a person writes: everything else would make the record a lie.
    stop: bool = Field(default=False, description="Set to true by hand: end this trial now and keep what it has.")


class TrialRung(ApiModel):
    """The trial's value at one rung, and what was decided on it."""

    step: Tally = Field(description="Steps at which trials are compared.")
    value: float = Field(description="The value there.")
    order: Tally = Field(description="Counts the study's records: a decision rests on those before it alone.")
    verdict: Word = Field(description="Open: waits for others. Continue. Stop.")
    reason: Line = Field(default="", description="The decision explained.")
    best: float | None = Field(default=None, description="Best value up to this step, where the scheduler asks for it.")
    others: Annotated[tuple[float, ...], Keywords(max_items=3)] = Field(
        default=(), description="The further objectives there, in their order, where all of them were reported."
    )


class CurvePoint(ApiModel):
    """What the trial said at one step."""

    step: Annotated[float, NON_NEGATIVE] = Field(description="The step.")
    values: Figures = Field(default={}, description="Metrics by name.")


class TrialMetric(ApiModel):
    """One metric over all that was reported, thinned away from the curve or not."""

    name: Annotated[str, Keywords(max_length=128)] = Field(description="The metric.")
    last: float = Field(description="The last value.")
    min: float = Field(description="The smallest.")
    max: float = Field(description="The largest.")
    sum: float = Field(description="The sum, for the mean.")
    count: Tally = Field(description="How many values.")
    step: float = Field(description="Step of the last value.")


class TrialStatus(ApiModel):
    """What happened."""

    finished: bool = Field(default=False, description="Nothing more will happen to this trial.")
    state: Word = Field(
        default="",
        description="Pending, Queued, Running, Waiting; then Succeeded, Stopped, Failed, Infeasible or Known.",
    )
    attempt: Tally = Field(default=0, description="The newest attempt; 0 before the first.")
    crashes: Tally = Field(default=0, description="Attempts that crashed.")
    disruptions: Tally = Field(default=0, description="Attempts that were preempted, evicted or lost.")
    step: Annotated[float, NON_NEGATIVE] | None = Field(default=None, description="The furthest step reported.")
    objective: Printed = Field(default="", description="For the OBJECTIVE column only.")
    rung: Printed = Field(default="", description="For the RUNG column only: the last rung with a value.")
    gpu_time: Printed = Field(default="", description="For the GPU-TIME column only.")
    parameters: Line = Field(default="", description="For the PARAMETERS column only.")
    reason: Line = Field(default="", description="The last decision, explained in one line.")
    outcome: Word = Field(default="", description="Why the last attempt ended or the trial was ended, in one word.")
    conditions: Conditions = Field(default=(), description="Finished, and PodsRefused where the cluster takes no pod.")
    rungs: Annotated[tuple[TrialRung, ...], Keywords(max_items=32)] = Field(
        default=(), description="The trial at each rung that it reached; 32 at most."
    )
    curve: Annotated[tuple[CurvePoint, ...], Keywords(max_items=64)] = Field(
        default=(), description="What was reported, thinned to 64 points."
    )
    metrics: Annotated[
        tuple[TrialMetric, ...],
        Keywords(max_items=64, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = Field(default=(), description="Figures of each metric over everything reported; 64 metrics at most.")
    values: Figures = Field(default={}, description="Final objectives, constraints and recorded metrics.")
    gpus: Tally = Field(default=0, description="GPUs of one attempt.")
    gpu_seconds: Annotated[float, NON_NEGATIVE] = Field(default=0, description="GPU time of all attempts.")
    seconds: Annotated[float, NON_NEGATIVE] = Field(default=0, description="Running time of the ended attempts.")
    lost_seconds: Annotated[float, NON_NEGATIVE] = Field(
        default=0, description="The part of it that bought nothing: crashed, or not covered by a checkpoint."
    )
    checkpoint_step: float | None = Field(default=None, description="Step of the newest complete checkpoint.")
    checkpoints: Annotated[tuple[float, ...], Keywords(max_items=32)] = Field(
        default=(),
        description="In a population: steps of complete checkpoints, for each rung the newest up to it.",
    )
    outputs: Annotated[dict[str, Annotated[str, Keywords(max_length=256)]], Keywords(max_properties=8)] = Field(
        default={}, description="Facts that are no numbers, such as a model's URI; 8 of 256 characters at most."
    )
    node: Name = Field(default="", description="Node of the newest attempt.")
    image_id: Annotated[str, Keywords(max_length=512)] = Field(
        default="", description="Digest of the image that ran, since a tag may move."
    )
    started_at: Moment | None = Field(default=None, description="When its program first ran.")
    ended_at: Moment | None = Field(default=None, description="When it was finished.")
    attempt_started_at: Moment | None = Field(default=None, description="When the newest attempt began to run.")


class Trial(ApiModel):
    """One assignment of parameters being evaluated."""

    api_version: str = API_VERSION
    kind: str = "Trial"
    metadata: ObjectMeta
    spec: TrialSpec
    status: TrialStatus | None = None
