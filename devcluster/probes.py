"""Readiness and liveness of a container that says how to ask: httpGet, tcpSocket or exec."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from devcluster.container_setup import ProcessPlan
from devcluster.node_api import Object


async def probe(spec: Object, container: Object, address: str, plan: ProcessPlan) -> bool:
    """Ask once, within the probe's own time-out."""
    try:
        async with asyncio.timeout(float(spec.get("timeoutSeconds", 1))):
            if "httpGet" in spec:
                return await _http(spec["httpGet"], container, address)
            if "tcpSocket" in spec:
                return await _tcp(address, port_number(container, spec["tcpSocket"]["port"]))
            if "exec" in spec:
                return await run_once(spec["exec"]["command"], plan)
    except (TimeoutError, OSError, ValueError):
        return False
    return True


async def keep_probing(
    spec: Object, ask: Callable[[], Awaitable[bool]], tell: Callable[[bool], None], *, healthy_at_first: bool
) -> None:
    """Ask for ever, and tell when enough answers in a row differ from what was told before."""
    healthy, in_a_row = healthy_at_first, 0
    await asyncio.sleep(float(spec.get("initialDelaySeconds", 0)))
    while True:
        answer = await ask()
        in_a_row = in_a_row + 1 if answer != healthy else 0
        if in_a_row >= int(spec.get("successThreshold", 1) if answer else spec.get("failureThreshold", 3)):
            healthy, in_a_row = answer, 0
            tell(healthy)
        # A pod that has just started is asked more often than it says, so that nobody waits ten seconds for it.
        await asyncio.sleep(float(spec.get("periodSeconds", 10)) if healthy else 0.2)


async def run_once(command: list[str], plan: ProcessPlan) -> bool:
    """Run a command beside the container; whether it succeeds."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=plan.env,
        cwd=plan.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


def port_number(container: Object, port: int | str) -> int:
    """A port given as a number or by the name of one of the container's. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for known in container.get("ports") or []:
        if known.get("name") == port:
            return int(known["containerPort"])
    raise ValueError(f"container {container['name']} has no port named {port}")


async def _http(spec: Object, container: Object, address: str) -> bool:
    host, port = spec.get("host") or address, port_number(container, spec["port"])
    reader, writer = await asyncio.open_connection(host, port)
    try:
        path = spec.get("path", "/")
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        words = (await reader.readline()).split()
        return len(words) > 1 and words[1].isdigit() and 200 <= int(words[1]) < 400
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _tcp(address: str, port: int) -> bool:
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    return True
