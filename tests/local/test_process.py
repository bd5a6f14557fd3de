"""One attempt as a process: how it starts, how it ends, and that nothing of it stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rung.api.facts import AttemptEnd
from rung.local.guard import group_lives
from rung.local.process import CannotStartError, Launch, Process

WITHIN = 20.0


def launch(folder: Path, *arguments: str, grace: float = 5.0, directory: Path | None = None) -> Launch:
    return Launch(arguments, {"PATH": os.environ["PATH"]}, directory, folder / "log", grace)


def shell(folder: Path, script: str, *, grace: float = 5.0) -> Process:
    return Process.start(launch(folder, "/bin/sh", "-c", script, grace=grace))


def wait(process: Process) -> None:
    deadline = time.monotonic() + WITHIN
    while not process.ended():
        assert time.monotonic() < deadline, "the process does not end"
        time.sleep(0.005)
    process.close()


def group_ends(process: Process) -> None:
    """The kernel ends a group's members one by one: the last may need a moment longer than the first."""
    deadline = time.monotonic() + WITHIN
    while group_lives(process.pid):
        assert time.monotonic() < deadline, "the group lives on"
        time.sleep(0.005)


def log_says(folder: Path, text: str) -> None:
    deadline = time.monotonic() + WITHIN
    while text not in (folder / "log").read_text():
        assert time.monotonic() < deadline, f"{text!r} never came"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("script", "end", "code", "said"),
    [
        pytest.param("exit 0", AttemptEnd.COMPLETED, 0, "exit code 0", id="0 is done"),
        pytest.param("exit 1", AttemptEnd.CRASHED, 1, "exit code 1", id="1 is a crash"),
        pytest.param("exit 78", AttemptEnd.BAD_CONFIGURATION, 78, "configuration", id="78 is a bad configuration"),
        pytest.param("exit 143", AttemptEnd.DISRUPTED, 143, "SIGTERM", id="143 is a disruption"),
        pytest.param("kill -TERM $$", AttemptEnd.DISRUPTED, 143, "SIGTERM", id="SIGTERM by somebody is one too"),
        pytest.param("kill -SEGV $$", AttemptEnd.CRASHED, 139, "SIGSEGV", id="a segmentation fault is a crash"),
        pytest.param(
            "kill -KILL $$", AttemptEnd.CRASHED, 137, "SIGKILL", id="SIGKILL without an out-of-memory is a crash"
        ),
    ],
)
def test_how_a_process_ends_by_itself(tmp_path: Path, script: str, end: AttemptEnd, code: int, said: str) -> None:
    process = shell(tmp_path, script)
    wait(process)
    got = process.end()
    assert got[:2] == (end, code)
    assert said in got[2]


def test_output_and_errors_go_to_one_log(tmp_path: Path) -> None:
    wait(shell(tmp_path, "echo one; echo two >&2"))
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_the_whole_group_is_told_to_end(tmp_path: Path) -> None:
    process = shell(tmp_path, "sleep 60 & sleep 60 & echo up; wait")
    log_says(tmp_path, "up")
    process.tell_to_end()
    wait(process)
    assert process.end()[0] is AttemptEnd.DISRUPTED
    assert not group_lives(process.pid)


def test_a_child_may_write_its_checkpoint_after_its_shell_has_gone(tmp_path: Path) -> None:
    child = "trap 'sleep 0.3; echo saved; exit' TERM; echo up; while :; do sleep 0.02; done"
    process = shell(tmp_path, f"(sh -c \"{child}\") & trap 'exit 143' TERM; wait")
    log_says(tmp_path, "up")
    process.tell_to_end()
    wait(process)
    assert "saved" in (tmp_path / "log").read_text()


def test_who_ignores_the_signal_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    process = shell(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.02; done", grace=0.2)
    log_says(tmp_path, "up")
    process.tell_to_end()
    wait(process)
    assert process.end()[:2] == (AttemptEnd.DISRUPTED, 137)
    group_ends(process)


def test_children_that_a_program_leaves_behind_are_killed(tmp_path: Path) -> None:
    process = shell(tmp_path, "sleep 60 & exit 0")
    wait(process)
    assert process.end()[0] is AttemptEnd.COMPLETED
    group_ends(process)


@pytest.mark.parametrize(
    ("arguments", "directory", "said"),
    [
        pytest.param(("no-such-program",), None, "no 'no-such-program' in PATH", id="a name that PATH does not know"),
        pytest.param(("/no/such/program",), None, "does not exist on this machine", id="a path to nothing"),
        pytest.param(("/etc/passwd",), None, "not executable", id="a file that is no program"),
        pytest.param(("/bin/true",), Path("/no/such/folder"), "workingDir /no/such/folder", id="a folder to nothing"),
        pytest.param(("/bin/true", "a\0b"), None, "null byte", id="an argument with a null byte"),
    ],
)
def test_a_command_that_cannot_start_says_why(
    tmp_path: Path, arguments: tuple[str, ...], directory: Path | None, said: str
) -> None:
    with pytest.raises(CannotStartError, match=said):
        Process.start(launch(tmp_path, *arguments, directory=directory))
