"""Events on a real API server: one per reason and object within ten minutes, never a failure, never a wait."""

from __future__ import annotations

from typing import Any

import pytest

from devcluster import Cluster
from rung.kube.access import Access
from rung.kube.bucket import TokenBucket
from rung.kube.client import Kube
from rung.kube.events import QUEUE, TOGETHER_SECONDS, EventRecorder

pytestmark = pytest.mark.cluster


def a_reference(namespace: str, name: str = "digits", uid: str = "u-1") -> dict[str, Any]:
    return {"apiVersion": "rung.dev/v1alpha1", "kind": "Study", "namespace": namespace, "name": name, "uid": uid}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def events_of(kube: Kube, namespace: str, uid: str = "u-1") -> list[tuple[str, str, str, int]]:
    found = await kube.list_events(namespace, uid=uid)
    return sorted((e["type"], e["reason"], e["message"], e["count"]) for e in found)


async def test_the_same_reason_for_the_same_object_is_one_event_with_the_newest_message(
    kube: Kube, namespace: str
) -> None:
    recorder = EventRecorder(kube)
    recorder.post(a_reference(namespace), "Normal", "Stopped", "first")
    await recorder.flush()
    recorder.post(a_reference(namespace), "Normal", "Stopped", "second")
    await recorder.flush()
    for number in range(3):
        recorder.post(a_reference(namespace), "Normal", "Stopped", f"third {number}")
    recorder.post(a_reference(namespace), "Warning", "Failed", "something else")
    recorder.post(a_reference(namespace, "other", "u-2"), "Normal", "Stopped", "another object")
    await recorder.flush()
    assert await events_of(kube, namespace) == [
        ("Normal", "Stopped", "third 2", 5),
        ("Warning", "Failed", "something else", 1),
    ]
    assert await events_of(kube, namespace, "u-2") == [("Normal", "Stopped", "another object", 1)]


async def test_after_ten_minutes_it_is_a_new_event(kube: Kube, namespace: str) -> None:
    clock = Clock()
    recorder = EventRecorder(kube, clock=clock)
    for moment, message in ((0.0, "a"), (TOGETHER_SECONDS, "b"), (2 * TOGETHER_SECONDS + 1, "c")):
        clock.now = moment
        recorder.post(a_reference(namespace), "Normal", "Stopped", message)
        await recorder.flush()
    assert await events_of(kube, namespace) == [("Normal", "Stopped", "b", 2), ("Normal", "Stopped", "c", 1)]


async def test_an_event_that_was_cleaned_up_is_written_anew(kube: Kube, namespace: str, cluster: Cluster) -> None:
    recorder = EventRecorder(kube)
    recorder.post(a_reference(namespace), "Normal", "Stopped", "a")
    await recorder.flush()
    cluster.kubectl("-n", namespace, "delete", "events", "--all")
    recorder.post(a_reference(namespace), "Normal", "Stopped", "b")
    await recorder.flush()
    assert await events_of(kube, namespace) == [("Normal", "Stopped", "b", 1)]


async def test_what_is_refused_is_lost_and_nobody_is_hurt(namespace: str, cluster: Cluster, kube: Kube) -> None:
    access = await Access.find(str(cluster.kubeconfig_for("default", namespace)))
    async with Kube(access) as nobody, EventRecorder(nobody) as recorder:
        recorder.post(a_reference(namespace), "Normal", "Stopped", "a")
        assert await recorder.failed_create({"metadata": {"namespace": namespace, "name": "j", "uid": "x"}}) == ""
    assert await events_of(kube, namespace) == []


async def test_what_waits_at_the_end_is_still_written(kube: Kube, namespace: str) -> None:
    async with EventRecorder(kube) as recorder:
        recorder.post(a_reference(namespace), "Normal", "Stopped", "x" * 5000)
    [(_, _, message, _)] = await events_of(kube, namespace)
    assert len(message) == 1024


async def test_a_flood_drops_the_oldest_and_counts_them(kube: Kube, namespace: str) -> None:
    recorder = EventRecorder(kube, bucket=TokenBucket(1, 1))
    for number in range(QUEUE + 5):
        recorder.post(a_reference(namespace, uid=f"u-{number}"), "Normal", "Stopped", "a")
    assert recorder.dropped == 5


async def test_kubectl_describe_shows_them(kube: Kube, namespace: str, cluster: Cluster) -> None:
    cluster.kubectl("-n", namespace, "create", "configmap", "c")
    found = cluster.api.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/c")
    recorder = EventRecorder(kube)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": "c"}
    recorder.post({**reference, "uid": found["metadata"]["uid"]}, "Normal", "Stopped", "worse than the limit")
    await recorder.flush()
    described = cluster.kubectl("-n", namespace, "describe", "configmap", "c").stdout
    assert "worse than the limit" in described
    assert "rung" in described


async def test_why_a_job_has_no_pod(kube: Kube, namespace: str, cluster: Cluster) -> None:
    spec = {"restartPolicy": "Never", "serviceAccountName": "nobody", "containers": [{"name": "c", "image": "i"}]}
    job = await kube.create("jobs", namespace, {"metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}})
    recorder = EventRecorder(kube)
    path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=reason%3DFailedCreate"
    cluster.wait_for(
        "the Job controller to say why", lambda: bool(cluster.api.request("GET", path)["items"]), within=30
    )
    assert 'serviceaccount "nobody" not found' in await recorder.failed_create(job)
