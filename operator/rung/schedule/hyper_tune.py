"""Hyper-Tune's brackets: ASHA over several of them, where a trial's bracket rests on how well rungs agree.

Brackets b and b + 1 differ in one thing: whether a first cut is made at rung b. So the odds of the one against the other are
Hyperband's, times twice the agreement of the two rungs:

    w(b) / w(b + 1) = n(b) / n(b + 1) * 2 ρ(b)         n(b): trials that the bracket starts with, what its budget affords

    ρ    the chance that a pair keeps its order from rung b to rung b + 1 for a reason; else its order is random. A pair is
         concordant with probability (1 + ρ) / 2, so ρ is Kendall's tau, and a reversed order is as bad as none
    ½    the mean of ρ where nothing is known (uniform between 0 and 1): then the weights are Hyperband's. A rung that tells
         everything doubles the odds of being cut at, one that tells nothing takes them away

Only trials that rung b has let pass have a value at rung b + 1, and among the like there is less agreement. Tau is
turned into the correlation of normal scores and corrected for the spread that selection has left (Thorndike's case 2, exact
for selection by the very score); perfect order and none stay what they are. n trials have as much to say as m independent
pairs with the variance of tau without agreement; the correction takes the same share of them as of the spread.

The paper multiplies the same two things. Its authors' program, too, takes n(b) for the second; for the first a power of the share of
pairs of whole runs that the surrogate of a rung's values orders as they ended, or the chance, over draws of the surrogates, that
none orders more. Here values are compared themselves: a scheduler sees no parameters. Then later rungs always order whole runs
better, whatever they cost to reach, and whole runs are few. What b + 1 knows more than b is seen sooner in their own pairs, and
an upper rung that misleads by its own neighbour.

Measured on the curves of `rung simulate` (27 epochs, three parameters, random search, 8 at a time, the time of 60 whole
trainings, 30 draws): the best final loss, and the share of the second half's trials that the first bracket got. Standard errors of
the differences from the last row are 0.001 and 0.002.

    scheduler             PowerLaw: ranks stay    Crossing: early ranks mislead
    ASHA, one bracket     0.223    1.00           0.244    1.00
    Hyperband's weights   0.227    0.55           0.223    0.55
    learnt weights        0.226    0.69           0.223    0.22

On the six tables of learning curves that the search bench uses (eight workers, the time of 50 whole trainings) the first epoch tells
nothing on three and much on the others: 0.35 to 0.46 and 0.67 to 0.72 of all trials went to the first bracket (fixed: 0.57), random
search, three seeds. Regret does not tell the rows apart: 0.505, 0.517, 0.515; learnt minus fixed -0.001 ± 0.011, with GP (two
seeds) +0.030 ± 0.061, and minus ASHA +0.043 ± 0.089.

Sources: Li et al. 2022 (Hyper-Tune), section 4.1; Kendall 1970 for tau's variance; Thorndike 1949 for the restricted range.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rung.schedule.asha import Asha
from rung.schedule.protocol import RungTable
from rung.schedule.rungs import weighted_choice

Array = NDArray[np.float64]

NEWEST = 400
"""Trials looked at: a sampler that learns proposes ever better ones, and the next is like the last; and choosing costs a few
milliseconds however many there are."""

_NORMAL = NormalDist()
_RHO = (np.arange(1_000) + 0.5) / 1_000


class HyperTune(Asha):
    """ASHA whose brackets get trials by what the study's own records say of its rungs."""

    def bracket(self, number: int, table: RungTable) -> int:
        """In the proportion of the weights, by the number."""
        return weighted_choice(number, self.weights(number, table))

    def weights(self, number: int, table: RungTable) -> tuple[float, ...]:
        """The chance of each bracket for the trial of this number, by those of lower numbers. They sum to one."""
        values = self._values(number, table)
        odds = [2 * agreement(lower, upper) for lower, upper in pairwise(values.T)]
        gains = np.cumprod([1.0, *reversed(odds)])[::-1]
        found = np.array(self._weights) * gains
        return tuple((found / found.sum()).tolist())

    def _values(self, number: int, table: RungTable) -> Array:
        """(trials, brackets): at the first rung of each bracket, NaN where a trial has not been compared."""
        steps = self._ladder[: len(self._rungs)]
        entries = [[table.entry(n, step) for step in steps] for n in range(max(0, number - NEWEST), number)]
        known = [[math.nan if e is None else e.value for e in row] for row in entries]
        return np.array(known, dtype=np.float64).reshape(-1, len(steps))


def agreement(lower: Array, upper: Array) -> float:
    """The mean of ρ by what trials had at a rung (n,) and at the next one (n,); NaN where they had nothing."""
    held = np.isfinite(lower)
    lower, upper = lower[held], upper[held]
    both = np.isfinite(upper)
    n = int(both.sum())
    if n < 2:
        return 0.5
    spread = _spread(lower, both)
    r = math.sin(math.pi / 2 * _tau(lower[both], upper[both]))
    tau = 2 / math.pi * math.atan2(r, math.sqrt(spread * (1 - r * r)))
    return _mean(spread * 9 * n * (n - 1) / (2 * (2 * n + 5)), tau)


def _tau(one: Array, other: Array) -> float:
    """Kendall's tau-a: a tie is no order."""
    i, j = np.triu_indices(len(one), 1)
    signs = [(a[i] > a[j]).astype(np.int8) - (a[i] < a[j]) for a in (one, other)]
    return float(np.mean(signs[0] * signs[1], dtype=np.float64))


def _spread(values: Array, kept: NDArray[np.bool_]) -> float:
    """The variance of the kept ones' normal scores, as a share of all."""
    places = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    scores = np.array([_NORMAL.inv_cdf((place + 0.5) / len(values)) for place in places])
    return min(1.0, float(scores[kept].var() / scores.var()))


def _mean(m: float, tau: float) -> float:
    """Of ρ, uniform before m pairs with this tau were seen."""
    likelihood = m / 2 * ((1 + tau) * np.log1p(_RHO) + (1 - tau) * np.log1p(-_RHO))
    return float(np.average(_RHO, weights=np.exp(likelihood - likelihood.max())))
