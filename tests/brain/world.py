"""A world in memory for the brain's laws: trials run, report, crash and vanish in any order that a test asks for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, Observation, TrialFacts
from rung.api.study import parse_study
from rung.brain import Decisions, Plan, StudyRecord, Trials, decide
from rung.executor.body import Sight
from rung.executor.reconcile import Outcome, reconcile
from rung.simulate.engine import begins_at


def a_study(**spec: Any) -> dict[str, Any]:
    """The smallest Study, with what matters to a test on top."""
    return {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": "s", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [{"name": "x", "type": "Double", "min": 0, "max": 1}],
            "sampler": {"type": "Sobol"},
            "trial": {
                "podTemplate": {"spec": {"containers": [{"name": "t", "image": "i:1", "args": ["$(params.x)"]}]}}
            },
            **spec,
        },
    }


def a_plan(**spec: Any) -> Plan:
    """Of that study."""
    return Plan.of(parse_study(a_study(**spec)))


def loss(number: int, step: int) -> float:
    """A curve that depends on the number alone: falling, crossing some of its neighbours."""
    best = (number * 0.6180339887) % 1.0
    return best + (1.0 + 0.5 * math.sin(number)) / step


@dataclass
class World:
    """A body whose trials move when they are told to."""

    plan: Plan
    value: Callable[[TrialFacts, int], float] = lambda facts, step: loss(facts.number, step)
    checkpoint_every: int = 1  # steps; 0: the programs write none
    now: float = 1000.0
    created: list[int] = field(default_factory=list)
    started: list[tuple[int, int]] = field(default_factory=list)
    written: list[TrialFacts] = field(default_factory=list)
    running: dict[int, tuple[Attempt, int]] = field(default_factory=dict)  # number -> attempt, steps said
    ending: set[int] = field(default_factory=set)
    trials: Trials = field(init=False)
    record: StudyRecord = field(default_factory=lambda: StudyRecord(started_at=1000.0))
    outcome: Outcome | None = None
    most_live: int = 0

    def __post_init__(self) -> None:
        self.trials = Trials(self.plan)

    async def create(self, facts: TrialFacts) -> None:
        self.created.append(facts.number)

    async def write(self, facts: TrialFacts) -> None:
        self.written.append(facts)

    async def start(self, facts: TrialFacts, attempt: int) -> TrialFacts:
        self.started.append((facts.number, attempt))
        self.running[facts.number] = (Attempt(attempt, AttemptPhase.RUNNING, started_at=self.now), begins_at(facts))
        self.most_live = max(self.most_live, len(self.running))
        return replace(facts, gpus=1)

    async def end(self, facts: TrialFacts, attempt: int, reason: str) -> None:
        self.ending.add(facts.number)

    def reconcile(self, sights: Mapping[int, Sight] | None = None) -> Outcome:
        """One reconcile with this news."""
        self.outcome = asyncio.run(reconcile(self.plan, self.record, self.trials, sights or {}, self, self.now))
        assert not self.outcome.failures
        return self.outcome

    def advance(self, number: int, steps: int = 1) -> Outcome:
        """The trial reports that many more steps; at the target it ends well."""
        attempt, said = self.running[number]
        target = self.plan.attempt_target(self.trials[number]) or 3
        said = min(target, said + steps)
        self.now += 1.0
        if said >= target:
            del self.running[number]
            attempt = replace(
                attempt,
                phase=AttemptPhase.ENDED,
                ended_at=self.now,
                end=AttemptEnd.COMPLETED,
                exit_code=0,
                collected=True,
            )
        else:
            self.running[number] = (attempt, said)
        return self.reconcile({number: self.sight(number, attempt, said)})

    def sight(self, number: int, attempt: Attempt, said: int) -> Sight:
        """All that the trial has said up to this step."""
        facts = self.trials[number]
        steps = range(begins_at(facts) + 1, said + 1)
        kept = tuple(float(t) for t in steps if self.checkpoint_every and t % self.checkpoint_every == 0)
        return Sight(
            attempt,
            tuple(Observation(float(t), {"loss": self.value(facts, t)}) for t in steps),
            checkpoint_step=kept[-1] if kept and self.plan.population is not None else None,
            checkpoints=kept,
            last_observed_at=self.now,
        )

    def finish(self, number: int, end: AttemptEnd, code: int | None = 1) -> Outcome:
        """The trial's attempt ends in this way."""
        attempt, said = self.running.pop(number)
        self.now += 1.0
        over = replace(
            attempt,
            phase=AttemptPhase.ENDED,
            ended_at=self.now,
            end=end,
            exit_code=code,
            message=end.value,
            collected=True,
        )
        return self.reconcile({number: self.sight(number, over, said)})

    def happen(self, pick: int, what: str) -> bool:
        """Let something happen to the (pick mod running)-th of the trials that run. False: none does."""
        candidates = sorted(set(self.running) - self.ending)
        if not candidates:
            return False
        number = candidates[pick % len(candidates)]
        match what:
            case "step":
                self.advance(number)
            case "steps":
                self.advance(number, 4)
            case "crash":
                self.finish(number, AttemptEnd.CRASHED)
            case "disrupt":
                self.finish(number, AttemptEnd.DISRUPTED, 143)
            case "memory":
                self.finish(number, AttemptEnd.OUT_OF_MEMORY, 137)
            case _:
                raise ValueError(f"{what!r} is nothing that happens to a trial")
        return True

    def let_end(self) -> None:
        """Attempts that were told to end have ended."""
        while self.ending:
            number = self.ending.pop()
            if self.running.pop(number, None) is not None:
                self.now += 0.5
                self.reconcile({number: Sight()})

    def decide(self, trials: Trials | None = None, slots: int | None = None) -> Decisions:
        """What would be decided now."""
        return decide(self.plan, self.record, self.trials if trials is None else trials, self.now, slots)

    def rebuilt(self, order: Sequence[int] | None = None) -> Trials:
        """The same facts as a new process would list them, in any order."""
        return Trials(self.plan, [self.trials[number] for number in (order or sorted(f.number for f in self.trials))])
