"""A client of the API server for tests and benchmarks: the development cluster's, with a few verbs and watches on top.

Not the operator's own client on purpose: what that one gets wrong must not hide here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from devcluster import ApiError, Cluster
from devcluster import api as devcluster_api

Document = dict[str, Any]

GROUPS = {
    "studies": "apis/rung.dev/v1alpha1",
    "trials": "apis/rung.dev/v1alpha1",
    "jobs": "apis/batch/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
}
CORE = "api/v1"
CRDS = Path(__file__).resolve().parents[2] / "crds"


def with_crds(cluster: Cluster) -> Api:
    """A client, once the cluster knows Studies and Trials and answers for them."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/studies.rung.dev", "crd/trials.rung.dev", "--timeout=30s"
    )
    api = Api(cluster)
    # established is not yet served: the storage of a new kind answers 429 for a moment
    cluster.wait_for(
        "Studies and Trials to be served", lambda: not api.items("studies") + api.items("trials"), within=30
    )
    return api


def resource(kind: str, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
    """The path of a kind, an object, or a subresource of it."""
    parts = ["", GROUPS.get(kind, CORE)]
    if namespace is not None:
        parts += ["namespaces", namespace]
    parts += [part for part in (kind, name, sub) if part is not None]
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change, and when it was seen here (seconds on the monotonic clock)."""

    at: float
    type: str
    object: Document

    @property
    def revision(self) -> int:
        """The store's revision: one order over all kinds, since they share one etcd."""
        return int(self.object["metadata"]["resourceVersion"])


class Watch:
    """The events of one watch, until the server ends it or `close` is called, from whatever thread."""

    def __init__(self, path: str, connection: http.client.HTTPSConnection, response: http.client.HTTPResponse) -> None:
        self._path = path
        self._connection = connection
        self._response = response
        self._closed = False

    def __iter__(self) -> Iterator[WatchEvent]:
        buffer = b""
        while chunk := self._read():
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            at = time.monotonic()
            for line in filter(None, lines):
                document = json.loads(line)
                event = WatchEvent(at, document["type"], document["object"])
                if event.type == "ERROR":
                    raise ApiError(
                        int(event.object.get("code", 0)), f"watch {self._path}: {event.object.get('message')}"
                    )
                if event.type != "BOOKMARK":
                    yield event

    def close(self) -> None:
        """End it. A reader that waits for the next event gets the end of the stream."""
        self._closed = True
        if self._connection.sock is not None:
            # the connection below TLS, by a second descriptor: an SSLSocket must not be closed under its reader
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.sock.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def _read(self) -> bytes:
        try:
            return self._response.read1(65536)
        except (OSError, http.client.HTTPException, ValueError):
            if self._closed:
                return b""
            raise


class Api(devcluster_api.Api):
    """An administrator of a development cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.url, cluster.ca_file, cluster.admin_token)
        self._tls = ssl.create_default_context(cafile=str(cluster.ca_file))

    def get(self, path: str, **query: str) -> Document:
        """Read one object, or a list."""
        return self.request("GET", _with(path, query))

    def find(self, path: str) -> Document | None:
        """Read one object that may not be there."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, kind: str, namespace: str | None = None, **query: str) -> list[Document]:
        """All objects of a kind."""
        found: list[Document] = self.get(resource(kind, namespace), **query)["items"]
        return found

    def create(self, kind: str, namespace: str | None, document: Mapping[str, Any]) -> Document:
        """POST."""
        return self.request("POST", resource(kind, namespace), document)

    def patch(self, path: str, document: Mapping[str, Any]) -> Document:
        """Merge-patch."""
        return self.request("PATCH", path, document, content_type="application/merge-patch+json")

    def delete(self, path: str, *, propagation: str = "Background", grace_seconds: int | None = None) -> None:
        """DELETE; what is gone already is fine."""
        options: Document = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self.request("DELETE", path, options)
        except ApiError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, since: str, **query: str) -> Watch:
        """Changes after revision `since`, over a connection of its own."""
        where = urlsplit(self.url)
        connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=self._tls)
        asked = {**query, "watch": "1", "resourceVersion": since, "allowWatchBookmarks": "true"}
        connection.request("GET", _with(path, asked), headers={"Authorization": f"Bearer {self.token}"})
        response = connection.getresponse()
        if response.status != 200:
            raise ApiError(response.status, f"watch {path}: {response.read().decode(errors='replace')[:500]}")
        return Watch(path, connection, response)


def _with(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
