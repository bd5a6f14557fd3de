"""The SDK stays small, needs nothing, and runs where people train: on Python 3.8 and later."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.trial_image.processes import TRIAL_IMAGE, environment, python
from tests.trial_image.test_contract_page import example

PACKAGE = TRIAL_IMAGE / "rung_trial"
CORE = ("__init__.py", "_trial.py", "_said.py")
MOST_LINES = 400  # what a person reads in one sitting before he lets it into his training
OLD = ("3.8", "3.9", "3.10")


def interpreter(version: str) -> str:
    """An interpreter of that version: in PATH, or one of pyenv's; skips where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in filter(None, candidates):
        if (
            subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0
        ):  # a shim may be empty
            return candidate
    return pytest.skip(f"no Python {version} on this machine")


def test_the_core_is_small() -> None:
    """Every line counts, as `wc -l` counts them; the command and the integrations are apart."""
    assert sum(len((PACKAGE / name).read_text().splitlines()) for name in CORE) <= MOST_LINES
    assert {path.name for path in PACKAGE.glob("*.py")} == {*CORE, "__main__.py"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_the_grammar_is_that_of_3_8(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("version", OLD)
def test_an_old_python_runs_the_pages_example_and_the_command(version: str, tmp_path: Path) -> None:
    old = interpreter(version)
    told = {"RUNG_TRIAL": "t", "RUNG_METRICS_HOST": "127.0.0.1", "RUNG_METRICS_PORT": "0"}
    env = environment({**told, "RUNG_TERMINATION_LOG": str(tmp_path / "log"), "RUNG_CHECKPOINT_DIR": str(tmp_path)})
    env["RUNG_RESOURCE_TARGET"] = "2"
    program = [old, *python(example("sdk in full"))[1:]]
    got = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    assert (got.returncode, got.stderr) == (0, "")
    assert '{"step": 2, "checkpoint_step": 2}' in got.stdout
    said = subprocess.run(
        [old, "-m", "rung_trial", "report", "a=1"], env=env, capture_output=True, text=True, check=False
    )
    assert (said.stdout, said.stderr) == ('{"step": 3, "a": 1}\n', "")
