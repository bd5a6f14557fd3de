"""Elections on a real API server, with a lease of two seconds instead of fifteen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest

from devcluster import Cluster
from rung.kube.access import Access
from rung.kube.client import Document, Kube
from rung.kube.lease import Elector, LeaseLost, Timing
from tests.kube.proxy import Proxy, access_through

pytestmark = pytest.mark.cluster

FAST = Timing(duration=2.0, renew_deadline=1.2, retry=0.2)
LONG = Timing(duration=30.0, renew_deadline=20.0, retry=0.2)  # so long that whoever leads sooner was handed the lease
NAME = "rung-operator"


def an_elector(kube: Kube, namespace: str, identity: str, timing: Timing = FAST, **options: Any) -> Elector:
    return Elector(kube, namespace, NAME, identity, timing=timing, **options)


class Leader:
    """The work of a leader: says when it starts, and goes on until it is told to end."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended_at = 0.0

    async def __call__(self) -> None:
        self.started.set()
        try:
            await self.may_end.wait()
        finally:
            self.ended_at = time.monotonic()


async def holder_of(kube: Kube, namespace: str) -> str:
    return str((await kube.get("leases", namespace, NAME))["spec"].get("holderIdentity") or "")


async def within(seconds: float, awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await awaitable


async def test_the_next_waits_as_long_as_the_lease_is_renewed(kube: Kube, namespace: str) -> None:
    first, second = Leader(), Leader()
    one = asyncio.create_task(an_elector(kube, namespace, "one").run(first))
    await within(10, first.started.wait())
    two = asyncio.create_task(an_elector(kube, namespace, "two").run(second))
    with pytest.raises(TimeoutError):
        await within(FAST.duration * 1.5, second.started.wait())
    assert await holder_of(kube, namespace) == "one"
    two.cancel()
    first.may_end.set()
    await within(10, one)
    await asyncio.gather(two, return_exceptions=True)


async def test_a_lease_whose_renewal_was_cut_short_is_handed_back_all_the_same(kube: Kube, namespace: str) -> None:
    work = Leader()
    seldom = Timing(duration=30.0, renew_deadline=20.0, retry=10.0)
    one = asyncio.create_task(an_elector(kube, namespace, "one", seldom).run(work))
    await within(10, work.started.wait())
    await kube.patch("leases", namespace, NAME, {"spec": {"leaseDurationSeconds": 29}})  # a write it has no answer of
    work.may_end.set()
    await within(10, one)
    assert (await kube.get("leases", namespace, NAME))["spec"]["holderIdentity"] == ""


class Unanswered(Kube):
    """Its leases are made, and it is never told."""

    made: asyncio.Event

    async def create(self, resource: str, namespace: str, document: Mapping[str, Any]) -> Document:
        await super().create(resource, namespace, document)
        self.made.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def test_a_lease_that_was_taken_while_the_end_came_is_handed_back(
    kube: Kube, namespace: str, cluster: Cluster
) -> None:
    async with Unanswered(await Access.find(str(cluster.kubeconfig))) as unanswered:
        unanswered.made = asyncio.Event()
        task = asyncio.create_task(an_elector(unanswered, namespace, "one", LONG).run(Leader()))
        await within(10, unanswered.made.wait())
        assert await holder_of(kube, namespace) == "one"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await holder_of(kube, namespace) == ""


async def test_the_next_takes_over_at_once_when_the_lease_is_handed_back(kube: Kube, namespace: str) -> None:
    first, second = Leader(), Leader()
    one = asyncio.create_task(an_elector(kube, namespace, "one", LONG).run(first))
    await within(10, first.started.wait())
    two = asyncio.create_task(an_elector(kube, namespace, "two", LONG).run(second))
    first.may_end.set()
    await within(10, one)
    await within(10, second.started.wait())
    assert await holder_of(kube, namespace) == "two"
    two.cancel()
    await asyncio.gather(two, return_exceptions=True)
    assert await holder_of(kube, namespace) == ""
    assert (await kube.get("leases", namespace, NAME))["spec"]["leaseTransitions"] >= 1


async def test_a_crashed_leader_is_followed_when_its_lease_has_not_changed_for_its_duration(
    kube: Kube, namespace: str
) -> None:
    crashed = an_elector(kube, namespace, "crashed")
    await crashed.acquire()  # and never renews
    since = time.monotonic()
    leader = Leader()
    task = asyncio.create_task(an_elector(kube, namespace, "next").run(leader))
    await within(20, leader.started.wait())
    assert time.monotonic() - since >= FAST.duration - 0.1
    leader.may_end.set()
    await within(10, task)


async def test_a_leader_whose_lease_was_taken_ends_its_work(kube: Kube, namespace: str) -> None:
    leader = Leader()
    task = asyncio.create_task(an_elector(kube, namespace, "one").run(leader))
    await within(10, leader.started.wait())
    await kube.patch("leases", namespace, NAME, {"spec": {"holderIdentity": "thief"}})
    with pytest.raises(LeaseLost, match="thief holds it now"):
        await within(10, task)
    assert leader.ended_at > 0
    assert await holder_of(kube, namespace) == "thief", "what is another's is not handed back"


async def test_a_leader_that_was_touched_by_hand_goes_on(kube: Kube, namespace: str) -> None:
    leader = Leader()
    elector = an_elector(kube, namespace, "one")
    task = asyncio.create_task(elector.run(leader))
    await within(10, leader.started.wait())
    await kube.patch("leases", namespace, NAME, {"metadata": {"labels": {"touched": "yes"}}})
    with pytest.raises(TimeoutError):  # longer than it may go without a renewal
        await within(FAST.duration, asyncio.shield(task))
    assert elector.leading
    leader.may_end.set()
    await within(10, task)


async def test_a_leader_that_cannot_renew_stops_before_others_may_start(
    kube: Kube, namespace: str, cluster: Cluster
) -> None:
    proxy = Proxy(cluster.url)
    async with proxy, Kube(await access_through(proxy, cluster)) as cut_off:
        leader = Leader()
        task = asyncio.create_task(an_elector(cut_off, namespace, "cut-off").run(leader))
        await within(10, leader.started.wait())
        proxy.cut()
        cut_at = time.monotonic()
        successor = Leader()
        following = asyncio.create_task(an_elector(kube, namespace, "next").run(successor))
        with pytest.raises(LeaseLost, match="not renewed"):
            await within(20, task)
        assert leader.ended_at - cut_at < FAST.duration
        await within(20, successor.started.wait())
        successor.may_end.set()
        await within(10, following)


async def test_an_error_of_the_work_hands_the_lease_back_and_is_told(kube: Kube, namespace: str) -> None:
    async def fail() -> None:
        raise RuntimeError("broken work")

    with pytest.raises(RuntimeError, match="broken work"):
        await within(10, an_elector(kube, namespace, "one").run(fail))
    assert await holder_of(kube, namespace) == ""
