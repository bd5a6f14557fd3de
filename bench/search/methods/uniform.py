"""Independent uniform draws: what everything else has to beat."""

from __future__ import annotations

import numpy as np

from bench.search.methods.protocol import Asked, Method, Plain, Task
from bench.search.problem import Outcome


class Uniform(Plain):
    """Random search."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._random = np.random.default_rng([task.seed, 0x5EED])
        self._next = 0

    def ask(self) -> Asked:
        """One more."""
        self._next += 1
        return Asked(self._next - 1, self._task.problem.sample(self._random))

    def tell(self, number: int, outcome: Outcome) -> None:
        """Nothing is learnt."""


def make(option: str, task: Task) -> Method:  # noqa: ARG001 - there is but one
    """For that task."""
    return Uniform(task)


def version(option: str) -> str:  # noqa: ARG001 - there is but one
    """It never changes."""
    return "1"
