"""One bounded GET: what a scrape may cost, whatever the other side does.

Total deadline, body limit read chunk by chunk, no redirects, nothing decompressed (identity is asked for, anything else
refused), no cookies, no proxies, a closed connection afterwards. Everything that can go wrong is one `FetchError` in
words.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Final

import aiohttp
from yarl import URL

from rung.api.errors import RungError

DEADLINE_SECONDS: Final = 2.0  # a reply takes milliseconds; an interpreter busy with a training step may take a second
BODY_BYTES: Final = 1 << 20  # some ten thousand series; the contract's bound for a reply of the SDK's protocol
CONNECTIONS: Final = 32  # each may hold a whole body; a thousand trials every 5 s keep two busy
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "rung"}


class FetchError(RungError):
    """A scrape that brought nothing. `reason` says it in words; `answered`: somebody did reply, if not with a page."""

    def __init__(self, reason: str, *, answered: bool = False, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answered = answered
        self.timed_out = timed_out


def open_session(connections: int = CONNECTIONS) -> aiohttp.ClientSession:
    """A session for `fetch`: at most `connections` sockets at any moment, none kept open between scrapes.

    A thousand kept-alive connections would exceed the usual limit of 1,024 open files. Close it when done.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, force_close=True, use_dns_cache=False),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None),  # `fetch` has the one deadline
    )


async def fetch(
    session: aiohttp.ClientSession,
    url: str | URL,
    *,
    deadline: float = DEADLINE_SECONDS,
    limit: int = BODY_BYTES,
    accept: str = "*/*",
) -> bytes:
    """The body of GET `url` with a session of `open_session`. Raises FetchError for all but a whole reply of status 200."""
    try:
        async with (
            asyncio.timeout(deadline),
            session.get(url, allow_redirects=False, headers={"Accept": accept}) as reply,
        ):
            _refuse_unusable(reply, limit)
            body = bytearray()
            async for chunk in reply.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
            return bytes(body)
    except TimeoutError:
        raise FetchError(f"timed out after {deadline:g} s", timed_out=True) from None
    except aiohttp.ClientConnectorError as error:
        raise FetchError(_unreachable(error.os_error)) from error
    except aiohttp.ServerDisconnectedError as error:
        raise FetchError("the connection was closed before a reply") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a header that is no header
        raise FetchError(f"broken reply: {_first_line(error)}", answered=True) from error


def _refuse_unusable(reply: aiohttp.ClientResponse, limit: int) -> None:
    if 300 <= reply.status < 400:
        raise FetchError(f"status {reply.status}: redirects are not followed", answered=True)
    if reply.status != 200:
        raise FetchError(f"status {reply.status}", answered=True)
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchError(f"compressed body ({encoding[:20]}), which was not asked for", answered=True)
    if reply.content_length is not None and reply.content_length > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> FetchError:
    size = f"{limit / (1 << 20):g} MiB" if limit >= 1 << 20 else f"{limit} bytes"
    return FetchError(f"body larger than {size}", answered=True)


def _unreachable(error: OSError) -> str:
    match error.errno:
        case errno.ECONNREFUSED:
            return "connection refused"
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            return "no route to it (a NetworkPolicy?)"
        case _:
            return f"cannot connect: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:120]
