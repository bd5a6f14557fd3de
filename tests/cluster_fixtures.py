"""Fixtures for tests that need Kubernetes: one cluster for the whole run, a namespace for each test.

Loaded as a plug-in by the test suite's conftest (`pytest_plugins = ["tests.cluster_fixtures"]`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from devcluster import Cluster

PROCESS_NODE, SIMULATED_NODE = "node-1", "simulated-1"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster with one process node of 8 GPUs and one simulated node; pods reach the latter by asking for it."""
    with Cluster() as running:
        running.add_process_node(PROCESS_NODE, gpus=8)
        running.add_simulated_node(SIMULATED_NODE)
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace, whose default ServiceAccount exists; it goes, with all that is in it, after the test."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.api.request("POST", "/api/v1/namespaces", body)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    cluster.wait_for(f"namespace {name} to be usable", lambda: cluster.api.exists(account), within=20.0)
    yield name
    cluster.api.request("DELETE", f"/api/v1/namespaces/{name}")
