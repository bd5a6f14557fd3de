"""What follows where an attempt has ended or must end, and where a trial has reached what was wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, RungRecord, TrialFacts, TrialState, Verdict
from rung.brain.decisions import Conclude, Record, Retry, StudyVerdict, Wait, open_rungs
from rung.brain.judging import finite, judge, judged
from rung.brain.measure import Goal
from rung.brain.plan import Plan
from rung.brain.trials import Trials

MAX_DISRUPTIONS = 50
"""A trial that was disrupted this often is given up: something evicts it every time, and the cluster's time is spent."""

START_GRAIN = 1.0  # Kubernetes tells starts in whole seconds: a trial may get a second more, and never less


def goal_met(plan: Plan, facts: TrialFacts) -> Conclude | None:
    """The trial's figures so far meet the goal: it need not run on."""
    if not any(goal.goal is not None for goal in plan.measure.goals) or open_rungs(facts) or plan.runs_each > 1:
        return None
    if plan.rung_by_rung and not (facts.state is TrialState.RUNNING and plan.attempt_target(facts) == plan.target):
        return None  # what a smaller run reaches says nothing of the whole one
    values = plan.measure.values(facts)
    if not plan.measure.goal_met(values):
        return None
    said = ", ".join(f"{g.figure.name} {values[g.figure.name]:.6g}" for g in plan.measure.goals)
    at = "" if facts.step is None else f" at step {facts.step:g}"
    return Conclude(facts.number, TrialState.SUCCEEDED, "GoalReached", f"{said}{at} meets the goal", values)


def after_attempt(plan: Plan, facts: TrialFacts, trials: Trials, now: float) -> Record | None:
    """What follows from an attempt that has ended or must end."""
    live = facts.live
    if live is None or live.number < facts.attempt or facts.state in {TrialState.PENDING, TrialState.WAITING}:
        return _judged_waiter(plan, facts)
    if live.live:
        overdue = _overdue(plan, facts, live, now)
        if overdue is None:
            return None
        live = replace(live, end=overdue)
    elif not live.collected:
        return None
    live = _blamed_on_memory(plan, facts, live)
    rung = plan.next_rung(facts) if plan.rung_by_rung else None
    if rung is not None and live.end is AttemptEnd.COMPLETED:
        return _rung_completed(plan, facts, trials, rung)
    return after_end(plan, facts, live)


def _judged_waiter(plan: Plan, facts: TrialFacts) -> Record | None:
    if facts.state is TrialState.WAITING and not open_rungs(facts):
        return _completed(plan, facts)
    return None


def _overdue(plan: Plan, facts: TrialFacts, live: Attempt, now: float) -> AttemptEnd | None:
    """TimeoutSeconds and silenceSeconds. Queued attempts have no clock."""
    template = plan.spec.trial
    if live.phase is not AttemptPhase.RUNNING or live.started_at is None or live.ending:
        return None
    if template.timeout_seconds is not None and now - live.started_at >= template.timeout_seconds + START_GRAIN:
        return AttemptEnd.TIMED_OUT
    heard = max(live.started_at, facts.last_observed_at or live.started_at)
    if template.silence_seconds is not None and now - heard >= template.silence_seconds:
        return AttemptEnd.SILENT
    return None


def out_of_memory(container: str) -> str:
    """What is said of a container that the kernel ended."""
    return f"out of memory: container {container} was OOMKilled by the kernel"


def _blamed_on_memory(plan: Plan, facts: TrialFacts, attempt: Attempt) -> Attempt:
    """An attempt that ended otherwise and brought no result is out of memory if one of its containers was.

    A benchmark, say, whose server beside it was killed: it leaves with 0 and no figure, or waits for an answer for ever.
    """
    if not attempt.starved or attempt.end not in {AttemptEnd.COMPLETED, AttemptEnd.SILENT, AttemptEnd.TIMED_OUT}:
        return attempt
    wanted = [plan.measure.ranking] if plan.rung_by_rung else plan.measure.goals
    if attempt.end is not AttemptEnd.SILENT and all(goal.figure.of(facts) is not None for goal in wanted):
        return attempt
    how = _sentence(plan, attempt, "the program ended without a result")
    return replace(attempt, end=AttemptEnd.OUT_OF_MEMORY, message=f"{out_of_memory(attempt.starved)}; {how}")


