"""Sobol' points: fill the space more evenly than random ones, whichever parameters turn out to matter. Source: Owen
1998.
"""

from __future__ import annotations

from rung.search.fitting import fitting
from rung.search.protocol import Proposal, Request
from rung.search.sequences import sobol


class SobolSampler:
    """Trial n is the n-th scrambled Sobol' point of the study's seed."""

    learns = False

    def propose(self, request: Request) -> Proposal | None:
        """The n-th point, or a shifted one in its place. None: a finite space is exhausted.

        Raises InvalidStudy beyond 256 searched parameters.
        """
        return fitting(request, sobol(request.seed, request.space.d, request.number))
