"""Real trial processes on this machine, started with the environment that the operator gives and spoken to by HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

TRIAL_IMAGE = Path(__file__).parents[2] / "trial_image"
WITHIN = 30.0  # seconds for one request to a trial that runs
# How long a process takes on the wall is a matter of who shares the machine with it, so neither limit is of that kind.
WORK_SECONDS = 300.0  # of CPU time: a training with PyTorch takes 20
IDLE_SECONDS = 60.0  # without any work: it waits for what will never come


@dataclass
class Ended:
    """What a finished process left behind."""

    code: int
    lines: list[str]
    stderr: str

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout. Hugging Face prints Python dicts beside them."""
        return [json.loads(line) for line in self.lines if line.startswith('{"')]


class Process:
    """A running trial."""

    def __init__(self, popen: subprocess.Popen[str], stderr: IO[str]) -> None:
        self.popen, self.stderr = popen, stderr
        self.seen: list[str] = []

    def line(self) -> str:
        """The next line of stdout, waited for."""
        assert self.popen.stdout is not None
        text = self.popen.stdout.readline().rstrip("\n")
        self.seen.append(text)
        return text

    def tell(self, text: str) -> None:
        """One line on its stdin."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(text + "\n")
        self.popen.stdin.flush()

    def end(self) -> Ended:
        """Close its stdin, and wait for it. `communicate` would pass over what `line` has left in the buffer."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        rest = self.popen.stdout.read().splitlines()
        code = self.popen.wait()
        self.stderr.seek(0)
        return Ended(code, self.seen + rest, self.stderr.read())


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, without anything of Rung's, and `more`."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("RUNG_") and name != "POD_IP"}
    return {**mine, "PYTHONPATH": str(TRIAL_IMAGE), "RUNG_TERMINATION_LOG": os.devnull, **more}


@contextlib.contextmanager
def process(command: Sequence[str], **env: str) -> Iterator[Process]:
    """A command as a trial; killed on leaving if it still runs."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(command, env=environment(env), stdin=pipe, stdout=pipe, stderr=stderr, text=True) as popen,
    ):
        over = threading.Event()
        threading.Thread(target=watch, args=(popen, over), name="watchdog", daemon=True).start()
        try:
            yield Process(popen, stderr)
        finally:
            over.set()
            popen.kill()


def watch(popen: subprocess.Popen[str], over: threading.Event) -> None:
    """Kill a process that works for too long or hangs: a line that never comes ends the test, not the test run."""
    used = -1.0
    while not over.wait(IDLE_SECONDS) and popen.poll() is None:
        used, before = cpu_seconds(popen.pid), used
        if used == before or used > WORK_SECONDS:
            popen.kill()


def cpu_seconds(pid: int) -> float:
    """What a process and the children that it waited for have used of the CPU."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def python(program: str) -> list[str]:
    """The command for a program given as text."""
    return [sys.executable, "-c", program]


def trainer(name: str, *arguments: str) -> list[str]:
    """The command for one of the trainers."""
    return [sys.executable, "-m", f"trainers.{name}", *arguments]


def ended(command: Sequence[str], **env: str) -> Ended:
    """Run a command to its end."""
    with process(command, **env) as running:
        return running.end()


def free_port() -> str:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def get(port: str, path: str, host: str = "127.0.0.1") -> tuple[int, str, str]:
    """Status, content type and body; an HTTP error is an answer too."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=WITHIN) as reply:
            return reply.status, reply.headers["Content-Type"], reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def observations(port: str, since: int = 0) -> dict[str, Any]:
    """The body of /observations, strict: NaN as a bare word is an error."""

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    parsed: dict[str, Any] = json.loads(get(port, f"/observations?since={since}")[2], parse_constant=refuse)
    return parsed
