"""Studies of this machine that start from one another: their states lie side by side."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rung.api.study import Study
from rung.local.run import Options, Ran, run_study
from rung.local.state import StateError
from rung.view.shown import Look
from tests.executor.contract import a_study
from tests.local.conftest import Recorder

FIRST = a_study("round-1", arguments=["--sleep=0.01"], limits={"trials": 3, "parallelism": 1})


def second(**spec: Any) -> Study:
    start = {"studies": [{"name": "round-1", "use": "Enqueue", "top": 1}]}
    return a_study("round-2", **{"warmStart": start, "sampler": {"type": "List"}, **spec})


async def run(study: Study, parent: Path, recorder: Recorder | None = None, *, fresh: bool = False) -> Ran:
    options = Options(parent / study.metadata.name, fresh=fresh)
    return await run_study(study, "", options, Recorder() if recorder is None else recorder)


class Starting(Recorder):
    """Says when the first round is over."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()

    def look(self, look: Look) -> None:
        super().look(look)
        self.began.set()


async def test_one_that_is_not_there_or_has_not_ended_is_to_be_run_first(state_directory: Path) -> None:
    with pytest.raises(StateError, match=r"round-1 is not in .*: `rung run` it to its end first"):
        await run(second(), state_directory)
    suspended = FIRST.model_copy(update={"spec": FIRST.spec.model_copy(update={"suspend": True})})
    await run(suspended, state_directory)
    with pytest.raises(StateError, match="round-1 has not ended"):
        await run(second(), state_directory)


async def test_one_that_runs_is_waited_for(state_directory: Path, recorder: Recorder) -> None:
    other = Starting()
    first = asyncio.create_task(run(FIRST, state_directory, other))
    await asyncio.wait_for(other.began.wait(), 30)
    ran = await run(second(), state_directory, recorder)
    assert first.done()
    assert recorder.notes[0] == "waiting for the end of study round-1, which another `rung run` works on"
    best = (await first).trials.incumbent
    assert best is not None
    assert [facts.enqueued for facts in ran.trials] == [f"round-1-{best.number}"]


async def test_what_counts_of_it_is_recorded_and_stays(state_directory: Path) -> None:
    await run(FIRST, state_directory)
    start = {"studies": [{"name": "round-1", "use": "Model"}]}
    before = second(warmStart=start, sampler={"type": "TPE"}, limits={"trials": 2, "parallelism": 1})
    await run(before, state_directory)
    raised = FIRST.spec.model_copy(update={"limits": FIRST.spec.limits.model_copy(update={"trials": 5})})
    await run(FIRST.model_copy(update={"spec": raised}), state_directory)
    more = before.spec.model_copy(update={"limits": before.spec.limits.model_copy(update={"trials": 3})})
    ran = await run(before.model_copy(update={"spec": more}), state_directory)
    assert len(ran.trials) == 3
    assert [told.number for told in ran.plan.told] == [0, 1, 2]
    status = json.loads((state_directory / "round-2" / "study.json").read_text())["status"]
    assert [(mark["name"], mark["trials"]) for mark in status["warmStart"]] == [("round-1", 3)]


async def test_one_that_was_started_over_is_another(state_directory: Path) -> None:
    await run(FIRST, state_directory)
    await run(second(), state_directory)
    await run(FIRST, state_directory, fresh=True)
    ran = await run(second(), state_directory)
    assert [source.gone for source in ran.plan.sources or ()] == [True]
    assert len(ran.trials) == 1
