"""`rung run`: one study on this machine, from the state that an earlier run left to its end, an interrupt, or an error.

    loop    look at processes and logs; fold, decide, apply (`rung.executor.reconcile`); write; wait for the next news

Interrupted once, the study is suspended: `decide` itself ends every attempt, checkpoints are written, no retry is
counted, and the next run goes on from there. Interrupted twice, everything is killed at once; the next run then finds
its attempts disrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from rung.api.implemented import check_runnable
from rung.api.study import Study, StudyStatus
from rung.brain import Decision, Plan, StudyRecord, StudyState, StudyVerdict, Trials
from rung.brain.population import remark
from rung.executor.body import Sight
from rung.executor.reconcile import Outcome, changed, reconcile
from rung.executor.record import facts_of, seconds_of
from rung.executor.status import study_status
from rung.local import orphans
from rung.local.body import LOOK_SECONDS, LocalBody, boot_id
from rung.local.slots import Slots, cores, gpus
from rung.local.sources import resolved
from rung.local.state import State
from rung.local.template import Template
from rung.view.shown import Look

STATUS_SECONDS = 1.0  # between two writes of the study's status: for people and scripts that look at the file
PAUSE_SHARE = 4  # log lines wait this many times as long as the last decision took: at most a fifth of a core is spent
IDLE_SECONDS = (
    1.0  # a live table shows the time; deciding again that nothing is to be done costs less than a millisecond
)
INTERRUPTED = StudyVerdict(StudyState.SUSPENDED, "Interrupted", "interrupted; `rung run` goes on from here")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watcher(Protocol):
    """Whoever shows a run to people."""

    def note(self, text: str) -> None:
        """One line that is not about a decision."""

    def look(self, look: Look) -> None:
        """After every round."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended."""

    plan: Plan
    trials: Trials
    verdict: StudyVerdict
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beyond the Study."""

    directory: Path  # of the study's state
    fresh: bool = False
    gpus: int | None = None  # None: those that the machine shows
    parallelism: int | None = None
    pin_cpus: bool = False  # each trial on cores of its own, as many as its resources ask for


async def run_study(
    study: Study,
    text: str,
    options: Options,
    watcher: Watcher,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Ran:
    """Run the study to its end, or go on with it. `text` is the file that it was read from.

    Raises InvalidStudy where it cannot run, StateError where its state directory cannot be used. No process is left
    behind.
    """
    environment = os.environ if environment is None else environment
    if options.parallelism is not None:
        limits = study.spec.limits.model_copy(update={"parallelism": options.parallelism})
        study = study.model_copy(update={"spec": study.spec.model_copy(update={"limits": limits})})
    plan = Plan.of(study)
    check_runnable(study.spec)
    template = Template.of(plan, environment)
    state = State(options.directory)
    state.open()
    try:
        await _end_left_overs(state, watcher, template.grace_seconds)
        if options.fresh:
            state.clear()
        status = state.accept(study, text)
        status = status or StudyStatus()
        plan = await resolved(plan, state.path.parent, {mark.name: mark for mark in status.warm_start}, watcher.note)
        if plan.marks != status.warm_start:
            status = status.model_copy(update={"warm_start": plan.marks})
            state.write_study(study, status)  # before anything rests on it
        own_cores = Slots(cores() if options.pin_cpus else ())
        body = LocalBody(plan, state, template, Slots(gpus(environment, options.gpus)), own_cores, clock=clock)
        runner = _Runner(plan, state, body, watcher, status, clock)
        try:
            runner.recover()
            for note in filter(None, (*template.notes, remark(plan))):
                watcher.note(note)
            with _interrupts(runner.interrupt):
                return await runner.run()
        finally:
            await body.close()
            left = orphans.find(state, (), boot_id())  # those that have left their group
            await orphans.end(left, 0.0)
    finally:
        state.close()


async def _end_left_overs(state: State, watcher: Watcher, grace_seconds: float) -> None:
    """End what a run that was killed has left running, before anybody goes on from its checkpoints."""
    folders = state.newest_attempts()
    left = orphans.find(state, folders.values(), boot_id()) if folders else []
    if left:
        pids = ", ".join(str(orphan.pid) for orphan in left)
        watcher.note(f"ending what an earlier run has left running: process {pids}")
        await orphans.end(left, grace_seconds)


class _Runner:
    """One run of one study."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        body: LocalBody,
        watcher: Watcher,
        status: StudyStatus | None,
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._study = plan.study
        self._recovered: dict[int, Sight] = {}
        self._state = state
        self._body = body
        self._watcher = watcher
        self._status = status
        self._clock = clock
        self._trials = Trials(plan)
        self._created = (status.trials.created or 0) if status is not None and status.trials is not None else 0
        self._status_at = 0.0
        self._interrupts = 0

    def recover(self) -> None:
        """Read what an earlier run has left, and take over what it did not come to record."""
        folders = self._state.newest_attempts()
        for trial in self._state.trials():
            self._body.known(trial)
            facts = facts_of(trial, self._plan)
            self._trials.put(facts)
            if facts.finished:
                self._body.tidy(facts)
        for facts in self._trials.unfinished:
            folder = folders.get(facts.number)
            if folder is not None and (folder.attempt > facts.attempt or facts.live is not None):
                started_at = orphans.recorded(folder).get("startedAt")
                known = started_at if isinstance(started_at, float) else None
                self._recovered[facts.number] = self._body.recovered(folder, known)
        if len(self._trials):
            done = len(self._trials) - len(self._trials.unfinished)
            self._watcher.note(f"going on with {self._state.path}: {done} of {len(self._trials)} trials have ended")

    async def run(self) -> Ran:
        """Until the study is over, or nothing runs any more after an interrupt."""
        sights = self._recovered
        while True:
            began = time.monotonic()
            now = self._clock()
            sights = {**sights, **self._body.sights()}
            before = {number: self._trials[number] for number in sights}
            outcome = await reconcile(self._plan, self._record(), self._trials, sights, self._body, now)
            for failure in outcome.failures:
                raise failure
            for number, known in before.items():
                facts = self._trials[number]
                if not facts.finished and (changed(known, facts) or self._body.due(facts)):
                    await self._body.write(facts)
            sights = {}
            if self._interrupts and outcome.verdict.state is StudyState.SUSPENDED:
                outcome.verdict = INTERRUPTED
            self._created = outcome.created
            still = bool(self._trials.live)
            over = not still and (outcome.verdict.over or outcome.verdict.state is StudyState.SUSPENDED)
            self._write_status(outcome, now, at_once=over)
            shown = tuple(decision for decision in outcome.decided if isinstance(decision, Decision))
            self._watcher.look(
                Look(self._plan, self._trials, outcome.verdict, shown, now, interrupted=self._interrupts > 0)
            )
            if over or self._interrupts > 1:
                return Ran(self._plan, self._trials, outcome.verdict, interrupted=self._interrupts > 0)
            until = min(now + IDLE_SECONDS, outcome.look_again_at or now + IDLE_SECONDS)
            await self._body.news(until, at_least=max(LOOK_SECONDS, PAUSE_SHARE * (time.monotonic() - began)))

    def interrupt(self) -> None:
        """Somebody wants this run to end: gracefully, and the second time at once."""
        self._interrupts += 1
        if self._interrupts == 1:
            spec = self._plan.spec.model_copy(update={"suspend": True})
            self._plan = replace(self._plan, study=self._plan.study.model_copy(update={"spec": spec}))
            self._watcher.note("interrupted: ending the trials (again: kill them at once)")
        else:
            self._body.kill()
        self._body.wake()

    def _record(self) -> StudyRecord:
        status = self._status
        if status is None:
            return StudyRecord()
        endings = {StudyState.SUCCEEDED.value, StudyState.FAILED.value}
        over = next((c for c in status.conditions if c.type in endings and c.status == "True"), None)
        return StudyRecord(
            started_at=seconds_of(status.started_at),
            created=self._created,
            reason=over.reason if over is not None else "",
            ended_at=seconds_of(status.ended_at),
        )

    def _write_status(self, outcome: Outcome, now: float, *, at_once: bool) -> None:
        if not at_once and now - self._status_at < STATUS_SECONDS:
            return
        self._status = study_status(
            self._plan,
            self._trials,
            outcome.verdict,
            self._status,
            now,
            created=outcome.created,
            frozen_hash="",
            volume=str(self._state.checkpoints),
        )
        self._state.write_study(self._study, self._status)
        self._status_at = now


@contextlib.contextmanager
def _interrupts(handler: Callable[[], None]) -> Iterator[None]:
    """Route the signals that mean "end" to the handler, where this thread may."""
    loop = asyncio.get_running_loop()
    routed = []
    for number in INTERRUPTS:
        with contextlib.suppress(
            ValueError, RuntimeError, NotImplementedError
        ):  # not the main thread, or no such signal
            loop.add_signal_handler(number, handler)
            routed.append(number)
    try:
        yield
    finally:
        for number in routed:
            loop.remove_signal_handler(number)
