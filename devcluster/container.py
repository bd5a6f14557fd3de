"""One container as one local process: start, output, exit, and the state that Kubernetes is told.

Waiting, then running, then terminated; where the pod restarts, running again after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from devcluster.container_log import ContainerLog
from devcluster.container_setup import ProcessPlan
from devcluster.images import image_id
from devcluster.local_process import LocalProcess
from devcluster.names import OOM_ANNOTATION
from devcluster.node import timestamp
from devcluster.node_api import Object

OUTPUT_SECONDS = 1.0  # after the exit, for what a left-over child still holds the pipe open for
MESSAGE_BYTES = 4096  # of the termination log; Kubernetes cuts there
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80  # of the output, where terminationMessagePolicy asks for it
CANNOT_RUN = 128  # the exit code that containerd reports when a command cannot be started


class Container:
    """A container of a pod on a process node."""

    def __init__(self, spec: Object, folder: Path, annotations: dict[str, str]) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.folder = folder
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self.restarts = 0
        self.ready = False
        self.started = False
        self.exit_code: int | None = None
        self.gpus: list[int] = []
        self._oom_code = annotations.get(OOM_ANNOTATION, "")
        self._process: LocalProcess | None = None
        self._state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self._last_state: Object = {}

    @property
    def termination_log(self) -> Path:
        """The real file behind the container's terminationMessagePath."""
        return self.folder / "termination-log"

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return "running" in self._state

    @property
    def terminated(self) -> bool:
        """Whether its last run has ended."""
        return "terminated" in self._state

    def wait_because(self, reason: str, message: str = "") -> None:
        """Not running, and why."""
        self._state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def start(self, plan: ProcessPlan) -> None:
        """Start the process. One that cannot be started is terminated at once, with the reason as its message."""
        if self.terminated:
            self._last_state = self._state
            self.restarts += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        self.termination_log.write_bytes(b"")
        self.previous_log = self.log
        self.log = ContainerLog(self.folder / f"{self.restarts}.log")
        self.exit_code = None
        try:
            self._process = LocalProcess(plan, self.log.feed)
        except (OSError, ValueError, IndexError) as error:
            self.log.close()
            self._finish(CANNOT_RUN, "StartError", f"cannot run {list(plan.argv)} in {plan.folder}: {error}"[:1024])
            return
        self._state = {"running": {"startedAt": timestamp()}}
        self.started = True

    async def wait(self) -> int:
        """Wait for the end of the process, end what it left behind, and return its exit code."""
        process = self._process
        if process is None or not self.running:
            return self.exit_code if self.exit_code is not None else CANNOT_RUN
        code = await asyncio.shield(process.exited)
        process.signal(signal.SIGKILL)  # as the end of process 1 ends a container
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OUTPUT_SECONDS):
                await asyncio.shield(process.drained)
        process.stop_reading()
        if self.log is not None:
            self.log.close()
        reason = "Completed" if code == 0 else "Error"
        if self._oom_code == str(code):
            code, reason = 137, "OOMKilled"
        self._finish(code, reason, self._message(code))
        return code

    def signal(self, which: signal.Signals) -> None:
        """Send a signal, if the process runs."""
        if self._process is not None and not self._process.exited.done():
            self._process.signal(which)

    def status(self) -> Object:
        """The containerStatus."""
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": image_id(self.spec["image"]) if self.log is not None else "",
            "containerID": f"process://{self._process.pid}" if self._process is not None else "",
            "ready": self.ready,
            "started": self.running and self.started,
            "restartCount": self.restarts,
            "state": self._state,
            "lastState": self._last_state,
        }

    def lose(self) -> None:
        """It ran under an agent that is gone; nobody knows how it ended."""
        self._finish(137, "ContainerStatusUnknown", "the node's agent was restarted while this container ran")

    def _finish(self, code: int, reason: str, message: str) -> None:
        running: Object = self._state.get("running", {})
        now = timestamp()
        terminated = {"exitCode": code, "reason": reason, "startedAt": running.get("startedAt", now), "finishedAt": now}
        if message:
            terminated["message"] = message
        self._state = {"terminated": terminated}
        self.exit_code = code
        self.ready = False
        self.started = False

    def _message(self, code: int) -> str:
        try:
            with self.termination_log.open("rb") as file:
                written = file.read(MESSAGE_BYTES)
        except OSError:
            written = b""
        fallback = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if not written and fallback and code != 0 and self.log is not None:
            with contextlib.suppress(OSError):
                lines = self.log.path.read_bytes().split(b"\n")[-FALLBACK_LINES - 1 :]
                written = b"\n".join(line[33:] for line in lines)[-FALLBACK_BYTES:]
        return written.decode(errors="replace")
