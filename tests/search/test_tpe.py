"""TPE under the contract of samplers that learn, and what is its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rung.api.facts import TrialState
from rung.pareto import hypervolume
from rung.search import Request, Sampler, Setting, Told
from rung.search.random import RandomSampler
from rung.search.sobol import SobolSampler
from rung.search.tpe import TPESampler
from rung.space.dimensions import as_float
from tests.search.contract import LearnerContract, evaluated, request
from tests.search.problems import mixed, one_axis, plane


class TestTPE(LearnerContract):
    def learner(self, setting: Setting) -> Sampler:
        return TPESampler(setting)


class TestItsOwn:
    def test_startup_is_sobol_and_ends_with_the_results(self) -> None:
        setting = Setting(mixed, trials=100, startup=6)
        for number, results in ((0, 0), (5, 5), (70, 5)):
            ask = request(mixed, number, history=evaluated(mixed, results, lambda i: (i,)))
            assert TPESampler(setting).propose(ask) == SobolSampler().propose(ask)
        ask = request(mixed, 6, history=evaluated(mixed, 6, lambda i: (i,)))
        assert TPESampler(setting).propose(ask) != SobolSampler().propose(ask)

    def test_pending_trials_keep_others_away(self) -> None:
        """Of a hundred proposals fewer fall near where twenty trials run already."""
        history = evaluated(one_axis, 30, lambda i: (abs(at(i) - 0.5),))
        running = [Told(100 + k, {"x": 0.5 + k / 1e3}, TrialState.RUNNING) for k in range(-20, 20)]
        sampler = TPESampler(Setting(one_axis, trials=500))

        def near(history: list[Told]) -> int:
            proposals = [sampler.propose(request(one_axis, number, history=history)) for number in range(200, 300)]
            return sum(p is not None and abs(as_float(p.parameters["x"]) - 0.5) < 0.03 for p in proposals)

        assert near([*history, *running]) < 0.5 * near(history)

    def test_another_study_shows_the_way_at_first(self) -> None:
        old = [replace(t, source="old") for t in evaluated(one_axis, 40, lambda i: (at(i),))]
        sampler = TPESampler(Setting(one_axis, trials=100))
        proposals = [sampler.propose(request(one_axis, number, history=old)) for number in range(20)]
        assert sum(p is not None and as_float(p.parameters["x"]) < 0.2 for p in proposals) >= 15

    def test_another_study_counts_less_than_this_one(self) -> None:
        """Where the two disagree, this study's results prevail: here 1 is best, there 0."""
        own = evaluated(one_axis, 40, lambda i: (-at(i),))
        old = [replace(t, source="old", objectives=(-t.value,)) for t in own if t.value is not None]
        sampler = TPESampler(Setting(one_axis, trials=100))
        proposals = [sampler.propose(request(one_axis, number, history=[*own, *old])) for number in range(40, 60)]
        assert sum(p is not None and as_float(p.parameters["x"]) > 0.7 for p in proposals) >= 14

    def test_feasible_trials_are_the_good_ones(self) -> None:
        """The better the objective, the more the constraint is violated."""
        history = evaluated(one_axis, 40, lambda i: (at(i),), lambda i: (0.6 - at(i),))
        sampler = TPESampler(Setting(one_axis, constraints=1, trials=100))
        proposals = [sampler.propose(request(one_axis, number, history=history)) for number in range(40, 60)]
        assert sum(p is not None and as_float(p.parameters["x"]) > 0.5 for p in proposals) >= 15

    def test_it_wins_more_of_the_front_than_random_search(self) -> None:
        """Between (0, 1) and (1, 0) where the other parameters are 0.7."""

        def volume(sampler: Sampler, seed: int) -> float:
            history: list[Told] = []
            for number in range(60):
                proposal = sampler.propose(Request(plane, number, seed, history))
                assert proposal is not None
                x = [as_float(value) for value in proposal.parameters.values()]
                away = 1 + 2 * sum(abs(value - 0.7) for value in x[1:])
                values = (x[0], away * (1 - math.sqrt(x[0] / away)))
                history.append(Told(number, proposal.parameters, TrialState.SUCCEEDED, values))
            return hypervolume(np.array([told.objectives for told in history]), np.array([1.1, 1.1]))

        setting = Setting(plane, objectives=2, references=(None, None))
        ours, theirs = ([volume(s, seed) for seed in range(3)] for s in (TPESampler(setting), RandomSampler()))
        assert np.mean(ours) > np.mean(theirs) + 0.1

    def test_what_was_stopped_early_is_neither_good_nor_bad(self) -> None:
        """Late bloomers: around 0.3 trials end best, and nearly all were stopped after the first step."""
        stopped = [Told(k, {"x": 0.25 + k / 300}, TrialState.STOPPED, (9.0,), curve=((1.0, 9.0),)) for k in range(30)]
        whole = [replace(t, number=30 + t.number) for t in evaluated(one_axis, 30, lambda i: (abs(at(i) - 0.3),))]
        sampler = TPESampler(Setting(one_axis, target=27))
        proposals = [sampler.propose(request(one_axis, number, history=[*stopped, *whole])) for number in range(60, 80)]
        assert sum(p is not None and abs(as_float(p.parameters["x"]) - 0.3) < 0.1 for p in proposals) >= 14


def at(i: int) -> float:
    """Where `evaluated` puts its i-th trial on one axis."""
    return (i * 7919 % 1009) / 1009
