"""Learning curves for the simulated body: synthetic families, and curves recorded from real trials.

A curve source answers what a trial would say at the steps 1, 2, … and how long a step takes. It is a pure function of
the assignment and the trial's seed: asked again, or for more steps, it says the same and goes on.

Synthetic curves, for a metric with smaller values better (u: the assignment in the unit cube; t: the step):

    loss(t) = FLOOR + SPREAD * badness(u) + GAP * t**-rate(u), times exp(noise * z_t) with z_t standard normal

    badness   weighted squared distance from a hidden optimum, 0 at it and at most 1; a few dimensions matter most
    rate      the same for all (PowerLaw); or faster the worse an assignment ends (Crossing): early ranks mislead
    NaN       from some step on, where the most important parameter is too far from its optimum: a share `divergence`

A maximised metric says exp(-loss). The first metric has badness of its own; others share half of it, so that several
objectives trade off. Power laws: Domhan et al. 2015, section 3.1 (pow3); crossing: the taxonomy of Mohr & van Rijn
2024, section 3.
"""

from __future__ import annotations

import csv
import json
import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rung.api.errors import RungError
from rung.api.facts import Assignment, Observation

Array = NDArray[np.float64]
Encode = Callable[[Assignment], Array]
Parse = Callable[[Mapping[str, str]], Assignment]


class CurveSource(Protocol):
    """What simulated trials say, and how fast."""

    def curve(self, parameters: Assignment, seed: int, steps: int) -> tuple[Observation, ...]:
        """One observation for each of the steps 1 to `steps`; without values where nothing is said at that step."""

    def seconds_per_step(self, parameters: Assignment, seed: int) -> float:
        """Above 0."""


_NORMAL = NormalDist()


class Family(StrEnum):
    """How curves of different assignments lie to each other."""

    POWER_LAW = "PowerLaw"
    CROSSING = "Crossing"


FLOOR = 0.05  # what the best assignment reaches in the end
SPREAD = 2.0  # the worst ends this much higher
GAP = 2.3  # at the first step: about ln 10, the loss of guessing among ten classes
RATE = 0.8  # after 27 steps of the best assignment a fourteenth of the gap is left


@dataclass(frozen=True, slots=True)
class _Landscape:
    """Where one badness has its optimum, and which dimensions matter. Both (d,)."""

    optimum: Array
    weights: Array  # sum to 1 at the largest possible distance

    @staticmethod
    def drawn(random: np.random.Generator, dimensions: int) -> _Landscape:
        """An optimum well inside the cube; weights fall by half from one dimension to the next, in random order."""
        optimum = random.uniform(0.2, 0.8, dimensions)
        weights = random.permutation(0.5 ** np.arange(dimensions))
        farthest = np.sum(weights * np.maximum(optimum, 1 - optimum) ** 2)
        return _Landscape(optimum, weights / farthest if dimensions else weights)

    def badness(self, point: Array) -> float:
        return float(np.sum(self.weights * (point - self.optimum) ** 2))

    def excess(self, point: Array) -> float:
        """How far out the most important coordinate lies, away from its optimum: uniform in 0 … 1 for random points."""
        if not len(point):
            return 0.0
        most = int(np.argmax(self.weights))
        return float(point[most]) if self.optimum[most] <= 0.5 else 1 - float(point[most])


