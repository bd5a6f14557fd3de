"""`rung-trial`: the SDK for other languages, call by call, with the termination message as its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rung.api.facts import Observation
from rung.observe.extract import Wanted
from rung.observe.termination import parse_termination
from tests.trial_image.processes import TRIAL_IMAGE, Ended, ended, environment, process
from tests.trial_image.test_contract_page import example

COMMAND = [sys.executable, "-S", "-m", "rung_trial"]


@pytest.fixture
def log(tmp_path: Path) -> str:
    """An attempt's termination log, as the executor names it; nobody has made it yet."""
    return str(tmp_path / "termination")


def call(log: str, *words: str, **env: str) -> Ended:
    return ended([*COMMAND, *words], RUNG_TERMINATION_LOG=log, RUNG_RESOURCE_METRIC="epoch", **env)


def test_reports_are_lines_and_the_memory_counts_the_steps(log: str) -> None:
    said = [
        call(log, "report", "val_loss=0.5", "mAP@0.5=1"),
        call(log, "report", "step=7", "val_loss=nan"),
        call(log, "report", "val_loss=0.25"),
        call(log, "report", "epoch=9", "val_loss=inf"),
        call(log, "output", "model=s3://m?version=2", "link=x"),
    ]
    assert [got.code for got in said] == [0] * 5
    assert [line for got in said for line in got.reports] == [
        {"epoch": 1, "val_loss": 0.5, "mAP@0.5": 1},
        {"epoch": 7, "val_loss": "NaN"},
        {"epoch": 8, "val_loss": 0.25},
        {"epoch": 9, "val_loss": "Infinity"},
        {"outputs": {"model": "s3://m?version=2"}},
        {"outputs": {"link": "x"}},
    ]
    message = Path(log).read_bytes()
    assert json.loads(message)["outputs"] == {"model": "s3://m?version=2", "link": "x"}
    found = parse_termination(message, Wanted.of(None, ("val_loss",), "epoch"))
    assert found[2] == Observation(8, {"val_loss": 0.25}), "what the log has lost is known at the end"


def test_calls_at_the_same_time_lose_nothing(log: str) -> None:
    with ThreadPoolExecutor(4) as several:
        calls = [several.submit(call, log, "report", f"step={n}", "loss=1") for n in range(12)]
    assert [c.result().code for c in calls] == [0] * 12
    rows = json.loads(Path(log).read_bytes())["observations"]
    assert sorted(step for step, _ in rows) == list(range(12))


def test_a_long_training_still_fits_into_the_message(log: str) -> None:
    rows = [[step, {"val_loss": step / 7}] for step in range(200)]
    Path(log).write_text(json.dumps({"observations": rows, "outputs": {}, "checkpoint_step": None}))
    assert call(log, "report", "val_loss=3").reports == [{"epoch": 200, "val_loss": 3}]
    message = Path(log).read_bytes()
    assert len(message) <= 4096
    assert json.loads(message)["observations"][-1] == [200, {"val_loss": 3}]


def test_sigterm_is_noted_and_remembered(log: str) -> None:
    assert call(log, "should-stop").code == 1
    call(log, "report", "val_loss=1")
    assert call(log, "finish", RUNG_RESOURCE_TARGET="3").code == 0
    assert call(log, "sigterm").code == 0
    assert call(log, "should-stop").code == 0
    assert call(log, "finish", RUNG_RESOURCE_TARGET="3").code == 143
    assert call(log, "finish", RUNG_RESOURCE_TARGET="1").code == 0, "the target is reached: all is there"


