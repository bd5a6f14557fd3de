"""The Study: one search, as its author writes it; and `parse_study`, the one door through which documents come in.

What a schema or a rule can see is checked here, in Python, as an API server checks it by the CRD: `rung run` needs no
server. What needs more (grammar of expressions, circles of conditions, an empty region) is checked when a Study is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import Field, ValidationError

from rung.api.base import ApiModel, JsonObject, problems, rule
from rung.api.conditions import Condition
from rung.api.errors import InvalidStudy
from rung.api.limits import Aggregate, Limits, Repeats, RepeatsOf, resolved_assignments, resolved_trials
from rung.api.metrics import Extract, FileFormat, FileSource, MetricSource, MetricsSpec
from rung.api.names import API_VERSION, MAX_STUDY_NAME
from rung.api.objectives import Direction, Objective, OutcomeConstraint, Reduce
from rung.api.parameters import Parameter, ParameterType, Prior, Role, Scale, When
from rung.api.refusals import Refusal, did_you_mean, duplicates, first_of, refusals_of
from rung.api.sampler import CmaesOptions, Restarts, SamplerSpec, SamplerType
from rung.api.scalars import LABEL_PATTERN
from rung.api.scheduler import MedianStopOptions, Mode, PbtOptions, RankBy, Resource, SchedulerSpec, SchedulerType
from rung.api.spec import StudySpec
from rung.api.status import Best, FrontPoint, GpuSeconds, RungRow, StartedFrom, StudyStatus, TrialCounts
from rung.api.template import Checkpoint, Infeasible, KeepJobs, Outcome, Pods, Retain, TemplateMetadata, TrialTemplate
from rung.api.warm_start import Use, WarmStart, WarmStartPoint, WarmStartStudy

__all__ = [
    "Aggregate",
    "ApiModel",
    "Best",
    "Checkpoint",
    "CmaesOptions",
    "Condition",
    "Direction",
    "Extract",
    "FileFormat",
    "FileSource",
    "FrontPoint",
    "GpuSeconds",
    "Infeasible",
    "KeepJobs",
    "Limits",
    "MedianStopOptions",
    "MetricSource",
    "MetricsSpec",
    "Mode",
    "ObjectMeta",
    "Objective",
    "Outcome",
    "OutcomeConstraint",
    "Parameter",
    "ParameterType",
    "PbtOptions",
    "Pods",
    "Prior",
    "RankBy",
    "Reduce",
    "Repeats",
    "RepeatsOf",
    "Resource",
    "Restarts",
    "Retain",
    "Role",
    "RungRow",
    "SamplerSpec",
    "SamplerType",
    "Scale",
    "SchedulerSpec",
    "SchedulerType",
    "StartedFrom",
    "Study",
    "StudyKey",
    "StudySpec",
    "StudyStatus",
    "TemplateMetadata",
    "TrialCounts",
    "TrialTemplate",
    "Use",
    "WarmStart",
    "WarmStartPoint",
    "WarmStartStudy",
    "When",
    "parse_study",
    "resolved_assignments",
    "resolved_trials",
]

DEFAULT_NAMESPACE = "default"
_OPAQUE = frozenset({"podTemplate", "manifest"})
"""Fields of whose inside nothing is known: a null may have a meaning there."""


class StudyKey(NamedTuple):
    """Which Study is meant, among all of a cluster."""

    namespace: str
    name: str


class ObjectMeta(ApiModel):
    """The part of metav1.ObjectMeta that Rung reads."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[JsonObject, ...] = ()


class Study(ApiModel):
    """A Study is one search for the best parameters: Rung starts trials, compares them while they run, and stops the losers."""

    api_version: str = Field(default=API_VERSION, alias="apiVersion")
    kind: str = "Study"
    metadata: ObjectMeta
    spec: StudySpec = Field(description="What to search and how. Only objectives, parameters and trial are required.")
    status: StudyStatus | None = Field(default=None, description="What was found and why. Written by the operator.")

    @property
    def key(self) -> StudyKey:
        """Namespace and name."""
        return StudyKey(self.metadata.namespace or DEFAULT_NAMESPACE, self.metadata.name)

    @rule(
        f"size(self.metadata.name) <= {MAX_STUDY_NAME}",
        "metadata.name is too long for the names of trials and pods",
        says=f"'metadata.name has %d characters; at most {MAX_STUDY_NAME}, so that trial and pod names fit in 63'"
        ".format([size(self.metadata.name)])",
        at=".metadata.name",
    )
    def _short_name(self) -> str | None:
        length = len(self.metadata.name)
        if length <= MAX_STUDY_NAME:
            return None
        return f"metadata.name has {length} characters; at most {MAX_STUDY_NAME}, so that trial and pod names fit in 63"

    @rule(
        f"self.metadata.name.matches('{LABEL_PATTERN}')",
        "metadata.name must be a DNS label: lower case letters, digits and dashes, no dots",
        at=".metadata.name",
    )
    def _plain_name(self) -> str | None:
        if re.fullmatch(LABEL_PATTERN, self.metadata.name):
            return None
        return "metadata.name must be a DNS label: lower case letters, digits and dashes, no dots"


def parse_study(document: Mapping[str, Any], *, strict: bool = False) -> Study:
    """The Study that a document describes. `strict`: unknown fields are errors, as they should be in a file.

    From an API server they pass, since a newer CRD may meet an older operator. Raises InvalidStudy with the path of the
    first field that is wrong; its message names a few of the others too.
    """
    if not isinstance(document, Mapping):
        raise InvalidStudy("document", f"must be an object with apiVersion: {API_VERSION} and kind: Study")
    refusals = _head(document)
    if strict:
        known = [Study.outside_name(name) for name in Study.model_fields]
        for name in document:
            if name not in known:
                refusals.append((str(name), "unknown field" + did_you_mean(str(name), known)))
    metadata = _part(ObjectMeta, document.get("metadata"), "metadata", refusals, strict=False)
    spec = _part(StudySpec, document.get("spec"), "spec", refusals, strict=strict)
    status = None
    if document.get("status"):
        status = _part(StudyStatus, document["status"], "status", refusals, strict=False)
    if refusals or metadata is None or spec is None:
        raise first_of(refusals)
    study = Study(metadata=metadata, spec=spec, status=status)
    refusals = [*duplicates(spec, "spec"), *problems(study, "")]
    if refusals:
        raise first_of(refusals)
    return study


Part = TypeVar("Part", bound=ApiModel)


def _part(model: type[Part], document: object, path: str, refusals: list[Refusal], *, strict: bool) -> Part | None:
    if document is None:
        refusals.append((path, "is required"))
        return None
    try:
        return model.model_validate(
            _without_nulls(document), extra="forbid" if strict else "ignore", by_alias=True, by_name=False
        )
    except ValidationError as error:
        refusals.extend(refusals_of(error, model, path))
        return None


def _head(document: Mapping[str, Any]) -> list[Refusal]:
    found = []
    if document.get("apiVersion") != API_VERSION:
        found.append(("apiVersion", f"must be {API_VERSION}, got {document.get('apiVersion')}"))
    if document.get("kind") != "Study":
        found.append(("kind", f"must be Study, got {document.get('kind')}"))
    return found


def _without_nulls(value: object) -> object:
    """A null is an absent field, as an API server sees it."""
    if isinstance(value, Mapping):
        return {
            key: item if key in _OPAQUE else _without_nulls(item) for key, item in value.items() if item is not None
        }
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
