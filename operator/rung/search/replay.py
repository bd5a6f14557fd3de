"""The state of a method that learns step by step, from the facts alone.

Such a method is a chain: a state and the next few trials give the next state. It could be computed from the beginning
for each question; `Replay` keeps some states of the last chain with the trials that led to them, and begins behind the
last one that the new facts share. What it keeps is a shortcut, never a memory: with an empty one the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rung.search.protocol import Told

S = TypeVar("S")

RECENT = 16
"""Steps whose states are kept: among several workers a trial of the last few steps may be told late."""

SPARSE = 64
"""Of older ones each 64th is kept, so that a very late trial does not take all back to the beginning."""


@dataclass(frozen=True, slots=True)
class Chain(Generic[S]):
    """What a replay went through: the trials, and (steps, trials consumed, state) at some places, ascending."""

    seed: int
    trials: tuple[Told, ...]
    marks: tuple[tuple[int, int, S], ...]


class Replay(Generic[S]):
    """States along the trials. Safe to share between threads: what is kept is replaced, never changed."""

    def __init__(
        self, start: Callable[[int], S], size: Callable[[S], int], step: Callable[[S, Sequence[Told]], S]
    ) -> None:
        """`start(seed)`: the first state. `size(state)`: trials that the next step takes. `step`: the next state."""
        self._start = start
        self._size = size
        self._step = step
        self._last: Chain[S] | None = None

    def state(self, seed: int, trials: Sequence[Told]) -> tuple[S, Sequence[Told]]:
        """The state after as many whole steps as there are trials for, and the trials that are left over."""
        marks = self._shared(seed, trials)
        if not marks:
            marks.append((0, 0, self._start(seed)))
        steps, used, state = marks[-1]
        while used + (size := self._size(state)) <= len(trials):
            state = self._step(state, trials[used : used + size])
            steps, used = steps + 1, used + size
            marks.append((steps, used, state))
        kept = tuple(mark for mark in marks if mark[0] > steps - RECENT or mark[0] % SPARSE == 0)
        self._last = Chain(seed, tuple(trials[:used]), kept)
        return state, trials[used:]

    def _shared(self, seed: int, trials: Sequence[Told]) -> list[tuple[int, int, S]]:
        """The marks of the last chain that these trials lead to as well."""
        last = self._last
        if last is None or last.seed != seed:
            return []
        pairs = zip(last.trials, trials, strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a is not b and a != b), min(len(last.trials), len(trials)))
        return [mark for mark in last.marks if mark[1] <= same]
