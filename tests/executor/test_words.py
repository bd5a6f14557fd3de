"""The one line that a dying program leaves behind."""

from __future__ import annotations

import pytest

from rung.executor.words import SAID_CHARACTERS, last_words


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("Traceback (most recent call last):\n  File x\nValueError: bad lr\n", "ValueError: bad lr", id="an exception"),
        pytest.param('killed by me\n{"epoch": 1, "loss": 2}\n\n', "killed by me", id="reports say nothing to a person"),
        pytest.param("12%\r50%\rCUDA out of memory", "CUDA out of memory", id="a progress bar"),
        pytest.param("", "", id="silence"),
        pytest.param('{"epoch": 1}', "", id="only reports"),
        pytest.param("a\x1b[31mred", "a?[31mred", id="control characters do not reach a terminal"),
        pytest.param("x" * 999, "x" * SAID_CHARACTERS, id="a long line is cut"),
    ],
)  # fmt: skip
def test_last_words(text: str, want: str) -> None:
    assert last_words(text) == want
