"""Population based training through ask and report: programs that keep their state, and problems that no constant solves."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung import Optimizer
from rung.api.facts import Assignment
from rung.optimizer import Continue, Trial

STEPS, INTERVAL, POPULATION = 100, 5, 8
State = tuple[float, ...]
Step = Callable[[State, Assignment], tuple[State, float]]
"""One step of training: the next state and its loss."""

LR = {"name": "lr", "type": "Double", "min": "1e-3", "max": 1, "scale": "Log"}
WAY = {"name": "way", "type": "Categorical", "values": ["plain", "scaled", "loud", "idle"]}
LOSS = {"metric": "loss", "direction": "Minimize"}
START: State = (1.0, 1.0, 0.0, 0.0)


def noisy_descent(state: State, parameters: Assignment) -> tuple[State, float]:
    """Stochastic gradient descent on a quadratic bowl of curvatures 1 and 0.1, in expectation: exact, nothing is drawn.

    (m0, m1) are mean distances, (v0, v1) variances. A high rate gets near soon and stays noisy, a low one is exact too late: the
    best schedule falls. Steps may also be scaled by the curvature, which is fast and ends noisier, and be taken in two useless ways.
    """
    lr, way = float(parameters["lr"]), parameters.get("way", "plain")
    curvature, noise = (1.0, 0.1), 0.3 if way == "loud" else 0.1
    rates = [lr * gain for gain in {"scaled": (1.0, 10.0), "idle": (0.1, 0.1)}.get(str(way), (1.0, 1.0))]
    m = [(1 - r * c) * x for r, c, x in zip(rates, curvature, state[:2], strict=True)]
    v = [(1 - r * c) ** 2 * x + (r * noise) ** 2 for r, c, x in zip(rates, curvature, state[2:], strict=True)]
    return (*m, *v), sum(c * (x * x + y) for c, x, y in zip(curvature, m, v, strict=True))


@dataclass
class Gym:
    """Trains what it is asked to train, `workers` at a time, and keeps the state at every step, as checkpoints would."""

    optimizer: Optimizer
    step: Step = noisy_descent
    start: State = START
    workers: int = POPULATION
    mixing: random.Random = field(default_factory=lambda: random.Random(0))
    states: dict[tuple[int, int], State] = field(default_factory=dict)  # by trial and step
    trials: dict[int, Trial] = field(default_factory=dict)
    steps: int = 0  # trained in all
    losses: dict[int, float] = field(default_factory=dict)  # at the target
    most: int = 0  # members at the same time

    def run(self) -> Gym:
        """Until nothing is left to train."""
        running: dict[int, int] = {}
        while True:
            while len(running) < self.workers and (trial := self.optimizer.ask()) is not None:
                self.trials[trial.number] = trial
                begins = int(trial.resume_from or 0)
                source = trial.number if trial.parent is None else trial.parent
                self.states[trial.number, begins] = self.states[source, begins] if begins else self.start
                running[trial.number] = begins
            if not running:
                return self
            self.most = max(self.most, len(running))
            self.advance(running, self.mixing.choice(sorted(running)))

    def advance(self, running: dict[int, int], number: int) -> None:
        trial, done = self.trials[number], running[number] + 1
        state, loss = self.step(self.states[number, done - 1], trial.parameters)
        self.states[number, done], running[number] = state, done
        self.steps += 1
        if not isinstance(self.optimizer.report(number, done, loss), Continue):
            del running[number]
        elif done == trial.target:
            self.optimizer.tell(number, loss)
            self.losses[number] = loss
            del running[number]

    @property
    def best(self) -> float:
        return min(self.losses.values())


def pbt(kind: str = "PBT", **options: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "resource": {"metric": "step", "max": STEPS},
        "pbt": {"population": POPULATION, "intervalSteps": INTERVAL, **options},
    }


def a_gym(seed: int, scheduler: dict[str, Any] | None = None, **more: Any) -> Gym:
    asked = scheduler or {"type": "None", "resource": {"metric": "step", "max": STEPS}}
    spec = {"parameters": [LR], "objectives": [LOSS], "sampler": {"type": "Random"}, "seed": seed, **more}
    spec["limits"] = {"trials": POPULATION, "parallelism": POPULATION, **more.get("limits", {})}
    return Gym(Optimizer(scheduler=asked, **spec), mixing=random.Random(seed))


def constant(lr: float) -> float:
    state, loss = START, math.inf
    for _ in range(STEPS):
        state, loss = noisy_descent(state, {"lr": lr})
    return loss


BEST_CONSTANT = min(constant(10 ** (-3 + 3 * k / 1000)) for k in range(1001))


def test_a_population_beats_random_search_and_the_best_constant_with_the_same_steps() -> None:
    populations = [a_gym(seed, pbt()).run() for seed in range(15)]
    random_search = [a_gym(seed).run() for seed in range(15)]
    assert {gym.steps for gym in random_search} == {POPULATION * STEPS}
    assert max(gym.steps for gym in populations) <= 1.05 * POPULATION * STEPS, "clones of those that are behind"
    ours, theirs = median(g.best for g in populations), median(g.best for g in random_search)
    print(f"PBT {ours:.3g}, random search {theirs:.3g}, best constant rate {BEST_CONSTANT:.3g}")
    assert ours < 0.8 * theirs
    assert ours < BEST_CONSTANT
    assert sum(p.best < r.best for p, r in zip(populations, random_search, strict=True)) >= 12


@dataclass(frozen=True)
class Compared:
    """Final losses, by seed."""

    proposed: list[float]
    drawn: list[float]
    random_search: list[float]

    @staticmethod
    def over(parameters: list[dict[str, Any]], members: int, seeds: range) -> Compared:
        def best(scheduler: dict[str, Any] | None) -> list[float]:
            more = {"parameters": parameters, "limits": {"trials": members, "parallelism": members}}
            gyms = [a_gym(seed, scheduler, **more) for seed in seeds]
            for gym in gyms:
                gym.workers = members
            return [gym.run().best for gym in gyms]

        return Compared(best(pbt("PB2", population=members)), best(pbt(population=members)), best(None))

    def __str__(self) -> str:
        ahead = sum(p < d for p, d in zip(self.proposed, self.drawn, strict=True))
        figures = (
            f"PB2 {median(self.proposed):.2g}, PBT {median(self.drawn):.2g}, random {median(self.random_search):.2g}"
        )
        return f"{figures}; PB2 ahead of PBT on {ahead} of {len(self.drawn)}"


@pytest.mark.parametrize("parameters", [[LR], [LR, WAY]], ids=["a rate", "a rate and a choice"])
@pytest.mark.parametrize("members", [4, POPULATION])
def test_what_a_model_proposes_is_no_worse_than_what_chance_has(parameters: list[dict[str, Any]], members: int) -> None:
    """Few are what a model is for: of four members one clone comes in a turn, and chance has one try."""
    found = Compared.over(parameters, members, range(15))
    print(f"{members} members, {' and '.join(p['name'] for p in parameters)}: {found}")
    assert median(found.proposed) < 1.2 * median(found.drawn)
    assert median(found.proposed) < 0.8 * median(found.random_search)
    assert sum(p < r for p, r in zip(found.proposed, found.random_search, strict=True)) >= 11


H = [{"name": f"h{i}", "type": "Double", "min": 0, "max": 1} for i in range(2)]


def half_blind(state: State, parameters: Assignment) -> tuple[State, float]:
    """Each of two weights falls as fast as its parameter says; only both together make the loss small."""
    moved = tuple(x * (1 - 0.1 * float(parameters[f"h{i}"])) for i, x in enumerate(state))
    return moved, sum(x * x for x in moved)


def test_what_no_member_can_alone_their_line_can() -> None:
    """Two members, each blind to one weight, in the spirit of Jaderberg et al. 2017, figure 2. Two are few: not every seed helps."""
    blind = [{"parameters": {"h0": "1", "h1": "0"}}, {"parameters": {"h0": "0", "h1": "1"}}]
    more: dict[str, Any] = {"parameters": H, "warm_start": {"points": blind}, "limits": {"trials": 2, "parallelism": 2}}

    def best(seed: int, scheduler: dict[str, Any] | None) -> float:
        gym = a_gym(seed, scheduler, **more)
        gym.step, gym.start, gym.workers = half_blind, (0.9, 0.9), 2
        return gym.run().best

    alone = [best(seed, None) for seed in range(9)]
    together = [best(seed, pbt(population=2)) for seed in range(9)]
    assert min(alone) >= 0.81
    assert median(together) < 0.2


@pytest.mark.parametrize("kind", ["PBT", "PB2"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), when=st.integers(1, 60))
def test_saved_and_restored_in_the_middle_it_goes_on_as_it_would_have(kind: str, seed: int, when: int) -> None:
    def gym() -> Gym:
        spec: dict[str, Any] = {"parameters": [LR], "objectives": [LOSS], "sampler": {"type": "Random"}, "seed": seed}
        return Gym(Optimizer(scheduler=short(), **spec, clock=lambda: 1.0), workers=4, mixing=random.Random(seed))

    def short() -> dict[str, Any]:
        options = {"population": 4, "intervalSteps": 4, "quantile": "0.5"}
        return {"type": kind, "resource": {"metric": "step", "max": 20}, "pbt": options}

    class Interrupted(Gym):
        def advance(self, running: dict[int, int], number: int) -> None:
            super().advance(running, number)
            if self.steps == when:
                facts = json.loads(json.dumps(self.optimizer.facts()))
                random.Random(when).shuffle(facts)
                given: dict[str, Any] = {"parameters": [LR], "objectives": [LOSS], "sampler": {"type": "Random"}}
                self.optimizer = Optimizer.restore(facts, scheduler=short(), seed=seed, clock=lambda: 1.0, **given)

    undisturbed = gym().run()
    other = gym()
    interrupted = Interrupted(other.optimizer, workers=4, mixing=random.Random(seed)).run()
    assert interrupted.trials == undisturbed.trials
    assert interrupted.losses == undisturbed.losses


def test_no_more_members_run_than_the_population_has() -> None:
    gym = a_gym(1, pbt(population=3), limits={"trials": 8})
    gym.workers = 8
    gym.run()
    assert gym.most == 3
    assert sum(trial.parent is None for trial in gym.trials.values()) == 8


if __name__ == "__main__":  # the table of docs/search.md: python -m tests.optimizer.test_population 60
    for what in ([LR], [LR, WAY]):
        for few in (4, POPULATION):
            print(
                f"{few} members, {' and '.join(p['name'] for p in what)}: {Compared.over(what, few, range(int(sys.argv[1])))}"
            )
