"""GPUs and cores of this machine: which there are, and who has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rung.local.slots import Slots, cores, gpus


@pytest.mark.parametrize(
    ("environment", "count", "nodes", "want"),
    [
        pytest.param({}, None, [], (), id="a machine without GPUs has none"),
        pytest.param({}, None, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], ("0", "1"), id="/dev shows them"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "3,5"}, None, ["nvidia0"], ("3", "5"), id="the variable has the word"),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, None, ["nvidia0"], (), id="an empty variable hides all"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "-1"}, None, ["nvidia0"], (), id="so does -1"),
        pytest.param(
            {"CUDA_VISIBLE_DEVICES": "GPU-8f,GPU-9a"}, 1, [], ("GPU-8f",), id="an option takes the first ones"
        ),
        pytest.param({}, 2, [], ("0", "1"), id="an option is believed"),
        pytest.param({}, 0, ["nvidia0"], (), id="none is none"),
    ],
)
def test_devices(
    tmp_path: Path, environment: dict[str, str], count: int | None, nodes: list[str], want: tuple[str, ...]
) -> None:
    for node in nodes:
        (tmp_path / node).touch()
    assert gpus(environment, count, folder=tmp_path) == want


def test_every_device_has_one_owner_at_a_time() -> None:
    slots = Slots(("0", "1", "2"))
    assert slots.take("a", 2) == ("0", "1")
    assert slots.take("b", 2) is None
    assert slots.take("c", 1) == ("2",)
    slots.give_back("a")
    assert slots.take("b", 2) == ("0", "1")


def test_cores_are_those_that_this_process_may_use() -> None:
    assert {int(core) for core in cores()} == os.sched_getaffinity(0)


def test_who_wants_none_gets_none_and_a_machine_without_gpus_lets_everybody_start() -> None:
    assert Slots(("0",)).take("a", 0) == ()
    assert Slots(()).take("a", 8) == ()
    assert Slots(()).could_ever_take(8)
    assert not Slots(("0",)).could_ever_take(2)
