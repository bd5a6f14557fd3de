"""Successive halving, synchronous: cohorts of eta**(K - 1) trials, of which exactly one reaches the last of K rungs.

Trials form cohorts by their number: with rungs 1, 3, 9, 27 the numbers 0 to 26 are the first, 27 to 53 the second.
The last one is cut by limits.trials; a limit below one full cohort makes one small cohort. Bracket and cohort are the
same number. How a rung is judged stands in `cohort`. Source: Jamieson & Talwalkar 2016, Algorithm 1, in the form of
Li et al. 2018.
"""

from __future__ import annotations

from rung.schedule.cohort import Cohort, arrived, settled
from rung.schedule.protocol import Entry, Expected, Judgement, RungTable, Statistic
from rung.schedule.rungs import cohort_size, ladder
from rung.schedule.wording import Wording


class SuccessiveHalving:
    """Cohort after cohort over the whole ladder low, low * eta, …, high."""

    statistic = Statistic.REDUCED
    synchronous = True

    def __init__(self, low: int, high: int, eta: int, *, wording: Wording | None = None) -> None:
        """Raises ValueError for a ladder that does not exist."""
        self._rungs = ladder(low, high, eta)
        self._eta = eta
        self._size = cohort_size(len(self._rungs), eta)
        self._wording = wording or Wording()

    @property
    def target(self) -> int:
        """The last rung."""
        return self._rungs[-1]

    def bracket(self, number: int, table: RungTable) -> int:  # noqa: ARG002 - the protocol's signature
        """The cohort of this number."""
        return number // self._size

    def rungs(self, bracket: int) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's signature
        """The whole ladder."""
        return self._rungs

    def cohort(self, bracket: int) -> Cohort:
        """Who competes in this bracket."""
        return Cohort(range(bracket * self._size, (bracket + 1) * self._size), self._rungs)

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:
        """Open, except at the last rung."""
        return arrived(table, entry, bracket=bracket, rungs=self._rungs, wording=self._wording)

    def settle(self, table: RungTable, bracket: int, expected: Expected) -> list[Judgement]:
        """Verdicts on the rungs of the cohort that are complete."""
        return settled(table, self.cohort(bracket), expected, eta=self._eta, wording=self._wording)
