"""Numbers, times and parameters as people read them."""

from __future__ import annotations

import math

from rung.api.facts import TrialFacts
from rung.brain import Plan, Trials

DIGITS = 4


def number(value: float | None) -> str:
    """Four significant digits; a dash for what is not known."""
    if value is None:
        return "–"
    if math.isfinite(value) and value == int(value) and abs(value) < 10**DIGITS:
        return str(int(value))
    return f"{value:.{DIGITS}g}"


def time(seconds: float) -> str:
    """2.1s, 45s, 3m 12s, 2h 05m, 3d 4h."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {second:02}s"
    hour, minute = divmod(minutes, 60)
    return f"{hour}h {minute:02}m" if hour < 48 else f"{hour // 24}d {hour % 24}h"


def parameters(plan: Plan, facts: TrialFacts) -> str:
    """lr=0.001 optimizer=sgd: those that are active, as the trial was given them."""
    return " ".join(f"{name}={text}" for name, text in plan.space.shown(facts.parameters).items())


def objectives(plan: Plan, trials: Trials) -> str:
    """The best trial's: val_loss 0.1234, latency 8.1. Empty while there is none."""
    best = trials.incumbent
    if best is None:
        return ""
    pairs = zip(plan.measure.goals, best.objectives, strict=True)
    return ", ".join(f"{goal.figure.name} {number(goal.rank(value))}" for goal, value in pairs)


def progress(plan: Plan, trials: Trials) -> tuple[int, int | None]:
    """Trials that have ended, known points not counted, and how many are planned (None: nobody knows)."""
    done = trials.done
    if plan.trial_limit is not None:
        return done, plan.trial_limit
    size = plan.space.grid_size() if plan.spec.sampler.type.value == "Grid" else None
    return done, None if size is None else size * (plan.runs_each if plan.repeats_all else 1)


def counts(trials: Trials) -> str:
    """7 succeeded, 4 stopped, 1 failed: states that occur, the finished ones."""
    order = ("Succeeded", "Stopped", "Failed", "Infeasible", "Known")
    found = {state.value: count for state, count in trials.counts.items() if count}
    return ", ".join(f"{found[name]} {name.lower()}" for name in order if name in found) or "none has ended"
