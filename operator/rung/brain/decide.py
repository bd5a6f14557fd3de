"""`decide`: the only place where sampler, scheduler, limits and goal meet.

A pure function of the study, what is known of its trials, and the time. It answers in three phases, and the first that has
something to say answers alone (`again`), since what follows would rest on facts that are not recorded yet:

    1. records    rungs that were reached, trials that are over, attempts that may be retried
    2. the study  goal, budget, failure: where it is over, its trials are concluded
    3. actions    attempts to end; then, while there are free slots, attempts to start and trials to create

Where every rung is an attempt of its own (mode Restart), a rung is recorded once its attempt has completed; the same record
sets the trial waiting for a verdict, without a slot, or for its next attempt. The target of an attempt follows from the
rungs that are recorded (`Plan.attempt_target`) and is written nowhere.

A rung is recorded for one trial at a time, each with the next `order`: a decision then rests on records of lower order and on
nothing else, so every recorded decision can be computed again from what was recorded before it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from rung.api.facts import Assignment, Attempt, AttemptEnd, AttemptPhase, RungRecord, TrialFacts, TrialState, Verdict
from rung.brain.decisions import (
    Conclude,
    Create,
    Decision,
    Decisions,
    End,
    Judge,
    Record,
    Retry,
    Start,
    StudyState,
    StudyVerdict,
    Wait,
    open_rungs,
)
from rung.brain.measure import Goal
from rung.brain.plan import Plan
from rung.brain.trials import Trials
from rung.brain.verdict import StudyRecord, study_verdict
from rung.schedule.protocol import Entry, Membership, Statistic
from rung.search.protocol import Request, Told

CRASH_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
"""After a crash the next attempt waits 1, 2, 4 … seconds: programs that die at once would otherwise eat the cluster's writes.
A disrupted attempt is followed by the next one at once: nothing is wrong with it."""

START_GRAIN = 1.0  # Kubernetes tells starts in whole seconds: a trial may get a second more, and never less

CRASHES = frozenset({AttemptEnd.CRASHED, AttemptEnd.SILENT, AttemptEnd.OUT_OF_MEMORY})
"""Ends after which the same program may be tried again, with a pause."""

MAX_DISRUPTIONS = 50
"""A trial that was disrupted this often is given up: something evicts it every time, and the cluster's time is spent."""


def decide(plan: Plan, record: StudyRecord, trials: Trials, now: float, slots: int | None = None) -> Decisions:
    """What is to be done about the study now. Deciding again once everything is applied decides nothing new.

    `slots` is how many attempts may be started; None: as many as spec.limits.parallelism leaves.
    """
    records = _records(plan, record, trials, now)
    if records:
        return Decisions(tuple(records), again=True)
    verdict, look_again_at = study_verdict(plan, record, trials, now)
    if verdict.over:
        concluded = [_ended_with(plan, facts, verdict) for facts in trials.unfinished]
        if concluded:
            return Decisions(tuple(concluded), verdict, again=True)
    actions = _ends(trials, verdict)
    if verdict.state is StudyState.RUNNING:
        free = plan.spec.limits.parallelism - len(trials.live) if slots is None else slots
        actions += _starts(plan, record, trials, now, free)
        if free > 0 and not actions and not trials.live and not _pausing(trials, now):
            last = _settled(plan, record, trials, exhausted=True)
            if last:
                return Decisions(tuple(last), verdict, again=True)
            if not trials.unfinished:
                said = f"every assignment was tried; {plan.summary(trials)}"
                return Decisions((), StudyVerdict(StudyState.SUCCEEDED, "SearchSpaceExhausted", said))
    moments = [look_again_at, *(_look_again(plan, facts) for facts in trials.live), *_pausing(trials, now)]
    return Decisions(tuple(actions), verdict, look_again_at=min((m for m in moments if m is not None), default=None))


def judgements(plan: Plan, facts: TrialFacts, trials: Trials) -> tuple[RungRecord, ...]:
    """Records of the rungs that the trial has reached and that are not recorded yet, with the scheduler's verdicts.

    Ends at the first Stop or Open verdict: what a trial does beyond an open rung counts once that rung lets it pass, so that the
    record does not depend on how many reports were read at once. Ends too at a value that is not finite (`_diverged`).
    """
    new: list[RungRecord] = []
    if open_rungs(facts):
        return ()
    for rung, value, best in _reached(plan, facts):
        if not math.isfinite(value):
            break
        new.append(_judged(plan, facts, trials, rung, value, order=trials.last_order + len(new) + 1, best=best))
        if new[-1].verdict is not Verdict.CONTINUE:
            break
    return tuple(new)


def _judged(
    plan: Plan, facts: TrialFacts, trials: Trials, rung: int, value: float, *, order: int, best: float | None = None
) -> RungRecord:
    """A value at a rung with the scheduler's verdict on it."""
    rank = plan.measure.ranking.rank
    entry = Entry(facts.number, rung, rank(value), order, None if best is None else rank(best))
    judgement = plan.scheduler.judge(trials.table, entry)
    return RungRecord(rung, value, order, judgement.verdict, judgement.reason, best)


