"""A trial's output, chunk by chunk, to observations: bounded in memory, linear in time, whatever the bytes.

Most of a log says nothing that the study wants. A line is read only if one of a few words is in it (a needle: a piece of
a wanted name or of the step's, in any case), which a search through the whole chunk finds at the speed of memory; of the
rest a few are read for the names that a person may have meant, and the last ones are kept as they are. What was read is
counted as `effort`, in lines of ordinary length (some 5 µs each), so that whoever reads many streams can limit it.

A chunk may end anywhere: the half line is kept for the next one. A line above 64 KiB is skipped whole (and said so
once); bytes that are no UTF-8 become U+FFFD; colours are taken off. A carriage return overwrites what stood before it
on a terminal, so of a progress bar's many states only the last counts, except that an earlier state which names the
counter is a report of its own. The forms of a line stand in `rung.observe.forms`, a user's own ones in
`rung.observe.template`; which step a report without the counter belongs to, in `StepCounter`. A JSON line may also
hold `"outputs": {"model": "s3://…"}` (text, no number) and `"checkpoint_step": 9`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from rung.api.facts import Observation
from rung.observe.extract import (
    CHECKPOINT_STEP,
    LINE_LENGTH,
    LINES_KEPT,
    NAMES_KEPT,
    Sightings,
    StepCounter,
    Wanted,
)
from rung.observe.forms import LineForms

LINE_BYTES: Final = 64 * 1024  # the longest line that logging stacks themselves still pass on is 16 KiB
ORDINARY: Final = 40  # characters; a longer line counts as several
DICT_ORDINARY: Final = 20  # of a line that may hold a Python dict, which is read token by token
SCOUTED: Final = 500  # lines without a needle that are read, for the names on them
_LINE = re.compile(rb"[^\r\n]++")
_RETURNS = re.compile(rb"\r++(?:\n|\Z)")
_RUN = re.compile(r"[A-Za-z0-9_]+")
_COLOUR = re.compile(r"\x1b\[[0-9;?]*+[A-Za-z]")


class LineReader:
    """Feed it chunks of one stream; it gives the observations on the lines that ended.

    `sightings` collects names, last lines and problems; `step` is where the stream has come to; `reports` counts
    reports, those without a wanted value too: a trial that says its epoch is not silent.
    """

    def __init__(self, wanted: Wanted, sightings: Sightings | None = None, *, step: float | None = None) -> None:
        self.sightings = sightings if sightings is not None else Sightings()
        self.reports = 0
        self.effort = 0
        self._wanted = wanted
        self._forms = LineForms(wanted)
        self._needles = _needles(wanted)
        self._steps = StepCounter(wanted, step)
        self._half = bytearray()
        self._skipping = False  # in the middle of a line that is too long
        self._scouted = 0

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
            self._end_line(found)
            whole, newline, half = rest.rpartition(b"\n")
            if newline:
                self._read(whole, found)
            self._half += half
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
            self._read(line, found)

    def _shorten(self, found: list[Observation]) -> None:
        """Keep of the half line only what can still matter: the part after the last carriage return, 64 KiB at most."""
        if self._skipping:
            self._half.clear()
            return
        # Returns at the very end may belong to the line's own end.
        overwritten = self._half.rfind(b"\r", 0, len(self._half.rstrip(b"\r")))
        if overwritten >= 0:
            self._read(bytes(self._half[: overwritten + 1]), found, half=True)
            del self._half[: overwritten + 1]
        if len(self._half) > LINE_BYTES:
            self._half.clear()
            self._skipping = True
            self._too_long()

    def _read(self, block: bytes, found: list[Observation], *, half: bool = False) -> None:
        """Whole lines without the last one's newline, or (`half`) the overwritten beginning of one."""
        spans = _all(block) if self._needles is None else _around(block.lower(), self._needles)
        if not half:
            self._scout(block, spans)
        for start in sorted(spans):
            end = spans[start]
            if end - start > LINE_BYTES:
                self._too_long()
            else:
                overwritten = half or (block[end : end + 1] == b"\r" and not _RETURNS.match(block, end))
                self._line(block[start:end], found, overwritten=overwritten)
        if not half:
            self._remember(block)

    def _scout(self, block: bytes, spans: dict[int, int]) -> None:
        """The names on the first lines that are not read. They say no more than that: not every such line is seen."""
        if self._scouted >= SCOUTED or len(self.sightings.names) >= NAMES_KEPT:
            return
        some = _all(block, SCOUTED - self._scouted)
        self._scouted += len(some)
        for start, end in some.items():
            if start not in spans and end - start <= LINE_BYTES:
                self.sightings.saw(self._numbers(_text(block[start:end]))[0])

    def _numbers(self, text: str) -> tuple[dict[str, float], Mapping[str, object]]:
        numbers, document = self._forms.read(text)
        self.effort += 1 + len(text) // (ORDINARY if document or "{" not in text else DICT_ORDINARY)
        return numbers, document

    def _remember(self, block: bytes) -> None:
        """The last lines, of what a terminal would still show."""
        last: list[bytes] = []
        end = len(block)
        while len(last) < LINES_KEPT:
            end = len(block[:end].rstrip())
            if not end:
                break
            start = max(block.rfind(b"\n", 0, end), block.rfind(b"\r", 0, end)) + 1
            last.append(block[start:end][: 4 * LINE_LENGTH])
            end = max(block.rfind(b"\n", 0, start), 0)
        for line in reversed(last):
            text = _text(line)
            if text:
                self.sightings.line(text)

    def _line(self, raw: bytes, found: list[Observation], *, overwritten: bool) -> None:
        text = _text(raw)
        if not text:
            self.effort += 1
            return
        numbers, document = self._numbers(text)
        described = self._described(text, numbers) if self._wanted.lines else {}
        said = self._steps.said(numbers) if numbers else None
        if overwritten and said is None:
            return
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


