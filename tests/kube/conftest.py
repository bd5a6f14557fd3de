"""For the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from devcluster import Cluster
from rung.kube.access import Access
from rung.kube.client import Kube

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    """An administrator's client of the development cluster."""
    async with Kube(await Access.find(str(cluster.kubeconfig))) as client:
        yield client


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> None:
    """Studies and Trials are served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", "crd/studies.rung.dev", "crd/trials.rung.dev"
    )
