"""Events: what `kubectl describe` shows of an object's past. They tell of what was done and decide nothing.

`post` only puts the event on a queue: it never waits and never fails. A task of its own writes them, slower than the
operator's other writes may go. The same reason for the same object within ten minutes is one Event whose count goes up
and whose message is the newest, as in client-go's EventCorrelator. When the queue is full the oldest are dropped and
counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from rung.kube.bucket import TokenBucket
from rung.kube.client import Document, Kube
from rung.kube.errors import KubeError, NotFound

log = logging.getLogger("rung.events")

COMPONENT = "rung"
TOGETHER_SECONDS = 600.0  # client-go's aggregation window
RATE = 10.0  # per second: a fifth of the operator's own writes
BURST = 25  # client-go's burst per object; here for all
QUEUE = 1000  # some 300 bytes each
REMEMBERED = 2048  # keys, an hour's worth of a busy operator
MESSAGE_LIMIT = 1024  # the API's own for Event.message
FLUSH_SECONDS = 1.0  # at the end: a clean exit may take 5 s in all

Key = tuple[str, str, str]  # UID, type, reason


@dataclass(slots=True)
class Waiting:
    """An event that has not been written yet, and how often it has happened."""

    reference: Mapping[str, Any]
    kind: str
    reason: str
    message: str
    first: datetime
    last: datetime
    count: int = 1

    @property
    def key(self) -> Key:
        """What makes two events the same."""
        return str(self.reference.get("uid") or ""), self.kind, self.reason


@dataclass(slots=True)
class Written:
    """An Event that exists on the API server."""

    namespace: str
    name: str
    count: int
    at: float


class EventRecorder:
    """Use as an asynchronous context manager: the writing task lives as long as the context."""

    def __init__(
        self,
        kube: Kube,
        *,
        instance: str = "",
        bucket: TokenBucket | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._instance = instance
        self._bucket = TokenBucket(RATE, BURST) if bucket is None else bucket
        self._clock = clock
        self._wall = wall
        self._waiting: OrderedDict[Key, Waiting] = OrderedDict()
        self._written: OrderedDict[Key, Written] = OrderedDict()
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._serial = 0
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name="events")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self.flush()

    def post(self, reference: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """Note an event about the object of that reference (apiVersion, kind, namespace, name, uid). Never fails, never
        waits.
        """
        now = self._wall()
        event = Waiting(reference, kind, reason, _shortened(message), now, now)
        same = self._waiting.get(event.key)
        if same is not None:
            same.count += 1
            same.message = event.message
            same.last = now
        else:
            self._waiting[event.key] = event
        if len(self._waiting) > QUEUE:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._something.set()

    async def run(self) -> None:
        """Write what is posted, for ever; the owner cancels this."""
        while True:
            await self._something.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now. Failures are logged, and the event is lost: it told of something, and did nothing."""
        while self._waiting:
            await self._bucket.take()
            if not self._waiting:
                break
            _, event = self._waiting.popitem(last=False)
            try:
                await self._write(event)
            except KubeError as error:
                log.warning("event not written", extra={"reason": event.reason, "error": str(error)})
        self._something.clear()

    async def failed_create(self, job: Mapping[str, Any]) -> str:
        """Why the Job controller could not make the Job's pod, in its own words; "" if it has not said, or cannot be
        asked.
        """
        metadata = job["metadata"]
        try:
            events = await self._kube.list_events(metadata["namespace"], uid=metadata["uid"], reason="FailedCreate")
        except KubeError as error:
            log.warning("events not read", extra={"job": metadata["name"], "error": str(error)})
            return ""
        newest = max(events, key=_time_of, default=None)
        return "" if newest is None else str(newest.get("message") or "")

    async def _write(self, event: Waiting) -> None:
        now = self._clock()
        known = self._written.get(event.key)
        if known is not None and now - known.at <= TOGETHER_SECONDS:
            change = {
                "count": known.count + event.count,
                "message": event.message,
                "lastTimestamp": _seconds(event.last),
            }
            try:
                await self._kube.patch("events", known.namespace, known.name, change)
            except NotFound:  # events live an hour by default, or somebody cleaned up
                del self._written[event.key]
            else:
                known.count += event.count
                known.at = now
                self._written.move_to_end(event.key)
                return
        document = self._document(event)
        made = await self._kube.create_event(document["metadata"]["namespace"], document)
        metadata = made["metadata"]
        self._written[event.key] = Written(metadata["namespace"], metadata["name"], event.count, now)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    def _document(self, event: Waiting) -> Document:
        reference = event.reference
        namespace = reference.get("namespace") or "default"
        self._serial += 1  # two events of one object in the same microsecond
        unique = f"{int(event.first.timestamp() * 1e6):x}{self._serial:x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{reference['name']}.{unique}", "namespace": namespace},
            "involvedObject": {**reference, "namespace": namespace},
            "type": event.kind,
            "reason": event.reason,
            "message": event.message,
            "firstTimestamp": _seconds(event.first),
            "lastTimestamp": _seconds(event.last),
            "count": event.count,
            "source": {"component": COMPONENT, **({"host": self._instance} if self._instance else {})},
        }


def _time_of(event: Mapping[str, Any]) -> str:
    """RFC 3339 in UTC, as the API server writes it, sorts as text."""
    return str(
        event.get("lastTimestamp")
        or event.get("eventTime")
        or (event.get("metadata") or {}).get("creationTimestamp")
        or ""
    )


def _seconds(moment: datetime) -> str:
    """metav1.Time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
