"""The status of a study: what it found and why, of constant size however many trials it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rung.api.checkpoints import location
from rung.api.conditions import set_condition
from rung.api.facts import TrialState, Verdict
from rung.api.names import trial_name
from rung.api.study import StudyStatus
from rung.brain import Plan, StudyState, StudyVerdict, Trials
from rung.brain.board import Incumbent
from rung.brain.population import lineage, remark
from rung.executor.record import gpu_hours, printed, rfc3339, rfc3339_seconds

FRONT_POINTS = 32  # the schema's bounds
RUNG_ROWS = 128

ACCEPTED, RUNNING, SUSPENDED, SUCCEEDED, FAILED = "Accepted", "Running", "Suspended", "Succeeded", "Failed"


def study_status(
    plan: Plan,
    trials: Trials,
    verdict: StudyVerdict,
    previous: StudyStatus | None,
    now: float,
    *,
    created: int,
    frozen_hash: str,
    note: str = "",
    volume: str | None = None,
) -> StudyStatus:
    """The whole status. `note` is appended to the Running condition: what keeps trials from starting, say. `volume`: the
    folder that stands for the checkpoints' volume, where there is no cluster.
    """
    spent = trials.ledger(now)
    known = previous or StudyStatus()
    ended_at = (known.ended_at or rfc3339(now)) if verdict.over else None
    progress = str(trials.done)
    document: dict[str, Any] = {
        "observedGeneration": plan.study.metadata.generation,
        "conditions": _conditions(plan, known, verdict, now, note),
        "startedAt": known.started_at or rfc3339(now),
        "endedAt": ended_at,
        "frozenHash": frozen_hash,
        "state": verdict.state.value,
        "progress": f"{progress}/{plan.trial_limit}" if plan.trial_limit is not None else progress,
        "gpuHours": gpu_hours(spent.used),
        "trials": _counts(trials, created),
        "best": _best(plan, trials, volume),
        "paretoFront": _front(plan, trials) if len(plan.measure.goals) > 1 else [],
        "rungs": _rungs(plan, trials),
        "warmStart": list(known.warm_start if plan.sources is None else plan.marks),
        "gpuSeconds": {"used": round(spent.used), "saved": round(spent.saved), "wasted": round(spent.wasted)},
    }
    return StudyStatus.model_validate({k: v for k, v in document.items() if v not in (None, "", [], {})})


def refused_status(
    generation: int | None, previous: StudyStatus | None, reason: str, message: str, now: float
) -> StudyStatus:
    """The study as written cannot run. What is known of earlier trials stays."""
    return _not_running(generation, previous, ("False", reason, message), "NotAccepted", "Refused", now)


def waiting_status(
    generation: int | None, previous: StudyStatus | None, reason: str, message: str, now: float
) -> StudyStatus:
    """The study is well written; whether it can run is not known before another one has ended."""
    return _not_running(generation, previous, ("Unknown", reason, message), reason, "Waiting", now)


def _not_running(
    generation: int | None,
    previous: StudyStatus | None,
    accepted: tuple[str, str, str],
    reason: str,
    state: str,
    now: float,
) -> StudyStatus:
    """Accepted as given, and no other condition true."""
    known = previous or StudyStatus()
    moment = rfc3339_seconds(now)
    status, why, message = accepted
    conditions = set_condition(tuple(known.conditions), ACCEPTED, status, why, message[:4096], moment, generation or 0)
    for kind in (RUNNING, SUCCEEDED, FAILED, SUSPENDED):
        if kind == RUNNING or any(c.type == kind for c in conditions):
            see = "see condition Accepted"
            conditions = set_condition(conditions, kind, "False", reason, see, moment, generation or 0)
    return known.model_copy(update={"conditions": tuple(conditions), "state": state, "observed_generation": generation})


def not_permitted_status(generation: int | None, previous: StudyStatus | None, message: str, now: float) -> StudyStatus:
    """The operator lacks a right. Nothing is known of the study's trials meanwhile, so nothing else changes."""
    known = previous or StudyStatus()
    words = f"the operator is not permitted: {message}. Grant it the rights of the chart's role"[:4096]
    conditions = set_condition(
        tuple(known.conditions), RUNNING, "Unknown", "NotPermitted", words, rfc3339_seconds(now), generation or 0
    )
    return known.model_copy(update={"conditions": tuple(conditions)})


