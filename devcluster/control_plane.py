"""The command lines of the control plane's four processes, and the files that they share.

Everything listens on 127.0.0.1. Flags that differ from the defaults say why.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.build import Binaries
from devcluster.errors import StartError
from devcluster.instances import Instance
from devcluster.kubeconfig import write_kubeconfig

SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_FREE = 2 << 30  # etcd stays below 1 GB here; what a CI container has (64 MB) would not do
ADMIN, CONTROLLER_MANAGER, SCHEDULER, NODE = "admin", "controller-manager", "scheduler", "node"
# Only the admin is in system:masters; the others have the rights that a real cluster gives them.
USERS = {
    ADMIN: ("devcluster-admin", "system:masters"),
    CONTROLLER_MANAGER: ("system:kube-controller-manager", ""),
    SCHEDULER: ("system:kube-scheduler", ""),
    NODE: ("devcluster-nodes", "system:masters"),  # one for all nodes, which may also make volumes: no real kubelet
}
MAKE_CERTIFICATES_SECONDS = 60.0
GO_MEMORY = {"GOGC": "200", "GOMEMLIMIT": "2GiB"}
"""Processor time is scarcer than memory where this cluster runs: at Go's own setting a fifth of the API server's goes into
collecting a small heap. After some thousands of trials it holds 700 MB: a limit of one gigabyte cost a third of the trials per second.
"""


@dataclass(frozen=True)
class Settings:
    """What a test may want to differ. The defaults are Kubernetes' own, where it has them."""

    node_monitor_grace_seconds: int = 50
    toleration_seconds: int = 300
    apiserver_flags: tuple[str, ...] = ()
    controller_manager_flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ControlPlane:
    """Files and commands of one control plane."""

    binaries: Binaries
    instance: Instance
    folder: Path
    etcd_folder: Path
    settings: Settings
    tokens: dict[str, str] = field(default_factory=lambda: {user: secrets.token_hex(16) for user in USERS})

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://127.0.0.1:{self.instance.port(0)}"

    @property
    def ca_file(self) -> Path:
        """Who signed its certificate."""
        return self.folder / "pki" / "ca.crt"

    def write_files(self) -> None:
        """Make keys, tokens and kubeconfigs. Raises StartError."""
        pki = self.folder / "pki"
        pki.mkdir(mode=0o700)
        command = [str(self.binaries["control-plane"]), "certificates", str(pki)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAKE_CERTIFICATES_SECONDS)
        except subprocess.CalledProcessError as failed:
            raise StartError(f"the cluster's certificates could not be made: {failed.stderr.strip()}") from failed
        rows = [f'{self.tokens[user]},{name},{name},"{group}"' for user, (name, group) in USERS.items()]
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        for user in USERS:
            self.kubeconfig(user)

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of USERS."""
        path = self.folder / f"{user}.kubeconfig"
        if not path.exists():
            write_kubeconfig(path, url=self.url, ca_file=self.ca_file, token=self.tokens[user])
        return path

    def etcd(self) -> list[str]:
        """Etcd without fsync: what it holds is thrown away at the end anyway."""
        client, peer = (f"http://127.0.0.1:{self.instance.port(which)}" for which in (1, 2))
        return [
            str(self.binaries["etcd"]),
            "--name=devcluster",
            f"--data-dir={self.etcd_folder}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=devcluster={peer}",
            "--quota-backend-bytes=4294967296",  # 10,000 trials leave many revisions behind
            "--log-level=warn",
        ]

    def apiserver(self) -> list[str]:
        """The API server, with the admission that a careful cluster has."""
        pki = self.folder / "pki"
        return [
            str(self.binaries["kube-apiserver"]),
            f"--etcd-servers=http://127.0.0.1:{self.instance.port(1)}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a loopback address may not be an endpoint
            f"--secure-port={self.instance.port(0)}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            # The second lets a pod that asks for a node's own resource tolerate the taint of the same name.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement,ExtendedResourceToleration",
            "--kubelet-preferred-address-types=InternalIP",
            f"--default-not-ready-toleration-seconds={self.settings.toleration_seconds}",
            f"--default-unreachable-toleration-seconds={self.settings.toleration_seconds}",
            "--max-requests-inflight=1000",  # with the next: thousands of simulated pods have one machine as client
            "--max-mutating-requests-inflight=500",
            "--profiling=false",
            *self.settings.apiserver_flags,
        ]

    def controller_manager(self) -> list[str]:
        """All controllers, each with a ServiceAccount of its own as in a real cluster."""
        return [
            str(self.binaries["kube-controller-manager"]),
            f"--kubeconfig={self.kubeconfig(CONTROLLER_MANAGER)}",
            f"--root-ca-file={self.ca_file}",
            f"--service-account-private-key-file={self.folder / 'pki' / 'service-account.key'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--concurrent-job-syncs=20",
            "--kube-api-qps=300",  # with the next: the default of 20 is what a cluster of thousands of Jobs waits for
            "--kube-api-burst=600",
            f"--node-monitor-grace-period={self.settings.node_monitor_grace_seconds}s",
            f"--node-monitor-period={min(5, max(1, self.settings.node_monitor_grace_seconds // 4))}s",
            *self.settings.controller_manager_flags,
        ]

    def scheduler(self) -> list[str]:
        """The scheduler as it comes, but for the rate at which it may talk to the API server."""
        configuration = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(self.kubeconfig(SCHEDULER)), "qps": 500, "burst": 1000},
            "leaderElection": {"leaderElect": False},
        }
        path = self.folder / "scheduler.json"
        path.write_text(json.dumps(configuration))
        return [str(self.binaries["kube-scheduler"]), f"--config={path}", "--secure-port=0"]


def etcd_folder() -> Path:
    """A new folder for etcd: in memory where there is room, otherwise where temporary files go."""
    try:
        roomy = shutil.disk_usage(SHARED_MEMORY).free >= SHARED_MEMORY_FREE
    except OSError:
        roomy = False
    try:
        return Path(tempfile.mkdtemp(prefix="rung-devcluster-etcd-", dir=SHARED_MEMORY if roomy else None))
    except PermissionError:
        return Path(tempfile.mkdtemp(prefix="rung-devcluster-etcd-"))
