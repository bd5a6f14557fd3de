"""Checkpoints: whole or absent, named by their step, never overwritten, found again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.trial_image.processes import ended, free_port, observations, process, python

SAVING = """
import rung_trial
with rung_trial.start() as trial:
    for step in {steps}:
        trial.report(step=step, loss=1)
        with trial.checkpoint(step) as folder:
            (folder / "state.txt").write_text("{content}")
"""


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def resumed(**env: str) -> str:
    """What `resume()` gives a trial with this environment, as text."""
    got = ended(python("import rung_trial\nwith rung_trial.start() as t: print(t.resume())"), **env)
    return got.lines[0] if got.lines else got.stderr


@pytest.mark.parametrize(
    ("env", "want"),
    [
        pytest.param({}, ["step-10", "step-9"], id="the latest two stay"),
        pytest.param({"RUNG_CHECKPOINT_KEEP": "1"}, ["step-10"], id="one if told so"),
        pytest.param({"RUNG_CHECKPOINT_KEEP": "0"}, ["step-1", "step-10", "step-2", "step-9"], id="all if told so"),
    ],
)
def test_how_many_stay(tmp_path: Path, env: dict[str, str], want: list[str]) -> None:
    program = python(SAVING.format(steps="[1, 2, 9, 10]", content="x"))
    got = ended(program, RUNG_CHECKPOINT_DIR=str(tmp_path / "made" / "here"), **env)
    assert got.code == 0, got.stderr
    assert names(tmp_path / "made" / "here") == want


def test_a_checkpoint_is_reported_once_it_is_complete(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    program = """
import os, rung_trial
with rung_trial.start() as trial:
    trial.report(step=3, loss=1)
    with trial.checkpoint(3) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "state.txt").write_text("x")
        print(os.listdir(trial.checkpoint_dir), flush=True)
    print(os.listdir(trial.checkpoint_dir), flush=True)
    input()
"""
    env = {"RUNG_TRIAL": "t", "RUNG_METRICS_PORT": port, "RUNG_RESOURCE_METRIC": "epoch"}
    with process(
        python(program), RUNG_CHECKPOINT_DIR=str(tmp_path / "runs"), RUNG_TERMINATION_LOG=str(log), **env
    ) as trial:
        assert [trial.line() for _ in range(4)] == [
            '{"epoch": 3, "loss": 1}',
            "['.unfinished-step-3']",
            '{"epoch": 3, "checkpoint_step": 3}',
            "['step-3']",
        ]
        assert [(o["step"], o["values"]) for o in observations(port)["observations"]] == [
            (3, {"loss": 1}),
            (3, {"checkpoint_step": 3}),
        ]
        trial.tell("")
        trial.end()
    assert log.read_text() == '{"since":0,"observations":[[3,{"loss":1}]],"outputs":{},"checkpoint_step":3}'


def test_a_step_that_is_trained_twice_keeps_its_first_checkpoint(tmp_path: Path) -> None:
    for content in ("first", "second"):
        got = ended(python(SAVING.format(steps="[1]", content=content)), RUNG_CHECKPOINT_DIR=str(tmp_path))
        assert got.reports[-1] == {"step": 1, "checkpoint_step": 1}
    assert (tmp_path / "step-1" / "state.txt").read_text() == "first"


def test_a_block_that_fails_leaves_no_checkpoint_and_says_none(tmp_path: Path) -> None:
    program = """
import rung_trial
with rung_trial.start() as trial:
    with trial.checkpoint(1) as folder:
        (folder / "state.txt").write_text("half")
        1 / 0
"""
    got = ended(python(program), RUNG_CHECKPOINT_DIR=str(tmp_path))
    assert (got.code, got.reports, names(tmp_path)) == (1, [], [])


def test_killed_while_writing_it_leaves_the_old_one_and_the_next_sweeps_up(tmp_path: Path) -> None:
    program = """
import rung_trial, sys
with rung_trial.start() as trial:
    with trial.checkpoint(1) as folder:
        (folder / "state.txt").write_text("whole")
    with trial.checkpoint(2) as folder:
        (folder / "state.txt").write_text("half")
        print("writing", flush=True)
        sys.stdin.read()
"""
    with process(python(program), RUNG_CHECKPOINT_DIR=str(tmp_path)) as trial:
        while trial.line() != "writing":
            pass
        trial.popen.send_signal(signal.SIGKILL)
        trial.end()
    assert names(tmp_path) == [".unfinished-step-2", "step-1"]
    assert resumed(RUNG_CHECKPOINT_DIR=str(tmp_path)) == repr((1, tmp_path / "step-1"))
    ended(python(SAVING.format(steps="[2]", content="x")), RUNG_CHECKPOINT_DIR=str(tmp_path))
    assert names(tmp_path) == ["step-1", "step-2"]


def test_where_to_go_on_from(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine / "step-9", mine / "step-10", mine / ".unfinished-step-11", mine / "step-x", other / "step-4"):
        folder.mkdir(parents=True)
    (mine / "step-27").write_text("a file will do")
    assert resumed() == "None"
    assert resumed(RUNG_CHECKPOINT_DIR=str(tmp_path / "nothing")) == "None"
    assert resumed(RUNG_CHECKPOINT_DIR=str(mine)) == repr((27, mine / "step-27"))
    assert resumed(RUNG_CHECKPOINT_DIR=str(mine), RUNG_RESUME_FROM="") == repr((27, mine / "step-27"))
    assert resumed(RUNG_CHECKPOINT_DIR=str(mine), RUNG_RESUME_FROM=str(other / "step-4")) == repr((4, other / "step-4"))
    for heard_of in ("step-9", "step-8"):  # the second one has been cleared away since
        told = {"RUNG_CHECKPOINT_DIR": f"{mine}/", "RUNG_RESUME_FROM": str(mine / heard_of)}
        assert resumed(**told) == repr((27, mine / "step-27"))


@pytest.mark.parametrize("name", ["step-5", "best"])
def test_to_go_on_from_what_is_not_there_is_an_error_not_a_fresh_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "best").mkdir()
    want = f"RUNG_RESUME_FROM must name an existing checkpoint step-<n>, got {tmp_path / name}"
    assert want in resumed(RUNG_CHECKPOINT_DIR=str(tmp_path), RUNG_RESUME_FROM=str(tmp_path / name))


def test_a_checkpoint_without_a_place_for_it_says_what_to_look_at() -> None:
    got = ended(python(SAVING.format(steps="[1]", content="x")), HOME=os.devnull)
    assert got.code == 1
    assert "RUNG_CHECKPOINT_DIR is not set: look at trial.checkpoint_dir" in got.stderr


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("t.checkpoint(3).__enter__()", id="writing"),
        pytest.param("t.resume()", id="resuming"),
    ],
)
def test_a_uri_is_no_folder_and_is_said_to_be_none(tmp_path: Path, program: str) -> None:
    env = {"RUNG_CHECKPOINT_DIR": "s3://runs/digits-7", "RUNG_RESUME_FROM": "s3://runs/digits-7/step-3"}
    lines = f"import os, rung_trial\nos.chdir({str(tmp_path)!r})\nwith rung_trial.start() as t: {program}"
    got = ended(python(lines), **env)
    assert got.code != 0
    assert "is a URI: read and write it with its own client" in got.stderr
    assert names(tmp_path) == []


def test_at_a_uri_without_a_resume_point_a_trial_begins_at_the_beginning() -> None:
    assert resumed(RUNG_CHECKPOINT_DIR="s3://runs/digits-7") == "None"
