"""What cannot change once trials exist, and why the rest may.

Frozen is all that a decision rests on: a trial that was decided under another search space would be no evidence. Until
the first trial exists everything may change, so that a refused Study can be mended. Free at any time: goals, roles, limits,
suspend, finish, metrics, retries and time-outs; points may be appended to warmStart.

Each entry holds the comparison in CEL, for the API server, and in Python, for executors that have none. The number of trials is
written after the trials themselves, so the operator also keeps a hash of the frozen fields (`status.frozenHash`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rung.api.base import JsonObject, Rule
from rung.api.parameters import Parameter
from rung.api.spec import StudySpec
from rung.api.warm_start import MAX_POINTS, WarmStart

TRIALS_EXIST = (
    "has(oldSelf.status) && has(oldSelf.status.trials) && has(oldSelf.status.trials.created) "
    "&& oldSelf.status.trials.created > 0"
)
WHAT_TO_DO = "cannot change once trials exist; create a new Study and use warmStart to carry results over"


@dataclass(frozen=True, slots=True)
class Frozen:
    """One field that is frozen: `same` in CEL, `part` in Python is what must compare equal."""

    field: str
    same: str
    part: Callable[[StudySpec], object]
    message: str = ""

    def as_rule(self) -> Rule:
        """For the root of the Study, where spec and status are both in sight."""
        message = self.message or f"{self.field} {WHAT_TO_DO}"
        return Rule(f"!({TRIALS_EXIST}) || ({self.same})", message, at=f".{self.field}")


def _whole(name: str) -> str:
    """A field that is always there: it has a default or is required."""
    return f"self.spec.{name} == oldSelf.spec.{name}"


def _optional(name: str, parent: str = "spec") -> str:
    """Adding and removing count as changes."""
    new, old = f"self.{parent}.{name}", f"oldSelf.{parent}.{name}"
    return f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"


def _projected(field: str, required: tuple[str, ...], optional: tuple[str, ...], variable: str = "p") -> str:
    """The items of a list without those of their fields that may change."""

    def items(root: str) -> str:
        parts = [f"dyn({variable}.{name})" for name in required]
        parts += [f"has({variable}.{name}) ? dyn({variable}.{name}) : dyn('')" for name in optional]
        return f"{root}.spec.{field}.map({variable}, [{', '.join(parts)}])"

    # most writes are of the status: equal lists are known to be equal without being taken apart
    return f"self.spec.{field} == oldSelf.spec.{field} || {items('self')} == {items('oldSelf')}"


_PARAMETER_FIELDS = tuple(
    Parameter.outside_name(name) for name in Parameter.model_fields if name not in {"name", "type", "role"}
)
_POINTS = "self.spec.warmStart.points"
_OLD_POINTS = "oldSelf.spec.warmStart.points"
_INDICES = "[" + ", ".join(str(i) for i in range(MAX_POINTS)) + "]"
_APPENDED = (
    f"!has(oldSelf.spec.warmStart) || !has({_OLD_POINTS}) || (has(self.spec.warmStart) && has({_POINTS}) && "
    f"({_POINTS} == {_OLD_POINTS} || {_POINTS}.size() >= {_OLD_POINTS}.size() && "
    # a list of numbers, since comprehensions with an index need Kubernetes 1.33
    f"{_INDICES}.all(i, i >= {_OLD_POINTS}.size() || {_POINTS}[i] == {_OLD_POINTS}[i])))"
)
_STUDIES = (
    "(has(self.spec.warmStart) && has(self.spec.warmStart.studies)) == "
    "(has(oldSelf.spec.warmStart) && has(oldSelf.spec.warmStart.studies)) && "
    "(!has(self.spec.warmStart) || !has(self.spec.warmStart.studies) || "
    "self.spec.warmStart.studies == oldSelf.spec.warmStart.studies)"
)

FROZEN: tuple[Frozen, ...] = (
    Frozen(
        "spec.parameters",
        _projected("parameters", ("name", "type"), _PARAMETER_FIELDS),
        lambda spec: tuple(parameter.model_copy(update={"role": None}) for parameter in spec.parameters),
        f"spec.parameters (but not roles) {WHAT_TO_DO}",
    ),
    Frozen("spec.parameterConstraints", _optional("parameterConstraints"), lambda spec: spec.parameter_constraints),
    Frozen(
        "spec.objectives",
        _projected(
            "objectives",
            ("metric", "direction", "reduce"),
            ("expression", "standardErrorMetric", "reference"),
            "o",
        ),
        lambda spec: tuple(objective.model_copy(update={"goal": None}) for objective in spec.objectives),
        f"spec.objectives (but not goals) {WHAT_TO_DO}",
    ),
    Frozen("spec.constraints", _optional("constraints"), lambda spec: spec.constraints),
    Frozen("spec.sampler", _whole("sampler"), lambda spec: spec.sampler),
    Frozen("spec.scheduler", _whole("scheduler"), lambda spec: spec.scheduler),
    Frozen("spec.repeats", _optional("repeats"), lambda spec: spec.repeats),
    Frozen("spec.seed", _whole("seed"), lambda spec: spec.seed),
    Frozen("spec.warmStart", _STUDIES, lambda spec: (spec.warm_start or WarmStart()).studies),
    Frozen(
        "spec.trial",
        f"{_optional('podTemplate', 'spec.trial')} && {_optional('manifest', 'spec.trial')}",
        lambda spec: (spec.trial.pod_template, spec.trial.manifest),
        f"spec.trial.podTemplate and spec.trial.manifest (but not retries and time-outs) {WHAT_TO_DO}",
    ),
)

POINTS_APPENDED = Rule(
    f"!({TRIALS_EXIST}) || {_APPENDED}",
    "spec.warmStart.points can only be appended to once trials exist: earlier points must stay as they are",
    at=".spec.warmStart",
)


def immutability() -> list[JsonObject]:
    """Entries of x-kubernetes-validations at the root of the Study."""
    return [frozen.as_rule().as_validation() for frozen in FROZEN] + [POINTS_APPENDED.as_validation()]


def frozen_changes(before: StudySpec, after: StudySpec) -> list[str]:
    """The frozen fields that differ; empty if `after` may follow `before` once trials exist."""
    changed = [frozen.field for frozen in FROZEN if frozen.part(before) != frozen.part(after)]
    known = before.warm_start.points if before.warm_start is not None else ()
    now = after.warm_start.points if after.warm_start is not None else ()
    if now[: len(known)] != known:
        changed.append("spec.warmStart.points")
    return changed
