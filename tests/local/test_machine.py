"""What of the machine a trial gets for itself, and what stays of it on the disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rung.api.facts import TrialState
from rung.api.study import Study
from rung.local.run import Options, run_study
from tests.executor.contract import Result, a_study
from tests.local.conftest import Recorder

# Takes what it was given as folders: who finds one there already shares it with another trial, and fails.
CLAIM = """
import os, sys, time
def given():
    if sys.argv[2] == "gpus":
        return os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    return [str(core) for core in os.sched_getaffinity(0)]
deadline = time.monotonic() + 10
while len(given()) != int(sys.argv[3]) and time.monotonic() < deadline:
    time.sleep(0.001)  # bound to its cores right after it has started
claims = [os.path.join(sys.argv[1], one) for one in given()]
for claim in claims:
    os.mkdir(claim)
time.sleep(0.1)
for claim in claims:
    os.rmdir(claim)
print(f"epoch=1 loss={len(claims)}", flush=True)
"""


def claiming(folder: Path, kind: str, count: int, resources: dict[str, Any]) -> Study:
    command = [sys.executable, "-S", "-c", CLAIM, str(folder), kind, str(count)]
    container = {"name": "trial", "image": "none", "command": command, "resources": resources}
    trial = {"podTemplate": {"spec": {"containers": [container]}}, "retries": 0}
    return a_study(trial=trial, limits={"trials": 6, "parallelism": 4})


async def ran(study: Study, options: Options) -> Result:
    ended = await run_study(study, "", options, Recorder())
    return Result(list(ended.trials), ended.verdict)


@pytest.mark.parametrize(("each", "all_of_them"), [(1, 2), (2, 4), (2, 3)])
async def test_gpus_are_shared_out_and_never_twice(
    state_directory: Path, tmp_path: Path, each: int, all_of_them: int
) -> None:
    study = claiming(tmp_path, "gpus", each, {"limits": {"nvidia.com/gpu": each}})
    result = await ran(study, Options(state_directory, gpus=all_of_them))
    assert [facts.state for facts in result.trials] == [TrialState.SUCCEEDED] * 6
    assert {facts.values["loss"] for facts in result.trials} == {each}
    assert {facts.gpus for facts in result.trials} == {each}


async def test_cores_are_a_trials_own_where_that_is_asked_for(state_directory: Path, tmp_path: Path) -> None:
    study = claiming(tmp_path, "cores", 1, {"requests": {"cpu": "700m"}})
    result = await ran(study, Options(state_directory, pin_cpus=True))
    assert [facts.state for facts in result.trials] == [TrialState.SUCCEEDED] * 6, result.verdict.message


async def test_more_cores_than_the_machine_has_are_all_of_them(state_directory: Path, tmp_path: Path) -> None:
    here = len(os.sched_getaffinity(0))
    study = claiming(tmp_path, "cores", here, {"requests": {"cpu": 1000}})
    result = await ran(study, Options(state_directory, pin_cpus=True))
    assert {facts.values["loss"] for facts in result.trials} == {here}


async def test_without_being_asked_nobody_is_bound_to_a_core(state_directory: Path) -> None:
    script = "import os; print(f'epoch=1 loss={len(os.sched_getaffinity(0))}')"
    container = {"name": "t", "image": "i", "command": [sys.executable, "-S", "-c", script]}
    container |= {"resources": {"requests": {"cpu": "1"}}}
    study = a_study(trial={"podTemplate": {"spec": {"containers": [container]}}}, limits={"trials": 1})
    result = await ran(study, Options(state_directory))
    assert [facts.values["loss"] for facts in result.trials] == [len(os.sched_getaffinity(0))]


def keeping(keep: str) -> Study:
    """Trial 1 fails twice, the others end well."""
    script = "[ $RUNG_TRIAL_NUMBER != 1 ] || exit 1; echo epoch=1 loss=1"
    container = {"name": "trial", "image": "none", "command": ["/bin/sh", "-c", script]}
    trial = {"podTemplate": {"spec": {"containers": [container]}}, "retries": 1, "keepJobs": keep}
    return a_study(trial=trial, limits={"trials": 3, "parallelism": 1})


@pytest.mark.parametrize(
    ("keep", "want"),
    [
        pytest.param("All", ["0-1", "1-1", "1-2", "2-1"], id="All keeps every log"),
        pytest.param("Failed", ["1-1", "1-2"], id="Failed keeps those of failed attempts"),
        pytest.param("None", [], id="None keeps none"),
    ],
)
async def test_logs_stay_as_keep_jobs_says(state_directory: Path, keep: str, want: list[str]) -> None:
    result = await ran(keeping(keep), Options(state_directory))
    assert [facts.state.value for facts in result.trials] == ["Succeeded", "Failed", "Succeeded"]
    assert sorted(path.name for path in (state_directory / "attempts").iterdir()) == want


async def test_what_a_killed_run_did_not_come_to_remove_the_next_one_does(state_directory: Path) -> None:
    await ran(keeping("Failed"), Options(state_directory))
    (state_directory / "attempts" / "0-1").mkdir()
    (state_directory / "attempts" / "0-1" / "log").write_text("epoch=1 loss=1\n")
    await ran(keeping("Failed"), Options(state_directory))
    assert sorted(path.name for path in (state_directory / "attempts").iterdir()) == ["1-1", "1-2"]
