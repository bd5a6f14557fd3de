"""`metrics.extract[].line`: a log line as a person would describe it, with holes where the numbers stand.

    valid_1 auc : <value>               text, and one number
    Epoch <step>/<*> - auc: <value>     <step>: the resource counter; <*>: anything, also nothing
    <step> <value>                      nothing but numbers: then it is the whole line

Text is literal, upper and lower case differ, and a run of blanks or tabs stands for any other. The line may go on before
and after; text that begins with a letter or digit begins a word there (`loss` is not the end of `val_loss`), and a number
at the end is whole (not that of `10MB`). Where a line fits several times the last holds, as in the other forms.

Matching is linear in the line. `<*>` cuts a template into parts of text and numbers, and each part is looked for once,
from where the one before it ended: if the first occurrence of a part leaves no room for the rest, a later one leaves no
more. A part is a pattern of our own making without repetitions except within a number; no digit may stand before a hole,
so every number has one beginning and is read once per part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

VALUE: Final = "<value>"
STEP: Final = "<step>"
ANYTHING: Final = "<*>"
# A full stop after the last digit is the sentence's, unlike in rung.observe.forms, so that `<value>.` can be said.
NUMBER: Final = (
    r"[-+]?+(?:\d++(?:\.\d++)?+(?:[eE][-+]?+\d++)?+|\.\d++(?:[eE][-+]?+\d++)?+|(?<!\w)(?i:nan|inf(?:inity)?+)(?!\w))"
)
WHOLE: Final = r"(?!\w|:\d|\.\w|/\D|-\d)"  # not the beginning of a time, version, path, date or unit
_HOLES = re.compile(f"({re.escape(VALUE)}|{re.escape(STEP)})")


class Found(NamedTuple):
    """What a line said. `step` is None where the template has none."""

    value: float
    step: float | None


@dataclass(frozen=True, slots=True)
class LineTemplate:
    """One template, compiled. Equal texts make equal templates."""

    text: str
    hint: str  # the longest text: a line without it cannot fit
    parts: tuple[re.Pattern[str], ...]
    whole: bool  # it has no text at all: the line must be nothing else

    @staticmethod
    def of(text: str) -> LineTemplate:
        """Compile. The schema has seen to it that there is one <value> and at most one <step>."""
        words = " ".join(text.split())
        parts = words.split(ANYTHING)
        texts = [piece.strip() for part in parts for piece in _HOLES.split(part) if piece not in (VALUE, STEP)]
        hint = max(texts, key=len, default="")
        patterns = tuple(
            re.compile(_part(part, first=i == 0, last=i == len(parts) - 1)) for i, part in enumerate(parts) if part
        )
        return LineTemplate(text, hint, patterns, whole=not hint and len(parts) == 1)

    def read(self, line: str) -> Found | None:
        """The last fit on a line. Its blanks must be single ones: `" ".join(line.split())`."""
        if self.hint not in line:
            return None
        if self.whole:
            return self._fit(line)[0]
        last: Found | None = None
        at = 0
        while True:
            found, at = self._fit(line, at)
            if found is None:
                return last
            last = found

    def _fit(self, line: str, at: int = 0) -> tuple[Found | None, int]:
        """The first fit from `at` on, and where it ends."""
        value, step = "", None
        for part in self.parts:
            match = part.fullmatch(line) if self.whole else part.search(line, at)
            if match is None:
                return None, at
            at = match.end()
            groups = match.groupdict()
            value = groups.get("value") or value
            step = groups.get("step") or step
        return Found(float(value), None if step is None else float(step)), at


def _part(text: str, *, first: bool, last: bool) -> str:
    """The pattern of a part between two <*>."""
    pieces = [piece for piece in _HOLES.split(text) if piece]
    pattern = "".join(_piece(piece, at_start=i == 0, first=first) for i, piece in enumerate(pieces))
    return pattern + (WHOLE if last and pieces[-1] in (VALUE, STEP) else "")


def _piece(piece: str, *, at_start: bool, first: bool) -> str:
    if piece in (VALUE, STEP):
        begins = r"(?<![\w.])" if at_start else ""
        return rf"{begins}(?P<{piece.strip('<>')}>{NUMBER})"
    # Looking back over the text, once it is found, keeps the search for it a plain search.
    begins = rf"(?<!\w{re.escape(piece)})" if at_start and first and piece[0].isalnum() else ""
    return re.escape(piece) + begins
