"""What a simulated pod answers, by the time that has passed since its start."""

from __future__ import annotations

import math

import pytest

from devcluster.replay import Replay

CURVE = '{"curve": {"loss": [0.9, 0.7, 0.5, 0.4]}, "stepSeconds": 0.1}'


@pytest.mark.parametrize(
    ("annotation", "env", "want"),
    [
        pytest.param("", {}, 1.0, id="nothing said: a second"),
        pytest.param('{"seconds": "2.5"}', {}, 2.5, id="a number as a string, as placeholders give it"),
        pytest.param(CURVE, {}, 0.4, id="as long as its curve"),
        pytest.param(CURVE, {"RUNG_RESOURCE_TARGET": "3"}, 0.3, id="up to the target"),
        pytest.param(CURVE, {"RUNG_RESUME_FROM": "/runs/x/step-3"}, 0.1, id="from where it resumes"),
    ],
)
def test_how_long_a_pod_runs(annotation: str, env: dict[str, str], want: float) -> None:
    assert Replay.parse(annotation, env).seconds == pytest.approx(want)


@pytest.mark.parametrize(
    ("elapsed", "since", "steps", "following"),
    [
        pytest.param(0.05, 0, [], 0, id="before the first step there is nothing"),
        pytest.param(0.3, 0, [1, 2, 3], 3, id="a step is seen exactly when it ends"),
        pytest.param(0.3, 2, [3], 3, id="since leaves out what was heard"),
        pytest.param(9.0, 4, [], 4, id="at the end there is nothing new"),
        pytest.param(9.0, 99, [], 4, id="a request from beyond the end is told where the end is"),
    ],
)
def test_observations_come_with_time(elapsed: float, since: int, steps: list[int], following: int) -> None:
    reply = Replay.parse(CURVE, {}).observations(since, elapsed, started=0.0)
    observations = reply["observations"]
    assert isinstance(observations, list)
    assert ([one["step"] for one in observations], reply["next"]) == (steps, following)


def test_a_formula_is_a_curve() -> None:
    replay = Replay.parse('{"curve": {"loss": {"start": "1", "end": "0.1", "rate": "0.5"}}, "steps": 3}', {})
    assert replay.values[1]["loss"] == pytest.approx(0.1 + 0.9 * math.exp(-1.0))


def test_metrics_hold_the_last_value_and_the_step() -> None:
    replay = Replay.parse(CURVE, {"RUNG_RESOURCE_METRIC": "epoch"})
    assert replay.metrics(0.2) == "# TYPE epoch gauge\nepoch 2\n# TYPE loss gauge\nloss 0.7\n"


def test_a_script_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"rung\.dev/simulate"):
        Replay.parse('{"curve": {"loss": 3}}', {})
