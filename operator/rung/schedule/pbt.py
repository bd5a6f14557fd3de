"""Population based training, the selecting half: who is bad for its step stops, and a copy of a good one takes its place.

    n         members that recorded the step so far, this one included
    few       min(ceil(quantile * n), floor(n / 2)): so many are replaced, and as many are worth a copy
    replaced  whoever is among the worst `few` when it arrives; its place goes to one of the best `few`, drawn by the
              study's seed, the loser's number and the step

The paper compares with everybody's latest value, however far each has come. Here members are compared at equal steps with
those that were there before, so nobody waits, a verdict rests on the records before it alone, and a member that starts when
others have ended (a population larger than limits.parallelism) has the same chances. A copy goes on from what its parent had
at that very step and is compared at later ones only: a place passes each step once, so it costs one whole training and a
study comes to its end whatever its programs do.

`few` is Ray's count. With it 2.4 of 8 members are replaced at a step on average, where all are equally good; 1.0 by rounding
down, and then nobody in populations of two and three. What copies change is `rung.search.pbt`. Source: Jaderberg et al. 2017,
section 3.1 and appendix A.1 (truncation selection).
"""

from __future__ import annotations

import math
import zlib

from rung.schedule.at_steps import AtSteps
from rung.schedule.protocol import Entry, RungTable, Statistic, Verdict
from rung.schedule.rungs import every
from rung.schedule.wording import Wording


class Pbt(AtSteps):
    """Truncation selection at every `interval` steps. An entry's value is the member's at that step."""

    statistic = Statistic.REDUCED

    def __init__(
        self,
        low: int,
        high: int,
        interval: int,
        *,
        population: int,
        quantile: float,
        seed: int = 0,
        wording: Wording | None = None,
    ) -> None:
        """Compares at the multiples of `interval` from `low` on. Raises ValueError where there is none before `high`, or more
        than a trial's record holds.
        """
        super().__init__(every(interval, low, high), high, wording)
        self.population = population
        self._quantile = quantile
        self._seed = seed

    def word(self, table: RungTable, entry: Entry) -> tuple[Verdict, str]:
        """Stop who is among the worst so far."""
        rung, value = entry.rung, entry.value
        if rung == self._target:
            return Verdict.CONTINUE, self._wording.last(rung, value)
        seen = table.at(0, rung).compare(entry)
        keep = seen.n - self._few(seen.n)
        if seen.rank <= keep:
            return Verdict.CONTINUE, self._wording.goes_on(rung, value, rank=seen.rank, keep=keep, of=seen.n)
        stopped = self._wording.stopped(rung, value, seen.ranked(keep), keep=keep, of=seen.n)
        return Verdict.STOP, f"{stopped} (trial {self.parent(table, entry)}'s clone takes its place)"

    def parent(self, table: RungTable, entry: Entry) -> int:
        """The trial of which a clone replaces the one that was stopped with this entry."""
        before = [other.number for other in table.at(0, entry.rung) if other.order < entry.order]
        few = self._few(len(before) + 1)
        return before[zlib.crc32(f"{self._seed} {entry.number} {entry.rung}".encode()) % few]

    def _few(self, n: int) -> int:
        return min(math.ceil(self._quantile * n), n // 2)
