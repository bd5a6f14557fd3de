"""Random forest for regression: all trees grow at once, level by level, so that numpy does the work.

    n, d, m     observations, features, points that are asked
    x           (n, d)  features; an ordered one is any number, an unordered one the index of its value
    y           (n,)    targets
    e           entries: each tree has one for each observation; those of a node stand side by side
    a, k        nodes that may be split at one level, splits that are tried on each

A split takes a random feature and a random place: between the values of two of the node's own observations for an ordered
feature, a random half of the values for an unordered one. Of k such splits the one that leaves the least squared error is
kept. The trees differ by these choices alone; each sees all observations (Geurts, Ernst & Wehenkel 2006, extremely
randomised trees). A point's mean is the mean over trees; its variance is that of the leaves' means plus the mean of the
variances inside leaves (Hutter et al. 2014, section 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.search.axes import Bools, Ints
from rung.space.space import Array

Bits = NDArray[np.uint64]

LEAF = 2
"""Observations in a leaf at least: with one, noise is taken for truth."""

SPLITS = 6
"""Splits tried on each node: more fit closer, fewer make trees more different."""

SIDES = 64
"""Values of an unordered feature that may go different ways; behind that they share sides in turn."""

_LEAF = -1


@dataclass(frozen=True, slots=True)
class Splits:
    """What sends a point left: (…,) for as many nodes or tries as there are."""

    feature: Ints
    threshold: Array  # ordered: left if not above
    sides: Bits  # unordered: left if the value's bit is set

    def go_left(self, x: Array, rows: Ints, nodes: Ints, unordered: Bools) -> Bools:
        """Of the points x[rows] at these nodes; `rows` may have fewer axes than `nodes`' splits."""
        feature = self.feature[nodes]
        value = x[rows.reshape(rows.shape + (1,) * (feature.ndim - rows.ndim)), feature]
        left = np.asarray(value <= self.threshold[nodes])
        if unordered.any():
            bit = self.sides[nodes] >> (value.astype(np.int64) % SIDES).astype(np.uint64) & np.uint64(1)
            left = np.where(unordered[feature], bit == 1, left)
        return left

    def best(self, choice: Ints) -> Splits:
        """One of the k tries of each node. (a, k), (a,) -> (a,)."""
        rows = np.arange(len(choice))
        return Splits(self.feature[rows, choice], self.threshold[rows, choice], self.sides[rows, choice])


@dataclass(frozen=True, slots=True)
class Forest:
    """Grown trees. Nodes are numbered over all trees; the first ones are the roots."""

    trees: int
    unordered: Bools
    splits: Splits
    left: Ints  # the left child of each node, the right one is behind it; _LEAF for leaves
    mean: Array
    variance: Array

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and variance at the points, (m,) each."""
        rows = np.repeat(np.arange(len(x)), self.trees)
        node = np.tile(np.arange(self.trees), len(x))
        on = np.flatnonzero(self.left[node] != _LEAF)
        while len(on):
            at = node[on]
            right = ~self.splits.go_left(x, rows[on], at, self.unordered)
            node[on] = self.left[at] + right
            on = on[self.left[node[on]] != _LEAF]
        means = self.mean[node].reshape(len(x), self.trees)
        within = self.variance[node].reshape(len(x), self.trees)
        return means.mean(axis=1), means.var(axis=1) + within.mean(axis=1)


def grow(x: Array, y: Array, unordered: Bools, random: np.random.Generator, *, trees: int) -> Forest:
    """A forest on the observations; there has to be one at least, and one feature."""
    n = len(x)
    varying = np.flatnonzero(np.ptp(x, axis=0))
    varying = varying if len(varying) else np.zeros(1, dtype=np.intp)
    rows = np.tile(np.arange(n), trees)  # (e,)
    counts = np.full(trees, n)  # (a,)
    nodes = np.arange(trees)  # (a,) the numbers of the nodes at this level
    grown = _Growing(trees)
    while len(nodes):
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        mean, square = (np.add.reduceat(v[rows], starts) / counts for v in (y, y * y))
        variance = np.maximum(square - mean * mean, 0.0)
        splittable = (counts >= 2 * LEAF) & (variance > 1e-12 * square)
        tried = _tries(x, varying, rows, starts, counts, random)
        owner = np.repeat(np.arange(len(nodes)), counts)
        left = tried.go_left(x, rows, owner, unordered)
        choice, possible = _choice(left, y[rows] - mean[owner], starts, counts)
        splits = splittable & possible
        best = tried.best(choice)
        children = grown.add(nodes, mean, variance, best, splits)
        kept = splits[owner]
        right = ~left[np.arange(len(rows)), choice[owner]][kept]
        position = np.cumsum(splits) - 1
        child = 2 * position[owner[kept]] + right
        order = np.argsort(child, kind="stable")
        rows = rows[kept][order]
        counts = np.bincount(child, minlength=2 * int(splits.sum()))
        nodes = children
    return grown.forest(trees, unordered)


def _tries(x: Array, varying: Ints, rows: Ints, starts: Ints, counts: Ints, random: np.random.Generator) -> Splits:
    """SPLITS random ones for each node, (a, k), by features that differ at all."""
    shape = (len(counts), SPLITS)
    feature = varying[random.integers(len(varying), size=shape)]
    one, other = (starts[:, None] + (random.random(shape) * counts[:, None]).astype(np.intp) for _ in range(2))
    low, high = x[rows[one], feature], x[rows[other], feature]
    sides = random.integers(2**64, size=shape, dtype=np.uint64)
    return Splits(feature, low + random.random(shape) * (high - low), sides)


def _choice(left: Bools, y: Array, starts: Ints, counts: Ints) -> tuple[Ints, Bools]:
    """The best try of each node, and whether it is a split at all. `y` is centred in its node."""
    n_left = np.add.reduceat(left, starts, axis=0, dtype=np.intp)
    sum_left = np.add.reduceat(left * y[:, None], starts, axis=0)
    n_right = counts[:, None] - n_left
    possible = (n_left >= LEAF) & (n_right >= LEAF)
    explained = np.where(possible, sum_left**2 / np.maximum(n_left, 1) + sum_left**2 / np.maximum(n_right, 1), -1.0)
    choice = np.argmax(explained, axis=1)
    return choice, np.asarray(possible[np.arange(len(counts)), choice])


class _Growing:
    """The nodes as they come."""

    def __init__(self, trees: int) -> None:
        self._count = trees
        self._levels: list[tuple[Ints, Array, Array, Splits, Ints]] = []

    def add(self, nodes: Ints, mean: Array, variance: Array, best: Splits, splits: Bools) -> Ints:
        """One level; the numbers of its nodes' children."""
        left = np.full(len(nodes), _LEAF)
        children = self._count + np.arange(2 * int(splits.sum()))
        left[splits] = children[::2]
        self._count += len(children)
        self._levels.append((left, mean, variance, best, nodes))
        return children

    def forest(self, trees: int, unordered: Bools) -> Forest:
        """All levels, one behind the other: nodes are numbered in this order."""
        left, mean, variance, best, _ = zip(*self._levels, strict=True)
        splits = Splits(
            np.concatenate([s.feature for s in best]),
            np.concatenate([s.threshold for s in best]),
            np.concatenate([s.sides for s in best]),
        )
        return Forest(trees, unordered, splits, np.concatenate(left), np.concatenate(mean), np.concatenate(variance))
