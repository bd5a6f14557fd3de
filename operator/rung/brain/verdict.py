"""Where a study stands: goal, budgets, failures. Recomputed from the facts each time, so that raising the limit that ended
a study reopens it, and nothing else does: what follows from an ending (trials that are stopped with it) never undoes its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rung.api.facts import TrialState
from rung.brain.board import Incumbent
from rung.brain.decisions import StudyState, StudyVerdict
from rung.brain.plan import Plan
from rung.brain.trials import Trials
from rung.ledger import GpuSeconds, seconds_until_spent

CLOCK_GRAIN = 0.001
"""Recorded times are cut to microseconds: an ending must not be undone by reading it back."""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What the study's own status says."""

    started_at: float | None = None  # when it was first accepted
    created: int = 0  # numbers given out so far: a deleted trial never frees its number
    reason: str = ""  # why it ended, if it has
    ended_at: float | None = None


def study_verdict(plan: Plan, record: StudyRecord, trials: Trials, now: float) -> tuple[StudyVerdict, float | None]:
    """The verdict, and when the clock alone may change it.

    Of several reasons to end, the recorded one stays as long as it holds; else the first in the order of `_endings`.
    """
    endings = list(_endings(plan, record, trials, now))
    for ending in endings:
        if ending.reason == record.reason:
            return ending, None
    if endings:
        return endings[0], None
    if plan.spec.suspend:
        return StudyVerdict(
            StudyState.SUSPENDED, "SuspendedBySpec", "spec.suspend is true; set it to false to go on"
        ), None
    return StudyVerdict(StudyState.RUNNING, "TrialsRunning", plan.summary(trials)), _clock(plan, record, trials, now)


def _endings(plan: Plan, record: StudyRecord, trials: Trials, now: float) -> Iterator[StudyVerdict]:
    """Every reason to end that holds, the most welcome first."""
    limits, best = plan.spec.limits, plan.summary(trials)

    def succeeded(reason: str, why: str) -> StudyVerdict:
        return StudyVerdict(StudyState.SUCCEEDED, reason, f"{why}; {best}")

    def failed(reason: str, why: str) -> StudyVerdict:
        return StudyVerdict(StudyState.FAILED, reason, f"{why}; {best}")

    incumbent = trials.incumbent
    if incumbent is not None and _stands(plan, incumbent) and plan.measure.goal_met(incumbent.values):
        yield succeeded("GoalReached", "the goal is reached")
    if plan.spec.finish:
        yield succeeded("FinishedByHand", "spec.finish was set")
    failures = trials.counts[TrialState.FAILED]
    if failures >= limits.parallelism and not trials.observed:
        first = "the first trial" if failures == 1 else f"the first {failures} trials"
        yield failed("NothingWorks", f"{first} ended without one observation: {_last_failure(trials)}")
    if failures > limits.failed_trials:
        allowed = f"spec.limits.failedTrials allows {limits.failed_trials}"
        why = f"{_many(failures)} failed, {allowed}: {_last_failure(trials)}"
        yield failed("TooManyFailures", why)
    if (
        plan.trial_limit is not None
        and not (trials.unfinished or trials.vacant)
        and _spent(plan, trials, plan.trial_limit)
    ):
        reason, why = (
            "TrialsCompleted",
            "the only trial has ended" if plan.trial_limit == 1 else f"all {plan.trial_limit} trials have ended",
        )
        yield succeeded(reason, why) if incumbent is not None else failed("NoResult", f"{why} and none has a result")
    if plan.gpu_seconds_limit is not None and trials.ledger(now).used >= plan.gpu_seconds_limit:
        yield succeeded("GpuHoursSpent", f"{limits.gpu_hours} GPU-hours are spent")
    if _overtime(plan, record, now):
        yield succeeded("DurationReached", f"{limits.duration_seconds} seconds have passed")
    if limits.patience_trials is not None and incumbent is not None and incumbent.for_good:
        since = sum(1 for facts in trials if facts.finished and facts.number > incumbent.last)
        if since >= limits.patience_trials:
            yield succeeded("PatienceExhausted", f"{_many(since)} in a row did not improve on the best")


def _many(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"


def _stands(plan: Plan, incumbent: Incumbent) -> bool:
    """Its values may reach the goal: not those of a smaller run, nor of a single one where runs are repeated."""
    return incumbent.for_good or not (plan.rung_by_rung or plan.runs_each > 1)


def _spent(plan: Plan, trials: Trials, limit: int) -> bool:
    """No further trial fits in."""
    if trials.counted >= limit:
        return True
    return trials.counted + plan.cost > limit and next(trials.repeats_due(), None) is None


def _overtime(plan: Plan, record: StudyRecord, now: float) -> bool:
    """A study that ended in time stays so: its clock stopped then."""
    duration = plan.spec.limits.duration_seconds
    if duration is None or record.started_at is None:
        return False
    return (record.ended_at if record.ended_at is not None else now) - record.started_at >= duration - CLOCK_GRAIN


def _clock(plan: Plan, record: StudyRecord, trials: Trials, now: float) -> float | None:
    moments: list[float] = []
    if plan.spec.limits.duration_seconds is not None and record.started_at is not None:
        moments.append(record.started_at + plan.spec.limits.duration_seconds)
    if plan.gpu_seconds_limit is not None:
        running = sum(facts.gpus for facts in trials.live)
        left = seconds_until_spent(trials.ledger(now), GpuSeconds(plan.gpu_seconds_limit), gpus_running=running)
        if left is not None:
            moments.append(now + left)
    return min(moments, default=None)


def _last_failure(trials: Trials) -> str:
    """The newest failure in its own words: the reader's first question."""
    failed = [facts for facts in trials if facts.state is TrialState.FAILED]
    newest = max(failed, key=lambda f: (f.ended_at or -math.inf, f.number))
    return f"trial {newest.number}: {newest.reason}: {newest.message}"
