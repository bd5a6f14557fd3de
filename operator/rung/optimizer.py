"""`Optimizer`: the brain behind two words, ask and tell, for programs that run their trials themselves.

    optimizer = Optimizer(parameters=[…], objectives=[…], sampler={"type": "GP"}, limits={"trials": 64})
    while (trial := optimizer.ask()) is not None:
        optimizer.tell(trial.number, loss(**trial.parameters))

It takes what a Study's spec takes, decides with the same `decide`, and records the same facts:

    ask      the next trial: a new one, or one that goes on after a pause. Every call is one free worker; limits.parallelism
             tells the sampler how many there are, and nobody counts them
    report   a value of a running trial at a step: Continue, Stop or Pause
    tell     the trial has ended: with values, or with a state
    facts    everything that is known, as JSON. `restore` goes on from it and decides as the first one would have

What a trial says is folded in and decided on at once, so reports in another order are another history where a scheduler
compares trials by arrival (ASHA, MedianStop), and the same one everywhere else.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rung.api.errors import BadObservation, InvalidStudy
from rung.api.facts import (
    Assignment,
    Attempt,
    AttemptEnd,
    AttemptPhase,
    MetricSummary,
    Observation,
    TrialFacts,
    TrialState,
)
from rung.api.names import API_VERSION
from rung.api.study import Study, parse_study
from rung.brain import Plan, StudyRecord, StudyVerdict, Trials, applied, decide
from rung.brain.board import Incumbent
from rung.brain.decisions import Conclude, Create, Decision, End, Start, created
from rung.executor.body import Sight
from rung.executor.fold import folded
from rung.executor.record import CURVE_POINTS, thinned

NAME = "optimizer"

NO_CLUSTER = {
    "retries": 0,  # a caller who says Failed means it
    "checkpoint": {"persistentVolumeClaim": NAME},  # a trial goes on where it stopped: its program knows how
    "podTemplate": {"spec": {"containers": [{"name": "trial", "image": "none"}]}},
}
"""The part of a Study's spec that says how trials run."""

Values = float | list[float] | tuple[float, ...] | Mapping[str, float]
"""Metrics by name; or the objectives in their order, where the study reads nothing else."""

ENDS = frozenset({TrialState.SUCCEEDED, TrialState.FAILED, TrialState.INFEASIBLE, TrialState.STOPPED})
"""States in which a caller may end a trial."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try."""

    number: int
    parameters: Assignment  # the active ones, fixed and derived ones included
    seed: int  # for the program's own randomness
    target: int | None = None  # the step to train up to; None: the study has no resource
    resume_from: float | None = None  # the step to go on from: its own, or its parent's
    parent: int | None = None  # a clone begins with what this trial had there; None: with nothing, or where it paused


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The trial is over, and why. What is told of it later changes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep a checkpoint and free the worker: `ask` may give the trial out again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """A trial that has a result. `complete`: it ran to its end; otherwise it was stopped at `step`."""

    number: int
    parameters: Assignment
    values: Mapping[str, float]  # as told: objectives, constraints, recorded metrics
    complete: bool
    step: float


