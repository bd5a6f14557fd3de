"""Samplers: which assignment should the next trial try?

`make_sampler` is the door; `protocol` says what is asked and answered.
"""

from collections.abc import Sequence

from rung.api.errors import InvalidStudy
from rung.api.sampler import CmaesOptions
from rung.api.study import Direction, Objective, SamplerType, StudySpec, Use, resolved_assignments
from rung.search.auto import auto
from rung.search.cmaes import CmaesSampler
from rung.search.enqueued import EnqueuedPoint, WithEnqueued, enqueued
from rung.search.evolution import EvolutionSampler
from rung.search.grid import GridSampler
from rung.search.halton import HaltonSampler
from rung.search.latin_hypercube import LatinHypercubeSampler
from rung.search.list import ListSampler
from rung.search.nsga2 import Nsga2Sampler
from rung.search.protocol import Proposal, Request, Sampler, Setting, Told
from rung.search.random import RandomSampler
from rung.search.reinforce import ReinforceSampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space

__all__ = ["EnqueuedPoint", "Proposal", "Request", "Sampler", "Setting", "Told", "make_sampler", "setting_of"]


def make_sampler(spec: StudySpec, space: Space, others: Sequence[EnqueuedPoint] | None = None) -> Sampler:
    """The sampler of a study, with the enqueued points in front of it.

    `others` are those of other studies; None: not known yet.

    Raises InvalidStudy if the sampler cannot search this space, or an enqueued point does not belong to it.
    """
    sampler = _make(spec, space)
    points = (*enqueued(spec, space), *(others or ()))
    if spec.sampler.type is SamplerType.LIST and not points and not (others is None and _enqueues(spec)):
        raise InvalidStudy("spec.sampler.type", "List runs exactly the points of warmStart, and there are none")
    return WithEnqueued(sampler, points) if points else sampler


def _make(spec: StudySpec, space: Space) -> Sampler:
    match spec.sampler.type:
        case SamplerType.AUTO:
            return auto(setting_of(spec, space))
        case SamplerType.RANDOM:
            return RandomSampler()
        case SamplerType.GRID:
            return GridSampler(space)
        case SamplerType.HALTON:
            return HaltonSampler()
        case SamplerType.SOBOL:
            return SobolSampler()
        case SamplerType.LATIN_HYPERCUBE:
            return LatinHypercubeSampler(resolved_assignments(spec, space.grid_size()))
        case SamplerType.LIST:
            return ListSampler()
        case _:
            return _learner(spec, setting_of(spec, space))


def _learner(spec: StudySpec, setting: Setting) -> Sampler:
    match spec.sampler.type:
        case SamplerType.GP:
            from rung.search.gp.sampler import GPSampler  # noqa: PLC0415 - scipy: 0.2 s that others need not pay

            return GPSampler(setting)
        case SamplerType.TPE:
            from rung.search.tpe import TPESampler  # noqa: PLC0415 - scipy, likewise

            return TPESampler(setting)
        case SamplerType.RANDOM_FOREST:
            from rung.search.random_forest import RandomForestSampler  # noqa: PLC0415 - scipy, likewise

            return RandomForestSampler(setting)
        case SamplerType.CMAES:
            options = spec.sampler.cmaes or CmaesOptions()
            return CmaesSampler(setting, restarts=options.restarts)
        case SamplerType.EVOLUTION:
            return EvolutionSampler(setting)
        case SamplerType.REINFORCE:
            return ReinforceSampler(setting)
        case SamplerType.NSGA2:
            return Nsga2Sampler(setting)
        case kind:
            raise ValueError(f"{kind} does not learn")


def _enqueues(spec: StudySpec) -> bool:
    """Whether points of other studies are to be run."""
    return spec.warm_start is not None and any(entry.use is Use.ENQUEUE for entry in spec.warm_start.studies)


def setting_of(spec: StudySpec, space: Space) -> Setting:
    """What a sampler that learns knows of the study from the beginning."""
    resource = spec.scheduler.resource
    return Setting(
        space=space,
        objectives=len(spec.objectives),
        references=tuple(_reference(objective) for objective in spec.objectives),
        constraints=len(spec.constraints),
        trials=resolved_assignments(spec, None),
        parallelism=spec.limits.parallelism,
        target=None if resource is None else resource.max,
        startup=spec.sampler.startup_trials,
    )


def _reference(objective: Objective) -> float | None:
    """Turned so that smaller is better."""
    if objective.reference is None:
        return None
    value = float(objective.reference)
    return value if objective.direction is Direction.MINIMIZE else -value
