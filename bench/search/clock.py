"""One study of one method on a virtual clock: `evaluations` (one step each) and `trainings` (learning curves).

    workers   that many trials run side by side; the method is asked whenever one is free
    seconds   an evaluation takes a log-normal time, keyed by seed and trial: its median is 1, one in six takes above 1.6
    budget    evaluations, or seconds of the clock: as many as the workers need for 50 whole trainings, 50 * mean / workers
    found     which configuration is best by what was observed, at any step; its noise-free final value is what counts

The method's own time (of the processor: other programs on the machine do not count) is measured beside it and does not move the clock.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.search.methods.protocol import Asked, Method, Task, Word
from bench.search.problem import Array, Outcome, Problem

SPREAD = 0.5  # of the logarithm of an evaluation's time
WHOLE_TRAININGS = 50
DRAWN = 256  # configurations for the mean time of a whole training


@dataclass
class Trace:
    """What happened, in the order in which it happened."""

    times: list[float] = field(default_factory=list)  # of the clock, at the end of an evaluation
    observed: list[tuple[float, ...]] = field(default_factory=list)
    truths: list[tuple[float, ...]] = field(default_factory=list)
    feasible: list[bool] = field(default_factory=list)  # noise-free
    ask_ms: list[float] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "times": [round(t, 4) for t in self.times],
            "observed": self.observed,
            "truths": self.truths,
            "feasible": self.feasible,
            "ask_ms": [round(ms, 2) for ms in self.ask_ms],
        }


def evaluations(method: Method, task: Task) -> Trace:
    """`task.trials` evaluations by `task.workers`."""
    trace, problem = Trace(), task.problem
    running: list[tuple[float, int, Asked, Outcome]] = []
    now, asked = 0.0, 0
    while len(trace.times) < task.trials:
        while len(running) < task.workers and asked < task.trials:
            began = time.process_time()
            ask = method.ask()
            trace.ask_ms.append(1000 * (time.process_time() - began))
            if ask is None:
                break
            random = np.random.default_rng([task.seed, asked])
            seconds = math.exp(SPREAD * random.standard_normal()) if task.workers > 1 else 1.0
            heapq.heappush(running, (now + seconds, asked, ask, problem.observe(ask.config, random)))
            asked += 1
        if not running:
            break
        now, _, ask, outcome = heapq.heappop(running)
        method.tell(ask.number, outcome)
        truth = problem.truth(ask.config)
        trace.times.append(now)
        trace.observed.append(outcome.objectives)
        trace.truths.append(truth.objectives)
        trace.feasible.append(truth.feasible)
    return trace


@dataclass
class Training:
    """A trial with a curve that is being told."""

    ask: Asked
    values: Array
    seconds: Array
    began: float
    done: int  # epochs told

    def due(self) -> float:
        """When the next epoch ends."""
        return self.began + float(self.seconds[self.ask.done : self.done + 1].sum())


@dataclass
class Progress:
    """What is known along the clock, for the curves of regret over time."""

    best: list[tuple[float, float, float]] = field(
        default_factory=list
    )  # (time, best value so far, its trial's final one)
    trials: int = 0
    stopped: int = 0
    epochs: int = 0
    decision_ms: float = 0.0
    budget: float = 0.0

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "best": self.best,
            "trials": self.trials,
            "stopped": self.stopped,
            "epochs": self.epochs,
            "decision_ms": round(self.decision_ms / max(self.trials, 1), 3),
            "budget": self.budget,
        }


_whole: dict[str, float] = {}


def whole_training(problem: Problem) -> float:
    """Mean seconds of a whole training over random configurations, the same for every method and seed."""
    if problem.name not in _whole:
        random = np.random.default_rng(0)
        seconds = [problem.curve(problem.sample(random), random)[1].sum() for _ in range(DRAWN)]
        _whole[problem.name] = float(np.mean(seconds))
    return _whole[problem.name]


def trainings(method: Method, task: Task) -> Progress:
    """As much as `task.workers` get done in the time of 50 whole trainings."""
    progress, problem = Progress(budget=WHOLE_TRAININGS * whole_training(task.problem) / task.workers), task.problem
    curves: dict[int, tuple[Array, Array]] = {}
    running: list[tuple[float, int, Training]] = []
    now, best = 0.0, math.inf
    while True:
        while len(running) < task.workers:
            began = time.process_time()
            ask = method.ask()
            progress.decision_ms += 1000 * (time.process_time() - began)
            if ask is None:
                break
            if ask.number not in curves:
                progress.trials += 1
                curves[ask.number] = problem.curve(ask.config, np.random.default_rng([task.seed, ask.number]))
            training = Training(ask, *curves[ask.number], began=now, done=ask.done)
            heapq.heappush(running, (training.due(), ask.number, training))
        if not running or running[0][0] > progress.budget:
            return progress
        now, number, training = heapq.heappop(running)
        value = float(training.values[training.done])
        training.done += 1
        progress.epochs += 1
        if value < best:
            best = value
            progress.best.append((round(now, 4), value, problem.truth(training.ask.config).objectives[0]))
        began = time.process_time()
        word = method.report(number, training.done, value)
        if word is Word.GO_ON and training.done == len(training.values):
            method.tell(number, Outcome((value,)))
        elif word is Word.GO_ON:
            heapq.heappush(running, (training.due(), number, training))
        elif word is Word.STOP:
            progress.stopped += 1
        progress.decision_ms += 1000 * (time.process_time() - began)
