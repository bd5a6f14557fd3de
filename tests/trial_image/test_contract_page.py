"""Every example of docs/trial-contract.md runs, and the page names everything that the SDK reads."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from rung.api.errors import BadObservation
from rung.observe.extract import Sightings, Wanted
from rung.observe.sdk import SdkReader
from rung.observe.termination import parse_termination
from tests.trial_image.processes import TRIAL_IMAGE, ended, process, python

PAGE = (Path(__file__).parents[2] / "docs" / "trial-contract.md").read_text()


def example(name: str) -> str:
    """The code block that follows `<!-- example: name -->`."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"docs/trial-contract.md has no example {name!r}"
    return found[1]


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    """The page's shell script as a command."""
    path = tmp_path / "train.sh"
    path.write_text(example("shell"))
    return ["sh", str(path)]


def test_the_short_example() -> None:
    got = ended(python(example("sdk")), RUNG_RESOURCE_TARGET="3", RUNG_RESOURCE_METRIC="epoch")
    assert got.reports == [{"epoch": n, "val_loss": pytest.approx(1 / n)} for n in (1, 2, 3)]


def test_the_full_example_resumes(tmp_path: Path) -> None:
    program, runs = python(example("sdk in full")), str(tmp_path)
    first = ended(program, RUNG_RESOURCE_TARGET="2", RUNG_CHECKPOINT_DIR=runs, RUNG_PARAMETERS='{"lr": 0.5}')
    second = ended(program, RUNG_RESOURCE_TARGET="3", RUNG_CHECKPOINT_DIR=runs, RUNG_PARAMETERS='{"lr": 0.5}')
    losses = [r["val_loss"] for r in first.reports + second.reports if "val_loss" in r]
    assert losses == [0.25, 0.0625, 0.015625]


def json_after(heading: str) -> str:
    """The first JSON of a section."""
    return PAGE.partition(heading)[2].partition("```json\n")[2].partition("```")[0]


def test_the_page_of_observations_is_read_as_it_says() -> None:
    whole = json.loads(json_after("### 1. "))
    reader = SdkReader(Wanted.of(None, ("val_loss",), "epoch"), "digits-7", 2)
    page = reader.read(json.dumps(whole).encode())
    assert [(o.step, str(o.values["val_loss"])) for o in page.observations] == [(3, "0.31"), (4, "nan")]
    assert (reader.since, reader.sightings.outputs, page.done) == (19, {"model": "s3://models/one"}, False)


def test_what_a_page_of_observations_may_leave_out() -> None:
    least = {
        "trial": "digits-7",
        "attempt": 2,
        "next": 2,
        "observations": [{"values": {"val_loss": x}} for x in (3, 2)],
    }
    reader = SdkReader(Wanted.of(None, ("val_loss",), "epoch"), "digits-7", 2)
    assert [o.step for o in reader.read(json.dumps(least).encode()).observations] == [1, 2]
    for needed in ("trial", "attempt", "next", "observations"):
        with pytest.raises(BadObservation, match=needed):
            reader.read(json.dumps({name: value for name, value in least.items() if name != needed}).encode())


def test_both_forms_of_the_last_word_are_read_as_the_page_says() -> None:
    wanted, sightings = Wanted.of(None, ("val_loss",), "epoch"), Sightings()
    found = parse_termination(json_after("### 4. "), wanted, sightings)
    assert [(o.step, o.values) for o in found] == [(26, {"val_loss": 0.12}), (27, {"val_loss": 0.11})]
    assert (sightings.acknowledged, sightings.checkpoint_step) == (25, 27)
    line = re.search(r"Lines as on stdout do as well: `(.+?)`", PAGE)
    assert line
    assert parse_termination(line[1], wanted) == [found[-1]]


def test_the_infeasible_example_exits_with_65() -> None:
    assert ended(python(example("out of memory"))).code == 65


def test_the_shell_example_is_twenty_lines() -> None:
    first, *lines = example("shell").splitlines()
    assert (first, len(lines)) == ("#!/bin/sh", 20)


def test_the_shell_example_trains_to_its_target_and_says_the_last_word(script: list[str], tmp_path: Path) -> None:
    env = {"RUNG_RESOURCE_METRIC": "epoch", "RUNG_RESOURCE_TARGET": "3", "RUNG_TERMINATION_LOG": str(tmp_path / "log")}
    got = ended(script, PACE="0", **env)
    assert (got.code, got.stderr) == (0, "")
    assert got.lines == ["epoch=1 loss=80", "epoch=2 loss=64", "epoch=3 loss=52"]
    assert json.loads((tmp_path / "log").read_text()) == {"observations": [[3, {"loss": 52}]]}


def test_the_shell_example_stops_on_sigterm_and_goes_on_from_its_checkpoint(script: list[str], tmp_path: Path) -> None:
    runs = tmp_path / "runs-1"
    with process(script, PACE="0.05", RUNG_CHECKPOINT_DIR=str(runs), RUNG_RESOURCE_TARGET="1000") as trial:
        while trial.line() != "step=2 checkpoint_step=2":
            pass
        trial.popen.send_signal(signal.SIGTERM)
        first = trial.end()
    assert first.code == 143
    reached = int(first.lines[-1].partition("checkpoint_step=")[2])
    second = ended(script, PACE="0", RUNG_CHECKPOINT_DIR=str(runs), RUNG_RESOURCE_TARGET=str(reached + 9))
    assert [line.split()[0] for line in second.lines[::2]] == [f"step={reached + n}" for n in range(1, 10)]
    third = ended(script, PACE="0", RUNG_CHECKPOINT_DIR=str(runs), RUNG_RESOURCE_TARGET=str(reached + 10))
    assert third.lines[0].startswith(f"step={reached + 10} ")  # not 9, the last in the order of the alphabet


def test_the_shell_example_goes_on_from_the_checkpoint_it_is_given(script: list[str], tmp_path: Path) -> None:
    (tmp_path / "step-1").write_text("80\n")
    clone = ended(script, PACE="0", RUNG_RESUME_FROM=str(tmp_path / "step-1"), RUNG_RESOURCE_TARGET="2")
    assert (clone.code, clone.lines) == (0, ["step=2 loss=64"])
    lost = ended(script, PACE="0", RUNG_RESUME_FROM=str(tmp_path / "step-99"), RUNG_RESOURCE_TARGET="2")
    assert (lost.code, lost.lines) == (1, [])


def test_the_page_says_what_the_callbacks_were_tried_with() -> None:
    pinned = dict(re.findall(r"^(\w+)==(\S+)$", (Path(__file__).parent / "integrations.txt").read_text(), re.MULTILINE))
    table = PAGE.partition("## Frameworks")[2].partition("```")[0]
    for name in ("keras", "lightning", "transformers", "xgboost", "lightgbm"):
        assert pinned[name] in table


def test_the_page_names_every_variable_that_the_sdk_reads() -> None:
    sources = "".join(path.read_text() for path in (TRIAL_IMAGE / "rung_trial").glob("*.py"))
    read = set(re.findall(r'"(RUNG_[A-Z_]+|POD_IP|RANK|OMPI_[A-Z_]+)"', sources))
    assert {"RUNG_TRIAL", "RUNG_METRICS_PORT", "RUNG_CHECKPOINT_KEEP", "RANK"} <= read
    assert {name for name in read if f"`{name}`" not in PAGE} == set()
