"""One study on a cluster: list -> observe -> decide -> apply -> one status write.

Reads as the state machine that it is, and may be called at any time, any number of times. Trials that are unfinished, Jobs and
pods are listed fresh; only those whose owner is ours count, so a namesake's leftovers are nobody's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rung.api.errors import InvalidStudy
from rung.api.facts import TrialFacts, TrialState
from rung.api.names import STUDY_LABEL
from rung.api.study import Study, StudyKey, StudyStatus, parse_study
from rung.brain import Decisions, Plan, StudyRecord, Trials, decide
from rung.controller import obstacles
from rung.controller.acceptance import accept
from rung.controller.announce import Announcer
from rung.controller.body import KubeBody
from rung.controller.listing import Listed, get_or_none, known_trials, list_children
from rung.controller.memory import Memory, TrialObject
from rung.controller.observing import Observing
from rung.controller.obstacles import Obstacle
from rung.controller.sight import attempt_of
from rung.controller.sources import Sources, waiting_for
from rung.controller.telemetry import Telemetry
from rung.controller.writing import StatusWriter
from rung.executor.body import Sight, keeps_attempt
from rung.executor.reconcile import Outcome, changed, reconcile, side_by_side
from rung.executor.record import seconds_of
from rung.kube.client import Kube
from rung.kube.errors import Forbidden, NotFound

log = logging.getLogger("rung.controller")

PROGRESS_EVERY_SECONDS = 10.0  # a running trial's curve is written this often; its scrape has it earlier
RUNNING_AFTER_SECONDS = 1.5  # a trial that is over by then need never be called Running: one write less of five
STARTS_AT_ONCE = 32  # about a second of a small control plane: trials that end meanwhile do not wait for longer
RETRY_SECONDS = 1.0  # after an action that failed: most are races that the next list settles
THINK_APART_FROM = 2_000
"""Trials beyond which deciding leaves the event loop, so that no study's arithmetic delays another."""


