"""Checkpoints named by their step, `step-<n>`: whole or absent, never overwritten.

Written beside under a name that no reader takes for a checkpoint, made durable, then renamed. rename(2) is atomic in
one file system: a trial killed at any moment leaves the old ones and at most one unfinished folder, which the next one
sweeps away.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Callable


class Checkpoint:
    """`with` yields the folder to write into; leaving the block makes it a checkpoint, an exception throws it away."""

    def __init__(self, directory: Path, step: int, keep: int, written: Callable[[int], None]) -> None:
        self.path = directory / f"step-{step:d}"
        self._unfinished = directory / f".unfinished-step-{step:d}"
        self._step, self._keep, self._written = step, keep, written

    def __enter__(self) -> Path:
        for leftover in self.path.parent.glob(".unfinished-*"):
            shutil.rmtree(leftover)
        self._unfinished.mkdir(parents=True)
        return self._unfinished

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is not None or self.path.exists():
            shutil.rmtree(self._unfinished)
        else:
            for folder, _, files in os.walk(self._unfinished):
                for name in [*files, ""]:
                    _make_durable(os.path.join(folder, name))
            self._unfinished.rename(self.path)
            _make_durable(self.path.parent)
        if kind is None:
            self._written(self._step)
            for _, old in complete(self.path.parent)[: -self._keep] if self._keep else []:
                shutil.rmtree(old, ignore_errors=True)


def step_of(path: Path) -> int | None:
    """The step that a checkpoint's name gives, None if it is no checkpoint's name."""
    word, _, digits = path.name.partition("-")
    return int(digits) if word == "step" and digits.isascii() and digits.isdigit() else None


def complete(directory: Path) -> list[tuple[int, Path]]:
    """Step and path of every checkpoint in a directory, by step."""
    found = [(step_of(path), path) for path in directory.glob("step-*")]
    return sorted((step, path) for step, path in found if step is not None)


def _make_durable(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
