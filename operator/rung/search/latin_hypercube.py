"""Latin hypercube: with as many trials as there are strata, each axis is visited exactly once in each of its strata.
Source: McKay, Beckman & Conover 1979.
"""

from __future__ import annotations

from rung.search.fitting import fitting
from rung.search.protocol import Proposal, Request
from rung.search.sequences import latin_hypercube

BLOCK = 64
"""Strata where nobody knows how many trials there will be: as many as the default of limits.trials. Each further block is
a hypercube of its own."""


class LatinHypercubeSampler:
    """Trial n is the n-th point of the study's hypercube, not counting trials that came from the warm start."""

    learns = False

    def __init__(self, trials: int | None) -> None:
        """`trials`: how many there will be; None: nobody knows."""
        self._strata = BLOCK if trials is None else trials

    def propose(self, request: Request) -> Proposal | None:
        """The n-th point, or a shifted one in its place. None: a finite space is exhausted."""
        n = max(request.number - len(request.enqueued), 0)
        return fitting(request, latin_hypercube(request.seed, request.space.d, n, self._strata))
