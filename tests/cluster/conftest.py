"""What the tests on the development cluster share: the CRDs, a client, kubectl, and one operator per module."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from devcluster import Cluster
from tests.cluster.api import Api, resource, with_crds
from tests.cluster.operator_process import OperatorProcess

Kubectl = Callable[..., str]
MakeNamespace = Callable[[str], str]

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the cluster."""
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the operators of that moment wrote last."""
    report = yield
    if report.failed:
        report.sections += [(f"the end of {operator.log}", operator.log_end()) for operator in OperatorProcess.started]
    return report


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Api:
    """An administrator's client of a cluster that knows Studies and Trials."""
    return with_crds(cluster)


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Kubectl:
    """`kubectl("get", "pods")`: the words that a user types; returns what is printed, fails with stderr in the note."""
    return lambda *words: cluster.kubectl(*words).stdout


@contextmanager
def namespaces_of(cluster: Cluster, api: Api) -> Iterator[MakeNamespace]:
    """Makes namespaces, ready for pods, that go with the block."""
    made: list[str] = []

    def make(prefix: str) -> str:
        name = f"{prefix}-{os.getpid()}-{next(_numbers)}"
        api.create("namespaces", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made.append(name)
        account = resource("serviceaccounts", name, "default")
        cluster.wait_for(f"namespace {name} to be usable", lambda: api.exists(account), within=20.0)
        return name

    yield make
    for name in made:
        api.delete(resource("namespaces", None, name))


@pytest.fixture
def make_namespace(cluster: Cluster, api: Api) -> Iterator[MakeNamespace]:
    """For tests that need more than one."""
    with namespaces_of(cluster, api) as make:
        yield make


@pytest.fixture(scope="module")
def module_namespace(cluster: Cluster, api: Api) -> Iterator[str]:
    """A namespace for studies that a module starts all at once."""
    with namespaces_of(cluster, api) as make:
        yield make("module")


@pytest.fixture(scope="module")
def operator(cluster: Cluster, api: Api) -> Iterator[OperatorProcess]:
    """One operator over all namespaces for the tests of a module: studies in namespaces of their own don't meet."""
    with OperatorProcess(cluster, fresh=False) as process:
        yield process
