"""One pod on a process node: volumes, init containers, containers, restarts, termination, and what its status says.

    Pending -> Running -> Succeeded | Failed, two status writes for a pod that just runs; `terminate` at any time.

After the last write of a pod that is being deleted its object is removed, which is what the Job controller, the
scheduler and a person with `kubectl delete` wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any  # the result of a task that nobody asks for

from devcluster.container import Container
from devcluster.container_setup import ProcessPlan, gpus_wanted
from devcluster.node import GPU, Agent, timestamp
from devcluster.node_api import Object
from devcluster.pod_plan import PodPlanner
from devcluster.probes import keep_probing, probe, run_once
from devcluster.volumes import CannotStartError, Volumes

FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.5, 10.0  # before a restart; a kubelet waits 10 s to 5 min, which nobody here has
SIDECAR_SECONDS = 2.0  # for sidecars to end after the containers have
log = logging.getLogger(__name__)


class Gpus:
    """The numbers of one node's GPUs."""

    def __init__(self, count: int) -> None:
        self._free = set(range(count))

    def take(self, count: int) -> list[int]:
        """The lowest free ones. Raises CannotStartError, as a kubelet refuses what the scheduler should not have sent."""
        if count > len(self._free):
            raise CannotStartError("UnexpectedAdmissionError", f"{count} GPUs are wanted, {len(self._free)} are free")
        taken = sorted(self._free)[:count]
        self._free.difference_update(taken)
        return taken

    def give_back(self, numbers: Sequence[int]) -> None:
        """Free some."""
        self._free.update(numbers)


