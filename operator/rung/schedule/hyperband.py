"""Hyperband, synchronous: rounds of successive halving that hedge between many short trials and few long ones.

One iteration is the brackets s = s_max, …, 0 in this order, each a cohort of its own; then the next iteration begins.
Bracket s starts n(s) trials at the rung min * eta**(s_max - s); the last one trains its trials to the end without
comparing them. With rungs 1, 3, 9, 27, 81 an iteration is 81 + 34 + 15 + 8 + 5 = 143 trials, as in the paper's table
1.

    trial number    0 … 80      81 … 114    115 … 129    130 … 137    138 … 142    143 …
    bracket         0           1           2            3            4            5 (the second iteration's first)

How a rung is judged stands in `cohort`. Source: Li et al. 2018, Algorithm 1.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from rung.schedule.cohort import Cohort, arrived, settled
from rung.schedule.protocol import Entry, Expected, Judgement, RungTable, Statistic
from rung.schedule.rungs import bracket_sizes, ladder
from rung.schedule.wording import Wording


class Hyperband:
    """Iterations of all brackets, by trial number."""

    statistic = Statistic.REDUCED
    synchronous = True

    def __init__(
        self, low: int, high: int, eta: int, *, brackets: int | None = None, wording: Wording | None = None
    ) -> None:
        """All brackets by default, as in the paper; fewer leave out the longest ones, which compare least.

        Raises ValueError for a ladder that does not exist, or more brackets than rungs.
        """
        self._ladder = ladder(low, high, eta)
        most = len(self._ladder)
        count = most if brackets is None else brackets
        if not 1 <= count <= most:
            raise ValueError(f"{most} rungs make 1 to {most} brackets, got {count}")
        self._eta = eta
        self._rungs = tuple(self._ladder[first:] for first in range(count))
        self._ends = tuple(accumulate(bracket_sizes(most, eta)[:count]))
        self._wording = wording or Wording()

    @property
    def target(self) -> int:
        """The last rung."""
        return self._ladder[-1]

    def bracket(self, number: int, table: RungTable) -> int:  # noqa: ARG002 - the protocol's signature
        """Iteration times brackets, plus the place within the iteration."""
        iteration, within = divmod(number, self._ends[-1])
        return iteration * len(self._ends) + bisect_right(self._ends, within)

    def rungs(self, bracket: int) -> tuple[int, ...]:
        """The ladder from the bracket's first rung on."""
        return self._rungs[bracket % len(self._rungs)]

    def cohort(self, bracket: int) -> Cohort:
        """Who competes in this bracket."""
        iteration, place = divmod(bracket, len(self._ends))
        base = iteration * self._ends[-1]
        start = self._ends[place - 1] if place else 0
        return Cohort(range(base + start, base + self._ends[place]), self._rungs[place])

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:
        """Open, except at the last rung."""
        return arrived(table, entry, bracket=bracket, rungs=self.rungs(bracket), wording=self._wording)

    def settle(self, table: RungTable, bracket: int, expected: Expected) -> list[Judgement]:
        """Verdicts on the rungs of the cohort that are complete."""
        return settled(table, self.cohort(bracket), expected, eta=self._eta, wording=self._wording)
