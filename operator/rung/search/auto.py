"""The choice that is made where the user makes none.

every assignment fits into limits.trials    Grid: nothing is left out, nothing is tried twice
otherwise                                   Sobol: even in each parameter, at every parallelism, with nothing to
configure
"""

from __future__ import annotations

from rung.api.study import StudySpec, resolved_trials
from rung.search.fitting import SEARCHABLE
from rung.search.grid import GridSampler
from rung.search.protocol import Sampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space


def auto(spec: StudySpec, space: Space) -> Sampler:
    """Grid or Sobol.

    Without a limit on trials it is Sobol however small the space: a grid leaves the later values of the first parameter for
    last, and nobody knows how far the other budgets reach.
    """
    size = space.grid_size()
    trials = resolved_trials(spec, size)
    if size is None or trials is None or (size > SEARCHABLE and not space.unrestricted):
        return SobolSampler()
    at_most = min(trials, SEARCHABLE)
    return GridSampler(space) if space.grid.count(at_most + 1) <= at_most else SobolSampler()
