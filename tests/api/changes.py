"""Changes of a spec: what may follow once trials exist, and what may not. Held against both faces, CEL and Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.builders import LR, Document, study

Change = Callable[[Document], Any]
"""Changes a spec in place."""


def with_points(name: str) -> Document:
    """The Study that the changes are made to."""
    return study(name, limits={}, metrics={}, warmStart={"points": [{"parameters": {"lr": "0.01"}}]})


def _scale_lr(s: Document) -> None:
    s["parameters"][0]["scale"] = "Log"


def _second_parameter(s: Document) -> None:
    s["parameters"].append({**LR, "name": "z"})


def _other_image(s: Document) -> None:
    s["trial"]["podTemplate"]["spec"]["containers"][0]["image"] = "trial:2"


def _earlier_point(s: Document) -> None:
    s["warmStart"]["points"].insert(0, {"parameters": {"lr": "0.09"}})


def _no_points(s: Document) -> None:
    del s["warmStart"]


FROZEN = [
    pytest.param(_scale_lr, "spec.parameters", id="a parameter's scale"),
    pytest.param(_second_parameter, "spec.parameters", id="another parameter"),
    pytest.param(lambda s: s["objectives"][0].update(direction="Maximize"), "spec.objectives", id="a direction"),
    pytest.param(lambda s: s["objectives"][0].update(reduce="Min"), "spec.objectives", id="a reduction"),
    pytest.param(lambda s: s.update(constraints=[{"metric": "mem", "max": 3}]), "spec.constraints", id="constraints"),
    pytest.param(
        lambda s: s.update(parameterConstraints=["lr < 0.05"]), "spec.parameterConstraints", id="a parameter constraint"
    ),
    pytest.param(lambda s: s.update(sampler={"type": "Random"}), "spec.sampler", id="the sampler"),
    pytest.param(
        lambda s: s.update(scheduler={"type": "ASHA", "resource": {"max": 9}}), "spec.scheduler", id="the scheduler"
    ),
    pytest.param(lambda s: s.update(repeats={"count": 2}), "spec.repeats", id="repeats"),
    pytest.param(lambda s: s.update(seed=1), "spec.seed", id="the seed"),
    pytest.param(_other_image, "spec.trial.podTemplate", id="something deep in the template"),
    pytest.param(_earlier_point, "spec.warmStart.points", id="a point before the others"),
    pytest.param(_no_points, "spec.warmStart.points", id="no points any more"),
    pytest.param(
        lambda s: s["warmStart"].update(studies=[{"name": "old"}]), "spec.warmStart", id="studies to learn from"
    ),
]

FREE = [
    pytest.param(lambda s: s["objectives"][0].update(goal="0.01"), id="a goal"),
    pytest.param(lambda s: s["parameters"][0].update(role="Nuisance"), id="a role"),
    pytest.param(lambda s: s["limits"].update(trials=200, parallelism=8, gpuHours=3), id="limits"),
    pytest.param(lambda s: s.update(suspend=True), id="suspend"),
    pytest.param(lambda s: s.update(finish=True), id="finish"),
    pytest.param(lambda s: s["metrics"].update(port=9101), id="where metrics are read"),
    pytest.param(lambda s: s["trial"].update(retries=3, silenceSeconds=60), id="retries and time-outs"),
    pytest.param(lambda s: s["warmStart"]["points"].append({"parameters": {"lr": "0.09"}}), id="one more point"),
    pytest.param(lambda s: s.update(ttlSecondsAfterFinished=60), id="the time to live"),
]
