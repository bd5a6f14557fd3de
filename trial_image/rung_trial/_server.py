"""A tiny HTTP server on a daemon thread: GET /observations?since=N and GET /metrics, one request per connection.

By hand on a socket, because http.server takes 30 ms to import and some trials are hardly longer. Each connection has a
thread and a deadline, and there are eight at most: a client that hangs delays neither the training nor the others.
"""

from __future__ import annotations

import socket
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

    Answer = Callable[[str, int], str | None]

DEFAULT_PORT = 9100
DEADLINE_SECONDS = 5.0  # for one request and its reply: ten times what a scrape across a slow network takes
CONNECTIONS = 8
REQUEST_BYTES = 8192  # a request line and its headers; who sends more is none of ours


def serve(environ: Mapping[str, str], answer: Answer) -> socket.socket | None:
    """Listen on RUNG_METRICS_HOST and RUNG_METRICS_PORT; None, and one line on stderr, where that cannot be."""
    from rung_trial._trial import complain

    pod = environ.get("POD_IP", "")
    # A loopback POD_IP is the development node's: many pods on one machine, the same port on an address each.
    anywhere = "::" if ":" in pod else "0.0.0.0"  # noqa: S104 (a pod is there to be scraped)
    host = environ.get("RUNG_METRICS_HOST") or (pod if pod.startswith("127.") else anywhere)
    port = environ.get("RUNG_METRICS_PORT") or DEFAULT_PORT
    try:
        listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, ValueError, OverflowError) as error:
        complain(f"cannot listen on {host} port {port} ({error}): observations go to stdout only")
        return None
    threading.Thread(target=_accept, args=(listener, answer), name="rung_trial", daemon=True).start()
    return listener


def _accept(listener: socket.socket, answer: Answer) -> None:
    free = threading.BoundedSemaphore(CONNECTIONS)
    while True:
        connection, _ = listener.accept()
        if free.acquire(blocking=False):
            threading.Thread(target=_serve, args=(connection, answer, free), name="rung_trial", daemon=True).start()
        else:
            connection.close()


def _serve(connection: socket.socket, answer: Answer, free: threading.BoundedSemaphore) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request and len(request) < REQUEST_BYTES:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                received = connection.recv(REQUEST_BYTES)
                if not received:
                    return
                request += received
            connection.sendall(_reply(request, answer))
    except OSError:
        pass  # a time-out or a reset is the client's business
    finally:
        free.release()


def _reply(request: bytes, answer: Answer) -> bytes:
    words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or words[0] != "GET":
        return _response("405 Method Not Allowed", "text/plain", "GET only\n")
    path, _, query = words[1].partition("?")
    since = dict(pair.partition("=")[::2] for pair in query.split("&")).get("since") or "0"
    if not (since.isascii() and since.isdigit() and len(since) < 19):
        return _response("400 Bad Request", "text/plain", "since must be a whole number of at least 0\n")
    body = answer(path, int(since))
    if body is None:
        return _response("404 Not Found", "text/plain", "/observations?since=N or /metrics\n")
    return _response("200 OK", "application/json" if path == "/observations" else "text/plain; version=0.0.4", body)


def _response(status: str, kind: str, body: str) -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + content
