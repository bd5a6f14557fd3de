"""Random search: independent uniform points, on each parameter's scale. Source: Bergstra & Bengio 2012."""

from __future__ import annotations

from rung.search.fitting import fitting
from rung.search.protocol import Proposal, Request
from rung.search.sequences import uniform


class RandomSampler:
    """Trial n is the n-th random point of the study's seed."""

    learns = False

    def propose(self, request: Request) -> Proposal | None:
        """The n-th point, or a further one in its place. None: a finite space is exhausted."""
        return fitting(request, uniform(request.seed, request.space.d, request.number))
