"""The executor contract over processes of this machine, and over the simulated body itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.api.study import Study
from rung.local.run import Options, run_study
from tests.executor.contract import ExecutorContract, Result
from tests.local.conftest import Recorder


class TestLocal(ExecutorContract):
    """`rung run`."""

    @pytest.fixture(autouse=True)
    def _directory(self, state_directory: Path) -> None:
        self.directory = state_directory

    async def run(self, study: Study) -> Result:
        """As the command does, without its terminal."""
        ran = await run_study(study, "", Options(self.directory / study.metadata.name), Recorder())
        return Result(list(ran.trials), ran.verdict)

    async def run_after(self, study: Study, other: Study) -> Result:
        """One after the other, with their states side by side."""
        await self.run(other)
        return await self.run(study)