class Optimizer:
    """A study whose trials the caller runs. Every method may be called from any thread."""

    def __init__(
        self,
        parameters: Sequence[Mapping[str, Any]],
        objectives: Sequence[Mapping[str, Any]],
        *,
        constraints: Sequence[Mapping[str, Any]] = (),
        parameter_constraints: Sequence[str] = (),
        sampler: Mapping[str, Any] | None = None,
        scheduler: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        repeats: Mapping[str, Any] | None = None,
        warm_start: Mapping[str, Any] | None = None,
        record: Sequence[str] = (),
        seed: int = 0,
        gpus: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Everything but the last two as in a Study's spec, where numbers may be floats too.

        `record`: further metrics that are kept of what is told. `gpus` of a running trial, for limits.gpuHours. `clock`
        gives seconds since the epoch, for times in the record and limits.durationSeconds. Raises InvalidStudy with the
        field's path.
        """
        spec: dict[str, Any] = {
            "parameters": parameters,
            "objectives": objectives,
            "constraints": constraints,
            "parameterConstraints": parameter_constraints,
            "sampler": sampler,
            "scheduler": scheduler,
            "limits": limits,
            "repeats": repeats,
            "warmStart": warm_start,
            "metrics": {"record": record} if record else None,
            "seed": seed,
            "trial": NO_CLUSTER,
        }
        given = {name: _plain(value) for name, value in spec.items() if value is not None}
        document = {"apiVersion": API_VERSION, "kind": "Study", "metadata": {"name": NAME}, "spec": given}
        self._begin(parse_study(document, strict=True), gpus, clock)

    @classmethod
    def of(
        cls,
        study: Study,
        facts: Iterable[Mapping[str, Any]] = (),
        *,
        gpus: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> Optimizer:
        """For a Study as it was read from a file, from these facts on. Raises InvalidStudy."""
        optimizer = cls.__new__(cls)
        optimizer._begin(study, gpus, clock)  # noqa: SLF001 - our own
        optimizer._load(facts)  # noqa: SLF001
        return optimizer

    @classmethod
    def restore(cls, facts: Iterable[Mapping[str, Any]], *given: Any, **named: Any) -> Optimizer:
        """The optimizer that `facts` were taken from; the rest as for a new one. The order of the facts does not matter."""
        optimizer = cls(*given, **named)
        optimizer._load(facts)
        return optimizer

    def _begin(self, study: Study, gpus: int, clock: Callable[[], float]) -> None:
        self._plan = Plan.of(study)
        if self._plan.awaits:
            raise InvalidStudy(
                "spec.warmStart.studies", "an Optimizer knows no other study: give their points, with values"
            )
        self._trials = Trials(self._plan)
        self._gpus = gpus
        self._clock = clock
        self._lock = threading.RLock()
        self._began = math.inf  # when the first trial did: the facts alone say it
        self._load(())

    def _load(self, facts: Iterable[Mapping[str, Any]]) -> None:
        for document in facts:
            known = _read(document)
            self._trials.put(known)
            self._began = min(self._began, math.inf if known.started_at is None else known.started_at)
        self._record()

    def ask(self) -> Trial | None:
        """The next trial. None: nothing to try now; `verdict` says whether the study is over."""
        with self._lock:
            started = None
            for decision in self._decide(slots=1):
                self._apply(decision)
                if isinstance(decision, Start):
                    started = self._trial(self._trials[decision.number])
            return started

    def report(self, number: int, step: float, values: Values) -> Continue | Stop | Pause:
        """What a running trial measured at a step, and what becomes of it. The same step again replaces its values.

        Values may be infinite or NaN: a diverged loss is a fact. Raises BadObservation for a trial that was never asked
        for, a step that is no number from 0 on, and values that are no numbers.
        """
        with self._lock:
            facts = self._known(number)
            if facts.finished and facts.live is None:
                return Stop(facts.message)
            _check_runs(facts)
            if isinstance(step, bool) or not isinstance(step, int | float) or not 0 <= step < math.inf:
                raise BadObservation(f"trial {number}: a step must be a number from 0 on, got {step!r}")
            self._fold(facts, Observation(float(step), self._metrics(number, values)))
            self._record()
            facts = self._trials[number]
            if facts.finished:
                return Stop(facts.message)
            return Continue() if facts.live is not None else Pause(facts.message)

    def tell(self, number: int, values: Values | None = None, state: TrialState | str | None = None) -> TrialState:
        """A trial has ended; the state in which it stands from now on.

        Succeeded: it ran to its end, and its result is what is told, and what it reported last of anything else; this
        is what values without a state mean. Failed: what neither values nor state mean. Infeasible: such a configuration
        cannot work. Stopped: the caller ended it. Of a trial that was told to stop, nothing more is recorded. Raises
        BadObservation for one that was never asked for or was told before, for values that are no numbers or lack what the
        study reads, and for any other state.
        """
        with self._lock:
            facts = self._known(number)
            if facts.finished and facts.live is None:
                return facts.state
            _check_runs(facts)
            told = _ended(number, values, state)
            if values is not None:
                self._last_word(facts, self._metrics(number, values), told)
            self._end(self._trials[number], told)
            self._record()
            return self._trials[number].state

    @property
    def verdict(self) -> StudyVerdict:
        """Where the study stood after the last call, and why: goal reached, all trials done, nothing left to try."""
        return self._verdict

    @property
    def best(self) -> Result | None:
        """The best trial by the first objective that keeps to all constraints; until one ran to its end, of the stopped."""
        with self._lock:
            found = self._trials.incumbent
            return None if found is None else self._result(found)

    @property
    def front(self) -> tuple[Result, ...]:
        """The trials that no other one beats in every objective."""
        with self._lock:
            return tuple(self._result(found) for found in self._trials.front)

    @property
    def running(self) -> tuple[Trial, ...]:
        """Trials that were asked for and have not ended, by number: those to take up again after `restore`."""
        with self._lock:
            return tuple(self._trial(facts) for facts in self._trials.live)

    def facts(self) -> list[dict[str, Any]]:
        """What is known of every trial, by number: plain values for JSON."""
        with self._lock:
            return [_written(FACTS.dump_python(f, mode="json")) for f in sorted(self._trials, key=lambda f: f.number)]

    # --- one decision after the other, as rung.executor.reconcile does for bodies that take time

    def _record(self) -> None:
        """Decide and apply what follows from the facts, and start nothing."""
        self._decide(slots=0)

    def _decide(self, slots: int) -> list[Create | Start]:
        """Apply what is decided until nothing is left to record; what is to be started is left to the caller."""
        now = self._clock()
        record = StudyRecord(started_at=min(self._began, now))
        while True:
            decided = decide(self._plan, record, self._trials, now, slots)
            starts: list[Create | Start] = []
            for decision in decided.decisions:
                if isinstance(decision, Create | Start):
                    starts.append(decision)
                else:
                    self._apply(decision)
            if decided.verdict is not None:
                self._verdict = decided.verdict
            if not decided.again:
                return starts

    def _apply(self, decision: Decision) -> None:
        now = self._clock()
        match decision:
            case Create():
                self._trials.put(created(decision))
            case Start():
                self._began = min(self._began, now)
                attempt = Attempt(decision.attempt, AttemptPhase.RUNNING, started_at=now)
                facts = applied(self._trials[decision.number], decision, now)
                facts = replace(facts, gpus=self._gpus)
                self._trials.put(folded(self._plan, facts, Sight(attempt, last_observed_at=now), now))
            case End():  # its worker hears of it at its next report: the record is closed now
                self._trials.put(replace(self._trials[decision.number], live=None))
            case _:
                self._trials.put(applied(self._trials[decision.number], decision, now))

    def _fold(self, facts: TrialFacts, observation: Observation) -> None:
        """One observation of the running attempt. Of a long curve no more is kept than a Trial object could hold."""
        now = self._clock()
        sight = Sight(facts.live, (observation,), checkpoint_step=observation.step, last_observed_at=now)
        if self._plan.rung_by_rung:  # a sight holds all that a run has said
            sight = replace(sight, checkpoint_step=None, metrics=_with(facts.metrics, observation))
        seen = folded(self._plan, facts, sight, now)
        if len(seen.curve) > 2 * CURVE_POINTS:
            seen = replace(seen, curve=tuple(thinned(seen.curve, self._plan.rungs(facts))))
        self._trials.put(seen)

    def _end(self, facts: TrialFacts, told: TrialState) -> None:
        """The attempt is over; what that means for the trial is decided next."""
        now = self._clock()
        match told:
            case TrialState.STOPPED:
                self._trials.put(replace(facts, stop_requested=True))
                return
            case TrialState.INFEASIBLE:
                values = self._plan.measure.values(facts)
                self._apply(Conclude(facts.number, told, "ToldInfeasible", "told to be Infeasible", values))
        well = told is TrialState.SUCCEEDED
        end, message = (AttemptEnd.COMPLETED, "") if well else (AttemptEnd.CRASHED, f"told to be {told.value}")
        live = facts.live or Attempt(facts.attempt, AttemptPhase.RUNNING)
        ended = replace(live, phase=AttemptPhase.ENDED, ended_at=now, end=end, message=message, collected=True)
        self._trials.put(folded(self._plan, self._trials[facts.number], Sight(ended), now))

    # --- reading what the caller said

    def _known(self, number: int) -> TrialFacts:
        if number not in self._trials:
            raise BadObservation(f"trial {number} was never asked for; there are {len(self._trials)}")
        return self._trials[number]

    def _metrics(self, number: int, values: Values) -> dict[str, float]:
        """By name."""
        wanted = self._plan.measure.wanted
        if not isinstance(values, Mapping):
            listed = list(values) if isinstance(values, list | tuple | np.ndarray) else [values]
            if len(listed) != len(wanted):
                raise BadObservation(f"trial {number}: the study reads {', '.join(wanted)}; give values by name")
            values = dict(zip(wanted, listed, strict=True))
        return {str(name): _number(number, name, value) for name, value in values.items()}

    def _last_word(self, facts: TrialFacts, values: Mapping[str, float], told: TrialState) -> None:
        """Values without a step: what differs from the last report stands right behind it, or at the target."""
        said = {name: summary.last for name, summary in facts.metrics.items()}
        missing = [name for name in self._plan.measure.wanted if name not in {**said, **values}]
        if missing and told is TrialState.SUCCEEDED:
            raise BadObservation(f"trial {facts.number}: values lack {', '.join(missing)}; told: {', '.join(values)}")
        news = {name: value for name, value in values.items() if said.get(name) != value}
        if news:
            behind = float(self._plan.target or 1) if facts.step is None else math.nextafter(facts.step, math.inf)
            self._fold(facts, Observation(behind, news))

    # --- showing

    def _trial(self, facts: TrialFacts) -> Trial:
        resume_from, parent = facts.checkpoint_step if facts.attempt > 1 else None, None
        if facts.checkpoint_step is None and facts.descent is not None and facts.descent.step is not None:
            resume_from, parent = facts.descent.step, facts.descent.parent
        target = self._plan.attempt_target(facts)
        return Trial(facts.number, facts.parameters, facts.seed, target, resume_from, parent)

    def _result(self, found: Incumbent) -> Result:
        facts = self._trials[found.number]
        values = {**facts.values, **found.values} if found.runs > 1 else facts.values
        return Result(found.number, facts.parameters, values, found.complete, found.step)


FACTS: TypeAdapter[TrialFacts] = TypeAdapter(TrialFacts)


def _written(value: Any) -> Any:
    """For JSON, which has no word for what is not finite."""
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _with(known: Mapping[str, MetricSummary], observation: Observation) -> dict[str, MetricSummary]:
    """Running figures of a run, this report included."""
    found = dict(known)
    for name, value in observation.values.items():
        summary = found.get(name)
        step = observation.step
        found[name] = MetricSummary.of(step, value) if summary is None else summary.then(step, value)
    return found


def _read(document: Mapping[str, Any]) -> TrialFacts:
    try:
        return FACTS.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadObservation(f"facts of trial {document.get('number')}: {where}: {first['msg']}") from error


def _check_runs(facts: TrialFacts) -> None:
    if facts.live is None or not facts.live.live:
        raise BadObservation(f"trial {facts.number} does not run: it is {facts.state.value} already")


def _ended(number: int, values: Values | None, state: TrialState | str | None) -> TrialState:
    """The state that a caller means."""
    told = state or (TrialState.FAILED if values is None else TrialState.SUCCEEDED)
    if told not in ENDS:
        raise BadObservation(f"trial {number}: state must be one of {', '.join(sorted(ENDS))}, got {state}")
    return TrialState(told)


def _number(trial: int, name: object, value: object) -> float:
    try:
        if not isinstance(value, bool | str | bytes):
            return float(value)  # type: ignore[arg-type]  # numbers of any library
    except (TypeError, ValueError):
        pass
    raise BadObservation(f"trial {trial}: {name} must be a number, got {value!r}")


def _plain(value: Any) -> Any:
    """As a YAML reader would give it: a spec holds floats as their digits, since the API convention forbids them."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value) if isinstance(value, float) else value
