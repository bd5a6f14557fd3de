"""What one attempt says on this machine: its log file read as it grows, its port where the study asks for that, its
last word.

The SDK prints every report as a JSON line, so the log serves the sources Auto, Http and Log alike, at the price of one
`pread` per look. A port is asked only by source Prometheus, and by Auto or Http once the log has stayed without a
report for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rung.api.facts import Observation
from rung.api.study import MetricSource, MetricsSpec
from rung.executor.body import Sight
from rung.observe.extract import Sightings, Wanted
from rung.observe.history import History
from rung.observe.lines import LineReader
from rung.observe.termination import parse_termination

if TYPE_CHECKING:
    from rung.observe.probe import Probe
    from rung.observe.target import TargetKey

CHUNK_BYTES = 256 * 1024  # read at once: some milliseconds, which every other trial waits
PIECE_BYTES = 16 * 1024
EFFORT = 2000  # lines that may be reports, of one look: some 20 ms; the rest is read at the next
BACKLOG_BYTES = (
    64 << 20
)  # of an ended attempt; more is skipped up to the last part, or one trial would be read for minutes
TAIL_BYTES = 4 << 20
TERMINATION_BYTES = 16 * 1024
START_UP_SECONDS = 0.5  # between two knocks at a port that nobody opens yet
QUIET_SECONDS = 2.0  # a program that prints its reports has usually printed one by then, or has not begun


@dataclass(frozen=True, slots=True)
class Source:
    """What is the same for all attempts of a study."""

    spec: MetricsSpec
    wanted: Wanted
    namespace: str
    study: str

    @property
    def reads_log(self) -> bool:
        """The log may hold reports."""
        return self.spec.source in {MetricSource.AUTO, MetricSource.HTTP, MetricSource.LOG}

    @property
    def asks_port_at_once(self) -> bool:
        """Nothing else than the port will say anything."""
        return self.spec.source is MetricSource.PROMETHEUS

    @property
    def may_ask_port(self) -> bool:
        """The port may say what the log does not."""
        return self.spec.source in {MetricSource.AUTO, MetricSource.HTTP, MetricSource.PROMETHEUS}


@dataclass(slots=True)
class Reading:
    """Of one attempt. `look` is called often; `sight` gives all that is known."""

    source: Source
    number: int
    attempt: int
    log: Path
    termination: Path
    port: int
    clock: Callable[[], float]
    last_observed_at: float | None = None
    sightings: Sightings = field(default_factory=Sightings)
    history: History = field(default_factory=History)
    _lines: LineReader | None = None
    _descriptor: int | None = None
    _offset: int = 0
    _reports: int = 0
    _finished: bool = False
    _probe: Probe | None = None

    def look(self) -> bool:
        """Read what is new in the log, a chunk at most. True if it brought news."""
        if not self.source.reads_log:
            return False
        chunk = self._read(CHUNK_BYTES)
        if not chunk:
            return False
        lines = self._line_reader()
        found: list[Observation] = []
        end, enough = 0, lines.effort + EFFORT
        while end < len(chunk) and lines.effort <= enough:
            found += lines.feed(chunk[end : end + PIECE_BYTES])
            end = min(end + PIECE_BYTES, len(chunk))
        self._offset -= len(chunk) - end
        return self._take(found)

    def finish(self) -> bool:
        """The attempt has ended: read on. True once all is read, its last word included; call again until then."""
        if self.source.reads_log:
            self._skip_backlog()
            self.look()
            if self._behind():
                return False
            self._take(self._line_reader().finish())
        with contextlib.suppress(OSError):
            message = self.termination.read_bytes()[-TERMINATION_BYTES:]
            if message:
                self._take(parse_termination(message, self.source.wanted, self.sightings, step=self._step()))
        self.sightings.unmatched(self.source.wanted, self.history.metrics)
        self._finished = True
        self._close()
        return True

    async def ask_port(self, news: Callable[[], None]) -> None:
        """Ask the attempt's port until cancelled or until the log speaks; `news` is called when it has said something."""
        if not self.source.may_ask_port:
            return
        if not self.source.asks_port_at_once:
            await asyncio.sleep(QUIET_SECONDS)
        async for brought_news in self._visits():
            if brought_news:
                self.last_observed_at = self.clock()
                news()

    def sight(self) -> Sight:
        """What is known, without the attempt itself."""
        observations = self.history.observations
        metrics = self.history.summaries
        outputs = dict(self.sightings.outputs)
        checkpoint_step, checkpoints = self.sightings.checkpoint_step, tuple(self.sightings.checkpoints)
        if self._probe is not None:
            seen = self._probe.seen()
            observations = (*observations, *seen.observations)
            metrics = {**(seen.summaries or {}), **metrics}
            outputs = {**(seen.outputs or {}), **outputs}
            if checkpoint_step is None:
                checkpoint_step, checkpoints = seen.checkpoint_step, seen.checkpoints
        return Sight(
            observations=observations,
            metrics=metrics,
            outputs=outputs,
            checkpoint_step=checkpoint_step,
            checkpoints=checkpoints,
            last_observed_at=self.last_observed_at,
            missing=self._missing(),
        )

    async def _visits(self) -> AsyncIterator[bool]:
        """Ask the port as the operator asks a pod's; yields whether there was news."""
        if self._heard_in_log():
            return
        # An HTTP client takes longer to import than a trial to start, and most studies need none.
        from rung.observe.http import open_session  # noqa: PLC0415
        from rung.observe.probe import Probe  # noqa: PLC0415
        from rung.observe.target import Target  # noqa: PLC0415

        source = self.source
        name = f"{source.study}-{self.number}"
        target = Target(self._key(), name, "127.0.0.1", source.spec, source.wanted, port=self.port)
        async with open_session(connections=1) as session:
            self._probe = Probe(target, session=session, read_log=_no_log, clock=self.clock)
            while not self._heard_in_log():
                visit = await self._probe.visit()
                yield visit.news
                await asyncio.sleep(target.interval if visit.answered else min(target.interval, START_UP_SECONDS))

    def _heard_in_log(self) -> bool:
        return bool(self._reports) and not self.source.asks_port_at_once

    def _take(self, found: list[Observation]) -> bool:
        """True where a report came, with a wanted value or without."""
        news = self.history.add(found)
        if self._lines is not None and self._lines.reports > self._reports:
            self._reports = self._lines.reports
            news = True
        if news:
            self.last_observed_at = self.clock()
        return news

    def _line_reader(self) -> LineReader:
        if self._lines is None:
            self._lines = LineReader(self.source.wanted, self.sightings)
        return self._lines

    def _read(self, limit: int) -> bytes:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.log, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return b""
        chunk = os.pread(self._descriptor, limit, self._offset)
        self._offset += len(chunk)
        return chunk

    def _behind(self) -> bool:
        return self._descriptor is not None and os.fstat(self._descriptor).st_size > self._offset

    def _skip_backlog(self) -> None:
        if self._descriptor is None:
            return
        size = os.fstat(self._descriptor).st_size
        if size - self._offset > BACKLOG_BYTES:
            skipped = size - TAIL_BYTES - self._offset
            self.sightings.problem(f"{skipped >> 20} MiB of the log were passed over: more than can be read in time")
            self._offset += skipped

    def _step(self) -> float | None:
        observations = self.history.observations
        return max((o.step for o in observations), default=None)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _missing(self) -> str:
        """What was looked for and what was seen, while a wanted metric is not there."""
        if not self._finished:  # nobody asks before
            return ""
        port = self._probe.seen() if self._probe is not None else None
        summaries = {**((port.summaries or {}) if port else {}), **self.history.summaries}
        if self.source.wanted.names <= summaries.keys():
            return ""
        from rung.observe.target import Seen, explain_missing  # noqa: PLC0415 - imports a URL library

        looked = [f"its output ({self.log})"] if self.source.reads_log else []
        looked += port.looked if port else ()
        looked.append("its termination message" + ("" if self.termination.exists() else " (there was none)"))
        seen = Seen(
            self._key(),
            summaries=summaries,
            looked=tuple(looked),
            problems=(*self.sightings.problems, *(port.problems if port else ())),
            names=(*self.sightings.names, *(port.names if port else ())),
            last_lines=tuple(self.sightings.lines),
        )
        return explain_missing(seen, self.source.wanted.names)

    def _key(self) -> TargetKey:
        from rung.observe.target import TargetKey  # noqa: PLC0415 - imports a URL library

        return TargetKey(self.source.namespace, self.source.study, self.number, self.attempt)


async def _no_log(_target: object, _position: object) -> bytes:
    """The log is read by `Reading` itself."""
    return b""
