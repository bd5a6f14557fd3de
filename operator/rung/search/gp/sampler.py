"""Bayesian optimisation with Gaussian processes: models of the objectives say what each point may bring, and the most
promising point is tried next.

    startup    Sobol' points, until there is enough to model
    then       read (knowledge) → model (beliefs) → score (scores) → optimise; each in its module

Every other trial (three of four, with several objectives) is searched for in a trust region around the incumbent, whose
size shrinks while nothing better is found (Eriksson et al. 2019): models of rugged functions are believed near data only.
Unfinished trials are believed to get what is expected of them, so that parallel ones go elsewhere. Nothing depends on
earlier calls: models are remembered by the facts they rest on.
"""

from __future__ import annotations

import math

import numpy as np

from rung.search.fitting import fitting
from rung.search.gp.beliefs import Beliefs, Modeller, key
from rung.search.gp.encoding import Encoding
from rung.search.gp.knowledge import Knowledge, Reader
from rung.search.gp.optimise import Region, best_first
from rung.search.gp.scores import Situation, situation
from rung.search.protocol import Proposal, Request, Setting
from rung.search.randomness import generator
from rung.search.sequences import sobol, uniform
from rung.space.space import Array

STARTUP, STARTUP_OF_SEVERAL = 7, 5
"""Sobol' points before the model is believed: with one objective, and with several. Ten with one leave .08 more regret after
25 trials, no less after 100."""

ROUNDS = 2.5
"""Sobol' points for each worker, at least, once a scheduler has stopped trials: these cost little, say less than a whole
run, and those that run beside them have hardly begun. With eight workers, on six problems with learning curves, regret at half of
the clock and at its end is .41 and .30 with STARTUP points, .40 and .28 with 14, .38 and .27 with 20 (20 seeds each, errors .02
and .01).
"""

AT_MOST = 3
"""Of so many trials of the study's limit one at most is such a point."""

PATIENCE, BLIND = 12, 0.05
"""After so many trials without a better one, models that explain less than this share of the variance of left-out targets are taken to
know nothing: what is searched for everywhere is a Sobol' point then. They know least about the faces of the cube, and on
a plain would try those for ever: where 3 % of a cube of eight dimensions are better than the rest, 41 of 48 studies of
80 trials found some of it, 21 of 48 without. Models of noisy functions explain little and are worth believing: without
PATIENCE and with .1 regret of CurveExtrapolation at half of the clock was .02 higher (20 seeds), on noisy_hartmann6
after 100 trials .08 (ten).
"""

ENOUGH = 4
"""Finished trials without which no model is made, however many are running."""

INCUMBENTS = 5
"""Places that candidates are drawn around."""

LARGEST, SMALLEST = 0.8, 0.05
"""Side of the trust region, as a share of the cube, before and after all halvings (LARGEST as in TuRBO)."""

SEVERAL, FRONT = 0.4, 8
"""With several objectives there is no best trial to count from: regions of one size, around the loneliest points of the
front in turn."""

PROBED = 4_000
"""Points among which the feasible ones of a constrained space are looked for."""


class GPSampler:
    """Proposes what models of the objectives promise most of."""

    learns = True

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._encoding = Encoding(setting.space)
        self._reader = Reader(setting)
        self._modeller = Modeller(self._encoding, setting.parallelism, forecasts=setting.target is not None)
        self._everything = Region(np.zeros(self._encoding.d), np.ones(self._encoding.d))
        self._last: tuple[object, Beliefs] | None = None
        self._feasible: dict[int, Array] = {}

    def propose(self, request: Request) -> Proposal | None:
        """The most promising point that is not taken. None: a finite space is exhausted."""
        known = self._reader.read(request.history)
        if self._encoding.d == 0 or not self._is_enough(known, request.number):
            return fitting(request, sobol(request.seed, self._encoding.d, request.number))
        beliefs = self._beliefs(known)
        nth, left = divmod(request.number, 2 if self._setting.objectives == 1 else 4)
        everywhere = left == 0
        if everywhere and _failures(known) >= PATIENCE and beliefs.skill < BLIND:
            return fitting(request, sobol(request.seed, self._encoding.d, nth))
        now = situation(known, beliefs, self._setting.references, wide=everywhere)
        rng = generator(request.seed, request.number, "gp")
        region = self._everything if everywhere else self._trust_region(known, beliefs, now, request.number)
        points = best_first(
            now.score, self._encoding, region, now.incumbents[:INCUMBENTS], rng, self._known_feasible(request.seed)
        )
        for u in points:
            assignment = request.space.decode(u)
            if request.space.key(assignment) not in request.taken and request.space.is_feasible(assignment):
                return Proposal(assignment)
        return fitting(request, uniform(request.seed, self._encoding.d, request.number))

    def _is_enough(self, known: Knowledge, number: int) -> bool:
        usual = STARTUP if self._setting.objectives == 1 else STARTUP_OF_SEVERAL
        startup = self._setting.startup
        if startup is None:
            startup = max(usual, self._spread()) if known.pruned else usual
        own = int((known.measured & (known.source == 0)).sum())
        finished = own + int(known.failed.sum())
        others = int((known.measured & (known.source > 0)).sum())
        if others >= usual:
            return True
        return own >= min(2, startup) and (
            finished >= startup or (number >= startup and finished >= min(ENOUGH, startup))
        )

    def _spread(self) -> int:
        """Sobol' points where a scheduler stops trials."""
        wanted, trials = math.ceil(ROUNDS * self._setting.parallelism), self._setting.trials
        return wanted if trials is None else min(wanted, trials // AT_MOST)

    def _beliefs(self, known: Knowledge) -> Beliefs:
        facts = key(known)
        last = self._last
        if last is None or last[0] != facts:
            last = (facts, self._modeller.beliefs(known))
            self._last = last
        return last[1]

    def _trust_region(self, known: Knowledge, beliefs: Beliefs, now: Situation, number: int) -> Region:
        log_l = np.mean([model.hyper.theta[:-2] for model in beliefs.objectives], axis=0)
        shape = np.exp(log_l - log_l.mean())
        several = len(beliefs.objectives) > 1
        halvings = _failures(known) // max(4, self._encoding.d)
        side = SEVERAL if several else max(LARGEST * 0.5**halvings, SMALLEST)
        half = np.where(self._encoding.continuous, side * shape / 2, 1.0)
        centre = now.incumbents[number // 2 % min(len(now.incumbents), FRONT) if several else 0]
        return Region(np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1))

    def _known_feasible(self, seed: int) -> Array | None:
        space = self._setting.space
        if space.unrestricted:
            return None
        found = self._feasible.get(seed)
        if found is None:
            points = generator(seed, 0, "feasible").random((PROBED, space.d))
            found = np.array([u for u in points if space.is_feasible(space.decode(u))]).reshape(-1, space.d)
            self._feasible = {seed: found}
        return found


def _failures(known: Knowledge) -> int:
    """Trials since one was clearly better than all before it."""
    y = known.y[known.feasible, 0]
    if not len(y):
        return 0
    best = np.minimum.accumulate(y)
    better = np.flatnonzero(y[1:] < best[:-1] - 1e-3 * np.abs(best[:-1]))
    return len(y) - 1 - (int(better[-1]) + 1 if len(better) else 0)
