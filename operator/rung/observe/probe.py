"""What one attempt says, read from where it says it: the SDK, a Prometheus page, the log, the termination message.

`metrics.source: Auto` tries them in this order at each visit until one has brought something, and stays with that one.
The SDK is known by its reply even before the first report. The log is read while no port answers with a wanted number,
which is said once in one line (`problems`); it is asked for more seldom than the ports, since every reading passes
through the API server. A visit never raises for what the other side does; a cancelled one leaves everything that was
read in place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from rung.api.errors import BadObservation, RungError
from rung.api.facts import Observation
from rung.api.study import MetricSource
from rung.observe.extract import Sightings
from rung.observe.history import KEEP, History
from rung.observe.http import DEADLINE_SECONDS, FetchError, fetch
from rung.observe.logtail import LogPosition, LogTail
from rung.observe.prometheus import PrometheusReader
from rung.observe.sdk import SdkReader, WrongSpeaker
from rung.observe.target import Seen, Target
from rung.observe.termination import parse_termination

log = logging.getLogger("rung.observe")

ReadLog = Callable[[Target, LogPosition], Awaitable[bytes]]
"""The bytes of a trial's log from a position on, at most `position.limit`; b"" where there is nothing more.

Raises RungError, OSError or TimeoutError where it cannot be read.
"""

PAGES_A_VISIT: Final = 8  # an operator that starts anew catches up with 8,000 steps per interval
CHUNKS_A_VISIT: Final = 4
CHUNKS_AT_THE_END: Final = 32
EFFORT_A_VISIT: Final = 2500  # lines that may be reports: some 15 ms of the event loop; the rest is read the next time
EFFORT_AT_THE_END: Final = 200_000  # some second, a few milliseconds at a time
LOG_SECONDS: Final = 5.0  # API server and kubelet are both in the way
FINISH_SECONDS: Final = 20.0  # a trial's result is waited for no longer than this
FIRST_LOG_SECONDS: Final = 1.0  # an SDK serves within milliseconds of its start: until then the log can wait


@dataclass(frozen=True, slots=True)
class Visit:
    """How one visit went. `answered`: somebody was there, so the start-up is over."""

    news: bool
    answered: bool
    timed_out: bool = False


class Probe:
    """Reads one target. Visits must not overlap."""

    def __init__(
        self,
        target: Target,
        *,
        session: aiohttp.ClientSession,
        read_log: ReadLog,
        clock: Callable[[], float],
        stamped_logs: bool = False,
        deadline: float = DEADLINE_SECONDS,
        keep: int = KEEP,
        logs: asyncio.Semaphore | None = None,
    ) -> None:
        """`logs`: how many logs may be read at once, where there are several probes."""
        spec = target.spec
        self.target = target
        self.source: MetricSource | None = None if spec.source is MetricSource.AUTO else spec.source
        self._session = session
        self._read_log = read_log
        self._clock = clock
        self._deadline = deadline
        self._logs = logs if logs is not None else asyncio.Semaphore(1)
        self._sightings = Sightings()
        self._history = History(keep)
        self._sdk = SdkReader(target.wanted, target.trial, target.key.attempt, self._sightings)
        self._prometheus = PrometheusReader(target.wanted, self._sightings)
        self._log = LogTail(target.wanted, self._sightings, stamped=stamped_logs)
        self._looked: dict[str, str] = {}
        self._last_observation_at: float | None = None
        self._done = self._stranger = False
        self._log_due = clock() + min(FIRST_LOG_SECONDS, target.interval)

    async def visit(self) -> Visit:
        """Read once what is new. A fault in a parser costs this trial's readings, not everybody's."""
        try:
            return await self._visit()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the one task that reads all trials
            self._fault(error)
            return Visit(news=False, answered=True)

    async def _visit(self) -> Visit:
        checkpoint, outputs = self._sightings.checkpoint_step, dict(self._sightings.outputs)
        match self.source:
            case MetricSource.HTTP:
                visit = await self._visit_sdk()
            case MetricSource.PROMETHEUS:
                visit = await self._visit_prometheus()
            case MetricSource.LOG:
                visit = await self._visit_log()
            case None:
                visit = await self._find_source()
            case _:
                visit = Visit(news=False, answered=True)
        changed = checkpoint != self._sightings.checkpoint_step or outputs != self._sightings.outputs
        return Visit(visit.news or changed, visit.answered, visit.timed_out)

    async def finish(self, message: str | None) -> None:
        """The attempt has ended: its termination message, and its log where that can still add something."""
        try:
            await self._finish(message)
        except Exception as error:  # noqa: BLE001 - as above
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        log.error("a fault while reading a trial", exc_info=error, extra={"trial": str(self.target.key)})
        self._sightings.problem(f"what it said could not be read, a fault of Rung's: {type(error).__name__}: {error}")

    async def _finish(self, message: str | None) -> None:
        wanted = self.target.wanted
        found = parse_termination(message, wanted, self._sightings, step=self._history.last_step)
        if message:
            self._looked["the termination message"] = "read"
        automatic = self.target.spec.source is MetricSource.AUTO
        if automatic and self._sightings.acknowledged > self._sdk.since:
            # fetched by an operator that may not have lived to record it; before the rest, as a curve is told in order
            self.source = MetricSource.HTTP
            await self._finish_log()
        self._add(found)
        torn = self.source is MetricSource.HTTP and not message  # killed before its last word
        incomplete = not wanted.names <= self._history.metrics or torn
        if self.source is MetricSource.LOG or (automatic and incomplete):
            await self._finish_log()
        self._sightings.unmatched(wanted, self._history.metrics)

    async def _finish_log(self) -> None:
        try:
            async with self._logs, asyncio.timeout(FINISH_SECONDS):
                said = await self._read_log_on(CHUNKS_AT_THE_END, last=True)
            if self.source is None and said.news:
                self.source = MetricSource.LOG
        except TimeoutError:
            self._sightings.problem(f"the log took more than {FINISH_SECONDS:g} s: its end is not read")

    def seen(self) -> Seen:
        """A snapshot."""
        sightings = self._sightings
        return Seen(
            key=self.target.key,
            observations=self._history.observations,
            summaries=self._history.summaries,
            source=self.source,
            looked=tuple(f"{place} ({what})" for place, what in self._looked.items()),
            problems=tuple(sightings.problems),
            names=tuple(sightings.names),
            last_lines=tuple(sightings.lines),
            outputs=dict(sightings.outputs),
            checkpoint_step=sightings.checkpoint_step,
            checkpoints=tuple(sightings.checkpoints),
            last_observation_at=self._last_observation_at,
            done=self._done,
        )

    async def _find_source(self) -> Visit:
        sdk = await self._visit_sdk(known=False)
        if self.source is not None:
            return sdk
        page = Visit(news=False, answered=sdk.answered, timed_out=sdk.timed_out)
        if sdk.answered and not self._stranger:  # another trial's Prometheus page would be another's, too
            page = await self._visit_prometheus()
            if page.news:
                self.source = MetricSource.PROMETHEUS
                return page
        if self._clock() < self._log_due:
            return page
        self._log_due = self._clock() + self.target.interval
        said = await self._visit_log()
        if said.news:
            self.source = MetricSource.LOG
            self._sightings.problem(f"the log is read, because no port has the metric: {'; '.join(self._ports())}")
        return Visit(said.news, page.answered or said.news, page.timed_out)

    def _ports(self) -> list[str]:
        return [f"{place} {what}" for place, what in self._looked.items() if place.startswith("http")]

    async def _visit_sdk(self, *, known: bool = True) -> Visit:
        """`known`: the address is the SDK's, so what is no SDK page is a problem and not only a wrong guess."""
        url = self.target.sdk_url
        news = False
        for _ in range(PAGES_A_VISIT):
            page = await self._get(str(url), url.with_query(since=str(self._sdk.since)), "application/json")
            if isinstance(page, FetchError):
                return Visit(news, page.answered, page.timed_out)
            since = self._sdk.since
            try:
                report = self._sdk.read(page)
            except BadObservation as error:
                self._stranger = isinstance(error, WrongSpeaker)
                self._looked[str(url)] = "another trial or attempt answers" if self._stranger else "not the SDK's JSON"
                if known or self._stranger:
                    self._sightings.problem(str(error))
                return Visit(news, answered=True)
            self.source, self._stranger = MetricSource.HTTP, False
            self._looked[str(url)] = "read"
            self._done = report.done
            if report.reports:
                self._last_observation_at = self._clock()
            news |= self._add(report.observations)
            if not report.full or report.next <= since:
                break
        return Visit(news, answered=True)

    async def _visit_prometheus(self) -> Visit:
        url = self.target.metrics_url
        page = await self._get(str(url), url, "text/plain;version=0.0.4")
        if isinstance(page, FetchError):
            return Visit(news=False, answered=page.answered, timed_out=page.timed_out)
        self._looked[str(url)] = "read"
        return Visit(self._add(self._prometheus.read(page)), answered=True)

    async def _get(self, place: str, url: URL, accept: str) -> bytes | FetchError:
        if not self.target.host:
            return FetchError("no address")
        try:
            return await fetch(self._session, url, deadline=self._deadline, accept=accept)
        except FetchError as error:
            self._looked[place] = error.reason
            return error

    async def _visit_log(self) -> Visit:
        async with self._logs:
            return await self._read_log_on(CHUNKS_A_VISIT)

    async def _read_log_on(self, chunks: int, *, last: bool = False) -> Visit:
        news, reports, size = False, self._log.reports, 0
        beside = self.source not in (MetricSource.LOG, None)  # another source has the word: the log only fills gaps
        enough = self._log.effort + (EFFORT_AT_THE_END if last else EFFORT_A_VISIT)
        for _ in range(chunks):
            chunk = await self._read_chunk()
            if chunk is None:
                break
            size = len(chunk)
            for found in self._log.read(chunk):
                news |= self._add(found, fill=beside)
                await asyncio.sleep(0)  # other trials' visits go on between two pieces
                if self._log.effort > enough:
                    break
            if size < self._log.position.limit or self._log.effort > enough:
                break
        if last:
            if size >= self._log.position.limit or self._log.effort > enough:
                self._sightings.problem(
                    "the log has more reports, or is longer, than can be read in time: its end is not read"
                )
            else:
                news |= self._add(self._log.finish(), fill=beside)
        if self._log.reports > reports:
            self._last_observation_at = self._clock()
        return Visit(news, answered=True)

    async def _read_chunk(self) -> bytes | None:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                chunk = await self._read_log(self.target, self._log.position)
        except TimeoutError:
            self._looked["the log"] = f"timed out after {LOG_SECONDS:g} s"
        except (RungError, OSError) as error:
            self._looked["the log"] = f"cannot be read: {str(error)[:200]}"
        else:
            self._looked["the log"] = "read"
            return chunk
        return None

    def _add(self, found: list[Observation] | tuple[Observation, ...], *, fill: bool = False) -> bool:
        news = self._history.add(found, fill=fill)
        if news:
            self._last_observation_at = self._clock()
        return news
