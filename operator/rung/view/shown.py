"""What a view shows of a run: the study's figures and its active trials, worked out once for every kind of view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rung.api.facts import TrialFacts, TrialState
from rung.brain import Decision, Plan, StudyVerdict, Trials
from rung.brain.decisions import running_seconds
from rung.view import wording

STALE_TRIALS = 3  # an estimate from fewer trials jumps about


@dataclass(frozen=True, slots=True)
class Look:
    """The state of a run after one round of decisions."""

    plan: Plan
    trials: Trials
    verdict: StudyVerdict
    decided: tuple[Decision, ...]
    now: float
    interrupted: bool = False


@dataclass(slots=True)
class Pace:
    """How fast trials of this run end. Those that had ended before it began say nothing about it."""

    started_at: float
    done_before: int

    def left(self, look: Look) -> float | None:
        """Seconds until the planned trials have ended, at the pace so far; None while that is not known."""
        done, planned = wording.progress(look.plan, look.trials)
        ended = done - self.done_before
        if planned is None or ended < STALE_TRIALS or look.now <= self.started_at:
            return None
        return (planned - done) * (look.now - self.started_at) / ended


@dataclass(frozen=True, slots=True)
class Row:
    """One active trial."""

    number: int
    state: str
    step: float | None
    target: int | None
    objective: float | None
    rung: str
    seconds: float
    parameters: str


def rows(look: Look) -> list[Row]:
    """Trials that have an attempt, those that still end included; by number."""
    return [_row(look, facts) for facts in look.trials.live]


def leader(look: Look) -> TrialFacts | None:
    """The running trial that is ahead of every trial that has ended; None where a whole run is the best, or nothing
    runs.
    """
    best, goal = look.trials.incumbent, look.plan.measure.goals[0]
    if best is not None and best.complete:
        return None
    standing = [
        (goal.rank(v), f.number) for f in look.trials.live if (v := goal.figure.of(f)) is not None and not f.finished
    ]
    ahead = min((s for s in standing if math.isfinite(s[0])), default=None)
    if ahead is None or (best is not None and best.objectives[0] <= ahead[0]):
        return None
    return look.trials[ahead[1]]


def budget(look: Look) -> str:
    """GPU time spent and saved, or trial time where no GPU is asked for."""
    spent = look.trials.ledger(look.now)
    if spent.used_ticks:
        return f"{_hours(spent.used)} GPU-h, {_hours(spent.saved)} saved"
    saved = f", {wording.time(spent.saved_seconds)} saved" if spent.saved_trial_ticks else ""
    return f"{wording.time(spent.used_seconds)} of trials{saved}"


def summary(look: Look, seconds: float) -> Sequence[str]:
    """The last word on a run: how it ended, what was found, what it took."""
    plan, trials, verdict = look.plan, look.trials, look.verdict
    done, planned = wording.progress(plan, trials)
    lines = [f"{plan.study.metadata.name}: {verdict.state.value} ({verdict.reason}): {_first_clause(verdict.message)}"]
    best = trials.incumbent
    if best is not None:
        lines.append(f"best    trial {best.number}: {wording.objectives(plan, trials)}{plan.remark(best)}")
        lines.append(f"        {wording.parameters(plan, trials[best.number])}")
        if len(plan.measure.goals) > 1 and len(trials.front) > 1:
            numbers = ", ".join(str(point.number) for point in trials.front[:10])
            more = f" and {len(trials.front) - 10} more" if len(trials.front) > 10 else ""
            lines.append(f"front   trials {numbers}{more}")
    of_all = f" of {planned}" if planned is not None else ""
    lines.append(f"trials  {done}{of_all} ended: {wording.counts(trials)}")
    lines.append(f"time    {wording.time(seconds)}; {budget(look)}")
    return lines


def _row(look: Look, facts: TrialFacts) -> Row:
    objective = look.plan.measure.goals[0].figure.of(facts) if not facts.finished else None
    if objective is None:
        objective = facts.values.get(look.plan.measure.goals[0].figure.name)
    ending = facts.finished or (facts.live is not None and facts.live.ending)
    return Row(
        facts.number,
        "Ending" if ending else facts.state.value,
        facts.step,
        look.plan.target,
        objective,
        str(facts.rungs[-1].step) if facts.rungs else "",
        running_seconds(facts, look.now) if facts.state is not TrialState.QUEUED else 0.0,
        wording.parameters(look.plan, facts),
    )


def _first_clause(message: str) -> str:
    """Without the best trial, which has lines of its own."""
    return message.split("; best trial", maxsplit=1)[0]


def _hours(seconds: float) -> str:
    return wording.number(round(seconds / 3600, 3))
