"""Every problem that there is: our own, and those of a folder beside the project; and which of them a suite compares on."""

from __future__ import annotations

from pathlib import Path

from bench.search import external, synthetic, trained
from bench.search.problem import Problem


def load(folder: Path | None, cache: Path) -> list[Problem]:
    """Our own problems, then the folder's. Tables of real trainings are read from the cache, where they were made."""
    return [*synthetic.problems(), *trained.problems(cache), *(external.load(folder) if folder is not None else [])]


CORE = (
    *("branin", "hartmann6", "levy8", "ellipsoid20", "ackley10", "rosenbrock5", "noisy_hartmann6", "mixcond3"),
    *("fcnet_protein", "lcbench_126026", "mlp_phoneme", "nb201_cifar100", "xgb_40981"),
)
"""Of the folder: those whose means are quoted for black boxes."""


def group(problem: Problem) -> str:
    """Problems are averaged by where they come from."""
    return "folder" if isinstance(problem, external.External) else "own"


def fits(problem: Problem, suite: str) -> bool:
    """Whether the suite compares on it."""
    single = problem.objectives == 1 and not problem.constraints
    match suite:
        case "curves":
            return problem.epochs > 0
        case "constrained":
            return problem.constraints > 0
        case "pareto":
            return problem.objectives > 1
        case "cells":
            return single and {p.kind for p in problem.space} == {"cat"}
        case _:
            return single and (not problem.epochs or problem.name in CORE)
