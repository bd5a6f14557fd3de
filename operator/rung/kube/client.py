"""A thin asynchronous client of the Kubernetes API: raw JSON in and out, every call with a deadline, every failure
typed.

kubernetes.aio gives connections, TLS and credentials; its generated models are left out, since the operator's objects
are its own and decoding a pod into 200 fields is most of a LIST's time. Resources are named by their plural; only those
that the operator's role knows are here.

Reads are fresh: a GET or LIST without a resourceVersion is answered with the state of the quorum. Writes pass a token
bucket, leases excepted, since a leader that has to queue for its renewal is none for long.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject, RESTResponse

from rung import __version__
from rung.kube.access import CONNECT_SECONDS, Access
from rung.kube.bucket import TokenBucket
from rung.kube.errors import ClusterUnavailable, Gone, KubeError, TooManyRequests, Unauthorized, error_of

Document = dict[str, Any]
Documents = list[Document]
OnRequest = Callable[[str, str, str], None]
"""Told of each request: verb, resource, HTTP code (or the word "none" if there was no answer)."""

PAGE = 500  # client-go's default
WRITE_RATE = 50.0  # per second: about what a control plane on two cores sustains
BURST_SECONDS = 2.0  # writes that may be sent at once, in seconds of the rate: a study's whole first batch

JSON = "application/json, */*"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
"""What a writer has sent need not come back, and a trigger is a name: most of a pod, and of the time to read it, is the
rest. What has no metadata (the list of kinds) comes as it is.
"""
LENIENT = {"fieldValidation": "Ignore"}
"""The operator's own documents are checked where they are made; Jobs by a strict dry run when a study is accepted."""

