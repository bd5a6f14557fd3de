"""One attempt as a process of this machine: started in a session of its own, ended as a whole group, its end put in
words.

A pod's container is the model. SIGTERM goes to the whole group, since a shell passes it on to nobody; who is left
after the grace period is killed. When the first process ends by itself, those it left behind are killed at once, as in
a container.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rung.api.facts import AttemptEnd
from rung.executor.words import last_words
from rung.local.guard import group_lives, signal_group, start_ticks

BAD_CONFIGURATION_EXIT = 78  # EX_CONFIG of sysexits.h; docs/trial-contract.md
SIGNAL_EXIT = 128  # shells and Kubernetes report "ended by signal n" as 128 + n
LOG_TAIL_BYTES = 2048  # as much as Kubernetes keeps of a log for a container that ended badly


class CannotStartError(Exception):
    """The command cannot run here; the text says why. The template is at fault, not the trial."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, rendered."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path | None
    log: Path
    grace_seconds: float
    cores: tuple[int, ...] = ()  # the process and its children may run on these only; empty: on all


@dataclass(slots=True)
class Process:
    """A started attempt. `ended` is asked for, never waited for."""

    popen: subprocess.Popen[bytes]
    launch: Launch
    started_at: float
    ticks: str  # tells it from a later process of the same id
    pidfd: int | None  # readable once the process has ended, where the system has such a thing
    told_to_end: bool = False
    kill_at: float | None = None  # by the monotonic clock
    code: int | None = None
    _oom_before: int | None = field(default=None, repr=False)

    @staticmethod
    def start(launch: Launch) -> Process:
        """Raises CannotStartError, in words; OSError where the machine is at fault (no processes left, disk full)."""
        oom_before = oom_kills()
        log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            popen = subprocess.Popen(
                launch.arguments,
                env=launch.environment,
                cwd=launch.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            said = _cannot_start(error, launch)
            if said is None:
                raise
            raise CannotStartError(said) from error
        except ValueError as error:  # a null byte in an argument
            raise CannotStartError(f"cannot start {launch.arguments[0]!r}: {error}") from error
        finally:
            os.close(log)
        if launch.cores:
            with contextlib.suppress(OSError):  # it has ended already, or a sandbox forbids it: cores are a hint
                os.sched_setaffinity(popen.pid, launch.cores)
        pidfd = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # an old kernel, a sandbox: asking `poll` is enough
                pidfd = os.pidfd_open(popen.pid)
        return Process(popen, launch, time.time(), start_ticks(popen.pid), pidfd, _oom_before=oom_before)

    @property
    def pid(self) -> int:
        """Also the id of its group and session."""
        return self.popen.pid

    def tell_to_end(self) -> None:
        """SIGTERM to the group, once; `ended` sends SIGKILL when the grace period is over."""
        if self.told_to_end or self.code is not None:
            return
        self.told_to_end = True
        self.kill_at = time.monotonic() + self.launch.grace_seconds
        signal_group(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the group, now."""
        self.told_to_end = True
        signal_group(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether it and its group are gone. Never blocks."""
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.kill_at = None
            signal_group(self.pid, signal.SIGKILL)
        if self.code is None:
            if not self._leader_is_dead():
                return False
            if not self.told_to_end:  # before it is waited for: as long as it is a zombie nobody else can have its id
                signal_group(self.pid, signal.SIGKILL)
            self.code = self.popen.wait()
        return not (self.kill_at is not None and group_lives(self.pid))

    def close(self) -> None:
        """Let go of what the system keeps for it. Nobody may watch `pidfd` any more."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def end(self) -> tuple[AttemptEnd, int, str]:
        """Why it ended: the reason, the exit code as Kubernetes would say it, and one line for people."""
        if self.code is None:
            raise RuntimeError(f"process {self.pid} has not ended")
        code = self.code if self.code >= 0 else SIGNAL_EXIT - self.code
        if code == 0:
            return AttemptEnd.COMPLETED, code, "exit code 0"
        if code == BAD_CONFIGURATION_EXIT:
            return AttemptEnd.BAD_CONFIGURATION, code, "exit code 78: the program says that its configuration is bad"
        if code == SIGNAL_EXIT + signal.SIGTERM or self.told_to_end:
            return AttemptEnd.DISRUPTED, code, f"exit code {code} after SIGTERM"
        if code == SIGNAL_EXIT + signal.SIGKILL:
            kills = oom_kills()
            if kills is not None and self._oom_before is not None and kills > self._oom_before:
                return AttemptEnd.OUT_OF_MEMORY, code, "out of memory: killed by the kernel"
            return AttemptEnd.CRASHED, code, "exit code 137: killed by SIGKILL, by hand or for want of memory"
        if self.code < 0:
            with contextlib.suppress(ValueError):
                return AttemptEnd.CRASHED, code, f"exit code {code}: killed by {signal.Signals(-self.code).name}"
        said = last_words(self._log_tail())
        return AttemptEnd.CRASHED, code, f"exit code {code}: {said}" if said else f"exit code {code}"

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError), self.launch.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return log.read(LOG_TAIL_BYTES).decode(errors="replace")
        return ""

    def _leader_is_dead(self) -> bool:
        if not hasattr(os, "waitid"):
            return self.popen.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has waited for it: Popen knows to make the best of that
            return True


def oom_kills() -> int | None:
    """How many processes of this machine's control group the kernel has killed for want of memory; None if nobody says.

    Source: Documentation/admin-guide/cgroup-v2.rst, memory.events.
    """
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_bytes().splitlines():
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    return None


def _cannot_start(error: OSError, launch: Launch) -> str | None:
    """In words, where the template is at fault; None where the machine is."""
    command = launch.arguments[0]
    if launch.directory is not None and error.filename is not None and Path(error.filename) == launch.directory:
        return f"workingDir {launch.directory}: {os.strerror(error.errno or 0).lower()} on this machine"
    match error.errno:
        case errno.ENOENT:
            if "/" in command:
                return f"command not found: {command} does not exist on this machine (an image's files are not here)"
            return (
                f"command not found: no {command!r} in PATH; `rung run` uses this machine's programs, not the image's"
            )
        case errno.EACCES | errno.EISDIR:
            return f"cannot start {command}: it is not executable"
        case errno.ENOEXEC:
            return f"cannot start {command}: neither a program nor a script with a first line `#!…`"
        case errno.E2BIG:
            return f"cannot start {command}: its arguments and environment are too long"
        case _:
            return None
