"""What a trial has said, and how it is heard: pages and gauges over HTTP, a termination message that fits.

The record is a deque of observations (n, step, time, values), n from 0. Its lock is re-entrant: the SIGTERM handler may
interrupt the holder. The server stands on a bare socket, since http.server takes 30 ms to import and some trials are
hardly longer; each of a few threads answers one connection after the other within a deadline, so that a client that
hangs delays neither the training nor the operator.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

REMEMBERED = 100_000  # kept for an operator that starts anew and asks from 0: some 40 MB, then the oldest go
PER_REPLY, VALUES_PER_REPLY = 1000, 10_000  # the second keeps a reply of long metric names below 1 MiB
MESSAGE_BYTES = 4096  # the kubelet's limit for one container's termination message
FITS_AT_MOST = 512  # rows in so many bytes: one takes 8 at least, so more need not be written out to be measured
DEADLINE_SECONDS = 5.0  # for one request and its reply: ten times what a scrape across a slow network takes
CONNECTIONS = 8  # at once: an operator, a Prometheus, a person, and some that hang
REQUEST_BYTES = 8192  # a request line and its headers; who sends more is none of ours
REQUEST = re.compile(rb"GET (/\w+)(?:\?(?:since=([0-9]{1,18})\b)?\S*)? HTTP/")


class Said:
    """All that was said. `stopping`: SIGTERM has come; `done`: nothing more will follow."""

    def __init__(self) -> None:
        self.observations: deque[tuple[int, float, float, dict[str, float | str]]] = deque(maxlen=REMEMBERED)
        self.last: dict[str, float | str] = {}  # of each metric
        self.outputs: dict[str, str] = {}
        self.step: float = 0
        self.stopping = self.done = False
        self._count = self._acknowledged = 0
        self._lock = threading.RLock()

    def add(self, step: float, values: dict[str, float | str]) -> None:
        """One observation, its numbers as strict JSON has them."""
        with self._lock:
            self.observations.append((self._count, step, time.time(), values))
            self._count, self.step, self.done = self._count + 1, step, False
            self.last.update(values)

    def page(self, since: int) -> dict[str, object]:
        """Observations from n = `since` on, as many as a reply may hold; all below `since` are acknowledged by that."""
        with self._lock:
            self._acknowledged = max(self._acknowledged, min(since, self._count))
            first = max(since - (self._count - len(self.observations)), 0)
            batch = list(islice(self.observations, first, first + PER_REPLY))
            while len(batch) > 1 and sum(len(values) for _, _, _, values in batch) > VALUES_PER_REPLY:
                del batch[len(batch) // 2 :]
            seen = [{"n": n, "step": step, "time": at, "values": values} for n, step, at, values in batch]
            following = batch[-1][0] + 1 if batch else self._count
            return {"next": following, "observations": seen, "outputs": dict(self.outputs), "done": self.done}

    def gauges(self, counter: str) -> str:
        """Prometheus text. What Prometheus allows in no name becomes `_`; of two that become one the first wins."""
        series: dict[str, object] = {}
        for name, value in {counter: self.step, **self.last}.items():
            series.setdefault(re.sub(r"^(?=[0-9])|[^a-zA-Z0-9_:]", "_", name), value)
        return "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in series.items())

    def last_words(self) -> bytes:
        """{"since": n, "observations": [[step, values], …], "outputs": {…}, "checkpoint_step": n}: not acknowledged.

        Too long, it is thinned from the oldest: every second one of the older half goes until it fits, so that the
        curve's shape and its end survive. The last is always there; then outputs give way, then its own last metrics.
        """
        with self._lock:
            told = [seen for seen in self.observations if seen[3].keys() != {"checkpoint_step"}]
            unread = [seen for seen in told if seen[0] >= self._acknowledged] or told[-1:]
            rows = [(step, dict(values)) for _, step, _, values in unread]
            since, outputs, saved = self._acknowledged, dict(self.outputs), self.last.get("checkpoint_step")
        words: dict[str, object] = {"since": since, "observations": rows, "outputs": outputs, "checkpoint_step": saved}
        if self.stopping:
            words["stopping"] = True
        compact = json.JSONEncoder(separators=(",", ":")).encode
        while len(rows) > FITS_AT_MOST or len(message := compact(words)) > MESSAGE_BYTES:
            if len(rows) > 1:
                half = len(rows) // 2
                rows[:half] = rows[1:half:2]
            else:
                (outputs or rows[0][1]).popitem()
        return message.encode()


def serve(host: str, port: str, answer: Callable[[str, int], tuple[str, str] | None]) -> socket.socket:
    """Answer GET requests by `answer(path, since)`: content type and body, or None where there is no such path.

    An empty host is every address. Raises OSError, ValueError or OverflowError where nobody can listen.
    """

    def work() -> None:
        while True:
            try:
                with listener.accept()[0] as connection:
                    deadline, request = time.monotonic() + DEADLINE_SECONDS, b""
                    while b"\r\n\r\n" not in request and len(request) < REQUEST_BYTES:
                        connection.settimeout(max(deadline - time.monotonic(), 0.001))
                        request += connection.recv(REQUEST_BYTES) or b"\r\n\r\n"
                    connection.sendall(reply(request))
            except OSError:  # a time-out or a reset is the client's business
                time.sleep(0.2)  # the process may have run out of descriptors, and the next failure would come at once

    def reply(request: bytes) -> bytes:
        asked = REQUEST.match(request)
        found = asked and answer(asked[1].decode(), int(asked[2] or 0))
        status = "200 OK" if found else "404 Not Found"
        kind, body = found or ("text/plain", "GET /observations?since=N or GET /metrics\n")
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}"
        return f"{head}\r\nConnection: close\r\n\r\n{body}".encode()

    listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    for _ in range(CONNECTIONS):
        threading.Thread(target=work, name="rung_trial", daemon=True).start()
    return listener
