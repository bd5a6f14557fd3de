"""What the chart's ServiceAccount may do, on a real API server: all that the operator needs, and nothing else.

The account's own token is used, as the operator in its pod would. `OwnerReferencesPermissionEnforcement` is on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from devcluster import ApiError, Cluster
from rung.api.study import parse_study
from rung.api.trial import Trial
from rung.kube.access import Access
from rung.kube.client import Kube
from rung.kube.errors import Forbidden, NotFound
from rung.kube.events import EventRecorder
from rung.kube.lease import Elector, Timing
from rung.kube.render import render_job
from rung.kube.triggers import Triggers
from tests.cluster.api import Api, Document, resource
from tests.cluster.conftest import namespaces_of

CHART = Path(__file__).resolve().parents[2] / "charts" / "rung"
RELEASE = "rung"
WAIT_SECONDS = 20.0

RULES = {
    ("rung.dev", "studies"): {"get", "list", "watch", "delete"},
    ("rung.dev", "trials"): {"get", "list", "watch", "create"},
    ("rung.dev", "studies/status"): {"update"},
    ("rung.dev", "trials/status"): {"update"},
    ("batch", "jobs"): {"get", "list", "create", "delete", "patch"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"create", "patch", "list"},
}
LEASE_RULES = {("coordination.k8s.io", "leases"): {"get", "create", "update"}}


class Release:
    """A release of the chart without a running operator: only its account and its rights matter here."""

    def __init__(self, cluster: Cluster, namespace: str, *values: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        options = [option for value in ("replicas=0", *values) for option in ("--set-json", value)]
        cluster.helm("install", RELEASE, str(CHART), "--namespace", namespace, *options)
        self.kubeconfig = str(cluster.kubeconfig_for(RELEASE, namespace))
        self.user = devcluster_api(cluster, namespace)

    def uninstall(self) -> None:
        self.cluster.helm("uninstall", RELEASE, "--namespace", self.namespace)


def devcluster_api(cluster: Cluster, namespace: str) -> Api:
    """A client with the account's token."""
    api = Api(cluster)
    api.token = cluster.token_for(RELEASE, namespace)
    return api


