"""The ledger: where every GPU second of a study went.

    used     gpus * seconds of all attempts
    wasted   the part of it that bought nothing: attempts that crashed or proved infeasible, and what a disrupted
             attempt did after its last checkpoint
    saved    what stopped trials would have used up to their target: gpus * (target - step) * seconds per step, the
             seconds per step as measured on the trial itself, over the time that it did not lose

A ledger is a sum that never changes; adding gives a new one. Amounts are kept in whole microseconds, so the sum is
the same in whatever order trials are added, and one built trial by trial equals one built at once. Studies without
GPUs have the same three figures in trial seconds (`used_seconds`, …), where every trial counts as one; their GPU
figures are 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

GpuSeconds = NewType("GpuSeconds", float)

HOUR = 3600.0
_TICKS = 1_000_000  # per second


@dataclass(frozen=True, slots=True)
class Spent:
    """What one trial cost so far.

    `seconds` is the running time of all its attempts, `lost_seconds` the part that bought nothing. `target` is given
    for a trial that was stopped before it: the step it would have trained to; `step` is the one it reached.
    """

    gpus: float
    seconds: float
    lost_seconds: float = 0.0
    step: float = 0.0
    target: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError on amounts that are negative or not finite."""
        for name in ("gpus", "seconds", "lost_seconds", "step"):
            amount = getattr(self, name)
            if not math.isfinite(amount) or amount < 0:
                raise ValueError(f"{name} must be a finite number of at least 0, got {amount!r}")

    @property
    def wasted_seconds(self) -> float:
        """Never more than was spent."""
        return min(self.lost_seconds, self.seconds)

    @property
    def saved_seconds(self) -> float:
        """0 where the trial was not stopped early, or made no whole step to measure its pace by (rungs start at 1)."""
        if self.target is None or self.step < 1 or self.target <= self.step:
            return 0.0
        return (self.target - self.step) * (self.seconds - self.wasted_seconds) / self.step


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sums over trials. `Ledger()` is empty; `+` and `add` give new ones."""

    trials: int = 0
    used_ticks: int = 0  # of GPU time
    saved_ticks: int = 0
    wasted_ticks: int = 0
    used_trial_ticks: int = 0  # of trial time
    saved_trial_ticks: int = 0
    wasted_trial_ticks: int = 0

    @staticmethod
    def of(spent: Iterable[Spent]) -> Ledger:
        """The sum of all of them."""
        total = Ledger()
        for one in spent:
            total = total.add(one)
        return total

    def add(self, spent: Spent) -> Ledger:
        """With one more trial."""
        return Ledger(
            self.trials + 1,
            self.used_ticks + _ticks(spent.gpus * spent.seconds),
            self.saved_ticks + _ticks(spent.gpus * spent.saved_seconds),
            self.wasted_ticks + _ticks(spent.gpus * spent.wasted_seconds),
            self.used_trial_ticks + _ticks(spent.seconds),
            self.saved_trial_ticks + _ticks(spent.saved_seconds),
            self.wasted_trial_ticks + _ticks(spent.wasted_seconds),
        )

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(
            self.trials + other.trials,
            self.used_ticks + other.used_ticks,
            self.saved_ticks + other.saved_ticks,
            self.wasted_ticks + other.wasted_ticks,
            self.used_trial_ticks + other.used_trial_ticks,
            self.saved_trial_ticks + other.saved_trial_ticks,
            self.wasted_trial_ticks + other.wasted_trial_ticks,
        )

    @property
    def used(self) -> GpuSeconds:
        """GPU time of all attempts."""
        return GpuSeconds(self.used_ticks / _TICKS)

    @property
    def saved(self) -> GpuSeconds:
        """GPU time that was not spent because trials ended early."""
        return GpuSeconds(self.saved_ticks / _TICKS)

    @property
    def wasted(self) -> GpuSeconds:
        """GPU time that bought nothing; a part of `used`."""
        return GpuSeconds(self.wasted_ticks / _TICKS)

    @property
    def used_seconds(self) -> float:
        """Trial time of all attempts, GPUs or none."""
        return self.used_trial_ticks / _TICKS

    @property
    def saved_seconds(self) -> float:
        """Trial time that was not spent because trials ended early."""
        return self.saved_trial_ticks / _TICKS

    @property
    def wasted_seconds(self) -> float:
        """Trial time that bought nothing; a part of `used_seconds`."""
        return self.wasted_trial_ticks / _TICKS

    def left(self, budget: GpuSeconds) -> GpuSeconds:
        """What remains of a budget; 0 once it is spent. A study without GPUs never spends one."""
        return GpuSeconds(max(0.0, budget - self.used))

    def spends(self, budget: GpuSeconds) -> bool:
        """Whether the budget is spent."""
        return self.used >= budget


def seconds_until_spent(ledger: Ledger, budget: GpuSeconds, *, gpus_running: float) -> float | None:
    """When a budget will be spent at today's pace, in seconds from the ledger's moment; None if no GPU runs."""
    if ledger.spends(budget):
        return 0.0
    return ledger.left(budget) / gpus_running if gpus_running > 0 else None


def hours(seconds: float) -> str:
    """GPU time as people read it, in hours: "0.04", "3.2", "128"."""
    amount = seconds / HOUR
    if round(amount, 2) < 1:
        return f"{amount:.2f}"
    return f"{amount:.1f}" if round(amount, 1) < 100 else f"{amount:.0f}"


def _ticks(seconds: float) -> int:
    return round(seconds * _TICKS)
