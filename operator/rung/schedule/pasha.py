"""PASHA: ASHA whose last rung comes early, and moves on only while more training still changes who is better.

    top     the lowest rung, from the second one on, where trials rank as they did at the rung below it
    below   ASHA's rule: the best ceil(n / eta) go on
    at top and beyond: only a trial that is the best so far there goes on, so that the study still ends with a whole run

Ranks are compared by the first objective, among the best COMPARED trials of the rung that is asked about. A pair that changed
places counts only if its gap at the rung below was more than ε, which is noise: the 90th percentile of the gaps of pairs
that changed places and changed back on the way up; 0 as long as there is no such pair.

The paper's maximum only ever grows, and trials that wait below go on with it. Here nobody waits, and `top` is what the
record says at the moment, so that a verdict can be repeated from it: where ranks disagreed by chance and agree again,
it comes back. Source: Bohdal et al. 2023 (PASHA), Algorithm 1 and section 4.2 (soft ranking, its ε).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rung.schedule.asha import Asha
from rung.schedule.protocol import Entry, Judgement, RungTable, Verdict

COMPARED = 16
"""Those who matter are at the front; and a decision stays below a millisecond however many trials there are."""

NOISE_SHARE = 90.0
"""Percentile: the paper's choice."""


class Pasha(Asha):
    """Asynchronous, progressive successive halving in one bracket."""

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:
        """As ASHA below the top; from there on the best so far goes on alone."""
        judgement = super().judge(table, entry, bracket)
        top = self._top(table, entry.order)
        if judgement.verdict is not Verdict.STOP or entry.rung < top:
            return judgement
        below = self._ladder[self._ladder.index(top) - 1]
        agree = f"while ranks agree at {self._wording.resource} {below} and {top}"
        return replace(judgement, reason=f"{judgement.reason} {agree}")

    def _places(self, table: RungTable, entry: Entry, n: int) -> int:
        return super()._places(table, entry, n) if entry.rung < self._top(table, entry.order) else 1

    def _top(self, table: RungTable, order: int) -> int:
        """The rung beyond which training longer tells nothing new, by the entries before `order`."""
        for index in range(1, len(self._ladder) - 1):
            rungs = self._ladder[: index + 1]
            held = (entry for entry in table.at(0, rungs[-1]) if entry.order < order)
            best = [entry.number for entry in islice(held, COMPARED)]
            known = [[table.entry(number, rung) for rung in rungs] for number in best]
            values = np.array([[e.value for e in row if e is not None] for row in known if None not in row])
            if len(values) < 2 or agrees(values):
                return rungs[-1]
        return self._ladder[-1]


def agrees(values: NDArray[np.float64]) -> bool:
    """Whether trials (rows) rank alike at the last two rungs (columns), but for noise."""
    one, other = np.triu_indices(len(values), 1)
    gaps = values[one] / 2 - values[other] / 2  # halved first: no overflow
    signs = np.sign(gaps)
    swapped = signs[:, 1:] * signs[:, :-1] < 0
    noisy = swapped.sum(axis=1) > 1
    noise = np.percentile(np.abs(gaps[noisy, -1]), NOISE_SHARE) if noisy.any() else 0.0
    return not bool((swapped[:, -1] & (np.abs(gaps[:, -2]) > noise)).any())
