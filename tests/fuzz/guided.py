"""One parser under atheris: libFuzzer's mutations, steered by which lines of `rung.observe` and json an input reaches.

`python -m tests.fuzz.guided PARSER SECONDS SEED`. libFuzzer writes an input that breaks a law to `crash-…` in the working
directory and ends the process. Source: https://github.com/google/atheris.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rung.observe", "json"]):
    from tests.fuzz.__main__ import Figures, one
    from tests.fuzz.parsers import PARSERS


def main(name: str, seconds: float, seed: int) -> None:
    """Fuzz until the time is over; the process ends here."""
    parser, figures = PARSERS[name], Figures()
    until = time.monotonic() + seconds

    def read(body: bytes) -> None:
        one(parser, body, figures)
        if time.monotonic() >= until:
            print(f"{name}: {figures}", flush=True)
            os._exit(0)  # libFuzzer knows no other way to end well

    with tempfile.TemporaryDirectory() as corpus:
        for i, body in enumerate(parser.seeds):
            Path(corpus, str(i)).write_bytes(body)
        arguments = [sys.argv[0], corpus, "-verbosity=0", "-max_len=8192", "-len_control=20", f"-seed={seed + 1}"]
        atheris.Setup(arguments, read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
