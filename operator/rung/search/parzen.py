"""Parzen estimator: the density of points in the cube, as a mixture of one kernel around each of them and a flat prior.

    n, d, m     components (the prior is the last), axes, points that the density is asked at
    centres     (n - 1, d)  coordinates of the observed points
    active      (n - 1, d)  whether the observed point has a value on the axis
    weights     (n,)        of the components, summing to 1
    x           (m, d)      points;  shown  (m, d) which of their axes are active

A kernel is a product over axes. On a continuous axis it is a normal distribution that is cut off at the ends of the
cube; on a lattice the share of it that falls on the cell of a value; for ordered choices the same with equal cells, for
unordered ones a larger share on the own value than on the others. Where the component is inactive on an axis the kernel
is flat there: the trial has nothing to say about it. The density of a point is the product over *its* active axes. So a
tree of conditional parameters needs no imputation and no separate models: on each branch the density integrates to the
branch's own share, and all together to 1.

Densities are relative to the cube (a lattice's share is divided by the length of its cell, a choice's multiplied by the
number of choices), so the flat prior has density 1 everywhere.

Source: Bergstra et al. 2011, section 4; Falkner et al. 2018 (product kernels); Watanabe 2023 (bandwidths, magic clip).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri

from rung.search.observed import Bools
from rung.space.dimensions import Choices, Dimension
from rung.space.space import Array, Space

FINE = 1_000
"""Values of a lattice beyond which it is treated as continuous: a kernel is hardly ever as narrow as its cells."""

PRIOR = 1.0
"""Weight of the flat prior, in points: as much as one trial (Watanabe 2023)."""

NARROWEST = 100.0
"""Kernels are at least so many times narrower than the axis, and with n of them at least n times (magic clip)."""

Ints: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Axis:
    """What a kernel needs to know of one axis."""

    edges: Array | None  # (count + 1,) of the cells, ascending from 0 to 1; None: continuous
    ordered: bool = True

    @property
    def count(self) -> int:
        """How many values there are; 0: continuous."""
        return 0 if self.edges is None else len(self.edges) - 1

    def cell(self, x: Array) -> Ints:
        """The indices of the cells that own the coordinates."""
        if self.edges is None:
            raise TypeError("a continuous axis has no cells")
        return np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, self.count - 1)


def axes_of(space: Space) -> tuple[Axis, ...]:
    """One for each coordinate of the space."""
    return tuple(_axis(dimension) for dimension in space.dimensions)


def _axis(dimension: Dimension) -> Axis:
    size = dimension.size
    if size is None or size > FINE:
        return Axis(None)
    places = np.array([dimension.encode(dimension.at(k)) for k in range(size)])
    edges = np.concatenate([[0.0], (places[1:] + places[:-1]) / 2, [1.0]])
    return Axis(edges, not isinstance(dimension, Choices) or dimension.ordered)


@dataclass(frozen=True)
class Parzen:
    """The mixture; see the module for the model and the shapes."""

    axes: tuple[Axis, ...]
    centres: Array
    active: Bools
    weights: Array
    widths: Array  # (n - 1, d) standard deviations; of an unordered axis: the share that leaves the own value

    @staticmethod
    def of(axes: tuple[Axis, ...], centres: Array, active: Bools, weights: Array) -> Parzen:
        """One kernel for each point, with these weights, and the prior with weight PRIOR."""
        widths = np.ones_like(centres)
        for k, axis in enumerate(axes):
            on = active[:, k]
            widths[on, k] = _widths(axis, centres[on, k], len(centres))
        with_prior = np.append(weights, PRIOR)
        return Parzen(axes, centres, active, with_prior / with_prior.sum(), widths)

    def log_density(self, x: Array, shown: Bools) -> Array:
        """(m, d), (m, d) -> (m,)."""
        logs = np.zeros((len(x), len(self.weights)))
        for k in range(len(self.axes)):
            rows, columns = np.flatnonzero(shown[:, k]), np.flatnonzero(self.active[:, k])
            if len(rows) and len(columns):
                logs[np.ix_(rows, columns)] += self._log_kernel(k, x[rows, k], columns)
        with np.errstate(divide="ignore"):
            total: Array = logsumexp(logs + np.log(self.weights), axis=1)
        return total

    def sample(self, random: np.random.Generator, m: int) -> Array:
        """M points, (m, d); on axes that turn out to be inactive there is something too."""
        component = random.choice(len(self.weights), size=m, p=self.weights)
        uniform = random.random((m, len(self.axes)))
        x = uniform.copy()
        kernels = component < len(self.centres)
        for k, axis in enumerate(self.axes):
            rows = np.flatnonzero(kernels)
            rows = rows[self.active[component[rows], k]]
            own = component[rows]
            if axis.ordered:
                low, high = self._tails[0][own, k], self._tails[1][own, k]
                z = ndtri(low + uniform[rows, k] * (high - low))
                x[rows, k] = np.clip(self.centres[own, k] + self.widths[own, k] * z, 0.0, 1.0)
            else:
                stays = random.random(len(rows)) >= self.widths[own, k]
                x[rows[stays], k] = self.centres[own[stays], k]
        return x

    @cached_property
    def _tails(self) -> tuple[Array, Array]:
        """Of each kernel's normal distribution: what lies below 0, and what lies below 1. (n - 1, d) each."""
        return _normal(-self.centres / self.widths), _normal((1.0 - self.centres) / self.widths)

    def _log_kernel(self, k: int, x: Array, columns: Ints) -> Array:
        """The logarithms of the kernels of these components on axis k. (rows,), (columns,) -> (rows, columns)."""
        axis, centres, widths = self.axes[k], self.centres[columns, k], self.widths[columns, k]
        if not axis.ordered:
            same = axis.cell(x)[:, None] == axis.cell(centres)
            other = np.log(widths)
            own = np.log(axis.count * (1.0 - widths) + widths)
            return np.asarray(np.where(same, own, other))
        inside = self._tails[1][columns, k] - self._tails[0][columns, k]
        if axis.edges is None:
            z = (x[:, None] - centres) / widths
            return np.asarray(-0.5 * z * z - np.log(np.sqrt(2.0 * np.pi) * widths * inside))
        cells, back = np.unique(axis.cell(x), return_inverse=True)
        low, high = axis.edges[cells, None], axis.edges[cells + 1, None]
        share = _normal((high - centres) / widths) - _normal((low - centres) / widths)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(share / (inside * (high - low)))[back])


def _normal(z: Array) -> Array:
    """The distribution function of the standard normal distribution."""
    return np.asarray(ndtr(z))


def _widths(axis: Axis, centres: Array, n: int) -> Array:
    """Bandwidths of the kernels on one axis, n in the mixture. (c,) -> (c,).

    Of numbers: the distance to the farther neighbour, at the ends to the only one, within the magic clip. Of unordered
    choices: what PRIOR imaginary trials on each of the values add.
    """
    if not axis.ordered:
        imaginary = PRIOR * axis.count / (n + 1.0)
        return np.full(len(centres), imaginary / (1.0 + imaginary))
    if not len(centres):
        return np.empty(0)
    order = np.argsort(centres, kind="stable")
    gaps = np.diff(centres[order], prepend=0.0, append=1.0)
    farther = np.maximum(gaps[:-1], gaps[1:])
    if len(centres) > 1:
        farther[0], farther[-1] = gaps[1], gaps[-2]
    widths = np.empty(len(centres))
    widths[order] = farther
    return np.clip(widths, 1.0 / min(NARROWEST, n + 2.0), 1.0)
