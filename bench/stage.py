"""A development cluster with the CRDs, made for one benchmark and gone after it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster import Cluster
from tests.cluster.api import Api, with_crds

NOT_COUNTED = frozenset(
    {"leases", "nodes/status", "nodes", "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews"}
)
"""Writes that happen whether anything runs or not, and the API server's own questions about who asks."""


COLLECTED_SECONDS = 300.0  # the garbage collector deletes some thousand objects at its own pace


@dataclass(frozen=True, slots=True)
class Stage:
    """The cluster and a client of it."""

    cluster: Cluster
    api: Api

    def namespace(self, prefix: str) -> str:
        """A new one."""
        name = f"{prefix}-{uuid.uuid4().hex[:6]}"
        self.api.create("namespaces", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.cluster.wait_for("the namespace to be usable", lambda: self.api.exists(account), within=30)
        return name

    def gone(self, path: str) -> None:
        """Delete an object and wait until all that it owns is gone: the next figure must not pay for it."""
        self.api.delete(path)
        left = ("studies", "trials", "jobs", "pods")
        self.cluster.wait_for(
            f"{path} to be gone", lambda: not any(map(self.api.items, left)), within=COLLECTED_SECONDS
        )

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of each process of the control plane, by name."""
        return {name: cpu_seconds(pid) for name, pid in self.cluster.pids.items()}

    def writes(self) -> dict[str, int]:
        """Writes so far as "VERB resource", without those that are not counted."""
        counts = self.cluster.write_counts()
        return {f"{verb} {what}": n for (verb, what), n in sorted(counts.items()) if what not in NOT_COUNTED}


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def difference(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """What was written in between."""
    found = {key: n - before.get(key, 0) for key, n in after.items()}
    return {key: n for key, n in found.items() if n}


@contextmanager
def stage(*, simulated: bool = False) -> Iterator[Stage]:
    """A fresh cluster with one node: of processes, or of pods that only pretend to run."""
    with Cluster() as cluster:
        if simulated:
            cluster.add_simulated_node("simulated")
        else:
            cluster.add_process_node("node-1", gpus=8)
        yield Stage(cluster, with_crds(cluster))
