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
# No group that is kept stands in a possessive repetition: CPython 3.11 then may end in a SystemError.
_TEXT = r'"(?:[^"\\]++|\\.)*+"'
_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*+"
_TERM = rf"(?:{_NAME}|{_TEXT})[ \t]*+(?:=[ \t]*+{_TEXT}[ \t]*+)?+"
_SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*+|)[ \t]*+"
    rf"(?:\{{[ \t]*+((?:{_TERM}(?:,[ \t]*+|(?=\}}))){{0,{LABELS}}}+)\}}[ \t]*+)?"
    r"([^\s_#]++)(?:[ \t]++[-+.\w]++)?+[ \t]*+(?:#.*+)?+"
)
_TERMS = re.compile(rf"({_NAME}|{_TEXT})[ \t]*+(?:=[ \t]*+({_TEXT}))?")


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
    name, inner, said = sample.groups()
    try:
        value = float(said)
    except ValueError:
        return None
    terms = _TERMS.findall(inner or "")
    labels = {key[1:-1] if key[0] == '"' else key: text[1:-1] for key, text in terms if text}
    if len(labels) < len(terms):  # the name is among them, once, or a label stands there twice
        own = [key for key, text in terms if not text]
        if name or len(own) != 1 or len(labels) + 1 < len(terms) or own[0][0] != '"':
            return None
        name = own[0][1:-1]
    return Series(name, labels, value) if name else None
