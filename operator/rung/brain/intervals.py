"""What the members of a population have done so far, as a clone that is to come may know it (`rung.search.pb2`).

A clone's proposal is to be the same whenever it is made, or made again after a kill. So it rests on the rung records before the
verdict that made room for it, and on trials of lower numbers; of a member that proved infeasible it knows if it takes its place,
or if an earlier clone did. Between two records lies an interval. A clone's first one begins at the checkpoint that it went on
from, with what its parent's records say of the value there; a new member's, and that of a clone that begins from nothing, is left
out, since nobody knows a value there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice, pairwise

import numpy as np

from rung.api.facts import Descent, TrialFacts, TrialState, Verdict
from rung.brain.plan import Plan
from rung.brain.trials import Trials
from rung.search.pb2 import MOST, Beginning, Interval

Course = list[tuple[float, float]]
"""(step, value), smaller values are better."""


class Look:
    """Of a clone with this number, in the place of the trial `loser`. `begun` are clones that are not among the trials yet."""

    def __init__(self, plan: Plan, trials: Trials, begun: Mapping[int, TrialFacts], number: int, loser: int) -> None:
        self._number = number
        self._plan = plan
        self._trials = trials
        self._begun = begun
        self._loser = loser
        rungs = trials[loser].rungs
        self._last = rungs[-1].order if rungs else 0

    def beginning(self, descent: Descent, model: TrialFacts) -> Beginning | None:
        """Where the clone begins; None: from nothing, or nobody knows with which value."""
        start = self._start(descent)
        turn = self._turn_after(descent.rung)
        return None if start is None or turn is None else Beginning(model.parameters, turn, start[1])

    def intervals(self) -> list[Interval]:
        """Those of the newest records, newest first, and those that are not over."""
        found: list[Interval] = []
        seen: set[int] = set()
        for facts, record in islice(self._trials.recorded(self._last), MOST):
            if facts.number >= self._number:
                continue
            course = self._course(facts)
            for (step, before), (end, after) in pairwise(course):
                if end == record.step:
                    change = (after - before) / (end - step)
                    found.append(Interval(facts.parameters, self._turn_of(record.step), before, change))
            if facts.number not in seen:
                seen.add(facts.number)
                if record.verdict is not Verdict.STOP:
                    found += self._running(facts, record.step, course)
        for facts in self._newest():
            if facts.number not in seen and facts.descent is not None:
                found += self._running(facts, facts.descent.rung, self._course(facts))
        return found

    def _newest(self) -> Iterable[TrialFacts]:
        """Trials without a record, among as many as are looked at."""
        for number in range(self._number - 1, max(self._number - 1 - MOST, -1), -1):
            if number not in self._begun and number not in self._trials:
                continue
            facts = self._begun.get(number) or self._trials[number]
            if not any(record.order <= self._last for record in facts.rungs):
                yield facts

    def _running(self, facts: TrialFacts, rung: int, course: Course) -> list[Interval]:
        """The interval behind this rung, if there is one."""
        turn = self._turn_after(rung)
        if turn is None or not course:
            return []
        return [Interval(facts.parameters, turn, course[-1][1], float("inf") if self._diverged(facts) else None)]

    def _diverged(self, facts: TrialFacts) -> bool:
        if facts.state is not TrialState.INFEASIBLE:
            return False
        clone = self._trials.clone_of(facts.number)
        return facts.number == self._loser or (clone is not None and clone < self._number)

    def _start(self, descent: Descent | None) -> tuple[float, float] | None:
        """The step at which a clone begins, and the value there: that of its parent, between two of its records."""
        if descent is None or descent.step is None or descent.parent not in self._trials:
            return None
        course = self._course(self._trials[descent.parent])
        if not course:
            return None
        steps, values = zip(*course, strict=True)
        return descent.step, float(np.interp(descent.step, steps, values))

    def _course(self, facts: TrialFacts) -> Course:
        start = self._start(facts.descent)
        rank = self._plan.measure.ranking.rank
        said = [(float(record.step), rank(record.value)) for record in facts.rungs if record.order <= self._last]
        return said if start is None else [start, *said]

    def _turn_of(self, rung: int) -> int:
        return self._rungs.index(rung)

    def _turn_after(self, rung: int) -> int | None:
        return next((turn for turn, step in enumerate(self._rungs) if step > rung), None)

    @property
    def _rungs(self) -> tuple[int, ...]:
        return self._plan.scheduler.rungs(0)
