"""Starts the cluster's processes and outlives whoever asked for them, just long enough to end them all.

A program of its own (standard library only, run by its path): the cluster speaks to it in JSON lines on stdin and
stdout. End of input means that the cluster's owner is gone, however it went, kill -9 included. Then every process goes
in the reverse order of its start, and the folders named on the command line are removed.

It makes itself the "child subreaper" of the kernel: a process below it that loses its parent, or that was daemonised
into a session of its own, becomes its child and is found at the end.

    {"start": NAME, "command": [...], "log": PATH, "env": {...}}   -> {"pid": N} or {"error": TEXT}
    {"stop": PID, "signal": 15, "grace": 5.0}                      -> {"ended": true}, with all of its descendants
    {"state": PID}                                                 -> {"code": null or exit code}
    {"keep": [PATH, ...]}                                          -> {"kept": true}: don't remove these at the end
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any  # a request is whatever JSON came

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
GRACE_SECONDS = 3.0  # for each process at the end: etcd and the API server need well below one
POLL_SECONDS = 0.01

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Serve requests until the input ends, then end everything."""
    remove = [Path(argument) for argument in sys.argv[1:]]
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A terminal's Ctrl-C reaches the whole process group; the owner hears it too and decides what it means.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    children: dict[int, subprocess.Popen[bytes]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = _serve(request, children, remove)
        except OSError as error:
            reply = {"error": str(error)}
        try:
            print(json.dumps(reply), flush=True)
        except OSError:
            break  # the owner died between asking and hearing
    for child in reversed(children.values()):
        _end(child, signal.SIGTERM, GRACE_SECONDS)
    _end_orphans()
    for path in remove:
        shutil.rmtree(path, ignore_errors=True)


def _serve(request: dict[str, Any], children: dict[int, subprocess.Popen[bytes]], remove: list[Path]) -> dict[str, Any]:
    if "start" in request:
        with Path(request["log"]).open("ab") as log:
            child = subprocess.Popen(
                request["command"],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (this program has one thread)
                close_fds=True,
            )
        children[child.pid] = child
        return {"pid": child.pid}
    if "state" in request:
        return {"code": children[request["state"]].poll()}
    if "stop" in request:
        _end(children.pop(request["stop"]), request["signal"], request["grace"])
        return {"ended": True}
    remove[:] = [path for path in remove if str(path) not in request["keep"]]
    return {"kept": True}


def _die_with_parent() -> None:
    for heeded in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(heeded, signal.SIG_DFL)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _end(child: subprocess.Popen[bytes], first: int, grace: float) -> None:
    """Signal, wait, kill; whatever it had started goes with it."""
    below = _descendants(child.pid)
    if child.poll() is None:
        child.send_signal(first)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
        below |= _descendants(child.pid)
        child.kill()
        child.wait()
    _kill(below)


def _end_orphans() -> None:
    """Kill what is left below this process until nothing is: a dying process may still be starting another."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := _descendants(os.getpid())) and time.monotonic() < deadline:
        _kill(left)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(POLL_SECONDS)


def _kill(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in brackets may hold anything; state and parent follow the last bracket.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            found.add(pid)
            waiting.append(pid)
    return found


if __name__ == "__main__":
    main()
