"""`/healthz`, `/readyz` and `/metrics` on one port.

Healthy: the event loop turns and, while this process leads, the API server answered a LIST within the last minutes. Ready: the
process can serve (leading or standing by for the lease). Both answer 503 with the reason in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

HEARTBEAT_SECONDS = 1.0
STALE_HEARTBEAT_SECONDS = 15.0  # many missed beats: a blocked loop, not a busy one
STALE_LIST_SECONDS = 180.0  # longer than an API server's rolling restart


@dataclass(slots=True)
class Vitals:
    """What the probes look at. Times are on the injected monotonic clock."""

    clock: Callable[[], float]
    leading: bool = False
    ready: bool = False
    heartbeat: float = 0.0
    last_list: float | None = None
    started: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.started = self.heartbeat = self.clock()

    def lead(self) -> None:
        """From now on lists are expected."""
        self.leading = True
        self.last_list = self.clock()

    def listed(self) -> None:
        """The API server has answered a LIST."""
        self.last_list = self.clock()

    def ailment(self) -> str | None:
        """Why the process should be restarted, or None."""
        now = self.clock()
        if now - self.heartbeat > STALE_HEARTBEAT_SECONDS:
            return f"the event loop has not turned for {now - self.heartbeat:.0f} s"
        since = now - (self.last_list if self.last_list is not None else self.started)
        if self.leading and since > STALE_LIST_SECONDS:
            return f"no LIST has succeeded for {since:.0f} s"
        return None

    async def beat(self) -> None:
        """Runs for ever; the owner cancels it."""
        while True:
            self.heartbeat = self.clock()
            await asyncio.sleep(HEARTBEAT_SECONDS)


def application(vitals: Vitals, registry: CollectorRegistry) -> web.Application:
    """The three endpoints."""

    async def healthz(_: web.Request) -> web.Response:
        ailment = vitals.ailment()
        return web.Response(text=ailment or "ok", status=503 if ailment else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok" if vitals.ready else "starting", status=200 if vitals.ready else 503)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


class HealthServer:
    """Serves for as long as the context lasts. Port 0 takes a free one; `port` says which."""

    def __init__(self, vitals: Vitals, registry: CollectorRegistry, host: str, port: int) -> None:
        self._runner = web.AppRunner(application(vitals, registry), access_log=None, shutdown_timeout=1.0)
        self._host = host
        self.port = port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
