"""A study, compiled once per generation: everything that a decision needs and that does not change from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rung.api.errors import InvalidStudy
from rung.api.implemented import check_decidable
from rung.api.limits import Aggregate, RepeatsOf, resolved_trials
from rung.api.study import Mode, SchedulerType, StartedFrom, Study, StudySpec
from rung.brain.measure import Measure, compile_measure
from rung.schedule import Pbt, make_scheduler
from rung.schedule.protocol import Scheduler
from rung.search import EnqueuedPoint, make_sampler
from rung.search.protocol import Sampler, Told
from rung.space.space import Space

if TYPE_CHECKING:
    from rung.api.facts import TrialFacts
    from rung.brain.board import Incumbent
    from rung.brain.trials import Trials
    from rung.search.pb2 import Bandit

HOURS = 3600.0


@dataclass(frozen=True, slots=True)
class Source:
    """What another study contributes. `mark` says which of its trials count: with it the same facts are found again."""

    mark: StartedFrom
    told: tuple[Told, ...] = ()  # in this study's space, by this study's measure
    points: tuple[EnqueuedPoint, ...] = ()  # to be run here, the best first
    gone: bool = False  # it was deleted since: it contributes nothing more


@dataclass(frozen=True)
class Plan:
    """An accepted study. Build it with `Plan.of`; holding one means that the study can run, once the studies that it
    `awaits` have ended.
    """

    study: Study
    space: Space
    sampler: Sampler
    scheduler: Scheduler
    measure: Measure
    trial_limit: int | None
    gpu_seconds_limit: float | None
    sources: tuple[Source, ...] | None = None  # of spec.warmStart.studies; None: not known yet

    @staticmethod
    def of(study: Study) -> Plan:
        """Compile and check everything that needs no cluster.

        Raises InvalidStudy with the field's path, reason "NotImplemented" for what a later version will bring.
        """
        spec = study.spec
        check_decidable(spec)
        space = Space.of(spec.parameters, spec.parameter_constraints)
        sampler = make_sampler(spec, space)
        scheduler = make_scheduler(spec)
        plan = Plan(
            study=study,
            space=space,
            sampler=sampler,
            scheduler=scheduler,
            measure=compile_measure(spec),
            trial_limit=resolved_trials(spec, None),  # a grid ends by itself
            gpu_seconds_limit=_gpu_seconds_limit(spec),
        )
        if plan.population is not None and spec.repeats is not None:
            kind = spec.scheduler.type.value
            message = f"{kind} knows no repeats: a clone goes on from another trial's checkpoint; leave repeats out"
            raise InvalidStudy("spec.repeats", message)
        if plan.trial_limit is not None and plan.trial_limit < plan.cost:
            message = f"{plan.trial_limit} trials are fewer than spec.repeats.count ({plan.cost}): repeats count too"
            raise InvalidStudy("spec.limits.trials", message)
        return plan

    def started_from(self, sources: Sequence[Source]) -> Plan:
        """The plan of a study that begins with what others found. Raises InvalidStudy where there is nothing to run.

        Not where one of them is gone: what was run before it went stays.
        """
        points = [point for source in sources for point in source.points]
        known = points or (None if any(source.gone for source in sources) else [])
        return replace(self, sources=tuple(sources), sampler=make_sampler(self.spec, self.space, known))

    @property
    def awaits(self) -> tuple[str, ...]:
        """Studies whose results have to be known before this one can start."""
        start = self.spec.warm_start
        return () if start is None or self.sources is not None else tuple(entry.name for entry in start.studies)

    @property
    def marks(self) -> tuple[StartedFrom, ...]:
        """What is recorded of the studies that this one started from."""
        return tuple(source.mark for source in self.sources or ())

    @cached_property
    def told(self) -> tuple[Told, ...]:
        """What other studies found: the beginning of each sampler's history."""
        return tuple(told for source in self.sources or () for told in source.told)

    @property
    def spec(self) -> StudySpec:
        """What the user wrote, defaults filled in."""
        return self.study.spec

    @property
    def target(self) -> int | None:
        """The step to train up to; None where no resource is given."""
        return self.scheduler.target

    @property
    def population(self) -> Pbt | None:
        """The scheduler, where it replaces members of a population by clones."""
        return self.scheduler if isinstance(self.scheduler, Pbt) else None

    @cached_property
    def bandit(self) -> Bandit | None:
        """Who proposes what clones change, where that is not drawn."""
        options = self.spec.scheduler.pbt
        if self.spec.scheduler.type is not SchedulerType.PB2 or options is None:
            return None
        from rung.search.pb2 import Bandit  # noqa: PLC0415 - scipy: 0.2 s that others need not pay

        return Bandit(self.space, options.mutate)

    @property
    def rung_by_rung(self) -> bool:
        """Every rung is an attempt of its own: it trains to that rung, and is judged once it has completed."""
        return self.spec.scheduler.mode is Mode.RESTART

    def rungs(self, facts: TrialFacts) -> tuple[int, ...]:
        """Where the trial is compared. A repeat is compared with nobody: it measures a whole run. A clone goes on from the rung
        at which the other one was stopped.
        """
        if facts.repeat_of is not None:
            return ()
        rungs = self.scheduler.rungs(facts.bracket)
        return rungs if facts.descent is None else tuple(rung for rung in rungs if rung > facts.descent.rung)

    def next_rung(self, facts: TrialFacts) -> int | None:
        """The first rung that the trial has no record of; None: it has come to the end of its ladder."""
        recorded = {record.step for record in facts.rungs}
        return next((rung for rung in self.rungs(facts) if rung not in recorded), None)

    def attempt_target(self, facts: TrialFacts) -> int | None:
        """The step to which the trial's attempt trains, by the recorded rungs alone."""
        rung = self.next_rung(facts) if self.rung_by_rung else None
        return self.target if rung is None else rung

    @property
    def runs_each(self) -> int:
        """Runs of an assignment that is repeated, the first included."""
        return 1 if self.spec.repeats is None else self.spec.repeats.count

    @property
    def aggregate(self) -> Aggregate:
        """How several runs of an assignment become one value."""
        return Aggregate.MEAN if self.spec.repeats is None else self.spec.repeats.aggregate

    @property
    def repeats_all(self) -> bool:
        """Every assignment is run several times."""
        return self.runs_each > 1 and self.spec.repeats is not None and self.spec.repeats.of is RepeatsOf.ALL

    @property
    def repeats_at_once(self) -> bool:
        """Nothing can stop a first run: its repeats need not wait for it."""
        return self.repeats_all and self.spec.scheduler.type is SchedulerType.NONE

    @property
    def cost(self) -> int:
        """Trials that a new assignment takes of limits.trials."""
        return self.runs_each if self.repeats_at_once else 1

    @property
    def counter(self) -> str | None:
        """The metric that trials count their steps in; None: nothing has to count them."""
        resource = self.spec.scheduler.resource
        return None if resource is None or self.rung_by_rung else resource.metric

    @property
    def resource_name(self) -> str:
        """What the study counts its steps in."""
        resource = self.spec.scheduler.resource
        return "step" if resource is None else resource.metric

    def summary(self, trials: Trials) -> str:
        """One line on the best trial so far."""
        best = trials.incumbent
        if best is None:
            return "no result yet"
        said = ", ".join(
            f"{goal.figure.name} {goal.rank(value):.6g}"
            for goal, value in zip(self.measure.goals, best.objectives, strict=True)
        )
        return f"best trial {best.number}: {said}{self.remark(best)}"

    def remark(self, best: Incumbent) -> str:
        """What has to be known of the best trial's values, in brackets: how far it came, of how many runs they are."""
        said = [] if best.complete else [f"stopped at {self.resource_name} {best.step:g}"]
        if self.runs_each > 1:
            said.append(f"{self.aggregate.value.lower()} of {best.runs} runs" if best.runs > 1 else "1 run")
        if best.errors and best.errors[0] is not None:
            said.append(f"standard error {best.errors[0]:.2g}")
        return f" ({', '.join(said)})" if said else ""

    def trial_seed(self, number: int, repeat: int = 0) -> int:
        """A seed for the trial's own program: keyed by study seed and number, below 2**31 so that every framework takes it.

        Where assignments are repeated, by study seed and repeat: run r of one is to be compared with run r of another.
        """
        key = number if self.runs_each == 1 else repeat
        return int(np.random.SeedSequence([self.spec.seed, key]).generate_state(1)[0] & 0x7FFF_FFFF)


def _gpu_seconds_limit(spec: StudySpec) -> float | None:
    if spec.limits.gpu_hours is None:
        return None
    hours = float(spec.limits.gpu_hours)
    if hours <= 0:
        raise InvalidStudy("spec.limits.gpuHours", f"must be above 0, got {spec.limits.gpu_hours}")
    return hours * HOURS
