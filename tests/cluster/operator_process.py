"""The operator as a process of its own, started as its Deployment would start it, and killed as a machine would kill it."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from devcluster import Cluster
from tests.cluster.waiting import wait_until
from tests.forked import Started, rung_command

READY_SECONDS = 30.0  # importing kopf, numpy and a Kubernetes client takes 2 s on a busy core
EXIT_SECONDS = 10.0  # twice what a clean exit may take
SHOWN_LINES = 40

_count = itertools.count()


class OperatorProcess:
    """`with OperatorProcess(cluster, [namespace]) as operator:` runs one until the block is left.

    Without namespaces it watches all of them. Started without a Lease unless `election` is set, since most tests would only wait
    for the Lease of the operator before. Not `fresh`: as a fork of an interpreter that has imported all of it (tests/forked.py). A
    failed test shows the end of the log of every one that was `started` then.
    """

    started: ClassVar[list[OperatorProcess]] = []

    def __init__(
        self,
        cluster: Cluster,
        namespaces: Sequence[str] = (),
        *,
        election: bool = False,
        workers: int | None = None,
        write_rate: float | None = None,
        kubeconfig: Path | None = None,
        options: Sequence[str] = (),
        fresh: bool = True,
    ) -> None:
        self.port = free_port()
        self.log = cluster.logs / f"operator-{next(_count)}.log"
        self.starts = 0
        self._fresh = fresh
        self._process: Started | None = None
        self._command = ["operator", "--kubeconfig", str(kubeconfig or cluster.kubeconfig)]
        for namespace in namespaces:
            self._command += ["--namespace", namespace]
        self._command += ["--health-port", str(self.port), "--log-format", "json"]
        if not election:
            self._command.append("--no-leader-election")
        if workers is not None:
            self._command += ["--workers", str(workers)]
        if write_rate is not None:
            self._command += ["--write-rate", str(write_rate)]
        self._command += options

    def __enter__(self) -> Self:
        OperatorProcess.started.append(self)
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive:
            self.kill9()
        OperatorProcess.started.remove(self)

    @property
    def alive(self) -> bool:
        """It runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    def start(self, *, ready: bool = True, fresh: bool | None = None) -> None:
        """Start it, again if it has ended; returns when /readyz says so, unless `ready` is unset."""
        if self.alive:
            raise RuntimeError("the operator runs already")
        fresh = self._fresh if fresh is None else fresh
        with self.log.open("ab") as log:
            self._process = rung_command(self._command, Path.cwd(), log.fileno(), log.fileno(), fresh=fresh)
        self.starts += 1
        if ready:
            self.wait_ready()

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Until /readyz answers 200. Raises AssertionError, with the log's end, if the process ends before."""

        def ready() -> bool:
            if not self.alive:
                raise AssertionError(
                    f"the operator has ended with {self._running().returncode}:\n{self.log_text()[-4000:]}"
                )
            return self.probe("/readyz")[0] == 200

        wait_until("the operator is ready", ready, timeout=timeout)

    def kill9(self) -> None:
        """As the kernel would: no handler runs."""
        process = self._running()
        process.kill()
        process.wait(EXIT_SECONDS)

    def sigterm(self) -> tuple[float, int]:
        """End it as Kubernetes would; returns the seconds that it took and the exit code."""
        process = self._running()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(EXIT_SECONDS)
        return time.monotonic() - began, code

    def probe(self, path: str) -> tuple[int, str]:
        """Status and text of one of its own endpoints; status 0 if nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """Its own metrics: `name{labels}` to value."""
        lines = self.probe("/metrics")[1].splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def resident_bytes(self) -> tuple[int, int]:
        """Its memory now, and the most that it had so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        found = {
            line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS:", "VmHWM:"))
        }
        return found["VmRSS"], found["VmHWM"]

    def log_text(self) -> str:
        """All that it and its predecessors on this object wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def log_end(self) -> str:
        """The last lines of it."""
        return "\n".join(self.log_text().splitlines()[-SHOWN_LINES:])

    def log_entries(self) -> list[dict[str, Any]]:
        """The JSON lines among it."""
        entries = []
        for line in self.log_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def _running(self) -> Started:
        if self._process is None:
            raise RuntimeError("the operator was never started")
        return self._process


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
