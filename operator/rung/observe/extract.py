"""What a study wants to read from its trials, and what was seen instead.

`Wanted` is shared by every parser. It maps what a *source* calls a number (its key: a JSON key, a name on a log line,
a Prometheus series with labels) to what the *study* calls it (the metric). `metrics.extract[].key` sets a key; a
metric without one is its own key. With `line` a log says the metric on such lines alone, while a source without lines
says it by its name; a `quantile` is known to Prometheus pages alone, and elsewhere goes by its metric's name. A
report's step stands under the resource counter's name, or, in a program that never says that name, under `step`, the
word of the SDK and of most loggers. `epoch` is no synonym: a study that counts batches would take every epoch's
summary for batch 1, 2, 3.

`Sightings` is the bounded memory behind the reason `MetricMissing`: which numeric names went by, the last lines, what
was wrong.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rung.api.scalars import number
from rung.observe.template import LineTemplate

if TYPE_CHECKING:
    from rung.api.study import MetricsSpec

STEP = "step"
CHECKPOINT_STEP = "checkpoint_step"
"""Reported by the SDK like a metric: the newest checkpoint that is complete."""

NAMES_KEPT = 32  # more would not fit the one line that a person reads
NAME_LENGTH = 128  # the schema's bound for a metric's name
LINES_KEPT = 5
LINE_LENGTH = 200  # five of them stay below the 1 KiB that a condition's message comfortably holds
PROBLEMS_KEPT = 8
PROBLEM_LENGTH = 300
OUTPUTS_KEPT = 8  # bounds of a Trial's status.outputs
OUTPUT_LENGTH = 256
CHECKPOINTS_KEPT = 1024  # between two looks of the study none of those at its rungs is lost

_WORDS = {
    sign + word: -value if sign == "-" else value
    for word, value in (("nan", math.nan), ("inf", math.inf), ("infinity", math.inf))
    for sign in ("", "+", "-")
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which numbers a study reads, and under which keys a source may say them.

    names      metrics, in the study's words
    counter    the resource counter; None: steps are only counted
    keys       a source's key -> the metrics that it feeds; sorted, so that equal studies read equally
    steps      keys of the step, the counter's own first
    lines      metric (or counter) -> the lines of a log on which alone it stands
    quantiles  key -> (series, q), for keys that mean a quantile of a Prometheus histogram or summary
    """

    names: frozenset[str]
    counter: str | None
    keys: Mapping[str, tuple[str, ...]]
    steps: tuple[str, ...]
    lines: Mapping[str, LineTemplate] = field(default_factory=dict)
    quantiles: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @staticmethod
    def of(spec: MetricsSpec | None, metrics: Iterable[str], counter: str | None = None) -> Wanted:
        """What `metrics` (names that objectives, constraints, the scheduler and expressions need) and `spec` ask for.

        `spec.record` is added. `counter` is `scheduler.resource.metric`, or None without a resource.
        """
        extracts = spec.extract if spec else ()
        extracted = {e.metric: e.key for e in extracts if e.key is not None and e.quantile is None}
        quantiles: dict[str, tuple[str, float]] = {}
        for e in extracts:
            if e.key is not None and e.quantile is not None:
                extracted[e.metric] = key = f"{e.key} quantile {e.quantile}"
                quantiles[key] = (e.key, number(e.quantile))
        names = frozenset(metrics) | frozenset(spec.record if spec else ())
        keys: dict[str, tuple[str, ...]] = {}
        for metric in sorted(names):
            key = extracted.get(metric, metric)
            keys[key] = (*keys.get(key, ()), metric)
            if "{" in key or key in quantiles:  # of Prometheus alone; other sources say the metric's own name
                keys[metric] = (*keys.get(metric, ()), metric)
        own = extracted.get(counter, counter) if counter else None
        steps = (own, STEP) if own and own != STEP else (STEP,)
        read = names | {counter} if counter else names
        lines = {e.metric: LineTemplate.of(e.line) for e in extracts if e.line is not None and e.metric in read}
        return Wanted(names, counter, keys, steps, lines, quantiles)

    def pick(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The wanted ones of `numbers` (by key), under the study's names."""
        found: dict[str, float] = {}
        for key, metrics in self.keys.items():
            value = numbers.get(key)
            if value is not None:
                for metric in metrics:
                    found[metric] = value
        return found


def number_of(value: object) -> float | None:
    """A JSON value as a number: numbers, and the words NaN, Infinity, inf with a sign. None for all else, True and "3"
    too.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str) and len(value) <= 9:  # "-Infinity"
        return _WORDS.get(value.lower())
    return None


def is_step(value: float) -> bool:
    """Steps are finite and at least 0; fractions (an epoch of 0.5) are allowed."""
    return math.isfinite(value) and value >= 0


def did_you_mean(name: str, seen: Iterable[str]) -> str | None:
    """The seen name that is most likely meant by `name`: equal up to case, signs or a prefix, else similar."""
    candidates = list(seen)
    folded = _folded(name)
    for same in candidates:
        if _folded(same) == folded:
            return same
    for longer in candidates:
        if folded and _folded(longer).endswith(folded):
            return longer
    close = get_close_matches(name, candidates, n=1, cutoff=0.75)
    return close[0] if close else None


def _folded(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _cut(text: str, length: int) -> str:
    return _printable(text if len(text) <= length else text[: length - 1] + "…")


def _printable(text: str) -> str:
    """Without control characters and lone surrogates, which no status, terminal or UTF-8 encoder should meet."""
    return (
        text if text.isprintable() else "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in text)
    )


@dataclass(slots=True)
class Sightings:
    """What went by on one trial's sources, for the person who asks why a metric is missing. All of it bounded."""

    names: dict[str, None] = field(default_factory=dict)  # first seen, first kept
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    problems: dict[str, None] = field(default_factory=dict)  # latest last; the oldest give way
    outputs: dict[str, str] = field(default_factory=dict)
    acknowledged: int = 0  # the last word's `since`: the SDK's observations before that one were fetched by somebody
    checkpoint_step: float | None = None
    checkpoints: deque[float] = field(default_factory=lambda: deque(maxlen=CHECKPOINTS_KEPT))  # ascending

    def saw(self, names: Iterable[str]) -> None:
        """Numeric names, wanted or not."""
        if len(self.names) >= NAMES_KEPT:
            return
        for name in names:
            if name not in self.names and len(name) <= NAME_LENGTH:
                self.names[_printable(name)] = None
                if len(self.names) >= NAMES_KEPT:
                    return

    def line(self, text: str) -> None:
        """A line that is not blank."""
        self.lines.append(_cut(text, LINE_LENGTH))

    def problem(self, text: str) -> None:
        """What was wrong, in one line; said again it moves to the end."""
        text = _cut(text, PROBLEM_LENGTH)
        self.problems.pop(text, None)
        self.problems[text] = None
        while len(self.problems) > PROBLEMS_KEPT:
            del self.problems[next(iter(self.problems))]

    def unmatched(self, wanted: Wanted, reported: Collection[str]) -> None:
        """The trial is over: which of the lines that its study describes never came."""
        for metric, line in wanted.lines.items():
            if metric in wanted.names and metric not in reported:
                self.problem(f"for {metric}, no line of the log was like {line.text!r}")

    def output(self, outputs: object) -> None:
        """Facts that are no numbers (a model's URI): the first 8 names, 256 characters each; anything but text is left
        out.
        """
        if not isinstance(outputs, Mapping):
            return
        for name, text in outputs.items():
            if not isinstance(name, str) or not isinstance(text, str) or not 0 < len(name) <= NAME_LENGTH:
                continue
            if name in self.outputs or len(self.outputs) < OUTPUTS_KEPT:
                self.outputs[_printable(name)] = _cut(text, OUTPUT_LENGTH)

    def checkpoint(self, step: float | None) -> None:
        """A checkpoint is complete at `step`. Checkpoints only grow: an older word does not undo a newer one."""
        if step is not None and is_step(step) and (self.checkpoint_step is None or step > self.checkpoint_step):
            self.checkpoint_step = step
            self.checkpoints.append(step)


class StepCounter:
    """Gives each report of one stream its step.

    A report that says the counter stands at that step. In a stream that never says it, a report is one step further
    than the last, where a *report* is a set of different metrics: `loss=0.5` and `accuracy=0.8` on two lines are one
    report, the next `loss=0.4` begins another. In a stream that does say it, what comes without belongs to the step
    that was said last (`Epoch 3/10`, then `loss: 0.4`): counting on from there would turn every line about a batch into
    an epoch.
    """

    def __init__(self, wanted: Wanted, step: float | None = None) -> None:
        """`step`: where an earlier part of the same stream had come to."""
        self._wanted = wanted
        self._said = step is not None
        self._keys = wanted.steps
        self._held: set[str] = set()
        self.step = step

    def said(self, numbers: Mapping[str, float]) -> float | None:
        """The step that the report itself names, sensible or not."""
        for key in self._keys:
            step = numbers.get(key)
            if step is not None:
                if key == self._wanted.steps[0]:
                    self._keys = (key,)  # a program that says `epoch` means something else by `step`
                return step
        return None

    def place(self, said: float | None, values: Mapping[str, float]) -> float | None:
        """The step of a report with these wanted values; None if it has neither a step nor a value.

        Raises ValueError for a negative or non-finite step.
        """
        if said is not None:
            if not is_step(said):
                raise ValueError(f"{self._keys[0]} must be a finite number of at least 0, got {said:g}")
            if said != self.step:
                self._held.clear()
            self._said, self.step = True, said
        elif not values:
            return None
        elif self.step is None or (not self._said and not self._held.isdisjoint(values)):
            self.step = 1.0 if self.step is None else self.step + 1
            self._held.clear()
        self._held.update(values)
        return self.step
