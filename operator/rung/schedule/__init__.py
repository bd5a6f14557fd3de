"""Schedulers: which trials are compared, where, and which of them stop. See `rung.schedule.protocol`."""

from __future__ import annotations

from rung.api.errors import InvalidStudy
from rung.api.scheduler import POPULATIONS
from rung.api.study import Direction, Mode, Resource, SchedulerSpec, SchedulerType, StudySpec
from rung.schedule.asha import Asha
from rung.schedule.curve_extrapolation import CurveExtrapolation
from rung.schedule.hyper_tune import HyperTune
from rung.schedule.hyperband import Hyperband
from rung.schedule.median_stop import MIN_TRIALS, MedianStop
from rung.schedule.none import NoScheduler
from rung.schedule.pasha import Pasha
from rung.schedule.pbt import Pbt
from rung.schedule.protocol import (
    Entry,
    Judgement,
    Membership,
    Rung,
    RungTable,
    Scheduler,
    Statistic,
    Verdict,
)
from rung.schedule.rungs import ladder
from rung.schedule.successive_halving import SuccessiveHalving
from rung.schedule.wording import Wording

__all__ = [
    "Asha",
    "CurveExtrapolation",
    "Entry",
    "HyperTune",
    "Hyperband",
    "Judgement",
    "MedianStop",
    "Membership",
    "NoScheduler",
    "Pasha",
    "Pbt",
    "Rung",
    "RungTable",
    "Scheduler",
    "Statistic",
    "SuccessiveHalving",
    "Verdict",
    "Wording",
    "make_scheduler",
]

DEFAULT_ETA = 3
"""The paper's choice: e is the optimum of its bound, and 3 is the next whole number."""

INTERVALS = 10
"""Comparisons in a population's training where nobody says how many: enough to follow a schedule, few enough for each to tell
more than noise."""


def make_scheduler(spec: StudySpec) -> Scheduler:
    """The scheduler that a study asks for.

    Raises InvalidStudy with the field's path where the type needs a resource that is not given, where the ladder does
    not exist, and (reason NotImplemented) for a mode that a later version brings.
    """
    asked = spec.scheduler
    if asked.type is SchedulerType.NONE:
        return NoScheduler(target=None if asked.resource is None else asked.resource.max)
    if asked.mode not in {None, Mode.STOP, Mode.RESTART}:
        raise InvalidStudy(
            "spec.scheduler.mode", f"{asked.mode} is not implemented yet; use Stop or Restart", reason="NotImplemented"
        )
    resource = asked.resource
    if asked.type is SchedulerType.MEDIAN_STOP:
        return _median_stop(asked, resource, spec)
    if resource is None:
        message = f"{asked.type.value} compares trials at steps: give resource, for example {{metric: epoch, max: 27}}"
        raise InvalidStudy("spec.scheduler.resource", message)
    if asked.type in POPULATIONS:
        return _population(spec, asked, resource)
    try:
        return _compared(asked, resource, _wording(spec, resource))
    except ValueError as error:
        raise InvalidStudy("spec.scheduler", str(error)) from error


def _compared(asked: SchedulerSpec, resource: Resource, wording: Wording) -> Scheduler:
    """A scheduler with rungs. Raises ValueError for a ladder that does not exist, and for other types."""
    eta = DEFAULT_ETA if asked.eta is None else asked.eta
    low, high = resource.min, resource.max
    match asked.type:
        case SchedulerType.SUCCESSIVE_HALVING:
            return SuccessiveHalving(low, high, eta, wording=wording)
        case SchedulerType.HYPERBAND:
            return Hyperband(low, high, eta, brackets=asked.brackets, wording=wording)
        case SchedulerType.ASHA:
            return Asha(low, high, eta, brackets=asked.brackets or 1, wording=wording)
        case SchedulerType.HYPER_TUNE:
            return HyperTune(low, high, eta, brackets=asked.brackets or len(ladder(low, high, eta)), wording=wording)
        case SchedulerType.PASHA:
            return Pasha(low, high, eta, wording=wording)
        case SchedulerType.CURVE_EXTRAPOLATION:
            return CurveExtrapolation(low, high, wording=wording)
        case kind:
            raise ValueError(f"{kind} has no rungs")


def _population(spec: StudySpec, asked: SchedulerSpec, resource: Resource) -> Pbt:
    """Raises InvalidStudy where there is no step to compare at, or too many. What clones change is the brain's matter."""
    options = asked.pbt
    if options is None:
        raise InvalidStudy("spec.scheduler.pbt", f"pbt.population is required for scheduler {asked.type.value}")
    interval = options.interval_steps or max(1, resource.max // INTERVALS)
    try:
        return Pbt(
            resource.min,
            resource.max,
            interval,
            population=options.population,
            quantile=float(options.quantile),
            seed=spec.seed,
            wording=_wording(spec, resource),
        )
    except ValueError as error:
        raise InvalidStudy("spec.scheduler.pbt.intervalSteps", str(error)) from error


def _median_stop(asked: SchedulerSpec, resource: Resource | None, spec: StudySpec) -> MedianStop:
    """The one scheduler that needs no last step: it compares trials at equal steps, however many there are."""
    options = asked.median_stop
    low, high = (1, None) if resource is None else (resource.min, resource.max)
    start = low if options is None or options.start_step is None else options.start_step
    fewest = MIN_TRIALS if options is None or options.min_trials is None else options.min_trials
    try:
        return MedianStop(start, high, min_trials=fewest, wording=_wording(spec, resource))
    except ValueError as error:
        raise InvalidStudy("spec.scheduler", str(error)) from error


def _wording(spec: StudySpec, resource: Resource | None) -> Wording:
    """Reasons name the metrics that trials are ranked by, as the user wrote them."""
    ranked = spec.scheduler.rank_by or spec.objectives[0]
    others = () if spec.scheduler.rank_by else spec.objectives[1:]
    counter = "step" if resource is None else resource.metric
    return Wording(
        metric=ranked.metric,
        resource=counter,
        maximize=ranked.direction is Direction.MAXIMIZE,
        others=tuple((objective.metric, objective.direction is Direction.MAXIMIZE) for objective in others),
    )
