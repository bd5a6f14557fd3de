"""One study on a cluster: list -> observe -> decide -> apply -> one status write.

Reads as the state machine that it is, and may be called at any time, any number of times. Trials that are unfinished, Jobs and
pods are listed fresh; only those whose owner is ours count, so a namesake's leftovers are nobody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rung.api.errors import InvalidStudy, RungError
from rung.api.facts import TrialFacts, merged
from rung.api.names import STUDY_LABEL, STUDY_UID_LABEL, job_name, trial_name
from rung.api.study import KeepJobs, Study, StudyKey, StudyStatus, parse_study
from rung.api.trial import Trial
from rung.brain import Decisions, Plan, StudyRecord, Trials, decide
from rung.controller import obstacles
from rung.controller.acceptance import accept
from rung.controller.announce import Announcer
from rung.controller.body import KubeBody
from rung.controller.memory import Memory, TrialObject, frozen_hash
from rung.controller.observing import Observing
from rung.controller.obstacles import Obstacle
from rung.controller.sight import attempt_number, attempt_of, controller_uid, trial_number
from rung.controller.telemetry import Telemetry
from rung.executor.body import Sight
from rung.executor.reconcile import Outcome, changed, reconcile
from rung.executor.record import facts_of, seconds_of
from rung.executor.status import not_permitted_status, refused_status, study_status
from rung.kube.client import Kube
from rung.kube.errors import Forbidden, NotFound

log = logging.getLogger("rung.controller")

STATUS_EVERY_SECONDS = 1.0  # counts may lag by this much: every status write runs all CEL rules on the server
PROGRESS_EVERY_SECONDS = 10.0  # a running trial's curve is written this often; its scrape has it earlier
STARTS_AT_ONCE = 32  # about a second of a small control plane: trials that end meanwhile do not wait for longer
RETRY_SECONDS = 1.0  # after an action that failed: most are races that the next list settles
THINK_APART_FROM = 2_000
"""Trials beyond which deciding leaves the event loop, so that no study's arithmetic delays another."""


