"""The status of a Study: what was found and why, of bounded size however many trials there are.

Bounds are the schema's alone: an operator must be able to read what another version has written.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rung.api.base import ApiModel, Keywords
from rung.api.conditions import Condition
from rung.api.scalars import Line, Moment, Name, Printed, Tally, Word

Conditions = Annotated[
    tuple[Condition, ...],
    Keywords(max_items=16, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["type"]),
]
Assignment = Annotated[dict[str, Annotated[str, Keywords(max_length=128)]], Keywords(max_properties=256)]
"""Values by parameter."""


class TrialCounts(ApiModel):
    """How many trials there are, by state."""

    created: Tally = Field(default=0, description="Numbers given out so far; a deleted trial never frees its number.")
    active: Tally = Field(default=0, description="With an attempt whose pod has not ended: they take a slot.")
    pending: Tally = Field(default=0, description="Waiting for an attempt or for a node.")
    running: Tally = Field(default=0, description="Running.")
    waiting: Tally = Field(default=0, description="At a synchronous rung, until the others have come.")
    succeeded: Tally = Field(default=0, description="Ended well.")
    stopped: Tally = Field(default=0, description="Ended by the scheduler, by hand or with the study.")
    failed: Tally = Field(default=0, description="Failed for good.")
    infeasible: Tally = Field(default=0, description="With a configuration that cannot work.")
    known: Tally = Field(default=0, description="Points with known values, never run.")


class Ancestor(ApiModel):
    """One stretch of a training that went on from trial to trial."""

    trial: Name = Field(description="Name of the Trial; its parameters are there.")
    since: float = Field(default=0, description="The step from which it trained.")


class Best(ApiModel):
    """The best trial so far, constraints considered."""

    trial: Name = Field(description="Name of the Trial.")
    value: Printed = Field(default="", description="Its first objective.")
    values: Annotated[dict[str, Printed], Keywords(max_properties=16)] = Field(
        default={}, description="Its objectives by name, in full precision."
    )
    standard_errors: Annotated[dict[str, Printed], Keywords(max_properties=4)] = Field(
        default={}, description="Of the objectives, where known: from repeats, or as the trial says."
    )
    runs: Tally | None = Field(default=None, description="With repeats: runs behind the values.")
    confirmed: bool | None = Field(
        default=None, description="With repeats: whether it was run as often as the study asks for."
    )
    parameters: Assignment = Field(default={}, description="Its parameters.")
    complete: bool = Field(default=False, description="Whether it was trained to the end, or stopped at a rung.")
    lineage: Annotated[tuple[Ancestor, ...], Keywords(max_items=33)] = Field(
        default=(),
        description="In a population: the trials whose checkpoints it rests on, the eldest first; it is the last.",
    )
    checkpoint_step: float | None = Field(default=None, description="Step of its newest complete checkpoint.")
    checkpoint: Annotated[str, Keywords(max_length=1024)] = Field(
        default="", description="Where that checkpoint lies: below the URI, or pvc://CLAIM/… in a volume."
    )


class FrontPoint(ApiModel):
    """One point of the Pareto front."""

    trial: Name = Field(description="Name of the Trial; its parameters are there.")
    values: Annotated[tuple[Printed, ...], Keywords(max_items=4)] = Field(
        default=(), description="Its objectives, in the order of spec.objectives."
    )


class RungRow(ApiModel):
    """What happened at one rung of one bracket."""

    bracket: Tally = Field(default=0, description="The bracket.")
    step: Tally = Field(default=0, description="Steps at which trials are compared.")
    entered: Tally = Field(default=0, description="Trials that came as far.")
    promoted: Tally = Field(default=0, description="Trials that went on.")
    stopped: Tally = Field(default=0, description="Trials that were stopped.")
    best: Printed = Field(default="", description="The best value there.")


class GpuSeconds(ApiModel):
    """Where GPU time went."""

    used: Tally = Field(default=0, description="Of all attempts.")
    saved: Tally = Field(default=0, description="Not spent because the scheduler stopped trials before their end.")
    wasted: Tally = Field(default=0, description="Of attempts that bought nothing: crashes, work lost to disruptions.")


class StartedFrom(ApiModel):
    """What of another study counts in this one. Fixed when this study starts, whatever becomes of the other."""

    name: Name = Field(description="Name of the other Study, in the same namespace.")
    uid: Word = Field(default="", description="Its UID, so that a namesake is not taken for it.")
    trials: Tally = Field(default=0, description="Those of its trials count whose number is below this one.")


class StudyStatus(ApiModel):
    """What was found and why."""

    observed_generation: Tally | None = Field(
        default=None, description="The generation of the spec that this status is about."
    )
    conditions: Conditions = Field(
        default=(),
        description="Accepted (Unknown while another study is waited for), Running, Suspended, Succeeded and Failed, each with "
        "its reason. Programs read these.",
    )
    state: Word = Field(default="", description="For the STATE column only: programs read the conditions.")
    progress: Word = Field(default="", description="For the TRIALS column only: finished of the limit, such as 12/64.")
    gpu_hours: Word = Field(default="", description="For the GPU-H column only.")
    trials: TrialCounts | None = Field(default=None, description="How many trials there are, by state.")
    best: Best | None = Field(default=None, description="The best trial so far.")
    pareto_front: Annotated[tuple[FrontPoint, ...], Keywords(max_items=32)] = Field(
        default=(), description="With several objectives: trials that no other beats in all of them; the first 32."
    )
    rungs: Annotated[tuple[RungRow, ...], Keywords(max_items=128)] = Field(
        default=(), description="What happened at each rung; 128 rows at most."
    )
    gpu_seconds: GpuSeconds | None = Field(default=None, description="Where GPU time went.")
    started_at: Moment | None = Field(default=None, description="When the study was first accepted.")
    ended_at: Moment | None = Field(default=None, description="When it ended; absent again once it is reopened.")
    warm_start: Annotated[
        tuple[StartedFrom, ...],
        Keywords(max_items=8, x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = Field(default=(), description="What of the studies of spec.warmStart.studies counts in this one.")
    frozen_hash: Word | None = Field(
        default=None, description="A fingerprint of the fields that cannot change once trials exist."
    )
    insights: Annotated[tuple[Line, ...], Keywords(max_items=8)] = Field(
        default=(), description="What the results suggest, a line each; 8 at most."
    )