_PREFIX = {
    "studies": "/apis/rung.dev/v1alpha1",
    "trials": "/apis/rung.dev/v1alpha1",
    "jobs": "/apis/batch/v1",
    "pods": "/api/v1",
    "events": "/api/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}
_VERB = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_UNTHROTTLED = frozenset({"leases"})
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
"""warn-code, agent, quoted text: RFC 7234, section 5.5, as the API server uses it."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds until an answer must be there, whole."""

    request: float = 10.0  # an API server that needs longer for one object is overloaded: better to ask again later
    list: float = 30.0  # half of the server's own limit of 60 s; a page of 500 trials is about 2 MB
    log: float = 15.0  # passes through the kubelet, which may be busy


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response."""

    document: Document
    warnings: tuple[str, ...] = ()


def write_bucket(rate: float = WRITE_RATE) -> TokenBucket:
    """The usual limit on writes."""
    return TokenBucket(rate, max(1, round(rate * BURST_SECONDS)))


class Kube:
    """The API server, for one identity. An asynchronous context manager.

    Every method raises a KubeError subclass (see `rung.kube.errors`), and nothing else of the network.
    """

    def __init__(
        self,
        access: Access,
        *,
        bucket: TokenBucket | None = None,
        deadlines: Deadlines | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        self.access = access
        self._bucket = write_bucket() if bucket is None else bucket
        self._deadlines = Deadlines() if deadlines is None else deadlines
        self._on_request: OnRequest = on_request or _ignore
        self._rest = RESTClientObject(access.configuration)
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        await self._rest.close()

    async def get(self, resource: str, namespace: str, name: str) -> Document:
        """One object, as it is now."""
        return (await self._send("GET", resource, namespace, name)).document

    async def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = PAGE,
    ) -> Documents:
        """All objects that match, in one namespace or (None) in all. Read page by page at one resourceVersion.

        A list that outlives the server's memory of that version (410) is read again in one piece.
        """
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        items: Documents = []
        token: str | None = None
        while True:
            query = {**selectors, "limit": str(limit), "continue": token}
            try:
                answer = await self._send(
                    "GET", resource, namespace, query=query, seconds=self._deadlines.list, verb="list"
                )
            except Gone:
                if token is None:
                    raise
                answer = await self._send(
                    "GET", resource, namespace, query=selectors, seconds=self._deadlines.list, verb="list"
                )
                items.clear()
            items.extend(answer.document.get("items") or ())
            token = (answer.document.get("metadata") or {}).get("continue")
            if not token:
                return items

    async def create(self, resource: str, namespace: str, document: Mapping[str, Any]) -> Document:
        """The object's kind and metadata, as made. Raises AlreadyExists if the name is taken."""
        return (await self._send("POST", resource, namespace, body=document, query=LENIENT, accept=METADATA)).document

    async def dry_run_job(self, namespace: str, document: Mapping[str, Any]) -> tuple[str, ...]:
        """What the server would say of the Job: its warnings. Raises Invalid for unknown fields too."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        return (await self._send("POST", "jobs", namespace, body=document, query=query)).warnings

    async def replace(self, resource: str, namespace: str, name: str, document: Mapping[str, Any]) -> Document:
        """PUT. Raises Conflict if the document's resourceVersion is not the newest."""
        return (await self._send("PUT", resource, namespace, name, body=document)).document

    async def replace_status(self, resource: str, namespace: str, name: str, document: Mapping[str, Any]) -> Document:
        """PUT of the status; answers kind and metadata. Never without a resourceVersion: the server refuses that, and
        so a namesake is safe.
        """
        answer = await self._send(
            "PUT", resource, namespace, name, "status", body=document, query=LENIENT, accept=METADATA
        )
        return answer.document

    async def patch(self, resource: str, namespace: str, name: str, change: Mapping[str, Any]) -> Document:
        """A JSON merge patch. With `metadata.uid` in it a namesake is a Conflict."""
        return (await self._send("PATCH", resource, namespace, name, body=change)).document

    async def delete(
        self, resource: str, namespace: str, name: str, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """Delete in the background: what it owns is ended at once. Raises Conflict if the object of that name has
        another UID.
        """
        options: Document = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._send("DELETE", resource, namespace, name, body=options)

    async def pod_log(
        self,
        namespace: str,
        name: str,
        *,
        container: str | None = None,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since_time: str | None = None,
        timestamps: bool = False,
    ) -> bytes:
        """A pod's log, or a part of it."""
        query = {
            "container": container,
            "tailLines": None if tail_lines is None else str(tail_lines),
            "limitBytes": None if limit_bytes is None else str(limit_bytes),
            "sinceTime": since_time,
            "timestamps": "true" if timestamps else None,
        }
        _, content = await self._exchange(
            "GET", "pods", namespace, name, "log", query=query, seconds=self._deadlines.log, verb="get"
        )
        return content

    async def create_event(self, namespace: str, document: Mapping[str, Any]) -> Document:
        """A core/v1 Event."""
        return await self.create("events", namespace, document)

    async def list_events(self, namespace: str, *, uid: str, reason: str | None = None) -> Documents:
        """The Events about the object with that UID."""
        about = f"involvedObject.uid={uid}"
        return await self.list(
            "events", namespace, field_selector=about if reason is None else f"{about},reason={reason}"
        )

    async def served(self, group_version: str) -> frozenset[str]:
        """The resources that a group and version serve, "rung.dev/v1alpha1" say; none if there is no such group."""
        try:
            _, content = await self._exchange(
                "GET", group_version, None, verb="discover", path=f"/apis/{group_version}"
            )
        except KubeError as error:
            if error.code == 404:
                return frozenset()
            raise
        return frozenset(found["name"] for found in json.loads(content).get("resources") or ())

    async def _send(
        self,
        method: str,
        resource: str,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | None] | None = None,
        seconds: float | None = None,
        verb: str | None = None,
        accept: str = JSON,
    ) -> Answer:
        if method != "GET" and resource not in _UNTHROTTLED:
            await self._bucket.take()
        response, content = await self._exchange(
            method,
            resource,
            namespace,
            name,
            subresource,
            body=body,
            query=query,
            seconds=seconds,
            verb=verb or _VERB[method],
            accept=accept,
        )
        try:
            document: Document = json.loads(content)
        except ValueError as error:
            raise ClusterUnavailable(
                f"the answer is no JSON ({response.headers.get('Content-Type')})",
                verb=verb or _VERB[method],
                resource=resource,
                namespace=namespace,
                name=name,
            ) from error
        warnings = tuple(
            re.sub(r"\\(.)", r"\1", text)
            for header in response.headers.getall("Warning", ())
            for text in _WARNING.findall(header)
        )
        return Answer(document, warnings)

    async def _exchange(
        self,
        method: str,
        resource: str,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | None] | None = None,
        seconds: float | None = None,
        verb: str,
        path: str | None = None,
        accept: str = JSON,
    ) -> tuple[RESTResponse, bytes]:
        """One request and its answer, tried once more with fresh credentials after a 401. Raises the error of any other
        status.
        """
        url = self.access.server + (path or _path(resource, namespace, name, subresource)) + _query(query)
        whole = f"{resource}/{subresource}" if subresource else resource
        place = (verb, whole, namespace, name)
        for last in (False, True):
            response, content = await self._once(method, url, body, accept, seconds or self._deadlines.request, place)
            if response.status < 300:
                return response, content
            error = error_of(
                response.status,
                _status(content),
                verb=verb,
                resource=whole,
                namespace=namespace,
                name=name,
                retry_after=response.headers.get("Retry-After"),
            )
            if isinstance(error, Unauthorized) and not last:
                await self._renew()
                continue
            if isinstance(error, TooManyRequests):
                self._bucket.close_for(error.retry_after)
            raise error
        raise AssertionError("the second try either returns or raises")

    async def _once(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None,
        accept: str,
        seconds: float,
        place: tuple[str, str, str | None, str | None],
    ) -> tuple[RESTResponse, bytes]:
        """One request. Raises ClusterUnavailable where no whole answer comes within `seconds`."""
        verb, resource, namespace, name = place
        headers = {
            "Accept": accept,
            # As the control plane's own clients do: inside a cluster compressing costs more than it saves
            "Accept-Encoding": "identity",
            "User-Agent": f"rung/{__version__}",
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json",
        }
        token = await self.access.authorization()
        if token is not None:
            headers["Authorization"] = token
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        code = "none"
        try:
            async with asyncio.timeout(seconds):
                response = await self._rest.request(  # type: ignore[no-untyped-call]
                    method, url, headers=headers, body=None if body is None else dict(body), _request_timeout=timeout
                )
                content: bytes = await response.read()
            code = str(response.status)
        except TimeoutError as error:
            text = f"no answer within {seconds:g} s"
            raise ClusterUnavailable(text, verb=verb, resource=resource, namespace=namespace, name=name) from error
        except (aiohttp.ClientError, OSError) as error:
            text = f"{type(error).__name__}: {error}"
            raise ClusterUnavailable(text, verb=verb, resource=resource, namespace=namespace, name=name) from error
        finally:
            self._on_request(verb, resource, code)
        return response, content

    async def _renew(self) -> None:
        """Read the credentials again, once for all requests that were refused at the same time."""
        before = await self.access.authorization()
        async with self._renewing:
            if await self.access.authorization() == before:
                await self.access.renew()


def _path(resource: str, namespace: str | None, name: str | None, subresource: str | None) -> str:
    parts = [_PREFIX[resource]]
    if namespace is not None:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(resource)
    if name is not None:
        parts.append(quote(name, safe=""))
    if subresource is not None:
        parts.append(subresource)
    return "/".join(parts)


def _query(query: Mapping[str, str | None] | None) -> str:
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return "?" + urlencode(given) if given else ""


def _status(content: bytes) -> Mapping[str, Any] | str:
    """The metav1.Status of a failure; the plain text where something before the API server has answered."""
    text = content.decode(errors="replace")
    try:
        status = json.loads(text)
    except ValueError:
        return text
    return status if isinstance(status, dict) else text


def _ignore(verb: str, resource: str, code: str) -> None:
    """Nobody counts."""
