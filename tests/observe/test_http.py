"""One bounded GET: every way in which the other side can misbehave becomes one FetchError in words, in time."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from rung.observe.http import FetchError, fetch, open_session
from tests.observe.servers import Handler, announced_giant, endless, gzip_bomb, hang, redirect, serving, trickle


async def teapot(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=418)


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    assert request.headers["Accept-Encoding"] == "identity"
    return web.Response(text="loss 0.5\n", content_type="text/plain")


async def test_a_page_comes_whole() -> None:
    async with serving(hello) as port, open_session() as session:
        assert await fetch(session, f"http://127.0.0.1:{port}/metrics") == b"loss 0.5\n"


@pytest.mark.parametrize(
    ("handler", "words", "answered"),
    [
        pytest.param(teapot, "status 418", True, id="another status"),
        pytest.param(redirect, "status 302: redirects are not followed", True, id="a redirect"),
        pytest.param(gzip_bomb, "compressed body (gzip), which was not asked for", True, id="a gzip bomb"),
        pytest.param(announced_giant, "body larger than 1 MiB", True, id="an announced gigabyte"),
        pytest.param(endless, "body larger than 1 MiB", True, id="an endless body"),
        pytest.param(hang, "timed out after 0.2 s", False, id="a hang"),
        pytest.param(trickle, "timed out after 0.2 s", False, id="a body byte by byte"),
    ],
)
async def test_what_goes_wrong_is_said_in_words(handler: Handler, words: str, answered: bool) -> None:
    loop = asyncio.get_running_loop()
    async with serving(handler) as port, open_session() as session:
        begin = loop.time()
        deadline = 0.2 if "0.2" in words else 2.0
        with pytest.raises(FetchError) as failed:
            await fetch(session, f"http://127.0.0.1:{port}/", deadline=deadline)
        assert loop.time() - begin < 1.5
    assert (failed.value.reason, failed.value.answered) == (words, answered)


async def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with open_session() as session:
        with pytest.raises(FetchError, match="connection refused") as failed:
            await fetch(session, f"http://127.0.0.1:{port}/")
    assert not failed.value.answered


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="closed before a reply"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc", id="torn in the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, id="a giant header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", id="a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: \xff/;;\r\nContent-Length: x\r\n\r\n", id="senseless headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="a senseless chunk"),
        pytest.param(b"\x16\x03\x01" * 50, id="TLS"),
    ],
)
async def test_bytes_that_are_no_reply_are_a_fetch_error(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, open_session() as session:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchError) as failed:
            await fetch(session, f"http://127.0.0.1:{port}/", deadline=2.0)
    assert len(str(failed.value)) < 200
    assert "\n" not in str(failed.value)


async def test_a_cancellation_passes_through() -> None:
    async with serving(hang) as port, open_session() as session:
        task = asyncio.create_task(fetch(session, f"http://127.0.0.1:{port}/", deadline=60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_sockets_are_bounded_and_none_stays_open() -> None:
    open_now, most = 0, 0

    async def counting(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.01)
        open_now -= 1
        return web.Response(text="x")

    async with serving(counting) as port, open_session(connections=4) as session:
        await asyncio.gather(*(fetch(session, f"http://127.0.0.1:{port}/") for _ in range(40)))
        assert most <= 4
        assert session.connector is not None
        assert not session.connector._conns
