"""Instance numbers: which ports and which loopback addresses a cluster has to itself.

    ports      FIRST_PORT + 8 n …      below the range that the kernel hands out by itself (from 32768)
    addresses  127.(64 + n).0.0/16     nodes at .0.k, pods of small nodes in .k.0/24, of large ones in .(64 j).0/18

A number is held by a lock on a file, which the kernel releases when the last process that has it open ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devcluster.errors import StartError

INSTANCES = 128  # 127.64.0.0 to 127.191.0.0; a machine runs out of memory long before
FIRST_PORT = 21000
PORTS_EACH = 8
SMALL_NODES = 63  # their /24 blocks lie below the first large block
LARGE_NODES = 3


@dataclass(frozen=True)
class Instance:
    """A number that no other cluster on this machine has, with its ports and addresses."""

    number: int
    lock: IO[str]

    def port(self, which: int) -> int:
        """One of the instance's ports, counted from 0."""
        return FIRST_PORT + self.number * PORTS_EACH + which

    def node_address(self, index: int) -> str:
        """The address of the index-th node, counted from 1."""
        return f"127.{64 + self.number}.0.{index}"

    def small_block(self, index: int) -> tuple[str, int]:
        """First address and size of the pods' block of a node with up to 254 pods at once."""
        return f"127.{64 + self.number}.{index}.0", 256

    def large_block(self, index: int) -> tuple[str, int]:
        """First address and size of a block for thousands of pods; index is 1 to 3."""
        return f"127.{64 + self.number}.{64 * index}.0", 64 * 256

    def release(self) -> None:
        """Give the number back, once every process that inherited the lock has ended."""
        self.lock.close()


def take_instance() -> Instance:
    """The lowest number that is free and whose ports are. Raises StartError when there is none."""
    folder = Path(tempfile.gettempdir()) / f"rung-devcluster-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(INSTANCES):
        lock = (folder / f"instance-{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        instance = Instance(number, lock)
        if all(_free(instance.port(which)) for which in range(PORTS_EACH)):
            return instance
        lock.close()
    raise StartError(f"all {INSTANCES} instance numbers are taken or have a busy port from {FIRST_PORT} on")


def _free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
