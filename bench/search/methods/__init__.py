"""The contestants, by name. `METHODS` says which interpreter has their packages and which module makes them.

A method's `version` is part of the key under which its rows are kept: the versions of a peer's packages, a hash of our sources.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from bench.search.methods.protocol import Method, Task

OURS, PEERS, SYNE, SMAC, HEBO, BOHB = "ours", "peers", "syne", "smac", "hebo", "bohb"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a method comes from."""

    module: str
    environment: str = PEERS
    option: str = ""  # what the module's `make` is asked for
    seeds: int | None = None  # fewer than asked for: a slow one


_OPTUNA, _HYPEROPT, _SYNE, _RUNG = (f"bench.search.methods.{name}" for name in ("optuna", "hyperopt", "syne", "rung"))

METHODS: dict[str, Entry] = {
    "rung-auto": Entry(_RUNG, OURS, "Auto"),
    "rung-gp": Entry(_RUNG, OURS, "GP"),
    "rung-tpe": Entry(_RUNG, OURS, "TPE"),
    "rung-forest": Entry(_RUNG, OURS, "RandomForest"),
    "rung-cmaes": Entry(_RUNG, OURS, "CMAES"),
    "rung-evolution": Entry(_RUNG, OURS, "Evolution"),
    "rung-nsga2": Entry(_RUNG, OURS, "NSGA2"),
    "rung-reinforce": Entry(_RUNG, OURS, "Reinforce"),
    "rung-sobol": Entry(_RUNG, OURS, "Sobol"),
    "rung-random": Entry(_RUNG, OURS, "Random"),
    "random": Entry("bench.search.methods.uniform"),
    "optuna-tpe": Entry(_OPTUNA, option="TPE"),
    "optuna-cmaes": Entry(_OPTUNA, option="CmaEs"),
    "optuna-nsga2": Entry(_OPTUNA, option="NSGAII"),
    "optuna-gp": Entry(_OPTUNA, option="GP"),
    "hyperopt-tpe": Entry(_HYPEROPT),
    "smac-hpo": Entry("bench.search.methods.smac", SMAC, "HPO", seeds=3),
    "hebo": Entry("bench.search.methods.hebo", HEBO, seeds=2),
    # learning curves: a sampler and what stops its trials
    "rung-gp+asha": Entry(_RUNG, OURS, "GP+ASHA"),
    "rung-tpe+asha": Entry(_RUNG, OURS, "TPE+ASHA"),
    "rung-auto+asha": Entry(_RUNG, OURS, "Auto+ASHA"),
    "rung-random+asha": Entry(_RUNG, OURS, "Random+ASHA"),
    "rung-gp+none": Entry(_RUNG, OURS, "GP"),
    "rung-gp+median": Entry(_RUNG, OURS, "GP+MedianStop"),
    "rung-gp+curve": Entry(_RUNG, OURS, "GP+CurveExtrapolation"),
    "rung-gp+hyperband": Entry(_RUNG, OURS, "GP+Hyperband"),
    "rung-gp+hypertune": Entry(_RUNG, OURS, "GP+HyperTune"),
    "rung-gp+pasha": Entry(_RUNG, OURS, "GP+PASHA"),
    "optuna-tpe+none": Entry(_OPTUNA, option="TPE"),
    "optuna-tpe+median": Entry(_OPTUNA, option="TPE+median"),
    "optuna-tpe+asha": Entry(_OPTUNA, option="TPE+asha"),
    "optuna-tpe+hyperband": Entry(_OPTUNA, option="TPE+hyperband"),
    "syne-asha": Entry(_SYNE, SYNE, "asha"),
    "syne-asha-promotion": Entry(_SYNE, SYNE, "asha-promotion"),
    "hpbandster-bohb": Entry("bench.search.methods.hpbandster", BOHB),
    "syne-bohb": Entry(_SYNE, SYNE, "bohb"),
    "syne-dehb": Entry(_SYNE, SYNE, "dehb"),
    "syne-mobster": Entry(_SYNE, SYNE, "mobster", seeds=3),
    "syne-hypertune": Entry(_SYNE, SYNE, "hypertune", seeds=3),
}


ONLY_CURVES = {SYNE, BOHB}


def suits(name: str, suite: str) -> bool:
    """Whether a method takes part: those with a scheduler on learning curves and nowhere else, populations where they belong."""
    entry = METHODS[name]
    if suite == "curves":
        return "+" in name or entry.environment in ONLY_CURVES or name == "random"
    if "+" in name or entry.environment in ONLY_CURVES:
        return False
    match suite:
        case "pareto":
            return not name.startswith("hyperopt") and name not in {
                "optuna-cmaes",
                "rung-cmaes",
                "rung-evolution",
                "rung-reinforce",
            }
        case "constrained":
            return name in {"random", "optuna-tpe", "optuna-gp"} or (entry.environment == OURS and "random" not in name)
        case "cells":
            return name != "optuna-gp"
        case _:
            return name not in {"rung-nsga2", "optuna-nsga2", "rung-reinforce"}


def make(name: str, task: Task) -> Method:
    """The method, ready for that task. Raises ImportError where its packages are not installed."""
    entry = METHODS[name]
    made: Method = importlib.import_module(entry.module).make(entry.option, task)
    return made


def version(name: str) -> str:
    """Of what the method rests on."""
    entry = METHODS[name]
    said: str = importlib.import_module(entry.module).version(entry.option)
    return said