@dataclass(slots=True)
class StudyController:
    """Reconciles any study of the cluster. Holds nothing that cannot be read again."""

    kube: Kube
    observing: Observing
    announcer: Announcer
    telemetry: Telemetry
    clock: Callable[[], float]  # seconds since the epoch
    on_list: Callable[[], None] = lambda: None
    wake: Callable[[StudyKey], None] = lambda key: None  # noqa: ARG005
    memories: dict[StudyKey, Memory] = field(default_factory=dict)
    statuses: StatusWriter = field(init=False)
    sources: Sources = field(init=False)

    def __post_init__(self) -> None:
        self.statuses = StatusWriter(self.kube, self.clock)
        self.sources = Sources(self.kube, self.statuses)

    async def reconcile(self, key: StudyKey) -> float | None:
        """Move one study one step towards its spec; returns the seconds until it wants to be seen again.

        Studies that wait for this one are woken where it stands differently now. Raises Conflict (list again, at once) and
        ClusterUnavailable (later).
        """
        before = self._state(key)
        try:
            return await self._reconcile(key)
        finally:
            if self._state(key) != before:
                for waiting in waiting_for(self.memories, key):
                    self.wake(waiting)

    def _state(self, key: StudyKey) -> str | None:
        memory = self.memories.get(key)
        return None if memory is None else memory.state

    async def _reconcile(self, key: StudyKey) -> float | None:
        document = await get_or_none(self.kube, "studies", key.namespace, key.name)
        if document is None or document["metadata"].get("deletionTimestamp"):
            await self._forget(key, gone=document is None)
            return None
        try:
            study = parse_study(document, strict=False)
        except InvalidStudy as error:
            await self.statuses.refuse(key, document, error)
            return None
        memory = self._memory(key, study)
        try:
            plan = await self._accepted(study, memory)
            if plan is not None and plan.awaits and not study.spec.finish:
                study, plan = await self._started_from(study, plan, memory)
            return None if plan is None else await self._step(study, plan, memory)
        except Forbidden as error:
            await self.statuses.not_permitted(study, error)
            raise

    async def _step(self, study: Study, plan: Plan, memory: Memory) -> float | None:
        now = self.clock()
        previous = study.status
        listed = await list_children(self.kube, study, memory)
        self.on_list()
        trials = await known_trials(self.kube, study, plan, memory, listed)
        before = {facts.number: facts for facts in trials.unfinished}
        sights = await self._sights(study, plan, trials, listed, now)
        body = KubeBody(self.kube, plan, memory, self.clock, self.telemetry.kill_seconds.observe)
        record = StudyRecord(
            started_at=(seconds_of(previous.started_at) if previous else None) or now,
            created=(previous.trials.created or 0) if previous and previous.trials else 0,
            reason=_recorded_reason(previous),
            ended_at=seconds_of(previous.ended_at) if previous else None,
        )
        outcome = await reconcile(
            plan, record, trials, sights, body, now, think=self._think, most_starts=STARTS_AT_ONCE
        )
        memory.state = outcome.verdict.state.value
        failures = [*outcome.failures, *await self._clean(body, plan, trials, listed)]
        self._watch_no_more(study, trials)
        for error in failures:
            log.warning("action failed", extra={"study": "/".join(study.key), "error": str(error)})
        found = await obstacles.find(trials.unfinished, listed.jobs, listed.pods, now, self.announcer.failed_create)
        await self._write_progress(trials, before, body, found, now)
        note = obstacles.of_failures(failures) or found.note
        wait = await self.statuses.write(study, plan, trials, outcome, memory, note)
        self.announcer.announce(study, plan, memory, outcome, previous)
        self._count(outcome)
        if outcome.verdict.over and study.spec.ttl_seconds_after_finished is not None:
            return await self._expire(study, trials, previous)
        first_sign = _until_first_sign(trials, memory, self.clock())
        return _soonest([wait, found.look_again_after, first_sign], outcome, failures, self.clock())

    def _memory(self, key: StudyKey, study: Study) -> Memory:
        uid = study.metadata.uid or ""
        memory = self.memories.get(key)
        if memory is None or memory.uid != uid:
            self.observing.forget(key)
            memory = self.memories[key] = Memory(uid)
        return memory

    async def _forget(self, key: StudyKey, *, gone: bool) -> None:
        """A study that is going or gone: its children are owned and collected. Jobs that were orphaned are ended here."""
        self.memories.pop(key, None)
        self.observing.forget(key)
        if not gone:
            return
        await self._end_jobs(key)

    async def _accepted(self, study: Study, memory: Memory) -> Plan | None:
        """The compiled study; a refusal is written once per generation."""
        generation = study.metadata.generation
        if memory.generation != generation:
            try:
                plan = await accept(self.kube, study, study.status)
            except InvalidStudy as error:
                memory.plan, memory.refusal, memory.generation, memory.state = None, error, generation, "Refused"
                await self._end_jobs(study.key)  # one that was changed while it ran burns no GPU meanwhile
            else:
                if memory.trials is not None:
                    memory.trials = None  # sums rest on the plan: build them again
                memory.plan, memory.refusal, memory.generation = plan, None, generation
        if memory.refusal is not None:
            await self.statuses.refuse(study.key, None, memory.refusal, study)
            return None
        return memory.plan

    async def _started_from(self, study: Study, plan: Plan, memory: Memory) -> tuple[Study, Plan | None]:
        try:
            return await self.sources.resolve(study, plan, memory)
        except InvalidStudy as error:
            memory.plan, memory.refusal, memory.waits_for, memory.state = None, error, frozenset(), "Refused"
            await self.statuses.refuse(study.key, None, error, study)
            return study, None

    async def _end_jobs(self, key: StudyKey) -> None:
        """Every Job that carries the study's name. Those that are on their way out already, or gone, are passed over."""
        for job in await self.kube.list("jobs", key.namespace, label_selector=f"{STUDY_LABEL}={key.name}"):
            metadata = job["metadata"]
            if metadata.get("deletionTimestamp"):
                continue
            with contextlib.suppress(NotFound):
                await self.kube.delete("jobs", key.namespace, metadata["name"], uid=metadata["uid"])

    async def _expire(self, study: Study, trials: Trials, previous: StudyStatus | None) -> float | None:
        """ttlSecondsAfterFinished, as for Jobs: the study and all it owns go, once nothing of it runs."""
        ttl = study.spec.ttl_seconds_after_finished
        ended_at = seconds_of(previous.ended_at) if previous is not None else None
        if ttl is None or ended_at is None or trials.live:
            return 1.0
        left = ended_at + ttl - self.clock()
        if left > 0:
            return left
        log.info("study expired", extra={"study": "/".join(study.key), "ttl_seconds": ttl})
        await self.kube.delete("studies", *study.key, uid=study.metadata.uid)
        return None

    async def _sights(self, study: Study, plan: Plan, trials: Trials, listed: Listed, now: float) -> dict[int, Sight]:
        """What is seen of every trial that is unfinished or still ends. Last words are collected side by side."""
        newest: dict[int, int] = {}
        for number, attempt in (*listed.jobs, *listed.pods):
            newest[number] = max(newest.get(number, 0), attempt)
        wanted = {facts.number for facts in (*trials.unfinished, *trials.live)} | {
            number for (number, attempt), pod in listed.pods.items() if number in trials and trials[number].finished
        }

        async def sight(number: int) -> tuple[int, Sight]:
            facts = trials[number]
            k = newest.get(number, 0)
            job, pod = listed.jobs.get((number, k)), listed.pods.get((number, k))
            attempt = attempt_of(job, pod, now)
            if attempt is None or facts.finished or attempt.number < facts.attempt:
                return number, Sight(attempt if attempt is None or attempt.number >= facts.attempt else None)
            if job is None or job["metadata"].get("deletionTimestamp"):
                attempt = replace(attempt, ending=attempt.live)
            return number, await self.observing.sight(study, plan, facts, attempt, pod)

        found = await asyncio.gather(*(sight(number) for number in sorted(wanted) if number in trials))
        return dict(found)

    async def _think(self, plan: Plan, record: StudyRecord, trials: Trials, now: float) -> Decisions:
        if plan.sampler.learns or len(trials) > THINK_APART_FROM:
            return await asyncio.to_thread(decide, plan, record, trials, now)
        return decide(plan, record, trials, now)

    async def _write_progress(
        self, trials: Trials, before: Mapping[int, TrialFacts], body: KubeBody, found: Obstacle, now: float
    ) -> None:
        """Records that no decision has written: a first sign of running at once, a growing curve now and then, a long wait.

        Raises the first failure, once all were tried.
        """
        due = [
            facts
            for facts in trials.unfinished
            if _worth_writing(
                facts,
                before.get(facts.number),
                body.memory.objects.get(facts.number),
                now,
                stuck=facts.number in found.stuck,
            )
        ]
        for error in await side_by_side([body.write(facts) for facts in due]):
            raise error

    async def _clean(self, body: KubeBody, plan: Plan, trials: Trials, listed: Listed) -> list[Exception]:
        """End what has no reason to be there: Jobs of finished trials as keepJobs says, and attempts that were replaced."""
        gone = []
        for (number, attempt), job in sorted(listed.jobs.items()):
            name = job["metadata"]["name"]
            if number not in trials or job["metadata"].get("deletionTimestamp") or name not in body.memory.jobs:
                continue
            seen = attempt_of(job, listed.pods.get((number, attempt)), body.now())
            live = seen is not None and seen.live
            if _over(trials[number], attempt) and (live or not keeps_attempt(plan, trials[number], attempt)):
                gone.append(name)
        return await side_by_side([body.delete_job(name) for name in gone])

    def _watch_no_more(self, study: Study, trials: Trials) -> None:
        active = {
            (facts.number, facts.live.number)
            for facts in trials.unfinished
            if facts.live is not None and (facts.live.live or not facts.live.collected)
        }
        self.observing.keep(study.key, active)

    def _count(self, outcome: Outcome) -> None:
        for decision in outcome.decided:
            self.telemetry.decisions.labels(kind=type(decision).__name__).inc()


