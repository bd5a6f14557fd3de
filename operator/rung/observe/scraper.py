"""One scheduler for all running trials: who is read next, how many at once, and who hears of it.

A heap of due times feeds at most `concurrency` visits of ports and `LOGS_AT_ONCE` of logs at any moment; each visit
has its own deadlines (`rung.observe.probe`), so a target that hangs, lies or streams for ever costs one slot for two
seconds; after one such visit it shares a few slots with its like, and touches nobody else. A target's visits stand on
a grid of its interval, shifted by a hash of its key: a thousand trials that started together are not read together,
and a restarted operator reads at the same phase. Right after the start, while nobody answers yet, the visits come at
0.2, 0.4, 0.8 s … instead; a target that keeps timing out is read up to six times more seldom.

Every visit's task is owned by `run()`'s task group; when `run()` is cancelled they are too, and nothing is left behind.
Time is an argument: `clock` tells it, `pause` waits for an event or a number of seconds.

    async with Scraper(session=session, read_log=read_log, on_news=wake) as scraper:   # or scraper.run()
        scraper.watch(target)
        seen = scraper.collect(target.key)
        seen = await scraper.final(target, termination_message)                        # the attempt has ended
        scraper.unwatch(target.key)
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import heapq
import itertools
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp

from rung.api.study import MetricSource
from rung.observe.http import CONNECTIONS, DEADLINE_SECONDS
from rung.observe.probe import Probe, ReadLog
from rung.observe.target import Seen, Target, TargetKey

FIRST_SECONDS: Final = 0.2  # an interpreter needs about this to listen
LOGS_AT_ONCE: Final = 12  # a chunk of 1 MiB is in memory for each
SLOW_SHARE: Final = 4  # one slot in so many more is for targets whose last visit was slow
TIMEOUTS_TOLERATED: Final = 2  # a long training step may hold the interpreter once or twice
SLOWEST: Final = 6  # times the interval, for a target that always times out
_SCRAPED: Final = frozenset({MetricSource.AUTO, MetricSource.HTTP, MetricSource.PROMETHEUS, MetricSource.LOG})

OnNews = Callable[[TargetKey, Seen], None]
"""Called on the event loop when a target had something new. It must not block; what it raises ends the scraper."""
Pause = Callable[[asyncio.Event, float | None], Awaitable[None]]
"""Waits until the event is set, or for so many seconds (None: for ever), whichever comes first."""


async def pause(event: asyncio.Event, seconds: float | None) -> None:
    """The real `Pause`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(slots=True, eq=False)
