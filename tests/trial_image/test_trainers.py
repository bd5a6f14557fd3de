"""The trainers that come with the image: they train, diverge honestly, stop, and go on as if nothing had happened."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.trial_image.processes import ended, environment, free_port, get, process, trainer
from trainers.toy import loss_at

SMALL = ("--width=32", "--batch=128")


def test_digits_learns_and_reports_each_epoch() -> None:
    got = ended(trainer("digits", "--width=64", "--epochs=6"), RUNG_RESOURCE_METRIC="epoch")
    assert got.code == 0, got.stderr
    assert [r["epoch"] for r in got.reports] == [1, 2, 3, 4, 5, 6]
    assert got.reports[-1]["val_loss"] < got.reports[0]["val_loss"]
    assert got.reports[-1]["val_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("name", "want"),
    [pytest.param("digits", 27, id="digits trains 27 epochs by itself"), pytest.param("toy", 9, id="toy trains 9")],
)
def test_how_long_a_trainer_trains(name: str, want: int) -> None:
    small = SMALL if name == "digits" else ()
    assert ended(trainer(name, *small)).reports[-1]["step"] == want
    assert ended(trainer(name, *small), RUNG_RESOURCE_TARGET="3").reports[-1]["step"] == 3
    assert ended(trainer(name, *small, "--epochs=2"), RUNG_RESOURCE_TARGET="3").reports[-1]["step"] == 2


def test_the_same_seed_gives_the_same_curve_and_another_does_not() -> None:
    def curve(seed: str) -> list[dict[str, float]]:
        return ended(trainer("digits", *SMALL, "--epochs=2", "--dropout=0.2"), RUNG_SEED=seed).reports

    assert curve("1") == curve("1")
    assert curve("1") != curve("2")


def test_a_setting_that_diverges_reports_nan_and_ends() -> None:
    got = ended(trainer("digits", *SMALL, "--optimizer=sgd", "--lr=100", "--l2=1"))
    assert got.code == 0
    assert got.reports == [{"step": 1, "val_loss": "NaN", "val_accuracy": "NaN"}]
    assert "Warning" not in got.stderr


def test_a_learning_rate_of_one_is_bad_and_says_so() -> None:
    last = ended(trainer("digits", *SMALL, "--lr=1", "--epochs=3")).reports[-1]
    assert last["val_loss"] > 2
    assert last["val_accuracy"] < 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(["digits", "--lr=-1"], id="a learning rate below 0"),
        pytest.param(["digits", "--lr=nan"], id="a learning rate that is no number"),
        pytest.param(["digits", "--optimizer=magic"], id="an unknown optimiser"),
        pytest.param(["digits", "--width=1.5"], id="half a unit"),
        pytest.param(["digits", "--data=/nowhere"], id="no data"),
        pytest.param(["toy", "--unknown=1"], id="an unknown argument"),
    ],
)
def test_what_can_never_work_exits_with_78(wrong: list[str]) -> None:
    got = ended(trainer(*wrong))
    assert (got.code, got.lines) == (78, [])
    assert "error: " in got.stderr


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(["--optimizer=adam", "--dropout=0.3"], id="adam with dropout"),
        pytest.param(["--optimizer=sgd", "--lr=0.05", "--momentum=0.9", "--l2=0.001"], id="sgd with momentum"),
    ],
)
def test_stopped_by_sigterm_and_resumed_equals_never_stopped_bit_by_bit(tmp_path: Path, setting: list[str]) -> None:
    command = trainer("digits", *SMALL, *setting)
    with process(command, RUNG_CHECKPOINT_DIR=str(tmp_path / "a"), RUNG_RESOURCE_TARGET="10000") as trial:
        while json.loads(trial.line()).get("checkpoint_step") != 2:
            pass
        trial.popen.send_signal(signal.SIGTERM)
        first = trial.end()
    assert first.code == 143
    reached = first.reports[-1]["checkpoint_step"]
    target = str(reached + 2)
    second = ended(command, RUNG_CHECKPOINT_DIR=str(tmp_path / "a"), RUNG_RESOURCE_TARGET=target)
    whole = ended(command, RUNG_CHECKPOINT_DIR=str(tmp_path / "b"), RUNG_RESOURCE_TARGET=target)
    assert (second.code, whole.code) == (0, 0)
    assert first.lines + second.lines == whole.lines
    with (
        np.load(tmp_path / "a" / f"step-{target}" / "network.npz") as a,
        np.load(tmp_path / "b" / f"step-{target}" / "network.npz") as b,
    ):
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])


def test_a_clone_with_another_learning_rate_goes_on_from_its_parent(tmp_path: Path) -> None:
    ended(trainer("digits", *SMALL, "--epochs=3"), RUNG_CHECKPOINT_DIR=str(tmp_path / "parent"))
    env = {"RUNG_CHECKPOINT_DIR": str(tmp_path / "clone"), "RUNG_RESUME_FROM": str(tmp_path / "parent" / "step-2")}
    clone = ended(trainer("digits", *SMALL, "--lr=0.0001", "--epochs=3"), **env)
    assert [r["step"] for r in clone.reports] == [3, 3]
    wider = ended(trainer("digits", "--width=16", "--epochs=3"), **env)
    assert wider.code == 1
    assert "another width" in wider.stderr


def test_toy_follows_its_formula_resumes_and_fails_on_request(tmp_path: Path) -> None:
    got = ended(trainer("toy", "--x=0.2", "--y=0.6", "--epochs=3"), RUNG_CHECKPOINT_DIR=str(tmp_path))
    losses = [r["loss"] for r in got.reports if "loss" in r]
    assert losses == pytest.approx([0.02 + math.exp(-0.2 * epoch) for epoch in (1, 2, 3)])
    more = ended(trainer("toy", "--x=0.2", "--y=0.6", "--epochs=4"), RUNG_CHECKPOINT_DIR=str(tmp_path))
    assert [r["step"] for r in more.reports] == [4, 4]
    broken = ended(trainer("toy", "--fail-at=3", "--exit-code=65"))
    assert (broken.code, [r["step"] for r in broken.reports]) == (65, [1, 2])


def test_toys_noise_is_keyed_by_seed_and_epoch() -> None:
    def last(seed: str, *more: str) -> object:
        return ended(trainer("toy", "--noise=0.1", *more), RUNG_SEED=seed).lines[-1]

    assert last("1") == last("1")
    assert last("1") != last("2")


def test_toys_curves_cross() -> None:
    fast, good = {"x": 0.5, "y": 0.7}, {"x": 0.3, "y": 0.7}
    assert loss_at(2, **fast) < loss_at(2, **good)
    assert loss_at(27, **fast) > loss_at(27, **good)


def test_the_plain_printer_prints_pairs() -> None:
    got = ended(trainer("plain_stdout", "--x=0.3", "--epochs=2"))
    assert got.lines == ["epoch=1 val_loss=1", "epoch=2 val_loss=0.5"]


def test_the_plain_server_serves_prometheus_text_and_prints_nothing() -> None:
    port = free_port()
    command = trainer("plain_prometheus", "--x=0.3", "--epochs=2", "--sleep=0", "--linger=60")
    with process(command, RUNG_METRICS_PORT=port, POD_IP="127.7.2.1") as trial:
        deadline = time.monotonic() + 30
        text = ""
        while "epoch 2\n" not in text and time.monotonic() < deadline:
            try:
                text = get(port, "/metrics", "127.7.2.1")[2]
            except OSError:
                assert trial.popen.poll() is None
        assert text == "# TYPE epoch gauge\nepoch 2\n# TYPE val_loss gauge\nval_loss 0.5\n"
        trial.popen.kill()
        assert trial.end().lines == []


def test_what_a_short_trial_may_not_import() -> None:
    """Start-up is what thousands of toy trials pay: these modules cost more than all of the SDK."""
    program = "import sys, trainers.toy, rung_trial; rung_trial.report(step=1, a=1); print(*sys.modules)"
    env = environment({"RUNG_TRIAL": "t", "RUNG_METRICS_PORT": free_port()})
    # -S: an editable install's own hooks import half the standard library.
    got = subprocess.run([sys.executable, "-S", "-c", program], env=env, capture_output=True, text=True, check=True)
    imported = set(got.stdout.split())
    assert "rung_trial._said" in imported
    assert not imported & {"http.server", "logging", "typing", "asyncio", "numpy", "random", "tempfile"}


def test_start_up_times_are_told(record_property: Callable[[str, object], None]) -> None:
    """Printed, not asserted: `pytest -s -k start_up`. Whole processes, one epoch, the quickest of five."""
    for name in ("toy", "digits"):
        took = []
        for _ in range(5):
            began = time.perf_counter()
            got = ended(trainer(name, "--epochs=1"), RUNG_TRIAL="t", RUNG_METRICS_PORT=free_port())
            took.append(time.perf_counter() - began)
            assert got.code == 0
        record_property(f"{name}_seconds", min(took))
        print(f"\n{name}: {min(took) * 1000:.0f} ms from start to end with one epoch")


def test_importing_sklearn_is_not_needed_to_read_its_digits() -> None:
    program = "import sys\nfrom trainers import digits\nd = digits.Digits.load(digits._bundled_data())\n"
    program += "print(len(d.train_x), len(d.held_out_x), 'sklearn' in sys.modules)"
    env = environment({})
    got = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"1437 360 False\n", got.stdout)
