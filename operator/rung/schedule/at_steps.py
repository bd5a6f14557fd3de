"""What schedulers have in common that compare all trials with each other at the same steps, each as it comes.

There is one bracket, a verdict is given at once, and nothing is ever open. What the verdict is, `word` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from rung.schedule.protocol import Entry, Expected, Judgement, RungTable, Verdict
from rung.schedule.wording import Wording


class AtSteps(ABC):
    """Inherit it, and say the word on an entry."""

    synchronous = False

    def __init__(self, steps: tuple[int, ...], target: int | None, wording: Wording | None) -> None:
        self._steps = steps
        self._target = target
        self._wording = wording or Wording()

    @property
    def target(self) -> int | None:
        """The last step, if the study names one."""
        return self._target

    def bracket(self, number: int, table: RungTable) -> int:  # noqa: ARG002 - the protocol's signature
        """All trials are compared with each other."""
        return 0

    def rungs(self, bracket: int) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's signature
        """The steps at which trials are looked at."""
        return self._steps

    def judge(self, table: RungTable, entry: Entry, bracket: int) -> Judgement:  # noqa: ARG002 - the protocol's
        """The word on an entry. Raises ValueError where its step is none of those."""
        if entry.rung not in self._steps:
            raise ValueError(f"trial {entry.number}: step {entry.rung} is none of {self._steps}")
        verdict, reason = self.word(table, entry)
        return Judgement(entry.number, entry.rung, verdict, reason)

    def settle(self, table: RungTable, bracket: int, expected: Expected) -> list[Judgement]:  # noqa: ARG002
        """Nothing is ever open."""
        return []

    @abstractmethod
    def word(self, table: RungTable, entry: Entry) -> tuple[Verdict, str]:
        """The verdict on an entry, and why."""
