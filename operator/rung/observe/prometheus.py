"""A Prometheus text page to one observation: what its gauges say now.

Only lines whose series is wanted reach `prometheus_client.parser`; they are found by substring search, so a page of a
million series costs what reading its bytes costs. A wanted key is a series name, or a name with labels
(`loss{split="val"}`), which matches every series that has at least these labels. A bare name prefers the series without
labels; several labelled ones are ambiguous and give no value, only the problem, with their names. A quantile of a
histogram is interpolated in `rung.observe.quantile`, over the buckets of all matching series together; a summary says
its quantiles itself.

The page is a state, not a log. Three rules follow:
- The counter's series (or `<counter>_total`, or `step`) gives the step. If the study has a counter and the page has
  not, the values are of no known step and are left out. Without a counter each *changed* page is one step further.
- Client libraries show a gauge as 0 from its creation on. A series counts from its first value other than 0; else a
  loss of 0 would reach every goal before the first epoch ends. A metric that truly never leaves 0 has to come by the
  SDK or the log.
- A program should set its metrics first and the counter last; a scrape between the two is mended by the next one at
  that step.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4; quoted UTF-8 names of 1.0.0 are
read too).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from rung.api.facts import Observation
from rung.observe.extract import CHECKPOINT_STEP, NAMES_KEPT, Sightings, Wanted, is_step
from rung.observe.quantile import histogram_quantile

SERIES: Final = 64  # parsed per wanted key: one would do, a few more name the ambiguity
BUCKETS: Final = 1024  # parsed per wanted quantile: a histogram has some ten to fifty, for each of a few label sets
LINE_BYTES: Final = 4096  # of one series; Prometheus' own limits on labels stay far below
SCANNED: Final = 2000  # lines looked at for the names of a page that lacks a wanted one
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_RUNTIME = (b"python_", b"process_", b"go_", b"promhttp_", b"node_", b"jvm_", b"scrape_")  # not what a trial measures


@dataclass(frozen=True, slots=True)
class Series:
    """One sample line."""

    name: str
    labels: Mapping[str, str]
    value: float

    def __str__(self) -> str:
        inner = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{inner}}}" if inner else self.name


def parse_series(text: str) -> Iterator[Series]:
    """The samples of exposition text; what the parser cannot read is left out, and hurts no other line."""
    for line in text.split("\n"):
        try:
            for family in text_string_to_metric_families(line + "\n"):
                for sample in family.samples:
                    yield Series(sample.name, sample.labels, float(sample.value))
        except Exception:  # noqa: BLE001, S112 - hostile lines were seen to raise six kinds, OverflowError the last
            continue


class PrometheusReader:
    """Reads the pages of one trial, one after the other."""

    def __init__(self, wanted: Wanted, sightings: Sightings | None = None) -> None:
        self.sightings = sightings if sightings is not None else Sightings()
        self._wanted = wanted
        plain = (key for key in wanted.keys if key not in wanted.quantiles)
        self._selectors = {key: _selector(key) for key in (*plain, *wanted.steps, CHECKPOINT_STEP)}
        self._quantiles = {key: (*_selector(series), q) for key, (series, q) in wanted.quantiles.items()}
        own = wanted.steps[0]
        self._step_keys = (own, f"{own}_total", *wanted.steps[1:])
        self._selectors[f"{own}_total"] = _selector(f"{own}_total")
        self._set: set[str] = set()  # keys that were something other than 0 once
        self._before: dict[str, float] = {}
        self._counted = 0.0

    def read(self, body: bytes) -> list[Observation]:
        """One observation, or none where the page says nothing new or no step."""
        page = b"\n" + body.replace(b"\r\n", b"\n")
        numbers: dict[str, float] = {}
        for key in self._wanted.keys:
            quantile = key in self._quantiles  # known only once something was observed: its 0 is one
            value = self._quantile(page, key) if quantile else self._value(page, key)
            if value is not None and (value or quantile or key in self._set):
                self._set.add(key)
                numbers[key] = value
        values = self._wanted.pick(numbers)
        if values.keys() < self._wanted.names:
            self.sightings.saw(_names(page))
        else:
            self.sightings.saw(numbers)
        self.sightings.checkpoint(self._value(page, CHECKPOINT_STEP))
        if not values:
            return []
        step = self._step(page, values)
        return [] if step is None else [Observation(step, values)]

    def _step(self, page: bytes, values: dict[str, float]) -> float | None:
        for key in self._step_keys:
            step = self._value(page, key)
            if step is not None:
                if is_step(step):
                    return step
                self.sightings.problem(f"{key} must be a finite number of at least 0, got {step:g}")
                return None
        if self._wanted.counter is not None:
            self.sightings.problem(
                f"the page has no series {self._step_keys[0]}, the counter in scheduler.resource.metric: "
                "a value without its step cannot be compared; export the counter as a gauge"
            )
            return None
        if repr(values) != repr(self._before):  # NaN equals NaN here
            self._before = values
            self._counted += 1
        return self._counted

    def _quantile(self, page: bytes, key: str) -> float | None:
        """None while nothing was observed: a quantile of nothing is no fact about the trial."""
        name, labels, q = self._quantiles[key]
        if not name:
            return None
        buckets: dict[float, float] = {}
        for series in self._series(page, f"{name}_bucket", labels, BUCKETS):
            bound = _number(series.labels.get("le", ""))
            if not math.isnan(bound):
                buckets[bound] = buckets.get(bound, 0.0) + series.value
        if buckets:
            value = histogram_quantile(q, buckets)
            return None if math.isnan(value) else value
        said = [s for s in self._series(page, name, labels, BUCKETS) if _number(s.labels.get("quantile", "")) == q]
        if len(said) == 1:
            return None if math.isnan(said[0].value) else said[0].value
        if said:
            self.sightings.problem(f"{key} is ambiguous: the page has {len(said)} summaries; name one by its labels")
        elif self._series(page, name, labels, 1) or self._series(page, f"{name}_count", labels, 1):
            self.sightings.problem(f"{key}: the page has neither buckets nor this quantile of {name}")
        return None

    def _series(self, page: bytes, name: str, labels: Mapping[str, str], limit: int) -> list[Series]:
        lines = _lines(page, name, labels, limit)
        return [s for s in parse_series(lines) if s.name == name and _has(s, labels)]

    def _value(self, page: bytes, key: str) -> float | None:
        name, labels = self._selectors[key]
        if not name:
            return None
        found = self._series(page, name, labels, SERIES)
        exact = [s for s in found if s.labels == labels] or found
        if len(exact) > 1 and len({str(s) for s in exact}) > 1:
            some = ", ".join(str(s) for s in exact[:3]) + (", …" if len(exact) > 3 else "")
            self.sightings.problem(f"{key} is ambiguous: the page has {some}; name one in metrics.extract[].key")
            return None
        return exact[-1].value if exact else None


def _has(series: Series, labels: Mapping[str, str]) -> bool:
    return all(series.labels.get(key) == value for key, value in labels.items())


def _number(text: str) -> float:
    """A label's number; NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _selector(key: str) -> tuple[str, Mapping[str, str]]:
    """Name and labels of a key; an empty name if it can be no series."""
    for series in parse_series(f"{key} 1" if "{" in key or _NAME.fullmatch(key.encode(errors="replace")) else ""):
        return series.name, series.labels
    # No label selector: whatever it is, it can only be a quoted UTF-8 name.
    return (key, {}) if not any(c in key for c in '{}"\\\n') else ("", {})