@dataclass(frozen=True)
class Synthetic:
    """Curves from a formula. `metrics` maps each metric's name to whether it is maximised, the ranked one first."""

    encode: Encode
    metrics: Mapping[str, bool]
    seed: int = 0
    family: Family = Family.POWER_LAW
    noise: float = 0.02  # neighbouring epochs of a small network differ by about 2 %
    divergence: float = 0.0  # share of random assignments; a playbook's wide first round has up to 0.3
    step_seconds: float = 60.0  # of a typical assignment; others differ by a third
    _landscapes: dict[tuple[str, int], _Landscape] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError without a metric, or on a setting that makes no curve."""
        if not self.metrics:
            raise ValueError("synthetic curves need the name of at least one metric")
        if self.noise < 0 or not 0 <= self.divergence <= 1 or self.step_seconds <= 0:
            raise ValueError("noise must be at least 0, divergence between 0 and 1, step_seconds above 0")

    def curve(self, parameters: Assignment, seed: int, steps: int) -> tuple[Observation, ...]:
        """All metrics at the steps 1 to `steps`."""
        names = tuple(self.metrics)
        rows = self.values(parameters, seed, steps).tolist()
        return tuple(Observation(float(t), dict(zip(names, row, strict=True))) for t, row in enumerate(rows, 1))

    def values(self, parameters: Assignment, seed: int, steps: int) -> Array:
        """All metrics, (steps, metrics)."""
        point = np.asarray(self.encode(parameters), dtype=np.float64)
        badness = np.array([self._badness(point, metric) for metric in self.metrics])
        rate = RATE if self.family is Family.POWER_LAW else RATE + 3 * badness  # the good ones cross between 9 and 27
        t = np.arange(1, steps + 1, dtype=np.float64)[:, np.newaxis]
        # One draw, filled step by step: more steps leave those before as they are.
        noise = self._generator("noise", seed, _key(parameters)).standard_normal((steps, len(badness)))
        shown: Array = (FLOOR + SPREAD * badness + GAP * t**-rate) * np.exp(self.noise * noise)
        maximized = np.array(list(self.metrics.values()))
        shown[:, maximized] = np.exp(-shown[:, maximized])
        shown[self._diverges_at(point, steps) :] = math.nan
        return shown

    def seconds_per_step(self, parameters: Assignment, seed: int) -> float:  # noqa: ARG002 - the protocol's signature
        """Of this assignment: log-normal around `step_seconds`, the same for every trial of it."""
        uniform = (zlib.crc32(f"pace {self.seed} {_key(parameters)}".encode()) + 0.5) / 2**32
        return self.step_seconds * math.exp(0.3 * _NORMAL.inv_cdf(uniform))

    def _badness(self, point: Array, metric: str) -> float:
        shared = self._landscape("shared", len(point)).badness(point)
        if metric == next(iter(self.metrics)):
            return shared
        return (shared + self._landscape(metric, len(point)).badness(point)) / 2

    def _diverges_at(self, point: Array, steps: int) -> int:
        """Index of the first NaN: the farther out, the sooner, between the first and the tenth step."""
        excess = self._landscape("shared", len(point)).excess(point) - (1 - self.divergence)
        if not self.divergence or excess <= 0:
            return steps
        return round(9 * (1 - excess / self.divergence))

    def _landscape(self, name: str, dimensions: int) -> _Landscape:
        key = (name, dimensions)
        if key not in self._landscapes:
            self._landscapes[key] = _Landscape.drawn(self._generator(f"landscape {name}"), dimensions)
        return self._landscapes[key]

    def _generator(self, purpose: str, *keys: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode()), *keys])


class CurvesError(RungError):
    """A file of recorded curves that its author has to mend. Says which row and column."""


@dataclass(frozen=True, slots=True)
class RecordedCurve:
    """What one real trial said: values by step, ascending, and its pace."""

    parameters: Mapping[str, str]
    curve: tuple[Observation, ...]
    seconds_per_step: float | None = None


class Recorded:
    """Curves of real trials: an assignment gets the curve of its nearest neighbour in the unit cube.

    Among equally near ones (repeats of an assignment) the trial's seed chooses. Past the end of a recorded curve its
    last values hold, so a trial that was stopped early when it was recorded looks as if it had learned nothing more.
    """

    def __init__(
        self, curves: Iterable[RecordedCurve], *, parse: Parse, encode: Encode, step_seconds: float = 60.0
    ) -> None:
        """`step_seconds` is the pace where none was recorded. Raises CurvesError if there is no curve at all."""
        self._curves = tuple(curves)
        if not self._curves:
            raise CurvesError("there is no recorded curve: give at least one trial with one step")
        self._points = np.stack([np.asarray(encode(parse(c.parameters)), dtype=np.float64) for c in self._curves])
        self._encode = encode
        self._step_seconds = step_seconds

    def __len__(self) -> int:
        return len(self._curves)

    def nearest(self, parameters: Assignment, seed: int) -> RecordedCurve:
        """The recorded trial that stands for this assignment. O(curves * dimensions)."""
        distances = np.sum((self._points - np.asarray(self._encode(parameters))) ** 2, axis=1)
        equally_near = np.flatnonzero(
            distances <= distances.min() + 1e-18
        )  # repeats encode alike to the last bit or two
        return self._curves[int(equally_near[seed % len(equally_near)])]

    def curve(self, parameters: Assignment, seed: int, steps: int) -> tuple[Observation, ...]:
        """At every whole step what was last recorded up to it."""
        recorded = self.nearest(parameters, seed).curve
        found: list[Observation] = []
        known: dict[str, float] = {}
        place = 0
        for step in range(1, steps + 1):
            while place < len(recorded) and recorded[place].step <= step:
                known = {**known, **recorded[place].values}
                place += 1
            found.append(Observation(float(step), known))
        return tuple(found)

    def seconds_per_step(self, parameters: Assignment, seed: int) -> float:
        """As recorded."""
        return self.nearest(parameters, seed).seconds_per_step or self._step_seconds


def read_curves(path: Path, parameters: Collection[str]) -> list[RecordedCurve]:
    """Recorded trials from a .csv or .json file.

    A table (CSV, or a JSON list of flat objects) has a row for each step: the columns `step`, the parameters (empty
    where inactive), any metrics, and optionally `trial` (tells repeats of an assignment apart) and `seconds` (since
    the trial's start). JSON may also hold one object for each trial: {"parameters": {…}, "curve": [{"step": 1,
    "values": {…}}], "secondsPerStep": 2.5}, the form of a Trial's status. Raises CurvesError naming file, row and
    column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CurvesError(f"{path}: cannot be read: {error}") from error
    match path.suffix.lower():
        case ".csv":
            reader = csv.DictReader(text.splitlines(), restkey="")
            return _from_rows(path, reader, frozenset(parameters))
        case ".json":
            return _from_json(path, text, frozenset(parameters))
        case other:
            raise CurvesError(
                f"{path}: curves are read from .csv and .json, not from {other or 'a name without ending'}"
            )


