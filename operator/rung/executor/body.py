"""The executor protocol: what the three bodies (cluster, local processes, simulation) do for the one reconcile.

A body keeps the records (API server, files, memory), runs attempts, and reports what it sees of them. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rung.api.facts import Attempt, MetricSummary, Observation, TrialFacts, TrialState
from rung.api.template import KeepJobs
from rung.brain.plan import Plan


@dataclass(frozen=True, slots=True)
class Sight:
    """What a body sees of a trial's newest attempt now."""

    attempt: Attempt | None = None  # None: nothing of it is there any more
    observations: tuple[Observation, ...] = ()  # of this attempt, by arrival
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)  # exact, where observations were thinned
    outputs: Mapping[str, str] = field(default_factory=dict)
    checkpoint_step: float | None = None  # of the newest complete checkpoint
    checkpoints: tuple[float, ...] = ()  # of those that were complete before it, as far as they are known
    last_observed_at: float | None = None
    missing: str = ""  # what was looked for and what was seen, while an objective's metric is not there


def keeps_attempt(plan: Plan, facts: TrialFacts, attempt: int) -> bool:
    """`trial.keepJobs` wants what an ended attempt has left, its log above all, to stay."""
    keep = plan.spec.trial.keep_jobs
    replaced = attempt < facts.attempt and not (plan.rung_by_rung and facts.crashes == facts.disruptions == 0)
    failed = facts.state in {TrialState.FAILED, TrialState.INFEASIBLE} or replaced
    return keep is KeepJobs.ALL or (keep is KeepJobs.FAILED and failed)


class Body(Protocol):
    """Every method may raise Conflict (somebody wrote first) or ClusterUnavailable; both are retried by the caller."""

    async def create(self, facts: TrialFacts) -> None:
        """Make the trial's record. One that exists already and is ours is a success."""

    async def write(self, facts: TrialFacts) -> None:
        """Write the trial's record."""

    async def start(self, facts: TrialFacts, attempt: int) -> TrialFacts:
        """Start an attempt; returns the facts with what only the body knows (GPUs). One that exists already is a success."""

    async def end(self, facts: TrialFacts, attempt: int, reason: str) -> None:
        """Tell an attempt to end at once. One that is gone already is a success."""
