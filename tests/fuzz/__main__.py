"""Fuzz the parsers of `rung.observe`. `python -m tests.fuzz [--minutes 10] [--seed 0] [--own] [PARSER …]`

With atheris (libFuzzer for Python, steered by coverage) where it is installed, else, or with --own, by changing seeds at
random. The cost is taken in this process, where nothing counts lines: of what atheris has kept because it reached a new
line, or of every 200th input of our own, repeated up to 1 MiB. What adversaries of our own making cost stands in
`bench.parsers`. An input that breaks a law is written to `fuzz-PARSER-…` (atheris: `crash-…`) in the working directory and
ends the run with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import math
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import inputs
from tests.fuzz.parsers import PARSERS, Parser

TIMES = 3  # an input that seems dearest is measured so often: whatever else the machine does can only add
GROW_EVERY = 200  # a grown input takes as long as some two hundred small ones


@dataclass(slots=True)
class Figures:
    """What a run has seen."""

    executions: int = 0
    slowest: float = 0.0  # milliseconds of CPU per MB
    slowest_input: bytes = b""

    def __str__(self) -> str:
        return f"{self.executions} executions, slowest {self.slowest:.0f} ms/MB on {self.slowest_input[:80]!r}"


def one(parser: Parser, body: bytes, figures: Figures) -> None:
    """Read one input; raises what it broke."""
    figures.executions += 1
    parser.read(body)
    if figures.executions % GROW_EVERY == 1 and body:
        measure(parser, body, figures)


def measure(parser: Parser, body: bytes, figures: Figures) -> None:
    """The cost of the input when it is as long as it can get."""
    grown = parser.grow(body)
    least = math.inf
    for _ in range(TIMES):
        least = min(least, parser.cost(grown))
        if least <= figures.slowest:
            return
    figures.slowest, figures.slowest_input = least, body


def run_own(name: str, seconds: float, seed: int) -> Figures:
    """Seeds changed at random, for so long."""
    parser, figures = PARSERS[name], Figures()
    until = time.monotonic() + seconds
    for body in inputs(parser.seeds, seed):
        if time.monotonic() >= until:
            break
        try:
            one(parser, body, figures)
        except Exception:
            print(f"{name}: broken by {keep(name, body)}", flush=True)
            raise
    return figures


def keep(name: str, body: bytes) -> Path:
    """Write an input down."""
    path = Path(f"fuzz-{name}-{hashlib.sha1(body, usedforsecurity=False).hexdigest()[:12]}")
    path.write_bytes(body)
    return path


def run_atheris(name: str, seconds: float, seed: int) -> Figures:
    """In a process of its own: libFuzzer never returns, and its counting of lines costs time."""
    parser = PARSERS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for i, body in enumerate(parser.seeds):
            Path(corpus, str(i)).write_bytes(body)
        command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(seed), corpus]
        executions = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        figures = Figures(executions)
        for kept in sorted(Path(corpus).iterdir()):
            if body := kept.read_bytes():
                measure(parser, body, figures)
    return figures


def main() -> int:
    """The command."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("parsers", nargs="*", metavar="PARSER", help=f"some of: {', '.join(PARSERS)} (all)")
    command.add_argument("--minutes", type=float, default=10.0, help="for each parser")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--own", action="store_true", help="without atheris")
    given = command.parse_args()
    unknown = sorted(set(given.parsers) - set(PARSERS))
    if unknown:
        command.error(f"no such parser: {', '.join(unknown)}; there are {', '.join(PARSERS)}")
    run = run_own if given.own or importlib.util.find_spec("atheris") is None else run_atheris
    failed = 0
    for name in given.parsers or PARSERS:
        try:
            print(f"{name}: {run(name, given.minutes * 60, given.seed)}", flush=True)
        except Exception:  # noqa: BLE001 - whatever it was, the next parser is read too
            traceback.print_exc()
            failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
