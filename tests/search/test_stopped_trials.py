"""What samplers make of trials that a scheduler stopped: those that rank, and build on the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rung.api.facts import TrialState
from rung.search import Sampler, Setting
from rung.search.cmaes import CmaesSampler
from rung.search.evolution import EvolutionSampler
from rung.search.nsga2 import Nsga2Sampler
from rung.search.random_forest import RandomForestSampler
from rung.search.reinforce import ReinforceSampler
from rung.search.sobol import SobolSampler
from rung.search.tpe import TPESampler
from tests.search.contract import evaluated, request
from tests.search.problems import plane

KINDS = (CmaesSampler, EvolutionSampler, Nsga2Sampler, RandomForestSampler, ReinforceSampler, TPESampler)


@pytest.mark.parametrize("make", KINDS)
def test_points_are_spread_until_there_is_a_step_that_says_something(make: Callable[[Setting], Sampler]) -> None:
    first = [
        replace(told, state=TrialState.STOPPED, curve=((1.0, told.objectives[0]),))
        for told in evaluated(plane, 40, lambda i: (i * 31 % 17,))
        if told.objectives
    ]
    later = [replace(told, curve=(*told.curve, (9.0, told.curve[0][1]))) for told in first]
    sampler = make(Setting(plane, target=27, startup=20))
    for history, is_spread in ((first, True), (later, False), ([*first, *later[:15]], True)):
        numbered = [replace(told, number=i) for i, told in enumerate(history)]
        ask = request(plane, 61, history=numbered)
        assert (sampler.propose(ask) == SobolSampler().propose(ask)) is is_spread
