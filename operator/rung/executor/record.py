"""A Trial object is the record of a trial, on a cluster, on a disk and in memory: `facts_of` reads it, `trial_of` writes it.

Everything that a decision may rest on survives the round trip, so a new process decides as the old one would have. Of a curve
64 points are kept: the ends, every rung, and the rest evenly spaced. Only finite figures are written, since an API
server refuses the whole object for one NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rung.api.conditions import set_condition
from rung.api.facts import (
    Assignment,
    Attempt,
    AttemptPhase,
    Descent,
    MetricSummary,
    Observation,
    RungRecord,
    TrialFacts,
    TrialState,
    Verdict,
)
from rung.api.names import number_of, trial_name
from rung.api.trial import Trial, TrialSpec, TrialStatus
from rung.brain.decisions import running_seconds
from rung.brain.plan import HOURS, Plan

# The schema's bounds: an API server refuses the whole object for one text that is too long.
CURVE_POINTS = 64
OUTPUTS, OUTPUT_LENGTH = 8, 256
IMAGE_ID_LENGTH = 512
LINE_LENGTH = 1024
PRINTED_DIGITS = 5


def rfc3339(moment: float | None) -> str | None:
    """Seconds since the epoch as metav1.MicroTime: parts of a second matter for trials of two seconds."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text: str | datetime | None) -> float | None:
    """The other way round."""
    if text is None:
        return None
    return (text if isinstance(text, datetime) else datetime.fromisoformat(text)).timestamp()


def facts_of(trial: Trial, plan: Plan) -> TrialFacts:
    """What the record says. `live` is what it says of the newest attempt, until something of it is seen."""
    return recorded(trial, plan.space.parse(trial.spec.parameters))


def recorded(trial: Trial, parameters: Assignment) -> TrialFacts:
    """The same of any study's trial, whose parameters have been read."""
    spec, status = trial.spec, trial.status or TrialStatus()
    known = spec.values is not None
    state = TrialState(status.state) if status.state else TrialState.KNOWN if known else TrialState.PENDING
    values = dict(status.values or {})
    if known:
        values = {name: float(text) for name, text in (spec.values or {}).items()}
    attempt_started = seconds_of(status.attempt_started_at)
    live = None
    if state in {TrialState.QUEUED, TrialState.RUNNING} and status.attempt:
        phase = AttemptPhase.RUNNING if state is TrialState.RUNNING else AttemptPhase.QUEUED
        live = Attempt(status.attempt, phase, started_at=attempt_started)
    return TrialFacts(
        number=spec.number,
        parameters=parameters,
        seed=spec.seed,
        bracket=spec.bracket,
        enqueued=spec.enqueued_from or spec.enqueued,
        repeat_of=spec.repeat_of,
        repeat=spec.repeat,
        descent=_descent(spec),
        stop_requested=spec.stop,
        state=state,
        attempt=status.attempt,
        crashes=status.crashes,
        disruptions=status.disruptions,
        rungs=tuple(
            RungRecord(r.step, r.value, r.order, Verdict(r.verdict), r.reason or "", r.best, tuple(r.others))
            for r in status.rungs
        ),
        curve=tuple(Observation(point.step, dict(point.values)) for point in status.curve),
        metrics={m.name: MetricSummary(m.last, m.min, m.max, m.sum, m.count, m.step) for m in status.metrics},
        values=values,
        outputs=dict(status.outputs or {}),
        checkpoint_step=status.checkpoint_step,
        checkpoints=tuple(status.checkpoints),
        gpus=status.gpus,
        seconds=status.seconds,
        lost_seconds=status.lost_seconds,
        started_at=seconds_of(status.started_at),
        ended_at=seconds_of(status.ended_at),
        reason=status.outcome or "",
        message=status.reason or "",
        live=live,
        node=status.node or "",
        image_id=status.image_id or "",
    )


def _descent(spec: TrialSpec) -> Descent | None:
    if spec.parent is None or spec.replaces is None or spec.replaced_at is None:
        return None
    return Descent(spec.replaces, spec.replaced_at, number_of(spec.parent), spec.parent_step)


def spec_of(facts: TrialFacts, plan: Plan) -> TrialSpec:
    """What never changes of a trial."""
    document: dict[str, Any] = {
        "study": plan.study.metadata.name,
        "number": facts.number,
        "parameters": plan.space.render(facts.parameters),
        "seed": facts.seed,
        "bracket": facts.bracket,
    }
    if facts.enqueued is not None:
        document["enqueuedFrom" if isinstance(facts.enqueued, str) else "enqueued"] = facts.enqueued
    if facts.repeat_of is not None:
        document |= {"repeatOf": facts.repeat_of, "repeat": facts.repeat}
    if (descent := facts.descent) is not None:
        document |= {"replaces": descent.replaces, "replacedAt": descent.rung}
        document["parent"] = trial_name(plan.study.metadata.name, descent.parent)
        if descent.step is not None:
            document["parentStep"] = _number(descent.step)
    if facts.state is TrialState.KNOWN:
        document["values"] = {name: repr(value) for name, value in facts.values.items()}
    return TrialSpec.model_validate(document)


