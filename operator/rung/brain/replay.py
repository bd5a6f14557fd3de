"""Every recorded decision can be computed again: guarantee 3 as a function."""

from __future__ import annotations

from collections.abc import Iterable

from rung.api.facts import TrialFacts, Verdict
from rung.brain.entries import entry_of
from rung.brain.plan import Plan
from rung.schedule.protocol import RungTable


def contradictions(plan: Plan, trials: Iterable[TrialFacts]) -> list[str]:
    """Recorded verdicts of an asynchronous scheduler that its rule would not give on the records before them. [] if all agree.

    Synchronous verdicts rest on whole cohorts and not on an order; for those compare two runs.
    """
    records = sorted(((record, facts) for facts in trials for record in facts.rungs), key=lambda pair: pair[0].order)
    found: list[str] = []
    table = RungTable()
    seen: set[int] = set()
    for record, facts in records:
        if record.order in seen:
            found.append(f"order {record.order} was given twice, the second time to trial {facts.number}")
        seen.add(record.order)
        entry = entry_of(plan.measure, facts.number, record)
        table.add(entry, facts.bracket)
        judgement = plan.scheduler.judge(table, entry, facts.bracket)
        if judgement.verdict is not record.verdict:
            said, now = record.verdict.value, judgement.verdict.value
            found.append(f"trial {facts.number} at {record.step}: recorded {said}, computed {now} ({judgement.reason})")
        if record.verdict is not Verdict.OPEN:
            table.record(judgement)
    return found
