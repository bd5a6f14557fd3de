"""Processes that a dead run has left behind, found and ended before its study goes on.

The guard ends them when a run dies; this is for when the guard was killed too, and for processes that have left their
group. Two ways lead to them: `process.json` of an attempt (id, start time and boot, so that no stranger with the same
id is hit), and the environment, where RUNG_TERMINATION_LOG names a file of this very state directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rung.local.guard import start_ticks
from rung.local.state import AttemptFolder, State
from rung.local.template import TERMINATION_LOG

POLL_SECONDS = 0.02
KILL_SECONDS = 1.0  # SIGKILL takes milliseconds


@dataclass(frozen=True, slots=True)
class Orphan:
    """A process, told from a later one of the same id by its start."""

    pid: int
    ticks: str

    @property
    def lives(self) -> bool:
        """It has not ended."""
        return start_ticks(self.pid) == self.ticks

    def signal(self, number: int) -> None:
        """To the process, if it is still that one."""
        if self.lives:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def recorded(folder: AttemptFolder) -> Mapping[str, object]:
    """What `process.json` of an attempt says; empty if the run died before it was written."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(folder.process.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def find(state: State, folders: Iterable[AttemptFolder], boot: str) -> list[Orphan]:
    """Every living process of the attempts. Where there is no /proc none is found: then the guard has to do."""
    found: set[Orphan] = set()
    sessions: set[int] = set()
    for folder in folders:
        facts = recorded(folder)
        pid, ticks = facts.get("pid"), facts.get("ticks")
        if isinstance(pid, int) and ticks and facts.get("boot") == boot and start_ticks(pid) == ticks:
            sessions.add(pid)
    mark = f"{TERMINATION_LOG}={state.attempts}{os.sep}".encode()
    proc = Path("/proc")
    for entry in os.scandir(proc) if proc.is_dir() else ():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            if pid != os.getpid() and (
                mark in (proc / entry.name / "environ").read_bytes() or os.getsid(pid) in sessions
            ):
                ticks = start_ticks(pid)
                if ticks:
                    found.add(Orphan(pid, ticks))
    return sorted(found, key=lambda orphan: orphan.pid)


async def end(orphans: Iterable[Orphan], grace_seconds: float) -> None:
    """SIGTERM to all; SIGKILL to those that are left after the grace period."""
    left = list(orphans)
    for orphan in left:
        orphan.signal(signal.SIGTERM)
    left = await _left(left, grace_seconds)
    for orphan in left:
        orphan.signal(signal.SIGKILL)
    await _left(left, KILL_SECONDS)


async def _left(orphans: list[Orphan], within: float) -> list[Orphan]:
    """Those that still live when the time is over. Nothing tells of the end of a process that is not our child: ask."""
    deadline = time.monotonic() + within
    while orphans := [orphan for orphan in orphans if orphan.lives]:
        if time.monotonic() >= deadline:
            return orphans
        await asyncio.sleep(POLL_SECONDS)
    return []
