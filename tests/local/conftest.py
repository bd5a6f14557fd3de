"""Studies on this machine: states in a temporary folder, and nothing left running afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.view.shown import Look


class Recorder:
    """A watcher that keeps what it is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.looks: list[Look] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def look(self, look: Look) -> None:
        self.looks.append(look)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def state_directory(tmp_path: Path) -> Iterator[Path]:
    """The state directory of one study; a test that leaves a process of it behind fails."""
    path = tmp_path / "state"
    yield path
    assert processes_of(path) == []


def processes_of(state: Path) -> list[int]:
    """Processes whose environment names that state directory."""
    mark = f"RUNG_TERMINATION_LOG={state}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
