"""The choice that is made where the user makes none.

every assignment fits into limits.trials    Grid: nothing is left out, nothing is tried twice
otherwise                                   Sobol: even in each parameter, at every parallelism, with nothing to
configure
"""

from __future__ import annotations

from rung.api.study import Limits
from rung.search.fitting import SEARCHABLE
from rung.search.grid import GridSampler
from rung.search.protocol import Sampler
from rung.search.sobol import SobolSampler
from rung.space.space import Space

DEFAULT_TRIALS = 64
"""The trials of a study that limits neither trials nor GPU hours nor its duration. Without a limit on trials a grid's order would
leave the later values of the first parameter for last, so there Sobol is chosen however small the space is."""


def auto(space: Space, limits: Limits) -> Sampler:
    """Grid or Sobol."""
    trials = limits.trials
    if trials is None and limits.gpu_hours is None and limits.duration_seconds is None:
        trials = DEFAULT_TRIALS
    size = space.grid_size()
    if size is None or trials is None or (size > SEARCHABLE and not space.unrestricted):
        return SobolSampler()
    at_most = min(trials, SEARCHABLE)
    return GridSampler(space) if space.grid.count(at_most + 1) <= at_most else SobolSampler()
