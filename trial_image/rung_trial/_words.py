"""How observations are written: strict JSON, Prometheus text, and a termination message that fits."""

from __future__ import annotations

import json
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

    Observation = tuple[int, float, float, dict[str, float]]  # n, step, unix time, values

MESSAGE_BYTES = 4096  # the kubelet's limit for one container's termination message
FITS_AT_MOST = 512  # rows in so many bytes: one takes 8 at least, so more need not be written out to be measured


def plain(value: float) -> float | str:
    """A number as strict JSON has it: whole ones without `.0`, and a word where JSON has no number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def plain_values(values: Mapping[str, float]) -> dict[str, float | str]:
    """`plain` of every value."""
    return {name: plain(value) for name, value in values.items()}


def prometheus_text(values: Mapping[str, float]) -> str:
    """The last value of each metric as a gauge. What Prometheus allows in no name becomes `_`; the first wins."""
    gauges: dict[str, float] = {}
    for name, value in values.items():
        series = "".join(c if c.isascii() and (c.isalnum() or c in "_:") else "_" for c in name)
        gauges.setdefault("_" + series if series[:1].isdigit() else series, value)
    return "".join(f"# TYPE {series} gauge\n{series} {plain(value)}\n" for series, value in gauges.items())


def last_words(unread: Sequence[Observation], outputs: Mapping[str, str], checkpoint_step: int | None) -> bytes:
    """The termination message: JSON `{"observations": [[step, values], …], "outputs": {…}, "checkpoint_step": n}`.

    Too long, it is thinned from the oldest: every second one of the older half goes until it fits, so that the shape of
    the curve and its end survive. The last is always kept; then outputs give way, then that one's own last metrics.
    """
    rows = [
        (plain(step), plain_values(values)) for _, step, _, values in unread if values.keys() != {"checkpoint_step"}
    ]
    outputs = dict(outputs)
    while True:
        if len(rows) <= FITS_AT_MOST:
            words = {"observations": rows, "outputs": outputs, "checkpoint_step": checkpoint_step}
            message = json.dumps(words, separators=(",", ":")).encode()
            if len(message) <= MESSAGE_BYTES:
                return message
        if len(rows) > 1:
            half = len(rows) // 2
            rows[:half] = rows[1:half:2]
        elif outputs:
            outputs.popitem()
        else:
            rows[0][1].popitem()