class _Watch:
    probe: Probe
    phase: float  # of the interval, in [0, 1)
    early: int = 0  # visits before anybody answered
    timeouts: int = 0  # in a row
    slow: bool = False  # its last visit took more than half the deadline
    gone: bool = False
    finished: bool = False
    task: asyncio.Task[None] | None = None
    closing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Scraper:
    """Reads all targets that are being watched while `run()` runs, or inside `async with`."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        read_log: ReadLog,
        on_news: OnNews = lambda key, seen: None,  # noqa: ARG005
        clock: Callable[[], float] = time.monotonic,
        pause: Pause = pause,
        concurrency: int = CONNECTIONS,
        deadline: float = DEADLINE_SECONDS,
        stamped_logs: bool = False,
    ) -> None:
        """`session` is one of `rung.observe.http.open_session`; `stamped_logs`: see `rung.observe.logtail`."""
        self._session = session
        self._read_log = read_log
        self._on_news = on_news
        self._clock = clock
        self._pause = pause
        self._slots = asyncio.Semaphore(concurrency)
        self._slow_slots = asyncio.Semaphore(max(1, concurrency // SLOW_SHARE))
        self._logs = asyncio.Semaphore(LOGS_AT_ONCE)
        self._deadline = deadline
        self._stamped_logs = stamped_logs
        self._watches: dict[TargetKey, _Watch] = {}
        self._due: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    def watch(self, target: Target) -> None:
        """Read `target` from now on. A key that is watched keeps what was seen; only another address starts afresh."""
        held = self._watches.get(target.key)
        if held is not None and held.probe.target == target:
            return
        if held is not None:
            self.unwatch(target.key)
        watch = self._watches[target.key] = self._begin(target)
        if target.spec.source in _SCRAPED:
            self._schedule(watch, self._clock() + FIRST_SECONDS)

    def unwatch(self, key: TargetKey) -> None:
        """Forget the target and all that was seen of it. Unknown keys are fine."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            self._stop(watch)

    def collect(self, key: TargetKey) -> Seen | None:
        """Everything seen so far; None for a key that is not watched."""
        watch = self._watches.get(key)
        return watch.probe.seen() if watch else None

    async def final(self, target: Target, termination_message: str | None) -> Seen:
        """The attempt has ended: stop reading it, take its last words, and give everything there is.

        What was seen stays until `unwatch`; a second call gives the same. A target that was not watched (the operator
        is new) is read as far as its end still tells. Takes 20 s at most, and only where a log hangs. Never raises.
        """
        watch = self._watches.get(target.key)
        if watch is None:
            watch = self._watches[target.key] = self._begin(target)
        self._stop(watch)
        async with watch.closing:
            if watch.task is not None:
                await asyncio.wait({watch.task})
            if not watch.finished:
                await watch.probe.finish(termination_message)
                watch.finished = True
        return watch.probe.seen()

    async def run(self) -> None:
        """Read, for ever. Ends by cancellation, or by what `on_news` raises."""
        async with asyncio.TaskGroup() as group:
            while True:
                while self._due and self._due[0][0] <= self._clock():
                    _, _, watch = heapq.heappop(self._due)
                    if watch.gone:
                        continue
                    watch.task = group.create_task(self._visit(watch), name=f"scrape {watch.probe.target.key}")
                self._wake.clear()
                if not self._due or self._due[0][0] > self._clock():
                    await self._pause(self._wake, self._due[0][0] - self._clock() if self._due else None)

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self.run(), name="scraper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.wait({runner})
            if not runner.cancelled():
                runner.result()  # what ended it is not kept quiet

    def _begin(self, target: Target) -> _Watch:
        probe = Probe(
            target,
            session=self._session,
            read_log=self._read_log,
            clock=self._clock,
            stamped_logs=self._stamped_logs,
            deadline=self._deadline,
            logs=self._logs,
        )
        digest = hashlib.blake2b(str(target.key).encode(), digest_size=4).digest()
        return _Watch(probe, phase=int.from_bytes(digest) / 2**32)

    def _schedule(self, watch: _Watch, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._order), watch))
        if self._due[0][2] is watch:
            self._wake.set()

    def _stop(self, watch: _Watch) -> None:
        watch.gone = True
        if watch.task is not None:
            watch.task.cancel()

    async def _visit(self, watch: _Watch) -> None:
        # Logs have their own bound, in the probe: who waits for one keeps nobody from a port.
        only_its_log = watch.probe.source is MetricSource.LOG
        slots = self._slow_slots if watch.slow else self._slots
        async with contextlib.nullcontext() if only_its_log else slots:
            begin = self._clock()
            visit = await watch.probe.visit()
            watch.slow = self._clock() - begin > self._deadline / 2
        if visit.answered:
            watch.early = -1
        elif watch.early >= 0:
            watch.early += 1
        watch.timeouts = watch.timeouts + 1 if visit.timed_out else 0
        watch.task = None
        if watch.gone:
            return
        self._schedule(watch, self._next(watch))
        if visit.news:
            self._on_news(watch.probe.target.key, watch.probe.seen())

    def _next(self, watch: _Watch) -> float:
        now, interval = self._clock(), watch.probe.target.interval
        if watch.early > 0:
            soon = FIRST_SECONDS * 2.0 ** min(watch.early, 30)
            if soon < interval:
                return now + soon
        interval *= min(max(1.0, 2.0 ** min(watch.timeouts - TIMEOUTS_TOLERATED, 30)), SLOWEST)
        shift = interval * watch.phase
        return (math.floor((now - shift) / interval) + 1) * interval + shift
