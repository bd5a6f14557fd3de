"""Checkpoints named by their step, `step-<n>`: whole or absent, never overwritten.

Written beside under a name that no reader takes for a checkpoint, made durable, then renamed. rename(2) is atomic in
one file system: a trial killed at any moment leaves the old ones and at most one unfinished folder, which the next one
sweeps away.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rung_trial._trial import Trial


@contextmanager
def checkpoint(trial: Trial, step: int) -> Iterator[Path]:
    """`with` yields the folder to write into; leaving the block makes it a checkpoint, an exception throws it away."""
    if not trial.checkpoint_dir:
        raise FileNotFoundError("RUNG_CHECKPOINT_DIR is not set: look at trial.checkpoint_dir before a checkpoint")
    directory = _folder(trial.checkpoint_dir)
    path, unfinished = directory / f"step-{step:d}", directory / f".unfinished-step-{step:d}"
    for leftover in directory.glob(".unfinished-*"):
        shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if not path.exists():
            for folder, _, files in os.walk(unfinished):
                for name in [*files, ""]:
                    _make_durable(os.path.join(folder, name))
            unfinished.rename(path)
            _make_durable(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    trial.report(step=max(step, trial.said.step), checkpoint_step=step)
    for _, old in _complete(directory.glob("*"))[: -trial.keep] if trial.keep else []:
        shutil.rmtree(old, ignore_errors=True)


def resumed(named: str, directory: str) -> tuple[int, Path] | None:
    """Step and path of the checkpoint that is named, else of the latest in the directory, if there is one."""
    if not named and "://" in directory:
        return None  # nobody can list it: whoever knows of a checkpoint there names it
    found = _complete([_folder(named)] if named else Path(directory).glob("*"))
    if named and not found:
        raise FileNotFoundError(f"RUNG_RESUME_FROM must name an existing checkpoint step-<n>, got {named}")
    return found[-1] if found else None


def _folder(where: str) -> Path:
    """Raises ValueError for a URI: a folder of that name would be lost with the pod."""
    if "://" in where:
        raise ValueError(f"{where} is a URI: read and write it with its own client, then report checkpoint_step=<step>")
    return Path(where)


def _complete(paths: Iterable[Path]) -> list[tuple[int, Path]]:
    """Step and path of those that are checkpoints, by step."""
    named = [(re.fullmatch(r"step-([0-9]+)", path.name), path) for path in paths if path.exists()]
    return sorted((int(step[1]), path) for step, path in named if step)


def _make_durable(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
