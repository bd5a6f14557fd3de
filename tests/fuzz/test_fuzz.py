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
