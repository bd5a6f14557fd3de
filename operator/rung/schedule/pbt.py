"""Population based training, the selecting half: who is bad for its step stops, and a copy of a good one takes its place.

    n         members that recorded the step so far, this one included
    few       min(ceil(quantile * n), floor(n / 2)): so many are replaced, and as many are worth a copy
    replaced  whoever is among the worst `few`; its place goes to one of the best `few`, drawn by the study's seed, the loser's
              number and the step
    where     at the step that it has reached; as long as less than half of those that were at the step before have come as far,
              at that one again, with all that have been there since

Nobody waits, a verdict rests on the records before it alone, and a member that starts when others have ended (a population
larger than limits.parallelism) has the same chances. A copy goes on from what its parent had up to that very step and is
compared at later ones only: a place passes each step once, so it costs one whole training (or a little more, where the parent
has not come as far), and a study comes to its end whatever its programs do.

The paper compares with everybody's latest value, however far each has come; then whoever is ahead looks good, and where curves
rise again, bad. Looking at the step alone never judges who comes first. Median of the final losses on the problem of
tests/optimizer/test_population.py (16 seeds, eight members; 0.0033 is the best constant rate), by the order in which members
come to a step:

    compared                              whoever is faster   at random   always the same
    at the step alone                          0.0025           0.0018        0.0035
    with the latest values (the paper)         0.0036           0.0035        0.0038
    at the step, or at the one before          0.0027           0.0020        0.0021

`few` is Ray's count; rounding down instead replaces half as many, and nobody in populations of two and three (0.0056 in the
place of 0.0044, 60 steps). What copies change is `rung.search.pbt`. Source: Jaderberg et al. 2017, section 3.1 and appendix A.1
(truncation selection).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import replace

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
        rung = entry.rung
        if rung == self._target:
            return Verdict.CONTINUE, self._wording.last(rung, entry.value)
        judged = self._judged(table, entry)
        seen = table.at(0, judged.rung).compare(judged)
        keep = seen.n - self._few(seen.n)
        if seen.rank <= keep:
            return Verdict.CONTINUE, self._wording.stays(
                rung, judged.rung, judged.value, rank=seen.rank, keep=keep, of=seen.n
            )
        limit, parent = seen.ranked(keep), self.parent(table, entry)
        reason = self._wording.replaced(rung, judged.rung, judged.value, limit, keep=keep, of=seen.n, parent=parent)
        return Verdict.STOP, reason

    def parent(self, table: RungTable, entry: Entry) -> int | None:
        """The trial of which a clone replaces the one that was stopped with this entry. None: no other has a record here."""
        judged = self._judged(table, entry)
        rung = table.at(0, judged.rung)
        others = [other.number for other in rung if other.order < entry.order and other.number != entry.number]
        few = self._few(len(others) + 1)
        return others[self._draw(entry.number, entry.rung, few)] if few else None

    def substitute(self, table: RungTable, number: int, rung: int, hopeless: Callable[[int], bool]) -> int | None:
        """The trial of which a clone replaces one that could not have a value at this rung: of the best at the nearest step up to
        it that others have reached. None: nobody has. `hopeless` names trials that are no parents.
        """
        for step in reversed([step for step in self._steps if step <= rung]):
            others = [e.number for e in table.at(0, step) if e.number != number and not hopeless(e.number)]
            if others:
                few = max(1, self._few(len(others) + 1))
                return others[self._draw(number, rung, few)]
        return None

    def _draw(self, number: int, rung: int, few: int) -> int:
        return zlib.crc32(f"{self._seed} {number} {rung}".encode()) % few

    def _judged(self, table: RungTable, entry: Entry) -> Entry:
        """The entry that is compared: this one, or the trial's own at the step before, as if it came there now."""
        place = self._steps.index(entry.rung)
        if not place:
            return entry
        before = table.entry(entry.number, self._steps[place - 1])
        if before is None:
            return entry
        again = replace(before, order=entry.order)
        there = table.at(0, again.rung).compare(again).n
        return again if 2 * table.at(0, entry.rung).compare(entry).n < there else entry

    def _few(self, n: int) -> int:
        return min(math.ceil(self._quantile * n), n // 2)
