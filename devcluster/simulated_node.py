"""A node whose pods only pretend to run: thousands of them on one core, with replayed curves (replay.py).

A pod costs two status writes and one timer. While it runs, its address, 127.x.y.z, answers /observations and /metrics
on its port, as a trial would; an address whose pod has ended refuses connections.

Pods get here by asking for the resource `rung.dev/simulated: 1`, which no other node has. The node's taint of the same
name keeps all others away, and the API server adds the toleration.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from urllib.parse import parse_qs, urlsplit

from devcluster.images import image_id
from devcluster.names import SIMULATE_ANNOTATION, SIMULATED_RESOURCE
from devcluster.node import FINISHED, Agent, serve, timestamp
from devcluster.node_api import Object
from devcluster.replay import Replay

REQUEST_BYTES = 8192
BACKLOG = 16


class SimulatedPod:
    """One pod that is being pretended. Only what later writes need is kept: there may be thousands."""

    def __init__(self, pod: Object, agent: Agent) -> None:
        meta = pod["metadata"]
        self.identity: Object = {"metadata": {key: meta[key] for key in ("name", "namespace", "uid")}}
        self.ended = False
        self._agent = agent
        self._names = [(container["name"], container["image"]) for container in pod["spec"]["containers"]]
        self._annotation: str = (meta.get("annotations") or {}).get(SIMULATE_ANNOTATION, "")
        first = pod["spec"]["containers"][0]
        self._env = {variable["name"]: variable.get("value") or "" for variable in first.get("env") or []}
        self._terminating = asyncio.Event()
        self._deleted = False
        self._removed = False
        self._ip = ""
        self._began_at = ""
        self._began = 0.0
        self._began_unix = 0.0

    async def run(self) -> None:
        """From being bound to its last status, and to the end of its object if that is being deleted."""
        try:
            replay = Replay.parse(self._annotation, self._env)
            self._ip = self._agent.addresses.take()
        except (ValueError, LookupError) as error:
            self._began_at = timestamp()
            await self._finish(1, str(error))
            return
        server: asyncio.Server | None = None
        try:
            self._began_at, self._began, self._began_unix = timestamp(), time.monotonic(), time.time()
            if replay.steps:
                server = await self._listen(replay)
            await self._agent.patch_status(self.identity, self._status("Running", {"startedAt": self._began_at}))
            code, message = await self._pretend(replay)
        finally:
            if server:
                server.close()
            self._agent.addresses.give_back(self._ip)
        await self._finish(code, message)

    def terminate(self) -> None:
        """Its object is being deleted."""
        self._deleted = True
        self._terminating.set()
        if self.ended:
            self._agent.spawn(self._remove(), "remove")

    async def lose(self) -> None:
        """It ran under an agent that is gone."""
        self._began_at = timestamp()
        await self._finish(137, "the node's agent was restarted while this container ran")

    async def _pretend(self, replay: Replay) -> tuple[int, str]:
        try:
            left = replay.seconds - (time.monotonic() - self._began)
            await asyncio.wait_for(self._terminating.wait(), max(left, 0.0))
        except TimeoutError:
            return replay.exit_code, replay.message
        await asyncio.sleep(replay.linger)
        return replay.terminate_code, ""

    async def _finish(self, code: int, message: str) -> None:
        state = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
        state |= {"startedAt": self._began_at, "finishedAt": timestamp()}
        await self._agent.patch_status(self.identity, self._status("Failed" if code else "Succeeded", state))
        self.ended = True
        if self._deleted:
            await self._remove()

    async def _remove(self) -> None:
        if not self._removed:
            self._removed = True
            await self._agent.delete_now(self.identity)

    def _status(self, phase: str, state: Object) -> Object:
        running = phase == "Running"
        now = timestamp()
        ready = {"status": str(running), "lastTransitionTime": now}
        status: Object = {
            "phase": phase,
            "startTime": self._began_at,
            "hostIP": self._agent.options.address,
            "conditions": [{"type": "Ready", **ready}, {"type": "ContainersReady", **ready}],
            "containerStatuses": [
                {
                    "name": name,
                    "image": image,
                    "imageID": image_id(image),
                    "ready": running,
                    "restartCount": 0,
                    "state": {"running" if running else "terminated": state},
                }
                for name, image in self._names
            ],
        }
        if self._ip:
            status |= {"podIP": self._ip, "podIPs": [{"ip": self._ip}]}
        return status

    async def _listen(self, replay: Replay) -> asyncio.Server:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._ip, replay.port))
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Reply(self, replay), sock=listener, backlog=BACKLOG)

    def answer(self, replay: Replay, target: str) -> tuple[str, str, str]:
        """Status, content type and body of the reply to a GET."""
        where = urlsplit(target)
        elapsed = time.monotonic() - self._began
        if where.path == "/observations":
            since = parse_qs(where.query).get("since", ["0"])[0]
            if not since.isdecimal():
                return "400 Bad Request", "text/plain", "since must be a whole number of at least 0\n"
            found = replay.observations(int(since), elapsed, self._began_unix)
            return "200 OK", "application/json", json.dumps(found)
        if where.path == "/metrics":
            return "200 OK", "text/plain; version=0.0.4", replay.metrics(elapsed)
        return "404 Not Found", "text/plain", "/observations and /metrics are here\n"


class _Reply(asyncio.Protocol):
    """One connection, one request, one reply."""

    def __init__(self, pod: SimulatedPod, replay: Replay) -> None:
        self._pod = pod
        self._replay = replay
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" not in self._received:
            if len(self._received) > REQUEST_BYTES:
                self._transport.close()
            return
        words = self._received.split(b"\r\n", 1)[0].decode("latin-1").split()
        if len(words) == 3 and words[0] == "GET":
            status, kind, body = self._pod.answer(self._replay, words[1])
        else:
            status, kind, body = "405 Method Not Allowed", "text/plain", "GET only\n"
        raw = body.encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode() + raw)
        self._transport.close()


class SimulatedNode:
    """The pods of one simulated node, by UID."""

    kind = "simulated"

    def __init__(self, agent: Agent) -> None:
        self.capacity = {SIMULATED_RESOURCE: str(agent.options.pods)}
        self.taints = [{"key": SIMULATED_RESOURCE, "value": "true", "effect": "NoSchedule"}]
        self._agent = agent
        self._pods: dict[str, SimulatedPod] = {}

    async def start(self) -> None:
        """Nothing to prepare."""

    def changed(self, pod: Object) -> None:
        """Start to pretend a new pod; pass a deletion on."""
        meta = pod["metadata"]
        deleting = "deletionTimestamp" in meta
        known = self._pods.get(meta["uid"])
        if known is None:
            phase = pod.get("status", {}).get("phase")
            if phase in FINISHED:
                if deleting:
                    self._agent.spawn(self._agent.delete_now(pod), "remove")
                return
            known = self._pods[meta["uid"]] = SimulatedPod(pod, self._agent)
            self._agent.spawn(known.lose() if phase == "Running" else known.run(), f"pod {meta['name']}")
        if deleting:
            known.terminate()

    def gone(self, pod: Object) -> None:
        """The object has vanished: stop pretending."""
        if (known := self._pods.pop(pod["metadata"]["uid"], None)) and not known.ended:
            known.terminate()

    async def stop(self) -> None:
        """Nothing runs that would have to be ended."""
        self._pods.clear()


if __name__ == "__main__":
    serve(SimulatedNode)
