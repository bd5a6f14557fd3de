"""A container's output: kept line by line with the time of each, as a container runtime does, and read back by kubectl.

In the file each line has a head, `2026-01-31T12:00:00.123456789Z F `: F for a full line, P for one without its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MOST_BYTES = 64 << 20  # a program that prints without end fills no disk; a kubelet keeps 50 MB
FULL = b"[the log is full: what follows was not kept]"
TIME_LENGTH = 30


@dataclass(frozen=True)
class LogQuery:
    """What `kubectl logs` may ask for."""

    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: str = ""  # the beginning of a time in the log's own form; lines from there on
    timestamps: bool = False


class ContainerLog:
    """One container's log file, open for as long as the container runs."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")
        self._partial = b""
        self._size = 0
        self._full = False
        self._changed = asyncio.Event()
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take in what the program printed, whole lines or not."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if lines:
            self._write([(b"F", line) for line in lines])
        if len(self._partial) > MOST_BYTES // 64:  # an endless line is cut into pieces
            self._write([(b"P", self._partial)])
            self._partial = b""

    def close(self) -> None:
        """The program has ended: what is left is a line too."""
        if self.closed:
            return
        if self._partial:
            self._write([(b"P", self._partial)])
            self._partial = b""
        self._file.close()
        self.closed = True
        self._wake()

    async def read(self, query: LogQuery) -> AsyncIterator[bytes]:
        """The log's text in pieces; with `follow` until the container ends."""
        left = query.limit_bytes if query.limit_bytes is not None else MOST_BYTES * 2
        with self.path.open("rb") as file:
            changed, closed = self._changed, self.closed
            pending = _parse(file.read(), query)
            if query.tail_lines is not None:
                pending = pending[max(0, len(pending) - query.tail_lines) :]
            while True:
                if piece := b"".join(pending)[:left]:
                    left -= len(piece)
                    yield piece
                if not query.follow or closed or left <= 0:
                    return
                await changed.wait()
                changed, closed = self._changed, self.closed
                pending = _parse(file.read(), query)

    def _write(self, lines: list[tuple[bytes, bytes]]) -> None:
        if self._full:
            return
        nanoseconds = time.time_ns()
        second = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        stamp = f"{second}.{nanoseconds % 1_000_000_000:09d}Z".encode()
        block = b"".join(b"%s %s %s\n" % (stamp, kind, line) for kind, line in lines)
        self._size += len(block)
        if self._size > MOST_BYTES:
            self._full = True
            block = b"%s F %s\n" % (stamp, FULL)
        self._file.write(block)
        self._file.flush()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _parse(raw: bytes, query: LogQuery) -> list[bytes]:
    """Lines as they are shown."""
    since = query.since.encode()
    shown = []
    for line in raw.split(b"\n"):
        stamp, kind, text = line[:TIME_LENGTH], line[TIME_LENGTH + 1 : TIME_LENGTH + 2], line[TIME_LENGTH + 3 :]
        if not kind or stamp < since:
            continue
        end = b"\n" if kind == b"F" else b""
        shown.append(b"%s %s%s" % (stamp, text, end) if query.timestamps else text + end)
    return shown


def since_time(value: str) -> str:
    """An RFC 3339 time in the log's own form, which compares as text. Raises ValueError."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
