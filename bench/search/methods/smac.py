"""SMAC's facades with their defaults: random forests (HPO) and a Gaussian process (BlackBox), through ask and tell."""

from __future__ import annotations

import tempfile
import warnings
from importlib.metadata import version as version_of
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition, Integer
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue

from bench.search.methods.protocol import Asked, Method, Plain, Task
from bench.search.problem import Outcome, Parameter, Problem

warnings.filterwarnings("ignore")


class Smac(Plain):
    """A facade whose target function is never called."""

    def __init__(self, task: Task, option: str) -> None:
        scenario = Scenario(
            space(task.problem),
            deterministic=True,  # one seed each, as all others here
            n_trials=task.trials,
            seed=task.seed,
            output_directory=tempfile.mkdtemp(prefix="smac"),
        )
        facade = BlackBoxFacade if option == "BlackBox" else HyperparameterOptimizationFacade
        self._facade = facade(scenario, _never, overwrite=True, logging_level=False)
        self._running: dict[int, TrialInfo] = {}
        self._next = 0

    def ask(self) -> Asked:
        """One more."""
        info = self._facade.ask()
        self._running[self._next] = info
        self._next += 1
        config = {name: _plain(value) for name, value in dict(info.config).items()}
        return Asked(self._next - 1, config)

    def tell(self, number: int, outcome: Outcome) -> None:
        """One objective."""
        self._facade.tell(self._running.pop(number), TrialValue(cost=outcome.objectives[0]))


def _never(config: Any, seed: int = 0) -> float:
    raise NotImplementedError(f"{config} with seed {seed} is evaluated by the clock")


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def space(problem: Problem) -> ConfigurationSpace:
    """With its conditions."""
    found = ConfigurationSpace(seed=0)
    made = {p.name: _dimension(p) for p in problem.space}
    found.add(list(made.values()))
    for p in problem.space:
        if p.parent is None:
            continue
        parent = made[p.parent]
        one = len(p.when) == 1
        found.add(
            EqualsCondition(made[p.name], parent, p.when[0]) if one else InCondition(made[p.name], parent, list(p.when))
        )
    return found


def _dimension(p: Parameter) -> Any:
    if p.kind == "cat":
        return Categorical(p.name, list(p.choices))
    if p.kind == "int":
        return Integer(p.name, (int(p.low), int(p.high)), log=p.log)
    return Float(p.name, (p.low, p.high), log=p.log)


def make(option: str, task: Task) -> Method:
    """`option`: HPO or BlackBox."""
    return Smac(task, option)


def version(option: str) -> str:  # noqa: ARG001 - one package for both
    """Of SMAC."""
    return f"smac {version_of('smac')}"
