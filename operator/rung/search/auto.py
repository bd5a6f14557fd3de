"""The choice that is made where the user makes none.

    every assignment fits into limits.trials                    Grid: nothing is left out, nothing is tried twice
    no trial could learn from another: limits.trials are not    Sobol: even in each parameter, at every parallelism
    more than the startup, or all of them run at once
    more than MANY_OBJECTIVES, MANY_AXES or MANY_TRIALS         TPE: its time hardly grows with any of them
    otherwise                                                   GP

On the problems that the samplers were tuned on GP was ahead of TPE and RandomForest in the mean and on nearly every one,
with noise, with choices alone and with conditions as well; so the kind of the space makes no difference. Constraints on
outcomes, a warm start, pruned and failing trials neither: all three know them.
"""

from __future__ import annotations

from rung.search.fitting import SEARCHABLE
from rung.search.grid import GridSampler
from rung.search.protocol import Sampler, Setting
from rung.search.sobol import SobolSampler
from rung.space.space import Space

STARTUP = 10
"""What GP and TPE begin with."""

MANY_OBJECTIVES = 3
"""With four the expected hypervolume takes GP a tenth of a second at 200 trials, and more with each further one."""

MANY_AXES = 200
"""A model of the whole cube says little about most of so many axes, within any number of trials that it can learn from."""

MANY_TRIALS = 10_000
"""Up to there GP answers within a tenth of a second."""


def auto(setting: Setting) -> Sampler:
    """Grid, Sobol, GP or TPE."""
    space, trials = setting.space, setting.trials
    if trials is not None and _fits(space, trials):
        return GridSampler(space)
    startup = STARTUP if setting.startup is None else setting.startup
    if trials is not None and trials <= max(startup, setting.parallelism):
        return SobolSampler()
    if setting.objectives > MANY_OBJECTIVES or space.d > MANY_AXES or (trials is not None and trials > MANY_TRIALS):
        from rung.search.tpe import TPESampler  # noqa: PLC0415 - scipy: 0.2 s that others need not pay

        return TPESampler(setting)
    from rung.search.gp.sampler import GPSampler  # noqa: PLC0415 - scipy, likewise

    return GPSampler(setting)


def _fits(space: Space, trials: int) -> bool:
    """Whether all assignments can be tried.

    Without a limit on trials this is not asked: a grid leaves the later values of the first parameter for last, and nobody
    knows how far the other budgets reach.
    """
    size = space.grid_size()
    if size is None or (size > SEARCHABLE and not space.unrestricted):
        return False
    at_most = min(trials, SEARCHABLE)
    return space.grid.count(at_most + 1) <= at_most
