"""A coalescing work queue: however often a key is added, it waits once.

    add(key)            it is to be looked at now
    add_after(key, s)   it is to be looked at in s seconds, or earlier if it is added earlier
    get()               waits for a key and hands it out; nobody else gets it until done(key)
    done(key)           work on it has ended; if it was added meanwhile it is handed out again
    retry(key)          work on it has failed: again after 2**n times the first delay, capped; `forget(key)` starts over

One instance belongs to one event loop and its thread. A wish for later never postpones an earlier one.
Source of the model: client-go's util/workqueue.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_DELAY = 0.25  # a conflict's second try should not be felt
LAST_DELAY = 60.0  # a broken study costs one reconcile a minute
FACTOR = 2.0


class Timer(Protocol):
    """What `call_at` gives: asyncio.TimerHandle, or a test's own."""

    def cancel(self) -> None:
        """It is not to be called."""


class Loop(Protocol):
    """The part of an event loop that the queue needs: its clock and its timers."""

    def time(self) -> float:
        """Seconds, monotonic."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call at that time."""


class WorkQueue(Generic[Key]):
    """See the module."""

    def __init__(
        self,
        *,
        loop: Loop | None = None,
        first_delay: float = FIRST_DELAY,
        last_delay: float = LAST_DELAY,
    ) -> None:
        self._loop: Loop = asyncio.get_running_loop() if loop is None else loop
        self._first_delay = first_delay
        self._last_delay = last_delay
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()  # those in _ready
        self._working: set[Key] = set()
        self._again: set[Key] = set()  # added while in work
        self._due: dict[Key, float] = {}  # the one time at which a key wants to be added; the heap may hold stale ones
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()  # ties in time are broken by arrival, and keys are never compared
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._failures: dict[Key, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Keys that wait for a worker now."""
        return len(self._ready)

    @property
    def working(self) -> frozenset[Key]:
        """Keys that are in somebody's hands."""
        return frozenset(self._working)

    def add(self, key: Key) -> None:
        """It is to be looked at now. Takes the place of any later wish."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake()

    def add_after(self, key: Key, delay: float) -> None:
        """It is to be looked at in `delay` seconds. An earlier wish for the same key stays."""
        if delay <= 0:
            self.add(key)
            return
        if key in self._waiting or key in self._again:
            return
        due = self._loop.time() + delay
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._set_timer()

    def retry(self, key: Key) -> float:
        """Work on it has failed: again after a delay that doubles each time. Returns the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        doublings = min(failures, 64)  # beyond that the cap holds anyway, and a float could overflow
        delay = min(self._first_delay * FACTOR**doublings, self._last_delay)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Work on it went well: the next failure starts with the first delay."""
        self._failures.pop(key, None)

    def drop(self, key: Key) -> None:
        """The thing behind the key is gone: no timer of it stays."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key. It is the caller's until `done`."""
        while not self._ready:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                # woken and cancelled at once: the wake-up belongs to the next in line
                if getter.done() and not getter.cancelled() and self._ready:
                    self._wake()
                elif getter in self._getters:
                    self._getters.remove(getter)
                raise
        return self.get_nowait()

    def get_nowait(self) -> Key:
        """The next key. Raises asyncio.QueueEmpty if none waits."""
        if not self._ready:
            raise asyncio.QueueEmpty
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """Work on the key has ended, well or badly. Raises ValueError if it was not in work."""
        if key not in self._working:
            raise ValueError(f"{key} is not in work")
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # taken back, or moved to an earlier time
        first = self._heap[0][0] if self._heap else float("inf")
        if self._timer is not None and self._timer_at == first:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = first
        if self._heap:
            self._timer = self._loop.call_at(first, self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        now = self._loop.time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                self.add(key)
        self._set_timer()


async def work(
    queue: WorkQueue[Key],
    handle: Callable[[Key], Awaitable[float | None]],
    *,
    workers: int,
    on_error: Callable[[Key, Exception, float], None],
) -> None:
    """Run `workers` workers for ever; the owner cancels this.

    `handle` returns the seconds until the key wants to be seen again, None for not before something happens. Its
    exception is told to `on_error` with the delay after which the key is tried again.
    """

    async def one() -> None:
        while True:
            key = await queue.get()
            try:
                again = await handle(key)
            except Exception as error:  # noqa: BLE001 - told, and tried again: one broken study must not end the others
                on_error(key, error, queue.retry(key))
            else:
                queue.forget(key)
                if again is not None:
                    queue.add_after(key, again)
            finally:
                queue.done(key)

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(one(), name=f"worker {number}")
