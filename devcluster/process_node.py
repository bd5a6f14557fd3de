"""A node that runs each container as a local process: no root, no container engine, no images.

What is real: scheduling by capacity (GPUs too), environment, arguments, volumes, probes, exit codes, termination
messages, SIGTERM and grace periods, logs through the API server, loss of the node. What is not: isolation of any kind,
resource limits, network namespaces (a pod has a loopback address of its own and should bind it), images, `kubectl exec`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from devcluster.container_log import ContainerLog
from devcluster.kubelet_api import KubeletApi
from devcluster.node import FINISHED, Agent, serve
from devcluster.node_api import Object
from devcluster.pod import Gpus, Pod
from devcluster.storage import provide_volumes


class ProcessNode:
    """The pods of one process node, by UID."""

    kind = "process"

    def __init__(self, agent: Agent) -> None:
        self.capacity: dict[str, str] = {}
        self.taints: list[dict[str, str]] = []
        self._agent = agent
        self._gpus = Gpus(agent.options.gpus)
        self._pods: dict[str, Pod] = {}
        self._kubelet = KubeletApi(agent.options, self._find_log)

    async def start(self) -> None:
        """Listen for log requests, and provide volumes where that is this node's task."""
        await self._kubelet.start()
        if storage := self._agent.options.storage:
            self._agent.spawn(provide_volumes(self._agent.api, storage), "storage")

    def changed(self, pod: Object) -> None:
        """Start a new pod, pass a deletion on to a known one."""
        meta = pod["metadata"]
        known = self._pods.get(meta["uid"])
        phase = pod.get("status", {}).get("phase")
        if known is None:
            if phase in FINISHED:
                if "deletionTimestamp" in meta:
                    self._agent.spawn(self._agent.delete_now(pod), f"remove {meta['name']}")
                return
            known = Pod(pod, self._agent, self._gpus, self._agent.options.folder / "pods" / meta["uid"])
            self._pods[meta["uid"]] = known
            # Running, but not by this agent: an earlier one was lost, and its processes with it.
            life = known.lose() if phase == "Running" else known.run()
            self._agent.spawn(life, f"pod {meta['namespace']}/{meta['name']}")
        if "deletionTimestamp" in meta:
            known.terminate(_grace_left(meta))
            if known.finished:
                self._agent.spawn(known.remove_if_deleted(), f"remove {meta['name']}")

    def gone(self, pod: Object) -> None:
        """Kill what still runs of a pod whose object has vanished."""
        if known := self._pods.pop(pod["metadata"]["uid"], None):
            self._agent.spawn(known.forget(), f"forget {pod['metadata']['name']}")

    async def stop(self) -> None:
        """Kill everything: the agent ends."""
        for pod in self._pods.values():
            pod.kill()
        await asyncio.sleep(0)
        await self._kubelet.stop()

    def _find_log(self, namespace: str, pod_name: str, container_name: str, previous: bool) -> ContainerLog | None:
        for pod in reversed(self._pods.values()):
            meta = pod.object["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, pod_name):
                for container in (*pod.containers, *pod.init_containers):
                    if container.name == container_name:
                        return container.previous_log if previous else container.log
        return None


def _grace_left(meta: Object) -> float:
    """Seconds until SIGKILL. The deletion's time is the end of the grace period, in whole seconds."""
    grace = float(meta.get("deletionGracePeriodSeconds") or 0)
    end = datetime.fromisoformat(meta["deletionTimestamp"])
    return max(0.0, min(grace, (end - datetime.now(UTC)).total_seconds() + 1.0))


if __name__ == "__main__":
    serve(ProcessNode)
