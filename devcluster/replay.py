"""What a simulated pod pretends: how long it runs, what it measures, how it ends.

The annotation `rung.dev/simulate` holds a JSON object. All of its fields are optional, and a number may be written as a
string, since placeholders of a Study's template are put into strings:

    seconds       how long the pod runs; by default as long as its curve, or 1
    exit          its exit code, 0
    message       its termination message; by default the last observation, as the trial contract has it
    curve         {"val_loss": [0.9, 0.7, ...]} or {"val_loss": {"start": 1, "end": 0.1, "rate": 0.3}}, the latter being
                  end + (start - end) exp(-rate step)
    steps         how many steps a curve of the second kind has, 27
    stepSeconds   time between two steps, 0.1
    port          where /observations and /metrics answer, 9100
    terminate     exit code after SIGTERM, 143
    linger        seconds from SIGTERM to the end, 0

From the first container's environment it takes RUNG_RESOURCE_TARGET (the curve ends there), RUNG_RESUME_FROM (it begins
after the step that the name ends with), RUNG_RESOURCE_METRIC (the name of the step) and RUNG_TRIAL.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # what a JSON document may hold

from devcluster.names import SIMULATE_ANNOTATION

FORMULA_STEPS = 27
STEP_SECONDS = 0.1
DEFAULT_SECONDS = 1.0
PORT = 9100
AT_ONCE = 1000  # observations in one reply, as the contract says


@dataclass(frozen=True)
class Replay:
    """One pod's script. `steps[i]` with `values[i]` is seen `(i + 1) * step_seconds` after the start."""

    seconds: float
    exit_code: int
    message: str
    steps: tuple[int, ...]
    values: tuple[dict[str, float], ...]
    step_seconds: float
    step_metric: str
    port: int
    trial: str
    terminate_code: int
    linger: float

    @classmethod
    def parse(cls, annotation: str, env: Mapping[str, str]) -> Replay:
        """Read the annotation. Raises ValueError, which says what is wrong with it."""
        try:
            script: dict[str, Any] = json.loads(annotation or "{}")
            curves = {name: _points(curve, script) for name, curve in (script.get("curve") or {}).items()}
            first = _resumed_after(env.get("RUNG_RESUME_FROM", ""))
            last = min((len(points) for points in curves.values()), default=0)
            last = min(last, int(env.get("RUNG_RESOURCE_TARGET") or last))
            steps = tuple(range(first + 1, last + 1))
            step_seconds = float(script.get("stepSeconds", STEP_SECONDS))
            values = tuple({name: points[step - 1] for name, points in curves.items()} for step in steps)
            natural = len(steps) * step_seconds if curves else DEFAULT_SECONDS
            last_word = {"observations": [[steps[-1], values[-1]]]} if steps else None
            return cls(
                seconds=float(script.get("seconds", natural)),
                exit_code=int(script.get("exit", 0)),
                message=str(script.get("message", json.dumps(last_word) if last_word else "")),
                steps=steps,
                values=values,
                step_seconds=step_seconds,
                step_metric=env.get("RUNG_RESOURCE_METRIC") or "step",
                port=int(script.get("port", PORT)),
                trial=env.get("RUNG_TRIAL", ""),
                terminate_code=int(script.get("terminate", 143)),
                linger=float(script.get("linger", 0)),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"annotation {SIMULATE_ANNOTATION}: {error!r} in {annotation[:200]}") from error

    def seen(self, elapsed: float) -> int:
        """How many observations exist `elapsed` seconds after the start."""
        if self.step_seconds <= 0:
            return len(self.steps)
        # A hair more than elapsed: 3 * 0.1 is 0.30000000000000004, and 0.3 / 0.1 is below 3.
        return min(len(self.steps), max(0, int(elapsed / self.step_seconds + 1e-9)))

    def observations(self, since: int, elapsed: float, started: float) -> dict[str, object]:
        """The reply to `GET /observations?since=N`; `started` is the start in Unix seconds."""
        seen = self.seen(elapsed)
        until = min(seen, since + AT_ONCE)
        found = [
            {"n": n, "step": self.steps[n], "time": started + (n + 1) * self.step_seconds, "values": self.values[n]}
            for n in range(min(since, until), until)
        ]
        return {"trial": self.trial, "next": max(until, min(since, seen)), "observations": found, "done": False}

    def metrics(self, elapsed: float) -> str:
        """The reply to `GET /metrics`: the last value of each, in Prometheus' text format."""
        seen = self.seen(elapsed)
        if not seen:
            return ""
        last = {self.step_metric: float(self.steps[seen - 1]), **self.values[seen - 1]}
        return "".join(f"# TYPE {name} gauge\n{name} {value:g}\n" for name, value in last.items())


def _points(curve: object, script: Mapping[str, Any]) -> list[float]:
    if isinstance(curve, list):
        return [float(value) for value in curve]
    if not isinstance(curve, dict):
        raise TypeError(f"a curve is a list or an object, not {curve!r}")
    start, end, rate = (float(curve[key]) for key in ("start", "end", "rate"))
    steps = range(1, int(script.get("steps", FORMULA_STEPS)) + 1)
    return [end + (start - end) * math.exp(-rate * step) for step in steps]


def _resumed_after(name: str) -> int:
    found = re.search(r"step-(\d+)$", name)
    return int(found.group(1)) if found else 0
