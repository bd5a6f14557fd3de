"""The command line from outside: exit codes, words, and that nothing ends in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import rung
from rung.cli.main import main, program
from rung.cli.page import is_current, page

ROOT = Path(__file__).parents[2]
GOOD = """\
apiVersion: rung.dev/v1alpha1
kind: Study
metadata: {name: good}
spec:
  objectives: [{metric: loss, direction: Minimize}]
  parameters: [{name: x, type: Double, min: 0, max: 1}]
  limits: {trials: 6, parallelism: 2}
  trial:
    podTemplate:
      spec:
        containers: [{name: t, image: i, command: [echo, "loss=$(params.x)"]}]
"""


def write(folder: Path, text: str, name: str = "study.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_run_from_file_to_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write(tmp_path, GOOD)
    assert main(["run", study, "--state", str(tmp_path / "state"), "--plain"]) == 0
    said = capsys.readouterr().out
    assert "good: Succeeded (TrialsCompleted)" in said
    assert "6 of 6 ended: 6 succeeded" in said
    assert json.loads((tmp_path / "state" / "good" / "trials" / "5.json").read_text())["kind"] == "Trial"


def test_a_run_that_fails_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write(tmp_path, GOOD.replace("loss=", "lost="))
    assert main(["run", study, "--state", str(tmp_path / "state"), "--quiet"]) == 1
    assert "NothingWorks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "holds no Study", id="an empty file"),
        pytest.param("kind: Deployment", "found Deployment", id="another kind"),
        pytest.param("a: [", "is not YAML: line", id="no YAML"),
        pytest.param(GOOD + "---\n" + GOOD, "holds 2 studies", id="two studies"),
        pytest.param(GOOD.replace("limits:", "limit:"), "limit", id="a field that does not exist"),
        pytest.param(
            GOOD.replace("spec:\n  obj", "spec:\n  seed: 1\n  seed: 2\n  obj"), "seed occurs twice", id="a key twice"
        ),
        pytest.param(GOOD.replace("min: 0", "min: 2"), "parameters[0]", id="an empty range"),
        pytest.param(GOOD.replace("params.x", "params.y"), "params.y", id="a parameter that does not exist"),
        pytest.param(GOOD.replace(', command: [echo, "loss=$(params.x)"]', ""), "command", id="no command"),
        pytest.param("x: " + "[" * 5000, "study.yaml", id="nested without end"),
        pytest.param("\x00", "study.yaml", id="a null byte"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    study = write(tmp_path, text)
    assert main(["run", study, "--state", str(tmp_path / "state")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rung run: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "no-such.yaml"]) == 2
    assert "no-such.yaml: cannot be read: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no command"),
        pytest.param(["fly"], id="an unknown command"),
        pytest.param(["run"], id="no study"),
        pytest.param(["run", "s.yaml", "--parallelism", "0"], id="nobody at work"),
        pytest.param(["run", "s.yaml", "--gpus", "-1"], id="fewer than no GPUs"),
        pytest.param(["simulate", "s.yaml", "--seeds", "many"], id="no number"),
        pytest.param(["operator", "--write-rate", "nan"], id="no rate"),
        pytest.param(["operator", "--health-port", "70000"], id="no port"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: rung" in capsys.readouterr().err


def test_validate_says_it_of_each_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, "kind: List\nitems:\n- kind: ConfigMap\n---\n" + GOOD, "good.yaml")
    bad = write(tmp_path, GOOD.replace("min: 0", "min: 2"), "bad.yaml")
    assert main(["validate", good]) == 0
    assert capsys.readouterr().out == f"{good}: good: can run\n"
    assert main(["validate", good, bad, "no-such.yaml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("can run")
    assert "bad.yaml: good: spec.parameters[0]" in lines[1]
    assert "no-such.yaml" in lines[2]


def test_a_population_larger_than_the_limit_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    population = "scheduler: {type: PBT, resource: {metric: epoch, max: 4}, pbt: {population: 40}}\n  limits"
    small = GOOD.replace("limits: {trials: 6", "limits: {trials: 2").replace("limits", population)
    study = write(tmp_path, small.replace("trial:", "trial:\n    checkpoint: {uri: 'none://needed'}"))
    note = "limits.trials leaves the population of 40 with 2 members"
    assert main(["validate", study]) == 0
    assert capsys.readouterr().out == f"{study}: good: can run; {note}\n"
    assert main(["run", study, "--state", str(tmp_path / "state"), "--plain"]) == 0
    assert note in capsys.readouterr().out


def test_simulate_says_what_it_would_find_and_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scheduler = "scheduler: {type: ASHA, resource: {metric: epoch, min: 1, max: 27}}\n  limits"
    study = write(tmp_path, GOOD.replace("limits", scheduler))
    assert main(["simulate", study]) == 0
    said = capsys.readouterr().out
    assert "good: Succeeded (TrialsCompleted) in simulation" in said
    assert "of 162 steps that full training takes" in said
    assert "trials per second" in said
    assert main(["simulate", study, "--json", "--seeds", "2"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["seed"] for report in reports] == [0, 1]
    assert {report["trials"] for report in reports} == {6}
    assert all(0 < report["share"] < 1 for report in reports)


def test_simulate_on_recorded_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{x},{step},{(x - 0.3) ** 2 + 1 / step}" for x in (0.1, 0.3, 0.9) for step in range(1, 28)]
    curves = write(tmp_path, "\n".join(["x,step,loss", *rows]), "curves.csv")
    study = write(tmp_path, GOOD)
    assert main(["simulate", study, "--curves", curves, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert best["values"]["loss"] == pytest.approx(1 / 27)
    assert main(["simulate", study, "--curves", "no-such.csv"]) == 2
    assert "no-such.csv" in capsys.readouterr().err


def test_a_study_that_starts_from_another_is_run_and_simulated_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, state = write(tmp_path, GOOD), str(tmp_path / "state")
    start = "  sampler: {type: List}\n  warmStart: {studies: [{name: good, use: Enqueue, top: 2}]}\n"
    text = GOOD.replace("{name: good}", "{name: last}").replace("  limits", start + "  limits")
    last = write(tmp_path, text, "last.yaml")
    assert main(["simulate", last, "--state", state]) == 2
    assert "study good is not in" in capsys.readouterr().err
    assert main(["simulate", last, "--after", first, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 2
    assert main(["run", first, "--state", state, "--quiet"]) == 0
    assert main(["run", last, "--state", state, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["simulate", last, "--state", state, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    best = json.loads((tmp_path / "state" / "good" / "study.json").read_text())["status"]["best"]
    assert found["trials"] == 2
    assert best["parameters"]["x"] in {
        json.loads(path.read_text())["spec"]["parameters"]["x"]
        for path in (tmp_path / "state" / "last" / "trials").iterdir()
    }


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert "rung.dev/v1alpha1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "want"),
    [("/usr/bin/rung", "rung"), ("/usr/local/bin/kubectl-rung", "kubectl rung"), ("cli/__main__.py", "rung")],
)
def test_it_says_the_name_it_was_called_by(path: str, want: str) -> None:
    assert program(path) == want


def test_the_page_is_what_help_says() -> None:
    assert is_current(ROOT / "docs" / "cli.md"), "run python -m rung.cli.page --write docs/cli.md"
    assert page().count("\n## rung ") == 6


@pytest.mark.parametrize(
    ("command", "never"),
    [
        pytest.param("run", ("kubernetes", "kopf", "aiohttp", "rich", "hypothesis"), id="run"),
        pytest.param("simulate", ("kubernetes", "kopf", "aiohttp", "rich"), id="simulate"),
    ],
)
def test_a_command_imports_only_what_it_needs(command: str, never: tuple[str, ...]) -> None:
    script = f"import sys, rung.cli.{command}; print(sorted(set({never!r}) & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(rung.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_crds_are_printed_written_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    kinds = [document["spec"]["names"]["kind"] for document in yaml.safe_load_all(capsys.readouterr().out)]
    assert kinds == ["Study", "Trial"]
    folder = str(tmp_path / "crds")
    assert main(["crds", "--write", folder]) == 0
    assert main(["crds", "--check", folder]) == 0
    next((tmp_path / "crds").iterdir()).write_text("old")
    assert main(["crds", "--check", folder]) == 1
    assert "rung crds --write" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["crds", "--write", str(tmp_path / "file" / "crds")]) == 2
