"""One parser under atheris: libFuzzer's mutations, steered by which lines of `rung.observe` and json an input reaches.

`python -m tests.fuzz.guided PARSER SECONDS SEED CORPUS`. The folder has the seeds; libFuzzer adds what reached a new line,
writes an input that breaks a law to `crash-…` in the working directory and ends the process. The number of executions is
printed at the end. Source: https://github.com/google/atheris.
"""

from __future__ import annotations

import os
import sys
import time

import atheris

with atheris.instrument_imports(include=["rung.observe", "json"]):
    from tests.fuzz.parsers import PARSERS


def main(name: str, seconds: float, seed: int, corpus: str) -> None:
    """Fuzz until the time is over; the process ends here."""
    parser, executions = PARSERS[name], 0
    until = time.monotonic() + seconds

    def read(body: bytes) -> None:
        nonlocal executions
        executions += 1
        parser.read(body)
        if time.monotonic() >= until:
            print(executions, flush=True)
            os._exit(0)  # libFuzzer knows no other way to end well

    arguments = [sys.argv[0], corpus, "-verbosity=0", "-max_len=8192", "-len_control=20", f"-seed={seed + 1}"]
    atheris.Setup(arguments, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