@dataclass(slots=True)
class Listed:
    """What the API server holds of one study now."""

    trials: list[dict[str, Any]]
    jobs: dict[tuple[int, int], dict[str, Any]]  # by trial number and attempt; ours alone
    pods: dict[tuple[int, int], dict[str, Any]]


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

    async def reconcile(self, key: StudyKey) -> float | None:
        """Move one study one step towards its spec; returns the seconds until it wants to be seen again.

        Raises Conflict (list again, at once) and ClusterUnavailable (later).
        """
        document = await self._get("studies", key.namespace, key.name)
        if document is None or document["metadata"].get("deletionTimestamp"):
            await self._forget(key, gone=document is None)
            return None
        try:
            study = parse_study(document, strict=False)
        except InvalidStudy as error:
            await self._refuse(key, document, error)
            return None
        memory = self._memory(key, study)
        try:
            plan = await self._accepted(study, memory)
            return None if plan is None else await self._step(study, plan, memory)
        except Forbidden as error:
            await self._not_permitted(study, error)
            raise

    async def _step(self, study: Study, plan: Plan, memory: Memory) -> float | None:
        now = self.clock()
        previous = _status(study)
        listed = await self._list(study, memory)
        trials = await self._known(study, plan, memory, listed)
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
        wait = await self._write_status(study, plan, trials, outcome, previous, memory, note)
        self.announcer.announce(study, plan, memory, outcome, previous)
        self._count(outcome)
        if outcome.verdict.over and study.spec.ttl_seconds_after_finished is not None:
            return await self._expire(study, trials, previous)
        return _soonest([wait, found.look_again_after], outcome, failures, self.clock())

    async def _get(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self.kube.get(resource, namespace, name)
        except NotFound:
            return None
        return found

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
                plan = await accept(self.kube, study, _status(study))
            except InvalidStudy as error:
                memory.plan, memory.refusal, memory.generation = None, error, generation
                await self._end_refused(study)
            else:
                if memory.trials is not None:
                    memory.trials = None  # sums rest on the plan: build them again
                memory.plan, memory.refusal, memory.generation = plan, None, generation
        if memory.refusal is not None:
            await self._refuse(study.key, None, memory.refusal, study)
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

    async def _refuse(
        self, key: StudyKey, document: Mapping[str, Any] | None, error: InvalidStudy, study: Study | None = None
    ) -> None:
        """Accepted=False with the field's path. `document` stands in for a study that not even parses."""
        metadata = dict(document["metadata"]) if document is not None else {}
        if study is not None:
            metadata = {
                "name": key.name,
                "namespace": key.namespace,
                "resourceVersion": study.metadata.resource_version,
                "uid": study.metadata.uid,
                "generation": study.metadata.generation,
            }
        previous = _status(study) if study is not None else _raw_status(document)
        status = refused_status(metadata.get("generation"), previous, error.reason, str(error), self.clock())
        if previous is not None and status == previous:
            return
        log.info(
            "study refused", extra={"study": f"{key.namespace}/{key.name}", "reason": error.reason, "why": str(error)}
        )
        body: dict[str, Any] = dict(document) if document is not None else await self.kube.get("studies", *key)
        body["status"] = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.kube.replace_status("studies", key.namespace, key.name, body)

    async def _not_permitted(self, study: Study, error: Forbidden) -> None:
        """Say on the study which right is missing; whoever installs it reads this, and not only the operator's log."""
        status = not_permitted_status(study.metadata.generation, study.status, str(error), self.clock())
        if status == study.status:
            return
        document = await self.kube.get("studies", *study.key)
        document["status"] = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.kube.replace_status("studies", *study.key, document)

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

    async def _list(self, study: Study, memory: Memory) -> Listed:
        namespace, name = study.key
        mine = f"{STUDY_LABEL}={name}"
        unfinished = None if memory.trials is None else "status.finished!=true"
        trials, jobs, pods = await asyncio.gather(
            self.kube.list("trials", namespace, label_selector=mine, field_selector=unfinished),
            self.kube.list("jobs", namespace, label_selector=mine),
            self.kube.list("pods", namespace, label_selector=mine),
        )
        self.on_list()
        uid = study.metadata.uid
        ours = [t for t in trials if controller_uid(t) == uid and not t["metadata"].get("deletionTimestamp")]
        owners = {o.uid for o in memory.objects.values()} | {t["metadata"]["uid"] for t in ours}
        mine_jobs = [job for job in jobs if controller_uid(job) in owners]
        memory.jobs = {job["metadata"]["name"]: job["metadata"]["uid"] for job in mine_jobs}
        mine_pods = [pod for pod in pods if pod["metadata"]["labels"].get(STUDY_UID_LABEL) == uid]
        return Listed(ours, _by_attempt(mine_jobs), _by_attempt(mine_pods))

    async def _known(self, study: Study, plan: Plan, memory: Memory, listed: Listed) -> Trials:
        """All trials, the unfinished ones as just listed. Those that left the list have finished or were deleted: ask."""
        if memory.trials is None:
            memory.trials = Trials(plan, (_facts(document, plan, memory) for document in listed.trials))
            return memory.trials
        trials = memory.trials
        seen = set()
        for document in listed.trials:
            number = document["spec"]["number"]
            seen.add(number)
            known = memory.objects.get(number)
            if known is not None and known.resource_version == document["metadata"]["resourceVersion"]:
                continue  # as this process has written or read it: what is in memory is the same, and newer in its curve
            facts = _facts(document, plan, memory)
            if number in trials:
                facts = replace(facts, curve=merged(facts.curve, trials[number].curve))
            trials.put(facts)
        for facts in trials.unfinished:
            if facts.number in seen:
                continue
            found = await self._get("trials", study.key.namespace, trial_name(study.key.name, facts.number))
            if found is None or controller_uid(found) != memory.uid:
                trials.drop(facts.number)
                memory.objects.pop(facts.number, None)
            else:
                trials.put(_facts(found, plan, memory))
        return trials

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

    async def _write_status(
        self,
        study: Study,
        plan: Plan,
        trials: Trials,
        outcome: Outcome,
        previous: StudyStatus | None,
        memory: Memory,
        note: str,
    ) -> float | None:
        """The only write of the study's status; returns seconds after which a write that was put off is due."""
        now = self.clock()
        status = study_status(
            plan,
            trials,
            outcome.verdict,
            previous,
            now,
            created=outcome.created,
            frozen_hash=frozen_hash(study),
            note=note,
        )
        if previous is not None and status == previous:
            return None
        due = memory.status_written_at + STATUS_EVERY_SECONDS
        if previous is not None and _says_the_same(previous, status) and now < due:
            return due - now
        document: dict[str, Any] = {
            "apiVersion": study.api_version,
            "kind": "Study",
            "metadata": {
                "name": study.metadata.name,
                "namespace": study.metadata.namespace,
                "uid": study.metadata.uid,
                "resourceVersion": study.metadata.resource_version,
            },
            "spec": study.spec.model_dump(by_alias=True, exclude_none=True, mode="json"),
            "status": status.model_dump(by_alias=True, exclude_none=True, mode="json"),
        }
        await self.kube.replace_status("studies", study.key.namespace, study.key.name, document)
        memory.status_written_at = now
        return None

    def _count(self, outcome: Outcome) -> None:
        for decision in outcome.decided:
            self.telemetry.decisions.labels(kind=type(decision).__name__).inc()


def _facts(document: Mapping[str, Any], plan: Plan, memory: Memory) -> TrialFacts:
    """The record as read, and its identity remembered."""
    trial = Trial.model_validate(document)
    metadata, number = document["metadata"], trial.spec.number
    before = memory.objects.get(number)
    written_at = before.written_at if before is not None else 0.0
    memory.objects[number] = TrialObject(metadata["uid"], metadata["resourceVersion"], trial.status, written_at)
    return facts_of(trial, plan)


def _by_attempt(documents: Iterable[dict[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    """By trial number and attempt, from the labels; what lacks them only looks like ours."""
    return {
        (number, attempt_number(document)): document
        for document in documents
        if (number := trial_number(document)) is not None
    }


def _status(study: Study | None) -> StudyStatus | None:
    return study.status if study is not None else None


def _raw_status(document: Mapping[str, Any] | None) -> StudyStatus | None:
    status = (document or {}).get("status")
    return StudyStatus.model_validate(status) if status else None


def _recorded_reason(status: StudyStatus | None) -> str:
    for condition in status.conditions if status is not None else ():
        if condition.type in {"Succeeded", "Failed"} and condition.status == "True":
            return condition.reason
    return ""


def _says_the_same(before: StudyStatus, after: StudyStatus) -> bool:
    """Nothing that a person or a program waits for: conditions and the best stand as they did."""

    def essence(status: StudyStatus) -> object:
        return [(c.type, c.status, c.reason) for c in status.conditions], status.frozen_hash, status.observed_generation

    return essence(before) == essence(after)


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
