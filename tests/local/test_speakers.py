"""Whatever a trainer speaks, `rung run` tunes it with ASHA, and stops it in the middle, by its command line alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rung.api.study import parse_study
from rung.brain import StudyState
from rung.executor.record import trial_of
from rung.local.run import Options, Ran, run_study
from rung.observe import http, probe  # before the trials begin: an import would hold up all four studies
from tests.local.conftest import Recorder, processes_of
from tests.speakers import EPOCHS, TRIALS, Speaker, is_of_the_curve, speakers, stopped_in_mid_run

IMPORTED = (http, probe)
NAMES = ("stdout", "prometheus", "shell", "go")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ran, Path]]:
    """All four at once: they sleep more than they compute."""

    async def one(speaker: Speaker) -> tuple[Ran, Path]:
        state = tmp_path_factory.mktemp(speaker.name) / "state"
        document = {"apiVersion": "rung.dev/v1alpha1", "kind": "Study", "metadata": {"name": speaker.name}}
        study = parse_study({**document, "spec": speaker.spec()}, strict=True)
        return await run_study(study, "", Options(state), Recorder()), state

    async def all_of_them() -> dict[str, tuple[Ran, Path]]:
        found = {speaker.name: one(speaker) for speaker in speakers()}
        return dict(zip(found, await asyncio.gather(*found.values()), strict=True))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_tuned_and_stopped_in_the_middle(ran: dict[str, tuple[Ran, Path]], name: str) -> None:
    got, state = ran[name]
    assert got.verdict.state is StudyState.SUCCEEDED, got.verdict.message
    trials = [trial_of(facts, got.plan, None, 0.0) for facts in got.trials]
    stopped = stopped_in_mid_run([trial.model_dump(by_alias=True, mode="json") for trial in trials])
    assert stopped, "ASHA stops at least one"
    for number in stopped:
        assert f"{EPOCHS}" not in last_epoch(state, number), "its process was ended before its last epoch"
    assert processes_of(state) == []


def last_epoch(state: Path, number: int) -> str:
    """The last line that it printed; empty for those that print nothing."""
    lines = (state / "attempts" / f"{number}-1" / "log").read_text().splitlines() or [""]
    return lines[-1].partition("val_loss")[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_values_are_those_of_its_curve(ran: dict[str, tuple[Ran, Path]], name: str) -> None:
    got, _ = ran[name]
    assert len(got.trials) == TRIALS
    for facts in got.trials:
        x = float(facts.parameters["x"])
        for record in facts.rungs:
            assert is_of_the_curve(name, x, record.step, record.value)
