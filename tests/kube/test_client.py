"""The client where the API server misbehaves: each failure becomes the error that says how to react, within its deadline.

What a healthy API server answers is tested on one, in test_client_on_cluster.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from rung.api import errors as api_errors
from rung.kube import errors
from rung.kube.access import Access, NoAccess
from rung.kube.bucket import TokenBucket
from rung.kube.client import Deadlines, Kube
from tests.kube.server import Reply, Request, Server, access_to, write_kubeconfig


@asynccontextmanager
async def served(
    answer: Callable[[Request], Reply], folder: Path, **options: Any
) -> AsyncIterator[tuple[Kube, Server]]:
    """A client, and the server that it talks to."""
    async with Server(answer) as server, Kube(await access_to(server.url, folder), **options) as kube:
        yield kube, server


def failure(code: int, reason: str = "", message: str = "no", **details: Any) -> Reply:
    return Reply(code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details})


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        pytest.param(failure(404, "NotFound"), errors.NotFound, "create jobs/ml: no", id="404"),
        pytest.param(failure(409, "AlreadyExists"), errors.AlreadyExists, "no", id="409 of a create"),
        pytest.param(failure(409, "Conflict"), errors.Conflict, "no", id="409 of a stale write"),
        pytest.param(failure(410, "Expired"), errors.Gone, "no", id="410"),
        pytest.param(
            failure(403, "Forbidden", 'cannot create resource "jobs"'), errors.Forbidden, "create jobs/ml", id="403"
        ),
        pytest.param(failure(422, "Invalid"), errors.Invalid, "no", id="422"),
        pytest.param(failure(400, "BadRequest"), errors.Invalid, "no", id="400"),
        pytest.param(failure(413, "RequestEntityTooLarge"), errors.Invalid, "no", id="413"),
        pytest.param(failure(401, "Unauthorized"), errors.Unauthorized, "no", id="401, twice"),
        pytest.param(failure(500, "InternalError"), errors.ClusterUnavailable, "no", id="500"),
        pytest.param(failure(504, "Timeout"), errors.ClusterUnavailable, "no", id="504"),
        pytest.param(Reply(503, "<html>upstream</html>"), errors.ClusterUnavailable, "upstream", id="a proxy's page"),
        pytest.param(Reply(200, "<html>welcome</html>"), errors.ClusterUnavailable, "no JSON", id="no JSON"),
        pytest.param(Reply(reset=True), errors.ClusterUnavailable, "create jobs/ml", id="a reset"),
        pytest.param(Reply(hang=True), errors.ClusterUnavailable, "no answer within 0.2 s", id="a hang"),
        pytest.param(failure(405, "MethodNotAllowed"), errors.KubeError, "no", id="anything else"),
    ],
)
async def test_each_failure_is_the_error_to_react_to(
    reply: Reply, kind: type[errors.KubeError], words: str, tmp_path: Path
) -> None:
    async with served(lambda _: reply, tmp_path, deadlines=Deadlines(request=0.2)) as (kube, _):
        with pytest.raises(errors.KubeError) as caught:
            await kube.create("jobs", "ml", {"metadata": {"name": "a"}})
    assert type(caught.value) is kind
    assert words in str(caught.value)


def test_a_caller_that_knows_no_cluster_can_react() -> None:
    assert issubclass(errors.Conflict, api_errors.Conflict)
    assert issubclass(errors.TooManyRequests, api_errors.ClusterUnavailable)
    assert not issubclass(errors.Invalid, api_errors.Conflict | api_errors.ClusterUnavailable)


async def test_nobody_listens(tmp_path: Path) -> None:
    async with Server(lambda _: Reply()) as server:
        url = server.url
    async with Kube(await access_to(url, tmp_path)) as kube:
        with pytest.raises(errors.ClusterUnavailable, match="get jobs/ml/a"):
            await kube.get("jobs", "ml", "a")


async def test_invalid_names_the_fields(tmp_path: Path) -> None:
    reply = failure(422, "Invalid", causes=[{"field": "spec.x", "message": "must be 1"}])
    async with served(lambda _: reply, tmp_path) as (kube, _):
        with pytest.raises(errors.Invalid) as caught:
            await kube.create("jobs", "ml", {})
    assert caught.value.causes == (errors.Cause("spec.x", "must be 1"),)


@pytest.mark.parametrize(
    ("reply", "want"),
    [
        pytest.param(Reply(429, "slow down", {"Retry-After": "7"}), 7.0, id="a header"),
        pytest.param(failure(429, "TooManyRequests", retryAfterSeconds=3), 3.0, id="a detail"),
        pytest.param(Reply(429, "slow down"), 1.0, id="neither"),
    ],
)
async def test_too_many_requests_says_when_and_holds_back_the_writes(reply: Reply, want: float, tmp_path: Path) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    bucket = TokenBucket(50, 100, clock=lambda: 0.0, sleep=sleep)
    replies = iter([reply, Reply(201)])
    async with (
        Server(lambda _: next(replies)) as server,
        Kube(await access_to(server.url, tmp_path), bucket=bucket) as kube,
    ):
        with pytest.raises(errors.TooManyRequests) as caught:
            await kube.list("jobs", "ml")
        await kube.create("jobs", "ml", {})
    assert caught.value.retry_after == want
    assert waited == [want]


async def test_a_lease_does_not_queue_behind_other_writes(tmp_path: Path) -> None:
    async def sleep(seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s")

    bucket = TokenBucket(1, 1, clock=lambda: 0.0, sleep=sleep)
    async with served(lambda _: Reply(), tmp_path, bucket=bucket) as (kube, _):
        await kube.create("jobs", "ml", {})
        for _ in range(3):
            await kube.replace("leases", "ml", "a", {})


async def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    pages = {
        "": {"items": [{"n": 1}, {"n": 2}], "metadata": {"continue": "t1"}},
        "t1": {"items": [{"n": 3}], "metadata": {}},
    }

    def answer(request: Request) -> Reply:
        _, _, token = request.target.partition("continue=")
        return Reply(200, pages[token.split("&")[0]])

    async with served(answer, tmp_path) as (kube, server):
        found = await kube.list(
            "trials", "ml", label_selector="rung.dev/study=a", field_selector="status.finished!=true"
        )
    assert found == [{"n": 1}, {"n": 2}, {"n": 3}]
    asked = urlsplit(server.requests[0].target)
    assert asked.path == "/apis/rung.dev/v1alpha1/namespaces/ml/trials"
    assert parse_qs(asked.query) == {
        "labelSelector": ["rung.dev/study=a"],
        "fieldSelector": ["status.finished!=true"],
        "limit": ["500"],
    }


async def test_a_list_whose_pages_went_stale_is_read_again_in_one_piece(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if "continue=" in request.target:
            return failure(410, "Expired")
        if "limit=" in request.target:
            return Reply(200, {"items": [{"n": 1}], "metadata": {"continue": "t1"}})
        return Reply(200, {"items": [{"n": 1}, {"n": 2}], "metadata": {}})

    async with served(answer, tmp_path) as (kube, _):
        assert await kube.list("trials") == [{"n": 1}, {"n": 2}]


async def test_a_token_that_was_replaced_is_read_again_once_for_all_that_were_refused(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        return Reply() if request.headers["authorization"] == "Bearer second" else failure(401, "Unauthorized")

    async with Server(answer) as server:
        access = await access_to(server.url, tmp_path)
        async with Kube(access) as kube:
            write_kubeconfig(tmp_path, server.url, token="second")
            await asyncio.gather(*(kube.get("jobs", "ml", f"j{n}") for n in range(5)))
            await kube.get("jobs", "ml", "after")
    refused = [r for r in server.requests if r.headers["authorization"] == "Bearer first"]
    assert 1 <= len(refused) <= 5
    assert server.requests[-1].headers["authorization"] == "Bearer second"


async def test_every_request_is_counted_by_verb_resource_and_code(tmp_path: Path) -> None:
    counted: Counter[tuple[str, str, str]] = Counter()
    replies = iter([Reply(201), failure(409, "Conflict"), Reply(reset=True)])

    def on_request(verb: str, resource: str, code: str) -> None:
        counted[verb, resource, code] += 1

    async with served(lambda _: next(replies), tmp_path, on_request=on_request) as (kube, _):
        await kube.create("trials", "ml", {})
        with pytest.raises(errors.Conflict):
            await kube.replace_status("trials", "ml", "a", {})
        with pytest.raises(errors.ClusterUnavailable):
            await kube.create("jobs", "ml", {})
    assert counted == {
        ("create", "trials", "201"): 1,
        ("update", "trials/status", "409"): 1,
        ("create", "jobs", "none"): 1,
    }


async def test_a_cancelled_request_leaves_the_client_usable(tmp_path: Path) -> None:
    hang = True
    async with served(lambda _: Reply(hang=hang), tmp_path) as (kube, server):
        request = asyncio.create_task(kube.get("jobs", "ml", "a"))
        await server.asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        hang = False
        assert await kube.get("jobs", "ml", "a") == {}


async def test_no_error_text_holds_the_token(tmp_path: Path) -> None:
    async with Server(lambda _: Reply(500, "x")) as server:
        access = await Access.find(str(write_kubeconfig(tmp_path, server.url, token="very-secret")))
        async with Kube(access) as kube:
            with pytest.raises(errors.ClusterUnavailable) as caught:
                await kube.get("jobs", "ml", "a")
    assert "very-secret" not in repr(caught.value)
    assert "very-secret" not in repr(access)


async def test_warnings_of_a_dry_run_are_given_back(tmp_path: Path) -> None:
    text = r"would violate PodSecurity \"restricted:latest\": runAsNonRoot"
    async with served(lambda _: Reply(201, {}, {"Warning": f'299 - "{text}"'}), tmp_path) as (kube, server):
        warnings = await kube.dry_run_job("ml", {})
    assert warnings == ('would violate PodSecurity "restricted:latest": runAsNonRoot',)
    assert server.requests[0].target.endswith("/jobs?dryRun=All&fieldValidation=Strict")


async def test_in_a_pod_the_service_account_is_used_from_its_folder(tmp_path: Path) -> None:
    for name, text in (("token", "pods-own"), ("namespace", "rung-system\n"), ("ca.crt", "certificate")):
        (tmp_path / name).write_text(text)
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "RUNG_SERVICEACCOUNT_DIR": str(tmp_path),
    }
    access = await Access.find(environ=environ)
    assert (access.server, access.namespace) == ("https://10.0.0.1:443", "rung-system")
    assert await access.authorization() == "bearer pods-own"
    (tmp_path / "token").write_text("rotated")
    await access.renew()
    assert await access.authorization() == "bearer rotated"


async def test_an_explicit_kubeconfig_wins_over_the_pod(tmp_path: Path) -> None:
    (tmp_path / "sa").mkdir()
    (tmp_path / "sa" / "token").write_text("t")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "RUNG_SERVICEACCOUNT_DIR": str(tmp_path / "sa")}
    access = await Access.find(str(write_kubeconfig(tmp_path, "http://127.0.0.1:1")), environ=environ)
    assert (access.server, access.namespace) == ("http://127.0.0.1:1", "ml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "there is no kubeconfig at", id="no file"),
        pytest.param("{}", "cannot be used", id="an empty file"),
        pytest.param(
            json.dumps({"current-context": "nope", "contexts": [], "clusters": []}), "nope", id="no such context"
        ),
    ],
)
async def test_without_a_way_to_a_cluster_it_says_what_it_looked_for(
    content: str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NoAccess, match=words):
        await Access.find(environ={"KUBECONFIG": str(path), "RUNG_SERVICEACCOUNT_DIR": str(tmp_path)})


async def test_what_a_group_serves(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if request.target == "/apis/rung.dev/v1alpha1":
            return Reply(200, {"resources": [{"name": "studies"}, {"name": "trials"}]})
        return failure(404, "NotFound")

    async with served(answer, tmp_path) as (kube, _):
        assert await kube.served("rung.dev/v1alpha1") == {"studies", "trials"}
        assert await kube.served("other.dev/v1") == frozenset()


async def test_a_slow_body_counts_against_the_deadline(tmp_path: Path) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
        await asyncio.Event().wait()

    listener = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = "http://127.0.0.1:{1}".format(*listener.sockets[0].getsockname())
    started = time.monotonic()
    async with Kube(await access_to(url, tmp_path), deadlines=Deadlines(request=0.2)) as kube:
        with pytest.raises(errors.ClusterUnavailable, match="no answer within"):
            await kube.get("jobs", "ml", "a")
    assert time.monotonic() - started < 5
    listener.close()
