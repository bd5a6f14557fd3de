"""`rung run` as a process of its own, which tests may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rung
from rung.api.study import Study
from rung.api.trial import Trial
from tests.local.conftest import processes_of

PACKAGE = Path(rung.__file__).parents[1]  # the very package that the tests import
TRIAL_IMAGE = Path(__file__).parents[2] / "trial_image"
WITHIN = 60.0  # seconds; nothing here takes more than a few


class Command:
    """A started `rung run --plain`, its lines as they come."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{TRIAL_IMAGE}"}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "rung.cli", "run", "study.yaml", "--plain", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def read(self, count: int) -> None:
        """So many further lines, or all that there are."""
        assert self.popen.stdout is not None
        for _ in range(count):
            line = self.popen.stdout.readline()
            if not line:
                return
            self.lines.append(line)

    def read_until(self, text: str) -> None:
        """Up to the first line that holds the text."""
        while text not in "".join(self.lines[-1:]):
            before = len(self.lines)
            self.read(1)
            assert len(self.lines) > before, f"{text!r} never came: {self.lines}"

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """As nobody can prevent."""
        self.popen.kill()
        self.popen.communicate(timeout=WITHIN)

    def end(self) -> tuple[int, str, str]:
        """Exit code, all of stdout, stderr."""
        out, err = self.popen.communicate(timeout=WITHIN)
        return self.popen.returncode, "".join(self.lines) + out, err


@contextmanager
def command(folder: Path, study: Study, *arguments: str) -> Iterator[Command]:
    """Start it on the study; killed on leaving if it still runs."""
    (folder / "study.yaml").write_text(study.model_dump_json(by_alias=True, exclude_none=True))
    running = Command(folder, *arguments)
    try:
        yield running
    finally:
        if running.popen.poll() is None:
            running.kill()


def state_of(folder: Path, study: Study) -> Path:
    """Where that study keeps its state."""
    return folder / ".rung" / study.metadata.name


def recorded(folder: Path, study: Study) -> list[Trial]:
    """The trials on disk, by number."""
    files = sorted((state_of(folder, study) / "trials").glob("*.json"), key=lambda path: int(path.stem))
    return [Trial.model_validate_json(path.read_text()) for path in files]


def study_document(folder: Path, study: Study) -> Any:
    """study.json."""
    return json.loads((state_of(folder, study) / "study.json").read_text())


def eventually(holds: Callable[[], bool], what: str, *, within: float = WITHIN) -> None:
    """Poll for something that another process brings about."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.02)


def none_left(folder: Path, study: Study) -> bool:
    """No process of the study's trials lives."""
    return processes_of(state_of(folder, study)) == []