def status_of(facts: TrialFacts, plan: Plan, previous: TrialStatus | None, now: float) -> TrialStatus:
    """The record of what is known now."""
    live = facts.live
    gpu_seconds = facts.gpus * running_seconds(facts, now)
    objective = _objective(facts, plan)
    document: dict[str, Any] = {
        "finished": facts.finished,
        "state": facts.state.value,
        "attempt": facts.attempt,
        "crashes": facts.crashes,
        "disruptions": facts.disruptions,
        "step": facts.step,
        "startedAt": rfc3339(facts.started_at),
        "endedAt": rfc3339(facts.ended_at),
        "attemptStartedAt": rfc3339(live.started_at) if live is not None else None,
        "objective": "" if objective is None else printed(objective),
        "rung": str(facts.rungs[-1].step) if facts.rungs else "",
        "gpuTime": duration(gpu_seconds) if facts.gpus else "",
        "parameters": " ".join(f"{k}={v}" for k, v in plan.space.shown(facts.parameters).items())[:256],
        "conditions": _conditions(facts, previous, now),
        "rungs": [_rung(record) for record in facts.rungs],
        "curve": [
            {"step": _number(o.step), "values": finite(o.values)} for o in thinned(facts.curve, plan.rungs(facts))
        ],
        "metrics": [_metric(name, summary) for name, summary in facts.metrics.items() if _is_finite(summary)],
        "values": finite(facts.values),
        "gpuSeconds": round(gpu_seconds, 3),
        "gpus": facts.gpus,
        "seconds": round(facts.seconds, 3),
        "lostSeconds": round(facts.lost_seconds, 3),
        "checkpointStep": facts.checkpoint_step,
        "checkpoints": [_number(step) for step in facts.checkpoints],
        "outputs": {name: text[:OUTPUT_LENGTH] for name, text in list(facts.outputs.items())[:OUTPUTS]},
        "node": facts.node,
        "imageId": facts.image_id[:IMAGE_ID_LENGTH],
        "outcome": facts.reason,
        "reason": facts.message[:LINE_LENGTH],
    }
    return TrialStatus.model_validate({k: v for k, v in document.items() if v not in (None, "", [], {})})


def trial_of(facts: TrialFacts, plan: Plan, previous: Trial | None, now: float) -> Trial:
    """The whole object, for bodies that keep it themselves."""
    status = status_of(facts, plan, previous.status if previous else None, now)
    if previous is not None:
        return previous.model_copy(update={"status": status})
    study = plan.study
    metadata = {"name": trial_name(study.metadata.name, facts.number), "namespace": study.metadata.namespace}
    document = {"metadata": {k: v for k, v in metadata.items() if v}, "spec": spec_of(facts, plan), "status": status}
    return Trial.model_validate(document)


def thinned(points: Sequence[Observation], rungs: Sequence[int], limit: int = CURVE_POINTS) -> Sequence[Observation]:
    """At most `limit` points: both ends, those that reached a rung, the rest evenly spaced over the indices."""
    curve = [o for o in points if any(math.isfinite(v) for v in o.values.values())]
    if len(curve) <= limit:
        return curve
    last = len(curve) - 1
    kept = {0, last}
    for rung in rungs:
        reached = next((i for i, o in enumerate(curve) if o.step >= rung), last)
        if len(kept) < limit:
            kept.add(reached)
    free = limit - len(kept)
    others = [i for i in range(len(curve)) if i not in kept]
    if free > 0:
        kept.update(others[(2 * k + 1) * len(others) // (2 * free)] for k in range(free))
    return [curve[i] for i in sorted(kept)]


def finite(values: Mapping[str, float]) -> dict[str, float | int]:
    """What may be written to an API server; whole numbers as such."""
    return {name: _number(value) for name, value in values.items() if math.isfinite(value)}


def printed(value: float) -> str:
    """Short enough for a column, exact enough to compare."""
    return f"{value:.{PRINTED_DIGITS}g}"


def duration(seconds: float) -> str:
    """As kubectl prints ages: 45s, 12m, 3h20m."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole}s"
    minutes = whole // 60
    return f"{minutes}m" if minutes < 180 else f"{minutes // 60}h{minutes % 60}m"


def gpu_hours(gpu_seconds: float) -> str:
    """For the GPU-H column."""
    return f"{gpu_seconds / HOURS:.2f}"


def _objective(facts: TrialFacts, plan: Plan) -> float | None:
    """The first objective: final if there is one, else as it stands."""
    name = plan.measure.goals[0].figure.name
    value = facts.values.get(name)
    if value is None and not facts.finished:
        value = plan.measure.goals[0].figure.of(facts)
    return value if value is not None and math.isfinite(value) else None


def _conditions(facts: TrialFacts, previous: TrialStatus | None, now: float) -> list[dict[str, Any]]:
    """Finished once the trial is; the state's name is its reason."""
    conditions = tuple(previous.conditions) if previous is not None else ()
    status = "True" if facts.finished else "False"
    reason = facts.reason or facts.state.value
    updated = set_condition(
        conditions, "Finished", status, reason, facts.message[:LINE_LENGTH], rfc3339_seconds(now), 0
    )
    return [c.model_dump(by_alias=True, exclude_none=True, mode="json") for c in updated]


def rfc3339_seconds(moment: float) -> str:
    """As metav1.Time is written: whole seconds."""
    return datetime.fromtimestamp(math.floor(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rung(record: RungRecord) -> dict[str, Any]:
    document: dict[str, Any] = {
        "step": record.step,
        "value": _number(record.value),
        "order": record.order,
        "verdict": record.verdict.value,
        "reason": record.reason[:256],
    }
    if record.best is not None:
        document["best"] = _number(record.best)
    if record.others:
        document["others"] = [_number(value) for value in record.others]
    return document


def _metric(name: str, s: MetricSummary) -> dict[str, Any]:
    figures = {"last": s.last, "min": s.min, "max": s.max, "sum": s.sum, "step": s.step}
    return {"name": name, "count": s.count, **{key: _number(value) for key, value in figures.items()}}


def _is_finite(s: MetricSummary) -> bool:
    return all(math.isfinite(v) for v in (s.last, s.min, s.max, s.sum, s.step))


def _number(value: float) -> float | int:
    """3.0 is stored as 3: a write that changes nothing must compare equal."""
    return int(value) if value == int(value) and abs(value) < 2**53 else value
