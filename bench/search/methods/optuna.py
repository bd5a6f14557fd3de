"""Optuna's samplers with their defaults, told about parallel workers where they have an option for it."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from importlib.metadata import version as version_of
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from bench.search.methods.protocol import Asked, Method, Task, Word
from bench.search.problem import Config, Outcome, Parameter, Problem

optuna.logging.set_verbosity(logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", category=FutureWarning)


class Optuna:
    """A study in memory."""

    def __init__(self, task: Task, sampler: BaseSampler, pruner: BasePruner) -> None:
        self._problem = task.problem
        directions = ["minimize"] * task.problem.objectives
        self._study = optuna.create_study(directions=directions, sampler=sampler, pruner=pruner)
        self._running: dict[int, optuna.Trial] = {}
        self._last: dict[int, float] = {}

    def ask(self) -> Asked:
        """Define by run: children are suggested once their parent's value is known."""
        trial = self._study.ask()
        config: dict[str, Any] = {}
        for p in self._problem.space:
            if not p.active(config):
                continue
            if p.kind == "cat":
                config[p.name] = trial.suggest_categorical(p.name, p.choices)
            elif p.kind == "int":
                config[p.name] = trial.suggest_int(p.name, int(p.low), int(p.high), log=p.log)
            else:
                config[p.name] = trial.suggest_float(p.name, p.low, p.high, log=p.log)
        self._running[trial.number] = trial
        return Asked(trial.number, config)

    def report(self, number: int, epoch: int, value: float) -> Word:
        """As in the loop that its documentation shows."""
        if not math.isfinite(value):
            return Word.GO_ON
        trial = self._running[number]
        trial.report(value, epoch)
        self._last[number] = value
        if not trial.should_prune():
            return Word.GO_ON
        self._study.tell(self._running.pop(number), state=TrialState.PRUNED)
        return Word.STOP

    def tell(self, number: int, outcome: Outcome) -> None:
        """Constraints travel as an attribute of the trial."""
        trial = self._running.pop(number)
        if outcome.violations:
            trial.set_user_attr("violations", outcome.violations)
        if all(math.isfinite(v) for v in outcome.objectives):
            self._study.tell(trial, list(outcome.objectives))
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def fill(self, told: Sequence[tuple[Config, Outcome]]) -> None:
        """As finished trials."""
        distributions = {p.name: _distribution(p) for p in self._problem.space}
        for config, outcome in told:
            known = {name: distributions[name] for name in config}
            trial = optuna.trial.create_trial(params=dict(config), distributions=known, values=list(outcome.objectives))
            self._study.add_trial(trial)


def make(option: str, task: Task) -> Method:
    """`option`: the sampler's name, and after a plus the pruner's."""
    sampler, _, pruner = option.partition("+")
    return Optuna(task, _sampler(sampler, task), _pruner(pruner, task))


def _sampler(name: str, task: Task) -> BaseSampler:
    more: dict[str, Any] = {"seed": task.seed}
    if name != "CmaEs" and task.problem.constraints:
        more["constraints_func"] = lambda trial: trial.user_attrs.get("violations", _unknown(task.problem))
    match name:
        case "TPE":
            return optuna.samplers.TPESampler(constant_liar=task.workers > 1, **more)
        case "GP":
            return optuna.samplers.GPSampler(**more)
        case "CmaEs":
            return optuna.samplers.CmaEsSampler(**more)
        case "NSGAII":
            return optuna.samplers.NSGAIISampler(**more)
        case _:
            return optuna.samplers.RandomSampler(seed=task.seed)


def _pruner(name: str, task: Task) -> BasePruner:
    match name:
        case "median":
            return MedianPruner()
        case "asha":
            return SuccessiveHalvingPruner(reduction_factor=3)
        case "hyperband":
            return HyperbandPruner(max_resource=task.epochs, reduction_factor=3)
        case _:
            return NopPruner()


def _distribution(p: Parameter) -> optuna.distributions.BaseDistribution:
    if p.kind == "cat":
        return optuna.distributions.CategoricalDistribution(p.choices)
    if p.kind == "int":
        return optuna.distributions.IntDistribution(int(p.low), int(p.high), log=p.log)
    return optuna.distributions.FloatDistribution(p.low, p.high, log=p.log)


def _unknown(problem: Problem) -> tuple[float, ...]:
    return (1.0,) * problem.constraints


def version(option: str) -> str:
    """Of Optuna and of what its sampler rests on."""
    below = {"GP": ("torch",), "CmaEs": ("cmaes",)}.get(option.partition("+")[0], ())
    return " ".join(f"{name} {version_of(name)}" for name in ("optuna", *below))
