"""`rung operator`: one process, one event loop. Probes first, then the lease, then triggers, scraper and workers.

Every task has an owner that awaits it; SIGTERM cancels them all and releases the lease. Losing the lease ends the process: another
one leads by then, and two must never write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from rung.api.errors import ClusterUnavailable, Conflict
from rung.api.facts import TrialState
from rung.api.study import StudyKey
from rung.controller.announce import Announcer
from rung.controller.health import HealthServer, Vitals
from rung.controller.observing import Observing, pod_log_reader
from rung.controller.study import StudyController
from rung.controller.telemetry import StudyFigures, Telemetry
from rung.kube.access import Access
from rung.kube.client import Kube, write_bucket
from rung.kube.errors import Forbidden
from rung.kube.events import EventRecorder
from rung.kube.lease import Elector, LeaseLost
from rung.kube.queue import WorkQueue, work
from rung.kube.triggers import Triggers
from rung.observe.http import open_session
from rung.observe.scraper import Scraper
from rung.observe.target import Seen, TargetKey

log = logging.getLogger("rung.operator")

LEASE_NAME = "rung-operator"
LEASE_LOST_EXIT = 2
RESYNC_SECONDS = 300.0  # a lost watch event costs at most this; everything else wakes the study at once


@dataclass(frozen=True, slots=True)
class Options:
    """The operator's command line."""

    namespaces: tuple[str, ...] = ()  # none: the whole cluster
    kubeconfig: str | None = None  # none: in the cluster, or the default file
    health_host: str = ""  # all addresses: probes come from the node
    health_port: int = 8080
    workers: int = 16  # studies reconciled side by side; one reconcile waits for the network most of the time
    write_rate: float = 200.0  # writes per second; a trial costs about eight, and a small control plane takes some 500
    leader_election: bool = True
    lease_namespace: str | None = None
    study_metrics: bool = False
    log_format: str = "json"
    log_level: str = "INFO"


