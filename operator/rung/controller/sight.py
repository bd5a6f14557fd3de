"""What a Job and its pod say about an attempt. Pure: raw API objects in, `Attempt` out.

The pod is asked first: the Job controller batches and lags it by seconds. Pods are read by what Kubernetes documents of them:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and KEP-3329 (DisruptionTarget, pod failure policy).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rung.api.facts import Attempt, AttemptEnd, AttemptPhase
from rung.api.names import ATTEMPT_LABEL, TRIAL_LABEL
from rung.brain.endings import out_of_memory
from rung.executor.words import last_words

Raw = Mapping[str, Any]

BAD_CONFIGURATION_EXIT = 78  # EX_CONFIG of sysexits.h; documented in docs/trial-contract.md
SIGTERM_EXIT = 143
SIGKILL_EXIT = 137
DEFAULT_GRACE_SECONDS = 30
LOST_AFTER_SECONDS = 30.0
"""Beyond its grace period a deleted pod that still has not ended sits on a node that is gone: no kubelet will ever say so."""


def attempt_of(job: Raw | None, pod: Raw | None, now: float) -> Attempt | None:
    """The attempt that this Job, this pod, or both belong to. None if neither is there."""
    if pod is not None:
        return _of_pod(pod, now)
    if job is None:
        return None
    number = attempt_number(job)
    failed = _condition(job, "Failed")
    gone = failed is not None or (job.get("status") or {}).get("failed", 0) or job["metadata"].get("deletionTimestamp")
    if not gone:
        complete = _condition(job, "Complete")
        if complete is not None:  # its pod was removed by hand, and ended well before that
            return _ended(
                number, AttemptEnd.COMPLETED, "the Job is complete", at=_time(complete.get("lastTransitionTime"))
            )
        return Attempt(number, AttemptPhase.QUEUED)
    said = "its pod is gone" if failed is None else f"its pod is gone: {failed.get('message') or failed.get('reason')}"
    at = _time((failed or {}).get("lastTransitionTime")) or now
    if failed is not None and failed.get("reason") == "DeadlineExceeded":
        return _ended(number, AttemptEnd.TIMED_OUT, "ran longer than its activeDeadlineSeconds", at=at)
    return _ended(number, AttemptEnd.DISRUPTED, said, at=at)


def attempt_number(obj: Raw) -> int:
    """The attempt's number from the label that the operator has set."""
    return int(obj["metadata"]["labels"][ATTEMPT_LABEL])


def trial_number(obj: Raw) -> int | None:
    """The trial's number from the label; None for an object that only looks like ours."""
    text = (obj["metadata"].get("labels") or {}).get(TRIAL_LABEL, "")
    return int(text) if text.isdecimal() else None


