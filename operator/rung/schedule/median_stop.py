"""The median rule: a trial stops if its best value so far is worse than the median of the others' running means.

    best     of this trial's values up to the step
    mean     of each other trial's values up to the same step
    others   all that recorded the step before it, ended or not; the trial stops if best > median(means), strictly

Comparing a best with means is meant: noise helps a trial, and only one that never was as good as a typical trial was
on average is stopped. Vizier takes the means of completed trials alone; here all that came by count, so that the rule
works from the first hour on. Values are compared at every whole step from `start_step` to `max`, or at 32 evenly
spaced ones where those are more: the record of a trial holds no more. A study without a resource has no last step;
there the steps compared lie further and further apart. Source: Golovin et al. 2017 (Vizier), section
3.2.2.
"""

from __future__ import annotations

from rung.schedule.at_steps import AtSteps
from rung.schedule.protocol import Entry, RungTable, Statistic, Verdict
from rung.schedule.rungs import evenly, thinning
from rung.schedule.wording import Wording

MIN_TRIALS = 3
"""Fewer make a median that one odd trial can move at will; of three it takes two."""


class MedianStop(AtSteps):
    """Compares a trial's best with the median of the others' running means. An entry's value is its running mean."""

    statistic = Statistic.RUNNING_MEAN

    def __init__(
        self, start_step: int, high: int | None, *, min_trials: int = MIN_TRIALS, wording: Wording | None = None
    ) -> None:
        """`high` None: nobody knows how long a trial trains. Raises ValueError unless 1 <= start_step <= high and
        min_trials >= 1.
        """
        if min_trials < 1:
            raise ValueError(f"a median needs at least one other trial, got min_trials {min_trials}")
        super().__init__(thinning(start_step) if high is None else evenly(start_step, high), high, wording)
        self._min_trials = min_trials

    def word(self, table: RungTable, entry: Entry) -> tuple[Verdict, str]:
        """Stop if the best so far is strictly worse than the median. An entry without `best` is taken at its mean."""
        best = entry.value if entry.best is None else entry.best
        if entry.rung == self._target:
            return Verdict.CONTINUE, self._wording.last(entry.rung, best)
        seen = table.at(0, entry.rung).compare(entry)
        others, median = seen.n - 1, seen.median_of_others
        if median is None or others < self._min_trials:
            return Verdict.CONTINUE, self._wording.too_few(entry.rung, best, of=others, needed=self._min_trials)
        if best > median:
            return Verdict.STOP, self._wording.above_median(entry.rung, best, median, of=others)
        return Verdict.CONTINUE, self._wording.within_median(entry.rung, best, median, of=others)