def _reached(plan: Plan, facts: TrialFacts) -> Iterator[tuple[int, float, float | None]]:
    """Rungs that a running trial has passed and that are not recorded, in order: (rung, value, best value so far)."""
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
        yield rung, value, best


def _records(plan: Plan, record: StudyRecord, trials: Trials, now: float) -> list[Record]:
    """Phase 1. At most one trial's rungs are recorded in a call."""
    found: list[Record] = []
    for facts in trials.unfinished:
        if facts.stop_requested:
            values = _values_so_far(plan, facts)
            found.append(Conclude(facts.number, TrialState.STOPPED, "StoppedByHand", "spec.stop was set", values))
            continue
        new = judgements(plan, facts, trials)
        if new:
            return [*found, _judge(plan, facts, (*facts.rungs, *new))]
        over = _diverged(plan, facts) or _goal_met(plan, facts) or _after_attempt(plan, facts, trials, now)
        if isinstance(over, Judge):
            return [*found, over]
        if over is not None:
            found.append(over)
    return found or _settled(plan, record, trials, exhausted=False)


def _judge(plan: Plan, facts: TrialFacts, rungs: tuple[RungRecord, ...]) -> Judge:
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
    values = _finite(facts.values if facts.state is TrialState.WAITING else plan.measure.values(facts))
    if last.verdict is Verdict.STOP:
        return Judge(facts.number, rungs, "StoppedAtRung", last.reason, values, stop=True)
    on_to_the_next = last.verdict is Verdict.CONTINUE and last.step != plan.rungs(facts)[-1]
    then = TrialState.PENDING if on_to_the_next else TrialState.WAITING
    return Judge(facts.number, rungs, f"Rung{last.verdict.value}", last.reason, values, then=then)


def _settled(plan: Plan, record: StudyRecord, trials: Trials, *, exhausted: bool) -> list[Record]:
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
                found.append(_judge(plan, trials[number], judged))
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


def _diverged(plan: Plan, facts: TrialFacts) -> Conclude | None:
    """A ranking value at a rung that is not finite: the configuration cannot work, and the rest would be GPU time for nothing."""
    for rung, value, _ in _reached(plan, facts):
        if math.isfinite(value):
            return None
        name = plan.measure.ranking.figure.name
        return Conclude(
            facts.number, TrialState.INFEASIBLE, "Diverged", f"{name} is {value} at {plan.resource_name} {rung}"
        )
    return None


def _goal_met(plan: Plan, facts: TrialFacts) -> Conclude | None:
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


def _after_attempt(plan: Plan, facts: TrialFacts, trials: Trials, now: float) -> Record | None:
    """What follows from an attempt that has ended or must end."""
    live = facts.live
    if live is None or live.number < facts.attempt or facts.state in {TrialState.PENDING, TrialState.WAITING}:
        return _judged_waiter(plan, facts)
    if live.live:
        return _overdue(plan, facts, live, now)
    if not live.collected:
        return None
    rung = plan.next_rung(facts) if plan.rung_by_rung else None
    if rung is not None and live.end is AttemptEnd.COMPLETED:
        return _rung_completed(plan, facts, trials, rung)
    return after_end(plan, facts, live)


def _judged_waiter(plan: Plan, facts: TrialFacts) -> Record | None:
    if facts.state is TrialState.WAITING and not open_rungs(facts):
        return _completed(plan, facts)
    return None


def _overdue(plan: Plan, facts: TrialFacts, live: Attempt, now: float) -> Record | None:
    """TimeoutSeconds and silenceSeconds. Queued attempts have no clock."""
    template = plan.spec.trial
    if live.phase is not AttemptPhase.RUNNING or live.started_at is None or live.ending:
        return None
    if template.timeout_seconds is not None and now - live.started_at >= template.timeout_seconds + START_GRAIN:
        return after_end(plan, facts, replace(live, end=AttemptEnd.TIMED_OUT))
    heard = max(live.started_at, facts.last_observed_at or live.started_at)
    if template.silence_seconds is not None and now - heard >= template.silence_seconds:
        return after_end(plan, facts, replace(live, end=AttemptEnd.SILENT))
    return None


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
    return Conclude(facts.number, TrialState.INFEASIBLE, "NotFinite", f"{wild} is {values[wild]}", _finite(values))


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
    record = _judged(plan, facts, trials, rung, found[name], order=trials.last_order + 1)
    return _judge(plan, facts, (*facts.rungs, record))


