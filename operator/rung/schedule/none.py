"""No scheduler: every trial trains to its end, and nothing is compared on the way."""

from __future__ import annotations

from dataclasses import dataclass

from rung.schedule.protocol import Entry, Expected, Judgement, RungTable, Statistic, Verdict


@dataclass(frozen=True, slots=True)
class NoScheduler:
    """There are no rungs. A resource, if the study names one, only says how far a trial trains."""

    target: int | None = None
    statistic: Statistic = Statistic.REDUCED
    synchronous: bool = False

    def bracket(self, number: int, table: RungTable) -> int:  # noqa: ARG002 - the protocol's signature
        """All trials are alike."""
        return 0

    def rungs(self, bracket: int) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's signature
        """None."""
        return ()

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:  # noqa: ARG002 - the protocol's
        """Whatever was recorded, the trial goes on."""
        return Judgement(entry.number, entry.rung, Verdict.CONTINUE, "goes on: the study has no scheduler")

    def settle(self, table: RungTable, bracket: int, expected: Expected) -> list[Judgement]:  # noqa: ARG002
        """Nothing is ever open."""
        return []
