"""Reinforce: a policy that draws each parameter's value, and learns by policy gradient which draws do well.

    d, K   searched parameters, values of the longest list         θ   (d, K)  logits; −inf beyond a parameter's own values
    π      (d, K)  softmax(θ), by parameter                        R   reward of a trial, in [0, 1]
    b      baseline: the moving average of rewards                 H   entropy of π, by parameter

    θ ← θ + rate · mean over the batch of (R − b) · ∇ log π(draws)  +  entropy · ∇H

A number with many values is drawn by its bin: BINS parts of its axis, each as long, uniform within. Draws of a trial's
inactive parameters teach nothing. Rewards are made of ranks, so outliers and scales do no harm: R is the share of the
trials of the last WINDOW that a trial is not behind of, to the power of SHARPNESS, which makes the best few count. The
policy is replayed from the trials in batches by number; its first points are Sobol's, which is drawing from the uniform
policy it starts with.

A controller without a network: decisions are independent of each other given θ, which is the strongest of the simple
controllers in its sources and needs a hundredth of an LSTM's trials. Sources: Williams 1992 (the gradient and the
baseline), Zoph & Le 2017 (architectures as draws), Bello et al. 2017 (entropy bonus).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from rung.search.cells import edges, even
from rung.search.fitting import fitting
from rung.search.observed import rows
from rung.search.protocol import Proposal, Request, Setting, Told
from rung.search.randomness import generator
from rung.search.replay import Replay
from rung.search.sequences import sobol
from rung.search.standing import comparable, concluded, places
from rung.space.dimensions import Choices, Dimension
from rung.space.space import Array

BINS = 8
"""Fewer hide narrow optima, more need more trials each."""

STARTUP = 20
BATCH = 5
WINDOW = 50
RATE = 5.0
ENTROPY = 0.05
SHARPNESS = 3.0
"""Measured at 300 trials on tables of architectures and of networks, a conditional function and boosted trees: rates of 3 to
8, entropies of 0 to 0.05 and batches of 2 and 5 all learn; these were never far from the best. Steps are large because
advantages are: ranks, a fifth of them in each batch."""

FORGETTING = 0.1
"""The baseline's half-life is then seven trials, and rewards by rank drift slowly."""

PATIENCE = 20
"""Draws that do not fit, before the policy is flattened by as much again: it may have settled on what is taken."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The controller after some batches."""

    logits: Array  # (d, K)
    baseline: float
    window: tuple[Told, ...]


class ReinforceSampler:
    """Draws from the policy that the trials so far make."""

    learns = True

    def __init__(self, setting: Setting) -> None:
        """`startup` replaces the number of points that come first."""
        self._space = setting.space
        self._target = setting.target
        self._startup = STARTUP if setting.startup is None else setting.startup
        parts = [part_edges(dimension) for dimension in setting.space.dimensions]
        self._counts = np.array([len(part) - 1 for part in parts], dtype=np.intp)
        self._edges = np.full((len(parts), int(self._counts.max(initial=1)) + 1), 1.0)
        for axis, part in enumerate(parts):
            self._edges[axis, : len(part)] = part
        self._replay = Replay(self._first, lambda _: BATCH, self._learnt)

    def propose(self, request: Request) -> Proposal | None:
        """A draw from the policy. None: a finite space is exhausted."""
        trials = concluded(comparable(request.history, self._startup, self._target))
        if len(trials) < self._startup:
            return fitting(request, sobol(request.seed, request.space.d, request.number))
        policy, _ = self._replay.state(0, trials)
        return fitting(request, self._draws(request, policy))

    def _draws(self, request: Request, policy: Policy) -> Iterator[Sequence[float]]:
        random = generator(request.seed, request.number, "reinforce")
        axes = np.arange(len(self._counts))
        for k in count():
            cumulated = np.cumsum(softmax(policy.logits / (1 + k // PATIENCE)), axis=1)
            drawn = np.minimum((cumulated < random.random(len(axes))[:, None]).sum(axis=1), self._counts - 1)
            low, high = self._edges[axes, drawn], self._edges[axes, drawn + 1]
            yield (low + (high - low) * random.random(len(axes))).tolist()

    def _first(self, seed: int) -> Policy:  # noqa: ARG002 - every policy starts uniform
        k = np.arange(self._counts.max(initial=1))
        return Policy(np.where(k < self._counts[:, None], 0.0, -np.inf), 0.5, ())

    def _learnt(self, policy: Policy, batch: Sequence[Told]) -> Policy:
        window = (*policy.window, *batch)
        place = places(window)
        n = len(window)
        order = np.sort(place)
        not_behind = (n - np.searchsorted(order, place, side="left")) / n
        rewards = not_behind[-len(batch) :] ** SHARPNESS
        drawn, is_active = self._drawn(batch)
        pi = softmax(policy.logits)
        hot = np.arange(pi.shape[1]) == drawn[:, :, None]
        ascent = np.einsum("t,td,tdk->dk", rewards - policy.baseline, is_active, hot - pi) / len(batch)
        log_pi = np.log(np.where(pi > 0, pi, 1.0))
        entropy = -(pi * log_pi).sum(axis=1, keepdims=True)
        logits = policy.logits + RATE * ascent - ENTROPY * pi * (log_pi + entropy)
        baseline = policy.baseline
        for reward in rewards.tolist():
            baseline += FORGETTING * (reward - baseline)
        return Policy(logits, baseline, window[-WINDOW:])

    def _drawn(self, trials: Sequence[Told]) -> tuple[NDArray[np.intp], Array]:
        """(t, d) which value each trial drew, and (t, d) 1.0 where it drew at all."""
        u, active = rows(self._space, trials)
        drawn = (self._edges[:, 1:-1] <= u[:, :, None]).sum(axis=2)
        return np.minimum(drawn, self._counts - 1), active.astype(float)


def part_edges(dimension: Dimension) -> Array:
    """The parts of an axis that are drawn from: one for each value, or the bins of a number with many."""
    if isinstance(dimension, Choices):
        return even(len(dimension.values))
    found = edges(dimension, BINS)
    return even(BINS) if found is None else found


def softmax(logits: Array) -> Array:
    """By row; 0 where a logit is −inf."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
