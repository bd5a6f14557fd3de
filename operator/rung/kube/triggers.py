"""kopf as the source of triggers: a change of a Study, Trial or Pod puts its study's key on the queue. Nothing else.

Jobs are listed but not watched: what becomes of an attempt its pod tells seconds before its Job does, and five changes
of each Job were a third of all events. A Job without a pod is looked at again after a while (see obstacles.py).

kopf gets what it needs and no more: `on.event` handlers (no finalizers, no annotations, no patches), no peering, no
events of its own, no watching of CRDs or namespaces, so no right beyond get, list and watch. Trials and Pods are
selected by the server, by label.

It runs in a thread with an event loop of its own, because `kopf.operator` takes over the loop it runs in: it installs
signal handlers, and when it ends it cancels every task that was started after it, which would be the operator's. What
it says goes to the operator's loop by `call_soon_threadsafe`.

A watch error other than 410 ends kopf, and so does a right that is missing: it is started again after a back-off. It
lists everything when it starts, so nothing is missed. Until the CRDs are there it is not started at all, since it looks
for them once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import kopf

from rung.api.names import API_VERSION, GROUP, STUDY_LABEL, VERSION
from rung.api.study import StudyKey
from rung.kube.access import Access
from rung.kube.client import METADATA, Kube
from rung.kube.errors import KubeError

log = logging.getLogger("rung.triggers")

OnChange = Callable[[StudyKey], None]

FIRST_DELAY = 1.0
LAST_DELAY = 30.0  # after an outage of the API server the operator is back within half a minute
SETTLED_SECONDS = 60.0  # a watch that lasted so long was no failure of the start
CRD_SECONDS = 1.0  # between two looks for CRDs that are not there: one cheap request
STOP_SECONDS = 3.0  # for kopf to end: the whole process has 5 s
SERVER_SECONDS = 300  # a watch is renewed after so long; whole, since the API server reads no fractions
REQUEST_SECONDS = 30.0  # as long as a list may take
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0  # between two tries to list while nobody answers; a watch that was closed goes on at once
LINE_LENGTH = 500
NEEDED = frozenset({"studies", "trials"})


class Triggers:
    """Watches until cancelled. `on_change` is called in the loop that runs `run`."""

    def __init__(
        self,
        access: Access,
        kube: Kube,
        on_change: OnChange,
        *,
        namespaces: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._access = access
        self._kube = kube
        self._on_change = on_change
        self._namespaces = tuple(namespaces)
        self._clock = clock
        self._sleep = sleep
        self.starts = 0

    async def run(self) -> None:
        """For ever; the owner cancels this, and kopf has ended when it returns."""
        _quieten()
        delay = FIRST_DELAY
        while True:
            await self._wait_for_crds()
            started = self._clock()
            self.starts += 1
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - whatever ends kopf, the answer is to start it again
                log.warning("watching has ended, and is started again", extra={"error": _why(error), "delay": delay})
            else:
                log.warning("watching has ended without an error, and is started again", extra={"delay": delay})
            if self._clock() - started > SETTLED_SECONDS:
                delay = FIRST_DELAY
            await self._sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    async def _wait_for_crds(self) -> None:
        told = False
        while True:
            try:
                missing = NEEDED - await self._kube.served(API_VERSION)
            except KubeError as error:
                log.warning("the API server does not say what it serves", extra={"error": str(error)})
            else:
                if not missing:
                    return
                if not told:
                    log.warning("CRDs are not installed yet", extra={"missing": sorted(missing), "group": GROUP})
                    told = True
            await self._sleep(CRD_SECONDS)

    async def _watch(self) -> None:
        """One life of kopf: raises what ended it."""
        here = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = here.create_future()
        thread = _KopfThread(self._access, self._namespaces, _Handover(here, self._on_change), self._end(here, ended))
        thread.start()
        try:
            error = await asyncio.shield(ended)
        finally:
            thread.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.shield(ended)
        if error is not None:
            raise error

    @staticmethod
    def _end(
        here: asyncio.AbstractEventLoop, ended: asyncio.Future[BaseException | None]
    ) -> Callable[[BaseException | None], None]:
        def settle(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        def end(error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):
                here.call_soon_threadsafe(settle, error)

        return end


class _Handover:
    """Carries keys from kopf's thread to the operator's loop, which is woken once for all that have come meanwhile: a
    wake-up for each event would cost more than the event.
    """

    def __init__(self, here: asyncio.AbstractEventLoop, on_change: OnChange) -> None:
        self._here = here
        self._on_change = on_change
        self._lock = threading.Lock()
        self._keys: set[StudyKey] = set()

    def __call__(self, key: StudyKey) -> None:
        with self._lock:
            wake = not self._keys
            self._keys.add(key)
        if wake:
            with contextlib.suppress(RuntimeError):  # the operator's loop has closed: nobody is left to be told
                self._here.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            keys, self._keys = self._keys, set()
        for key in keys:
            self._on_change(key)


class _KopfThread(threading.Thread):
    """kopf.operator in a loop of its own."""

    def __init__(
        self,
        access: Access,
        namespaces: Sequence[str],
        tell: OnChange,
        end: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(name="kopf", daemon=True)  # a watch that does not end must not keep the process
        self._access = access
        self._namespaces = namespaces
        self._tell = tell
        self._end = end
        self._lock = threading.Lock()
        self._stopped = False
        self._inside: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except BaseException as raised:  # noqa: BLE001 - handed to the loop that waits for it
            error = raised
        self._end(error)

    def stop(self) -> None:
        """Ask kopf to end. From any thread, any number of times."""
        with self._lock:
            self._stopped = True
            if self._inside is not None:
                loop, flag = self._inside
                with contextlib.suppress(RuntimeError):  # it has ended already
                    loop.call_soon_threadsafe(flag.set)

    async def _operate(self) -> None:
        flag = asyncio.Event()
        with self._lock:
            if self._stopped:
                return
            self._inside = (asyncio.get_running_loop(), flag)
        # One watch's failure ends all; asyncio would print the same for each of the others
        asyncio.get_running_loop().set_exception_handler(_leave_it)
        tasks = await kopf.spawn_tasks(
            registry=_registry(self._access, self._tell),
            settings=_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=flag,
        )
        ended: list[asyncio.Future[Any]] = []

        def note(task: asyncio.Future[Any]) -> None:
            ended.append(task)
            flag.set()  # kopf's own waiter for it outlives a failure of the others, and kopf would wait 5 s for it

        for task in tasks:
            task.add_done_callback(note)
        try:
            await kopf.run_tasks(tasks)
        finally:
            # kopf raises any one of the errors, also one that only followed from its closing down
            first = ended[0] if ended else None
            if first is not None and not first.cancelled() and (error := first.exception()) is not None:
                raise error


def _registry(access: Access, tell: OnChange) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    logins = 0

    async def login(**_: Any) -> kopf.AiohttpSession:
        nonlocal logins
        if logins:  # the server refused what we had
            await access.renew()
        logins += 1
        return kopf.AiohttpSession(server=access.server, aiohttp_session=access.new_session(METADATA))

    async def study_changed(namespace: str | None, name: str | None, **_: Any) -> None:
        tell(StudyKey(namespace or "default", name or ""))

    async def child_changed(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        tell(StudyKey(namespace or "default", labels[STUDY_LABEL]))

    kopf.on.login(registry=registry, retries=3)(login)
    kopf.on.event(GROUP, VERSION, "studies", registry=registry)(study_changed)
    ours = {STUDY_LABEL: kopf.PRESENT}
    kopf.on.event(GROUP, VERSION, "trials", registry=registry, labels=ours)(child_changed)
    kopf.on.event("", "v1", "pods", registry=registry, labels=ours)(child_changed)
    return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None  # the process is not kopf's to kill
    settings.persistence.diffbase_storage = _NoDiff()
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = ()  # it ends, and is started again with our own back-off and one line in the log
    settings.watching.reconnect_backoff = RECONNECT_SECONDS
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = SERVER_SECONDS + REQUEST_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    for resource in ((GROUP, VERSION, "trials"), ("", "v1", "pods")):
        settings.watching.label_selectors[resource] = STUDY_LABEL
    return settings


class _NoDiff(kopf.DiffBaseStorage):
    """kopf computes what has changed in each object at each event, by deep copies. Nobody asks here."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


def _quieten() -> None:
    """Kopf prints each failure five times, with the server's whole answer. What ends it is told once, by us."""
    chatty = log.isEnabledFor(logging.DEBUG)
    logging.getLogger("kopf").setLevel(logging.INFO if chatty else logging.CRITICAL)


def _leave_it(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.debug("inside kopf", extra={"said": str(context.get("message")), "error": str(context.get("exception"))})


def _why(error: BaseException) -> str:
    """In one line. Errors of kopf's client carry the server's message first, and then its whole answer."""
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return f"{type(error).__name__}: {said}".split("\n")[0][:LINE_LENGTH]