def after_end(plan: Plan, facts: TrialFacts, attempt: Attempt) -> Record:
    """The record that an ended attempt calls for."""
    template = plan.spec.trial
    said = attempt.message or (attempt.end.value if attempt.end else "ended")
    infeasible = template.infeasible
    match attempt.end:
        case AttemptEnd.COMPLETED:
            return _completed(plan, facts)
        case AttemptEnd.OUT_OF_MEMORY if infeasible is not None and infeasible.out_of_memory:
            return Conclude(facts.number, TrialState.INFEASIBLE, "OutOfMemory", said)
        case AttemptEnd.CRASHED if infeasible is not None and attempt.exit_code in infeasible.exit_codes:
            return Conclude(facts.number, TrialState.INFEASIBLE, "InfeasibleExitCode", said)
        case AttemptEnd.BAD_CONFIGURATION | AttemptEnd.TIMED_OUT | AttemptEnd.REFUSED:
            return Conclude(facts.number, TrialState.FAILED, attempt.end.value, _sentence(plan, attempt, said))
        case AttemptEnd.DISRUPTED:
            if facts.disruptions >= MAX_DISRUPTIONS:
                given_up = f"disrupted {facts.disruptions + 1} times, the last time: {said}"
                return Conclude(facts.number, TrialState.FAILED, "DisruptedTooOften", given_up)
            if plan.spec.suspend:
                return Retry(facts.number, attempt.number, "Suspended", "ended while the study is suspended")
            return Retry(facts.number, attempt.number, "Disrupted", said, disruption=True)
        case _:
            reason = (attempt.end or AttemptEnd.CRASHED).value
            said = _sentence(plan, attempt, said)
            if facts.crashes < template.retries:
                return Retry(facts.number, attempt.number, reason, said, crash=True)
            return Conclude(
                facts.number, TrialState.FAILED, reason, f"{said} (attempt {attempt.number}, no retry left)"
            )


def _sentence(plan: Plan, attempt: Attempt, said: str) -> str:
    template = plan.spec.trial
    if attempt.end is AttemptEnd.TIMED_OUT:
        return f"ran longer than spec.trial.timeoutSeconds ({template.timeout_seconds})"
    if attempt.end is AttemptEnd.SILENT:
        return f"no observation for spec.trial.silenceSeconds ({template.silence_seconds})"
    return said


def _completed(plan: Plan, facts: TrialFacts) -> Record:
    """The program has ended well: is there a result, and may it stand?"""
    judged = plan.rung_by_rung and facts.state is TrialState.WAITING
    values = facts.values if judged else plan.measure.values(facts)
    unfit = _unfit(facts, plan.measure.goals, values)
    if unfit is not None:
        return unfit
    waiting = open_rungs(facts)
    if waiting:
        return Wait(facts.number, f"ended; waiting for the verdict at {plan.resource_name} {waiting[0].step}")
    said = ", ".join(f"{g.figure.name} {values[g.figure.name]:.6g}" for g in plan.measure.goals)
    return Conclude(facts.number, TrialState.SUCCEEDED, "Completed", said, values)


def _unfit(facts: TrialFacts, goals: Sequence[Goal], values: Mapping[str, float]) -> Conclude | None:
    """The end of a trial whose program has ended well without a usable figure for each of these goals."""
    missing = [g.figure for g in goals if g.figure.name not in values]
    if missing:
        names = ", ".join(sorted({name for figure in missing for name in figure.inputs}))
        message = facts.missing or f"the trial ended without reporting {names}"
        return Conclude(facts.number, TrialState.FAILED, "MetricMissing", message, values)
    wild = next((g.figure.name for g in goals if not math.isfinite(values[g.figure.name])), None)
    if wild is None:
        return None
    return Conclude(facts.number, TrialState.INFEASIBLE, "NotFinite", f"{wild} is {values[wild]}", finite(values))


def _rung_completed(plan: Plan, facts: TrialFacts, trials: Trials, rung: int) -> Record:
    """An attempt has trained to its rung: its value there and the scheduler's verdict, unless it is no value at all.

    What is ranked has to be reported at every rung, the objectives at the last one alone: a dear one may be left out before.
    """
    ranking = plan.measure.ranking
    name, value = ranking.figure.name, ranking.figure.of(facts)
    found = {} if value is None else {name: value}
    unfit = _unfit(facts, [ranking], found)
    if unfit is None and rung == plan.rungs(facts)[-1]:
        unfit = _unfit(facts, plan.measure.goals, plan.measure.values(facts))
    if unfit is not None:
        return unfit
    others = plan.measure.others_of(facts)
    arrival = RungRecord(rung, found[name], trials.last_order + 1, Verdict.OPEN, others=others)
    record = judged(plan, facts, trials, arrival)
    return judge(plan, facts, (*facts.rungs, record))


def values_so_far(plan: Plan, facts: TrialFacts) -> Mapping[str, float]:
    """What a trial has that ends before its time. Of an attempt from nothing only the whole counts."""
    return facts.values if plan.rung_by_rung else finite(plan.measure.values(facts))


def ended_with(plan: Plan, facts: TrialFacts, verdict: StudyVerdict) -> Conclude:
    """The end of a trial whose study is over."""
    values = values_so_far(plan, facts)
    if facts.state is TrialState.WAITING and not plan.rung_by_rung:
        return Conclude(facts.number, TrialState.SUCCEEDED, "Completed", "ended well before its study did", values)
    return Conclude(facts.number, TrialState.STOPPED, "StudyEnded", f"the study has ended: {verdict.reason}", values)


def look_again(plan: Plan, facts: TrialFacts) -> float | None:
    """When the clock alone will have something to say about a running attempt."""
    live, template = facts.live, plan.spec.trial
    if live is None or live.phase is not AttemptPhase.RUNNING or live.started_at is None or facts.finished:
        return None
    moments: list[float] = []
    if template.timeout_seconds is not None:
        moments.append(live.started_at + template.timeout_seconds + START_GRAIN)
    if template.silence_seconds is not None:
        moments.append(max(live.started_at, facts.last_observed_at or 0.0) + template.silence_seconds)
    return min(moments, default=None)
