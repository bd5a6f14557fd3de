"""Rungs: what a trial is worth at each, the scheduler's verdict on it, and the record of both.

A rung is recorded for one trial at a time, each with the next `order`: a decision then rests on records of lower order and on
nothing else, so every recorded decision can be computed again from what was recorded before it.

Where every rung is an attempt of its own (mode Restart), a rung is recorded once its attempt has completed; the same record
sets the trial waiting for a verdict, without a slot, or for its next attempt. The target of an attempt follows from the
rungs that are recorded (`Plan.attempt_target`) and is written nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from rung.api.facts import RungRecord, TrialFacts, TrialState, Verdict
from rung.brain.decisions import Conclude, Judge, Record, open_rungs
from rung.brain.entries import entry_of
from rung.brain.plan import Plan
from rung.brain.trials import Trials
from rung.brain.verdict import StudyRecord
from rung.schedule.protocol import Membership, Statistic


def judgements(plan: Plan, facts: TrialFacts, trials: Trials) -> tuple[RungRecord, ...]:
    """Records of the rungs that the trial has reached and that are not recorded yet, with the scheduler's verdicts.

    Ends at the first Stop or Open verdict: what a trial does beyond an open rung counts once that rung lets it pass, so that the
    record does not depend on how many reports were read at once. Ends too at a value that is not finite (`diverged`).
    """
    new: list[RungRecord] = []
    if open_rungs(facts):
        return ()
    for arrival in _reached(plan, facts):
        if not math.isfinite(arrival.value):
            break
        new.append(judged(plan, facts, trials, replace(arrival, order=trials.last_order + len(new) + 1)))
        if new[-1].verdict is not Verdict.CONTINUE:
            break
    return tuple(new)


def judged(plan: Plan, facts: TrialFacts, trials: Trials, arrival: RungRecord) -> RungRecord:
    """An arrival at a rung with the scheduler's verdict on it."""
    judgement = plan.scheduler.judge(trials.table, entry_of(plan.measure, facts.number, arrival), facts.bracket)
    return replace(arrival, verdict=judgement.verdict, reason=judgement.reason)


def _reached(plan: Plan, facts: TrialFacts) -> Iterator[RungRecord]:
    """Rungs that a running trial has passed and that are not recorded, ascending; without their `order` and a verdict."""
    if plan.rung_by_rung:
        return  # an attempt ends at its rung (`_rung_completed`)
    recorded = {r.step for r in facts.rungs}
    furthest = facts.step
    for rung in plan.rungs(facts):
        if rung in recorded:
            continue
        if furthest is None or furthest < rung:
            return
        arrived = plan.measure.arrival(facts, rung)
        if arrived is None:
            return
        if plan.scheduler.statistic is Statistic.RUNNING_MEAN:
            mean = plan.measure.ranking.averaged(facts, upto=arrived)
            value, best = mean if mean is not None else (None, None)
        else:
            value, best = plan.measure.ranking.figure.of(facts, upto=arrived), None
        if value is None:
            return
        yield RungRecord(rung, value, 0, Verdict.OPEN, best=best, others=plan.measure.others_of(facts, upto=arrived))


def judge(plan: Plan, facts: TrialFacts, rungs: tuple[RungRecord, ...]) -> Judge:
    """The record of the trial's rungs, new ones and new verdicts included."""
    stopped = next((r for r in rungs if r.verdict is Verdict.STOP), None)
    last = stopped or rungs[-1]
    if plan.rung_by_rung:
        return _judged_attempt(plan, facts, rungs, last)
    if stopped is None:
        return Judge(facts.number, rungs, f"Rung{last.verdict.value}", last.reason)
    upto = plan.measure.arrival(facts, stopped.step) or stopped.step
    return Judge(facts.number, rungs, "StoppedAtRung", stopped.reason, plan.measure.values(facts, upto=upto), stop=True)


def _judged_attempt(plan: Plan, facts: TrialFacts, rungs: tuple[RungRecord, ...], last: RungRecord) -> Judge:
    """The word on a rung that was an attempt of its own. Its values are kept: the next attempt begins from nothing."""
    values = finite(facts.values if facts.state is TrialState.WAITING else plan.measure.values(facts))
    if last.verdict is Verdict.STOP:
        return Judge(facts.number, rungs, "StoppedAtRung", last.reason, values, stop=True)
    on_to_the_next = last.verdict is Verdict.CONTINUE and last.step != plan.rungs(facts)[-1]
    then = TrialState.PENDING if on_to_the_next else TrialState.WAITING
    return Judge(facts.number, rungs, f"Rung{last.verdict.value}", last.reason, values, then=then)


def settled(plan: Plan, record: StudyRecord, trials: Trials, *, exhausted: bool) -> list[Record]:
    """Verdicts of synchronous rungs that became possible, one trial per record. `exhausted`: no further trial will come."""
    waiting = [facts for facts in trials.unfinished if open_rungs(facts)]
    found: list[Record] = []
    for bracket in sorted({facts.bracket for facts in waiting}):
        verdicts = plan.scheduler.settle(
            trials.table, bracket, lambda number: membership(plan, record, trials, number, exhausted=exhausted)
        )
        by_number: dict[int, list[RungRecord]] = {}
        for judgement in verdicts:
            facts = trials[judgement.number]
            if facts.finished:
                continue
            rungs = by_number.setdefault(judgement.number, list(facts.rungs))
            for i, r in enumerate(rungs):
                if r.step == judgement.rung and r.verdict is Verdict.OPEN:
                    rungs[i] = replace(r, verdict=judgement.verdict, reason=judgement.reason)
        for number in sorted(by_number):
            judged = tuple(by_number[number])
            if judged != trials[number].rungs:
                found.append(judge(plan, trials[number], judged))
    return found


def membership(plan: Plan, record: StudyRecord, trials: Trials, number: int, *, exhausted: bool) -> Membership:
    """Whether a synchronous rung still has to wait for the trial of that number."""
    if number not in trials:
        if exhausted or trials.given_out(number, record.created):
            return Membership.NEVER
        limit = plan.trial_limit
        coming = limit is None or trials.counted + max(0, number - trials.next_number) < limit
        return Membership.COMING if coming else Membership.NEVER
    facts = trials[number]
    if facts.state is TrialState.KNOWN or facts.repeat_of is not None:
        return Membership.NEVER
    return Membership.GONE if facts.finished else Membership.ALIVE


def diverged(plan: Plan, facts: TrialFacts) -> Conclude | None:
    """A ranking value at a rung that is not finite: the configuration cannot work, and the rest would be GPU time for nothing."""
    for arrival in _reached(plan, facts):
        if math.isfinite(arrival.value):
            return None
        what = f"{plan.measure.ranking.figure.name} is {arrival.value} at {plan.resource_name} {arrival.step}"
        return Conclude(facts.number, TrialState.INFEASIBLE, "Diverged", what)
    return None


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """What can be recorded."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
