"""The simulated body: the same brain over curves and a virtual clock. Hours of training pass in milliseconds.

A trial reports at the steps where something may be decided (rungs and its last step; every step where a goal could be met in
mid-flight), and each report carries what the trial has said since the last one, as a scrape of a real trial does. A clone
goes on at the step of its parent's checkpoint, along the curve of its own parameters: what it inherits beyond the step is not
simulated. Every step has a checkpoint.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, Observation, TrialFacts
from rung.brain import Plan, StudyRecord, StudyVerdict, Trials
from rung.executor.body import Sight
from rung.executor.reconcile import Outcome, reconcile
from rung.simulate.curves import CurveSource

DEFAULT_STEPS = 27
"""Steps of a trial whose study names no resource: three rungs' worth at eta 3."""


@dataclass(slots=True)
class Run:
    """One running attempt: when it started and what it will say."""

    attempt: int
    started_at: float
    seconds_per_step: float
    observations: tuple[Observation, ...]
    told: int = 0  # so many observations have been seen; at first those of the trial that it goes on from


@dataclass(slots=True)
class SimulatedBody:
    """Keeps the virtual clock, the running attempts and the reports to come."""

    plan: Plan
    curves: CurveSource
    gpus: int = 1
    now: float = 0.0
    runs: dict[int, Run] = field(default_factory=dict)
    events: list[tuple[float, int, int, int]] = field(default_factory=list)  # (when, number, attempt, steps said)
    gone: list[int] = field(default_factory=list)
    starts: int = 0
    on_record: Callable[[TrialFacts], None] | None = None

    async def create(self, facts: TrialFacts) -> None:
        """Memory is the record: nothing to do, unless somebody wants it."""
        await self.write(facts)

    async def write(self, facts: TrialFacts) -> None:
        """Memory is the record: nothing to do, unless somebody wants it."""
        if self.on_record is not None:
            self.on_record(facts)

    async def start(self, facts: TrialFacts, attempt: int) -> TrialFacts:
        """Draw the trial's curve and put its reports on the calendar."""
        steps = self.plan.attempt_target(facts) or DEFAULT_STEPS
        seed = facts.number if self.plan.runs_each == 1 else facts.seed
        observations = self.curves.curve(facts.parameters, seed, steps)
        begins = begins_at(facts)
        run = Run(attempt, self.now, self.curves.seconds_per_step(facts.parameters, seed), observations, begins)
        self.runs[facts.number] = run
        self.starts += 1
        for said in self._moments(facts, len(observations)):
            if said > begins:
                due = self.now + (said - begins) * run.seconds_per_step
                heapq.heappush(self.events, (due, facts.number, attempt, said))
        return replace(facts, gpus=self.gpus)

    async def end(self, facts: TrialFacts, attempt: int, reason: str) -> None:  # noqa: ARG002 - the protocol's signature
        """The attempt is gone at once; its reports to come are void."""
        if self.runs.pop(facts.number, None) is not None:
            self.gone.append(facts.number)

    def next_sights(self, look_again_at: float | None = None) -> dict[int, Sight] | None:
        """What is to be seen next; moves the clock, at most to `look_again_at`. None: nothing will ever happen again."""
        if self.gone:
            gone, self.gone = self.gone, []
            return {number: Sight() for number in gone}
        while self.events and (look_again_at is None or self.events[0][0] <= look_again_at):
            when, number, attempt, said = heapq.heappop(self.events)
            run = self.runs.get(number)
            if run is None or run.attempt != attempt:
                continue
            self.now = when
            return {number: self._sight(number, run, said)}
        if look_again_at is None or look_again_at <= self.now:
            return None
        self.now = look_again_at
        return {}

    def _sight(self, number: int, run: Run, said: int) -> Sight:
        ended = said >= len(run.observations)
        attempt = Attempt(run.attempt, AttemptPhase.RUNNING, started_at=run.started_at)
        if ended:
            del self.runs[number]
            attempt = Attempt(
                run.attempt,
                AttemptPhase.ENDED,
                started_at=run.started_at,
                ended_at=self.now,
                end=AttemptEnd.COMPLETED,
                exit_code=0,
                collected=True,
            )
        observations, run.told = run.observations[run.told : said], said
        if self.plan.population is None:
            return Sight(attempt, observations, last_observed_at=self.now)
        steps = tuple(observation.step for observation in observations)
        return Sight(attempt, observations, checkpoint_step=steps[-1], checkpoints=steps, last_observed_at=self.now)

    def _moments(self, facts: TrialFacts, steps: int) -> list[int]:
        """Reports that may change a decision, as counts of steps said."""
        if any(goal.goal is not None for goal in self.plan.measure.goals):
            return list(range(1, steps + 1))
        rungs = set() if self.plan.rung_by_rung else {rung for rung in self.plan.rungs(facts) if rung < steps}
        return sorted(rungs | {steps})


def begins_at(facts: TrialFacts) -> int:
    """The step that a trial goes on from."""
    return 0 if facts.descent is None else int(facts.descent.step or 0)


@dataclass(frozen=True, slots=True)
class Simulated:
    """The end of a simulated study."""

    trials: Trials
    verdict: StudyVerdict
    seconds: float  # of virtual time
    steps: float  # trained in all


async def simulate(
    plan: Plan, curves: CurveSource, *, gpus: int = 1, on_record: Callable[[TrialFacts], None] | None = None
) -> Simulated:
    """Run the study to its end. Same study, same curves: same trials, same decisions, same best.

    `on_record` is told of each record that a real body would write: memory keeps no curves of finished trials.
    """
    body = SimulatedBody(plan, curves, gpus=gpus, on_record=on_record)
    trials = Trials(plan)
    record = StudyRecord(started_at=0.0)
    steps: dict[tuple[int, int], float] = {}  # by trial and attempt
    sights: dict[int, Sight] | None = {}
    outcome: Outcome | None = None
    while sights is not None:
        outcome = await reconcile(plan, record, trials, sights, body, body.now)
        if outcome.failures:
            raise outcome.failures[0]
        if outcome.verdict.over and not trials.live:
            break
        sights = body.next_sights(outcome.look_again_at)
        for number, sight in (sights or {}).items():
            if sight.observations and sight.attempt is not None:
                trained = sight.observations[-1].step - begins_at(trials[number])
                steps[number, sight.attempt.number] = trained
    if outcome is None:
        raise AssertionError("a study is always reconciled at least once")
    return Simulated(trials, outcome.verdict, body.now, sum(steps.values()))


def simulate_now(plan: Plan, curves: CurveSource, *, gpus: int = 1) -> Simulated:
    """`simulate` for callers without an event loop."""
    return asyncio.run(simulate(plan, curves, gpus=gpus))