def _from_json(path: Path, text: str, names: frozenset[str]) -> list[RecordedCurve]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CurvesError(f"{path}: is not JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise CurvesError(f"{path}: expected a list of objects, one for each step or one for each trial")
    if found and all("curve" in item for item in found):
        return [_trial(f"{path}: trial {place}", item) for place, item in enumerate(found)]
    return _from_rows(path, found, names)


def _trial(where: str, item: Mapping[str, object]) -> RecordedCurve:
    parameters, points = item.get("parameters"), item["curve"]
    if not isinstance(parameters, dict) or not isinstance(points, list):
        raise CurvesError(f'{where}: expected "parameters" to be an object and "curve" a list')
    curve = []
    for place, point in enumerate(points):
        values = point.get("values") if isinstance(point, dict) else None
        if not isinstance(values, dict):
            raise CurvesError(f'{where}, curve[{place}]: expected an object with "step" and "values"')
        at = f"{where}, curve[{place}]"
        figures = {str(name): _number(value, f"{at}.values.{name}") for name, value in values.items()}
        curve.append(Observation(_step(point.get("step"), f"{at}.step"), figures))
    pace = item.get("secondsPerStep")
    seconds = None if pace is None else _number(pace, f"{where}.secondsPerStep")
    curve.sort(key=lambda observation: observation.step)
    return RecordedCurve({str(n): _cell(v) for n, v in parameters.items() if v is not None}, tuple(curve), seconds)


def _from_rows(path: Path, rows: Iterable[Mapping[str, object]], names: frozenset[str]) -> list[RecordedCurve]:
    curves: dict[tuple[object, ...], list[tuple[Observation, float | None]]] = {}
    assignments: dict[tuple[object, ...], dict[str, str]] = {}
    for row, cells in _numbered(rows):
        where = f"{path}: row {row}"
        if "step" not in cells:
            raise CurvesError(f"{where}: column step is empty or missing; the others are {', '.join(sorted(cells))}")
        parameters = {name: _cell(value) for name, value in cells.items() if name in names}
        key = (str(cells.get("trial", "")), *sorted(parameters.items()))
        values = {
            name: _number(value, f"{where}, column {name}")
            for name, value in cells.items()
            if name not in names and name not in {"step", "trial", "seconds"}
        }
        step = _step(cells["step"], f"{where}, column step")
        seconds = _number(cells["seconds"], f"{where}, column seconds") if "seconds" in cells else None
        assignments[key] = parameters
        curves.setdefault(key, []).append((Observation(step, values), seconds))
    return [_assembled(assignments[key], points) for key, points in curves.items()]


def _assembled(parameters: Mapping[str, str], points: list[tuple[Observation, float | None]]) -> RecordedCurve:
    points.sort(key=lambda point: point[0].step)
    last, seconds = points[-1]
    pace = seconds / last.step if seconds is not None and seconds > 0 and last.step > 0 else None
    return RecordedCurve(parameters, tuple(observation for observation, _ in points), pace)


def _numbered(rows: Iterable[Mapping[str, object]]) -> Iterator[tuple[int, dict[str, object]]]:
    """Rows from 1, without their empty cells and without cells beyond the header (those have an empty name)."""
    for row, cells in enumerate(rows, 1):
        yield row, {name: value for name, value in cells.items() if name and value is not None and value != ""}


def _step(value: object, where: str) -> float:
    step = _number(value, where)
    if not math.isfinite(step) or step < 0:
        raise CurvesError(f"{where}: expected a finite step of at least 0, got {value!r}")
    return step


def _number(value: object, where: str) -> float:
    """NaN and infinities are facts (a diverged loss); words are mistakes."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise CurvesError(f"{where}: expected a number, got {value!r}")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise CurvesError(f"{where}: expected a number, got {value!r}") from error


def _cell(value: object) -> str:
    """A parameter as the API writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _key(parameters: Assignment) -> int:
    """One number for an assignment, whatever the order of its parameters."""
    return zlib.crc32("\n".join(f"{name}={parameters[name]}" for name in sorted(parameters)).encode())
