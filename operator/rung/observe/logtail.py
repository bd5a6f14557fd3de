"""A trial's log, read again and again while it grows, each line once.

Where the log is a file a position is a byte offset. Kubernetes has no offsets: it gives lines from a *time* on, with
whole seconds as its grain, and (`timestamps=true`) a time in nanoseconds before each line. Such a *stamped* log comes
with an overlap, which ends where the last line that was taken stands, known by its stamp and by how many lines with that
stamp were taken: the order of the lines holds, not that of the stamps, so a node's clock may jump. A torn last line waits
for the next time. Source: core/v1 PodLogOptions (`sinceTime`, a metav1.Time; `timestamps`;
`limitBytes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from rung.api.facts import Observation
from rung.observe.extract import Sightings, Wanted
from rung.observe.lines import LineReader

CHUNK_BYTES: Final = 1 << 20  # of one reading; a program that prints more between two scrapes is read in several
PIECE_BYTES: Final = 8 * 1024  # parsed at once: a few milliseconds of the event loop
EFFORT_A_PIECE: Final = 2500  # which nothing but a line that was overwritten thousands of times exceeds
STAMPS_TRIED: Final = 8  # of a piece, from its end, for one that is a time: a kubelet's all are

# A time that every reader of RFC 3339 understands, for it is said back to the API server.
_TIME = re.compile(rb"([12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))")
_STAMP = re.compile(rb"\n(%b) " % re.sub(rb"\((?!\?)", rb"(?:", _TIME.pattern))  # after a newline: found fast

_Moment = tuple[int, int]  # seconds, nanoseconds


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
        self._stamp = b""  # of the last line taken
        self._ties = 0  # lines taken that bear it
        self.position = LogPosition(limit=limit)

    @property
    def effort(self) -> int:
        """What reading has cost so far, in lines of ordinary length: whoever reads many logs limits it."""
        return self._reader.effort

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
        torn, self._torn = self._torn, b""
        known, moment = _moment(self._stamp), _moment(torn.partition(b" ")[0])
        fresh = moment is None or known is None or moment > known
        return [*(self._feed(_STAMP.sub(b"", b"\n" + torn)) if fresh else ()), *self._reader.finish()]

    def _read_plain(self, chunk: bytes) -> Iterator[list[Observation]]:
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            self.position = LogPosition(self.position.offset + len(piece), None, self.position.limit)
            yield self._reader.feed(piece)

    def _read_stamped(self, chunk: bytes) -> Iterator[list[Observation]]:
        whole, newline, self._torn = chunk.rpartition(b"\n")
        at = self._overlap(whole)
        progress = at < len(whole)
        while newline and at < len(whole):
            end = whole.find(b"\n", at + PIECE_BYTES)
            end = len(whole) if end < 0 else end
            yield self._take(whole[at:end])
            at = end + 1
        if not progress and len(chunk) >= self.position.limit:
            self._skip_the_second()

    def _overlap(self, lines: bytes) -> int:
        """Where the first line starts that was not taken before; one without a stamp shares the fate of that before it."""
        known = _moment(self._stamp)
        if known is None:
            return 0
        start, mark = 0, b"\n" + self._stamp + b" "
        at = 0 if lines.startswith(mark[1:]) else lines.find(mark)
        for _ in range(self._ties - 1):
            at = lines.find(mark, at + 1) if at >= 0 else at
        seen = at >= 0  # else the log was rotated, or more than a chunk lies between: then the stamps decide
        if seen:
            start = lines.find(b"\n", at + 1) + 1 or len(lines)
        for line in _STAMP.finditer(b"\n" + lines, start):  # so an index is that of the line's first byte
            moment = None if seen else _moment(line[1])
            if seen or (moment is not None and moment > known):
                return line.start()
        return len(lines)

    def _take(self, lines: bytes) -> list[Observation]:
        before, *said = _STAMP.split(b"\n" + lines)
        stamps, texts = said[::2], said[1::2]
        last = next((stamp for stamp in stamps[: -STAMPS_TRIED - 1 : -1] if _moment(stamp) is not None), None)
        if last is not None:
            self._ties = stamps.count(last) + (self._ties if last == self._stamp else 0)
            self._stamp = last
            self.position = LogPosition(self.position.offset, last.decode("ascii"), self.position.limit)
        return self._feed(b"\n".join((before, *texts, b""))[1:])

    def _feed(self, text: bytes) -> list[Observation]:
        """Lines, of which the last may be one of a thousand states: what a piece costs is bounded all the same."""
        found: list[Observation] = []
        at, enough = 0, self.effort + EFFORT_A_PIECE
        while at < len(text):
            if self.effort > enough:  # the rest is that line's; a terminal would show its last state
                self._sightings.problem(
                    "a line of the log was overwritten too often: states in its middle are not read"
                )
                at = max(at, text.rstrip().rfind(b"\r"))
                end = len(text)
            else:
                end = text.find(b"\r", at + PIECE_BYTES)
                end = len(text) if end < 0 else end
            found += self._reader.feed(text[at:end])
            at = end
        return found

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
    time = _TIME.fullmatch(stamp)
    second = _second(time[1]) if time else None
    if time is None or second is None:
        return None
    _, fraction, sign, hours, minutes = time.groups()
    east = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == b"-" else 1) if sign else 0
    return second - east, int((fraction or b"0").ljust(9, b"0"))


@lru_cache(maxsize=256)
def _second(text: bytes) -> int | None:
    try:
        return int((datetime.fromisoformat(text.decode("ascii")) - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001
    except ValueError:
        return None
