"""A Kubernetes cluster of one machine: real etcd, API server, controllers and scheduler; nodes that run processes.

    with Cluster() as cluster:
        cluster.add_process_node("node-1", gpus=8)
        cluster.kubectl("apply", "-f", "job.yaml")

Several can run side by side. Nothing is left behind, however the owner ends: a supervisor process (supervisor.py)
holds everything and goes when the owner does.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # Any: a Kubernetes object is whatever JSON the server sends

from devcluster.api import Api
from devcluster.build import Binaries, build
from devcluster.control_plane import ADMIN, GO_MEMORY, NODE, ControlPlane, Settings, etcd_folder
from devcluster.errors import ApiError, DevclusterError, StartError
from devcluster.instances import LARGE_NODES, SMALL_NODES, Instance, take_instance
from devcluster.kubeconfig import write_kubeconfig
from devcluster.names import PROVISIONER, STORAGE_CLASS, TOKEN_VARIABLE
from devcluster.processes import Process, Processes, clean_environment

START_SECONDS = 60.0  # three on a quiet machine; ten parallel tests on two cores take longer
NODE_SECONDS = 30.0
COMMAND_SECONDS = 300.0
POLL_SECONDS = 0.02
CompletedProcess = subprocess.CompletedProcess[str]
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# Where the logs of every cluster of this process go and stay; for CI. Without it they go when the cluster goes.
LOGS_VARIABLE = "RUNG_DEVCLUSTER_LOGS"


class Cluster:
    """One cluster. `start` it and `stop` it, or use it as a context manager.

    Attributes, once started: `url`, `ca_file`, `admin_token`, `kubeconfig` (the admin's), `logs` (a folder), `pids` (by
    name), `instance` (its number, ports and addresses), `data` (a folder of its own, removed at the end).
    """

    def __init__(self, *, logs: Path | None = None, settings: Settings | None = None) -> None:
        """Prepare a cluster; `logs` is a folder that stays, by default one that goes with the cluster."""
        self.settings = settings or Settings()
        self._kept_logs = logs
        self._processes: Processes | None = None
        self._nodes: dict[str, int] = {}
        self._storage_node = ""
        self.binaries: Binaries
        self.instance: Instance
        self.data: Path
        self.logs: Path
        self.api: Api
        self._plane: ControlPlane

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when pods can be made. Raises BuildError or StartError; then nothing runs."""
        if self._processes is not None:
            raise DevclusterError("this cluster is running already")
        self.binaries = build()
        self.instance = take_instance()
        self.data = Path(tempfile.mkdtemp(prefix=f"rung-devcluster-{self.instance.number}-"))
        self.logs = self._log_folder()
        self._plane = ControlPlane(self.binaries, self.instance, self.data, etcd_folder(), self.settings)
        remove = [self.data, self._plane.etcd_folder]
        self._processes = Processes(self.logs, remove=remove, inherit=[self.instance.lock.fileno()])
        try:
            self._start_parts(self._processes)
        except BaseException as error:
            if isinstance(error, DevclusterError):
                if self.logs.is_relative_to(self.data):
                    self._processes.keep(self.data)
                error.add_note(f"all logs: {self.logs}")
            self.stop()
            raise

    def _start_parts(self, processes: Processes) -> None:
        plane = self._plane
        plane.write_files()
        self.api = Api(plane.url, plane.ca_file, plane.tokens[ADMIN])
        processes.start("etcd", plane.etcd())
        processes.start("kube-apiserver", plane.apiserver(), GO_MEMORY)
        self.wait_for("the API server to be ready", self._ready, parts=PARTS[:2], within=START_SECONDS)
        processes.start("kube-controller-manager", plane.controller_manager())
        processes.start("kube-scheduler", plane.scheduler())
        self._make_storage_class()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.wait_for("the controllers to run", lambda: self.api.exists(account), within=START_SECONDS)

    def stop(self) -> None:
        """End everything and remove what it kept. May be called twice."""
        if self._processes is None:
            return
        self._processes.end()
        self._processes = None
        self._nodes.clear()
        self._storage_node = ""
        if hasattr(self, "api"):
            self.api.close()
        self.instance.release()

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return self._plane.url

    @property
    def ca_file(self) -> Path:
        """The certificate authority of the API server."""
        return self._plane.ca_file

    @property
    def admin_token(self) -> str:
        """A bearer token in system:masters."""
        return self._plane.tokens[ADMIN]

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self._plane.kubeconfig(ADMIN)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of everything that runs, by name; nodes are `node-NAME`."""
        return {process.name: process.pid for process in self._running.running.values()}

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> CompletedProcess:  # noqa: A002
        """Run kubectl as the admin. Raises CalledProcessError, whose `stderr` says why, unless `check` is false."""
        return self._tool("kubectl", args, input, check=check)

    def helm(self, *args: str, input: str | None = None, check: bool = True) -> CompletedProcess:  # noqa: A002
        """Run helm as the admin; its own files go into the cluster's folder."""
        return self._tool("helm", args, input, check=check)

    def environment(self) -> dict[str, str]:
        """An environment for programs that are to talk to this cluster, kubectl and helm on their PATH."""
        environment = clean_environment()
        return {
            **environment,
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{self.binaries.folder}:{environment.get('PATH', os.defpath)}",
            "HELM_CACHE_HOME": str(self.data / "helm" / "cache"),
            "HELM_CONFIG_HOME": str(self.data / "helm" / "config"),
            "HELM_DATA_HOME": str(self.data / "helm" / "data"),
        }

    def token_for(self, service_account: str, namespace: str = "default") -> str:
        """A token of a ServiceAccount, by TokenRequest, as a pod would get it. Raises ApiError."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        return str(self.api.request("POST", path, request)["status"]["token"])

    def kubeconfig_for(self, service_account: str, namespace: str = "default") -> Path:
        """A kubeconfig with a new token of a ServiceAccount."""
        path = self.data / f"{namespace}.{service_account}.kubeconfig"
        token = self.token_for(service_account, namespace)
        return write_kubeconfig(path, url=self.url, ca_file=self.ca_file, token=token, namespace=namespace)

    def write_counts(self) -> dict[tuple[str, str], int]:
        """Writes the API server has accepted so far, by (verb, resource): the difference of two is what a thing cost."""
        return self.api.write_counts()

    def add_process_node(
        self, name: str, *, gpus: int = 8, cpus: int = 64, memory: str = "256Gi", pods: int = 110
    ) -> None:
        """Add a node that runs pods as local processes, and wait until it is ready.

        CPU and memory are what the scheduler counts with, not what the machine has: nothing here limits a process.
        """
        small = sum(1 for index in self._nodes.values() if index <= SMALL_NODES)
        if small >= SMALL_NODES or pods > 250:
            raise StartError(f"a cluster has at most {SMALL_NODES} process nodes, of 250 pods each")
        index = next(k for k in range(1, SMALL_NODES + 1) if k not in self._nodes.values())
        options = [f"--cpu={cpus}", f"--memory={memory}", f"--pods={pods}", f"--gpus={gpus}"]
        if not self._storage_node:
            self._storage_node = name
            options.append(f"--storage={self.data / 'volumes'}")
        self._add_node("devcluster.process_node", name, index, self.instance.small_block(index), options)

    def add_simulated_node(self, name: str, *, gpus: int = 100_000, pods: int = 15_000) -> None:
        """Add a node whose pods only pretend to run (see simulated_node.py), and wait until it is ready."""
        index = next((k for k in range(1, LARGE_NODES + 1) if SMALL_NODES + k not in self._nodes.values()), 0)
        if not index:
            raise StartError(f"a cluster has at most {LARGE_NODES} simulated nodes")
        options = ["--cpu=1000000", "--memory=1000Ti", f"--pods={pods}", f"--gpus={gpus}"]
        block = self.instance.large_block(index)
        self._add_node("devcluster.simulated_node", name, SMALL_NODES + index, block, options)

    def remove_node(self, name: str) -> None:
        """Kill a node's agent and all of its pods' processes at once: the node is lost, its objects stay."""
        if name == self._storage_node:
            self._storage_node = ""
        self._running.stop(f"node-{name}", kill=True)
        del self._nodes[name]

    def start_process(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Run a program that belongs to the cluster and ends with it, the operator say; it writes to logs/NAME.log.

        `env` is added to `environment()`. Raises StartError when it cannot be started.
        """
        return self._running.start(name, command, {**self.environment(), **(env or {})})

    def stop_process(self, name: str, *, kill: bool = False) -> None:
        """End such a program, and all that it has started: by SIGTERM, or at once."""
        self._running.stop(name, kill=kill)

    def wait_for(
        self, what: str, condition: Callable[[], bool], *, within: float, parts: tuple[str, ...] = PARTS
    ) -> None:
        """Poll until `condition` holds. Raises StartError when time is up or one of `parts` has died."""
        deadline = time.monotonic() + within
        while True:
            with contextlib.suppress(OSError, ApiError):
                if condition():
                    return
            self._running.check(*parts)
            if time.monotonic() > deadline:
                raise StartError(f"waited {within:.0f} s for {what}\n{self._running.last_words(parts[-1])}")
            time.sleep(POLL_SECONDS)

    def _add_node(self, module: str, name: str, index: int, block: tuple[str, int], options: list[str]) -> None:
        pki = self.data / "pki"
        first, size = block
        command = [sys.executable, "-m", module, f"--name={name}"]
        command += [f"--server={self.url}", f"--ca-file={self.ca_file}"]
        command += [f"--address={self.instance.node_address(index)}", f"--first-pod-address={first}"]
        command += [f"--addresses={size}", f"--folder={self.data / 'nodes' / name}"]
        command += [f"--certificate={pki / 'kubelet.crt'}", f"--key={pki / 'kubelet.key'}"]
        command += [f"--grace-period={self.settings.node_monitor_grace_seconds}", *options]
        root = str(Path(__file__).parent.parent)
        environment = {TOKEN_VARIABLE: self._plane.tokens[NODE], "PYTHONPATH": root}
        self._running.start(f"node-{name}", command, environment)
        self._nodes[name] = index
        path = f"/api/v1/nodes/{name}"
        self.wait_for(
            f"node {name} to be ready",
            lambda: _node_is_usable(self.api.request("GET", path)),
            within=NODE_SECONDS,
            parts=(*PARTS, f"node-{name}"),
        )

    def _tool(
        self, name: str, args: tuple[str, ...], text: str | None, *, check: bool
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.binaries[name]), *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            env=self.environment(),
        )
        if check and done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, [name, *args], done.stdout, done.stderr)
            error.add_note(done.stderr.strip())
            raise error
        return done

    def _ready(self) -> bool:
        return self.api.text("GET", "/readyz") == "ok"

    def _make_storage_class(self) -> None:
        """The class that PersistentVolumeClaims get without naming one; the first process node makes the volumes."""
        storage_class = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
        }
        self.api.request("POST", "/apis/storage.k8s.io/v1/storageclasses", storage_class)

    def _log_folder(self) -> Path:
        logs = self._kept_logs
        if logs is None and (wanted := os.environ.get(LOGS_VARIABLE)):
            logs = Path(wanted) / self.data.name
        logs = logs or self.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return logs.absolute()

    @property
    def _running(self) -> Processes:
        if self._processes is None:
            raise DevclusterError("this cluster is not running: start() it first")
        return self._processes


def _node_is_usable(node: dict[str, Any]) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
    taints = {taint["key"] for taint in node["spec"].get("taints", [])}
    return conditions.get("Ready") == "True" and "node.kubernetes.io/not-ready" not in taints


def describe(cluster: Cluster) -> str:
    """What a running cluster is, as JSON, for another process to find it (see __main__.py)."""
    facts = {
        "url": cluster.url,
        "ca_file": str(cluster.ca_file),
        "kubeconfig": str(cluster.kubeconfig),
        "binaries": str(cluster.binaries.folder),
        "logs": str(cluster.logs),
        "pids": cluster.pids,
    }
    return json.dumps(facts, indent=1)
