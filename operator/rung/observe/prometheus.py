"""A Prometheus text page to one observation: what its gauges say now.

Only lines whose series is wanted are parsed (`rung.observe.exposition`), and a few dozen of each; they are found by a
search that begins with fixed text, so a page of a million series costs what reading its bytes costs. A wanted key is
a series name, or a name with labels (`loss{split="val"}`), which matches every series that has at least these labels.
A bare name prefers the series without labels; several labelled ones are ambiguous and give no value, only the problem,
with their names. A quantile of a histogram is interpolated in `rung.observe.quantile`, over the buckets of all matching
series together; a summary says its quantiles itself.

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
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from rung.api.facts import Observation
from rung.observe.exposition import Series, parse_series
from rung.observe.extract import CHECKPOINT_STEP, NAMES_KEPT, Sightings, Wanted, is_step
from rung.observe.quantile import histogram_quantile

SERIES: Final = 32  # parsed per wanted key: one would do, a few more name the ambiguity
BUCKETS: Final = 512  # parsed per wanted quantile: a histogram has some ten to fifty, for each of a few label sets
LINE_BYTES: Final = 2048  # of one series: twenty labels of Kubernetes' longest names
SCANNED: Final = 2000  # lines looked at for the names of a page that lacks a wanted one
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_RUNTIME = (b"python_", b"process_", b"go_", b"promhttp_", b"node_", b"jvm_", b"scrape_")  # not what a trial measures


@dataclass(frozen=True, slots=True)
class _Page:
    """Every line begins after a newline, the first one too. `quoted`: some begin with a quoted name, which few pages have."""

    text: bytes
    quoted: bool
    found: dict[tuple[re.Pattern[bytes], int], list[Series]] = field(
        default_factory=dict
    )  # one histogram, ten quantiles

    @staticmethod
    def of(body: bytes) -> _Page:
        text = b"\n" + body.replace(b"\r\n", b"\n")
        return _Page(text, b'\n{"' in text)


@dataclass(frozen=True, slots=True)
class _Selector:
    """A series by its name and the labels that it must have; `plain` and `quoted` find the lines that may say it.

    They begin with fixed text, which a search finds at the speed of memory, and ask for the labels' values before Python
    sees the line: a page may have a hundred thousand lines of the right name. `plain` is None for a name that has to be
    quoted.
    """

    name: str
    labels: Mapping[str, str]
    plain: re.Pattern[bytes] | None
    quoted: re.Pattern[bytes]

    @staticmethod
    def of(name: str, labels: Mapping[str, str]) -> _Selector:
        said = name.encode(errors="replace")
        word = re.escape(said)
        values = (re.escape(value.encode(errors="replace")) for value in labels.values())
        asked = b"".join(rb'(?=[^\n]*=[ \t]*+"%b")' % value for value in values)
        line = asked + rb"(?=[^\n]{0,%d}+(?:\n|\Z))[^\n]*+" % LINE_BYTES
        follows = rb"(?=[ \t]*+\{)" if labels else rb"(?=[{ \t])"
        plain = re.compile(rb"\n(%b%b%b)" % (word, follows, line)) if _NAME.fullmatch(said) else None
        return _Selector(name, labels, plain, re.compile(rb'\n(\{"%b"%b)' % (word, line)))

    def series(self, page: _Page, limit: int) -> list[Series]:
        """Those of a page, of the first `limit` lines that look alike."""
        key = (self.quoted, limit)
        if key not in page.found:
            patterns = (self.plain, self.quoted if page.quoted else None)
            lines = (line[1] for pattern in patterns if pattern for line in pattern.finditer(page.text))
            parsed = (parse_series(line.decode(errors="replace")) for line in islice(lines, limit))
            page.found[key] = [
                s for s in parsed if s and s.name == self.name and self.labels.items() <= s.labels.items()
            ]
        return page.found[key]


@dataclass(frozen=True, slots=True)
class _Quantile:
    """The series that may say one."""

    q: float
    bucket: _Selector
    summary: _Selector
    count: _Selector

    @staticmethod
    def of(key: str, q: float) -> _Quantile | None:
        series = _selector(key)
        if series is None:
            return None
        bucket, count = (_Selector.of(f"{series.name}_{part}", series.labels) for part in ("bucket", "count"))
        return _Quantile(q, bucket, series, count)


class PrometheusReader:
    """Reads the pages of one trial, one after the other."""

    def __init__(self, wanted: Wanted, sightings: Sightings | None = None) -> None:
        self.sightings = sightings if sightings is not None else Sightings()
        self._wanted = wanted
        own = wanted.steps[0]
        self._step_keys = (own, f"{own}_total", *wanted.steps[1:])
        plain = (key for key in wanted.keys if key not in wanted.quantiles)
        self._selectors = {key: _selector(key) for key in (*plain, *self._step_keys, CHECKPOINT_STEP)}
        self._quantiles = {key: _Quantile.of(series, q) for key, (series, q) in wanted.quantiles.items()}
        self._set: set[str] = set()  # keys that were something other than 0 once
        self._before: dict[str, float] = {}
        self._counted = 0.0

    def read(self, body: bytes) -> list[Observation]:
        """One observation, or none where the page says nothing new or no step."""
        page = _Page.of(body)
        numbers: dict[str, float] = {}
        for key in self._wanted.keys:
            quantile = key in self._quantiles  # known only once something was observed: its 0 is one
            value = self._quantile(page, key) if quantile else self._value(page, key)
            if value is not None and (value or quantile or key in self._set):
                self._set.add(key)
                numbers[key] = value
        values = self._wanted.pick(numbers)
        if values.keys() < self._wanted.names:
            self.sightings.saw(_names(page.text))
        else:
            self.sightings.saw(numbers)
        self.sightings.checkpoint(self._value(page, CHECKPOINT_STEP))
        if not values:
            return []
        step = self._step(page, values)
        return [] if step is None else [Observation(step, values)]

    def _step(self, page: _Page, values: dict[str, float]) -> float | None:
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

    def _quantile(self, page: _Page, key: str) -> float | None:
        """None while nothing was observed: a quantile of nothing is no fact about the trial."""
        quantile = self._quantiles[key]
        if quantile is None:
            return None
        buckets: dict[float, float] = {}
        lines = quantile.bucket.series(page, BUCKETS)
        if len(lines) == BUCKETS:
            self.sightings.problem(f"{key}: the page has more than {BUCKETS} buckets; choose some by their labels")
            return None
        for series in lines:
            bound = _number(series.labels.get("le", ""))
            if not math.isnan(bound):
                buckets[bound] = buckets.get(bound, 0.0) + series.value
        if buckets:
            value = histogram_quantile(quantile.q, buckets)
            return None if math.isnan(value) else value
        alike = quantile.summary.series(page, BUCKETS)
        said = [s for s in alike if _number(s.labels.get("quantile", "")) == quantile.q]
        if len(said) == 1:
            return None if math.isnan(said[0].value) else said[0].value
        if said:
            self.sightings.problem(f"{key} is ambiguous: the page has {len(said)} summaries; name one by its labels")
        elif alike or quantile.count.series(page, 1):
            self.sightings.problem(f"{key}: the page has neither buckets nor this quantile of {quantile.summary.name}")
        return None

    def _value(self, page: _Page, key: str) -> float | None:
        selector = self._selectors[key]
        if selector is None:
            return None
        found = selector.series(page, SERIES)
        exact = [s for s in found if s.labels == selector.labels] or found
        if len(exact) > 1 and len({str(s) for s in exact}) > 1:
            some = ", ".join(str(s) for s in exact[:3]) + (", …" if len(exact) > 3 else "")
            self.sightings.problem(f"{key} is ambiguous: the page has {some}; name one in metrics.extract[].key")
            return None
        return exact[-1].value if exact else None


def _number(text: str) -> float:
    """A label's number; NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _selector(key: str) -> _Selector | None:
    """Name and labels of a key; None if it can be no series."""
    series = parse_series(f"{key} 1")
    if series is not None:
        return _Selector.of(series.name, series.labels)
    # No label selector: whatever it is, it can only be a quoted UTF-8 name.
    return _Selector.of(key, {}) if not any(c in key for c in '{}"\\\n') else None


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