def run(options: Options) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code."""

    async def main() -> int:
        return await Operator(options).run()

    configure_logging(options.log_format, options.log_level)
    return asyncio.run(main())


class Operator:
    """Owns every task of the process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stopping = asyncio.Event()
        self.vitals = Vitals(time.monotonic)
        self.queue: WorkQueue[StudyKey] = WorkQueue()
        self.telemetry = Telemetry(self._figures, per_study=options.study_metrics)
        self.observing = Observing(time.time, time.monotonic, self.queue.add)
        self.controller: StudyController | None = None

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, or until the lease is lost."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        options = self.options
        access = await Access.find(options.kubeconfig)
        async with (
            Kube(access, bucket=write_bucket(options.write_rate), on_request=self._requested) as kube,
            HealthServer(self.vitals, self.telemetry.registry, options.health_host, options.health_port) as health,
        ):
            self.vitals.ready = True
            where = list(options.namespaces) or "all"
            log.info(
                "operator started", extra={"namespaces": where, "health_port": health.port, "server": access.source}
            )
            serving = asyncio.create_task(self._serve(kube, access), name="operator")
            stopped = asyncio.create_task(self.stopping.wait(), name="signals")
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            stopped.cancel()
            [outcome] = await asyncio.gather(serving, return_exceptions=True)
        if isinstance(outcome, BaseExceptionGroup) and outcome.subgroup(LeaseLost) is not None:
            log.error("lease lost: another operator leads, this one ends")
            return LEASE_LOST_EXIT
        if isinstance(outcome, Exception):
            raise outcome
        log.info("operator stopped")
        return 0

    async def _serve(self, kube: Kube, access: Access) -> None:
        """Lead, now or when the lease is won, with a heartbeat beside it. Runs for ever; a failure of either ends both."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.vitals.beat(), name="heartbeat")
            if not self.options.leader_election:
                group.create_task(self._lead(kube, access), name="leader")
                return
            namespace = self.options.lease_namespace or access.namespace
            identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
            elector = Elector(kube, namespace, LEASE_NAME, identity)
            group.create_task(elector.run(lambda: self._lead(kube, access)), name="elector")

    async def _lead(self, kube: Kube, access: Access) -> None:
        """Everything that only the leader does. Runs for ever."""
        self.vitals.lead()
        try:
            async with open_session() as session, EventRecorder(kube) as recorder, asyncio.TaskGroup() as group:
                self.controller = StudyController(
                    kube=kube,
                    observing=self.observing,
                    announcer=Announcer(recorder),
                    telemetry=self.telemetry,
                    clock=time.time,
                    on_list=self.vitals.listed,
                    wake=self.queue.add,
                )
                read_log = pod_log_reader(kube, self.observing.pod_of)
                scraper = Scraper(session=session, read_log=read_log, on_news=self._on_news, stamped_logs=True)
                self.observing.start(scraper, group)
                triggers = Triggers(access, kube, self.queue.add, namespaces=self.options.namespaces)
                workers = work(self.queue, self._reconcile, workers=self.options.workers, on_error=self._failed)
                group.create_task(scraper.run(), name="scraper")
                group.create_task(triggers.run(), name="triggers")
                group.create_task(self._resync(kube), name="resync")
                group.create_task(workers, name="workers")
        finally:
            self.vitals.leading = False

    async def _reconcile(self, key: StudyKey) -> float | None:
        """One study, timed and counted."""
        assert self.controller is not None  # noqa: S101 - set before any worker starts
        started = time.monotonic()
        result = "error"
        try:
            again = await self.controller.reconcile(key)
            result = "ok"
        except Conflict:
            result = "conflict"
            raise
        except ClusterUnavailable:
            result = "unavailable"
            raise
        finally:
            self.telemetry.reconciles.labels(result=result).inc()
            self.telemetry.reconcile_seconds.observe(time.monotonic() - started)
        return again

    def _failed(self, key: StudyKey, error: Exception, delay: float) -> None:
        """What goes wrong with one study is logged, backed off, and harms no other."""
        study = {"study": "/".join(key), "again_in_seconds": delay}
        match error:
            case Conflict():
                log.debug("conflict", extra={**study, "why": str(error)})
            case ClusterUnavailable() | Forbidden():
                log.warning("reconcile failed", extra={**study, "why": str(error)})
            case _:
                log.error("reconcile failed", extra=study, exc_info=error)

    async def _resync(self, kube: Kube) -> None:
        """Every study now and then, whatever the watches say."""
        while True:
            with contextlib.suppress(ClusterUnavailable):
                for namespace in self.options.namespaces or (None,):
                    for study in await kube.list("studies", namespace):
                        metadata = study["metadata"]
                        self.queue.add(StudyKey(metadata["namespace"], metadata["name"]))
                self.vitals.listed()
            await asyncio.sleep(RESYNC_SECONDS)

    def _on_news(self, key: TargetKey, seen: Seen) -> None:
        """New observations wake the study only where a decision may hang on them."""
        study = StudyKey(key.namespace, key.study)
        memory = self.controller.memories.get(study) if self.controller is not None else None
        if memory is None or memory.plan is None or memory.trials is None or key.trial not in memory.trials:
            return
        facts = memory.trials[key.trial]
        if facts.finished:
            return
        plan = memory.plan
        pending = None if plan.rung_by_rung else plan.next_rung(facts)
        reached = pending is not None and seen.step is not None and seen.step >= pending
        has_goal = any(goal.goal is not None for goal in plan.measure.goals)
        if reached or has_goal or plan.spec.trial.silence_seconds is not None or facts.step is None:
            self.queue.add(study)

    def _requested(self, verb: str, resource: str, code: str) -> None:
        self.telemetry.requests.labels(verb=verb, resource=resource, code=code).inc()

    def _figures(self) -> Iterator[StudyFigures]:
        """The snapshot behind the gauges."""
        if self.controller is None:
            return
        now = time.time()
        for key, memory in list(self.controller.memories.items()):
            if memory.trials is None or memory.plan is None:
                yield StudyFigures(key.namespace, key.name, memory.state or "Refused", {}, 0, {}, None)
                continue
            spent = memory.trials.ledger(now)
            best = memory.trials.incumbent
            yield StudyFigures(
                namespace=key.namespace,
                name=key.name,
                state=memory.state,
                trials={state.value: memory.trials.counts[state] for state in TrialState},
                active=len(memory.trials.live),
                gpu_seconds={"used": spent.used, "saved": spent.saved, "wasted": spent.wasted},
                best=None if best is None else memory.plan.measure.goals[0].rank(best.objectives[0]),
            )


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the caller added. Never a token: nothing logs headers."""

    STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": moment, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        line.update({k: v for k, v in record.__dict__.items() if k not in self.STANDARD and not k.startswith("_")})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """For people at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        extra = {k: v for k, v in record.__dict__.items() if k not in JsonFormatter.STANDARD and not k.startswith("_")}
        said = " ".join(f"{key}={value}" for key, value in extra.items())
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        text = f"{moment} {record.levelname:7} {record.getMessage()}  {said}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure_logging(style: str, level: str) -> None:
    """To stderr. Libraries are heard from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("rung").setLevel(level)
