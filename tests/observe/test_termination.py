"""The last word, in every form that a trial may leave it."""

from __future__ import annotations

import json

import pytest

from rung.api.facts import Observation
from rung.observe.extract import Sightings, Wanted
from rung.observe.termination import parse_termination
from rung_trial._said import Said

WANTED = Wanted.of(None, ("loss", "acc"), "epoch")


@pytest.mark.parametrize(
    ("message", "want"),
    [
        pytest.param(
            '{"observations": [[26, {"loss": 2}], [27, {"loss": 1}]]}',
            [(26, {"loss": 2}), (27, {"loss": 1})],
            id="the SDK's rows",
        ),
        pytest.param(
            '{"observations": [{"step": 27, "values": {"loss": 1}}]}', [(27, {"loss": 1})], id="rows written out"
        ),
        pytest.param('{"observations": [{"values": {"loss": 1}}]}', [(9, {"loss": 1})], id="a row without a step"),
        pytest.param(
            '{"observations": [[-1, {"loss": 1}], 3, [4, 5], [27, {"acc": 1}]]}',
            [(27, {"acc": 1})],
            id="bad rows beside a good one",
        ),
        pytest.param('{"loss": 1, "epoch": 27}', [(27, {"loss": 1})], id="a bare report"),
        pytest.param('{\n  "loss": 1,\n  "epoch": 27\n}', [(27, {"loss": 1})], id="a bare report over several lines"),
        pytest.param("loss=1\nacc=0.5", [(9, {"loss": 1}), (9, {"acc": 0.5})], id="lines at the last known step"),
        pytest.param("epoch=27\nloss=1", [(27, {"loss": 1})], id="lines with the counter"),
        pytest.param(
            '"values": {}]\nTraceback\nepoch=27 loss=1\n{"loss": 2, "ep', [(27, {"loss": 1})], id="a torn log tail"
        ),
        pytest.param("Killed", [], id="words"),
        pytest.param("[1, 2]", [], id="a list"),
        pytest.param("", [], id="nothing"),
        pytest.param(None, [], id="no message"),
    ],
)
def test_the_forms_of_a_last_word(message: str | None, want: list[tuple[float, dict[str, float]]]) -> None:
    assert parse_termination(message, WANTED, step=9) == [Observation(step, values) for step, values in want]


def test_the_sdks_own_last_words_are_understood() -> None:
    said, sightings = Said(), Sightings()
    for step in range(1, 1001):
        said.add(step, {"loss": 1 / step})
    said.add(900, {"checkpoint_step": 900})
    said.outputs, said.stopping = {"model": "s3://m"}, True
    found = parse_termination(said.last_words(), WANTED, sightings)
    assert found[-1] == Observation(1000, {"loss": 0.001})
    assert sightings.outputs == {"model": "s3://m"}
    assert sightings.checkpoint_step == 900


def test_deep_nesting_and_odd_bytes_say_nothing() -> None:
    assert parse_termination(b"[" * 4096, WANTED) == []
    assert parse_termination(b"\xff\x00" * 2048, WANTED) == []
    assert parse_termination(json.dumps({"observations": [[1, {"\ud800": 1}]]}), WANTED) == []