def _text(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return _COLOUR.sub("", text).strip() if "\x1b" in text else text


def _needles(wanted: Wanted) -> tuple[bytes, ...] | None:
    """Words in lower case, of which every line that may say something holds one; None if no such words are known."""
    needles: set[bytes] = set()
    for key in (*wanted.keys.keys() - wanted.quantiles.keys(), *wanted.steps, "outputs"):
        run = max(_RUN.findall(key), key=len, default="")
        needles |= {run.encode()} if run else {key.encode(errors="replace"), json.dumps(key)[1:-1].encode()}
    for line in wanted.lines.values():
        if not line.hint:
            return None
        needles.add(max(line.hint.split(), key=len).encode(errors="replace"))
    lower = {needle.lower() for needle in needles}
    return tuple(sorted(n for n in lower if not any(m != n and m in n for m in lower)))


def _around(block: bytes, needles: tuple[bytes, ...]) -> dict[int, int]:
    """The lines, or states of a line, that hold a needle: where they start and where they end. One pass per needle."""
    returns = b"\r" in block
    spans: dict[int, int] = {}
    for needle in needles:
        line = line_end = before = 0  # the line's bounds; up to where its start was looked for
        at = block.find(needle)
        while at >= 0:
            if at >= line_end:
                line = block.rfind(b"\n", before, at) + 1 or line
                line_end = _find(block, b"\n", at, len(block))
                before = at
            start, end = line, line_end
            if returns:
                start = max(line, block.rfind(b"\r", line, at) + 1)
                end = _find(block, b"\r", at, line_end)
            spans[start] = end
            at = block.find(needle, end)
    return spans


def _find(block: bytes, mark: bytes, start: int, end: int) -> int:
    """Where the mark stands, else `end`."""
    at = block.find(mark, start, end)
    return end if at < 0 else at


def _all(block: bytes, count: int | None = None) -> dict[int, int]:
    """All lines and states that are not empty, or the first ones."""
    spans: dict[int, int] = {}
    for line in _LINE.finditer(block):
        spans[line.start()] = line.end()
        if len(spans) == count:
            break
    return spans
