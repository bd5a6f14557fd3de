"""One study on a cluster: list -> observe -> decide -> apply -> one status write.

Reads as the state machine that it is, and may be called at any time, any number of times. Trials that are unfinished, Jobs and
pods are listed fresh; only those whose owner is ours count, so a namesake's leftovers are nobody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rung.api.errors import InvalidStudy, RungError
from rung.api.facts import TrialFacts
from rung.api.names import STUDY_LABEL, job_name
from rung.api.study import KeepJobs, Study, StudyKey, StudyStatus, parse_study
from rung.brain import Decisions, Plan, StudyRecord, Trials, decide
from rung.controller import obstacles
from rung.controller.acceptance import accept
from rung.controller.announce import Announcer
from rung.controller.body import KubeBody
from rung.controller.listing import Listed, get_or_none, known_trials, list_children
from rung.controller.memory import Memory
from rung.controller.observing import Observing
from rung.controller.obstacles import Obstacle
from rung.controller.sight import attempt_of
from rung.controller.telemetry import Telemetry
from rung.controller.writing import StatusWriter
from rung.executor.body import Sight
from rung.executor.reconcile import Outcome, changed, reconcile
from rung.executor.record import seconds_of
from rung.kube.client import Kube
from rung.kube.errors import Forbidden, NotFound

log = logging.getLogger("rung.controller")

PROGRESS_EVERY_SECONDS = 10.0  # a running trial's curve is written this often; its scrape has it earlier
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
    memories: dict[StudyKey, Memory] = field(default_factory=dict)
    statuses: StatusWriter = field(init=False)

    def __post_init__(self) -> None:
        self.statuses = StatusWriter(self.kube, self.clock)

    async def reconcile(self, key: StudyKey) -> float | None:
        """Move one study one step towards its spec; returns the seconds until it wants to be seen again.

        Raises Conflict (list again, at once) and ClusterUnavailable (later).
        """
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
        await self._write_progress(trials, before, body, now)
        failures = [*outcome.failures, *await self._clean(body, plan, trials, listed)]
        self._watch_no_more(study, trials)
        for error in failures:
            log.warning("action failed", extra={"study": "/".join(study.key), "error": str(error)})
        found = await obstacles.find(trials.unfinished, listed.jobs, listed.pods, now, self.announcer.failed_create)
        await self._write_stuck(trials, found, body)
        note = obstacles.of_failures(failures) or found.note
        wait = await self.statuses.write(study, plan, trials, outcome, memory, note)
        self.announcer.announce(study, plan, memory, outcome, previous)
        self._count(outcome)
        if outcome.verdict.over and study.spec.ttl_seconds_after_finished is not None:
            return await self._expire(study, trials, previous)
        return _soonest([wait, found.look_again_after], outcome, failures, self.clock())

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
        for job in await self.kube.list("jobs", key.namespace, label_selector=f"{STUDY_LABEL}={key.name}"):
            if not job["metadata"].get("deletionTimestamp"):
                try:
                    await self.kube.delete("jobs", key.namespace, job["metadata"]["name"], uid=job["metadata"]["uid"])
                except NotFound:
                    continue

    async def _accepted(self, study: Study, memory: Memory) -> Plan | None:
        """The compiled study; a refusal is written once per generation."""
        generation = study.metadata.generation
        if memory.generation != generation:
            try:
                plan = await accept(self.kube, study, study.status)
            except InvalidStudy as error:
                memory.plan, memory.refusal, memory.generation = None, error, generation
                await self._end_refused(study)
            else:
                if memory.trials is not None:
                    memory.trials = None  # sums rest on the plan: build them again
                memory.plan, memory.refusal, memory.generation = plan, None, generation
        if memory.refusal is not None:
            await self.statuses.refuse(study.key, None, memory.refusal, study)
            return None
        return memory.plan

    async def _end_refused(self, study: Study) -> None:
        """A running study that was changed into one that cannot run burns no GPU meanwhile."""
        namespace, name = study.key
        for job in await self.kube.list("jobs", namespace, label_selector=f"{STUDY_LABEL}={name}"):
            try:
                await self.kube.delete("jobs", namespace, job["metadata"]["name"], uid=job["metadata"]["uid"])
            except NotFound:
                continue

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
        self, trials: Trials, before: Mapping[int, TrialFacts], body: KubeBody, now: float
    ) -> None:
        """Records that no decision has written: a first sign of running at once, a growing curve now and then."""
        for facts in trials.unfinished:
            known = before.get(facts.number)
            written = body.memory.objects.get(facts.number)
            if written is None:
                continue
            recorded = written.status
            started = facts.started_at is not None and (recorded is None or recorded.started_at is None)
            moved = known is not None and changed(known, facts) and facts.live is not None
            grown = facts.step is not None and (recorded is None or recorded.step != facts.step)
            if (
                started
                or (moved and recorded is not None)
                or (grown and now - written.written_at >= PROGRESS_EVERY_SECONDS)
            ):
                await body.write(facts)

    async def _write_stuck(self, trials: Trials, found: Obstacle, body: KubeBody) -> None:
        """A trial that waits for long says so in `kubectl get trials`."""
        for number in found.stuck:
            known = body.memory.objects.get(number)
            if known is not None and known.status is None:
                await body.write(trials[number])

    async def _clean(self, body: KubeBody, plan: Plan, trials: Trials, listed: Listed) -> list[Exception]:
        """End what has no reason to be there: Jobs of finished trials as keepJobs says, and attempts that were replaced."""
        keep = plan.spec.trial.keep_jobs
        failures: list[Exception] = []
        for (number, attempt), job in sorted(listed.jobs.items()):
            if number not in trials or job["metadata"].get("deletionTimestamp"):
                continue
            facts = trials[number]
            seen = attempt_of(job, listed.pods.get((number, attempt)), body.now())
            live = seen is not None and seen.live
            newest = attempt >= facts.attempt
            failed = facts.state.value in {"Failed", "Infeasible"} or not newest
            kept = keep is KeepJobs.ALL or (keep is KeepJobs.FAILED and failed)
            over = facts.finished or not newest or facts.state.value == "Waiting"
            if over and (live or not kept) and job["metadata"]["name"] in body.memory.jobs:
                try:
                    await body.delete_job(job_name(body.study_name, number, attempt))
                except RungError as error:
                    failures.append(error)
        return failures

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
