"""`rung run` as a process of its own, which tests may kill."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rung.api.study import Study
from rung.api.trial import Trial
from tests.forked import rung_command
from tests.local.conftest import processes_of

WITHIN = 60.0  # seconds; nothing here takes more than a few


class Command:
    """A started `rung run --plain`, its lines as they come."""

    def __init__(self, folder: Path, *arguments: str, fresh: bool) -> None:
        reading, out = os.pipe()
        self._out = os.fdopen(reading)
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        try:
            given = ["run", "study.yaml", "--plain", *arguments]
            self.process = rung_command(given, folder, out, self._err.fileno(), fresh=fresh)
        finally:
            os.close(out)
        self.lines: list[str] = []

    def read(self, count: int) -> None:
        """So many further lines, or all that there are."""
        for _ in range(count):
            line = self._out.readline()
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
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """As nobody can prevent."""
        self.process.kill()
        self.process.wait(WITHIN)

    def end(self) -> tuple[int, str, str]:
        """Exit code, all of stdout, stderr. What a pipe holds is more than a run of a test writes."""
        code = self.process.wait(WITHIN)
        self._err.seek(0)
        return code, "".join(self.lines) + self._out.read(), self._err.read()

    def close(self) -> None:
        """Killed if it still runs; its output goes."""
        if self.process.poll() is None:
            self.kill()
        self._out.close()
        self._err.close()


@contextmanager
def command(folder: Path, study: Study, *arguments: str, fresh: bool = False) -> Iterator[Command]:
    """Start it on the study; killed on leaving if it still runs. `fresh`: as an interpreter of its own, not as a fork."""
    (folder / "study.yaml").write_text(study.model_dump_json(by_alias=True, exclude_none=True))
    running = Command(folder, *arguments, fresh=fresh)
    try:
        yield running
    finally:
        running.close()


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
