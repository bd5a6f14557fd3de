"""A trial's log, read again and again while it grows, each line once.

Where the log is a file a position is a byte offset. Kubernetes has no offsets: it gives lines from a *time* on, with
whole seconds as its grain, and (`timestamps=true`) a time in nanoseconds before each line. Such a *stamped* log comes
with an overlap; lines not later than the last one taken are passed over, of equal ones as many as were taken. A torn
last line waits for the next time. Source: core/v1 PodLogOptions (`sinceTime`, a metav1.Time; `timestamps`;
`limitBytes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from rung.api.facts import Observation
from rung.observe.extract import Sightings, Wanted
from rung.observe.lines import LineReader

CHUNK_BYTES: Final = 1 << 20  # of one reading; a program that prints more between two scrapes is read in several
PIECE_BYTES: Final = 64 * 1024  # parsed at once: a few milliseconds of the event loop

_Moment = tuple[int, int]  # seconds, nanoseconds


class _Line(NamedTuple):
    moment: _Moment | None  # None: it bore no stamp
    stamp: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class LogPosition:
    """From where on to read.

    offset   bytes taken so far (logs that are files)
    time     RFC 3339, of the last line taken; None: from the start (stamped logs)
    limit    bytes to give at most; exactly so many means that more may follow
    """

    offset: int = 0
    time: str | None = None
    limit: int = CHUNK_BYTES


class LogTail:
    """Takes chunks as they were read from `position`, and gives the observations on their new lines."""

    def __init__(self, wanted: Wanted, sightings: Sightings, *, stamped: bool, limit: int = CHUNK_BYTES) -> None:
        self._reader = LineReader(wanted, sightings)
        self._sightings = sightings
        self._stamped = stamped
        self._torn = b""
        self._last: _Moment = (-1, 0)
        self._ties = 0  # lines taken that bear the last moment
        self.position = LogPosition(limit=limit)

    @property
    def reports(self) -> int:
        """Reports so far, those without a wanted value too."""
        return self._reader.reports

    def read(self, chunk: bytes) -> Iterator[list[Observation]]:
        """The observations piece by piece. Abandoned between two pieces, what was given stays taken and the rest does
        not.
        """
        return self._read_stamped(chunk) if self._stamped else self._read_plain(chunk)

    def finish(self) -> list[Observation]:
        """The log has ended: its last line counts without a newline."""
        found = []
        if self._torn:
            found = self._reader.feed(b"".join(line.text for line in self._fresh([self._torn])))
            self._torn = b""
        return [*found, *self._reader.finish()]

    def _read_plain(self, chunk: bytes) -> Iterator[list[Observation]]:
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            self.position = LogPosition(self.position.offset + len(piece), None, self.position.limit)
            yield self._reader.feed(piece)

    def _read_stamped(self, chunk: bytes) -> Iterator[list[Observation]]:
        *lines, self._torn = chunk.split(b"\n")
        before = self._last
        batch: list[_Line] = []
        size = 0
        for line in self._fresh(lines):
            batch.append(line)
            size += len(line.text)
            if size >= PIECE_BYTES:
                yield self._take(batch)
                batch, size = [], 0
        if batch:
            yield self._take(batch)
        if self._last == before and len(chunk) >= self.position.limit:
            self._skip_the_second()

    def _fresh(self, lines: list[bytes]) -> Iterator[_Line]:
        """The lines that were not taken before; one without a stamp shares the fate of the line before it."""
        known, ties = self._last, self._ties
        old = False
        for line in lines:
            stamp, _, text = line.partition(b" ")
            moment = _moment(stamp)
            if moment is None:
                text = line
            else:
                old = moment < known or (moment == known and ties > 0)
                ties -= moment == known
            if not old:
                yield _Line(moment, stamp, text)

    def _take(self, batch: list[_Line]) -> list[Observation]:
        for line in batch:
            if line.moment is None or line.moment < self._last:
                continue
            if line.moment > self._last:
                self._last, self._ties = line.moment, 0
                self.position = LogPosition(self.position.offset, line.stamp.decode("ascii"), self.position.limit)
            self._ties += 1
        return self._reader.feed(b"\n".join(line.text for line in batch) + b"\n")

    def _skip_the_second(self) -> None:
        """A whole chunk of one second, all of it known: the source would give the same for ever."""
        at = datetime.fromisoformat(self.position.time) if self.position.time else None
        if at is None:
            return
        following = at.replace(microsecond=0) + timedelta(seconds=1)
        self.position = LogPosition(self.position.offset, following.isoformat(), self.position.limit)
        self._sightings.problem(
            f"more than {self.position.limit} bytes of log within one second: lines after them were passed over"
        )


def _moment(stamp: bytes) -> _Moment | None:
    """The moment of an RFC 3339 time with nanoseconds, None if it is something else."""
    if len(stamp) < 20 or stamp[4:5] != b"-" or stamp[10:11] != b"T":
        return None
    second = _second(stamp[:19])
    rest = stamp[19:]
    digits = b""
    if rest[:1] == b".":
        length = len(rest) - len(rest[1:].lstrip(b"0123456789"))
        digits, rest = rest[1:length], rest[length:]
    offset = 0 if rest == b"Z" else _offset(rest)
    if second is None or offset is None or len(digits) > 9:
        return None
    return second - offset, int(digits.ljust(9, b"0") or 0)


@lru_cache(maxsize=256)
def _second(text: bytes) -> int | None:
    try:
        return int((datetime.fromisoformat(text.decode("ascii")) - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _offset(text: bytes) -> int | None:
    """Seconds east of Greenwich of `+02:00`."""
    if len(text) != 6 or text[:1] not in b"+-" or text[3:4] != b":" or not (text[1:3] + text[4:]).isdigit():
        return None
    seconds = int(text[1:3]) * 3600 + int(text[4:]) * 60
    return -seconds if text[:1] == b"-" else seconds
