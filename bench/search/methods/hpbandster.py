"""BOHB as its authors wrote it, hpbandster: its brackets and its densities, without the network that it is built around.

A bracket pauses all its trials at a budget until the last of them has come there, and the best go on from where they stand; while
it waits, the next bracket begins, as in its `Master.run`. Budgets are `epochs * 3 ** -k`, of which the nearest epoch counts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from types import SimpleNamespace
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from hpbandster.optimizers import bohb

from bench.search.methods.protocol import Asked, Method, Plain, Task, Word
from bench.search.problem import Outcome, Parameter, Problem

logging.getLogger("hpbandster").setLevel(logging.CRITICAL)

ETA = 3  # its default


@dataclass
class Job:
    """What its brackets and its densities read of a result."""

    id: tuple[int, int, int]
    kwargs: dict[str, Any]
    result: dict[str, float]
    timestamps: dict[str, float] = field(default_factory=dict)
    exception: None = None


class Bohb(Plain):
    """Brackets, and the trials that stand in them."""

    def __init__(self, task: Task) -> None:
        np.random.seed(task.seed)  # noqa: NPY002 - it draws from there
        halvings = int(np.log(task.epochs) / np.log(ETA)) + 1
        budgets = task.epochs * np.power(float(ETA), -np.linspace(halvings - 1, 0, halvings))
        densities = bohb.CG_BOHB(configspace=space(task.problem, task.seed))
        self._densities = densities
        self._epochs = task.epochs
        self._master = SimpleNamespace(
            max_SH_iter=halvings, eta=ETA, budgets=budgets, config_generator=densities, logger=logging.getLogger()
        )
        self._brackets: list[Any] = []
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._running: dict[int, Job] = {}
        self._done: dict[int, int] = {}

    def ask(self) -> Asked:
        """Of the earliest bracket that has something to run; a new bracket where none has."""
        while True:
            for bracket in self._brackets:
                run = None if bracket.is_finished else bracket.get_next_run()
                if run is not None:
                    return self._asked(*run)
            self._brackets.append(bohb.BOHB.get_next_iteration(self._master, len(self._brackets)))

    def _asked(self, key: tuple[int, int, int], config: dict[str, Any], budget: float) -> Asked:
        number = self._numbers.setdefault(key, len(self._numbers))
        self._running[number] = Job(key, {"config": config, "budget": budget}, {})
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}
        return Asked(number, plain, self._done.get(number, 0))

    def report(self, number: int, epoch: int, value: float) -> Word:
        """Heard at its budget alone."""
        self._done[number] = epoch
        job = self._running[number]
        if epoch < round(job.kwargs["budget"]):
            return Word.GO_ON
        del self._running[number]
        job.result["loss"] = value
        self._brackets[job.id[0]].register_result(job)
        self._densities.new_result(job)
        return Word.GO_ON if epoch == self._epochs else Word.PAUSE

    def tell(self, number: int, outcome: Outcome) -> None:
        """It was reported."""


def space(problem: Problem, seed: int) -> ConfigurationSpace:
    """Problems with learning curves have no conditions."""
    found = ConfigurationSpace(seed=seed)
    found.add_hyperparameters([_dimension(p) for p in problem.space])
    return found


def _dimension(p: Parameter) -> Any:
    if p.kind == "cat":
        return CategoricalHyperparameter(p.name, list(p.choices))
    if p.kind == "int":
        return UniformIntegerHyperparameter(p.name, int(p.low), int(p.high), log=p.log)
    return UniformFloatHyperparameter(p.name, p.low, p.high, log=p.log)


def make(option: str, task: Task) -> Method:  # noqa: ARG001 - there is but one
    """For that task."""
    return Bohb(task)


def version(option: str) -> str:  # noqa: ARG001 - there is but one
    """Of hpbandster."""
    return f"hpbandster {version_of('hpbandster')}"
