"""kopf on a real API server: every change names its study, nothing else is said, and no failure is for good."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devcluster import Cluster
from rung.api.study import StudyKey
from rung.kube.access import Access
from rung.kube.client import Kube
from rung.kube.triggers import Triggers
from tests.kube.proxy import Proxy, access_through
from tests.kube.test_client_on_cluster import a_study

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

WAIT_SECONDS = 20.0


class Heard:
    """What the triggers have said, and a way to wait for the next word about one study."""

    def __init__(self) -> None:
        self.keys: list[StudyKey] = []
        self.threads: set[int] = set()
        self._said = asyncio.Condition()

    def __call__(self, key: StudyKey) -> None:
        self.keys.append(key)
        self.threads.add(threading.get_ident())
        self._task = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        async with self._said:
            self._said.notify_all()

    async def wait_for(self, namespace: str, name: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS), self._said:
            await self._said.wait_for(lambda: StudyKey(namespace, name) in self.keys)
        self.keys.clear()


@asynccontextmanager
async def watching(access: Access, heard: Heard, namespaces: Sequence[str] = ()) -> AsyncIterator[Triggers]:
    async with Kube(access) as kube:
        triggers = Triggers(access, kube, heard, namespaces=namespaces)
        task = asyncio.create_task(triggers.run())
        try:
            yield triggers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def of_study(document: dict[str, Any], study: str) -> dict[str, Any]:
    document["metadata"]["labels"] = {"rung.dev/study": study}
    return document


async def test_a_change_of_a_study_or_of_anything_of_its_own_names_the_study(kube: Kube, namespace: str) -> None:
    heard = Heard()
    async with watching(kube.access, heard, [namespace]):
        await kube.create("studies", namespace, a_study("before"))
        await heard.wait_for(namespace, "before")
        await kube.create("trials", namespace, of_study(a_trial("t"), "of-trial"))
        await heard.wait_for(namespace, "of-trial")
        await kube.create("pods", namespace, of_study(a_pod("p"), "of-pod"))
        await heard.wait_for(namespace, "of-pod")
        await kube.patch("pods", namespace, "p", {"metadata": {"annotations": {"a": "b"}}})
        await heard.wait_for(namespace, "of-pod")
        await kube.delete("pods", namespace, "p")
        await heard.wait_for(namespace, "of-pod")
    assert heard.threads == {threading.get_ident()}, "said in the loop that asked"


async def test_what_was_there_before_is_told_at_the_start_and_what_is_not_ours_never(
    kube: Kube, namespace: str
) -> None:
    foreign = a_pod("foreign")
    foreign["metadata"]["labels"] = {"app": "other"}
    await kube.create("pods", namespace, foreign)
    await kube.create("pods", namespace, of_study(a_pod("ours"), "old"))
    heard = Heard()
    async with watching(kube.access, heard, [namespace]):
        await heard.wait_for(namespace, "old")
        await kube.create("pods", namespace, of_study(a_pod("last"), "last"))
        await heard.wait_for(namespace, "last")
    assert {key.name for key in heard.keys} <= {"old", "last"}


async def test_nothing_is_left_on_the_objects(kube: Kube, namespace: str) -> None:
    made = await kube.create("studies", namespace, a_study())
    heard = Heard()
    async with watching(kube.access, heard, [namespace]):
        await heard.wait_for(namespace, "s")
        await kube.create("pods", namespace, of_study(a_pod("p"), "next"))
        await heard.wait_for(namespace, "next")
    after = await kube.get("studies", namespace, "s")
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert await kube.list_events(namespace, uid=made["metadata"]["uid"]) == []


async def test_it_stops_at_once_and_leaves_no_thread(kube: Kube, namespace: str) -> None:
    heard = Heard()
    await kube.create("studies", namespace, a_study())
    async with watching(kube.access, heard, [namespace]):
        await heard.wait_for(namespace, "s")
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 3
    left = [thread for thread in threading.enumerate() if thread.name == "kopf"]
    for thread in left:
        thread.join(2)  # it has said its last word; the interpreter may need a moment to end it
    assert not any(thread.is_alive() for thread in left)


async def test_after_an_outage_it_watches_again(kube: Kube, namespace: str, cluster: Cluster) -> None:
    heard = Heard()
    proxy = Proxy(cluster.url)
    await kube.create("studies", namespace, a_study("first"))
    async with proxy, watching(await access_through(proxy, cluster), heard, [namespace]):
        await heard.wait_for(namespace, "first")
        await proxy.reset()
        await kube.create("studies", namespace, a_study("meanwhile"))
        proxy.mend()
        await heard.wait_for(namespace, "meanwhile")
        await kube.create("studies", namespace, a_study("after"))
        await heard.wait_for(namespace, "after")


async def test_a_missing_right_is_one_line_in_the_log_and_is_mended_without_a_restart(
    kube: Kube, namespace: str, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    access = await Access.find(str(cluster.kubeconfig_for("default", namespace)))
    heard = Heard()
    await kube.create("studies", namespace, a_study())
    with caplog.at_level(logging.INFO):
        async with watching(access, heard, [namespace]):
            await Lines(caplog).wait_for("watching has ended")
            resources = "studies.rung.dev,trials.rung.dev,pods"
            cluster.kubectl(
                "-n", namespace, "create", "role", "watch", "--verb=get,list,watch", f"--resource={resources}"
            )
            account = f"--serviceaccount={namespace}:default"
            cluster.kubectl("-n", namespace, "create", "rolebinding", "watch", "--role=watch", account)
            await heard.wait_for(namespace, "s")
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {record.name for record in told} == {"rung.triggers"}, "kopf itself is quiet"
    assert "forbidden: User" in str(getattr(told[0], "error", ""))
    assert "cannot list resource" in str(getattr(told[0], "error", ""))


class Lines:
    """The log, as something to wait for."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    async def wait_for(self, text: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not any(text in record.getMessage() for record in self._caplog.records):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_an_expired_token_is_read_again(kube: Kube, namespace: str, cluster: Cluster) -> None:
    access = await Access.find(str(cluster.kubeconfig))
    heard = Heard()
    await kube.create("studies", namespace, a_study())
    good = access.configuration.api_key["BearerToken"]
    access.configuration.api_key["BearerToken"] = "Bearer expired"
    async with watching(access, heard, [namespace]):
        await heard.wait_for(namespace, "s")
    assert access.configuration.api_key["BearerToken"] == good


def a_trial(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Trial",
        "metadata": {"name": name},
        "spec": {"study": "s", "number": 0, "parameters": {"x": "0.5"}, "seed": 1},
    }


def a_pod(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeSelector": {"no": "such"}, "containers": [{"name": "c", "image": "i"}]},
    }