class Pod:
    """One pod; `run` is its life, the other methods are what happens to it."""

    def __init__(self, pod: Object, agent: Agent, gpus: Gpus, folder: Path) -> None:
        self.object = pod
        self.spec: Object = pod["spec"]
        self.ip = ""
        self.finished = False
        self._agent = agent
        self._gpus = gpus
        self._folder = folder
        annotations = pod["metadata"].get("annotations") or {}

        def containers(key: str) -> list[Container]:
            specs = self.spec.get(key) or []
            return [Container(spec, folder / "containers" / spec["name"], annotations) for spec in specs]

        self.init_containers = containers("initContainers")
        self.containers = containers("containers")
        self._sidecars = [c for c in self.init_containers if c.spec.get("restartPolicy") == "Always"]
        self._started_at = timestamp()
        self._initialized = not self.init_containers
        self._reason = ""
        self._message = ""
        self._terminating = asyncio.Event()
        self._deleted = False
        self._removed = False
        self._kill_at = float("inf")
        self._kill: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """From being bound to its last status, and the removal of its object if it is being deleted."""
        try:
            self.ip = self._agent.addresses.take()
            try:
                await self._run()
            finally:
                self.kill()
                self._end_tasks()
                for container in (*self.init_containers, *self.containers):
                    self._gpus.give_back(container.gpus)
                self._agent.addresses.give_back(self.ip)
        except LookupError as error:
            await self._refuse(CannotStartError("OutOfpods", str(error)))
        except CannotStartError as refusal:
            await self._refuse(refusal)
        self.finished = True
        await self._write_status()
        await self.remove_if_deleted()

    def terminate(self, grace: float) -> None:
        """Its object is being deleted: SIGTERM now, SIGKILL after the grace period; a shorter one may follow."""
        self._deleted = True
        self._begin_end(grace)

    def _begin_end(self, grace: float) -> None:
        kill_at = time.monotonic() + grace
        if kill_at < self._kill_at:
            self._kill_at = kill_at
            if self._kill:
                self._kill.cancel()
            self._kill = asyncio.get_running_loop().call_later(max(grace, 0.0), self.kill)
        if not self._terminating.is_set():
            self._terminating.set()
            for container in self.containers:
                self._spawn(self._ask_to_end(container), f"end {container.name}")

    def kill(self) -> None:
        """SIGKILL for all that runs."""
        for container in (*self.containers, *self.init_containers):
            container.signal(signal.SIGKILL)

    async def forget(self) -> None:
        """The object is gone: nothing may run, and no folder stays."""
        self.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def remove_if_deleted(self) -> None:
        """Remove the object of a pod that is being deleted and has ended."""
        if self._deleted and self.finished and not self._removed:
            self._removed = True
            await self._agent.delete_now(self.object)

    async def lose(self) -> None:
        """The pod ran under an earlier agent of this node."""
        for container in self.containers:
            container.lose()
        self.finished, self._initialized = True, True
        await self._write_status()

    async def _run(self) -> None:
        options = self._agent.options
        volumes = Volumes(self._agent.api, self.object, self._folder / "volumes", self.ip, options.address)
        planner = PodPlanner(self.object, self.ip, options, self._agent.api, self._folder, await volumes.make_all())
        for container in self.containers:
            container.gpus = self._gpus.take(gpus_wanted(container.spec, GPU))
        if not await self._run_init_containers(planner):
            return
        if seconds := self.spec.get("activeDeadlineSeconds"):
            self._spawn(self._end_at_deadline(float(seconds)), "deadline")
        plans = [await planner.plan(container) for container in self.containers]
        if self._terminating.is_set():
            return
        for container, plan in zip(self.containers, plans, strict=True):
            self._start(container, plan)
        lives = [
            self._spawn(self._live(container, plan), f"container {container.name}")
            for container, plan in zip(self.containers, plans, strict=True)
        ]
        await self._write_status()
        await asyncio.gather(*lives)
        await self._end_sidecars()

    async def _run_init_containers(self, planner: PodPlanner) -> bool:
        """One after the other; false when one has failed for good or the pod is to end."""
        for container in self.init_containers:
            plan = await planner.plan(container)
            if self._terminating.is_set():
                return False
            self._start(container, plan)
            if container in self._sidecars:
                self._spawn(self._live(container, plan), f"sidecar {container.name}")
                continue
            while await container.wait() != 0:
                if self._terminating.is_set() or self.spec.get("restartPolicy") == "Never":
                    await self._end_sidecars()
                    return False
                await self._back_off(container)
                self._start(container, plan)
        self._initialized = True
        return True

    def _start(self, container: Container, plan: ProcessPlan) -> None:
        container.start(plan)
        if self._terminating.is_set():
            container.signal(signal.SIGTERM)
        container.ready = container.running and "readinessProbe" not in container.spec

    async def _live(self, container: Container, plan: ProcessPlan) -> None:
        """Wait for a container's end, and start it again where the pod's restart policy says so."""
        policy = container.spec.get("restartPolicy") or self.spec.get("restartPolicy", "Always")
        while True:
            probes = self._probe(container, plan)
            code = await container.wait()
            for task in probes:
                task.cancel()
            if policy == "Never" or (policy == "OnFailure" and code == 0) or self._terminating.is_set():
                return
            await self._write_status()
            await self._back_off(container)
            if self._terminating.is_set():
                return
            self._start(container, plan)
            await self._write_status()

    async def _back_off(self, container: Container) -> None:
        wait = min(FIRST_BACK_OFF * 2**container.restarts, LONGEST_BACK_OFF)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._terminating.wait(), wait)

    def _probe(self, container: Container, plan: ProcessPlan) -> list[asyncio.Task[Any]]:
        def ask(kind: str) -> Callable[[], asyncio.Task[bool]]:
            spec = container.spec[kind]
            return lambda: asyncio.ensure_future(probe(spec, container.spec, self.ip, plan))

        def ready(healthy: bool) -> None:
            container.ready = healthy and container.running
            self._spawn(self._write_status(), "readiness")

        def alive(healthy: bool) -> None:
            if not healthy:
                container.signal(signal.SIGTERM)
                asyncio.get_running_loop().call_later(2.0, container.signal, signal.SIGKILL)

        tasks = []
        if spec := container.spec.get("readinessProbe"):
            tasks.append(self._spawn(keep_probing(spec, ask("readinessProbe"), ready, healthy_at_first=False), "ready"))
        if spec := container.spec.get("livenessProbe"):
            patient = {**spec, "initialDelaySeconds": max(spec.get("initialDelaySeconds", 0), 5)}
            tasks.append(
                self._spawn(keep_probing(patient, ask("livenessProbe"), alive, healthy_at_first=True), "alive")
            )
        return tasks

    async def _ask_to_end(self, container: Container) -> None:
        hook: Object = (container.spec.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(float(hook["sleep"]["seconds"]))
        elif "exec" in hook:
            await run_once(hook["exec"]["command"], ProcessPlan((), dict(os.environ), self._folder))
        container.signal(signal.SIGTERM)

    async def _end_at_deadline(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._reason = "DeadlineExceeded"
        self._message = f"Pod was active on the node longer than the specified deadline ({seconds:.0f} s)"
        self._begin_end(float(self.spec.get("terminationGracePeriodSeconds", 30)))

    async def _end_sidecars(self) -> None:
        self._terminating.set()
        for container in reversed(self._sidecars):
            container.signal(signal.SIGTERM)
        for container in self._sidecars:
            asyncio.get_running_loop().call_later(SIDECAR_SECONDS, container.signal, signal.SIGKILL)
            await container.wait()

    async def _refuse(self, refusal: CannotStartError) -> None:
        """A pod that cannot start: waiting with the reason until it is deleted, or failed where a kubelet fails it."""
        if refusal.reason in ("UnexpectedAdmissionError", "OutOfpods"):
            self._reason, self._message = refusal.reason, refusal.message
            return
        for container in self.containers:
            container.wait_because(refusal.reason, refusal.message)
        await self._write_status()
        await self._agent.event(self.object, "Failed", f"{refusal.reason}: {refusal.message}")
        await self._terminating.wait()

    async def _write_status(self) -> None:
        async with self._writing:  # in order: a late Running must not follow Succeeded
            if not await self._agent.patch_status(self.object, self._status()):
                log.info("pod %s is gone", self.object["metadata"]["name"])

    def _status(self) -> Object:
        phase = self._phase()
        now = timestamp()
        ready = phase == "Running" and all(container.ready for container in self.containers)
        done = "PodCompleted" if phase == "Succeeded" else "PodFailed" if phase == "Failed" else ""

        def condition(kind: str, holds: bool, reason: str) -> Object:
            value = {"type": kind, "status": str(holds), "lastTransitionTime": now}
            return value if holds else {**value, "reason": done or reason}

        conditions = [
            condition("PodReadyToStartContainers", phase == "Running", "ContainersNotReady"),
            condition("Initialized", self._initialized, "ContainersNotInitialized"),
            condition("Ready", ready, "ContainersNotReady"),
            condition("ContainersReady", ready, "ContainersNotReady"),
        ]
        status: Object = {
            "phase": phase,
            "conditions": conditions,
            "hostIP": self._agent.options.address,
            "hostIPs": [{"ip": self._agent.options.address}],
            "startTime": self._started_at,
            "containerStatuses": [container.status() for container in self.containers],
        }
        if self.init_containers:
            status["initContainerStatuses"] = [container.status() for container in self.init_containers]
        if self.ip:
            status |= {"podIP": self.ip, "podIPs": [{"ip": self.ip}]}
        if self._reason:
            status |= {"reason": self._reason, "message": self._message}
        return status

    def _phase(self) -> str:
        if self._reason in ("DeadlineExceeded", "UnexpectedAdmissionError", "OutOfpods") and self.finished:
            return "Failed"
        ran = [container for container in self.containers if container.exit_code is not None]
        if self.finished:
            clean = len(ran) == len(self.containers) and all(container.exit_code == 0 for container in ran)
            return "Succeeded" if clean else "Failed"
        started = any(c.running or c.terminated for c in self.containers)
        return "Running" if started else "Pending"

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = self._agent.spawn(work, f"{self.object['metadata']['name']}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _end_tasks(self) -> None:
        if self._kill:
            self._kill.cancel()
        for task in list(self._tasks):
            task.cancel()
