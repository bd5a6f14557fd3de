"""The random-forest sampler under the contract of samplers that learn, and what is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rung.search import Sampler, Setting, Told
from rung.search.random_forest import RandomForestSampler
from rung.search.random_forest.sampler import RANDOM
from rung.search.sobol import SobolSampler
from rung.space.dimensions import as_float
from tests.search.contract import LearnerContract, evaluated, request
from tests.search.problems import mixed, one_axis


class TestRandomForest(LearnerContract):
    def learner(self, setting: Setting) -> Sampler:
        return RandomForestSampler(setting)


def place(i: int) -> float:
    """Where `told` puts trial i on the only axis."""
    return (i * 7919 % 1009) / 1009


class TestItsOwn:
    def test_startup_and_every_twelfth_trial_are_sobol(self) -> None:
        history = evaluated(mixed, 30, lambda i: (i,))
        sampler = RandomForestSampler(Setting(mixed, trials=100))
        for number, known in ((4, 4), (3 * RANDOM - 1, 30)):
            ask = request(mixed, number, history=history[:known])
            assert sampler.propose(ask) == SobolSampler().propose(ask)
        ask = request(mixed, 3 * RANDOM, history=history)
        assert sampler.propose(ask) != SobolSampler().propose(ask)

    @pytest.mark.parametrize("agree", [pytest.param(True, id="they agree"), pytest.param(False, id="they disagree")])
    def test_another_study_is_believed_where_this_one_does_not_know_better(self, agree: bool) -> None:
        """In this study 0 is best; in the other one 0 as well, or 1."""
        old = [replace(t, source="old") for t in evaluated(one_axis, 40, lambda i: (place(i) if agree else -place(i),))]
        own = evaluated(one_axis, 30, lambda i: (place(i),))
        sampler = RandomForestSampler(Setting(one_axis, trials=100))

        def low(history: Sequence[Told], first: int) -> float:
            found = [sampler.propose(request(one_axis, n, history=history)) for n in range(first, first + 11)]
            return sum(p is not None and as_float(p.parameters["x"]) < 0.3 for p in found) / len(found)

        assert (low(old, 0) > 0.8) is agree
        assert low([*own, *old], 36) > 0.8
