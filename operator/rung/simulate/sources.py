"""Studies that a simulated study starts from, simulated before it."""

from __future__ import annotations

from rung.api.facts import TrialFacts
from rung.brain import Plan
from rung.executor.record import trial_of
from rung.executor.sources import Past, mark_of
from rung.executor.status import study_status
from rung.simulate.curves import CurveSource
from rung.simulate.engine import simulate


async def simulated_past(plan: Plan, curves: CurveSource, *, gpus: int = 1) -> Past:
    """Simulate a study to its end, and what its objects would then say."""
    records: dict[int, TrialFacts] = {}
    result = await simulate(plan, curves, gpus=gpus, on_record=lambda facts: records.update({facts.number: facts}))
    created = len(result.trials)
    status = study_status(plan, result.trials, result.verdict, None, result.seconds, created=created, frozen_hash="")
    study = plan.study.model_copy(update={"status": status})
    trials = tuple(trial_of(records[number], plan, None, result.seconds) for number in sorted(records))
    return Past(mark_of(study), study, trials)
