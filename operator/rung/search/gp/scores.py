"""What a point is worth: expected improvement (of the best value, or of the front's hypervolume) times the probability
that it is feasible, as a logarithm. While nothing feasible is known, the probability alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.pareto import crowding, free_boxes, non_dominated
from rung.search.gp import acquisition
from rung.search.gp.beliefs import Beliefs
from rung.search.gp.knowledge import Knowledge
from rung.search.gp.model import Posterior
from rung.space.space import Array

MARGIN = 0.1  # of the front's range: how far beyond its worst values the reference point lies at least
NEAR = 0.75
"""The quantile of all values seen at which a reference point lies that nobody gave, three times out of four. The front
alone would not do: once a few points close together dominate all others, nothing beyond them would count. Every fourth time
it is the worst value, which finds the ends of the front but strays where nothing is good. Hypervolume after 60 trials on
zdt1 / dtlz2: front only .54 / .31, always NEAR .80 / .37, always the worst .86 / .33, three to one .85 / .37.
"""
CAUTIOUS = 0.5
"""Of the deviations, how much counts in a trust region, with several objectives: there the models are to be believed. In
full they lead to the ends of the front, where one objective can hardly get better but may, for all the models know.
Together with five points at the start in the place of seven, hypervolume after 60 trials changed by +.03 ± .01 on four
spheres like dtlz2 and by −.02 ± .03 on three fronts like zdt1; paired, 8 seeds each.
"""
WORTH = 0.1
"""Deviations of the targets by which a trial has to promise more than the incumbent, where a scheduler stops trials. Without, the
search ends in the incumbent's neighbourhood, where each trial is hardly different and stopped: without it and without
`knowledge.HARDLY` regret on learning curves was .03 ± .03 higher at half of the clock, .02 ± .02 at its end (10 seeds).
"""
FRONT = {2: 200, 3: 24}  # points of the front that count, by objectives: about as many boxes as can be afforded
FRONT_OF_MANY = 9


@dataclass(frozen=True, slots=True)
class Score:
    """Higher is better. `boxes` (b, m) each: what is to be won; None: nothing but feasibility counts. `boldness` is the
    share of the deviations that counts for these.
    """

    objectives: tuple[Posterior, ...]
    constraints: tuple[tuple[Posterior, float], ...]
    best: float | None
    boxes: tuple[Array, Array] | None
    boldness: float = 1.0

    @property
    def rows(self) -> int:
        """Of the largest model."""
        return max(
            (len(model.all_scaled) for model in (*self.objectives, *(m for m, _ in self.constraints))), default=1
        )

    def at(self, phi: Array) -> Array:
        """(k,) of k points."""
        value = np.zeros(len(phi))
        if self.best is not None:
            value += acquisition.log_ei(*self.objectives[0].mean_and_deviation(phi), self.best)
        elif self.boxes is not None:
            beliefs = [model.mean_and_deviation(phi) for model in self.objectives]
            mean, deviation = (np.column_stack(part) for part in zip(*beliefs, strict=True))
            value += acquisition.log_ehvi(mean, self.boldness * deviation, *self.boxes)
        for model, limit in self.constraints:
            mean, deviation = model.mean_and_deviation(phi)
            value += acquisition.log_feasible_slopes(mean - limit, deviation)[0]
        return value

    def with_gradient(self, phi: Array) -> tuple[Array, Array]:
        """(k,) and (k, D)."""
        value, gradient = np.zeros(len(phi)), np.zeros(phi.shape)
        if self.best is not None:
            mean, deviation, d_mean, d_deviation = self.objectives[0].with_gradients(phi)
            part, by_mean, by_deviation = acquisition.log_ei_slopes(mean, deviation, self.best)
            value += part
            gradient += by_mean[:, None] * d_mean + by_deviation[:, None] * d_deviation
        elif self.boxes is not None:
            beliefs = [model.with_gradients(phi) for model in self.objectives]
            means, deviations = np.column_stack([b[0] for b in beliefs]), np.column_stack([b[1] for b in beliefs])
            part, by_means, by_deviations = acquisition.log_ehvi_slopes(means, self.boldness * deviations, *self.boxes)
            value += part
            for j, (_, _, d_mean, d_deviation) in enumerate(beliefs):
                gradient += by_means[:, j, None] * d_mean + self.boldness * by_deviations[:, j, None] * d_deviation
        for model, limit in self.constraints:
            mean, deviation, d_mean, d_deviation = model.with_gradients(phi)
            part, by_mean, by_deviation = acquisition.log_feasible_slopes(mean - limit, deviation)
            value += part
            gradient += by_mean[:, None] * d_mean + by_deviation[:, None] * d_deviation
        return value, gradient


@dataclass(frozen=True, slots=True)
class Situation:
    """A score, and the rows of the knowledge that the search goes on from, best first."""

    score: Score
    incumbents: Array  # (i, d)


def situation(known: Knowledge, beliefs: Beliefs, references: tuple[float | None, ...], *, wide: bool) -> Situation:
    """What is to be improved on: the best *expected* values, since under noise the best seen are the luckiest."""
    phi = beliefs.phi[beliefs.rows]
    means = np.column_stack([model.mean(phi) for model in beliefs.objectives])
    eligible = known.feasible[beliefs.rows]
    if not eligible.any():
        return _nothing_feasible(known, beliefs, means)
    own, u = means[eligible], known.u[beliefs.rows[eligible]]
    if len(known.pending):  # they will get what is expected of them: to be improved on as well
        expected = np.column_stack(
            [model.mean(model.pending) for model in beliefs.objectives if model.pending is not None]
        )
        own, u = np.vstack([own, expected]), np.vstack([u, known.pending])
    if len(beliefs.objectives) == 1:
        order = np.argsort(own[:, 0], kind="stable")
        goal = float(own[order[0], 0]) - (WORTH if known.pruned else 0.0)
        return Situation(Score(beliefs.objectives, beliefs.constraints, goal, None), u[order])
    front = np.flatnonzero(non_dominated(own))
    lonely = front[np.argsort(-crowding(own[front]), kind="stable")]
    y = own[lonely[: FRONT.get(own.shape[1], FRONT_OF_MANY)]]
    boxes = free_boxes(y, _reference(own, own[front], beliefs, references, 1.0 if wide else NEAR))
    score = Score(beliefs.objectives, beliefs.constraints, None, boxes, 1.0 if wide else CAUTIOUS)
    return Situation(score, u[lonely])


def _nothing_feasible(known: Knowledge, beliefs: Beliefs, means: Array) -> Situation:
    """Towards feasibility; where nothing is known about that, only other studies are known: towards their best."""
    u = known.u[beliefs.rows]
    if not beliefs.constraints:
        order = np.argsort(means[:, 0], kind="stable")
        if means.shape[1] == 1:
            return Situation(Score(beliefs.objectives, (), float(means[order[0], 0]), None), u[order])
        front = means[non_dominated(means)]
        boxes = free_boxes(front[:FRONT_OF_MANY], means.max(axis=0))
        return Situation(Score(beliefs.objectives, (), None, boxes), u[order])
    score = Score(beliefs.objectives, beliefs.constraints, None, None)
    return Situation(score, u[np.argsort(-score.at(beliefs.phi[beliefs.rows]), kind="stable")])


def _reference(means: Array, front: Array, beliefs: Beliefs, given: tuple[float | None, ...], quantile: float) -> Array:
    """(m,) as targets."""
    low, worst = front.min(axis=0), front.max(axis=0)
    spread = np.where(worst > low, worst - low, means.max(axis=0) - low)
    found = np.maximum(worst + MARGIN * np.maximum(spread, 1e-3), np.quantile(means, quantile, axis=0))
    for j, value in enumerate(given):
        if value is not None:
            found[j] = beliefs.warps[j](np.array([value]))[0]
    return np.asarray(found)
