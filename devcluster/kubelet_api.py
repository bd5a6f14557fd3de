"""The part of the kubelet's own API that the API server needs for `kubectl logs`, over HTTPS on the node's address."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from devcluster.container_log import ContainerLog, LogQuery, since_time
from devcluster.node import KUBELET_PORT, NodeOptions

# Namespace, pod, container, and whether the run before the current one is meant; None when there is no such log.
FindLog = Callable[[str, str, str, bool], ContainerLog | None]


class KubeletApi:
    """Serves the logs of one node's containers."""

    def __init__(self, options: NodeOptions, find: FindLog) -> None:
        self._options = options
        self._find = find
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        application = web.Application()
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._options.certificate, self._options.key)
        await web.TCPSite(self._runner, self._options.address, KUBELET_PORT, ssl_context=context).start()

    async def stop(self) -> None:
        """Stop listening; logs that are being followed end."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        path, asked = request.match_info, request.query
        log = self._find(path["namespace"], path["pod"], path["container"], asked.get("previous") == "true")
        if log is None:
            return web.Response(status=404, text=f"no log of container {path['container']} of pod {path['pod']}")
        try:
            query = LogQuery(
                follow=asked.get("follow") == "true",
                tail_lines=int(asked["tailLines"]) if "tailLines" in asked else None,
                limit_bytes=int(asked["limitBytes"]) if "limitBytes" in asked else None,
                since=_since(asked.get("sinceTime"), asked.get("sinceSeconds")),
                timestamps=asked.get("timestamps") == "true",
            )
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await reply.prepare(request)
        async for piece in log.read(query):
            await reply.write(piece)
        await reply.write_eof()
        return reply


def _since(moment: str | None, seconds: str | None) -> str:
    if moment:
        return since_time(moment)
    if seconds:
        return since_time(datetime.fromtimestamp(time.time() - float(seconds), UTC).isoformat())
    return ""
