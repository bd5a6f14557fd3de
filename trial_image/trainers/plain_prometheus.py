"""A training that knows nothing of Rung and serves Prometheus text, as any program with a client library does.

It prints nothing. Each gauge holds the last value, so a scraper must come at least once per epoch to see them all.
Run: `python -m trainers.plain_prometheus --x=0.2 --epochs=9 --sleep=1`, then `curl localhost:9100/metrics`
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Gauges(BaseHTTPRequestHandler):
    """Answers /metrics with what the training last wrote into `values`."""

    values: dict[str, float] = {}  # noqa: RUF012 (shared with the training on purpose)

    def do_GET(self) -> None:
        """Prometheus text format 0.0.4."""
        if self.path != "/metrics":
            self.send_error(404)
            return
        lines = [f"# TYPE {name} gauge\n{name} {value}\n" for name, value in list(self.values.items())]
        body = "".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
        """Silence: stdout and stderr say nothing, so that only /metrics can be read."""


def main() -> None:
    """Serve val_loss = (x - 0.3)² + 1 / epoch and the epoch while they change."""
    parser = argparse.ArgumentParser(prog="trainers.plain_prometheus", description="Serves /metrics.")
    parser.add_argument("--x", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--sleep", type=float, default=1.0, help="seconds per epoch")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds to go on serving after the last epoch")
    given = parser.parse_args()
    pod = os.environ.get("POD_IP", "")  # a loopback one is the development node's: an address of its own for each pod
    host = os.environ.get("RUNG_METRICS_HOST") or (pod if pod.startswith("127.") else "")
    server = ThreadingHTTPServer((host, int(os.environ.get("RUNG_METRICS_PORT") or 9100)), Gauges)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for epoch in range(1, given.epochs + 1):
        time.sleep(given.sleep)
        Gauges.values = {"epoch": epoch, "val_loss": (given.x - 0.3) ** 2 + 1 / epoch}
    time.sleep(given.linger)


if __name__ == "__main__":
    main()
