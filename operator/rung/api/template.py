"""How a trial runs: the pod's template or a manifest of any kind, retries, time-outs, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from rung.api.base import ApiModel, JsonObject, Keywords, rule
from rung.api.scalars import URI_PATTERN, ContainerName, ObjectName, Positive, Switch, Whole

DISRUPTED_EXIT = 143
"""128 + SIGTERM: how a trial says that it was interrupted and has written its checkpoint."""

BAD_CONFIGURATION_EXIT = 78
"""EX_CONFIG of sysexits.h: how a trial says that no retry can help."""

BUILT_IN_KINDS = ("Job", "JobSet", "TrainJob", "PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "RayJob")
"""Of these it is known when they have ended and which of their pods speaks."""

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
"""A DNS subdomain of 253, a slash, a name of 63."""

LabelValue = Annotated[str, Field(max_length=256)]
"""Longer than a label may be: a placeholder may stand in it."""


class KeepJobs(StrEnum):
    """Which ended Jobs stay for their logs."""

    FAILED = "Failed"
    ALL = "All"
    NONE = "None"


class Retain(StrEnum):
    """Which checkpoints are kept."""

    BEST = "Best"
    ALL = "All"
    NONE = "None"


class Infeasible(ApiModel):
    """Which ends of a trial mean that its configuration cannot work: knowledge for the sampler, not a failure."""

    exit_codes: Annotated[
        tuple[Annotated[Whole, Field(ge=1, le=255)], ...],
        Field(max_length=16),
        Keywords(x_kubernetes_list_type="set"),
    ] = Field(default=(), description="Exit codes by which the program says so, 1 to 255; 16 at most.")
    # false: memory may also run out because of a neighbour or a wrong limit, which retries and failedTrials should see.
    out_of_memory: Switch = Field(default=False, description="A container killed for memory is infeasible, not failed.")

    @rule(
        "!has(self.exitCodes) || !(143 in self.exitCodes)",
        "exit code 143 says that a trial was interrupted; choose another for infeasible",
        at=".exitCodes",
    )
    def _not_interrupted(self) -> str | None:
        if DISRUPTED_EXIT not in self.exit_codes:
            return None
        return "exit code 143 says that a trial was interrupted; choose another for infeasible"


class Checkpoint(ApiModel):
    """Where trials keep what they may resume from, one folder per trial, one checkpoint per step."""

    persistent_volume_claim: ObjectName | None = Field(
        default=None, description="A claim in the study's namespace; mounted into the trials."
    )
    uri: Annotated[str, Field(max_length=1024, pattern=URI_PATTERN)] | None = Field(
        default=None, description="A location that the trials reach by themselves: s3://bucket/folder."
    )
    # All: nothing is ever deleted unless somebody asks for it.
    retain: Retain = Field(
        default=Retain.ALL,
        description="Best: those of the best trials. All: everything. None: nothing once a trial has ended.",
    )

    @rule(
        "has(self.persistentVolumeClaim) != has(self.uri)",
        "checkpoint needs exactly one of persistentVolumeClaim and uri",
    )
    def _one_place(self) -> str | None:
        if (self.persistent_volume_claim is None) != (self.uri is None):
            return None
        return "checkpoint needs exactly one of persistentVolumeClaim and uri"


class TemplateMetadata(ApiModel):
    """Labels and annotations of the Job, or of the manifest's root: a Kueue queue, a cost centre."""

    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(
        default={}, description="Labels; 32 at most. Placeholders are replaced in the values."
    )
    annotations: Annotated[dict[LabelKey, Annotated[str, Field(max_length=1024)]], Field(max_length=32)] = Field(
        default={}, description="Annotations; 32 at most. Placeholders are replaced in the values."
    )


class Pods(ApiModel):
    """Which pods of a manifest belong to a trial, and which container speaks."""

    selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=16), Keywords(min_properties=1)] = Field(
        description="Labels of the pods; one value must contain $(trial.name), so that a trial never reads another's pods."
    )
    container: ContainerName | None = Field(
        default=None, description="The container that reports metrics; the first one if absent."
    )

    @rule(
        "self.selector.exists(k, self.selector[k].contains('$(trial.name)'))",
        "a value of pods.selector must contain $(trial.name)",
        at=".selector",
    )
    def _of_this_trial(self) -> str | None:
        if any("$(trial.name)" in value for value in self.selector.values()):
            return None
        return "a value of pods.selector must contain $(trial.name)"


class Outcome(ApiModel):
    """How a manifest of any kind shows that it has ended: by a condition, or by a field."""

    condition: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="Type of a condition in its status: Succeeded."
    )
    path: Annotated[str, Field(max_length=256, pattern=r"^\.")] | None = Field(
        default=None, description="Path of a field: .status.phase."
    )
    equals: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description='What it then says: Succeeded. With condition "True" if absent.'
    )

    @rule(
        "has(self.condition) != has(self.path)",
        "give exactly one of condition and path",
    )
    def _one_sign(self) -> str | None:
        return None if (self.condition is None) != (self.path is None) else "give exactly one of condition and path"

    @rule(
        "!has(self.path) || has(self.equals)",
        "path needs equals",
    )
    def _compared(self) -> str | None:
        return None if self.path is None or self.equals is not None else "path needs equals"


