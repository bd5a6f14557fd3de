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

import numpy as np
from scipy.special import ndtr, ndtri

from rung.search.axes import Axis, Bools
from rung.space.space import Array

PRIOR = 1.0
"""Weight of the flat prior, in points: as much as one trial (Watanabe 2023)."""

NARROWEST = 100.0
"""Kernels are at least so many times narrower than the axis, and with n of them at least n times (magic clip)."""


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
        logs = self._continuous(x, shown)
        for k, axis in enumerate(self.axes):
            if axis.edges is not None:
                row = np.where(shown[:, k], axis.cell(x[:, k]), axis.count)
                logs[:, :-1] += self._table(k)[row]
        with np.errstate(divide="ignore"):
            logs += np.log(self.weights)
        top = logs.max(axis=1)
        return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))

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

    def _continuous(self, x: Array, shown: Bools) -> Array:
        """The logarithms of the kernels over all continuous axes, (m, n).

        -((x - c) / w)² / 2 - log(w …) is a quadratic in x, so one product of matrices sums it over the axes. With widths of
        a hundredth and more it loses four of sixteen digits.
        """
        is_continuous = np.array([axis.edges is None for axis in self.axes], dtype=bool)
        on = self.active & is_continuous
        c, w = self.centres, self.widths
        precision = np.where(on, 1.0 / (w * w), 0.0)
        inside = self._tails[1] - self._tails[0]
        constant = np.where(on, -0.5 * precision * c * c - np.log(np.sqrt(2.0 * np.pi) * w * inside), 0.0)
        points = np.concatenate([np.where(shown, x * x, 0.0), np.where(shown, x, 0.0), shown], axis=1)
        logs = np.zeros((len(x), len(self.weights)))
        logs[:, :-1] = points @ np.concatenate([-0.5 * precision, c * precision, constant], axis=1).T
        return logs

    def _table(self, k: int) -> Array:
        """The logarithms of the kernels at each value of axis k, behind them zeros for points that are inactive there.
        (c + 1, n - 1).
        """
        axis, centres, widths = self.axes[k], self.centres[:, k], self.widths[:, k]
        if axis.edges is None:
            raise TypeError("a continuous axis has no table")
        if axis.ordered:
            z = (axis.edges[:, None] - centres) / widths
            length, inside = np.diff(axis.edges)[:, None], self._tails[1][:, k] - self._tails[0][:, k]
            with np.errstate(divide="ignore"):
                logs = np.log(np.diff(_normal(z), axis=0) / (length * inside))
        else:
            same = np.arange(axis.count)[:, None] == axis.cell(centres)
            logs = np.log(np.where(same, axis.count * (1.0 - widths) + widths, widths))
        return np.where(self.active[:, k], np.concatenate([logs, np.zeros((1, len(centres)))]), 0.0)


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
