"""Halton points: even at every length of the study, not just at powers of two. Source: Owen 2017, "A randomized Halton
algorithm in R".
"""

from __future__ import annotations

from rung.search.fitting import fitting
from rung.search.protocol import Proposal, Request
from rung.search.sequences import halton


class HaltonSampler:
    """Trial n is the n-th scrambled Halton point of the study's seed."""

    learns = False

    def propose(self, request: Request) -> Proposal | None:
        """The n-th point, or a shifted one in its place. None: a finite space is exhausted."""
        return fitting(request, halton(request.seed, request.space.d, request.number))
