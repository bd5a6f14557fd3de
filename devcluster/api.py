"""A small blocking client of the API server, for the cluster's own set-up and for tests: JSON in, JSON out."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a Kubernetes object is whatever JSON the server sends
from urllib.parse import urlsplit

from devcluster.errors import ApiError

REQUEST_SECONDS = 30.0  # the API server answers in milliseconds; a loaded machine may stall it for seconds
_SAMPLE = re.compile(r"apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})


class Api:
    """One user of the API server. Each thread has a connection of its own, which is kept open."""

    def __init__(self, url: str, ca_file: Path, token: str) -> None:
        self.url = url
        self.token = token
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self._local = threading.local()

    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """One request. Raises ApiError with the server's message, OSError when there is no server."""
        text = self.text(method, path, body, content_type=content_type)
        answer: dict[str, Any] = json.loads(text) if text else {}
        return answer

    def text(self, method: str, path: str, body: object = None, *, content_type: str = "application/json") -> str:
        """As `request`, for what is not JSON: metrics, logs."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body)
        for last_try in (False, True):
            try:
                connection = self._connection()
                connection.request(method, path, data, headers)
                reply = connection.getresponse()
                text = reply.read().decode(errors="replace")
                break
            except (http.client.HTTPException, OSError) as error:
                self.close()
                # A kept connection may have been closed meanwhile by a restarted server: that costs one more try.
                if last_try or isinstance(error, TimeoutError | ConnectionRefusedError):
                    raise OSError(f"{method} {path}: {error!r}") from error
        if reply.status >= 400:
            raise ApiError(reply.status, f"{method} {path}: {_message(text)}")
        return text

    def exists(self, path: str) -> bool:
        """Whether an object is there."""
        try:
            self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def write_counts(self) -> dict[tuple[str, str], int]:
        """Writes that the server has accepted since its start, by verb and resource ("pods/status")."""
        counts: dict[tuple[str, str], int] = {}
        for sample in _SAMPLE.finditer(self.text("GET", "/metrics")):
            labels: Mapping[str, str] = dict(_LABEL.findall(sample["labels"]))
            if labels["verb"] in WRITES and labels["code"].startswith("2") and not labels.get("dry_run"):
                resource = labels["resource"] + (f"/{labels['subresource']}" if labels["subresource"] else "")
                key = (labels["verb"], resource)
                counts[key] = counts.get(key, 0) + int(float(sample["value"]))
        return counts

    def close(self) -> None:
        """Close this thread's connection; the next request opens another."""
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _connection(self) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            where = urlsplit(self.url)
            connection = http.client.HTTPSConnection(
                where.hostname or "", where.port, timeout=REQUEST_SECONDS, context=self._context
            )
            self._local.connection = connection
        return connection


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]
