"""How a trial ends: exit codes, SIGTERM, and the termination message."""

from __future__ import annotations

import itertools
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung_trial._said import MESSAGE_BYTES, Said
from rung_trial._trial import number
from tests.trial_image.processes import Ended, ended, free_port, observations, process, python

Row = tuple[float, dict[str, float]]  # step, values

SLEEPY = """
import signal, sys, rung_trial
with rung_trial.start() as trial:
    for step in trial.steps(default={default}):
        trial.report(step=step, loss=1 / step)
        if step == {pause}:
            sys.stdin.read()
    {after}
"""


def stopped(program: str, reports: int, **env: str) -> Ended:
    """A program that gets SIGTERM after so many reports, when it waits for stdin to end."""
    with process(python(program), **env) as trial:
        for _ in range(reports):
            trial.line()
        trial.popen.send_signal(signal.SIGTERM)
        return trial.end()


@pytest.mark.parametrize(
    ("default", "pause", "after", "want"),
    [
        pytest.param(9, 2, "", 143, id="stopped before the target: 143"),
        pytest.param(9, 2, "raise SystemExit(0)", 143, id="leaving by exit(0) is no success then"),
        pytest.param(9, 2, "raise SystemExit(65)", 65, id="what the program says itself stands"),
        pytest.param(9, 2, "1 / 0", 1, id="a crash while stopping is a crash"),
    ],
)
def test_the_exit_code_after_sigterm(default: int, pause: int, after: str, want: int) -> None:
    got = stopped(SLEEPY.format(default=default, pause=pause, after=after), pause)
    assert got.code == want
    assert [r["step"] for r in got.reports] == [1, 2]


@pytest.mark.parametrize(("target", "want"), [("2", 0), ("3", 143)], ids=["reached: all is there", "not reached"])
def test_a_target_that_was_reached_before_sigterm_is_a_success(target: str, want: int) -> None:
    assert stopped(SLEEPY.format(default=9, pause=2, after=""), 2, RUNG_RESOURCE_TARGET=target).code == want


def test_without_the_with_block_finish_exits_with_143() -> None:
    program = """
import signal, sys, rung_trial
rung_trial.start()
rung_trial.report(step=1, loss=1)
sys.stdin.read()
if not rung_trial.should_stop():
    print("not stopped?")
rung_trial.finish()
"""
    assert stopped(program, 1).code == 143


def test_a_handler_that_was_there_before_is_called_too() -> None:
    program = """
import signal, sys, rung_trial
signal.signal(signal.SIGTERM, lambda number, frame: print("mine", number, flush=True))
with rung_trial.start() as trial:
    trial.report(step=1, loss=1)
    sys.stdin.read()
"""
    got = stopped(program, 1)
    assert (got.code, got.lines[1:]) == (143, ["mine 15"])


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        pytest.param("pass", 0, id="normally"),
        pytest.param("1 / 0", 1, id="by an exception"),
        pytest.param("raise SystemExit(rung_trial.BAD_CONFIGURATION)", 78, id="as a bad configuration"),
        pytest.param("raise SystemExit(rung_trial.INFEASIBLE)", 65, id="as infeasible"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", 143, id="by SIGTERM"),
    ],
)
@pytest.mark.parametrize("style", ["with", "plain"])
def test_however_it_ends_the_last_word_is_said(tmp_path: Path, ending: str, code: int, style: str) -> None:
    block = "with rung_trial.start():" if style == "with" else "rung_trial.start()\nif True:"
    program = f"""
import os, signal, rung_trial
{block}
    rung_trial.report(step=1, loss=0.5)
    rung_trial.report(step=2, loss=float("nan"))
    rung_trial.output("model", "here")
    {ending}
rung_trial.finish()
"""
    log = tmp_path / "log"
    got = ended(python(program), RUNG_TERMINATION_LOG=str(log))
    assert got.code == code
    assert json.loads(log.read_bytes()) == {
        "since": 0,
        "observations": [[1, {"loss": 0.5}], [2, {"loss": "NaN"}]],
        "outputs": {"model": "here"},
        "checkpoint_step": None,
        **({"stopping": True} if code == 143 else {}),
    }


def test_the_last_word_is_said_at_sigterm_already_for_a_training_that_never_looks(tmp_path: Path) -> None:
    program = """
import signal, sys, rung_trial
rung_trial.report(step=1, loss=0.5)
sys.stdin.readline()
print("still here", flush=True)
sys.stdin.read()
"""
    log = tmp_path / "log"
    with process(python(program), RUNG_TERMINATION_LOG=str(log)) as trial:
        trial.line()
        trial.popen.send_signal(signal.SIGTERM)
        trial.tell("")
        assert trial.line() == "still here"
        assert json.loads(log.read_bytes())["observations"] == [[1, {"loss": 0.5}]]


