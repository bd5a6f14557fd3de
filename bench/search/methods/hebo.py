"""HEBO with its defaults: a warped Gaussian process and an ensemble of acquisitions. It knows no conditions: all are given."""

from __future__ import annotations

import warnings
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import pandas as pd
import torch

warnings.filterwarnings("ignore")

from hebo.design_space.design_space import DesignSpace  # noqa: E402 - it talks while it is imported
from hebo.optimizers.hebo import HEBO  # noqa: E402

from bench.search.methods.protocol import Asked, Method, Plain, Task  # noqa: E402
from bench.search.problem import Outcome, Parameter  # noqa: E402

torch.set_num_threads(1)


class Hebo(Plain):
    """It is told what was asked for as a table of one line."""

    def __init__(self, task: Task) -> None:
        np.random.seed(task.seed)  # noqa: NPY002 - it draws from there
        torch.manual_seed(task.seed)
        self._optimizer = HEBO(
            DesignSpace().parse([_dimension(p) for p in task.problem.space]), scramble_seed=task.seed
        )
        self._space = task.problem.space
        self._asked: dict[int, pd.DataFrame] = {}
        self._next = 0

    def ask(self) -> Asked:
        """One more."""
        self._asked[self._next] = line = self._optimizer.suggest()
        self._next += 1
        config: dict[str, Any] = {}
        for p in self._space:
            if p.active(config):
                config[p.name] = _value(p, line.iloc[0][p.name])
        return Asked(self._next - 1, config)

    def tell(self, number: int, outcome: Outcome) -> None:
        """One objective."""
        self._optimizer.observe(self._asked.pop(number), np.array([list(outcome.objectives)]))


def _value(p: Parameter, said: Any) -> Any:
    if p.kind == "cat":
        return str(said)
    return min(max(int(said), int(p.low)), int(p.high)) if p.kind == "int" else min(max(float(said), p.low), p.high)


def _dimension(p: Parameter) -> dict[str, Any]:
    if p.kind == "cat":
        return {"name": p.name, "type": "cat", "categories": list(p.choices)}
    kind = {("int", True): "pow_int", ("int", False): "int", ("float", True): "pow", ("float", False): "num"}[
        p.kind, p.log
    ]
    low, high = (int(p.low), int(p.high)) if p.kind == "int" else (p.low, p.high)
    return {"name": p.name, "type": kind, "lb": low, "ub": high}


def make(option: str, task: Task) -> Method:  # noqa: ARG001 - there is but one
    """For that task."""
    return Hebo(task)


def version(option: str) -> str:  # noqa: ARG001 - there is but one
    """Of HEBO and of torch."""
    return " ".join(f"{name} {version_of(name)}" for name in ("HEBO", "torch"))
