"""The ladder of rungs and the sizes of brackets and cohorts, by whole numbers alone.

    min, max   the smallest and the largest resource of a trial, in steps
    eta        of the trials at a rung the best 1/eta go on; a rung is eta times the one before it
    K          rungs of the whole ladder; s_max = K - 1
    s          a Hyperband bracket: it has s + 1 rungs, the last s + 1 of the ladder; s_max is the most aggressive one
    n(s)       trials that bracket s starts with

No logarithm is taken: `floor(log(243) / log(3))` is 4 in floating point, and the longest rung would be lost.
Source: Li et al. 2018 (Hyperband), Algorithm 1, with R = max / min.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

MAX_RUNGS = 32
"""As many entries as the record of a trial holds."""


def ladder(low: int, high: int, eta: int) -> tuple[int, ...]:
    """The rungs low, low * eta, low * eta**2, … up to `high`, which is always the last one.

    Where `high` is not `low` times a power of `eta` the last step is shorter than the others.
    Raises ValueError unless 1 <= low <= high, eta >= 2 and there are at most 32 rungs.
    """
    if not 1 <= low <= high:
        raise ValueError(f"a ladder needs 1 <= min <= max, got min {low} and max {high}")
    if eta < 2:
        raise ValueError(f"a ladder needs eta of at least 2, got {eta}")
    rungs = []
    rung = low
    while rung < high:
        rungs.append(rung)
        rung *= eta
    rungs.append(high)
    if len(rungs) > MAX_RUNGS:
        raise ValueError(f"from {low} to {high} by eta {eta} there are {len(rungs)} rungs, {MAX_RUNGS} are possible")
    return tuple(rungs)


def evenly(low: int, high: int, most: int = MAX_RUNGS) -> tuple[int, ...]:
    """Every whole step from `low` to `high`, both included; where those are more than `most`, `most` evenly spaced
    ones.

    Raises ValueError unless 1 <= low <= high and most >= 2.
    """
    if not 1 <= low <= high or most < 2:
        raise ValueError(f"steps need 1 <= start <= max, got start {low} and max {high} (at most {most} of them)")
    span = high - low
    if span < most:
        return tuple(range(low, high + 1))
    return tuple(low + span * i // (most - 1) for i in range(most))


def every(interval: int, low: int, high: int) -> tuple[int, ...]:
    """The multiples of `interval` from `low` on, and `high`.

    Raises ValueError unless interval >= 1 and low <= high, there is one below `high`, and there are at most 32 in all.
    """
    if interval < 1 or low > high:
        raise ValueError(f"steps need an interval of at least 1 and min <= max, got {interval}, {low} and {high}")
    first = -(-low // interval) * interval
    steps = (*range(first, high, interval), high)
    if len(steps) == 1:
        raise ValueError(f"every {interval} steps from {low} on there is no comparison before {high}")
    if len(steps) > MAX_RUNGS:
        least = -(-high // MAX_RUNGS)
        raise ValueError(
            f"every {interval} steps from {low} to {high} makes {len(steps)} comparisons, {MAX_RUNGS} are possible: "
            f"compare every {least} steps"
        )
    return steps


DENSE = 12
"""Steps compared one by one before they thin out: as long as a short training of epochs."""

THINNING = 1.4
"""From 12 steps on, 20 more reach 8,904: far enough for trainings that count batches."""


def thinning(low: int, most: int = MAX_RUNGS) -> tuple[int, ...]:
    """`most` steps from `low` on, for a training of unknown length: the first ones all, then ever fewer.

    Raises ValueError unless low >= 1.
    """
    if low < 1:
        raise ValueError(f"steps start at 1, got {low}")
    steps = list(range(low, low + min(DENSE, most)))
    while len(steps) < most:
        steps.append(max(steps[-1] + 1, int(steps[-1] * THINNING)))
    return tuple(steps)


def cohort_size(rungs: int, eta: int) -> int:
    """Trials that successive halving over so many rungs starts with, so that exactly one reaches the last."""
    return int(eta ** (rungs - 1))


def bracket_sizes(rungs: int, eta: int) -> tuple[int, ...]:
    """n(s) = ceil((s_max + 1) * eta**s / (s + 1)) for s = s_max, …, 1, 0: how many trials each bracket starts with.

    Every bracket costs about (s_max + 1) * max steps if a rung is trained from nothing, which is what the sizes are
    made for. Source: Li et al. 2018, Algorithm 1, line 3.
    """
    return tuple(-(-(rungs * eta**s) // (s + 1)) for s in range(rungs - 1, -1, -1))


def keep(planned: int, eta: int, rung: int) -> int:
    """How many of a cohort of `planned` trials go on from the rung with this index (0 is the lowest): at least one.

    floor(planned * eta**-(rung + 1)), Algorithm 1, lines 6 to 9: the floor of a floor is the floor of the whole.
    """
    return max(1, planned // int(eta ** (rung + 1)))


_GOLDEN = 2654435769  # 2**32 divided by the golden ratio: multiples of it, modulo 2**32, fill the circle evenly
_CIRCLE = 2**32


def weighted_choice(number: int, weights: Sequence[float]) -> int:
    """An index for the trial of this number, so that indices occur in proportion to their weights.

    Keyed by the number alone (Weyl's sequence), so nothing is remembered, and even a short run of numbers is close to
    the proportions. Number 0 gets the first index.
    """
    edges = list(accumulate(weights))
    if not edges or min(weights) < 0 or not edges[-1] > 0:
        raise ValueError(f"weights must be positive, got {list(weights)}")
    return bisect_right(edges, number * _GOLDEN % _CIRCLE / _CIRCLE * edges[-1])
