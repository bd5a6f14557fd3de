"""What a scheduler is: it says at which rungs a trial is compared, and gives its verdict on each entry there.

A scheduler holds settings and no state. All that it may know stands in the `RungTable`, so the same record gives the
same verdicts on any machine, at any time. One entry is judged when it arrives (`judge`), by itself and by those
recorded before it. A synchronous scheduler answers OPEN there and gives its verdicts in `settle`, as soon as all that
a rung waits for is known:

    for entry in new:                                # ordered by `order`
        judgement = scheduler.judge(table, entry, bracket)
        table.add(entry, bracket, judgement.verdict)
    for bracket in table.open_brackets():
        for judgement in scheduler.settle(table, bracket, expected):
            table.record(judgement)
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from rung.api.facts import Verdict
from rung.schedule.table import Entry, Judgement, Rung, RungTable

__all__ = ["Entry", "Judgement", "Membership", "Rung", "RungTable", "Scheduler", "Statistic", "Verdict"]


class Statistic(StrEnum):
    """What the value of an entry is."""

    REDUCED = "Reduced"  # the objective's reduction (Last, Min, Max, Mean) over the steps up to the rung
    RUNNING_MEAN = "RunningMean"  # the mean over the steps up to the rung; `best` is the best of them


class Membership(StrEnum):
    """What may still be heard of a trial number at a rung where it has no entry."""

    COMING = "Coming"  # does not exist yet and will: limits allow it
    ALIVE = "Alive"  # exists and is unfinished: it may still reach the rung
    GONE = "Gone"  # finished, failed or stopped by hand: it has said all it will say. Ranks behind everybody
    NEVER = "Never"  # takes no part: beyond limits.trials, or known from a warm start. The cohort is smaller by one


Expected = Callable[[int], Membership]


class Scheduler(Protocol):
    """Compares trials at rungs. Smaller values are better, values are finite."""

    @property
    def target(self) -> int | None:
        """The step to which a trial trains if nothing stops it (resource.max); None where the study has no resource."""

    @property
    def statistic(self) -> Statistic:
        """What is to be recorded as the value of an entry."""

    @property
    def synchronous(self) -> bool:
        """Verdicts come from `settle`, and do not depend on the order of arrival."""

    def bracket(self, number: int, table: RungTable) -> int:
        """The bracket of a new trial with this number, to be recorded with it. A synchronous bracket is one cohort, and follows
        from the number alone.
        """

    def rungs(self, bracket: int) -> tuple[int, ...]:
        """Steps at which its trials compare, ascending, at most 32. None stops at the last, the target."""

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:
        """The verdict on a new entry of a trial in this bracket, by it and the entries of lower order that `table` holds; later ones
        are not looked at.

        Whether the table holds the entry itself already makes no difference. Raises ValueError where its rung is none
        of the bracket's.
        """

    def settle(self, table: RungTable, bracket: int, expected: Expected) -> list[Judgement]:
        """Verdicts on open entries of a cohort that have become possible, in order of rung and number; [] if
        asynchronous.

        They depend on the values of the cohort alone, never on the order in which those arrived.
        """