def _worth_writing(
    facts: TrialFacts, known: TrialFacts | None, written: TrialObject | None, now: float, *, stuck: bool
) -> bool:
    """`known` is what this process knew before, `written` the object as last read or written."""
    if written is None:
        return False
    recorded = written.status
    if stuck and recorded is None:
        return True
    if facts.started_at is not None and (recorded is None or recorded.started_at is None):
        return now - facts.started_at >= RUNNING_AFTER_SECONDS
    if known is not None and recorded is not None and facts.live is not None and changed(known, facts):
        return True
    grown = facts.step is not None and (recorded is None or recorded.step != facts.step)
    return grown and now - written.written_at >= PROGRESS_EVERY_SECONDS


def _until_first_sign(trials: Trials, memory: Memory, now: float) -> float | None:
    """Seconds until a trial that runs is to be called Running in its record."""
    waits = [
        max(0.1, facts.started_at + RUNNING_AFTER_SECONDS - now)
        for facts in trials.unfinished
        if facts.started_at is not None
        and (known := memory.objects.get(facts.number)) is not None
        and (known.status is None or known.status.started_at is None)
    ]
    return min(waits, default=None)


def _over(facts: TrialFacts, attempt: int) -> bool:
    """Nothing more is expected of this attempt."""
    return facts.finished or attempt < facts.attempt or facts.state is TrialState.WAITING


def _recorded_reason(status: StudyStatus | None) -> str:
    for condition in status.conditions if status is not None else ():
        if condition.type in {"Succeeded", "Failed"} and condition.status == "True":
            return condition.reason
    return ""


def _soonest(
    waits: Sequence[float | None], outcome: Outcome, failures: Sequence[Exception], now: float
) -> float | None:
    """Seconds until the study wants to be seen again without anything having happened; None: not before."""
    moments = [*waits, None if outcome.look_again_at is None else max(0.0, outcome.look_again_at - now)]
    if failures:
        moments.append(RETRY_SECONDS)
    elif outcome.more:
        moments.append(0.0)
    return min((m for m in moments if m is not None), default=None)