def controller_uid(obj: Raw) -> str | None:
    """UID of the owner that controls the object."""
    owners: Iterable[Raw] = obj["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def finished_pod(pod: Raw) -> bool:
    """Its containers have ended: it takes no slot and no GPU."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _of_pod(pod: Raw, now: float) -> Attempt:
    status: Raw = pod.get("status") or {}
    number = attempt_number(pod)
    node = (pod.get("spec") or {}).get("nodeName") or ""
    container = _main_container(pod)
    terminated: Raw = (container.get("state") or {}).get("terminated") or {}
    running: Raw = (container.get("state") or {}).get("running") or {}
    started = _time(terminated.get("startedAt") or running.get("startedAt"))
    image_id = container.get("imageID") or ""
    starved = _out_of_memory(pod)
    phase = status.get("phase")
    if phase in {"Succeeded", "Failed"}:
        return Attempt(
            number,
            AttemptPhase.ENDED,
            started,
            _time(terminated.get("finishedAt")) or now,
            *_end_of(pod, terminated, starved),
            node=node,
            image_id=image_id,
            starved=starved,
        )
    deleted = _time(pod["metadata"].get("deletionTimestamp"))
    if deleted is not None and now > deleted + LOST_AFTER_SECONDS:
        # deletionTimestamp already includes the grace period (API reference, ObjectMeta)
        message = f"node {node or 'unknown'} is lost: its pod was to end {now - deleted:.0f} s ago and nobody has said that it did"
        return Attempt(
            number, AttemptPhase.ENDED, started, deleted, AttemptEnd.DISRUPTED, None, message, collected=True, node=node
        )
    if phase == "Running" or (phase == "Unknown" and started is not None):
        return Attempt(
            number,
            AttemptPhase.RUNNING,
            started if started is not None else _time(status.get("startTime")) or now,
            ending=deleted is not None,
            node=node,
            image_id=image_id,
            starved=starved,
        )
    return Attempt(
        number, AttemptPhase.QUEUED, message=_why_queued(pod, container), ending=deleted is not None, node=node
    )


def _main_container(pod: Raw) -> Raw:
    """The status of the pod's first container in the order of the spec: the one whose end is the trial's."""
    first = (((pod.get("spec") or {}).get("containers")) or [{}])[0].get("name")
    statuses: list[Raw] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((s for s in statuses if s.get("name") == first), statuses[0] if statuses else {})


def _end_of(pod: Raw, terminated: Raw, starved: str) -> tuple[AttemptEnd, int | None, str]:
    """Why the pod ended. A disruption is looked for first: an evicted program exits with any code."""
    status: Raw = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return AttemptEnd.COMPLETED, 0, "exit code 0"
    code = terminated.get("exitCode")
    disrupted = _condition(pod, "DisruptionTarget")
    if disrupted is not None:
        said = disrupted.get("message") or disrupted.get("reason") or "disrupted"
        return AttemptEnd.DISRUPTED, code, f"{disrupted.get('reason', 'Disrupted')}: {said}"
    reason = status.get("reason") or ""
    if reason == "DeadlineExceeded":
        return AttemptEnd.TIMED_OUT, code, status.get("message") or "ran longer than its activeDeadlineSeconds"
    if reason in {"Evicted", "NodeLost", "Shutdown", "NodeShutdown", "Terminated", "Preempting"}:
        return AttemptEnd.DISRUPTED, code, f"{reason}: {status.get('message') or 'the node ended it'}"
    failing = _failing_container(pod, terminated)
    code = failing.get("exitCode", code)
    if starved:
        return AttemptEnd.OUT_OF_MEMORY, code, out_of_memory(starved)
    if code == BAD_CONFIGURATION_EXIT:
        return AttemptEnd.BAD_CONFIGURATION, code, "exit code 78: the program says that its configuration is bad"
    if code == SIGTERM_EXIT or pod["metadata"].get("deletionTimestamp"):
        return AttemptEnd.DISRUPTED, code, f"exit code {code} after SIGTERM"
    if code is None:
        return AttemptEnd.CRASHED, None, status.get("message") or reason or "the pod failed without running"
    words = last_words(failing.get("message") or "")
    said = f"exit code {code}: {words}" if words else f"exit code {code}"
    return AttemptEnd.CRASHED, code, said


def _failing_container(pod: Raw, main: Raw) -> Raw:
    """The end of the main container where that went badly, else of the first one that did, init containers first.

    A sidecar is ended by the kubelet when the main container is through: its exit code says nothing of the trial.
    """
    if main.get("exitCode"):
        return main
    ends = ((status.get("state") or {}).get("terminated") or {} for status in _containers(pod))
    return next((end for end in ends if end.get("exitCode")), main)


def _out_of_memory(pod: Raw) -> str:
    """The name of a container that the kernel ended for its memory, also a sidecar that was started again since."""
    for status in _containers(pod):
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            if (state.get("terminated") or {}).get("reason") == "OOMKilled":
                return str(status.get("name") or "unknown")
    return ""


def _containers(pod: Raw) -> list[Raw]:
    """The statuses of all containers, init containers (which sidecars are, too) first."""
    status: Raw = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _why_queued(pod: Raw, container: Raw) -> str:
    """What the pod waits for, in one line."""
    waiting: Raw = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") and waiting["reason"] not in {"ContainerCreating", "PodInitializing"}:
        return f"{waiting['reason']}: {waiting.get('message') or 'the container cannot start'}"
    scheduled = _condition(pod, "PodScheduled", "False")
    if scheduled is not None:
        return f"{scheduled.get('reason') or 'Unschedulable'}: {scheduled.get('message') or 'no node takes the pod'}"
    return ""


def _condition(obj: Raw, kind: str, status: str = "True") -> Raw | None:
    conditions: Iterable[Raw] = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind and c.get("status") == status), None)


def _ended(number: int, end: AttemptEnd, message: str, *, at: float | None) -> Attempt:
    return Attempt(
        number, AttemptPhase.ENDED, ended_at=at, end=end, message=message, collected=end is not AttemptEnd.COMPLETED
    )


def _time(text: str | None) -> float | None:
    """RFC 3339 to seconds since the epoch."""
    return None if not text else datetime.fromisoformat(text).timestamp()