def _conditions(plan: Plan, known: StudyStatus, verdict: StudyVerdict, now: float, note: str) -> list[dict[str, Any]]:
    generation = plan.study.metadata.generation or 0
    moment = rfc3339_seconds(now)
    conditions = set_condition(
        tuple(known.conditions), ACCEPTED, "True", "Accepted", _accepted(plan), moment, generation
    )
    message = f"{verdict.message}. {note}" if note else verdict.message
    for state in StudyState:
        holds = state is verdict.state
        if not holds and state in {StudyState.SUSPENDED, StudyState.FAILED} and not _ever(known, state.value):
            continue  # a condition that was never true need not be listed
        conditions = set_condition(
            conditions,
            state.value,
            "True" if holds else "False",
            verdict.reason,
            message[:4096],
            moment,
            generation,
        )
    return [c.model_dump(by_alias=True, exclude_none=True, mode="json") for c in conditions]


def _accepted(plan: Plan) -> str:
    gone = [source.mark.name for source in plan.sources or () if source.gone]
    notes = [f"{', '.join(gone)} was deleted and contributes nothing more" if gone else "", remark(plan)]
    return "; ".join(["the study can run", *filter(None, notes)])


def _ever(known: StudyStatus, kind: str) -> bool:
    return any(c.type == kind for c in known.conditions)


def _counts(trials: Trials, created: int) -> dict[str, int]:
    counts = trials.counts
    return {
        "created": created,
        "active": len(trials.live),
        "pending": counts[TrialState.PENDING] + counts[TrialState.QUEUED],
        "running": counts[TrialState.RUNNING],
        "waiting": counts[TrialState.WAITING],
        "succeeded": counts[TrialState.SUCCEEDED],
        "stopped": counts[TrialState.STOPPED],
        "failed": counts[TrialState.FAILED],
        "infeasible": counts[TrialState.INFEASIBLE],
        "known": counts[TrialState.KNOWN],
    }


def _best(plan: Plan, trials: Trials, volume: str | None) -> dict[str, Any] | None:
    best = trials.incumbent
    if best is None:
        return None
    facts = trials[best.number]
    value = plan.measure.goals[0].rank(best.objectives[0])
    document: dict[str, Any] = {
        "trial": trial_name(plan.study.metadata.name, best.number),
        "value": printed(value),
        "values": {g.figure.name: repr(g.rank(v)) for g, v in zip(plan.measure.goals, best.objectives, strict=True)},
        "parameters": plan.space.render(facts.parameters),
        "complete": best.complete,
    }
    if plan.runs_each > 1:
        document |= {"runs": best.runs, "confirmed": best.confirmed}
    known = {g.figure.name: printed(e) for g, e in zip(plan.measure.goals, best.errors, strict=False) if e is not None}
    if known:
        document["standardErrors"] = known
    if facts.descent is not None:
        document["lineage"] = _lineage(plan, trials, best.number)
    if facts.checkpoint_step is not None:
        document["checkpointStep"] = facts.checkpoint_step
        if plan.spec.trial.checkpoint is not None:
            target = facts.rungs[-1].step if facts.rungs else plan.target
            document["checkpoint"] = location(plan.study, best.number, facts.checkpoint_step, target, volume)
    return document


def _lineage(plan: Plan, trials: Trials, number: int) -> list[dict[str, Any]]:
    """What the best of a population is: not one assignment, but one after the other."""
    found = []
    for ancestor in lineage(trials, number):
        descent = trials[ancestor].descent if ancestor in trials else None
        since = 0.0 if descent is None or descent.step is None else descent.step
        found.append({"trial": trial_name(plan.study.metadata.name, ancestor), "since": since})
    return found


def _front(plan: Plan, trials: Trials) -> list[dict[str, Any]]:
    def point(incumbent: Incumbent) -> dict[str, Any]:
        values = [printed(g.rank(v)) for g, v in zip(plan.measure.goals, incumbent.objectives, strict=True)]
        return {"trial": trial_name(plan.study.metadata.name, incumbent.number), "values": values}

    return [point(incumbent) for incumbent in trials.front[:FRONT_POINTS]]


def _rungs(plan: Plan, trials: Trials) -> Sequence[dict[str, Any]]:
    """One row a rung: who reached it, who went on, who was stopped, and the best value there."""
    rows = []
    for bracket, step, rung in trials.table.rungs():
        verdicts = {v: trials.judged[bracket, step, v.value] for v in Verdict}
        best = next(iter(rung), None)
        rows.append(
            {
                "bracket": bracket,
                "step": step,
                "entered": len(rung),
                "promoted": verdicts[Verdict.CONTINUE],
                "stopped": verdicts[Verdict.STOP],
                "best": "" if best is None else printed(plan.measure.ranking.rank(best.value)),
            }
        )
    return rows[:RUNG_ROWS]
