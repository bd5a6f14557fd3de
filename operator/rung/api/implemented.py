"""What the schema promises and this version does not do yet: refused by name, so that nobody waits for what will not come.

The schema holds these fields from the first version on, since adding them later would break files. A refusal is
Accepted=False with reason NotImplemented.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rung.api.errors import InvalidStudy
from rung.api.metrics import MetricSource
from rung.api.scheduler import Mode
from rung.api.spec import StudySpec
from rung.api.template import Retain

NOT_IMPLEMENTED = "NotImplemented"

MODES = (Mode.STOP, Mode.RESTART)
SOURCES = frozenset(MetricSource) - {MetricSource.FILE}


def check_decidable(spec: StudySpec) -> None:
    """Raise InvalidStudy, reason NotImplemented, for the first field that asks for a decision nobody can take yet."""
    _check(_deciding(spec))


def check_runnable(spec: StudySpec) -> None:
    """The same for a field that asks how programs are started or read; where curves stand in for them, nobody asks."""
    _check(chain(_reading(spec), _running(spec)))


def _check(missing: Iterator[tuple[str, str]]) -> None:
    for field, message in missing:
        raise InvalidStudy(field, message, reason=NOT_IMPLEMENTED)


def not_implemented(spec: StudySpec) -> tuple[str, ...]:
    """The paths of all such fields."""
    return tuple(field for field, _ in chain(_deciding(spec), _reading(spec), _running(spec)))


def _deciding(spec: StudySpec) -> Iterator[tuple[str, str]]:
    """(field, what to do)."""
    yield from _search(spec)


def _search(spec: StudySpec) -> Iterator[tuple[str, str]]:
    scheduler = spec.scheduler
    if scheduler.mode is not None and scheduler.mode not in MODES:
        yield "spec.scheduler.mode", _later(f"use {' or '.join(MODES)}", scheduler.mode)


def _reading(spec: StudySpec) -> Iterator[tuple[str, str]]:
    metrics = spec.metrics
    if metrics.source not in SOURCES:
        yield "spec.metrics.source", _later("print the metrics, and use source Log", metrics.source)


def _running(spec: StudySpec) -> Iterator[tuple[str, str]]:
    trial = spec.trial
    if trial.checkpoint is not None and trial.checkpoint.retain is not Retain.ALL:
        yield "spec.trial.checkpoint.retain", _later("use All", trial.checkpoint.retain)
    if trial.manifest is not None:
        yield "spec.trial.manifest", _later("use podTemplate")
    for name, field in (("pods", trial.pods), ("succeeded", trial.succeeded), ("failed", trial.failed)):
        if field is not None:
            yield f"spec.trial.{name}", _later("use podTemplate, which needs none of it")
    if trial.promoted_priority_class is not None:
        yield "spec.trial.promotedPriorityClass", _later("leave it out, or set priorityClassName in the podTemplate")


def _later(what_to_do: str, value: str = "") -> str:
    """The one wording."""
    return f"{f'{value} is' if value else 'is'} not implemented yet; {what_to_do}"
