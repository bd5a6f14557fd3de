"""Studies as users would write them that need kinds or readers which nobody has here: their search runs in simulation."""

from __future__ import annotations

import copy

import pytest

from rung.api.study import parse_study
from rung.brain import Plan
from rung.simulate.engine import simulate_now
from rung.simulate.report import curve_source
from tests.api.runnable import IN_SIMULATION
from tests.api.studies import scenarios

TRIALS = 30


@pytest.mark.parametrize("name", IN_SIMULATION)
def test_a_scenario_runs_to_its_end_in_simulation(name: str) -> None:
    document = copy.deepcopy(scenarios()[name])
    limits = document["spec"].setdefault("limits", {})
    limits["trials"] = min(TRIALS, limits.get("trials", TRIALS))
    plan = Plan.of(parse_study(document, strict=True))
    result = simulate_now(plan, curve_source(plan, "synthetic"))
    assert result.verdict.state.value == "Succeeded", result.verdict.message
    assert len(result.trials) >= 1
    assert result.trials.incumbent is not None
