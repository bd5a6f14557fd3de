"""Plain lines, one per event: for logs of CI jobs, pipes, and terminals without rich.

[  0.4s] trial 0 started: lr=0.001 width=64
[  3.1s] trial 3 stopped at epoch 9: val_loss 0.71 is worse than 0.64, the limit of the best 3 of 9
[  9.8s] trial 4 succeeded: val_loss 0.3021 (best so far) · 5/32
"""

from __future__ import annotations

import sys
from typing import TextIO

from rung.view import wording
from rung.view.events import events
from rung.view.shown import Look, summary

ENDS = {"succeeded", "stopped", "failed", "infeasible"}


class PlainView:
    """Writes lines and never rewrites one. With `quiet` only the last word."""

    def __init__(self, out: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out = out if out is not None else sys.stdout
        self._quiet = quiet
        self._started_at: float | None = None
        self._best: int | None = None
        self._last: Look | None = None

    def note(self, text: str) -> None:
        """One line that is not about a decision."""
        if not self._quiet:
            self._write(text)

    def look(self, look: Look) -> None:
        """The decisions of this round."""
        if self._started_at is None:
            self._started_at = look.now
            self._best = look.trials.incumbent.number if look.trials.incumbent is not None else None
        self._last = look
        if self._quiet:
            return
        done, planned = wording.progress(look.plan, look.trials)
        best = look.trials.incumbent
        told = list(events(look.plan, look.trials, look.decided))
        for kind, text in told:
            more = ""
            if kind in ENDS:
                if best is not None and best.complete and best.number != self._best:
                    own = text.startswith(f"trial {best.number} ")
                    if own or best.runs > 1:  # one of its repeats has made it so
                        more += " (best so far)" if own else f" (trial {best.number} is best so far)"
                        self._best = best.number
                more += f" · {done}/{planned}" if planned is not None else f" · {done}"
            self._write(f"[{wording.time(look.now - self._started_at):>7}] {text}{more}")

    def close(self) -> None:
        """Nothing is left to clear away."""

    def conclude(self) -> None:
        """The last word."""
        if self._last is not None and self._started_at is not None:
            for line in summary(self._last, self._last.now - self._started_at):
                self._write(line)

    def _write(self, text: str) -> None:
        self._out.write("".join(c for c in text if c.isprintable()) + "\n")  # a trial's words are not trusted
        self._out.flush()
