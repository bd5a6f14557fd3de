"""Numbers, times and decisions as people read them."""

from __future__ import annotations

import math

import pytest

from rung.view import wording


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (0.123456, "0.1235"),
        (1234.56, "1235"),
        (12345.6, "1.235e+04"),
        (27.0, "27"),
        (0.0, "0"),
        (1e-7, "1e-07"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (None, "–"),
    ],
)
def test_four_significant_digits(value: float | None, want: str) -> None:
    assert wording.number(value) == want


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (-1.0, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (192, "3m 12s"),
        (3599.6, "1h 00m"),
        (7500, "2h 05m"),
        (360_000, "4d 4h"),
    ],
)
def test_times(seconds: float, want: str) -> None:
    assert wording.time(seconds) == want
