"""Whatever a trainer speaks, a Study tunes it with ASHA, and stops it in the middle, by its command line alone."""

from __future__ import annotations

import pytest

from tests.cluster.api import Api
from tests.cluster.studies import Running, study
from tests.speakers import is_of_the_curve, speakers, stopped_in_mid_run

STUDY_SECONDS = 150.0  # nine trials of five seconds, three at a time, beside three other studies


@pytest.fixture(scope="module")
def running(api: Api, operator: object, module_namespace: str) -> dict[str, Running]:
    """One study each, all at once."""
    started = {}
    for speaker in speakers():
        spec = speaker.spec()
        document = study(speaker.name, spec.pop("trial"), **spec)
        started[speaker.name] = Running.apply(api, module_namespace, document)
    return started


@pytest.mark.parametrize("name", ["stdout", "prometheus", "shell", "go"])
def test_it_is_tuned_and_stopped_in_the_middle(running: dict[str, Running], name: str) -> None:
    one = running[name]
    one.wait("Succeeded", timeout=STUDY_SECONDS)
    trials = one.trials()
    stopped = stopped_in_mid_run(trials)
    assert stopped, one.told()
    for trial in trials:
        x = float(trial["spec"]["parameters"]["x"])
        for rung in trial["status"].get("rungs") or ():
            assert is_of_the_curve(name, x, int(rung["step"]), float(rung["value"]))
