"""A proxy between a client and the API server, for a network that fails without a word."""

from __future__ import annotations

import asyncio
from typing import Self

from devcluster import Cluster
from rung.kube.access import Access


class Proxy:
    """TCP on the loopback to the API server, until it is cut: then connections stay open and nothing passes."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("https://").partition(":")
        self._target = (host, int(port))
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "https://127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._open.clear()

    async def reset(self) -> None:
        """As `cut`, and every connection is closed; new ones are, too, before they begin."""
        self._refuses = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def mend(self) -> None:
        """What waited passes, and connections are taken again."""
        self._refuses = False
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.close()
            return
        there, back = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._copy(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


async def access_through(proxy: Proxy, cluster: Cluster) -> Access:
    """The administrator's access, by way of the proxy."""
    access = await Access.find(str(cluster.kubeconfig))
    access.configuration.host = proxy.url
    return access
