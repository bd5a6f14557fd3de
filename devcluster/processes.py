"""The cluster's side of the supervisor: start, look at and stop processes, and read the ends of their logs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import StartError

# A cluster on this machine needs no proxy, and a Kubernetes setting of the user's must not leak into it.
SCRUBBED = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "kubeconfig", "kubernetes_service_host")
END_SECONDS = 60.0  # for the supervisor to end everything; it needs about a second
LAST_LINES = 15


@dataclass(frozen=True)
class Process:
    """One process below the supervisor."""

    name: str
    pid: int
    log: Path


class Processes:
    """The supervisor of one cluster, and what it runs."""

    def __init__(self, logs: Path, *, remove: Sequence[Path], inherit: Sequence[int] = ()) -> None:
        """Start the supervisor. It removes `remove` at the end and holds the file descriptors `inherit` until then."""
        self.running: dict[str, Process] = {}
        self._logs = logs
        self._lock = threading.Lock()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervisor.py")), *map(str, remove)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=tuple(inherit),
            start_new_session=True,
        )

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start one process under a name of its own; it writes to NAME.log. Raises StartError."""
        log = self._logs / f"{name}.log"
        reply = self._ask(start=name, command=list(command), log=str(log), env={**clean_environment(), **(env or {})})
        if "error" in reply:
            raise StartError(f"{name} could not be started: {reply['error']}")
        self.running[name] = Process(name, int(str(reply["pid"])), log)
        return self.running[name]

    def stop(self, name: str, *, kill: bool = False, grace: float = 10.0) -> None:
        """End one process and everything below it; `kill` gives it no warning."""
        process = self.running.pop(name)
        self._ask(stop=process.pid, signal=signal.SIGKILL if kill else signal.SIGTERM, grace=grace)

    def check(self, *names: str) -> None:
        """Raise StartError, with the end of its log, if one of these has ended."""
        for name in names:
            process = self.running[name]
            code = self._ask(state=process.pid)["code"]
            if code is not None:
                raise StartError(f"{name} ended with exit code {code}\n{self.last_words(name)}")

    def last_words(self, name: str) -> str:
        """The last lines that a process wrote, and where the others are."""
        process = self.running[name]
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = process.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"--- the end of {process.log}", *lines])

    def keep(self, *paths: Path) -> None:
        """Leave these folders in place at the end."""
        self._ask(keep=[str(path) for path in paths])

    def end(self) -> None:
        """End everything and wait until it is gone. May be called twice."""
        if self._supervisor.stdin:
            with contextlib.suppress(OSError):
                self._supervisor.stdin.close()
        try:
            self._supervisor.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        if self._supervisor.stdout:
            self._supervisor.stdout.close()
        self.running.clear()

    def _ask(self, **request: object) -> dict[str, object]:
        with self._lock:
            stdin, stdout = self._supervisor.stdin, self._supervisor.stdout
            if stdin is None or stdout is None or stdin.closed:
                raise StartError("the cluster is not running")
            try:
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
                line = stdout.readline()
            except OSError as gone:
                raise StartError(f"the cluster's supervisor has died: {gone}") from gone
            if not line:
                raise StartError("the cluster's supervisor has died")
            reply: dict[str, object] = json.loads(line)
            return reply


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead a cluster process astray."""
    return {name: value for name, value in os.environ.items() if name.lower() not in SCRUBBED}
