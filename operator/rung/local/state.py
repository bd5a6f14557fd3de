"""What `rung run` knows of a study, on disk: everything a later run needs to go on, readable with a text editor.

    .rung/digits/                   one study
        lock                        held by the run that works on it; says whose it is
        study.yaml                  the file as it was accepted
        study.json                  the Study object with its status, as `kubectl get study -o json` would show it
        trials/7.json               the Trial object, likewise
        attempts/7-1/log            stdout and stderr of attempt 1 of trial 7; an ended trial's stay as trial.keepJobs says
        attempts/7-1/termination    its last word, if it left one
        attempts/7-1/process.json   which process it was
        checkpoints/digits-7/       where the trial keeps its checkpoints, if the study has any

A file is replaced as a whole, by renaming: whoever is killed leaves the old one or the new one. Nothing is flushed to
the platter, since a killed process loses no page that it has written; a power cut may cost the last seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rung.api.errors import RungError
from rung.api.frozen import frozen_changes
from rung.api.study import Study, StudyStatus
from rung.api.trial import Trial

DEFAULT_PARENT = ".rung"


class StateError(RungError):
    """The state directory cannot be used as it is; the text says what to do."""


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """Where the files of one attempt are."""

    path: Path
    number: int
    attempt: int

    @property
    def log(self) -> Path:
        """Its stdout and stderr."""
        return self.path / "log"

    @property
    def termination(self) -> Path:
        """Its last word."""
        return self.path / "termination"

    @property
    def process(self) -> Path:
        """Which process it was."""
        return self.path / "process.json"


class State:
    """The directory of one study, locked from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def attempts(self) -> Path:
        """Holds a folder for each attempt."""
        return self.path / "attempts"

    @property
    def checkpoints(self) -> Path:
        """Holds a folder for each trial that keeps checkpoints."""
        return self.path / "checkpoints"

    def open(self) -> None:
        """Take the lock and make the folders. Raises StateError if another run holds it, or it is somebody else's folder."""
        try:
            if self.path.is_dir() and not (self.path / "lock").exists() and any(self.path.iterdir()):
                raise StateError(f"{self.path} is no state of `rung run`, and not empty: give --state another folder")
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            self._make_folders()
            ignore = self.path.parent / ".gitignore"
            if self.path.parent.name == DEFAULT_PARENT and not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            self.close()
            raise StateError(f"{self.path}: cannot keep the study's state there: {error}") from error

    def clear(self) -> None:
        """Delete what is known of the study, and nothing that is not ours. Raises StateError."""
        try:
            for name in ("trials", "attempts", "checkpoints"):
                if (self.path / name).exists():
                    shutil.rmtree(self.path / name)
            for name in ("study.json", "study.yaml"):
                (self.path / name).unlink(missing_ok=True)
            self._make_folders()
        except OSError as error:
            raise StateError(f"{self.path}: cannot be cleared for --fresh: {error}") from error

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def is_worked_on(self) -> bool:
        """Whether a run holds the lock. Asks without taking it, so that nobody who wants it is turned away."""
        try:
            text = (self.path / "lock").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return False
        word, _, pid = text.strip().partition(" ")
        return word == "pid" and pid.isdecimal() and Path("/proc", pid).exists()

    def study(self) -> Study | None:
        """The study as an earlier run left it; None if there was none. Raises StateError if the file was damaged."""
        text = self._read("study.json")
        if text is None:
            return None
        try:
            return Study.model_validate_json(text)
        except ValueError as error:
            raise self._damaged("study.json", error) from error

    def accept(self, study: Study, text: str) -> StudyStatus | None:
        """Go on with the study, or begin it. Returns the earlier status. Raises StateError where it is another by now."""
        before = self.study()
        if before is not None and any((self.path / "trials").iterdir()):
            changed = frozen_changes(before.spec, study.spec)
            if changed:
                fields = ", ".join(changed)
                raise StateError(
                    f"{self.path} holds trials of this study from when {fields} read differently. Undo the change to"
                    " go on, give the study another metadata.name, or start over with --fresh (deletes the trials)"
                )
        self._write("study.yaml", text)
        return None if before is None else before.status

    def write_study(self, study: Study, status: StudyStatus) -> None:
        """The Study object with its status."""
        self._write("study.json", _json(study.model_copy(update={"status": status})))

    def trials(self) -> Iterator[Trial]:
        """Every recorded trial. Raises StateError for a damaged file."""
        names = [entry.name for entry in os.scandir(self.path / "trials") if entry.name.endswith(".json")]
        for name in sorted(names, key=lambda n: (len(n), n)):
            text = self._read(f"trials/{name}")
            if text is not None:
                try:
                    yield Trial.model_validate_json(text)
                except ValueError as error:
                    raise self._damaged(f"trials/{name}", error) from error

    def write_trial(self, trial: Trial) -> None:
        """Replace the record of a trial."""
        self._write(f"trials/{trial.spec.number}.json", _json(trial))

    def attempt(self, number: int, attempt: int) -> AttemptFolder:
        """Where an attempt's files are, whether it exists or not."""
        return AttemptFolder(self.attempts / f"{number}-{attempt}", number, attempt)

    def forget(self, folder: AttemptFolder) -> None:
        """Remove an attempt's files. None there is no error, nor is one that somebody holds open elsewhere."""
        shutil.rmtree(folder.path, ignore_errors=True)

    def newest_attempts(self) -> dict[int, AttemptFolder]:
        """By trial number, the attempt with the highest number that has left anything."""
        newest: dict[int, AttemptFolder] = {}
        for entry in os.scandir(self.attempts):
            number, _, attempt = entry.name.partition("-")
            if number.isdecimal() and attempt.isdecimal():
                known = newest.get(int(number))
                if known is None or known.attempt < int(attempt):
                    newest[int(number)] = self.attempt(int(number), int(attempt))
        return newest

    def write_process(self, folder: AttemptFolder, facts: Mapping[str, object]) -> None:
        """Which process an attempt is: written once, right after it has started."""
        _replace(folder.process, json.dumps(facts))

    def _read(self, name: str) -> str | None:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{self.path / name}: cannot be read: {error}") from error

    def _write(self, name: str, text: str) -> None:
        try:
            _replace(self.path / name, text)
        except OSError as error:
            raise StateError(f"{self.path / name}: cannot be written: {error}") from error

    def _damaged(self, name: str, error: ValueError) -> StateError:
        first = str(error).splitlines()[0]
        return StateError(
            f"{self.path / name}: is not what `rung run` writes ({first}); mend or delete it, or start over"
            " with --fresh"
        )

    def _locked(self) -> int:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(lock, 200).decode(errors="replace").strip()
            os.close(lock)
            raise StateError(
                f"another `rung run` ({owner or 'unknown'}) works on {self.path}: wait for it, end it, or give"
                " --state DIR"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"pid {os.getpid()}\n".encode())
        return lock

    def _make_folders(self) -> None:
        for name in ("trials", "attempts"):
            (self.path / name).mkdir(exist_ok=True)


def _replace(path: Path, text: str) -> None:
    """The old file or the new one, never a part of one."""
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _json(thing: Study | Trial) -> str:
    return thing.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"