def _values_so_far(plan: Plan, facts: TrialFacts) -> Mapping[str, float]:
    """What a trial has that ends before its time. Of an attempt from nothing only the whole counts."""
    return facts.values if plan.rung_by_rung else _finite(plan.measure.values(facts))


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _ended_with(plan: Plan, facts: TrialFacts, verdict: StudyVerdict) -> Conclude:
    values = _values_so_far(plan, facts)
    if facts.state is TrialState.WAITING and not plan.rung_by_rung:
        return Conclude(facts.number, TrialState.SUCCEEDED, "Completed", "ended well before its study did", values)
    return Conclude(facts.number, TrialState.STOPPED, "StudyEnded", f"the study has ended: {verdict.reason}", values)


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


def _starts(plan: Plan, record: StudyRecord, trials: Trials, now: float, free: int) -> list[Decision]:
    """Attempts for trials that have none, then new trials, while there are free slots."""
    starts: list[Decision] = []
    for facts in trials.unfinished:
        if free <= 0:
            return starts
        if facts.state is TrialState.PENDING and (facts.live is None or not facts.live.live):
            free -= 1  # also while it pauses: its slot is not given to a new trial, or retries would starve
            if _ready_at(facts) <= now:
                starts.append(Start(facts.number, facts.attempt + 1, afresh=plan.rung_by_rung))
    for create in _proposals(plan, record, trials, free):
        starts.append(create)
        if create.values is None:
            starts.append(Start(create.number, 1))
    return starts


def _ready_at(facts: TrialFacts) -> float:
    """When a trial without an attempt may have its next one."""
    ended = facts.live.ended_at if facts.live is not None else None
    if ended is None or facts.live is None or facts.live.end not in CRASHES or not facts.crashes:
        return 0.0
    return ended + min(CRASH_PAUSE_SECONDS * 2.0 ** min(facts.crashes - 1, 30), LONGEST_PAUSE_SECONDS)


def _pausing(trials: Trials, now: float) -> list[float]:
    """When trials that pause after a crash are ready again."""
    pending = (facts for facts in trials.unfinished if facts.state is TrialState.PENDING)
    return [ready for facts in pending if (ready := _ready_at(facts)) > now]


def _proposals(plan: Plan, record: StudyRecord, trials: Trials, free: int) -> Iterator[Create]:
    """New trials: at most `free` that run, and any known points that come first. Repeats go before new assignments."""
    numbers = trials.free_numbers(record.created)
    taken, enqueued = Extended(trials.taken), Extended(trials.enqueued)
    room = math.inf if plan.trial_limit is None else plan.trial_limit - trials.counted
    history = [*plan.told, *trials.told()] if free > 0 and plan.sampler.learns else []
    due = list(trials.repeats_due())
    new: dict[int, Assignment] = {}  # first runs that are created here
    repeats = 0  # created here
    while free > 0 and room > 0:
        number = next(numbers)
        # a hole below a first run was not meant for its repeats
        place = next((i for i, (root, _) in enumerate(due) if root < number), None)
        if place is not None:
            root, repeat = due.pop(place)
            parameters = new[root] if root in new else trials.runs_of(root)[0].parameters
            yield _repeat(plan, number, parameters, root, repeat)
            repeats, free, room = repeats + 1, free - 1, room - 1
            continue
        if room < plan.cost:
            return
        index = trials.assignments.index(number) - repeats
        request = Request(plan.space, index, plan.spec.seed, history, taken, enqueued)
        proposal = plan.sampler.propose(request)
        if proposal is None:
            return
        yield Create(
            number=number,
            parameters=proposal.parameters,
            seed=plan.trial_seed(number),
            bracket=plan.scheduler.bracket(number),
            enqueued=proposal.enqueued,
            values=proposal.values,
        )
        taken.add(plan.space.key(proposal.parameters))
        if plan.sampler.learns and proposal.values is None:
            history.append(Told(index, proposal.parameters, TrialState.PENDING))
        if proposal.enqueued is not None:
            enqueued.add(proposal.enqueued)
        if proposal.values is None:
            free -= 1
            room -= 1
            if plan.repeats_at_once:
                new[number] = proposal.parameters
                due = [*((number, repeat) for repeat in range(1, plan.runs_each)), *due]


def _repeat(plan: Plan, number: int, parameters: Assignment, root: int, repeat: int) -> Create:
    """One more run of an assignment."""
    return Create(
        number=number,
        parameters=parameters,
        seed=plan.trial_seed(number, repeat),
        bracket=plan.scheduler.bracket(number),
        repeat_of=root,
        repeat=repeat,
    )


class Extended(Collection[Hashable]):
    """A collection and a few more, without copying it: a study of 100,000 trials asks for its next one."""

    def __init__(self, base: Collection[Hashable]) -> None:
        self._base = base
        self._more: set[Hashable] = set()

    def add(self, item: Hashable) -> None:
        """One more; the base is not touched."""
        self._more.add(item)

    def __contains__(self, item: object) -> bool:
        return item in self._more or item in self._base

    def __iter__(self) -> Iterator[Hashable]:
        return itertools.chain(self._base, (item for item in self._more if item not in self._base))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _look_again(plan: Plan, facts: TrialFacts) -> float | None:
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
