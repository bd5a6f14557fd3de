r"""One line of Prometheus' text format to a series and its value.

    loss 0.5                                     loss{split="va\"l",rank="0"} 0.5 1700000000000
    {"mAP@0.5",split="val"} 0.5                  a quoted name, of text format 1.0.0
    lag_bucket{le="1"} 3 # {trace="9"} 0.4       what OpenMetrics puts behind a number is passed over

Two patterns, possessive throughout: a line costs time linear in its length, some 3 µs for an ordinary one. A page may hold
thousands of lines that bear a wanted name, and `prometheus_client.parser`, which goes letter by letter and copies the rest
of the line at each label, takes up to 450 ms for 1 MB of them; tests hold the two to the same reading.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LABELS: Final = 32  # of one series: Kubernetes' own, which have the most, have some twenty
_TEXT = r'"((?:[^"\\]++|\\.)*+)"'
_TERM = rf"(?:([a-zA-Z_][a-zA-Z0-9_]*+)|{_TEXT})[ \t]*+(?:(=)[ \t]*+{_TEXT}[ \t]*+)?+"
_TERMS = re.compile(_TERM)
_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*+)?+[ \t]*+"
    rf"(?:\{{[ \t]*+(?P<terms>(?:{_TERM}(?:,[ \t]*+|(?=\}}))){{0,{LABELS}}}+)\}}[ \t]*+)?+"
    r"(?P<value>[^\s_#]++)(?:[ \t]++[-+.\w]++)?+[ \t]*+(?:#.*+)?+"
)


@dataclass(frozen=True, slots=True)
class Series:
    """One sample line. Texts are as the page writes them, with their escapes, which have one form: equal if they are."""

    name: str
    labels: Mapping[str, str]
    value: float

    def __str__(self) -> str:
        inner = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{inner}}}" if inner else self.name


def parse_series(line: str) -> Series | None:
    """What a line without its newline says; None for what is no sample: a comment, a torn line, garbage."""
    sample = _SAMPLE.fullmatch(line)
    if sample is None:
        return None
    try:
        value = float(sample["value"])
    except ValueError:
        return None
    terms = _TERMS.findall(sample["terms"] or "")
    labels = {key or quoted: text for key, quoted, sign, text in terms if sign}
    name = sample["name"]
    if len(labels) < len(terms):  # the name is among them, once, or a label stands there twice
        own = [quoted for _, quoted, sign, _ in terms if not sign]
        if name or len(own) != 1 or len(labels) + 1 < len(terms):
            return None
        [name] = own
    return Series(name, labels, value) if name else None