def _lines(page: bytes, name: str, labels: Mapping[str, str], limit: int) -> str:
    """The page's lines that may be of that series, at most `limit` of them."""
    said = name.encode(errors="replace")
    needles = [_escaped(value) for value in labels.values()]
    found: list[bytes] = []
    starts = (b"\n" + said,) if _NAME.fullmatch(said) else ()
    for start in (*starts, b'\n{"' + said + b'"'):
        at = page.find(start)
        while at >= 0 and len(found) < limit:
            end = page.find(b"\n", at + 1)
            end = len(page) if end < 0 else end
            after = page[at + len(start) : at + len(start) + 1]
            if end - at <= LINE_BYTES and (after in (b"{", b" ", b"\t") or start[1:2] == b"{"):
                line = page[at + 1 : end]
                if all(needle in line for needle in needles):
                    found.append(line)
            at = page.find(start, end)
    return b"\n".join(found).decode(errors="replace")


def _escaped(value: str) -> bytes:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode(errors="replace")


def _names(page: bytes) -> list[str]:
    """Names of a page's series, those of language runtimes left out; enough for a person, never all of a million."""
    names: dict[bytes, None] = {}
    at = 0
    for _ in range(SCANNED):
        found = _NAME.match(page, at + 1)
        if found and not found[0].startswith(_RUNTIME):
            names[found[0]] = None
            if len(names) >= NAMES_KEPT:
                break
        at = page.find(b"\n", at + 1)
        if at < 0:
            break
    return [name.decode() for name in names]
