"""The client on a real API server: what each method does to objects, and what the server says when it will not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devcluster import Cluster
from rung.kube import errors
from rung.kube.access import Access
from rung.kube.client import Kube

pytestmark = pytest.mark.cluster


def a_job(name: str = "a", **pod: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "rung-trial:dev", "command": ["true"], **pod}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"rung.dev/study": "s"}},
        "spec": {"suspend": True, "template": {"spec": spec}},  # suspended: no pod is made of it
    }


def a_study(name: str = "s") -> dict[str, Any]:
    return {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [{"name": "x", "type": "Double", "min": "0", "max": "1"}],
            "trial": {"podTemplate": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
        },
    }


async def test_an_object_s_life(kube: Kube, namespace: str) -> None:
    made = await kube.create("jobs", namespace, a_job())
    with pytest.raises(errors.AlreadyExists):
        await kube.create("jobs", namespace, a_job())
    assert (await kube.get("jobs", namespace, "a"))["metadata"]["uid"] == made["metadata"]["uid"]
    changed = await kube.patch("jobs", namespace, "a", {"metadata": {"annotations": {"k": "v"}}})
    assert changed["metadata"]["annotations"] == {"k": "v"}
    with pytest.raises(errors.Conflict, match="UID"):
        await kube.delete("jobs", namespace, "a", uid="another")
    await kube.delete("jobs", namespace, "a", uid=made["metadata"]["uid"], grace_seconds=0)
    with pytest.raises(errors.NotFound):
        await kube.get("jobs", namespace, "a")


async def test_a_list_has_what_the_selectors_say_page_by_page(kube: Kube, namespace: str) -> None:
    await asyncio.gather(*(kube.create("jobs", namespace, a_job(f"j{n}")) for n in range(7)))
    other = a_job("other")
    other["metadata"]["labels"] = {"rung.dev/study": "t"}
    await kube.create("jobs", namespace, other)
    found = await kube.list("jobs", namespace, label_selector="rung.dev/study=s", limit=3)
    assert [job["metadata"]["name"] for job in found] == [f"j{n}" for n in range(7)]
    assert len(await kube.list("jobs", namespace, field_selector="metadata.name=other")) == 1
    everywhere = await kube.list("jobs", label_selector="rung.dev/study=t")
    assert namespace in {job["metadata"]["namespace"] for job in everywhere}


@pytest.mark.usefixtures("crds")
async def test_a_status_is_written_only_over_the_version_that_was_read(kube: Kube, namespace: str) -> None:
    await kube.create("studies", namespace, a_study())
    first = await kube.get("studies", namespace, "s")
    first["status"] = {"state": "Running"}
    written = await kube.replace_status("studies", namespace, "s", first)
    second = await kube.get("studies", namespace, "s")
    assert second["status"]["state"] == "Running"
    assert written["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    with pytest.raises(errors.Conflict):
        await kube.replace_status("studies", namespace, "s", {**first, "status": {"state": "Stale"}})
    del second["metadata"]["resourceVersion"]
    with pytest.raises(errors.Invalid, match="resourceVersion"):
        await kube.replace_status("studies", namespace, "s", second)


@pytest.mark.usefixtures("crds")
async def test_a_status_for_a_namesake_is_refused(kube: Kube, namespace: str) -> None:
    await kube.create("studies", namespace, a_study())
    old = await kube.get("studies", namespace, "s")
    await kube.delete("studies", namespace, "s", uid=old["metadata"]["uid"])
    await kube.create("studies", namespace, a_study())
    with pytest.raises(errors.Conflict):
        await kube.replace_status("studies", namespace, "s", {**old, "status": {"state": "Running"}})


async def test_a_dry_run_finds_what_the_author_mistyped_and_makes_nothing(kube: Kube, namespace: str) -> None:
    with pytest.raises(errors.Invalid, match="unknown field"):
        await kube.dry_run_job(namespace, a_job(imagee="x"))
    with pytest.raises(errors.Invalid) as caught:
        await kube.dry_run_job(namespace, a_job(resources={"limits": {"nvidia.com/gpu": "0.5"}}))
    assert caught.value.causes[0].field == "spec.template.spec.containers[0].resources.limits[nvidia.com/gpu]"
    assert await kube.dry_run_job(namespace, a_job()) == ()
    assert await kube.list("jobs", namespace) == []


async def test_a_dry_run_tells_what_pod_security_will_refuse(kube: Kube, namespace: str, cluster: Cluster) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    [warning] = await kube.dry_run_job(namespace, a_job())
    assert 'would violate PodSecurity "restricted' in warning
    assert '"c" must set securityContext.allowPrivilegeEscalation=false' in warning


async def test_a_full_quota_is_told_from_a_missing_right(kube: Kube, namespace: str, cluster: Cluster) -> None:
    cluster.kubectl("-n", namespace, "create", "quota", "none", "--hard=count/jobs.batch=0")

    def used() -> bool:
        found = cluster.api.request("GET", f"/api/v1/namespaces/{namespace}/resourcequotas/none")
        return "used" in found.get("status", {})

    cluster.wait_for("the quota to be counted", used, within=20)
    with pytest.raises(errors.Forbidden, match="exceeded quota") as caught:
        await kube.create("jobs", namespace, a_job())
    assert caught.value.quota_exceeded


async def test_a_user_without_rights_is_told_which_one_is_missing(namespace: str, cluster: Cluster) -> None:
    async with Kube(await Access.find(str(cluster.kubeconfig_for("default", namespace)))) as nobody:
        with pytest.raises(errors.Forbidden, match='cannot create resource "jobs"') as caught:
            await nobody.create("jobs", namespace, a_job())
    assert not caught.value.quota_exceeded
    assert (caught.value.verb, caught.value.resource) == ("create", "jobs")


async def test_a_pod_s_log_or_a_part_of_it(kube: Kube, namespace: str, cluster: Cluster) -> None:
    job = a_job(command=["sh", "-c", "echo one; echo two; echo three"])
    del job["spec"]["suspend"]
    await kube.create("jobs", namespace, job)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Complete", "job/a", "--timeout=30s")
    [pod] = await kube.list("pods", namespace)
    name = pod["metadata"]["name"]
    assert await kube.pod_log(namespace, name) == b"one\ntwo\nthree\n"
    assert await kube.pod_log(namespace, name, container="c", tail_lines=1) == b"three\n"
    assert await kube.pod_log(namespace, name, limit_bytes=5) == b"one\nt"
    stamped = await kube.pod_log(namespace, name, timestamps=True, since_time="2001-01-01T00:00:00Z")
    assert [line.split(b" ")[1] for line in stamped.splitlines()] == [b"one", b"two", b"three"]
    with pytest.raises(errors.NotFound):
        await kube.pod_log(namespace, "nobody")


@pytest.mark.usefixtures("crds")
async def test_what_the_server_serves(kube: Kube) -> None:
    assert {"studies", "trials", "studies/status"} <= await kube.served("rung.dev/v1alpha1")
    assert await kube.served("nobody.dev/v1") == frozenset()
