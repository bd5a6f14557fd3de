"""`decide`: the only place where sampler, scheduler, limits and goal meet.

A pure function of the study, what is known of its trials, and the time. It answers in three phases, and the first that has
something to say answers alone (`again`), since what follows would rest on facts that are not recorded yet:

    1. records    rungs that were reached (`judging`), trials that are over, attempts that may be retried (`endings`)
    2. the study  goal, budget, failure (`verdict`): where it is over, its trials are concluded
    3. actions    attempts to end; then, while there are free slots, attempts to start and trials to create (`starting`)
"""

from __future__ import annotations

from rung.api.facts import TrialState
from rung.brain.decisions import Conclude, Decision, Decisions, End, Judge, Record, StudyState, StudyVerdict
from rung.brain.endings import after_attempt, ended_with, goal_met, look_again, values_so_far
from rung.brain.judging import diverged, judge, judgements, settled
from rung.brain.plan import Plan
from rung.brain.starting import pausing, starts
from rung.brain.trials import Trials
from rung.brain.verdict import StudyRecord, study_verdict


def decide(plan: Plan, record: StudyRecord, trials: Trials, now: float, slots: int | None = None) -> Decisions:
    """What is to be done about the study now. Deciding again once everything is applied decides nothing new.

    `slots` is how many attempts may be started; None: as many as spec.limits.parallelism leaves.
    """
    records = _records(plan, record, trials, now)
    if records:
        return Decisions(tuple(records), again=True)
    verdict, look_again_at = study_verdict(plan, record, trials, now)
    if verdict.over:
        concluded = [ended_with(plan, facts, verdict) for facts in trials.unfinished]
        if concluded:
            return Decisions(tuple(concluded), verdict, again=True)
    actions = _ends(trials, verdict)
    if verdict.state is StudyState.RUNNING:
        free = plan.spec.limits.parallelism - len(trials.live) if slots is None else slots
        actions += starts(plan, record, trials, now, free)
        if free > 0 and not actions and not trials.live and not pausing(trials, now):
            last = settled(plan, record, trials, exhausted=True)
            if last:
                return Decisions(tuple(last), verdict, again=True)
            if not trials.unfinished:
                said = f"every assignment was tried; {plan.summary(trials)}"
                return Decisions((), StudyVerdict(StudyState.SUCCEEDED, "SearchSpaceExhausted", said))
    moments = [look_again_at, *(look_again(plan, facts) for facts in trials.live), *pausing(trials, now)]
    return Decisions(tuple(actions), verdict, look_again_at=min((m for m in moments if m is not None), default=None))


def _records(plan: Plan, record: StudyRecord, trials: Trials, now: float) -> list[Record]:
    """Phase 1. At most one trial's rungs are recorded in a call."""
    found: list[Record] = []
    for facts in trials.unfinished:
        if facts.stop_requested:
            values = values_so_far(plan, facts)
            found.append(Conclude(facts.number, TrialState.STOPPED, "StoppedByHand", "spec.stop was set", values))
            continue
        new = judgements(plan, facts, trials)
        if new:
            return [*found, judge(plan, facts, (*facts.rungs, *new))]
        over = diverged(plan, facts) or goal_met(plan, facts) or after_attempt(plan, facts, trials, now)
        if isinstance(over, Judge):
            return [*found, over]
        if over is not None:
            found.append(over)
    return found or settled(plan, record, trials, exhausted=False)


def _ends(trials: Trials, verdict: StudyVerdict) -> list[Decision]:
    """Live attempts that have no reason to live: of finished trials, of spent attempts, of a suspended study."""
    ends: list[Decision] = []
    for facts in trials.live:
        live = facts.live
        if live is None or live.ending:
            continue
        spent = facts.state is TrialState.PENDING and live.number <= facts.attempt
        if facts.finished or spent or verdict.state is StudyState.SUSPENDED:
            reason = "Suspended" if not (facts.finished or spent) else facts.reason
            ends.append(End(facts.number, live.number, reason))
    return ends
