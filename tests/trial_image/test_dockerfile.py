"""The trial image, as far as it can be told without building it: a numeric user that is nobody, everything pinned."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest

from tests.trial_image.processes import TRIAL_IMAGE

DOCKERFILE = (TRIAL_IMAGE / "Dockerfile").read_text()
REQUIREMENTS = [
    line for line in (TRIAL_IMAGE / "requirements.txt").read_text().splitlines() if not line.startswith("#")
]


def test_it_runs_as_a_number_that_is_not_root() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert users == [("65532", "65532")]
    assert DOCKERFILE.rindex("USER ") > DOCKERFILE.rindex("RUN ")


def test_its_base_is_pinned_to_a_patch_release() -> None:
    assert re.search(r"^ARG BASE=python:3\.12\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_the_tests_ran_with_the_releases_that_it_installs(line: str) -> None:
    name, _, pinned = line.partition("==")
    assert re.fullmatch(r"\d+(\.\d+)+", pinned)
    assert version(name).split(".")[0] == pinned.split(".")[0]


def test_it_copies_what_there_is() -> None:
    for source in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE):
        assert (TRIAL_IMAGE / source).exists()


def test_the_sdk_needs_nothing_but_python() -> None:
    project = tomllib.loads((TRIAL_IMAGE / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["dependencies"]) == ("rung-trial", [])
    assert (TRIAL_IMAGE / "rung_trial" / "py.typed").exists()
