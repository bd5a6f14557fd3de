"""The examples as a user runs them: `kubectl apply`, `kubectl wait`, and what `kubectl get` and `describe` then say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.api import Api
from tests.cluster.conftest import Kubectl
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, claim

pytestmark = pytest.mark.usefixtures("operator")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIGITS_TRIALS, DIGITS_EPOCHS = 32, 27
NOISE = 0.015  # two standard errors of an accuracy of 98 % on the 360 held-out images


def columns(table: str, kind: str) -> dict[str, dict[str, str]]:
    """What `kubectl get` printed for a kind: name -> column -> text."""
    lines = table.splitlines()
    start = next(
        i for i, line in enumerate(lines) if line.startswith("NAME") and f"{kind}/" in "".join(lines[i + 1 : i + 2])
    )
    header = lines[start]
    begins = [match.start() for match in re.finditer(r"\S+", header)]
    found: dict[str, dict[str, str]] = {}
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        cells = [line[b:e].strip() for b, e in zip(begins, [*begins[1:], None], strict=True)]
        row = dict(zip(header.split(), cells, strict=True))
        found[row["NAME"].split("/")[-1]] = row
    return found


def test_the_smallest_study_runs_to_its_end(api: Api, kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "quickstart.yaml"))
    kubectl("wait", "-n", namespace, "--for=condition=Succeeded", "study/quickstart", "--timeout=60s")
    study = Running(api, namespace, "quickstart")
    trials = study.trials()
    assert [t["spec"]["number"] for t in trials] == list(range(12))
    assert {t["status"]["state"] for t in trials} == {"Succeeded"}
    losses = {t["metadata"]["name"]: t["status"]["values"]["loss"] for t in trials}
    best = study.status["best"]
    assert best["trial"] == min(losses, key=lambda name: (losses[name], int(name.rsplit("-", 1)[1])))
    assert float(best["values"]["loss"]) == min(losses.values())
    assert not study.live_pods()
    assert study.jobs() == [], "keepJobs: Failed removes the Jobs of trials that went well"

    table = kubectl("get", "studies,trials", "-n", namespace)
    row = columns(table, "study.rung.dev")["quickstart"]
    assert (row["STATE"], row["TRIALS"], row["ACTIVE"]) == ("Succeeded", "12/12", "0")
    assert float(row["BEST"]) == pytest.approx(min(losses.values()), rel=1e-3)
    row = columns(table, "trial.rung.dev")["quickstart-3"]
    assert (row["STATE"], row["STEP"]) == ("Succeeded", "5")
    assert float(row["OBJECTIVE"]) == pytest.approx(losses["quickstart-3"], rel=1e-3)


def test_real_training_finds_the_best_at_less_than_half_of_the_epochs(
    api: Api, kubectl: Kubectl, namespace: str, operator: OperatorProcess
) -> None:
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "digits.yaml"))
    kubectl("wait", "-n", namespace, "--for=condition=Succeeded", "study/digits", "--timeout=110s")
    study = Running(api, namespace, "digits")
    trials = study.trials()
    by_state: dict[str, list[int]] = {}
    for trial in trials:
        by_state.setdefault(trial["status"]["state"], []).append(trial["spec"]["number"])
    assert len(trials) == DIGITS_TRIALS
    assert set(by_state) <= {"Succeeded", "Stopped", "Infeasible"}, study.told()
    assert len(by_state["Stopped"]) >= DIGITS_TRIALS / 2, "ASHA stops at least half of the trials early"
    epochs = sum(trial["status"].get("step", 0) for trial in trials)
    assert epochs <= 0.45 * DIGITS_TRIALS * DIGITS_EPOCHS

    best = study.status["best"]
    reached = max(m["max"] for t in trials for m in t["status"].get("metrics", ()) if m["name"] == "val_accuracy")
    assert best["complete"]
    assert float(best["values"]["val_accuracy"]) >= max(0.96, reached - NOISE)
    gpu = study.status["gpuSeconds"]
    assert gpu["used"] > 0
    assert gpu["saved"] > 0

    row = columns(kubectl("get", "studies,trials", "-n", namespace), "study.rung.dev")["digits"]
    assert (row["STATE"], row["TRIALS"]) == ("Succeeded", "32/32")
    described = kubectl("describe", "study", "digits", "-n", namespace)
    for words in ("TrialsCompleted", "best trial", "all 32 trials have ended", "Gpu Seconds", "Rungs", "Accepted"):
        assert words in described
    stopped = kubectl("describe", "trial", f"digits-{by_state['Stopped'][0]}", "-n", namespace)
    assert re.search(r"stopped at epoch \d+: val_accuracy 0\.\d+", stopped)
    assert "StoppedAtRung" in stopped
    assert "Parameters" in stopped


def test_networks_go_on_from_the_checkpoints_of_better_ones(api: Api, kubectl: Kubectl, namespace: str) -> None:
    claim(api, namespace)
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "pbt.yaml"))
    kubectl("wait", "-n", namespace, "--for=condition=Succeeded", "study/pbt", "--timeout=110s")
    study = Running(api, namespace, "pbt")
    trials = {trial["spec"]["number"]: trial for trial in study.trials()}
    stopped = {n for n, t in trials.items() if any(r["verdict"] == "Stop" for r in t["status"].get("rungs", ()))}
    clones = {t["spec"]["replaces"]: t for t in trials.values() if "replaces" in t["spec"]}
    assert stopped
    assert stopped <= set(clones), study.told()
    assert len(trials) - len(clones) == 8, "clones are no members of their own"
    for trial in clones.values():
        begins = trial["spec"].get("parentStep")
        if begins is not None and trial["status"].get("curve"):
            assert trial["status"]["curve"][0]["step"] == begins + 1, "it did not go on from its parent's checkpoint"
    assert any("parentStep" in trial["spec"] for trial in clones.values())

    row = columns(kubectl("get", "studies,trials", "-n", namespace, "-o", "wide"), "trial.rung.dev")
    some = next(trial for trial in clones.values())
    assert row[some["metadata"]["name"]]["PARENT"] == some["spec"]["parent"]
    assert study.status["gpuSeconds"]["saved"] == 0, "what a loser saves its clone spends"
    told = kubectl("describe", "trial", some["metadata"]["name"], "-n", namespace)
    assert re.search(r"in the place of trial \d+; changed of trial \d+: ", told)
