"""Records at rungs as the scheduler reads them: turned so that smaller is better."""

from __future__ import annotations

from rung.api.facts import RungRecord
from rung.brain.measure import Measure
from rung.schedule.protocol import Entry


def entry_of(measure: Measure, number: int, record: RungRecord) -> Entry:
    """The entry of a trial's record."""
    rank = measure.ranking.rank
    best = None if record.best is None else rank(record.best)
    # Not strict: a record without the further objectives has none of them.
    others = tuple(goal.rank(value) for goal, value in zip(measure.others, record.others, strict=False))
    return Entry(number, record.step, rank(record.value), record.order, best, others)
