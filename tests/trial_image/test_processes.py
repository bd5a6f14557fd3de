"""The limits under which these tests run trials: they count work, not the time that others take on the same machine."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.trial_image import processes
from tests.trial_image.processes import cpu_seconds, ended, python


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("import signal; signal.pause()", id="it waits for what never comes"),
        pytest.param("while True: pass", id="it never ends"),
    ],
)
def test_a_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(processes, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(processes, "WORK_SECONDS", 1.0)
    assert ended(python(program)).code == -signal.SIGKILL


def test_work_is_counted_and_waiting_is_not() -> None:
    before, worked = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() < worked + 0.3:
        pass
    assert cpu_seconds(os.getpid()) - before == pytest.approx(time.process_time() - worked, abs=0.1)
