"""A little HTTP server on the loopback that answers as a test tells it to: for what a healthy API server never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rung.kube.access import Access


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What it gets. `hang` never answers, `reset` closes the connection instead."""

    code: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    reset: bool = False


class Server:
    """`async with Server(answer) as server`: `server.url`, and what it was asked in `server.requests`."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self.asked = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in self._tasks if task is not None), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split(" ")
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(method, target, headers)
                self.requests.append(request)
                self.asked.set()
                if not await self._reply(self._answer(request), writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _reply(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        if reply.hang:
            await asyncio.Event().wait()
        if reply.reset:
            writer.transport.abort()
            return False
        body = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
        head = [f"HTTP/1.1 {reply.code} X", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        return True


def write_kubeconfig(folder: Path, url: str, token: str = "first") -> Path:
    """A kubeconfig that leads to that server; the token stands in a file of its own, so that it can be replaced."""
    (folder / "token").write_text(token)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


async def access_to(url: str, folder: Path) -> Access:
    """Access to that server."""
    return await Access.find(str(write_kubeconfig(folder, url)))