@pytest.mark.parametrize(
    ("since", "want"),
    [
        pytest.param(None, [1, 2, 3], id="never asked: all of them"),
        pytest.param(0, [1, 2, 3], id="fetched, but not acknowledged"),
        pytest.param(2, [3], id="acknowledged up to the second"),
        pytest.param(3, [3], id="all acknowledged: the last all the same"),
        pytest.param(99, [3], id="more than there are cannot be acknowledged"),
    ],
)
def test_the_last_word_holds_what_was_not_acknowledged(tmp_path: Path, since: int | None, want: list[int]) -> None:
    log, port = tmp_path / "log", free_port()
    program = """
import rung_trial
with rung_trial.start() as trial:
    for step in trial.steps(default=3):
        trial.report(step=step, loss=0.5)
    input()
"""
    with process(python(program), RUNG_TRIAL="t", RUNG_METRICS_PORT=port, RUNG_TERMINATION_LOG=str(log)) as trial:
        for _ in range(3):
            trial.line()
        if since is not None:
            observations(port, since)
        trial.tell("")
        trial.end()
    words = json.loads(log.read_bytes())
    assert [step for step, _ in words["observations"]] == want
    assert words["since"] == min(since or 0, 3)


def test_a_checkpoint_after_it_does_not_take_the_last_observations_place() -> None:
    said = Said()
    for values in ({"loss": 0.5}, {"loss": 0.25}, {"checkpoint_step": 2}):
        said.add(2, values)
    assert said.page(since=3)["observations"] == []  # asked for, and by that acknowledged
    assert json.loads(said.last_words())["observations"] == [[2, {"loss": 0.25}]]


def test_a_termination_log_that_cannot_be_written_is_one_line_on_stderr(tmp_path: Path) -> None:
    got = ended(
        python("import rung_trial\nwith rung_trial.start() as t: t.report(step=1, a=1)"),
        RUNG_TERMINATION_LOG=str(tmp_path / "nowhere" / "log"),
    )
    assert got.code == 0
    assert "rung_trial: no termination message" in got.stderr


def test_a_second_start_goes_on_counting(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = """
import rung_trial
for fold in range(3):
    with rung_trial.start() as trial:
        trial.report(step=fold, loss=fold)
"""
    ended(python(program), RUNG_TERMINATION_LOG=str(log))
    assert [step for step, _ in json.loads(log.read_bytes())["observations"]] == [0, 1, 2]


def last_words(unread: list[Row], outputs: dict[str, str], checkpoint: float | None) -> bytes:
    """Of somebody who said just that."""
    said = Said()
    for step, values in unread:
        said.add(step, {name: number(name, value) for name, value in values.items()})
    said.outputs = outputs
    if checkpoint is not None:
        said.add(said.step, {"checkpoint_step": checkpoint})
    return said.last_words()


names = st.text(min_size=1, max_size=40).filter(lambda name: name != "checkpoint_step")  # that one says what it says
values = st.dictionaries(names, st.floats(), min_size=1, max_size=30)
rows = st.lists(st.tuples(st.floats(0, 1e6), values), max_size=30)
some_outputs = st.dictionaries(names, st.text(max_size=256), max_size=8)


@given(rows=rows, times=st.integers(1, 60), outputs=some_outputs, checkpoint=st.none() | st.integers(0, 10**6))
def test_the_last_word_always_fits_is_json_and_ends_with_the_last_observation(
    rows: list[Row], times: int, outputs: dict[str, str], checkpoint: int | None
) -> None:
    message = last_words(rows * times, outputs, checkpoint)
    assert len(message) <= MESSAGE_BYTES
    words: dict[str, Any] = json.loads(message)
    assert words["checkpoint_step"] == checkpoint
    told = [(step, said) for step, said in rows * times if said.keys() != {"checkpoint_step"}]
    assert bool(words["observations"]) == bool(told)
    if told:
        assert words["observations"][-1][0] == told[-1][0]
        assert set(words["observations"][-1][1]) <= set(told[-1][1])
    assert len(words["observations"]) <= len(told)


def test_thinning_keeps_the_end_dense_and_the_beginning_sparse() -> None:
    message = last_words([(n, {"val_loss": 1 / (n + 1)}) for n in range(1000)], {"model": "x"}, 999)
    words = json.loads(message)
    steps = [step for step, _ in words["observations"]]
    assert steps == sorted(set(steps))
    assert steps[-40:] == list(range(960, 1000))
    assert len(message) > MESSAGE_BYTES / 2
    assert words["outputs"] == {"model": "x"}
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    assert max(gaps[:10]) > 10


@pytest.mark.parametrize(
    ("unread", "outputs", "want"),
    [
        pytest.param(
            [],
            {},
            {"since": 0, "observations": [], "outputs": {}, "checkpoint_step": None},
            id="nothing was ever said",
        ),
        pytest.param(
            [(1, {"a": 1.0}), (1, {"checkpoint_step": 1.0})],
            {},
            {"since": 0, "observations": [[1, {"a": 1}]], "outputs": {}, "checkpoint_step": 1},
            id="a checkpoint has its own place",
        ),
        pytest.param(
            [(1, {"a": 1.0, "b" * 5000: 2.0})],
            {"model": "x" * 256},
            {"since": 0, "observations": [[1, {"a": 1}]], "outputs": {}, "checkpoint_step": None},
            id="the first metrics of the last observation go before all else",
        ),
    ],
)
def test_last_words(unread: list[Row], outputs: dict[str, str], want: object) -> None:
    assert json.loads(last_words(unread, outputs, None)) == want
