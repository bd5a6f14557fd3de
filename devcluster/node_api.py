"""What a node's agent says to the API server: requests that are retried, and a watch that never ends.

    list -> watch from its resourceVersion -> ... -> 410 or a cut connection -> list again

A watcher sees ADDED, MODIFIED and DELETED; what vanished between two lists is DELETED too, so nothing is forgotten.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # Any: a Kubernetes object is whatever JSON the server sends

import aiohttp

from devcluster.errors import ApiError

Object = dict[str, Any]
REQUEST_SECONDS = 15.0
WATCH_SECONDS = 240  # the server ends a watch after this; the next one goes on from where it was
RETRIES = 8
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
CONNECTIONS = 32  # in parallel; the API server on the same machine has no more to give
MERGE = "application/strategic-merge-patch+json"
log = logging.getLogger(__name__)


class NodeApi:
    """An asynchronous client with one token. Use it as a context manager."""

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        self.server = server
        self._ssl = ssl.create_default_context(cafile=str(ca_file))
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=CONNECTIONS, keepalive_timeout=60.0)
        self._session = aiohttp.ClientSession(self.server, headers=self._headers, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
        parse: bool = True,
    ) -> Object:
        """One request, tried again while the server is busy or gone. Raises ApiError; OSError when it stays gone.

        `parse=False` spares the decoding of an answer that nobody reads.
        """
        data = None if body is None else json.dumps(body).encode()
        wait = FIRST_WAIT
        for left in reversed(range(RETRIES)):
            try:
                async with (
                    asyncio.timeout(REQUEST_SECONDS),
                    self._open.request(
                        method, path, data=data, params=params, headers={"Content-Type": content_type}
                    ) as reply,
                ):
                    raw = await reply.read()
                    if reply.status < 400:
                        answer: Object = json.loads(raw) if parse and raw else {}
                        return answer
                    if left == 0 or (reply.status != 429 and reply.status < 500):
                        raise ApiError(reply.status, _message(raw))
            except (aiohttp.ClientError, TimeoutError) as error:
                if left == 0:
                    raise OSError(f"{method} {path}: {error!r}") from error
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError("the last try returns or raises")

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[tuple[str, Object]]:
        """Every object under `path` and every change to one, for ever."""
        known: dict[str, Object] = {}
        while True:
            try:
                listed = await self.request("GET", path, params=params)
            except (ApiError, OSError) as error:
                log.warning("listing %s failed: %s", path, error)
                await asyncio.sleep(LONGEST_WAIT)
                continue
            items = {item["metadata"]["uid"]: item for item in listed["items"]}
            for uid in known.keys() - items.keys():
                yield "DELETED", known[uid]
            known = items
            for item in items.values():
                yield "ADDED", item
            async for kind, item in self._watch_from(path, params, str(listed["metadata"]["resourceVersion"])):
                if kind == "DELETED":
                    known.pop(item["metadata"]["uid"], None)
                else:
                    known[item["metadata"]["uid"]] = item
                yield kind, item

    async def _watch_from(
        self, path: str, params: Mapping[str, str], version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes since `version`; ends when the server says that this is too old, or anything else goes wrong."""
        while True:
            query = {**params, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
            query["timeoutSeconds"] = str(WATCH_SECONDS)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=WATCH_SECONDS + 30.0)
            try:
                async with self._open.get(path, params=query, timeout=timeout) as reply:
                    if reply.status != 200:
                        return
                    async for line in _lines(reply.content):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            return
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            yield event["type"], event["object"]
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("watching %s was cut: %r", path, error)
                await asyncio.sleep(FIRST_WAIT)
                return

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use NodeApi as a context manager")
        return self._session


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own readline refuses long ones, and pods may be long."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


async def keep_trying(what: str, attempt: Callable[[], Any], *, pause: float = LONGEST_WAIT) -> None:
    """Await `attempt()` until it succeeds; an API error is logged, not raised."""
    while True:
        try:
            await attempt()
        except (ApiError, OSError) as error:
            log.warning("%s failed: %s", what, error)
            await asyncio.sleep(pause)
        else:
            return


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        return raw[:500].decode(errors="replace")
