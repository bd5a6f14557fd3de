"""Folding what is seen of an attempt into what is known of its trial. Pure and idempotent: folding twice equals folding once."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace

from rung.api.facts import (
    Attempt,
    AttemptEnd,
    AttemptPhase,
    MetricSummary,
    Observation,
    TrialFacts,
    TrialState,
    merged,
)
from rung.brain.decisions import afresh
from rung.brain.plan import Plan
from rung.executor.body import Sight


def folded(plan: Plan, facts: TrialFacts, sight: Sight, now: float) -> TrialFacts:
    """The trial with the news. A finished one keeps its record; only its still ending attempt is news."""
    attempt = sight.attempt
    if facts.finished:
        return replace(facts, live=attempt)
    if attempt is None or attempt.number < facts.attempt:
        return replace(facts, live=_vanished(facts, now))
    state = facts.state
    if attempt.number > facts.attempt:  # started, and the record did not come to be written
        state = TrialState.QUEUED
        if plan.rung_by_rung:
            facts = afresh(facts)
    if state in {TrialState.QUEUED, TrialState.RUNNING}:
        state = TrialState.QUEUED if attempt.phase is AttemptPhase.QUEUED else TrialState.RUNNING
    if plan.rung_by_rung:
        facts = _standing_at(plan, facts, sight) if state in {TrialState.QUEUED, TrialState.RUNNING} else facts
        news: tuple[Observation, ...] = ()
    else:
        news = sight.observations
    return replace(
        facts,
        attempt=max(facts.attempt, attempt.number),
        state=state,
        live=attempt,
        started_at=facts.started_at if facts.started_at is not None else attempt.started_at,
        node=attempt.node or facts.node,
        image_id=attempt.image_id or facts.image_id,
        missing=sight.missing,
        last_observed_at=_latest(facts.last_observed_at, sight.last_observed_at),
        outputs={**facts.outputs, **sight.outputs},
        checkpoint_step=_latest(facts.checkpoint_step, sight.checkpoint_step),
        checkpoints=_checkpoints(plan, facts, sight),
        curve=merged(facts.curve, news) if news else facts.curve,
        metrics=summaries(facts.metrics, news, sight.metrics) if news else facts.metrics,
    )


def _standing_at(plan: Plan, facts: TrialFacts, sight: Sight) -> TrialFacts:
    """With what an attempt that trains to a rung has said: all of it stands at that rung, whatever it counts by itself."""
    rung = float(plan.attempt_target(facts) or 0)
    said = dict(facts.metrics)
    for name, new in {**summaries({}, sight.observations, {}), **sight.metrics}.items():
        said[name] = replace(_longer(said.get(name), new), step=rung)
    if not said:
        return facts
    point = Observation(rung, {name: summary.last for name, summary in said.items()})
    return replace(facts, metrics=said, curve=merged(facts.curve, (point,)))


def _checkpoints(plan: Plan, facts: TrialFacts, sight: Sight) -> tuple[float, ...]:
    """Those that a clone of this trial might begin with: the newest up to each rung of the population."""
    if plan.population is None or sight.checkpoint_step is None:
        return facts.checkpoints
    seen = sorted({*facts.checkpoints, *sight.checkpoints, sight.checkpoint_step})
    places = {bisect_right(seen, rung) for rung in plan.population.rungs(facts.bracket)} - {0}
    return tuple(seen[place - 1] for place in sorted(places))


def _longer(known: MetricSummary | None, new: MetricSummary) -> MetricSummary:
    """Two summaries of the same values, the last one the news': a new process may not have heard all that was recorded."""
    if known is None or not math.isfinite(known.min):
        return new
    if not math.isfinite(new.min):
        return replace(known, last=new.last)
    longer = known if known.count > new.count else new
    return replace(longer, last=new.last, min=min(known.min, new.min), max=max(known.max, new.max))


def summaries(
    known: Mapping[str, MetricSummary], observations: Iterable[Observation], exact: Mapping[str, MetricSummary]
) -> Mapping[str, MetricSummary]:
    """Each metric's running figures: values at steps beyond the last one summed up are added, earlier ones were counted.

    `exact` widens the extremes, since a scraper that thinned its observations still knows them.
    """
    found = dict(known)
    for observation in observations:
        for name, value in observation.values.items():
            summary = found.get(name)
            if summary is None:
                found[name] = MetricSummary.of(observation.step, value)
            elif observation.step > summary.step:
                found[name] = summary.then(observation.step, value)
    for name, seen in exact.items():
        summary = found.get(name)
        if summary is not None and (seen.min < summary.min or seen.max > summary.max):
            found[name] = replace(summary, min=min(summary.min, seen.min), max=max(summary.max, seen.max))
    return found


def _vanished(facts: TrialFacts, now: float) -> Attempt | None:
    """An attempt that the record says is there, and that is not: deleted by somebody, or lost with its machine."""
    if facts.state not in {TrialState.QUEUED, TrialState.RUNNING}:
        return None
    known = facts.live
    return Attempt(
        number=facts.attempt,
        phase=AttemptPhase.ENDED,
        started_at=known.started_at if known else None,
        ended_at=facts.last_observed_at or now,
        end=AttemptEnd.DISRUPTED,
        message=f"attempt {facts.attempt} is gone: deleted, or lost with its node",
        collected=True,
    )


def _latest(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)
