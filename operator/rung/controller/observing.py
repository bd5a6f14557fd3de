"""Between the scraper and the reconcile: whom to scrape, and what was seen, as `Sight`s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rung.api.facts import Attempt, AttemptPhase, TrialFacts
from rung.api.names import trial_name
from rung.api.study import Study, StudyKey
from rung.brain import Plan
from rung.executor.body import Sight
from rung.kube.client import Kube
from rung.kube.errors import NotFound
from rung.observe.extract import Wanted
from rung.observe.logtail import LogPosition
from rung.observe.probe import ReadLog
from rung.observe.scraper import Scraper
from rung.observe.target import Seen, Target, TargetKey, explain_missing

LAST_WORDS_SECONDS = 0.2  # enough where nothing hangs: the message is in the pod, and a log comes from a quick server


def wanted_of(plan: Plan) -> Wanted:
    """What to read from a trial of this study."""
    return Wanted.of(plan.spec.metrics, plan.measure.wanted, plan.counter)


def pod_log_reader(kube: Kube, pod_of: Callable[[Target], str | None]) -> ReadLog:
    """Reads a trial's log through the API server, stamped, from a position on."""

    async def read(target: Target, position: LogPosition) -> bytes:
        pod = pod_of(target)
        if pod is None:
            raise NotFound(f"no pod of {target.key} is known")
        return await kube.pod_log(
            target.key.namespace,
            pod,
            container=target.spec.container,
            since_time=position.time,
            limit_bytes=position.limit,
            timestamps=True,
        )

    return read


class Observing:
    """Watches the running attempts of all studies. Everything here can be lost: it is scraped again."""

    def __init__(
        self, clock: Callable[[], float], monotonic: Callable[[], float], wake: Callable[[StudyKey], None]
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._wake = wake
        self._group: asyncio.TaskGroup | None = None
        self._endings: dict[TargetKey, asyncio.Task[Seen]] = {}
        self._pods: dict[TargetKey, str] = {}
        self._by_study: dict[StudyKey, set[TargetKey]] = {}
        self._wanted: dict[tuple[str, int | None], Wanted] = {}
        self.scraper: Scraper | None = None

    def start(self, scraper: Scraper, group: asyncio.TaskGroup) -> None:
        """From now on there is somebody who reads; `group` owns the tasks that read last words."""
        self.scraper = scraper
        self._group = group

    def pod_of(self, target: Target) -> str | None:
        """The name of the pod that runs, or ran, the attempt."""
        return self._pods.get(target.key)

    async def sight(
        self, study: Study, plan: Plan, facts: TrialFacts, attempt: Attempt, pod: Mapping[str, Any] | None
    ) -> Sight:
        """What is known of the attempt now. One that has ended is read to its last word first."""
        scraper = self.scraper
        if scraper is None or pod is None or attempt.phase is AttemptPhase.QUEUED:
            return Sight(attempt)
        target = self._target(study, plan, facts, attempt, pod)
        if attempt.phase is AttemptPhase.RUNNING:
            scraper.watch(target)
            return self._as_sight(attempt, scraper.collect(target.key), plan)
        if attempt.collected:
            return Sight(attempt)
        seen = await self._last_words(study.key, target, termination_message(pod, plan.spec.metrics.container))
        if seen is None:
            return Sight(attempt)
        return self._as_sight(replace(attempt, collected=True), seen, plan)

    async def _last_words(self, key: StudyKey, target: Target, message: str | None) -> Seen | None:
        """Everything the attempt ever said; None while that takes longer than the other trials should wait for."""
        if self.scraper is None or self._group is None:
            return None
        ending = self._endings.get(target.key)
        if ending is None:
            work = self.scraper.final(target, message)
            ending = self._endings[target.key] = self._group.create_task(work, name=f"last words of {target.key}")
        await asyncio.wait({ending}, timeout=LAST_WORDS_SECONDS)
        if not ending.done():
            ending.add_done_callback(lambda _: self._wake(key))
            return None
        return ending.result()

    def keep(self, key: StudyKey, active: set[tuple[int, int]]) -> None:
        """Stop watching attempts of this study that are not active (trial number, attempt)."""
        for target in list(self._by_study.get(key, ())):
            if (target.trial, target.attempt) not in active:
                self._unwatch(key, target)

    def forget(self, key: StudyKey) -> None:
        """The study is gone."""
        self.keep(key, set())
        self._by_study.pop(key, None)

    def _unwatch(self, key: StudyKey, target: TargetKey) -> None:
        if self.scraper is not None:
            self.scraper.unwatch(target)
        self._pods.pop(target, None)
        ending = self._endings.pop(target, None)
        if ending is not None:
            ending.cancel()
        self._by_study[key].discard(target)

    def _target(self, study: Study, plan: Plan, facts: TrialFacts, attempt: Attempt, pod: Mapping[str, Any]) -> Target:
        key = TargetKey(study.key.namespace, study.key.name, facts.number, attempt.number)
        self._pods[key] = pod["metadata"]["name"]
        self._by_study.setdefault(study.key, set()).add(key)
        known = (study.metadata.uid or "", study.metadata.generation)
        wanted = self._wanted.get(known)
        if wanted is None:
            self._wanted.clear()
            wanted = self._wanted[known] = wanted_of(plan)
        return Target(
            key=key,
            trial=trial_name(study.key.name, facts.number),
            host=(pod.get("status") or {}).get("podIP") or "",
            spec=plan.spec.metrics,
            wanted=wanted,
        )

    def _as_sight(self, attempt: Attempt, seen: Seen | None, plan: Plan) -> Sight:
        if seen is None:
            return Sight(attempt)
        at = seen.last_observation_at
        return Sight(
            attempt=attempt,
            observations=seen.observations,
            metrics=seen.summaries or {},
            outputs=seen.outputs or {},
            checkpoint_step=seen.checkpoint_step,
            checkpoints=seen.checkpoints,
            last_observed_at=None if at is None else self._clock() - (self._monotonic() - at),
            missing=explain_missing(seen, _objective_inputs(plan)) if attempt.phase is AttemptPhase.ENDED else "",
        )


def _objective_inputs(plan: Plan) -> set[str]:
    return {name for goal in plan.measure.goals for name in goal.figure.inputs}


def termination_message(pod: Mapping[str, Any], container: str | None) -> str | None:
    """Of the named container, or of the first one that left a message."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if container is not None and status.get("name") != container:
            continue
        message = ((status.get("state") or {}).get("terminated") or {}).get("message")
        if message:
            return str(message)
    return None
