"""What keeps trials from starting or from going on, in words: a missing right, a full quota, pods that admission refuses,
nodes that are full, a container beside the program that was out of memory.

A Job whose pod is refused says nothing of it: its status stays empty, and only a FailedCreate event on it tells (API conventions of
the Job controller). Nothing wakes a study for what happens to a Job without a pod, so such a Job is looked at again after a while.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.api.facts import AttemptPhase, TrialFacts
from rung.brain.endings import out_of_memory
from rung.executor.record import seconds_of
from rung.kube.errors import Forbidden

REFUSED_AFTER_SECONDS = 5.0
"""A pod is made within a second of its Job on a healthy cluster; beyond this the Job's events are asked."""

GONE_SECONDS = 1.0  # what became of a pod that is gone, its Job says within a second or two
LOOK_AGAIN_SECONDS = 15.0  # while pods stay refused: a quota may have been raised, and the event's words may change


@dataclass(frozen=True, slots=True)
class Obstacle:
    """In one line, for the study's Running condition; and when to look again."""

    note: str = ""
    look_again_after: float | None = None
    stuck: tuple[int, ...] = ()  # numbers of trials whose Job has no pod for long


def of_failures(failures: Sequence[Exception]) -> str:
    """What the last actions failed of; a missing right first, since it does not pass by itself."""
    for error in failures:
        if isinstance(error, Forbidden):
            return f"QuotaExceeded: {error}" if error.quota_exceeded else f"NotPermitted: {error}"
    return f"The last action failed and will be tried again: {failures[0]}" if failures else ""


async def find(
    unfinished: Sequence[TrialFacts],
    jobs: Mapping[tuple[int, int], Mapping[str, Any]],
    pods: Mapping[tuple[int, int], Mapping[str, Any]],
    now: float,
    failed_create: Callable[[Mapping[str, Any]], Awaitable[str]],
) -> Obstacle:
    """Look at the attempts that are queued or run. `failed_create` reads a Job's events; it is asked once, of the oldest."""
    waits: list[float] = []
    stuck: list[int] = []
    note = ""
    for facts in unfinished:
        live = facts.live
        if live is not None and live.phase is AttemptPhase.RUNNING and live.starved:
            note = note or f"Trial {facts.number} still runs; {out_of_memory(live.starved)}"
        if live is None or live.phase is not AttemptPhase.QUEUED:
            continue
        note = note or (f"Trial {facts.number} is queued: {live.message}" if live.message else "")
        job = jobs.get((facts.number, live.number))
        if job is None or (facts.number, live.number) in pods:
            continue
        if _counts_a_pod(job):
            waits.append(GONE_SECONDS)
            continue
        age = now - (seconds_of(job["metadata"].get("creationTimestamp")) or now)
        if age < REFUSED_AFTER_SECONDS:
            waits.append(REFUSED_AFTER_SECONDS - age)
            continue
        if not stuck:
            why = await failed_create(job)
            note = f"PodsRefused: {why}" if why else note
        stuck.append(facts.number)
        waits.append(LOOK_AGAIN_SECONDS)
    return Obstacle(note, min(waits, default=None), tuple(stuck))


def _counts_a_pod(job: Mapping[str, Any]) -> bool:
    """Its status still tells of a pod, which was not listed: removed by force, or not listed yet."""
    status: Mapping[str, Any] = job.get("status") or {}
    return any(status.get(name) for name in ("active", "ready", "terminating"))
