"""A short run of the fuzzer over every parser, the same inputs each time; and the inputs that once broke one."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.fuzz.mutate import inputs
from tests.fuzz.parsers import PARSERS

EXECUTIONS = 250  # half a second each


@pytest.mark.parametrize("name", PARSERS)
def test_bytes_that_nobody_meant_break_no_law(name: str) -> None:
    parser = PARSERS[name]
    for body in islice(inputs(parser.seeds, seed=20), EXECUTIONS):
        parser.read(body)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        pytest.param("prometheus", b'loss{split,"va\\"l"} 0.25', id="a label without a text before a quoted name"),
        pytest.param("logtail", b"x\n" * 40 + b"2026-01-01T02026-01-01T00:00:00Z ", id="a time within a time, torn"),
        pytest.param("lines", b"\x05 loss=1\n[10]\tva:lid/.5]\r 20%\r\n", id="a round on a state that is not read"),
    ],
)
def test_what_once_broke_a_law_does_not_again(name: str, body: bytes) -> None:
    PARSERS[name].read(body)
