"""Whatever a trainer speaks, a Study tunes it with ASHA, and stops it in the middle, by its command line alone."""

from __future__ import annotations

import pytest

from tests.cluster.api import Api
from tests.cluster.studies import Running, shell, study
from tests.speakers import is_of_the_curve, speakers, stopped_in_mid_run
from tests.trial_image.test_contract_page import example

STUDY_SECONDS = 180.0  # nine trials of fourteen seconds at most, three at a time, beside three other studies


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


@pytest.mark.usefixtures("operator")
def test_the_contracts_script_speaks_by_the_command_of_the_trial_image(api: Api, namespace: str) -> None:
    """Many short processes and nothing between them but the pod's termination message: no step is lost or counted twice."""
    script = f"PACE=0.2\n{example('command')}"
    trial = {
        **shell(script.replace("rung-trial finish", "rung-trial output model=s3://m; rung-trial finish")),
        "retries": 0,
    }
    document = study(
        "by-command",
        trial,
        objectives=[{"metric": "loss", "direction": "Minimize"}],
        scheduler={"type": "None", "resource": {"metric": "epoch", "min": 1, "max": 7}},
        limits={"trials": 1, "parallelism": 1},
    )
    one = Running.apply(api, namespace, document)
    one.wait("Succeeded", reason="TrialsCompleted")
    status = one.trial(0)
    losses = [100]
    for _ in range(7):
        losses.append(losses[-1] - losses[-1] // 5)
    assert [(point["step"], point["values"]["loss"]) for point in status["curve"]] == list(enumerate(losses[1:], 1))
    assert status["outputs"] == {"model": "s3://m"}
