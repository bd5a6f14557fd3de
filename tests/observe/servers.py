"""Trials as HTTP servers on 127.0.0.1: an honest one, and every kind that lies, hangs or shouts."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from rung.api.study import MetricSource, MetricsSpec
from rung.observe.extract import Wanted
from rung.observe.target import Target, TargetKey

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class HonestTrial:
    """Answers as the SDK does, a page of at most `per_reply` reports."""

    name: str = "digits-3"
    attempt: int = 1
    per_reply: int = 1000
    reports: list[dict[str, object]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def report(self, step: float, **values: object) -> None:
        self.reports.append({"n": len(self.reports), "step": step, "time": 1.7e9, "values": values})

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/observations":
            return web.Response(status=404)
        since = int(request.query["since"])
        self.asked.append(since)
        batch = self.reports[since : since + self.per_reply]
        page = {"trial": self.name, "attempt": self.attempt, "next": since + len(batch), "observations": batch}
        return web.json_response(page | {"outputs": {"model": "s3://m"}, "done": False})


async def hang(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def redirect(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/secret"})


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"loss 1\n" * 10_000)
    return response


async def trickle(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)
    return response


BOMB = gzip.compress(bytes(10 << 20), compresslevel=1)


async def gzip_bomb(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})


async def announced_giant(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(1 << 30)})
    await response.prepare(request)
    return response


async def garbage(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=bytes(range(256)) * 100)


async def wrong_trial(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/metrics":
        return web.Response(text="epoch 9\nloss 0.001\n")
    return await HonestTrial(name="digits-99")(request)


async def node_exporter(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="node_load1 3\n") if request.path == "/metrics" else web.Response(status=404)


HOSTILE: dict[str, Handler] = {
    "hangs": hang,
    "redirects": redirect,
    "streams without end": endless,
    "trickles": trickle,
    "sends a gzip bomb": gzip_bomb,
    "announces a gigabyte": announced_giant,
    "sends garbage": garbage,
    "is another trial": wrong_trial,
    "is the node's exporter": node_exporter,
}


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server for `handler` on any path; gives its port."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    try:
        yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    finally:
        await runner.cleanup()


def a_target(
    port: int,
    *,
    number: int = 3,
    attempt: int = 1,
    source: MetricSource = MetricSource.AUTO,
    interval: int = 1,
    metrics: tuple[str, ...] = ("loss",),
    host: str = "127.0.0.1",
) -> Target:
    spec = MetricsSpec(source=source, port=port, interval_seconds=interval)
    key = TargetKey("default", "digits", number, attempt)
    return Target(key, f"digits-{number}", host, spec, Wanted.of(spec, metrics, "epoch"))
