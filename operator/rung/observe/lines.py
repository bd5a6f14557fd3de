"""A trial's output, chunk by chunk, to observations: bounded in memory, linear in time, whatever the bytes.

A chunk may end anywhere: the half line is kept for the next one. A line above 64 KiB is skipped whole (and said so
once); bytes that are no UTF-8 become U+FFFD; colours are taken off. A carriage return overwrites what stood before it
on a terminal, so of a progress bar's many states only the last counts, except that an earlier state which names the
counter is a report of its own. The forms of a line stand in `rung.observe.forms`, a user's own ones in
`rung.observe.template`; which step a report without the counter belongs to, in `StepCounter`. A JSON line may also
hold `"outputs": {"model": "s3://…"}` (text, no number) and `"checkpoint_step": 9`.
"""

from __future__ import annotations

import re
from typing import Final

from rung.api.facts import Observation
from rung.observe.extract import CHECKPOINT_STEP, Sightings, StepCounter, Wanted
from rung.observe.forms import LineForms

LINE_BYTES: Final = 64 * 1024  # the longest line that logging stacks themselves still pass on is 16 KiB
_COLOUR = re.compile(r"\x1b\[[0-9;?]*+[A-Za-z]")


class LineReader:
    """Feed it chunks of one stream; it gives the observations on the lines that ended.

    `sightings` collects names, last lines and problems; `step` is where the stream has come to; `reports` counts
    reports, those without a wanted value too: a trial that says its epoch is not silent.
    """

    def __init__(self, wanted: Wanted, sightings: Sightings | None = None, *, step: float | None = None) -> None:
        self.sightings = sightings if sightings is not None else Sightings()
        self.reports = 0
        self._wanted = wanted
        self._forms = LineForms(wanted)
        self._steps = StepCounter(wanted, step)
        self._half = bytearray()
        self._skipping = False  # in the middle of a line that is too long

    @property
    def step(self) -> float | None:
        """Of the last report."""
        return self._steps.step

    def feed(self, chunk: bytes) -> list[Observation]:
        """The observations on the lines that `chunk` completes."""
        found: list[Observation] = []
        first, newline, rest = chunk.partition(b"\n")
        self._half += first
        if newline:
            lines = rest.split(b"\n")
            self._end_line(found)
            for line in lines[:-1]:
                self._whole(line, found)
            self._half += lines[-1]
        self._shorten(found)
        return found

    def finish(self) -> list[Observation]:
        """The observation on the last line, which no newline ended. The stream is over."""
        found: list[Observation] = []
        self._end_line(found)
        return found

    def _end_line(self, found: list[Observation]) -> None:
        line = bytes(self._half)
        self._half.clear()
        if self._skipping:
            self._skipping = False
        else:
            self._whole(line, found)

    def _shorten(self, found: list[Observation]) -> None:
        """Keep of the half line only what can still matter: the part after the last carriage return, 64 KiB at most."""
        if self._skipping:
            self._half.clear()
            return
        overwritten = self._half.rfind(b"\r", 0, -1)  # a return at the very end may be half of a \r\n
        if overwritten >= 0:
            for state in bytes(self._half[:overwritten]).split(b"\r"):
                self._line(state, found, overwritten=True)
            del self._half[: overwritten + 1]
        if len(self._half) > LINE_BYTES:
            self._half.clear()
            self._skipping = True
            self._too_long()

    def _whole(self, line: bytes, found: list[Observation]) -> None:
        if b"\r" in line:
            *states, line = line.rstrip(b"\r").split(b"\r")
            for state in states:
                self._line(state, found, overwritten=True)
        self._line(line, found, overwritten=False)

    def _line(self, raw: bytes, found: list[Observation], *, overwritten: bool) -> None:
        if len(raw) > LINE_BYTES:
            self._too_long()
            return
        text = raw.decode(errors="replace").strip()
        if "\x1b" in text:
            text = _COLOUR.sub("", text)
        if not text:
            return
        numbers, document = self._forms.read(text)
        described = self._described(text, numbers) if self._wanted.lines else {}
        said = self._steps.said(numbers) if numbers else None
        if overwritten and said is None:
            return
        if not overwritten:
            self.sightings.line(text)
        if document:
            self.sightings.output(document.get("outputs"))
        if not numbers and not described:
            return
        self.sightings.saw(numbers)
        self.sightings.checkpoint(numbers.get(CHECKPOINT_STEP))
        values = self._wanted.pick(numbers)
        if self._wanted.lines:
            values = {name: value for name, value in values.items() if name not in self._wanted.lines} | described
        try:
            step = self._steps.place(said, values)
        except ValueError as error:
            self.sightings.problem(f"a report in the log was left out: {error}")
            return
        if step is None:
            return
        self.reports += 1
        if values:
            found.append(Observation(step, values))

    def _described(self, text: str, numbers: dict[str, float]) -> dict[str, float]:
        """The values on lines that the user has described; the step that they say is put in place in `numbers`."""
        lines, counter = self._wanted.lines, self._wanted.counter
        if counter in lines:  # said on such lines alone
            for key in self._wanted.steps:
                numbers.pop(key, None)
        single_blanks = " ".join(text.split())
        values: dict[str, float] = {}
        for metric, line in lines.items():
            found = line.read(single_blanks)
            if found is None:
                continue
            if metric == counter:
                numbers[self._wanted.steps[0]] = found.value
                continue
            values[metric] = found.value
            if found.step is not None:
                numbers[self._wanted.steps[0]] = found.step
        return values

    def _too_long(self) -> None:
        self.sightings.problem(f"a line of the log above {LINE_BYTES // 1024} KiB was skipped")
