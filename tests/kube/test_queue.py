"""The work queue against a virtual clock: coalescing, exclusion, delays, back-off; and its laws under any sequence of calls."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rung.kube.queue import WorkQueue, work


class VirtualLoop:
    """A clock that moves when told, and calls what has become due in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, VirtualTimer]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> VirtualTimer:
        timer = VirtualTimer(callback)
        heapq.heappush(self._calls, (when, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            when, _, timer = heapq.heappop(self._calls)
            self.now = max(self.now, when)
            timer.ring()
        self.now = end

    @property
    def timers(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._calls)


class VirtualTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def ring(self) -> None:
        if not self.cancelled:
            self._callback()


def drained(queue: WorkQueue[str]) -> list[str]:
    keys = []
    while len(queue):
        keys.append(queue.get_nowait())
        queue.done(keys[-1])
    return keys


@pytest.fixture
def loop() -> VirtualLoop:
    return VirtualLoop()


@pytest.fixture
def queue(loop: VirtualLoop) -> WorkQueue[str]:
    return WorkQueue(loop=loop, first_delay=1.0, last_delay=8.0)


def test_a_key_added_many_times_is_handed_out_once_in_order_of_its_first_wish(queue: WorkQueue[str]) -> None:
    for key in "abacab":
        queue.add(key)
    assert drained(queue) == ["a", "b", "c"]


def test_a_key_in_work_is_handed_to_nobody_else_and_comes_again_when_it_was_added_meanwhile(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    assert queue.get_nowait() == "a"
    queue.add("a")
    queue.add("a")
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.done("a")
    assert drained(queue) == ["a"]


def test_done_of_a_key_that_nobody_has_is_a_mistake(queue: WorkQueue[str]) -> None:
    with pytest.raises(ValueError, match="not in work"):
        queue.done("a")


@pytest.mark.parametrize(
    ("wishes", "ready_at"),
    [
        pytest.param([5.0], [5.0], id="one delay"),
        pytest.param([5.0, 2.0], [2.0], id="an earlier wish wins"),
        pytest.param([2.0, 5.0], [2.0], id="a later wish changes nothing"),
        pytest.param([2.0, 0.0], [0.0], id="a wish for now wins and takes the later one back"),
        pytest.param([0.0, 5.0], [0.0], id="who waits already needs no later turn"),
    ],
)
def test_delays(queue: WorkQueue[str], loop: VirtualLoop, wishes: list[float], ready_at: list[float]) -> None:
    for delay in wishes:
        queue.add_after("a", delay)
    seen = []
    for second in range(8):
        if drained(queue):
            seen.append(float(second))
        loop.advance(1.0)
    assert seen == ready_at
    assert loop.timers == 0


def test_a_wish_for_later_while_in_work_holds_after_it(queue: WorkQueue[str], loop: VirtualLoop) -> None:
    queue.add("a")
    queue.get_nowait()
    queue.add_after("a", 3.0)
    loop.advance(5.0)
    assert len(queue) == 0
    queue.done("a")
    assert drained(queue) == ["a"]


def test_failures_double_the_delay_up_to_the_cap_and_success_starts_over(queue: WorkQueue[str]) -> None:
    assert [queue.retry("a") for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert queue.retry("b") == 1.0
    queue.forget("a")
    assert queue.retry("a") == 1.0


def test_a_thousand_failures_do_not_overflow(queue: WorkQueue[str]) -> None:
    assert [queue.retry("a") for _ in range(2000)][-1] == 8.0


def test_a_dropped_key_leaves_no_timer(queue: WorkQueue[str], loop: VirtualLoop) -> None:
    queue.add_after("a", 3.0)
    queue.drop("a")
    loop.advance(10.0)
    assert drained(queue) == []


@given(delays=st.lists(st.floats(0.001, 100.0), min_size=1, max_size=20))
def test_the_earliest_of_any_wishes_counts_and_only_once(delays: list[float]) -> None:
    loop = VirtualLoop()
    queue: WorkQueue[str] = WorkQueue(loop=loop)
    for delay in delays:
        queue.add_after("a", delay)
    loop.advance(min(delays) * 0.999)
    assert len(queue) == 0
    loop.advance(min(delays) * 0.002)
    assert drained(queue) == ["a"]
    loop.advance(200.0)
    assert drained(queue) == []


class QueueLaws(RuleBasedStateMachine):
    """Against a model that holds only what was promised: nobody's wish is lost, no key is in two hands."""

    @initialize()
    def start(self) -> None:
        self.loop = VirtualLoop()
        self.queue: WorkQueue[str] = WorkQueue(loop=self.loop, first_delay=1.0, last_delay=4.0)
        self.wanted: set[str] = set()  # added since it was last handed out
        self.later: dict[str, float] = {}
        self.hands: set[str] = set()

    @rule(key=st.sampled_from("abc"))
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.wanted.add(key)
        self.later.pop(key, None)

    @rule(key=st.sampled_from("abc"), delay=st.integers(1, 9))
    def add_after(self, key: str, delay: int) -> None:
        self.queue.add_after(key, float(delay))
        if key not in self.wanted:
            self.later[key] = min(self.later.get(key, float("inf")), self.loop.now + delay)

    @rule(seconds=st.integers(1, 6))
    def advance(self, seconds: int) -> None:
        self.loop.advance(float(seconds))
        due = {key for key, at in self.later.items() if at <= self.loop.now}
        self.wanted |= due
        self.later = {key: at for key, at in self.later.items() if key not in due}

    @precondition(lambda self: self.wanted - self.hands)
    @rule()
    def get(self) -> None:
        key = self.queue.get_nowait()
        assert key in self.wanted
        assert key not in self.hands
        self.wanted.discard(key)
        self.hands.add(key)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.hands)))
        self.hands.discard(key)
        self.queue.done(key)

    @invariant()
    def as_promised(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert self.queue.working == self.hands
        assert len(self.queue) == len(self.wanted - self.hands)


TestQueueLaws = QueueLaws.TestCase


async def test_waiting_workers_share_the_keys_and_a_cancelled_one_takes_none_with_it() -> None:
    queue: WorkQueue[str] = WorkQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await second == "a"
    assert len(queue) == 0
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_work_tries_what_failed_again_and_lets_no_failure_end_the_others() -> None:
    queue: WorkQueue[str] = WorkQueue(first_delay=0.001)
    tries: dict[str, int] = {"good": 0, "bad": 0}
    errors: list[str] = []
    enough = asyncio.Event()

    async def handle(key: str) -> float | None:
        tries[key] += 1
        if key == "bad" and tries[key] < 4:
            raise RuntimeError("not yet")
        if tries["bad"] >= 4 and tries["good"] >= 3:
            enough.set()
        return 0.001 if key == "good" else None

    def on_error(key: str, error: Exception, delay: float) -> None:
        errors.append(f"{key}: {error}, again in {delay}")

    task = asyncio.create_task(work(queue, handle, workers=2, on_error=on_error))
    queue.add("good")
    queue.add("bad")
    async with asyncio.timeout(5):
        await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert errors == [
        "bad: not yet, again in 0.001",
        "bad: not yet, again in 0.002",
        "bad: not yet, again in 0.004",
    ]
    assert queue.working == frozenset()
