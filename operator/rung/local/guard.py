"""Ends a runner's trials when the runner dies, whatever killed it: a small process of its own that outlives it by
seconds.

It holds the other end of a pipe. The runner says which processes live; when the pipe closes and some are left, nobody
else will end them: SIGTERM to their groups (they may write a checkpoint), SIGKILL after the grace period.
PR_SET_PDEATHSIG would do less: it reaches no grandchildren (`sh -c`), leaves no grace, and needs a fork where a spawn
is enough.

    + 4711 991122    a process started: its id, and its start time in clock ticks (an id may be used again by another)
    - 4711           it has ended and was waited for
    grace 30         seconds between the two signals

Runs as a script, without site packages: `python -I -S guard.py`; only what starts in milliseconds is imported.
"""

from __future__ import annotations

import os
import signal
import sys
import time

POLL_SECONDS = 0.05
DEFAULT_GRACE_SECONDS = 30.0  # Kubernetes' own


def start_ticks(pid: int) -> str:
    """When the process started, in clock ticks since boot; empty where that cannot be known, or it is gone or a
    zombie.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib would double the start-up of this script
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def is_same(pid: int, ticks: str) -> bool:
    """The id still belongs to the process that started then."""
    now = start_ticks(pid)
    return not ticks or not now or now == ticks


def signal_group(pid: int, number: int) -> bool:
    """To the whole group that `pid` leads; False once nobody is left in it."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def group_lives(pid: int) -> bool:
    """Anybody of the group is left. Zombies that nobody waits for do not count, where /proc tells."""
    if not signal_group(pid, 0):
        return False
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - as above
    except OSError:
        return True
    return any(_runs_in_group(entry, pid) for entry in entries if entry.isdigit())


def end_groups(groups: dict[int, str], grace: float) -> None:
    """SIGTERM, then SIGKILL to whoever is left after `grace` seconds."""
    left = [pid for pid, ticks in groups.items() if is_same(pid, ticks) and signal_group(pid, signal.SIGTERM)]
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = [pid for pid in left if group_lives(pid)]
    for pid in left:
        signal_group(pid, signal.SIGKILL)


def main() -> None:
    """Listen until the runner is gone."""
    groups: dict[int, str] = {}
    grace = DEFAULT_GRACE_SECONDS
    for line in sys.stdin.buffer:
        words = line.decode().split()
        if words[0] == "+":
            groups[int(words[1])] = words[2] if len(words) > 2 else ""
        elif words[0] == "-":
            groups.pop(int(words[1]), None)
        else:
            grace = float(words[1])
    end_groups(groups, grace)


def _runs_in_group(entry: str, group: int) -> bool:
    try:
        with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[2]) == group


if __name__ == "__main__":
    main()
