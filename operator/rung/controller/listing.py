"""What the API server holds of one study now: listed fresh, and only what is ours.

Finished trials are listed once in the life of a process; then only unfinished ones are asked for (field selector
`status.finished!=true`, which includes objects that have no status yet). Ownership is by UID: a namesake's leftovers are nobody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rung.api.facts import TrialFacts, merged
from rung.api.names import STUDY_LABEL, STUDY_UID_LABEL, trial_name
from rung.api.study import Study
from rung.api.trial import Trial
from rung.brain import Plan, Trials
from rung.controller.memory import Memory, TrialObject
from rung.controller.sight import attempt_number, controller_uid, trial_number
from rung.executor.record import facts_of
from rung.kube.client import Kube
from rung.kube.errors import NotFound


@dataclass(slots=True)
class Listed:
    """What the API server holds of one study now."""

    trials: list[dict[str, Any]]
    jobs: dict[tuple[int, int], dict[str, Any]]  # by trial number and attempt; ours alone
    pods: dict[tuple[int, int], dict[str, Any]]


async def list_children(kube: Kube, study: Study, memory: Memory) -> Listed:
    """Trials, Jobs and pods of the study. Jobs' UIDs are remembered, so that deletes can carry them."""
    namespace, name = study.key
    mine = f"{STUDY_LABEL}={name}"
    unfinished = None if memory.trials is None else "status.finished!=true"
    trials, jobs, pods = await asyncio.gather(
        kube.list("trials", namespace, label_selector=mine, field_selector=unfinished),
        kube.list("jobs", namespace, label_selector=mine),
        kube.list("pods", namespace, label_selector=mine),
    )
    uid = study.metadata.uid
    ours = [t for t in trials if controller_uid(t) == uid and not t["metadata"].get("deletionTimestamp")]
    owners = {o.uid for o in memory.objects.values()} | {t["metadata"]["uid"] for t in ours}
    mine_jobs = [job for job in jobs if controller_uid(job) in owners]
    memory.jobs = {job["metadata"]["name"]: job["metadata"]["uid"] for job in mine_jobs}
    mine_pods = [pod for pod in pods if pod["metadata"]["labels"].get(STUDY_UID_LABEL) == uid]
    return Listed(ours, _by_attempt(mine_jobs), _by_attempt(mine_pods))


async def known_trials(kube: Kube, study: Study, plan: Plan, memory: Memory, listed: Listed) -> Trials:
    """All trials, the unfinished ones as just listed. Those that left the list have finished or were deleted: ask."""
    if memory.trials is None:
        memory.trials = Trials(plan, (_facts(document, plan, memory) for document in listed.trials))
        return memory.trials
    trials = memory.trials
    seen = set()
    for document in listed.trials:
        number = document["spec"]["number"]
        seen.add(number)
        known = memory.objects.get(number)
        if known is not None and known.resource_version == document["metadata"]["resourceVersion"]:
            continue  # as this process has written or read it: what is in memory is the same, and newer in its curve
        facts = _facts(document, plan, memory)
        if number in trials:
            facts = replace(facts, curve=merged(facts.curve, trials[number].curve))
        trials.put(facts)
    for facts in trials.unfinished:
        if facts.number in seen:
            continue
        found = await get_or_none(kube, "trials", study.key.namespace, trial_name(study.key.name, facts.number))
        if found is None or controller_uid(found) != memory.uid:
            trials.drop(facts.number)
            memory.objects.pop(facts.number, None)
        else:
            trials.put(_facts(found, plan, memory))
    return trials


async def get_or_none(kube: Kube, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
    """The object, if it is there."""
    try:
        found: dict[str, Any] = await kube.get(resource, namespace, name)
    except NotFound:
        return None
    return found


def _facts(document: Mapping[str, Any], plan: Plan, memory: Memory) -> TrialFacts:
    """The record as read, and its identity remembered."""
    trial = Trial.model_validate(document)
    metadata, number = document["metadata"], trial.spec.number
    before = memory.objects.get(number)
    written_at = before.written_at if before is not None else 0.0
    memory.objects[number] = TrialObject(metadata["uid"], metadata["resourceVersion"], trial.status, written_at)
    return facts_of(trial, plan)


def _by_attempt(documents: Iterable[dict[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    """By trial number and attempt, from the labels; what lacks them only looks like ours."""
    return {
        (number, attempt_number(document)): document
        for document in documents
        if (number := trial_number(document)) is not None
    }
