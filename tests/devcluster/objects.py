"""Builders and readers for the tests of the development cluster: a test names only what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devcluster import ApiError, Cluster

Object = dict[str, Any]
JOBS, PODS = "/apis/batch/v1/namespaces/default/jobs", "/api/v1/namespaces/default/pods"


def a_job(name: str, *command: str, gpus: int = 0, grace: int = 30, count: int = 1, **container: Any) -> Object:
    """A Job whose pods run a command."""
    limits = {"nvidia.com/gpu": gpus} if gpus else {}
    one = {"name": "main", "image": "rung-trial:dev", "resources": {"limits": limits}, **container}
    if command:
        one["command"] = list(command)
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": grace,
        "containers": [one],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "completions": count, "parallelism": count, "template": {"spec": spec}},
    }


def a_simulated_job(name: str, script: str, *, count: int = 1) -> Object:
    """A Job for the simulated node."""
    job = a_job(name, count=count, image="any", resources={"limits": {"rung.dev/simulated": "1"}})
    job["spec"]["template"]["metadata"] = {"annotations": {"rung.dev/simulate": script}}
    return job


def a_pod(name: str, *command: str, **spec: Any) -> Object:
    """A pod that runs a command."""
    container = {"name": "main", "image": "rung-trial:dev", "command": list(command)}
    body = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def pods_of(cluster: Cluster, job: str) -> list[Object]:
    """A Job's pods."""
    found: list[Object] = cluster.api.request("GET", f"{PODS}?labelSelector=job-name%3D{job}")["items"]
    return found


def phases(cluster: Cluster, job: str) -> list[str]:
    """The phases of a Job's pods."""
    return sorted(pod["status"]["phase"] for pod in pods_of(cluster, job))


def has_condition(cluster: Cluster, job: str, kind: str) -> Callable[[], bool]:
    """Whether a Job has a condition that is true."""

    def holds() -> bool:
        conditions = cluster.api.request("GET", f"{JOBS}/{job}")["status"].get("conditions", [])
        return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)

    return holds


def is_gone(cluster: Cluster, path: str) -> Callable[[], bool]:
    """Whether an object has vanished."""

    def gone() -> bool:
        try:
            cluster.api.request("GET", path)
        except ApiError as error:
            return error.status == 404
        return False

    return gone


def terminated(pod: Object) -> Object:
    """How a pod's first container has ended."""
    state: Object = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state
