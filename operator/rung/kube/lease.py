"""One leader at a time, by a coordination.k8s.io Lease: client-go's rules, with its figures of 15, 10 and 2 seconds.

    duration         others may take the lease when they have not seen it renewed for so long
    renew_deadline   a leader that could not renew it for so long stops leading: well before others may start
    retry            between two tries

No clock is compared with another machine's: a candidate notes when *it* saw the record change last, and waits the
record's own duration from then. A leader whose process hangs wakes up to find its deadline passed, and ends. A leader
that leaves in order hands the lease back, so that the next need not wait.

Source: client-go tools/leaderelection. (`kubernetes.aio.leaderelection` never takes over a crashed leader's lease.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rung.api.errors import RungError
from rung.kube.client import Document, Kube
from rung.kube.errors import AlreadyExists, Conflict, KubeError, NotFound

log = logging.getLogger("rung.lease")

RELEASE_SECONDS = 2.0  # a clean exit may take 5 s in all
RELEASED_DURATION = 1  # as client-go writes it: whoever reads it may take it at once


class LeaseLost(RungError):  # noqa: N818 - named for what has happened, as in rung.api.errors
    """Somebody else leads, or may lead by now. The process must end: nothing it holds can be trusted."""


@dataclass(frozen=True, slots=True)
class Timing:
    """See the module. Must fall: duration > renew_deadline > retry > 0."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry > 0:
            raise ValueError(f"a lease needs duration > renew_deadline > retry > 0, got {self}")

    @property
    def try_seconds(self) -> float:
        """Time for one try to renew: two may hang within the deadline, and a third still succeed."""
        return self.renew_deadline / 3


class Act(StrEnum):
    """What a candidate does next."""

    CREATE = "create"  # there is no lease
    TAKE = "take"  # it is free, expired, or ours
    WAIT = "wait"  # somebody else leads


@dataclass(frozen=True, slots=True)
class Seen:
    """The record as last seen to change: its version, and when that was on this process's own clock."""

    version: str
    at: float


def next_act(lease: Document | None, seen: Seen | None, identity: str, now: float) -> tuple[Act, Seen | None]:
    """What to do about the lease as it is now, and what to remember of it. Pure."""
    if lease is None:
        return Act.CREATE, None
    version = lease["metadata"]["resourceVersion"]
    if seen is None or seen.version != version:
        seen = Seen(version, now)
    spec: dict[str, Any] = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder in {"", identity}:
        return Act.TAKE, seen
    expires = seen.at + float(spec.get("leaseDurationSeconds") or 0)
    return (Act.TAKE if now >= expires else Act.WAIT), seen


def taken(lease: Document | None, name: str, namespace: str, identity: str, duration: float, wall: str) -> Document:
    """The lease document with `identity` as its holder from now on. Pure; `wall` is a metav1.MicroTime."""
    previous: dict[str, Any] = (lease or {}).get("spec") or {}
    same = previous.get("holderIdentity") == identity
    spec = {
        **previous,
        "holderIdentity": identity,
        "leaseDurationSeconds": round(duration),
        "acquireTime": previous.get("acquireTime", wall) if same else wall,
        "renewTime": wall,
        "leaseTransitions": int(previous.get("leaseTransitions") or 0) + (0 if same or lease is None else 1),
    }
    metadata = {"name": name, "namespace": namespace} if lease is None else lease["metadata"]
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


class Elector:
    """Competes for one lease under one identity."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._timing = Timing() if timing is None else timing
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._tried = False  # to write the lease: it may be ours, whether an answer came or not
        self._lease: Document | None = None  # as last written by us
        self.leading = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, then run `lead` for as long as it is ours; hand it back when `lead` ends or this is
        cancelled.

        Raises LeaseLost, after `lead` was cancelled and has ended, where the lease is not ours any more.
        """
        try:
            await self.acquire()
            self.leading = True
            await self._lead(lead)
        finally:
            self.leading = False
            await self._release()

    async def acquire(self) -> None:
        """Return when the lease is ours. Failures to ask are logged and tried again."""
        seen: Seen | None = None
        told = ""
        while True:
            try:
                async with asyncio.timeout(self._timing.renew_deadline):
                    lease = await self._get()
                    act, seen = next_act(lease, seen, self.identity, self._clock())
                    if act is not Act.WAIT:
                        await self._write(lease)
                        log.info("leading", extra={"lease": self._name, "identity": self.identity})
                        return
                holder = ((lease or {}).get("spec") or {}).get("holderIdentity") or ""
                if holder != told:
                    log.info("standing by", extra={"lease": self._name, "leader": holder})
                    told = holder
            except (Conflict, AlreadyExists):
                log.debug("another candidate was faster")
            except (KubeError, TimeoutError) as error:
                log.warning("cannot compete for the lease", extra={"lease": self._name, "error": str(error)})
            await self._sleep(self._timing.retry)

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> None:
        leading = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew_for_ever(), name="lease")
        tasks: tuple[asyncio.Future[None], ...] = (leading, renewing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (renewing, leading):  # a lost lease says more than whatever the work made of its cancellation
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _renew_for_ever(self) -> None:
        """Raises LeaseLost as soon as the lease is somebody else's, or could not be renewed in time."""
        renewed = self._clock()
        while True:
            await self._sleep(self._timing.retry)
            left = renewed + self._timing.renew_deadline - self._clock()
            if left <= 0:
                raise LeaseLost(f"lease {self._name}: not renewed for {self._timing.renew_deadline:g} s")
            try:
                async with asyncio.timeout(min(left, self._timing.try_seconds)):
                    await self._renew()
            except (KubeError, TimeoutError) as error:
                log.warning("lease not renewed", extra={"lease": self._name, "error": str(error) or "timed out"})
            else:
                renewed = self._clock()

    async def _renew(self) -> None:
        try:
            await self._write(self._lease)
        except (Conflict, NotFound):
            # our own write whose answer was lost, somebody's kubectl, or a new leader
            lease = await self._get()
            holder = ((lease or {}).get("spec") or {}).get("holderIdentity")
            if lease is not None and holder != self.identity:
                raise LeaseLost(f"lease {self._name}: {holder or 'nobody'} holds it now") from None
            await self._write(lease)

    async def _get(self) -> Document | None:
        try:
            return await self._kube.get("leases", self._namespace, self._name)
        except NotFound:
            return None

    async def _write(self, lease: Document | None) -> None:
        """Raises Conflict or AlreadyExists where another candidate was faster."""
        self._tried = True
        wall = self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        document = taken(lease, self._name, self._namespace, self.identity, self._timing.duration, wall)
        if lease is None:
            made = await self._kube.create("leases", self._namespace, document)
            self._lease = {**document, "metadata": made["metadata"]}
        else:
            self._lease = await self._kube.replace("leases", self._namespace, self._name, document)

    async def _release(self) -> None:
        """Hand the lease back, if it is still ours. Best effort: if not, it expires."""
        if not self._tried:
            return
        lease, self._lease, self._tried = self._lease, None, False
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                try:
                    await self._give_up(await self._get() if lease is None else lease)
                except Conflict:  # the end may have cut a renewal short, written by then
                    await self._give_up(await self._get())

    async def _give_up(self, lease: Document | None) -> None:
        if lease is None or lease["spec"].get("holderIdentity") != self.identity:
            return
        spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": RELEASED_DURATION}
        await self._kube.replace("leases", self._namespace, self._name, {**lease, "spec": spec})
        log.info("lease handed back", extra={"lease": self._name})
