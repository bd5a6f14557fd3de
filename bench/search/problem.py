"""What a search problem is. Everything is minimised.

    observe   one evaluation as a method sees it: objectives and constraints (at most 0 is fine), noise included
    truth     the same without noise, which regret is computed on
    curve     for problems with epochs: the value after each of them, and how many seconds each takes

Normalised regret is (v - best) / (reference - best), cut to 0 … 2, where `reference` is the median best of ten random
evaluations: 0 is the optimum, 1 what ten random trials reach.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Config = Mapping[str, Any]

RANDOM_TRIALS = 10  # of the reference
REFERENCES = 201  # draws of ten, for their median


@dataclass(frozen=True, slots=True)
class Parameter:
    """One dimension: "float", "int" or "cat". With a parent it is active where the parent's value is one of `when`."""

    name: str
    kind: str = "float"
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()
    parent: str | None = None
    when: tuple[str, ...] = ()

    def active(self, config: Config) -> bool:
        """Whether the configuration has it."""
        return self.parent is None or config.get(self.parent) in self.when

    def decode(self, u: float) -> Any:
        """The value at u in 0 … 1; whole numbers and choices have equally wide shares."""
        if self.kind == "cat":
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        low, high = self._span()
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.log else low + u * (high - low)
        if self.kind == "int":
            return int(min(max(round(value), self.low), self.high))
        return min(max(value, self.low), self.high)

    def encode(self, value: Any) -> float:
        """The other way round, to the middle of a choice's share."""
        if self.kind == "cat":
            return (self.choices.index(value) + 0.5) / len(self.choices)
        low, high = self._span()
        return math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)

    def _span(self) -> tuple[float, float]:
        if self.kind != "int":
            return self.low, self.high
        return self.low - 0.5, self.high + 0.5  # a logarithmic one begins at 1 or above


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation gives."""

    objectives: tuple[float, ...]
    violations: tuple[float, ...] = ()

    @property
    def feasible(self) -> bool:
        """Every constraint holds."""
        return all(v <= 0 for v in self.violations)


@dataclass
class Problem(ABC):
    """A problem by name. `best` and `reference` are the 0 and the 1 of the normalised regret."""

    name: str
    space: tuple[Parameter, ...]
    best: float = 0.0
    reference: float = 1.0
    epochs: int = 0
    objectives: int = 1
    constraints: int = 0
    tags: frozenset[str] = field(default=frozenset())  # "noisy", "conditional", "curves", …

    @abstractmethod
    def truth(self, config: Config) -> Outcome:
        """Without noise."""

    def observe(self, config: Config, random: np.random.Generator) -> Outcome:  # noqa: ARG002 - some problems have noise
        """One evaluation."""
        return self.truth(config)

    def curve(self, config: Config, random: np.random.Generator) -> tuple[Array, Array]:
        """Values after each epoch, and the seconds that each takes; both (epochs,)."""
        raise NotImplementedError(f"{self.name} has no learning curves: {config}, {random}")

    def regret(self, value: float) -> float:
        """Normalised, 0 … 2."""
        return min(max((value - self.best) / (self.reference - self.best), 0.0), 2.0)

    def sample(self, random: np.random.Generator) -> dict[str, Any]:
        """A random configuration, its active parameters only."""
        config: dict[str, Any] = {}
        for parameter in self.space:
            u = random.random()
            if parameter.active(config):
                config[parameter.name] = parameter.decode(u)
        return config


def reference_of(values: Sequence[float], random: np.random.Generator) -> float:
    """The median best of ten, from many random evaluations."""
    drawn = random.choice(np.asarray(values, dtype=np.float64), (REFERENCES, RANDOM_TRIALS))
    return float(np.median(drawn.min(1)))
