"""How to reach the API server, and as whom. One `Access` serves the client and the triggers, so both are the same user.

Tried in this order: an explicit kubeconfig; the pod's ServiceAccount (its folder may be named by
RUNG_SERVICEACCOUNT_DIR); $KUBECONFIG or ~/.kube/config. Tokens are read again before they expire and after a 401; they
are never logged.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, load_kube_config

from rung.api.errors import RungError

SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
SERVICE_ACCOUNT_DIR_VARIABLE = "RUNG_SERVICEACCOUNT_DIR"
MAX_CONNECTIONS = 100  # the client's own default; a reconcile sends a few dozen requests side by side
CONNECT_SECONDS = 5.0  # a server that takes longer to accept a connection is not there


class NoAccess(RungError):  # noqa: N818 - named for what has happened, as in rung.api.errors
    """No way to the API server is configured."""


@dataclass(slots=True)
class Access:
    """Address and credentials of one API server."""

    configuration: Configuration
    namespace: str  # the ServiceAccount's or the context's
    source: str  # where it was found, for logs
    _load: Callable[[Configuration], Awaitable[None]]

    @staticmethod
    async def find(
        kubeconfig: str | None = None, *, context: str | None = None, environ: Mapping[str, str] = os.environ
    ) -> Access:
        """The first of the known ways that is there. Raises NoAccess, saying what was looked for."""
        folder = Path(environ.get(SERVICE_ACCOUNT_DIR_VARIABLE) or SERVICE_ACCOUNT_DIR)
        if kubeconfig is None and _in_pod(folder, environ):
            return await _opened(_in_cluster(folder, environ), _namespace_of(folder), f"ServiceAccount in {folder}")
        path = kubeconfig or environ.get("KUBECONFIG") or KUBE_CONFIG_DEFAULT_LOCATION
        if not _any_file(path):
            raise NoAccess(
                f"no cluster is configured: there is no kubeconfig at {path} and no ServiceAccount token in {folder}; "
                "give --kubeconfig or set KUBECONFIG"
            )
        found = _FromFile(path, context)
        access = await _opened(found.load, "default", f"kubeconfig {path}")
        access.namespace = found.namespace
        return access

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.configuration.host).rstrip("/")

    async def authorization(self) -> str | None:
        """The value of the Authorization header; the token is read again when it is about to expire."""
        return await self.configuration.get_api_key_with_prefix("BearerToken")

    async def renew(self) -> None:
        """Read the credentials again: the server does not accept those at hand."""
        await self._load(self.configuration)

    def ssl_context(self) -> ssl.SSLContext | None:
        """For a session of one's own; None for plain HTTP."""
        wanted = self.configuration
        if not self.server.startswith("https"):
            return None
        context = ssl.create_default_context(cafile=wanted.ssl_ca_cert, cadata=wanted.ca_cert_data)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if wanted.cert_file:
            context.load_cert_chain(wanted.cert_file, keyfile=wanted.key_file)
        if not wanted.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def new_session(self, watches_accept: str | None = None) -> aiohttp.ClientSession:
        """A session that authorises each request and checks the server's certificate by the name that the kubeconfig
        gives. `watches_accept` is the form in which it asks for the objects of a watch.
        """

        async def ours(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            token = await self.authorization()
            if token is not None:
                request.headers["Authorization"] = token
            if self.configuration.tls_server_name:
                request.server_hostname = self.configuration.tls_server_name
            if watches_accept is not None and request.url.query.get("watch") == "true":
                request.headers["Accept"] = watches_accept
            return await handler(request)

        context = self.ssl_context()
        connector = aiohttp.TCPConnector(limit=0, ssl=context) if context is not None else aiohttp.TCPConnector(limit=0)
        return aiohttp.ClientSession(
            connector=connector, middlewares=(ours,), trust_env=False, proxy=self.configuration.proxy
        )


async def _opened(load: Callable[[Configuration], Awaitable[None]], namespace: str, source: str) -> Access:
    configuration = Configuration()
    configuration.connection_pool_maxsize = MAX_CONNECTIONS
    # As kubectl does: many clusters' own authorities lack extensions that RFC 5280 asks for, and Python 3.13 checks
    configuration.disable_strict_ssl_verification = True
    try:
        await load(configuration)
    except (ConfigException, OSError, ValueError, KeyError) as error:
        raise NoAccess(f"{source} cannot be used: {error}") from error
    configuration.proxy = configuration.proxy or _proxy_from_environment(configuration.host)
    # The client would look for a proxy and for ~/.netrc in the environment at every request, each time in a thread
    configuration.client_session_kwargs = {"trust_env": False}
    return Access(configuration, namespace, source, load)


def _proxy_from_environment(server: str) -> str | None:
    """HTTPS_PROXY and NO_PROXY, as other clients honour them."""
    address = urlsplit(server)
    if not address.hostname or proxy_bypass(address.hostname):
        return None
    return getproxies().get(address.scheme)


def _in_pod(folder: Path, environ: Mapping[str, str]) -> bool:
    return (folder / "token").is_file() and bool(environ.get("KUBERNETES_SERVICE_HOST"))


def _any_file(paths: str) -> bool:
    """KUBECONFIG may name several files, of which some need not exist."""
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)


def _in_cluster(folder: Path, environ: Mapping[str, str]) -> Callable[[Configuration], Awaitable[None]]:
    async def load(configuration: Configuration) -> None:
        loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
            token_filename=str(folder / "token"), cert_filename=str(folder / "ca.crt"), environ=environ
        )
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]

    return load


def _namespace_of(folder: Path) -> str:
    try:
        return (folder / "namespace").read_text().strip() or "default"
    except OSError:
        return "default"


class _FromFile:
    """A kubeconfig, read again on each load: its token may come from a program."""

    def __init__(self, path: str, context: str | None) -> None:
        self._path = path
        self._context = context
        self.namespace = "default"

    async def load(self, configuration: Configuration) -> None:
        """Fill in what the file says now."""
        loader = await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=self._path, context=self._context, client_configuration=configuration, persist_config=False
        )
        self.namespace = loader.current_context["context"].get("namespace") or "default"
