"""`rung` in a process of its own: a fresh interpreter, or a fork of one that has imported everything already.

The imports take most of a second, and tests that kill start hundreds of processes. A fork is a process as any other, with a pid, a
memory and an end of its own; what it leaves out is the start of an interpreter and a seed of its own for the hashes of strings. So
a test whose lives should differ in all that nothing may hang on has fresh ones among them.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from multiprocessing import forkserver, reduction
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Protocol

import rung
from rung.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = Path(rung.__file__).parents[1]  # the very package that the tests import
TRIAL_IMAGE = REPOSITORY / "trial_image"
IMPORTED = ["rung.cli.run", "rung.controller.main", "rung.search.tpe", "tests.forked", "tests.local.test_kill_sweep"]


class Started(Protocol):
    """What subprocess.Popen has and tests need."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


def rung_command(arguments: Sequence[str], folder: Path, out: int, err: int, *, fresh: bool) -> Started:
    """Start `rung ARGUMENTS` in a folder, its output to these file descriptors."""
    if not fresh:
        return _Fork(arguments, folder, out, err)
    command = [sys.executable, "-m", "rung.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": _python_path(), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


@cache
def forks() -> ForkServerContext:
    """Makes processes that are forks. The first call starts the interpreter that they are forked from; it ends with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join((_python_path(), str(REPOSITORY)))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


class _Fork:
    def __init__(self, arguments: Sequence[str], folder: Path, out: int, err: int) -> None:
        self._process = forks().Process(target=_life, args=(list(arguments), folder, _Handed(out), _Handed(err)))
        self._process.daemon = True
        self._process.start()
        self.pid = int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("rung", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self._process.kill()


class _Handed:
    """A file descriptor that is duplicated for the new process when it is pickled for it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.descriptor),)


def _received(handed: Any) -> int:
    return int(handed.detach())


def _life(arguments: list[str], folder: Path, out: int, err: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = _python_path()
    sys.exit(main(arguments))


def _python_path() -> str:
    return os.pathsep.join(map(str, (PACKAGE, TRIAL_IMAGE)))
