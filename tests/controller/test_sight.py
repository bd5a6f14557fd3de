"""What a Job and its pod say of an attempt, as Kubernetes documents their statuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rung.api.facts import AttemptEnd, AttemptPhase
from rung.api.names import ATTEMPT_LABEL, TRIAL_LABEL
from rung.controller.sight import LOST_AFTER_SECONDS, attempt_of, trial_number

NOW = 1_760_000_000.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def labelled(attempt: int = 2) -> dict[str, Any]:
    return {"labels": {ATTEMPT_LABEL: str(attempt), TRIAL_LABEL: "7"}}


def a_job(**status: Any) -> dict[str, Any]:
    return {"metadata": labelled(), "status": status}


def a_pod(
    phase: str, state: dict[str, Any] | None = None, *, deleted: float | None = None, **status: Any
) -> dict[str, Any]:
    metadata = labelled()
    if deleted is not None:
        metadata["deletionTimestamp"] = at(deleted)
    containers = [{"name": "trial", "imageID": "sha256:1", "state": state}] if state else []
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node-1", "containers": [{"name": "trial"}]},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def terminated(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": at(-20), "finishedAt": at(-5), **more}}


DISRUPTION = [
    {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
]


@pytest.mark.parametrize(
    ("job", "pod", "phase", "end", "words"),
    [
        pytest.param(a_job(), None, AttemptPhase.QUEUED, None, "", id="a new Job has no pod yet"),
        pytest.param(a_job(), a_pod("Pending"), AttemptPhase.QUEUED, None, "", id="a pending pod is queued"),
        pytest.param(a_job(), a_pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient nvidia.com/gpu"}]), AttemptPhase.QUEUED, None, "Insufficient nvidia.com/gpu", id="why a pod waits is said"),
        pytest.param(a_job(), a_pod("Pending", {"waiting": {"reason": "ErrImagePull", "message": "not found"}}), AttemptPhase.QUEUED, None, "ErrImagePull: not found", id="an image that cannot be pulled is said"),
        pytest.param(a_job(), a_pod("Running", {"running": {"startedAt": at(-9)}}), AttemptPhase.RUNNING, None, "", id="a running pod runs"),
        pytest.param(a_job(), a_pod("Succeeded", terminated(0, "Completed")), AttemptPhase.ENDED, AttemptEnd.COMPLETED, "exit code 0", id="the pod has ended though the Job does not know it yet"),
        pytest.param(a_job(), a_pod("Failed", terminated(1)), AttemptPhase.ENDED, AttemptEnd.CRASHED, "exit code 1", id="a crash"),
        pytest.param(a_job(), a_pod("Failed", terminated(143)), AttemptPhase.ENDED, AttemptEnd.DISRUPTED, "143", id="a bare SIGTERM is a disruption"),
        pytest.param(a_job(), a_pod("Failed", terminated(1), conditions=DISRUPTION), AttemptPhase.ENDED, AttemptEnd.DISRUPTED, "EvictionByEvictionAPI", id="an evicted program may exit with any code"),
        pytest.param(a_job(), a_pod("Failed", terminated(137, "OOMKilled")), AttemptPhase.ENDED, AttemptEnd.OUT_OF_MEMORY, "OOMKilled", id="out of memory"),
        pytest.param(a_job(), a_pod("Failed", terminated(78)), AttemptPhase.ENDED, AttemptEnd.BAD_CONFIGURATION, "78", id="a bad configuration"),
        pytest.param(a_job(), a_pod("Failed", terminated(137), reason="DeadlineExceeded", message="Pod was active too long"), AttemptPhase.ENDED, AttemptEnd.TIMED_OUT, "too long", id="a timeout"),
        pytest.param(a_job(), a_pod("Failed", reason="Evicted", message="node was low on memory"), AttemptPhase.ENDED, AttemptEnd.DISRUPTED, "low on memory", id="an eviction by the node"),
        pytest.param(a_job(conditions=[{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "condition DisruptionTarget", "lastTransitionTime": at(-3)}]), None, AttemptPhase.ENDED, AttemptEnd.DISRUPTED, "DisruptionTarget", id="a failed Job whose pod is gone was disrupted"),
        pytest.param(a_job(failed=1), None, AttemptPhase.ENDED, AttemptEnd.DISRUPTED, "gone", id="so was one whose pod was deleted by hand"),
        pytest.param(None, a_pod("Running", {"running": {"startedAt": at(-9)}}, deleted=5), AttemptPhase.RUNNING, None, "", id="a pod that is ending still takes its slot"),
        pytest.param(None, a_pod("Running", {"running": {"startedAt": at(-900)}}, deleted=-LOST_AFTER_SECONDS - 1), AttemptPhase.ENDED, AttemptEnd.DISRUPTED, "lost", id="a pod that nobody ends sits on a lost node"),
    ],
)  # fmt: skip
def test_what_is_seen_of_an_attempt(
    job: dict[str, Any] | None, pod: dict[str, Any] | None, phase: AttemptPhase, end: AttemptEnd | None, words: str
) -> None:
    attempt = attempt_of(job, pod, NOW)
    assert attempt is not None
    assert (attempt.number, attempt.phase, attempt.end) == (2, phase, end)
    assert words in attempt.message


def a_served_pod(server: dict[str, Any], bench: int) -> dict[str, Any]:
    """A server as a native sidecar beside the program whose end is the trial's, as in an inference benchmark."""
    pod = a_pod("Failed" if bench else "Succeeded", terminated(bench))
    pod["status"]["initContainerStatuses"] = [{"name": "server", **server}]
    return pod


