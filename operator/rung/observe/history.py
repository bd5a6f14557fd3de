"""All that one attempt has reported, merged by step and metric, bounded, with exact running figures.

A value that is said again at the same step with the same number is no news; with another number the later word holds (a
gauge that moves within its epoch). Steps keep the order of their first arrival.

Above `keep` steps every second one of the older half is dropped, never one that holds a metric's minimum or maximum, so
memory is bounded while the shape of the curve, its end and its extremes stay. The summaries have counted every value,
dropped or not. A step at or before the last dropped one that is unknown is taken for one of the dropped: reading a
source again adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rung.api.facts import MetricSummary, Observation

KEEP: Final = 1000  # sixteen times what a Trial's curve holds; some 0.4 MB, and there may be a thousand trials


@dataclass(slots=True)
class _Tally:
    """Running figures of one metric; `low` and `high` are the steps of its extremes.

    `stale`: the value at one of them was replaced, so they are to be looked for again before anybody needs them. At
    once would cost a pass over all steps for each of a trial's words.
    """

    last: float
    step: float
    sum: float = 0.0
    count: int = 0
    low: float | None = None
    high: float | None = None
    min: float = math.inf
    max: float = -math.inf
    stale: bool = False

    def count_in(self, step: float, value: float) -> None:
        if step >= self.step:  # a late word on an early step is not the last word
            self.last, self.step = value, step
        if math.isfinite(value):
            self.sum += value
            self.count += 1
            if value < self.min:
                self.min, self.low = value, step
            if value > self.max:
                self.max, self.high = value, step

    def summary(self) -> MetricSummary:
        # A metric that was never finite has no extremes: its last value stands for them, as in MetricSummary.of.
        low, high = (self.min, self.max) if self.count else (self.last, self.last)
        return MetricSummary(self.last, low, high, self.sum if self.count else self.last, self.count or 1, self.step)


class History:
    """The observations of one attempt."""

    def __init__(self, keep: int = KEEP) -> None:
        """`keep`: steps held at most, at least 4."""
        self._keep = max(keep, 4)
        self.last_step: float | None = None  # that arrived
        self._by_step: dict[float, Observation] = {}
        self._tallies: dict[str, _Tally] = {}
        self._dropped_upto = -math.inf

    def add(self, observations: Iterable[Observation], *, fill: bool = False) -> bool:
        """Merge; True if anything is new. `fill`: what is held stays as it is, only gaps are filled."""
        news = False
        for observation in observations:
            news |= self._merge(observation, fill=fill)
            if len(self._by_step) > self._keep:
                self._thin()
        return news

    @property
    def observations(self) -> tuple[Observation, ...]:
        """In the order in which their steps first arrived."""
        return tuple(self._by_step.values())

    @property
    def summaries(self) -> Mapping[str, MetricSummary]:
        """Of every metric that was reported."""
        self._find_extremes()
        return {name: tally.summary() for name, tally in self._tallies.items()}

    @property
    def metrics(self) -> frozenset[str]:
        """Names of the metrics that were reported."""
        return frozenset(self._tallies)

    def __len__(self) -> int:
        return len(self._by_step)

    def _merge(self, observation: Observation, *, fill: bool) -> bool:
        step = observation.step
        held = self._by_step.get(step)
        if held is None:
            if step <= self._dropped_upto or not observation.values:
                return False
            self.last_step = step
            self._by_step[step] = observation
            self._count(step, observation.values)
            return True
        changed = {
            name: value
            for name, value in observation.values.items()
            if name not in held.values or not (fill or _same(held.values[name], value))
        }
        if not changed:
            return False
        self._by_step[step] = Observation(step, {**held.values, **changed})
        self._count(step, {name: value for name, value in changed.items() if name not in held.values})
        for name in changed.keys() & held.values.keys():
            self._replace(step, name, held.values[name], changed[name])
        return True

    def _count(self, step: float, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            tally = self._tallies.get(name)
            if tally is None:
                tally = self._tallies[name] = _Tally(value, step)
            tally.count_in(step, value)

    def _replace(self, step: float, name: str, old: float, new: float) -> None:
        tally = self._tallies[name]
        if math.isfinite(old):
            tally.sum -= old
            tally.count -= 1
        tally.stale |= step in (tally.low, tally.high)
        tally.count_in(step, new)

    def _find_extremes(self) -> None:
        """Of the tallies that have lost one; both are always at steps that are held."""
        for name, tally in self._tallies.items():
            if not tally.stale:
                continue
            tally.min, tally.max, tally.low, tally.high, tally.stale = math.inf, -math.inf, None, None, False
            for held in self._by_step.values():
                value = held.values.get(name, math.nan)
                if math.isfinite(value) and value < tally.min:
                    tally.min, tally.low = value, held.step
                if math.isfinite(value) and value > tally.max:
                    tally.max, tally.high = value, held.step

    def _thin(self) -> None:
        self._find_extremes()
        extremes = {step for tally in self._tallies.values() for step in (tally.low, tally.high)}
        older = list(islice(self._by_step, len(self._by_step) // 2))
        for step in older[1::2]:
            if step not in extremes:
                del self._by_step[step]
                self._dropped_upto = max(self._dropped_upto, step)


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