POD_TEMPLATE_SCHEMA: JsonObject = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "description": "A PodSpec, of which only this much is checked here; the rest by a dry run of the first Job.",
            "x-kubernetes-preserve-unknown-fields": True,
            "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array",
                    "description": "The trial's containers.",
                    "minItems": 1,
                    "maxItems": 32,
                    "x-kubernetes-list-type": "atomic",
                    "items": {
                        "type": "object",
                        "description": "A Container.",
                        "x-kubernetes-preserve-unknown-fields": True,
                        "required": ["name", "image"],
                        "properties": {
                            "name": {"type": "string", "description": "Its name.", "minLength": 1, "maxLength": 63},
                            "image": {"type": "string", "description": "Its image.", "minLength": 1, "maxLength": 1024},
                        },
                    },
                }
            },
        }
    },
}
"""Enough to refuse an empty template; all other fields of a pod pass as they are."""

MANIFEST_SCHEMA: JsonObject = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "x-kubernetes-embedded-resource": True,
}


class TrialTemplate(ApiModel):
    """How a trial runs."""

    # 1: a second crash of the same configuration is rarely bad luck. Disruptions are retried beside it.
    retries: Annotated[Whole, Field(ge=0, le=100)] = Field(
        default=1, description="Further attempts after a crash. Preempted, evicted or lost ones are retried for free."
    )
    timeout_seconds: Positive | None = Field(
        default=None, description="Seconds that an attempt may run; time in a queue does not count."
    )
    silence_seconds: Positive | None = Field(
        default=None,
        description="Seconds that a running attempt may go without one observation, as a hung collective does.",
    )
    infeasible: Infeasible | None = Field(
        default=None, description="Which ends of a trial mean that its configuration cannot work."
    )
    checkpoint: Checkpoint | None = Field(default=None, description="Where trials keep what they may resume from.")
    metadata: TemplateMetadata | None = Field(
        default=None, description="Labels and annotations of the Job, or of the manifest's root."
    )
    # Failed: their logs are wanted; ten thousand completed pods are not.
    keep_jobs: KeepJobs = Field(
        default=KeepJobs.FAILED,
        description="Which ended Jobs stay, with their pods and logs. Failed: those of failed trials. All: every one. None: "
        "not one. `rung run` keeps its logs alike.",
    )
    pod_template: Annotated[JsonObject, Keywords(**POD_TEMPLATE_SCHEMA)] | None = Field(
        default=None,
        description="Any PodTemplateSpec, with placeholders: $(params.NAME), $(resource.target), $(trial.name) and more. Give "
        "it or manifest.",
    )
    manifest: Annotated[JsonObject, Keywords(**MANIFEST_SCHEMA)] | None = Field(
        default=None,
        description="An object of any kind, with placeholders: a PyTorchJob, a JobSet, a RayJob. Give it or podTemplate.",
    )
    pods: Pods | None = Field(default=None, description="Which pods of the manifest speak. Built in for known kinds.")
    succeeded: Outcome | None = Field(
        default=None, description="How the manifest shows that it ended well. Built in for known kinds."
    )
    failed: Outcome | None = Field(
        default=None, description="How the manifest shows that it failed. Built in for known kinds."
    )
    promoted_priority_class: ObjectName | None = Field(
        default=None, description="PriorityClass of attempts that a scheduler has promoted."
    )

    def inner_problems(self) -> Iterator[tuple[str, str]]:
        """What the schemas of podTemplate and manifest refuse."""
        if self.pod_template is not None:
            yield from _template_problems(self.pod_template)
        if self.manifest is not None:
            for name in ("apiVersion", "kind"):
                if not isinstance(self.manifest.get(name), str) or not self.manifest[name]:
                    yield f".manifest.{name}", "is required: a string"

    @rule(
        "has(self.podTemplate) != has(self.manifest)",
        "exactly one of podTemplate and manifest is required",
    )
    def _one_template(self) -> str | None:
        if (self.pod_template is None) != (self.manifest is None):
            return None
        return "exactly one of podTemplate and manifest is required"

    @rule(
        "has(self.manifest) || (!has(self.pods) && !has(self.succeeded) && !has(self.failed))",
        "pods, succeeded and failed are only for manifest",
    )
    def _companions_apply(self) -> str | None:
        if self.manifest is not None or (self.pods is None and self.succeeded is None and self.failed is None):
            return None
        return "pods, succeeded and failed are only for manifest"

    @rule(
        f"!has(self.manifest) || self.manifest.kind in {list(BUILT_IN_KINDS)!r} || "
        "(has(self.pods) && has(self.succeeded))",
        "a manifest of this kind needs pods and succeeded",
        says="'a manifest of kind %s needs pods and succeeded: which pods speak, and when it has ended'"
        ".format([self.manifest.kind])",
    )
    def _kind_is_known(self) -> str | None:
        if self.manifest is None or (self.pods is not None and self.succeeded is not None):
            return None
        kind = self.manifest.get("kind")
        if kind in BUILT_IN_KINDS or not isinstance(kind, str):  # the schema says that it is missing
            return None
        return f"a manifest of kind {kind} needs pods and succeeded: which pods speak, and when it has ended"


def _template_problems(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What POD_TEMPLATE_SCHEMA refuses."""
    spec = template.get("spec")
    if not isinstance(spec, Mapping):
        yield ".podTemplate.spec", "is required: a PodSpec with at least one container"
        return
    path = ".podTemplate.spec.containers"
    containers = spec.get("containers")
    if not isinstance(containers, list) or not 1 <= len(containers) <= 32:
        yield path, "must be a list of 1 to 32 containers"
        return
    for index, container in enumerate(containers):
        if not isinstance(container, Mapping):
            yield f"{path}[{index}]", "must be an object"
            continue
        for name in ("name", "image"):
            if not isinstance(container.get(name), str) or not container[name]:
                yield f"{path}[{index}].{name}", "is required: a string"
