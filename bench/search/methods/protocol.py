"""The one face of all contestants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from bench.search.problem import Config, Outcome, Problem


@dataclass(frozen=True, slots=True)
class Task:
    """One study of one problem."""

    problem: Problem
    seed: int
    trials: int  # evaluations at most; with curves a bound that is never met
    workers: int = 1
    epochs: int = 0  # of a whole training; 0: there are no curves


class Asked(NamedTuple):
    """What to evaluate next. With `done` an earlier trial goes on after so many epochs."""

    number: int
    config: dict[str, Any]
    done: int = 0


class Word(StrEnum):
    """What becomes of a trial that has reported."""

    GO_ON = "GoOn"
    STOP = "Stop"
    PAUSE = "Pause"  # the method may ask for it again, from where it stands


class Method(Protocol):
    """Asked for what to evaluate, told what it gave."""

    def ask(self) -> Asked | None:
        """The next configuration; None: nothing at the moment."""

    def report(self, number: int, epoch: int, value: float) -> Word:
        """A value of a running trial."""

    def tell(self, number: int, outcome: Outcome) -> None:
        """The trial has ended with that."""

    def fill(self, told: Sequence[tuple[Config, Outcome]]) -> None:
        """Results that were not asked for; only for the measurement of latency, on a study that has told nothing yet."""


class Plain:
    """For methods that have no word on running trials, and are told results one by one."""

    def fill(self, told: Sequence[tuple[Config, Outcome]]) -> None:
        """They are not measured at large sizes."""
        raise NotImplementedError(f"{type(self).__name__} cannot be filled with {len(told)} results")

    def report(self, number: int, epoch: int, value: float) -> Word:  # noqa: ARG002 - the protocol's signature
        """Everything runs to its end."""
        return Word.GO_ON
