"""Killed before or after any write, a study of fresh runs, repeats or clones ends as if nobody had touched it.

The operator's life is cut short: objects (as JSON) and running attempts stay, all that a process knew is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, Observation, TrialFacts, TrialState
from rung.api.trial import Trial
from rung.brain import Plan, StudyRecord, Trials
from rung.executor.body import Sight
from rung.executor.reconcile import Outcome, reconcile
from rung.executor.record import facts_of, trial_of
from rung.simulate.engine import begins_at
from tests.executor.contract import CHECKPOINTS, a_population, a_study, scheduled, told
from tests.executor.replay import loss

STUDIES: dict[str, dict[str, Any]] = {
    "ASHA, every rung a fresh run": {"scheduler": scheduled("ASHA", mode="Restart")},
    "Hyperband, fresh runs side by side": {
        "scheduler": scheduled("Hyperband", mode="Restart"),
        "limits": {"trials": 9, "parallelism": 3},
    },
    "every assignment three times": {"repeats": {"count": 3}, "limits": {"trials": 9, "parallelism": 4}},
    "leaders twice": {"repeats": {"count": 2, "of": "Leaders"}},
    "fresh runs, those that come to the end twice": {
        "scheduler": scheduled("ASHA", mode="Restart"),
        "repeats": {"count": 2},
        "limits": {"trials": 12, "parallelism": 1},
    },
    "clones of a population": {
        "scheduler": a_population(8, quantile="0.5"),
        "limits": {"parallelism": 1},
        "trial": CHECKPOINTS,
    },
    "clones that a model proposes": {
        "scheduler": a_population(6, "PB2", quantile="0.5"),
        "limits": {"parallelism": 1},
        "trial": CHECKPOINTS,
    },
}


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Cluster:
    """What outlives the operator. An attempt runs until it is its turn to end: the one that was started first."""

    plan: Plan
    kills: Sequence[int] = ()  # moments at which the operator dies, counted before and after each of its calls
    moments: int = 0
    objects: dict[int, str] = field(default_factory=dict)
    running: dict[int, tuple[int, int]] = field(default_factory=dict)  # trial -> attempt, target; in order of start
    ended: dict[int, tuple[int, int]] = field(default_factory=dict)
    started: list[tuple[int, int]] = field(default_factory=list)
    created: int = 0

    async def create(self, facts: TrialFacts) -> None:
        self._moment()
        self.objects.setdefault(facts.number, self._document(facts))
        self._moment()

    async def write(self, facts: TrialFacts) -> None:
        self._moment()
        self.objects[facts.number] = self._document(facts)
        self._moment()

    async def start(self, facts: TrialFacts, attempt: int) -> TrialFacts:
        self._moment()
        if self.running.get(facts.number, (0,))[0] < attempt:
            self.ended.pop(facts.number, None)
            self.running[facts.number] = (attempt, self.plan.attempt_target(facts) or 9)
            self.started.append((facts.number, attempt))
        self._moment()
        return facts

    async def end(self, facts: TrialFacts, attempt: int, reason: str) -> None:
        raise AssertionError("nothing that runs is ended here")

    def live(self) -> bool:
        """One life of the operator; False: it was killed."""
        trials = Trials(
            self.plan, [facts_of(Trial.model_validate_json(text), self.plan) for text in self.objects.values()]
        )
        try:
            for _ in range(1000):
                outcome = self._reconcile(trials)
                if outcome.verdict.over:
                    return True
                number = next(iter(self.running), None)
                if number is not None:
                    self.ended[number] = self.running.pop(number)
        except Killed:
            return False
        raise AssertionError("the study does not end")

    def trials(self) -> list[TrialFacts]:
        """As recorded."""
        return [facts_of(Trial.model_validate_json(text), self.plan) for text in self.objects.values()]

    def _reconcile(self, trials: Trials) -> Outcome:
        sights = {facts.number: self._sight(facts) for facts in trials.unfinished}
        record = StudyRecord(started_at=0.0, created=self.created)
        outcome = asyncio.run(reconcile(self.plan, record, trials, sights, self, 1.0))
        assert not outcome.failures
        assert len(self.running) <= self.plan.spec.limits.parallelism
        self.created = outcome.created
        return outcome

    def _sight(self, facts: TrialFacts) -> Sight:
        if facts.number in self.running:
            return Sight(Attempt(self.running[facts.number][0], AttemptPhase.RUNNING, started_at=0.0))
        if facts.number not in self.ended:
            return Sight()
        number, target = self.ended[facts.number]
        attempt = Attempt(number, AttemptPhase.ENDED, 0.0, 1.0, AttemptEnd.COMPLETED, 0, collected=True)
        x, noise = float(facts.parameters["x"]), facts.seed if facts.repeat else 0
        steps = tuple(range(begins_at(facts) + 1, target + 1))
        said = tuple(Observation(t, {"loss": loss(x, t, noise)}) for t in steps)
        return Sight(attempt, said, checkpoint_step=float(target), checkpoints=steps)

    def _document(self, facts: TrialFacts) -> str:
        return trial_of(facts, self.plan, None, 1.0).model_dump_json(by_alias=True, exclude_none=True)

    def _moment(self) -> None:
        self.moments += 1
        if self.moments in self.kills:
            raise Killed


def study_of(name: str) -> Plan:
    return Plan.of(a_study(**{"scheduler": scheduled("None"), "sampler": {"type": "Sobol"}, **STUDIES[name]}))


@pytest.mark.parametrize("name", STUDIES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_study_that_is_killed_ends_as_the_undisturbed_one(name: str, data: st.DataObject) -> None:
    plan = study_of(name)
    calm = Cluster(plan)
    assert calm.live()
    kills = data.draw(st.sets(st.integers(1, calm.moments), max_size=8), label="killed at")
    killed = Cluster(plan, sorted(kills))
    lives = 1
    while not killed.live():
        lives += 1
    assert lives <= len(kills) + 1
    in_order = plan.spec.limits.parallelism == 1
    assert told(killed.trials(), order=in_order) == told(calm.trials(), order=in_order)
    assert len(killed.started) == len(set(killed.started)), "an attempt was started twice"
    assert sorted(killed.started) == sorted(calm.started)
    assert all((f.crashes, f.disruptions) == (0, 0) for f in killed.trials())


def test_what_is_compared_is_worth_it() -> None:
    calm = {name: Cluster(study_of(name)) for name in STUDIES}
    assert all(cluster.live() for cluster in calm.values())
    stopped = {name: sum(f.state is TrialState.STOPPED for f in cluster.trials()) for name, cluster in calm.items()}
    repeated = {name: sum(f.repeat > 0 for f in cluster.trials()) for name, cluster in calm.items()}
    again = {name: sum(attempt > 1 for _, attempt in cluster.started) for name, cluster in calm.items()}
    assert all((stopped[name] > 0) == ("fresh" in name or "clones" in name) for name in STUDIES), stopped
    assert all((again[name] > 0) == ("fresh" in name) for name in STUDIES), again
    assert all((repeated[name] > 0) == ("twice" in name or "three" in name) for name in STUDIES), repeated
