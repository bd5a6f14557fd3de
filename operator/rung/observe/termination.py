"""The last word: a container's termination message (4 KiB at most), in any of the forms that a trial may leave it.

    {"since": 26, "observations": [[27, {"val_loss": 0.31}], …], "outputs": {…}, …}  the SDK: what was not read
    {"observations": [{"step": 27, "values": {…}}]}                                  the same, written out
    {"val_loss": 0.31, "epoch": 27}                                                  one bare report
    epoch=27 val_loss=0.31                                                           lines, as in a log

The kubelet cuts a message at 4,096 bytes and, with `FallbackToLogsOnError`, puts the log's tail there: a torn first or
last line is no error. A report without a step belongs to the last step that is known of the trial, since it speaks of
what was reached.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

from rung.api.facts import Observation
from rung.observe.extract import Sightings, StepCounter, Wanted, number_of
from rung.observe.lines import LineReader

MESSAGE_BYTES: Final = 12 * 1024  # the kubelet's limit for a pod; for a container it is 4 KiB


def parse_termination(
    message: str | bytes | None, wanted: Wanted, sightings: Sightings | None = None, *, step: float | None = None
) -> list[Observation]:
    """The observations of a termination message; all else that it says goes into `sightings`.

    `step` is the last known step of the trial. Never raises: a message that says nothing gives nothing.
    """
    sightings = sightings if sightings is not None else Sightings()
    body = (message.encode(errors="replace") if isinstance(message, str) else message or b"")[-MESSAGE_BYTES:]
    document = _object(body)
    reports = document.get("observations") if document else None
    if document is None or not isinstance(reports, list):
        reader = LineReader(wanted, sightings, step=step)
        return [*reader.feed(_one_line(document) if document else body), *reader.finish()]
    steps = StepCounter(wanted, step)
    found: list[Observation] = []
    for report in reports:
        observation = _observation(report, wanted, steps, sightings)
        if observation is not None:
            found.append(observation)
    since = number_of(document.get("since"))
    if since is not None and math.isfinite(since):
        sightings.acknowledged = int(since)
    sightings.output(document.get("outputs"))
    sightings.checkpoint(number_of(document.get("checkpoint_step")))
    return found


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _one_line(document: Mapping[str, object]) -> bytes:
    """A bare report that was printed over several lines."""
    return json.dumps(document, ensure_ascii=False).encode(errors="replace")


def _observation(report: object, wanted: Wanted, steps: StepCounter, sightings: Sightings) -> Observation | None:
    said: object = None
    values: object = None
    match report:
        case [said, values]:
            pass
        case {"values": values, **rest}:
            said = rest.get("step")
    if not isinstance(values, dict):
        sightings.problem("termination message: a report must be [step, {metric: number, …}]; one was left out")
        return None
    numbers = {name: number for name, value in values.items() if (number := number_of(value)) is not None}
    sightings.saw(numbers)
    picked = wanted.pick(numbers)
    try:
        step = steps.place(number_of(said), picked)
    except ValueError as error:
        sightings.problem(f"termination message: a report was left out: {error}")
        return None
    return Observation(step, picked) if picked and step is not None else None
