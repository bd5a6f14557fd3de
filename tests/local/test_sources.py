"""Where observations come from on this machine: real programs, one for each source, and what is said when nothing came."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from rung.api.facts import TrialFacts, TrialState
from rung.local.run import Options, run_study
from tests.executor.contract import Result, a_study
from tests.local.conftest import Recorder

TRIAL_IMAGE = Path(__file__).parents[2] / "trial_image"
ENV = [{"name": "PYTHONPATH", "value": str(TRIAL_IMAGE)}]
EPOCHS = {"type": "None", "resource": {"metric": "epoch", "min": 1, "max": 3}}


async def ran(state: Path, command: list[str], *, gpus: int | None = None, **spec: Any) -> Result:
    """A study of one trial with that command."""
    container = {"name": "trial", "image": "none", "command": command, "env": ENV, **spec.pop("container", {})}
    trial = {"podTemplate": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}, "retries": 0}
    study = a_study(trial=trial, **{"limits": {"trials": 1}, "scheduler": EPOCHS, **spec})
    ended = await run_study(study, "", Options(state, gpus=gpus), Recorder())
    return Result(list(ended.trials), ended.verdict)


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


PYTHON = [sys.executable, "-m"]
SERVE = [*PYTHON, "trainers.plain_prometheus", "--epochs=3", "--sleep=0.7"]


@pytest.mark.parametrize(
    ("command", "metrics", "metric", "want"),
    [
        pytest.param(shell("echo epoch=3 loss=0.25"), {"source": "Log"}, "loss", 0.25, id="pairs on a line"),
        pytest.param(
            shell('echo \'{"epoch": 3, "loss": 0.25}\''), {"source": "Auto"}, "loss", 0.25, id="JSON on a line"
        ),
        pytest.param(
            shell("printf 'epoch=3 loss=0.25'"), {"source": "Auto"}, "loss", 0.25, id="a line without its end"
        ),
        pytest.param(shell("echo epoch=3 loss=0.25 >&2"), {"source": "Auto"}, "loss", 0.25, id="stderr is read too"),
        pytest.param(
            shell("echo epoch=3 loss=9; echo epoch=3 loss=0.25 > $RUNG_TERMINATION_LOG"),
            {"source": "Termination"},
            "loss",
            0.25,
            id="the last word alone",
        ),
        pytest.param(
            [*PYTHON, "trainers.toy", "--x=0.3", "--y=0.7"],
            {"source": "Http"},
            "loss",
            math.exp(-0.75),
            id="the SDK's lines",
        ),
        pytest.param(
            shell("echo epoch=3 'mAP@0.5=0.25'"),
            {"source": "Log", "extract": [{"metric": "map", "key": "mAP@0.5"}]},
            "map",
            0.25,
            id="a name with signs",
        ),
        pytest.param(
            shell("echo loss=9; echo '[3/3]  valid_1 auc : 0.25 (best)'"),
            {"source": "Log", "extract": [{"metric": "auc", "line": "[<step>/<*>] valid_1 auc : <value>"}]},
            "auc",
            0.25,
            id="a line of its own form",
        ),
    ],
)
async def test_a_source(state_directory: Path, command: list[str], metrics: Any, metric: str, want: float) -> None:
    result = await ran(
        state_directory, command, metrics=metrics, objectives=[{"metric": metric, "direction": "Minimize"}]
    )
    facts = only(result)
    assert facts.state is TrialState.SUCCEEDED, facts.message
    assert facts.values[metric] == pytest.approx(want, abs=1e-5)
    assert facts.step == 3


@pytest.mark.parametrize("source", ["Prometheus", "Auto"])
async def test_a_program_that_only_serves_its_metrics_is_asked(state_directory: Path, source: str) -> None:
    objectives = [{"metric": "val_loss", "direction": "Minimize"}]
    metrics = {"source": source, "intervalSeconds": 1}
    result = await ran(state_directory, SERVE, metrics=metrics, objectives=objectives)
    facts = only(result)
    assert facts.state is TrialState.SUCCEEDED, facts.message
    assert "val_loss" in facts.values


async def test_outputs_are_bounded(state_directory: Path) -> None:
    outputs = {f"n{i}": "x" * 300 for i in range(12)}
    line = json.dumps({"epoch": 3, "loss": 0.25, "outputs": outputs})
    facts = only(await ran(state_directory, shell(f"echo '{line}'")))
    assert facts.state is TrialState.SUCCEEDED, facts.message
    assert list(facts.outputs) == [f"n{i}" for i in range(8)]
    assert {len(text) for text in facts.outputs.values()} == {256}


@pytest.mark.parametrize("metric", ["recall@10", "mAP@0.5", "valid_1 auc", "valid_1's auc", "eval/loss", "iou[0]"])
async def test_metrics_of_odd_names(state_directory: Path, metric: str) -> None:
    script = 'echo "epoch=3"; echo "' + f'{metric}: 0.25"'
    objectives = [{"metric": metric, "direction": "Minimize", "goal": "0.3"}]
    facts = only(await ran(state_directory, shell(script), objectives=objectives))
    assert facts.state is TrialState.SUCCEEDED, facts.message
    assert facts.values == {metric: 0.25}


async def test_the_time_of_a_trial_needs_no_report(state_directory: Path) -> None:
    facts = only(
        await ran(
            state_directory,
            shell("sleep 0.3"),
            objectives=[{"metric": "trial_seconds", "direction": "Minimize"}],
            constraints=[{"metric": "trial_gpu_seconds", "max": 1}],
            scheduler={"type": "None"},
        )
    )
    assert facts.state is TrialState.SUCCEEDED, facts.message
    assert 0.3 <= facts.values["trial_seconds"] < 60
    assert facts.values["trial_gpu_seconds"] == 0


async def test_a_loss_that_is_not_finite_is_infeasible_and_no_failure(state_directory: Path) -> None:
    result = await ran(
        state_directory, shell("echo epoch=3 loss=nan"), limits={"trials": 3, "parallelism": 1, "failedTrials": 0}
    )
    assert [facts.state for facts in result.trials] == [TrialState.INFEASIBLE] * 3
    assert result.verdict.reason == "NoResult"


async def test_a_missing_metric_says_where_it_was_looked_for_and_what_was_there(state_directory: Path) -> None:
    facts = only(await ran(state_directory, shell("echo epoch=3 Loss=0.25")))
    assert (facts.state, facts.reason) == (TrialState.FAILED, "MetricMissing")
    assert "loss was never reported" in facts.message
    assert "was Loss meant" in facts.message
    assert "epoch=3 Loss=0.25" in facts.message


async def test_a_line_that_never_came_is_named(state_directory: Path) -> None:
    metrics = {"source": "Log", "extract": [{"metric": "loss", "line": "valid loss <value>"}]}
    facts = only(await ran(state_directory, shell("echo epoch=3 loss=0.25"), metrics=metrics))
    assert facts.reason == "MetricMissing"
    assert "for loss, no line of the log was like 'valid loss <value>'" in facts.message


async def test_a_trial_that_prints_a_hundred_megabytes_still_gets_its_last_line_read(state_directory: Path) -> None:
    flood = "head -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; echo epoch=3 loss=1"
    script = f"if [ $RUNG_TRIAL_NUMBER = 0 ]; then {flood}; else echo epoch=3 loss=2; fi"
    result = await ran(state_directory, shell(script), limits={"trials": 3, "parallelism": 2})
    assert sorted(facts.values["loss"] for facts in result.trials) == [1, 2, 2]


async def test_more_gpus_than_the_machine_has_are_refused_in_words(state_directory: Path) -> None:
    container = {"resources": {"limits": {"nvidia.com/gpu": 4}}}
    facts = only(await ran(state_directory, shell("true"), gpus=2, container=container))
    assert (facts.state, facts.reason) == (TrialState.FAILED, "Refused")
    assert "asks for 4 GPUs, and this machine has 2" in facts.message


def only(result: Result) -> TrialFacts:
    (facts,) = result.trials
    return facts
