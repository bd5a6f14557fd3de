"""The rounds of the tuning playbook, each starting from what the round before found."""

from __future__ import annotations

import copy
from typing import Any

from rung.api.facts import TrialState
from rung.api.study import parse_study
from rung.brain import Plan
from rung.executor.sources import Past, started_from
from rung.simulate.report import curve_source
from rung.simulate.sources import simulated_past
from tests.api.studies import scenarios

TRIALS = 8


def staged(name: str, **spec: Any) -> dict[str, Any]:
    """A scenario with few trials, short ones where it says so."""
    document = copy.deepcopy(scenarios()[name])
    document["spec"] |= {"limits": {"trials": TRIALS, "parallelism": 2}, **spec}
    return document


async def past(document: dict[str, Any], *before: Past) -> Past:
    plan = Plan.of(parse_study(document, strict=True))
    plan = started_from(plan, before) if before else plan
    return await simulated_past(plan, curve_source(plan, "synthetic"))


async def test_the_rounds_of_the_playbook_follow_each_other() -> None:
    first = staged("p2_moved_ranges", warmStart=None)
    first["metadata"]["name"] = "round-1"
    del first["spec"]["warmStart"]
    one = await past(first)
    two = await past(staged("p2_moved_ranges"), one)
    four = await past(staged("p4_exploitation"), two)
    short = {"type": "None", "resource": {"metric": "step", "max": 30}}
    final = await past(staged("p5_final_training", scheduler=short), four)
    noise = await past(staged("p3_trial_noise", limits={"trials": 10}), two)

    assert four.study is not None
    assert four.study.status is not None
    assert four.study.status.best is not None
    assert final.trials[0].spec.enqueued_from == four.study.status.best.trial
    assert len(final.trials) == 3
    assert {trial.status.state for trial in final.trials if trial.status} == {TrialState.SUCCEEDED}
    assert len(noise.trials) == 10
    assert len({trial.spec.parameters["lr"] for trial in noise.trials}) == 1
