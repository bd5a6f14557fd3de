"""What every kind of node does: be a Node object with capacity, keep its lease fresh, hear of the pods bound to it.

A kind of node is a `PodHandler`; `serve` gives it an agent and runs both until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import platform
import resource
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol  # Any: the result of a task that nobody asks for

from devcluster.build import kubernetes_version
from devcluster.errors import ApiError
from devcluster.names import NODE_KIND_LABEL, TOKEN_VARIABLE
from devcluster.node_api import MERGE, NodeApi, Object, keep_trying

KUBELET_PORT = 10250
FINISHED = ("Succeeded", "Failed")
GPU = "nvidia.com/gpu"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeOptions:
    """What an agent is told on its command line."""

    name: str
    server: str
    ca_file: Path
    token: str
    address: str
    first_pod_address: str
    addresses: int
    folder: Path
    certificate: Path
    key: Path
    grace_period: int
    cpu: str
    memory: str
    pods: int
    gpus: int
    storage: Path | None

    @classmethod
    def parse(cls) -> NodeOptions:
        """Read the command line, and the token from the environment, where other users cannot see it."""
        parser = argparse.ArgumentParser(description="A node of the development cluster; started by Cluster.")
        for name in ("name", "server", "address", "first-pod-address"):
            parser.add_argument(f"--{name}", required=True)
        for name in ("ca-file", "folder", "certificate", "key"):
            parser.add_argument(f"--{name}", type=Path, required=True)
        parser.add_argument("--addresses", type=int, required=True)
        parser.add_argument("--grace-period", type=int, default=50)
        parser.add_argument("--cpu", default="64")
        parser.add_argument("--memory", default="256Gi")
        parser.add_argument("--pods", type=int, default=110)
        parser.add_argument("--gpus", type=int, default=0)
        parser.add_argument("--storage", type=Path, default=None)
        return cls(**vars(parser.parse_args()), token=os.environ[TOKEN_VARIABLE])


class PodHandler(Protocol):
    """A kind of node: what happens to the pods."""

    kind: str
    capacity: dict[str, str]  # beside cpu, memory, pods and GPUs
    taints: list[dict[str, str]]

    async def start(self) -> None:
        """Called once, before the first pod."""
        ...

    def changed(self, pod: Object) -> None:
        """A pod bound to this node is new or has changed."""
        ...

    def gone(self, pod: Object) -> None:
        """Its object is gone: nothing of it may run any more."""
        ...

    async def stop(self) -> None:
        """The agent ends: end every pod at once."""
        ...


class Agent:
    """One node's ties to the API server."""

    def __init__(self, options: NodeOptions, api: NodeApi) -> None:
        self.options = options
        self.api = api
        self.addresses = Addresses(options.first_pod_address, options.addresses)
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something in the background; a bug in it is logged, and it is cancelled when the agent ends."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    async def run(self, handler: PodHandler) -> None:
        """Serve until cancelled."""
        await handler.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._register(handler), name="register")
                group.create_task(self._renew_lease(), name="lease")
                group.create_task(self._watch(handler), name="watch")
        finally:
            await handler.stop()
            for task in list(self._tasks):
                task.cancel()

    async def patch_status(self, pod: Object, status: Object) -> bool:
        """Merge into a pod's status; false when it is gone, or another one has its name by now."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        try:
            await self.api.request("PATCH", f"{path_of(pod)}/status", body, content_type=MERGE, parse=False)
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def delete_now(self, pod: Object) -> None:
        """Remove a pod's object: its processes have ended."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            await self.api.request("DELETE", path_of(pod), body, parse=False)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def event(self, pod: Object, reason: str, message: str) -> None:
        """Post a Warning about a pod; that it cannot be posted harms nobody."""
        meta = pod["metadata"]
        about = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "namespace": meta["namespace"]}
        body = {
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {**about, "uid": meta["uid"]},
            "type": "Warning",
            "reason": reason,
            "message": message[:1000],
            "count": 1,
            "firstTimestamp": timestamp(),
            "lastTimestamp": timestamp(),
            "source": {"component": "kubelet", "host": self.options.name},
        }
        with contextlib.suppress(ApiError, OSError):
            await self.api.request("POST", f"/api/v1/namespaces/{meta['namespace']}/events", body, parse=False)

    async def _watch(self, handler: PodHandler) -> None:
        selector = {"fieldSelector": f"spec.nodeName={self.options.name}"}
        async for kind, pod in self.api.watch("/api/v1/pods", selector):
            if kind == "DELETED":
                handler.gone(pod)
            else:
                handler.changed(pod)

    async def _register(self, handler: PodHandler) -> None:
        node = self._node(handler)

        async def write() -> None:
            try:
                await self.api.request("POST", "/api/v1/nodes", node)
            except ApiError as error:
                if error.status != 409:
                    raise
                status = {"status": node["status"]}
                path = f"/api/v1/nodes/{self.options.name}/status"
                await self.api.request("PATCH", path, status, content_type=MERGE)

        await keep_trying("registering the node", write)

    def _node(self, handler: PodHandler) -> Object:
        options = self.options
        now = timestamp()
        capacity = {"cpu": options.cpu, "memory": options.memory, "pods": str(options.pods)}
        capacity |= {"ephemeral-storage": "1Ti", **({GPU: str(options.gpus)} if options.gpus else {})}
        capacity |= handler.capacity
        conditions = [
            {"type": kind, "status": status, "reason": reason, "message": "the agent runs"}
            for kind, status, reason in (
                ("Ready", "True", "KubeletReady"),
                ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                ("PIDPressure", "False", "KubeletHasSufficientPID"),
            )
        ]
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        labels = {"kubernetes.io/hostname": options.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": machine}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": options.name, "labels": {**labels, NODE_KIND_LABEL: handler.kind}},
            "spec": {"taints": handler.taints},
            "status": {
                "capacity": capacity,
                "allocatable": capacity,
                "conditions": [{**c, "lastHeartbeatTime": now, "lastTransitionTime": now} for c in conditions],
                "addresses": [
                    {"type": "InternalIP", "address": options.address},
                    {"type": "Hostname", "address": options.name},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
                "nodeInfo": {
                    "machineID": options.name,
                    "systemUUID": options.name,
                    "bootID": options.name,
                    "kernelVersion": platform.release(),
                    "osImage": "rung development node",
                    "containerRuntimeVersion": f"processes://{platform.python_version()}",
                    "kubeletVersion": kubernetes_version(),
                    "kubeProxyVersion": kubernetes_version(),
                    "operatingSystem": "linux",
                    "architecture": machine,
                },
            },
        }

    async def _renew_lease(self) -> None:
        """Five renewals fit into the time after which the node counts as lost."""
        folder = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        every = min(10.0, self.options.grace_period / 5)
        name = self.options.name
        lease: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": max(1, self.options.grace_period * 4 // 5)},
        }

        async def renew() -> None:
            lease["spec"]["renewTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            merge = "application/merge-patch+json"
            try:
                await self.api.request("PATCH", f"{folder}/{name}", lease, content_type=merge, parse=False)
            except ApiError as error:
                if error.status != 404:
                    raise
                await self.api.request("POST", folder, lease, parse=False)

        while True:
            await keep_trying("renewing the lease", renew, pause=0.2)
            await asyncio.sleep(every)


class Addresses:
    """The pods' addresses of one node, handed out in turn, so that one just freed is not used again at once."""

    def __init__(self, first: str, count: int) -> None:
        start = int(ipaddress.IPv4Address(first))
        usable = (start + k for k in range(count) if (start + k) % 256 not in (0, 255))
        self._free = dict.fromkeys(str(ipaddress.IPv4Address(address)) for address in usable)

    def take(self) -> str:
        """The address that has been free for longest. Raises LookupError when there is none."""
        if not self._free:
            raise LookupError("this node has no pod address left")
        address = next(iter(self._free))
        del self._free[address]
        return address

    def give_back(self, address: str) -> None:
        """Free an address."""
        self._free[address] = None


def serve(make: Callable[[Agent], PodHandler]) -> None:
    """The main function of a kind of node: run its agent until SIGTERM."""
    options = NodeOptions.parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(ValueError, OSError):  # a listening socket for each of thousands of pods
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(options, make))


async def _serve(options: NodeOptions, make: Callable[[Agent], PodHandler]) -> None:
    async with NodeApi(options.server, options.ca_file, options.token) as api:
        agent = Agent(options, api)
        running = asyncio.create_task(agent.run(make(agent)), name="agent")
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


def path_of(pod: Object) -> str:
    """A pod's path on the API server."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def timestamp() -> str:
    """Now, in the form of Kubernetes' status times: whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
