"""How a scheduler explains itself: one line with the step, the figures and how many trials they stand for.

Inside the schedulers smaller is better; people read the value as the trial reported it, so a maximised metric is
turned back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rung.api.facts import Verdict


@dataclass(frozen=True, slots=True)
class Wording:
    """The study's own words for its metric and its step."""

    metric: str = "objective"
    resource: str = "step"
    maximize: bool = False
    others: tuple[tuple[str, bool], ...] = ()  # further objectives: their metrics, and whether they are maximised

    def figure(self, value: float, digits: int = 4) -> str:
        """The value as reported, to four digits: what differs further on is told by `pair`."""
        shown = -value if self.maximize else value
        return f"{shown + 0.0:.{digits}g}"  # + 0.0 turns a negative zero into a plain one

    def pair(self, value: float, limit: float) -> tuple[str, str]:
        """Both as reported, with the digits that tell them apart: "0.71 is worse than 0.71" explains nothing."""
        for digits in (4, 6, 9):
            shown = self.figure(value, digits), self.figure(limit, digits)
            if shown[0] != shown[1] or value == limit:
                return shown
        return self.figure(value, 17), self.figure(limit, 17)

    def ranked(
        self,
        verdict: Verdict,
        step: int,
        value: float,
        limit: float,
        *,
        rank: int,
        keep: int,
        of: int,
        others: Sequence[float] | None = None,
    ) -> str:
        """Why a trial goes on or stops where the best `keep` of `of` go on; `limit` is the value of the last of those. With
        `others`, its values of further objectives, the rank is that of all.
        """
        what = "stopped" if verdict is Verdict.STOP else "goes on"
        if others is None and verdict is Verdict.STOP:
            why = self._beyond(value, limit, keep=keep, of=of)
        elif others is None:
            why = f"{self.metric} {self.figure(value)} has rank {rank} of {of}, the best {keep} go on"
        else:
            figures = [f"{self.metric} {self.figure(value)}"]
            for (metric, maximize), other in zip(self.others, others, strict=False):
                figures.append(f"{metric} {Wording(maximize=maximize).figure(other)}")
            why = f"{', '.join(figures)} has rank {rank} of {of} by all objectives, the best {keep} go on"
        return f"{what} at {self.resource} {step}: {why}"

    def stays(self, step: int, at: int, value: float, *, rank: int, keep: int, of: int) -> str:
        """The same of a population's member, by what it said at the step `at`."""
        its, there = self._earlier(step, at)
        shown = f"{its}{self.metric} {self.figure(value)} has rank {rank} of {of}{there}"
        return f"goes on at {self.resource} {step}: {shown}, the best {keep} go on"

    def replaced(
        self, step: int, at: int, value: float, limit: float, *, keep: int, of: int, parent: int | None
    ) -> str:
        """Why a population's member gives way, by what it said at the step `at`, and to whose clone."""
        its, there = self._earlier(step, at)
        why = f"stopped at {self.resource} {step}: {its}{self._beyond(value, limit, keep=keep, of=of)}{there}"
        return why if parent is None else f"{why} (trial {parent}'s clone takes its place)"

    def _earlier(self, step: int, at: int) -> tuple[str, str]:
        return ("", "") if at == step else (f"at {self.resource} {at} its ", " there")

    def _beyond(self, value: float, limit: float, *, keep: int, of: int) -> str:
        shown, border = self.pair(value, limit)
        how = f"equals {border} of a lower trial number" if value == limit else f"is worse than {border}"
        return f"{self.metric} {shown} {how}, the limit of the best {keep} of {of}"

    def last(self, step: int, value: float) -> str:
        """Nothing is decided at the end."""
        return f"reached {self.resource} {step}, the last rung: {self.metric} {self.figure(value)}"

    def waits(self, step: int, value: float, *, of: int) -> str:
        """A synchronous rung is judged when all have been there."""
        shown = self.figure(value)
        return (
            f"at {self.resource} {step}: {self.metric} {shown} waits for the others of its cohort ({of} there so far)"
        )

    def above_median(self, step: int, best: float, median: float, *, of: int) -> str:
        """Why the median rule stops a trial."""
        shown, border = self.pair(best, median)
        return (
            f"stopped at {self.resource} {step}: best {self.metric} {shown} is worse than {border}, "
            f"the median of the running means of {of} trials"
        )

    def within_median(self, step: int, best: float, median: float, *, of: int) -> str:
        """Why the median rule lets a trial go on."""
        shown, border = self.pair(best, median)
        return (
            f"goes on at {self.resource} {step}: best {self.metric} {shown} is not worse than {border}, "
            f"the median of the running means of {of} trials"
        )

    def too_few(self, step: int, best: float, *, of: int, needed: int) -> str:
        """The median of fewer would say too little."""
        return (
            f"goes on at {self.resource} {step}: best {self.metric} {self.figure(best)}, "
            f"{of} other trials were here and a median needs {needed}"
        )

    def hopeless(
        self, step: int, value: float, forecast: float, best: float, *, end: int, chance: float, of: int
    ) -> str:
        """Why a forecast stops a trial."""
        shown, border = self.pair(forecast, best)
        others = "1 other" if of == 1 else f"{of} others"
        return (
            f"stopped at {self.resource} {step}: {self.metric} {self.figure(value)}, its forecast {shown} for "
            f"{self.resource} {end} is worse than {border}, the best value so far of {others} (chance {chance:.1%})"
        )

    def hopeful(self, step: int, value: float, forecast: float, best: float, *, end: int, chance: float) -> str:
        """Why a forecast lets a trial go on."""
        shown, border = self.pair(forecast, best)
        return (
            f"goes on at {self.resource} {step}: {self.metric} {self.figure(value)}, its forecast {shown} for "
            f"{self.resource} {end} may beat {border} (chance {chance:.1%}), or no other trial was as good here"
        )

    def unforeseen(self, step: int, value: float, *, points: int) -> str:
        """Too little to go by."""
        return (
            f"goes on at {self.resource} {step}: {self.metric} {self.figure(value)}, "
            f"{points} of its values say too little for a forecast, or there is no other trial to compare it with"
        )
