"""The operator as a process: how it ends, what it serves, who takes over, and what it says when a right is missing."""

from __future__ import annotations

import time

import pytest

from devcluster import Cluster
from tests.cluster.api import Api, Document
from tests.cluster.history import History, violations
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, study, toy
from tests.cluster.waiting import wait_until

EXIT_SECONDS = 5.0
LEASE_SECONDS = 15.0  # the Lease's duration: client-go's
TAKEOVER_SLACK_SECONDS = 5.0  # one retry period of 2 s, start of the watches, a busy machine


def test_sigterm_ends_it_within_five_seconds_and_the_next_one_goes_on(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    with OperatorProcess(cluster, [namespace]) as operator:
        assert operator.probe("/healthz") == (200, "ok")
        limits = {"trials": 2, "parallelism": 2}
        running = Running.apply(api, namespace, study("calm", toy(epochs=1, sleep=EXIT_SECONDS), limits=limits))
        running.wait_running(2)
        seconds, code = operator.sigterm()
        assert code == 0, operator.log_text()[-2000:]
        assert seconds <= EXIT_SECONDS
        assert len(running.live_pods()) == 2, "trials outlive their operator"
        operator.start()
        running.wait("Succeeded")
        assert all(t["status"]["attempt"] == 1 for t in running.trials())


def test_its_own_metrics_count_what_it_did(cluster: Cluster, api: Api, namespace: str) -> None:
    with OperatorProcess(cluster, [namespace]) as operator:
        running = Running.apply(api, namespace, study("counted", toy(epochs=1), limits={"trials": 3}))
        running.wait("Succeeded")
        metrics = wait_until("it counts", operator.metrics, timeout=5)
        assert metrics['rung_decisions_total{kind="Create"}'] == 3
        assert metrics['rung_studies{state="Succeeded"}'] == 1
        assert metrics["rung_active_trials"] == 0
        assert metrics['rung_reconciles_total{result="ok"}'] >= 3
        assert metrics["rung_reconcile_duration_seconds_count"] >= 3
        created = [
            value for name, value in metrics.items() if name.startswith("rung_api_requests_total{") and "trials" in name
        ]
        assert sum(created) >= 6
        assert not any(f'"{t["metadata"]["name"]}"' in name for t in running.trials() for name in metrics), (
            "no label per trial"
        )
        api.delete(running.path)
        wait_until(
            "a deleted study vanishes", lambda: not any("Succeeded" in n for n in operator.metrics()), timeout=10
        )


def test_a_standby_takes_over_within_the_lease_time(cluster: Cluster, api: Api, namespace: str) -> None:
    lease = ["--lease-namespace", namespace]
    first = OperatorProcess(cluster, [namespace], election=True, options=lease)
    second = OperatorProcess(cluster, [namespace], election=True, options=lease)
    with first, History(api, namespace) as history:
        running = Running.apply(
            api, namespace, study("led", toy(epochs=2, sleep=0.2), limits={"trials": 400, "parallelism": 2})
        )
        running.wait_running(2)
        with second:
            wait_until("one leads", lambda: _holder(api, namespace), timeout=5)
            first.kill9()
            killed = time.monotonic()
            numbers = [t["spec"]["number"] for t in running.trials()]
            wait_until(
                "the standby starts new trials",
                lambda: len(running.trials()) > len(numbers) + 1,
                timeout=LEASE_SECONDS + TAKEOVER_SLACK_SECONDS,
                show=second.log_text,
            )
            assert time.monotonic() - killed <= LEASE_SECONDS + TAKEOVER_SLACK_SECONDS
            running.patch(finish=True)
            running.wait("Succeeded")
            seconds, code = second.sigterm()
            assert (code, seconds <= EXIT_SECONDS) == (0, True)
            assert not _holder(api, namespace), "a clean exit gives the Lease back"
        assert violations(history.changes("led"), 2) == []


def _holder(api: Api, namespace: str) -> str:
    leases = api.items("leases", namespace)
    return "".join((lease["spec"].get("holderIdentity") or "") for lease in leases)


def rules(*, may_create_jobs: bool) -> list[Document]:
    """The operator's rights in one namespace, with or without one of them."""
    reads, writes = ["get", "list", "watch"], ["create", "delete"]
    return [
        {"apiGroups": ["rung.dev"], "resources": ["studies"], "verbs": [*reads, "delete"]},
        {"apiGroups": ["rung.dev"], "resources": ["trials"], "verbs": [*reads, *writes]},
        {
            "apiGroups": ["rung.dev"],
            "resources": ["studies/status", "trials/status"],
            "verbs": ["get", "update", "patch"],
        },
        {
            "apiGroups": ["batch"],
            "resources": ["jobs"],
            "verbs": [*reads, "delete", *(["create"] if may_create_jobs else [])],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": reads},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "list"]},
    ]


@pytest.fixture
def limited(api: Api, namespace: str) -> str:
    """The name of a ServiceAccount, Role and RoleBinding: everything but `create jobs`."""
    name, group = "limited", "rbac.authorization.k8s.io"
    metadata = {"name": name, "namespace": namespace}
    api.create("serviceaccounts", namespace, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules(may_create_jobs=False)}
    api.create("roles", namespace, role)
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    api.create("rolebindings", namespace, binding)
    return name


def test_a_missing_right_is_named_and_once_granted_the_study_goes_on(
    cluster: Cluster, api: Api, namespace: str, limited: str
) -> None:
    with OperatorProcess(cluster, [namespace], kubeconfig=cluster.kubeconfig_for(limited, namespace)) as operator:
        running = Running.apply(api, namespace, study("barred", toy(epochs=1), limits={"trials": 2, "parallelism": 1}))

        def named() -> bool:
            message = running.condition("Running").get("message", "")
            return "jobs" in message and "forbidden" in message.lower()

        wait_until("the condition names the missing right", named, timeout=15, show=running.told)
        warnings = [e for e in operator.log_entries() if e.get("level") in {"WARNING", "ERROR"}]
        assert any("jobs" in str(entry) and "forbidden" in str(entry).lower() for entry in warnings)
        before = operator.metrics()['rung_reconciles_total{result="ok"}'] if operator.alive else -1
        began = time.monotonic()
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{limited}"
        wait_until("some seconds have passed", lambda: time.monotonic() - began > 3, timeout=5)
        tried = operator.metrics()['rung_reconciles_total{result="ok"}'] - before
        assert tried <= 10, f"{tried} reconciles in 3 s: it tries again and again without a pause"
        assert operator.alive
        assert len(running.trials()) == 1, "a trial that cannot start uses up no number"
        api.patch(path, {"rules": rules(may_create_jobs=True)})
        running.wait("Succeeded", timeout=30)
        assert operator.starts == 1
