"""One process in a session of its own, watched by the event loop: its output as it comes, its exit when it happens.

asyncio's own subprocess is not used: in several versions of Python its wait() lasts until every child that inherited
the output has closed it, and a container has ended when its first process has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from devcluster.container_setup import ProcessPlan, exit_code

CHUNK = 1 << 16


class LocalProcess:
    """Started by its constructor, which raises OSError or ValueError when that cannot be."""

    def __init__(self, plan: ProcessPlan, output: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._output = output
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self.drained: asyncio.Future[None] = self._loop.create_future()
        self._read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(write, True)  # the reading end alone is ours: a program expects a patient stdout
        try:
            self._popen = subprocess.Popen(
                plan.argv,
                env=plan.env,
                cwd=plan.folder,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._read)
            raise
        finally:
            os.close(write)
        self.pid = self._popen.pid
        self._loop.add_reader(self._read, self._readable)
        self._watch_exit()

    def signal(self, which: signal.Signals) -> None:
        """Send a signal to the process and to what it started, unless that has a session of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, which)

    def stop_reading(self) -> None:
        """Close the output, whoever still holds the other end."""
        if not self.drained.done():
            self._loop.remove_reader(self._read)
            os.close(self._read)
            self.drained.set_result(None)

    def _readable(self) -> None:
        try:
            data = os.read(self._read, CHUNK)
        except BlockingIOError:
            return
        if data:
            self._output(data)
        else:
            self.stop_reading()

    def _watch_exit(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:  # a kernel, or a sandbox, without it
            threading.Thread(target=self._wait_in_thread, name=f"wait {self.pid}", daemon=True).start()
            return

        def ended() -> None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._has_exited(self._popen.wait())

        self._loop.add_reader(descriptor, ended)

    def _wait_in_thread(self) -> None:
        returncode = self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended before the process
            self._loop.call_soon_threadsafe(self._has_exited, returncode)

    def _has_exited(self, returncode: int) -> None:
        if not self.exited.done():
            self.exited.set_result(exit_code(returncode))