def test_checkpoints_are_copied_whole_and_found_again(log: str, tmp_path: Path) -> None:
    model, runs = tmp_path / "model", tmp_path / "runs"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "weights").write_text("1")
    told = {"RUNG_CHECKPOINT_DIR": str(runs), "RUNG_RESOURCE_TARGET": "5"}
    assert call(log, "resume", **told).lines == []
    assert call(log, "steps", "9", **told).lines == ["1", "2", "3", "4", "5"]
    assert call(log, "checkpoint", "2", str(model), **told).reports == [{"epoch": 2, "checkpoint_step": 2}]
    assert call(log, "checkpoint", "3", str(model / "deep" / "weights"), **told).code == 0
    assert (runs / "step-2" / "deep" / "weights").read_text() == (runs / "step-3" / "weights").read_text() == "1"
    assert call(log, "resume", **told).lines == [str(runs / "step-3")]
    assert call(log, "steps", "9", **told).lines == ["4", "5"]
    assert json.loads(Path(log).read_bytes())["checkpoint_step"] == 3
    lost = call(log, "checkpoint", "4", str(tmp_path / "nothing"), **told)
    assert (lost.code, sorted(path.name for path in runs.iterdir())) == (1, ["step-2", "step-3"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(["report", "val_loss=low"], 78, "val_loss must be a number, got 'low'", id="a word for a number"),
        pytest.param(["report", "val_loss"], 78, "expected name=value, one or more, got val_loss", id="no value"),
        pytest.param(["report"], 78, "expected name=value, one or more, got nothing", id="nothing to report"),
        pytest.param(["report", "step=-1", "a=1"], 78, "finite number of at least 0, got -1", id="a step below 0"),
        pytest.param(["checkpoint", "3"], 78, "expected a step and the path of what to keep", id="half a checkpoint"),
        pytest.param(["checkpoint", "3", "/etc/hosts"], 1, "RUNG_CHECKPOINT_DIR is not set", id="no place for it"),
        pytest.param(["steps"], 78, "expected how many steps, where nobody says a target", id="no default"),
        pytest.param(["finish", "now"], 78, "expected no arguments, got now", id="an argument too many"),
        pytest.param(["stop"], 78, "no command 'stop': report, output, steps", id="an unknown command"),
    ],
)
def test_a_wrong_call_says_what_was_expected(log: str, words: list[str], code: int, said: str) -> None:
    got = call(log, *words)
    assert (got.code, got.lines) == (code, [])
    assert said in got.stderr


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_help_lists_every_command(log: str, words: list[str]) -> None:
    got = call(log, *words)
    assert got.code == 0
    for command in ("report", "output", "steps", "resume", "checkpoint", "sigterm", "should-stop", "finish"):
        assert any(line.strip().startswith(f"rung-trial {command}") for line in got.lines)


def test_without_an_operator_it_prints_and_remembers_nothing() -> None:
    env = environment({})
    del env["RUNG_TERMINATION_LOG"]
    for words, line in ((["report", "a=1"], '{"a": 1}'), (["report", "step=3", "a=1"], '{"step": 3, "a": 1}')):
        got = subprocess.run([*COMMAND, *words], env=env, capture_output=True, text=True, check=True)
        assert (got.stdout, got.stderr) == (line + "\n", "")
    got = subprocess.run([*COMMAND, "sigterm"], env=env, capture_output=True, text=True, check=False)
    assert (got.returncode, "nothing can be remembered" in got.stderr) == (1, True)


def test_a_log_that_cannot_be_written_costs_a_line_and_not_the_report(tmp_path: Path) -> None:
    got = call(str(tmp_path / "nowhere" / "log"), "report", "step=3", "a=1")
    assert (got.code, got.reports) == (0, [{"epoch": 3, "a": 1}])
    assert got.stderr.startswith("rung_trial: no termination message")


def test_somebody_elses_last_word_is_replaced(log: str) -> None:
    for text in ("", "Killed", "[1]", '{"observations": 3}', '{"observations": [[1]], "outputs": {}}'):
        Path(log).write_text(text)
        assert call(log, "report", "a=1").reports == [{"epoch": 1, "a": 1}]


def test_the_pages_example_stops_on_sigterm_and_goes_on_from_its_checkpoint(tmp_path: Path, log: str) -> None:
    """As the trial image has it: `rung-trial` is a program in PATH."""
    script = tmp_path / "train.sh"
    script.write_text(example("command"))
    path = f"{TRIAL_IMAGE / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = {"PATH": path, "TMPDIR": str(tmp_path), "RUNG_CHECKPOINT_DIR": str(tmp_path / "runs"), "PACE": "0"}
    with process(["sh", str(script)], RUNG_RESOURCE_TARGET="1000", RUNG_TERMINATION_LOG=log, **told) as trial:
        while '"checkpoint_step": 2' not in trial.line():
            pass
        trial.popen.send_signal(signal.SIGTERM)
        first = trial.end()
    assert (first.code, first.stderr) == (143, "")
    reached = first.reports[-1]["checkpoint_step"]
    second = ended(["sh", str(script)], RUNG_RESOURCE_TARGET=str(reached + 2), **told)
    assert second.code == 0, second.stderr
    assert [r["step"] for r in second.reports if "loss" in r] == [reached + 1, reached + 2]
