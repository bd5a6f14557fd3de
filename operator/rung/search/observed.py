"""The history as arrays: what samplers that model the cube begin with.

n, d      trials, searched parameters
u         (n, d)  each trial's point in the unit cube; 0.5 where a parameter is inactive or unknown
active    (n, d)  whether the trial has a value there
trials    (n,)    the facts by their place (`Told.place`): the last are the newest, and the order of arrival makes no
                  difference
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rung.api.facts import Assignment
from rung.search.axes import Bools, Ints
from rung.search.protocol import Place, Told
from rung.space.space import Array, Space


@dataclass(frozen=True, slots=True)
class Observed:
    """All trials of a request; see the module for the shapes."""

    trials: tuple[Told, ...]
    u: Array
    active: Bools


def rows(space: Space, trials: Sequence[Told]) -> tuple[Array, Bools]:
    """The trials' points of the cube, and where they have values: (n, d) each."""
    shape = (len(trials), space.d)
    u = np.array([space.encode(told.parameters) for told in trials], dtype=float).reshape(shape)
    names = [dimension.name for dimension in space.dimensions]
    active = np.array([[name in told.parameters for name in names] for told in trials], dtype=bool).reshape(shape)
    return u, active


def sources(trials: Sequence[Told]) -> Ints:
    """(n,) Which study each trial is of. 0: this one; 1, 2, …: the others, in the order of their names."""
    names = sorted({trial.source for trial in trials} - {""})
    number_of = {"": 0, **{name: k + 1 for k, name in enumerate(names)}}
    return np.array([number_of[trial.source] for trial in trials], dtype=np.intp)


class Encoder:
    """Turns histories into arrays, and remembers the rows of the last one: a study grows by a trial at a time.

    A row is used again only for the same parameters, so what was asked before makes no difference. Safe to share
    between threads: what is remembered is replaced, never changed.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._rows: tuple[dict[Place, tuple[Assignment, int]], Array, Bools] = (
            {},
            np.empty((0, space.d)),
            np.empty((0, space.d), dtype=bool),
        )

    def observed(self, history: Sequence[Told]) -> Observed:
        """The history in order, as arrays."""
        keys = [told.place for told in history]
        trials = list(history)
        if not all(map(operator.lt, keys, keys[1:])):  # it mostly arrives in order
            order = sorted(range(len(keys)), key=keys.__getitem__)
            keys, trials = [keys[i] for i in order], [trials[i] for i in order]
        index, known_u, known_active = self._rows
        places = np.array(
            [self._row(index.get(key), told) for key, told in zip(keys, trials, strict=True)], dtype=np.intp
        )
        old, new = places >= 0, np.flatnonzero(places < 0)
        u, active = np.empty((len(trials), self._space.d)), np.empty((len(trials), self._space.d), dtype=bool)
        u[old], active[old] = known_u[places[old]], known_active[places[old]]
        u[new], active[new] = rows(self._space, [trials[i] for i in new.tolist()])
        u.flags.writeable = active.flags.writeable = False
        entries = zip([told.parameters for told in trials], range(len(trials)), strict=True)
        self._rows = (dict(zip(keys, entries, strict=True)), u, active)
        return Observed(tuple(trials), u, active)

    @staticmethod
    def _row(entry: tuple[Assignment, int] | None, told: Told) -> int:
        if entry is None or (entry[0] is not told.parameters and entry[0] != told.parameters):
            return -1
        return entry[1]