def rights(release: Release, namespace: str) -> dict[tuple[str, str], set[str]]:
    """What the account may do in a namespace, in the API server's own words; what every user may is left out."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = release.user.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
    found: dict[tuple[str, str], set[str]] = {}
    for rule in answer["status"]["resourceRules"]:
        for group in rule["apiGroups"]:
            if group in {"authorization.k8s.io", "authentication.k8s.io"}:
                continue
            for name in rule["resources"]:
                found.setdefault((group, name), set()).update(rule["verbs"])
    return found


@pytest.fixture(scope="module")
def everywhere(cluster: Cluster, api: Api) -> Iterator[Release]:
    """A release that watches all namespaces."""
    with namespaces_of(cluster, api) as make:
        release = Release(cluster, make("everywhere"))
        yield release
        release.uninstall()


@pytest.fixture(scope="module")
def in_one(cluster: Cluster, api: Api) -> Iterator[Release]:
    """A release that watches its own namespace alone."""
    with namespaces_of(cluster, api) as make:
        release = Release(cluster, make("in-one"), "namespaced=true")
        yield release
        release.uninstall()


@pytest_asyncio.fixture
async def kube(everywhere: Release) -> AsyncIterator[Kube]:
    """The operator's client with the account's token."""
    async with Kube(await Access.find(everywhere.kubeconfig)) as client:
        yield client


def test_its_rights_are_these_and_no_others(everywhere: Release) -> None:
    assert rights(everywhere, everywhere.namespace) == RULES | LEASE_RULES
    assert rights(everywhere, "default") == RULES, "leases only in its own namespace"


def test_in_one_namespace_it_has_the_same_rights_there_and_none_elsewhere(in_one: Release) -> None:
    assert rights(in_one, in_one.namespace) == RULES | LEASE_RULES
    assert rights(in_one, "default") == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/v1/namespaces/default/secrets", id="read secrets"),
        pytest.param("GET", "/api/v1/namespaces/{own}/secrets", id="read secrets of its own namespace"),
        pytest.param("GET", "/api/v1/namespaces/default/configmaps", id="read config maps"),
        pytest.param("POST", "/api/v1/namespaces/default/pods", id="make pods"),
        pytest.param("DELETE", "/api/v1/namespaces/default/pods/x", id="delete pods"),
        pytest.param("POST", "/api/v1/namespaces/default/pods/x/exec", id="run commands in pods"),
        pytest.param("POST", "/api/v1/namespaces/default/pods/x/eviction", id="evict pods"),
        pytest.param("GET", "/api/v1/nodes", id="read nodes"),
        pytest.param("GET", "/api/v1/namespaces", id="read namespaces"),
        pytest.param("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", id="read CRDs"),
        pytest.param("POST", "/apis/rung.dev/v1alpha1/namespaces/default/studies", id="make studies"),
        pytest.param("PATCH", "/apis/rung.dev/v1alpha1/namespaces/default/studies/x", id="change a study's spec"),
        pytest.param("DELETE", "/apis/rung.dev/v1alpha1/namespaces/default/trials/x", id="delete trials"),
        pytest.param("PATCH", "/apis/rung.dev/v1alpha1/namespaces/default/trials/x", id="change a trial's spec"),
        pytest.param("PUT", "/apis/batch/v1/namespaces/default/jobs/x/status", id="forge a Job's status"),
        pytest.param("GET", "/apis/apps/v1/namespaces/default/deployments", id="read deployments"),
        pytest.param("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/x", id="leases elsewhere"),
        pytest.param("GET", "/apis/coordination.k8s.io/v1/namespaces/{own}/leases/other", id="another's lease"),
        pytest.param("POST", "/api/v1/namespaces/{own}/serviceaccounts/rung/token", id="make tokens"),
        pytest.param("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", id="read roles"),
    ],
)
async def test_what_it_may_not(everywhere: Release, method: str, path: str) -> None:
    with pytest.raises(ApiError) as caught:
        everywhere.user.request(
            method,
            path.format(own=everywhere.namespace),
            {} if method != "GET" else None,
            content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
        )
    assert caught.value.status == 403


async def test_everything_that_the_operator_does_is_allowed(kube: Kube, api: Api, namespace: str) -> None:
    made = api.create("studies", namespace, a_study())
    study = parse_study(made, strict=False)
    [listed] = await kube.list("studies", namespace)
    assert listed["metadata"]["uid"] == made["metadata"]["uid"]

    await kube.create("trials", namespace, a_trial(made))
    trial = await kube.get("trials", namespace, "s-0")
    await kube.replace_status("trials", namespace, "s-0", {**trial, "status": {"state": "Pending"}})
    [unfinished] = await kube.list("trials", namespace, field_selector="status.finished!=true")
    assert unfinished["status"]["state"] == "Pending"

    job = render_job(study, Trial.model_validate(trial), 1, None, None)
    await kube.dry_run_job(namespace, job)
    owned = await kube.create("jobs", namespace, job)
    assert owned["metadata"]["ownerReferences"][0]["controller"] is True
    await kube.patch("jobs", namespace, "s-0-1", {"spec": {"suspend": True}})
    assert await kube.list("jobs", namespace, label_selector="rung.dev/study=s")
    await kube.list("pods", namespace, label_selector="rung.dev/study=s")
    with pytest.raises(NotFound):
        await kube.pod_log(namespace, "nobody")

    recorder = EventRecorder(kube)
    reference = {"apiVersion": "rung.dev/v1alpha1", "kind": "Study", "namespace": namespace, "name": "s"}
    for _ in range(2):
        recorder.post({**reference, "uid": made["metadata"]["uid"]}, "Normal", "Tested", "it works")
        await recorder.flush()
    [event] = await kube.list_events(namespace, uid=made["metadata"]["uid"])
    assert event["count"] == 2

    await kube.delete("jobs", namespace, "s-0-1", uid=owned["metadata"]["uid"])
    status = {"state": "Running"}
    fresh = await kube.get("studies", namespace, "s")
    await kube.replace_status("studies", namespace, "s", {**fresh, "status": status})
    await kube.delete("studies", namespace, "s", uid=made["metadata"]["uid"])


async def test_it_competes_for_its_lease_and_hands_it_back(kube: Kube, api: Api, everywhere: Release) -> None:
    namespace, leading = everywhere.namespace, asyncio.Event()

    async def lead() -> None:
        leading.set()
        await asyncio.Event().wait()

    elector = Elector(kube, namespace, "rung-operator", "tester", timing=Timing(2.0, 1.2, 0.2))
    task = asyncio.create_task(elector.run(lead))
    async with asyncio.timeout(WAIT_SECONDS):
        await leading.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert api.get(resource("leases", namespace, "rung-operator"))["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("release", ["everywhere", "in_one"])
async def test_its_triggers_watch_with_these_rights(release: str, request: pytest.FixtureRequest, api: Api) -> None:
    installed: Release = request.getfixturevalue(release)
    namespace = installed.namespace
    heard: asyncio.Queue[Any] = asyncio.Queue()
    namespaces = [namespace] if release == "in_one" else []
    async with Kube(await Access.find(installed.kubeconfig)) as kube:
        triggers = Triggers(kube.access, kube, heard.put_nowait, namespaces=namespaces)
        task = asyncio.create_task(triggers.run())
        api.create("studies", namespace, a_study())
        async with asyncio.timeout(WAIT_SECONDS):
            while (await heard.get()) != (namespace, "s"):
                pass
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    api.delete(resource("studies", namespace, "s"))
    assert triggers.starts == 1, "not ended by a missing right"


async def test_in_one_namespace_others_are_closed(in_one: Release) -> None:
    async with Kube(await Access.find(in_one.kubeconfig)) as kube:
        for kind in ("studies", "trials", "jobs", "pods"):
            assert await kube.list(kind, in_one.namespace) == []
            with pytest.raises(Forbidden, match=f'cannot list resource "{kind}"'):
                await kube.list(kind, "default")
            with pytest.raises(Forbidden, match="cluster scope"):
                await kube.list(kind)


def a_study() -> Document:
    return {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": "s"},
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [{"name": "x", "type": "Double", "min": "0", "max": "1"}],
            "trial": {"podTemplate": {"spec": {"containers": [{"name": "c", "image": "i", "args": ["$(params.x)"]}]}}},
        },
    }


def a_trial(study: Document) -> Document:
    owner = {"apiVersion": study["apiVersion"], "kind": "Study", "name": "s", "uid": study["metadata"]["uid"]}
    return {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Trial",
        "metadata": {
            "name": "s-0",
            "namespace": study["metadata"]["namespace"],
            "labels": {"rung.dev/study": "s", "rung.dev/trial": "0"},
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {"study": "s", "number": 0, "parameters": {"x": "0.5"}, "seed": 1},
    }
