"""What the common frameworks print is read as a person would read it."""

from __future__ import annotations

import pytest

from rung.api.study import MetricsSpec
from rung.observe.extract import Wanted
from rung.observe.history import History
from rung.observe.lines import LineReader
from tests.observe.frameworks import OUTPUTS, Output


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_the_lines_of(output: Output) -> None:
    reader = LineReader(Wanted.of(MetricsSpec(extract=output.extract), output.metrics, output.counter))
    assert [*reader.feed(output.text), *reader.finish()] == output.want


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_however_its_output_is_cut(output: Output, size: int) -> None:
    reader = LineReader(Wanted.of(MetricsSpec(extract=output.extract), output.metrics, output.counter))
    found = [o for at in range(0, len(output.text), size) for o in reader.feed(output.text[at : at + size])]
    whole, pieces = History(), History()
    whole.add(output.want)
    pieces.add([*found, *reader.finish()])
    assert pieces.observations == whole.observations
