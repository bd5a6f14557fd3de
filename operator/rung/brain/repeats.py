"""Repeats: several runs of one assignment, and the one result that they make.

An *assignment* is its first run, a trial like any other, and the repeats of it (`repeat_of`), numbered 1, 2, … by `repeat`.
The scheduler judges first runs alone. A repeat is a measurement: it is compared with nobody and trains to the end.

    of: All       every assignment runs `count` times: at once without a scheduler, else once its first run has come to
                  its end; a first run that the scheduler stops is not repeated
    of: Leaders   the best assignment by what its runs say so far, confirmed ones included, is run until it has had
                  `count` runs; with several objectives, all that no other one beats in each of them. Its first run, for
                  which it was chosen, is among those averaged: the value flatters a little, and less with each repeat

    value            Mean, Median or Worst of the whole runs' values, each objective and each constraint by itself
    standard error   s / sqrt(n) with s the standard deviation (n - 1) of the n whole runs: that of their mean, whatever
                     the aggregate; of a single run what it says itself (`standardErrorMetric`)
    a failed run     is left out, and not made up for: the others stand
    an infeasible    makes its assignment infeasible, and no more repeats are started: what diverges once in three times
                     is no best
    confirmed        `count` runs have come to their own end. Only then can an assignment be best for good, reach the
                     goal, or be part of the front. Under one noise and one normal prior posterior means shrink means of
                     equally many runs by the same share, so the best by mean is the best by posterior mean
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev

from rung.api.facts import TrialFacts, TrialState
from rung.api.limits import Aggregate
from rung.brain.measure import Measure
from rung.brain.plan import Plan

RESULTS = frozenset({TrialState.SUCCEEDED, TrialState.KNOWN})
"""States whose values are those of a whole run."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the runs of an assignment have brought so far."""

    number: int  # of its first run
    last: int  # the newest of its runs
    state: TrialState
    values: Mapping[str, float]  # aggregated
    errors: tuple[float | None, ...] = ()  # of the objectives
    runs: int = 1  # behind the values
    confirmed: bool = True
    step: float = 0.0  # to which the runs came

    @property
    def complete(self) -> bool:
        """The values are those of whole runs."""
        return self.state in RESULTS


def result_of(plan: Plan, runs: Sequence[TrialFacts]) -> Result:
    """Of one assignment's runs, at least one, in any order."""
    runs = sorted(runs, key=lambda facts: facts.repeat)
    first, last = runs[0], max(facts.number for facts in runs)
    whole = [facts for facts in runs if facts.state in RESULTS]
    infeasible = next((facts for facts in runs if facts.state is TrialState.INFEASIBLE), None)
    shown = infeasible or (whole[0] if whole else first)
    values = shown.values
    errors: tuple[float | None, ...] = plan.measure.errors(values)
    if len(whole) > 1 and infeasible is None:
        values = aggregated(plan.measure, [facts.values for facts in whole], plan.aggregate)
        errors = _errors(plan.measure, [facts.values for facts in whole])
    ended = sum(1 for facts in runs if facts.finished and facts.state is not TrialState.STOPPED)
    return Result(
        number=first.number,
        last=last,
        state=shown.state,
        values=values,
        errors=errors,
        runs=max(1, len(whole)),
        confirmed=first.state is TrialState.KNOWN or plan.runs_each == 1 or ended >= plan.runs_each,
        step=max((r.step for r in shown.rungs), default=shown.step or 0.0),
    )


def aggregated(measure: Measure, runs: Sequence[Mapping[str, float]], how: Aggregate) -> dict[str, float]:
    """Objectives and constraint figures of several runs as one; a figure that one of them lacks is left out."""
    found: dict[str, float] = {}
    for goal in measure.goals:
        values = _each(runs, goal.figure.name)
        if values:
            found[goal.figure.name] = _of(values, how, worst=max(values, key=goal.rank))
    for bound in measure.bounds:
        values = _each(runs, bound.figure.name)
        if values:
            worst = max(values, key=bound.violation)
            found.setdefault(bound.figure.name, _of(values, how, worst=worst))
    return found


def _each(runs: Sequence[Mapping[str, float]], name: str) -> list[float]:
    values = [run[name] for run in runs if name in run]
    return values if len(values) == len(runs) else []


def _of(values: Sequence[float], how: Aggregate, *, worst: float) -> float:
    match how:
        case Aggregate.MEAN:
            return fmean(values)
        case Aggregate.MEDIAN:
            return median(values)
        case Aggregate.WORST:
            return worst


def _errors(measure: Measure, runs: Sequence[Mapping[str, float]]) -> tuple[float | None, ...]:
    columns = [_each(runs, goal.figure.name) for goal in measure.goals]
    finite = [column if all(map(math.isfinite, column)) else [] for column in columns]
    return tuple(stdev(column) / math.sqrt(len(column)) if column else None for column in finite)


@dataclass(slots=True)
class Assignments:
    """Which trials run the same assignment. Holds numbers alone; what is known of the trials is asked for."""

    plan: Plan
    runs: dict[int, dict[int, int]] = field(default_factory=dict)  # first run's number -> repeat -> trial's number
    _lacking: set[int] = field(default_factory=set)  # assignments with fewer runs than they are to have
    _others: list[int] = field(default_factory=list)  # numbers of trials that no sampler has proposed, ascending

    def add(self, facts: TrialFacts) -> None:
        """A trial exists."""
        root = root_of(facts)
        runs = self.runs.setdefault(root, {})
        runs[facts.repeat] = facts.number
        if is_other(facts):
            insort(self._others, facts.number)
        (self._lacking.add if len(runs) < self.plan.runs_each else self._lacking.discard)(root)

    def drop(self, facts: TrialFacts) -> None:
        """A trial does not exist any more."""
        root = root_of(facts)
        self.runs[root].pop(facts.repeat, None)
        if is_other(facts):
            self._others.remove(facts.number)
        self._lacking.add(root)
        if not self.runs[root]:
            del self.runs[root]
            self._lacking.discard(root)

    def index(self, number: int) -> int:
        """Which of the assignments that a sampler proposes has this number: trials count repeats and clones, too."""
        return number - bisect_left(self._others, number)

    def lacking(self, root: int) -> list[int]:
        """Repeats that the assignment is to have and has not. One whose first run was deleted gets no more."""
        runs = self.runs.get(root, {})
        return [r for r in range(1, self.plan.runs_each) if r not in runs] if 0 in runs else []

    def all_lacking(self) -> Iterator[int]:
        """Assignments that are to have more runs, by number."""
        return iter(sorted(self._lacking))


def is_other(facts: TrialFacts) -> bool:
    """A repeat, or a clone: its parameters are another trial's, changed or not."""
    return facts.repeat_of is not None or facts.descent is not None


def root_of(facts: TrialFacts) -> int:
    """The number of the assignment's first run."""
    return facts.number if facts.repeat_of is None else facts.repeat_of


def repeated(plan: Plan, runs: Sequence[TrialFacts]) -> bool:
    """Whether `of: All` starts further runs of the assignment, its first run first."""
    first = runs[0]
    if any(facts.state is TrialState.INFEASIBLE for facts in runs):
        return False
    if plan.repeats_at_once:
        return first.state not in {TrialState.KNOWN, TrialState.STOPPED}
    return first.state is TrialState.SUCCEEDED
