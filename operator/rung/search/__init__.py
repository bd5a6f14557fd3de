"""Samplers: which assignment should the next trial try?

`make_sampler` is the door; `protocol` says what is asked and answered. None of the samplers here learns from results.
"""

from rung.api.errors import InvalidStudy
from rung.api.study import SamplerType, StudySpec
from rung.search.auto import auto
from rung.search.enqueued import WithEnqueued, enqueued
from rung.search.grid import GridSampler
from rung.search.halton import HaltonSampler
from rung.search.list import ListSampler
from rung.search.protocol import Proposal, Request, Sampler, Told
from rung.search.random import RandomSampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space

__all__ = ["Proposal", "Request", "Sampler", "Told", "make_sampler"]


def make_sampler(spec: StudySpec, space: Space) -> Sampler:
    """The sampler of a study, with the enqueued points in front of it.

    Raises InvalidStudy if the sampler cannot search this space, or an enqueued point does not belong to it; with the
    reason "NotImplemented" for a sampler that a later version will bring.
    """
    sampler = _make(spec, space)
    points = enqueued(spec, space)
    if spec.sampler.type is SamplerType.LIST and not points:
        raise InvalidStudy("spec.sampler.type", "List runs exactly the points of warmStart, and there are none")
    return WithEnqueued(sampler, points) if points else sampler


def _make(spec: StudySpec, space: Space) -> Sampler:
    match spec.sampler.type:
        case SamplerType.AUTO:
            return auto(spec, space)
        case SamplerType.RANDOM:
            return RandomSampler()
        case SamplerType.GRID:
            return GridSampler(space)
        case SamplerType.HALTON:
            return HaltonSampler()
        case SamplerType.SOBOL:
            return SobolSampler()
        case SamplerType.LIST:
            return ListSampler()
        case other:
            raise InvalidStudy(
                "spec.sampler.type", f"{other.value} is not available in this version", reason="NotImplemented"
            )
