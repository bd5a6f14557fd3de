"""`rung crds`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rung.api.crds import render_all, stale
from rung.api.errors import RungError

GOOD, STALE = 0, 1


class UnwritableError(RungError):
    """The files cannot be written there."""


def main(given: argparse.Namespace) -> int:
    """Print the definitions, write them, or compare. Raises UnwritableError."""
    if given.check is not None:
        differing = stale(Path(given.check))
        for name in differing:
            print(f"{name} is not what the models say: run rung crds --write {given.check}", file=sys.stderr)
        return STALE if differing else GOOD
    files = render_all()
    if given.write is None:
        print("---\n".join(files.values()), end="")
        return GOOD
    folder = Path(given.write)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnwritableError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return GOOD