OOM = terminated(137, "OOMKilled")


@pytest.mark.parametrize(
    ("pod", "end", "code", "words"),
    [
        pytest.param(
            a_served_pod({"state": OOM}, 1), AttemptEnd.OUT_OF_MEMORY, 1, "container server", id="it was out of memory"
        ),
        pytest.param(
            a_served_pod({"state": {"running": {}}, "lastState": OOM}, 1),
            AttemptEnd.OUT_OF_MEMORY,
            1,
            "container server",
            id="it was, and runs again",
        ),
        pytest.param(
            a_served_pod({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": OOM}, 1),
            AttemptEnd.OUT_OF_MEMORY,
            1,
            "container server",
            id="it was, again and again",
        ),
        pytest.param(
            a_served_pod({"state": terminated(143)}, 65),
            AttemptEnd.CRASHED,
            65,
            "65",
            id="ended when the other was through",
        ),
        pytest.param(
            a_served_pod({"state": terminated(137)}, 0),
            AttemptEnd.COMPLETED,
            0,
            "exit code 0",
            id="killed after a success",
        ),
    ],
)
def test_the_end_of_a_sidecar(pod: dict[str, Any], end: AttemptEnd, code: int, words: str) -> None:
    attempt = attempt_of(a_job(), pod, NOW)
    assert attempt is not None
    assert (attempt.end, attempt.exit_code) == (end, code)
    assert words in attempt.message


@pytest.mark.parametrize("bench", [0, None], ids=["the program left with 0", "the program runs"])
def test_a_sidecars_want_of_memory_is_kept_whatever_the_program_does(bench: int | None) -> None:
    pod = a_served_pod({"state": OOM}, 0) if bench == 0 else a_pod("Running", {"running": {"startedAt": at(-9)}})
    pod["status"]["initContainerStatuses"] = [{"name": "server", "state": OOM}]
    attempt = attempt_of(a_job(), pod, NOW)
    assert attempt is not None
    assert (attempt.starved, attempt.end) == ("server", AttemptEnd.COMPLETED if bench == 0 else None)


def test_an_init_container_that_failed_is_the_one_to_name() -> None:
    pod = a_pod("Failed", {"waiting": {"reason": "PodInitializing"}})
    pod["status"]["initContainerStatuses"] = [{"name": "data", "state": terminated(3)}]
    attempt = attempt_of(a_job(), pod, NOW)
    assert attempt is not None
    assert (attempt.end, attempt.exit_code) == (AttemptEnd.CRASHED, 3)


def test_the_images_digest_is_kept() -> None:
    attempt = attempt_of(a_job(), a_pod("Running", {"running": {"startedAt": at(-9)}}), NOW)
    assert attempt is not None
    assert attempt.image_id == "sha256:1"


def test_the_main_container_gives_the_times_and_an_ended_one_the_slot() -> None:
    pod = a_pod("Running", {"running": {"startedAt": at(-9)}})
    pod["status"]["containerStatuses"].insert(0, {"name": "sidecar", "state": {"running": {"startedAt": at(-30)}}})
    attempt = attempt_of(a_job(), pod, NOW)
    assert attempt is not None
    assert attempt.started_at == NOW - 9
    assert attempt.live


def test_nothing_there_is_no_attempt() -> None:
    assert attempt_of(None, None, NOW) is None


@pytest.mark.parametrize(
    ("labels", "want"), [({TRIAL_LABEL: "7"}, 7), ({TRIAL_LABEL: "x"}, None), ({}, None), (None, None)]
)
def test_an_object_without_our_label_is_not_ours(labels: dict[str, str] | None, want: int | None) -> None:
    assert trial_number({"metadata": {"labels": labels}}) == want
