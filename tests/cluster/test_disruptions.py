"""How attempts end, and what follows: a disruption is free, a crash uses a retry, a bad configuration is final.

The studies of a table start together, since they wait more than they work; each is judged by its own test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from devcluster.names import OOM_ANNOTATION
from tests.cluster.api import Api, resource
from tests.cluster.studies import Running, claim, container, rungs_of, shell, study, template, toy
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

TRAIN = "exec python -m trainers.toy --x=$(params.x) --y=$(params.y) --epochs=2"
FIRST_ATTEMPT = '[ "$RUNG_ATTEMPT" = 1 ] && '


@dataclass(frozen=True)
class Case:
    """A trial and what becomes of it. `says` are words of its last message."""

    trial: dict[str, Any]
    state: str
    outcome: str
    attempt: int = 1
    crashes: int = 0
    disruptions: int = 0
    says: tuple[str, ...] = ()
    spec: dict[str, Any] | None = None


def beside_a_starved_server(text: str) -> dict[str, Any]:
    """A program in shell and a native sidecar, which is out of memory at once."""
    trial = shell(text)
    server = {**container(["sh", "-c", "exit 9"]), "name": "server", "restartPolicy": "Always"}
    trial["podTemplate"]["metadata"] = {"annotations": {OOM_ANNOTATION: "9"}}
    trial["podTemplate"]["spec"]["initContainers"] = [server]
    return {**trial, "infeasible": {"outOfMemory": True}}


CASES = {
    "exit 143 starts another attempt for free": Case(
        {**shell(f"{FIRST_ATTEMPT}exit 143; {TRAIN}"), "retries": 0}, "Succeeded", "Completed", attempt=2, disruptions=1
    ),
    "a crash uses up one retry": Case(
        {**shell(f"{FIRST_ATTEMPT}exit 1; {TRAIN}"), "retries": 1}, "Succeeded", "Completed", attempt=2, crashes=1
    ),
    "a crash without a retry left fails the trial": Case(
        {**shell("echo step=1 loss=0.5; exit 9"), "retries": 1},
        "Failed",
        "Crashed",
        attempt=2,
        crashes=1,
        says=("exit code 9", "no retry left"),
    ),
    "exit 78 fails the trial at once, whatever the retries": Case(
        {**shell("exit 78"), "retries": 3}, "Failed", "BadConfiguration", says=("78", "configuration")
    ),
    "a program that reports another metric is told what was looked for and what was seen": Case(
        {**shell("echo step=1 accuracy=0.5"), "retries": 2},
        "Failed",
        "MetricMissing",
        says=("loss was never reported", "accuracy"),
    ),
    "a diverging loss is knowledge and no failure": Case(
        shell("echo step=1 loss=nan"), "Infeasible", "NotFinite", says=("loss", "nan")
    ),
    "a loss that diverges at a rung ends the trial there": Case(
        shell("echo epoch=1 loss=nan; exec sleep 300"),
        "Infeasible",
        "Diverged",
        says=("loss is nan at epoch 1",),
        spec={"scheduler": rungs_of("ASHA", 1, 9, "epoch")},
    ),
    "a listed exit code is infeasible": Case(
        {**shell("exit 65"), "infeasible": {"exitCodes": [65]}}, "Infeasible", "InfeasibleExitCode", says=("65",)
    ),
    "a trial that runs too long fails": Case(
        {**shell("echo step=1 loss=0.5; exec sleep 300"), "timeoutSeconds": 2},
        "Failed",
        "TimedOut",
        says=("timeoutSeconds", "2"),
    ),
    "a program that hangs since its server was out of memory is infeasible": Case(
        {**beside_a_starved_server("exec sleep 300"), "silenceSeconds": 2},
        "Infeasible",
        "OutOfMemory",
        says=("container server was OOMKilled", "silenceSeconds"),
    ),
    "so is one that leaves well, without a result": Case(
        beside_a_starved_server("exec sleep 2"),
        "Infeasible",
        "OutOfMemory",
        says=("container server was OOMKilled", "without a result"),
    ),
    "a trial that says nothing for too long uses up its retries": Case(
        {**shell("exec sleep 300"), "silenceSeconds": 1, "retries": 0}, "Failed", "Silent", says=("silenceSeconds",)
    ),
}


@pytest.fixture(scope="module")
def cases(api: Api, operator: object, module_namespace: str) -> dict[str, Running]:
    """Every case's study, started at once: one trial each."""
    limits = {"trials": 1, "parallelism": 2}
    return {
        sentence: Running.apply(
            api, module_namespace, study(f"case-{i}", case.trial, limits=limits, **(case.spec or {}))
        )
        for i, (sentence, case) in enumerate(CASES.items())
    }


@pytest.mark.parametrize("sentence", CASES, ids=str)
def test_how_an_attempt_ends_decides_what_follows(cases: dict[str, Running], sentence: str) -> None:
    running, case = cases[sentence], CASES[sentence]
    trial = running.wait_trial(0, "Succeeded", "Failed", "Infeasible", "Stopped", timeout=30)
    seen = {key: trial.get(key, 0) for key in ("state", "outcome", "attempt", "crashes", "disruptions")}
    want = {
        "state": case.state,
        "outcome": case.outcome,
        "attempt": case.attempt,
        "crashes": case.crashes,
        "disruptions": case.disruptions,
    }
    assert seen == want, running.told()
    for words in case.says:
        assert words in trial["reason"]
    running.wait_no_pods()


def evicted(api: Api, namespace: str, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    api.request("POST", resource("pods", namespace, pod, "eviction"), eviction)


def deleted(api: Api, namespace: str, pod: str) -> None:
    api.delete(resource("pods", namespace, pod))


def removed(api: Api, namespace: str, pod: str) -> None:
    api.request("DELETE", resource("pods", namespace, pod), {"gracePeriodSeconds": 0})


def deleted_with_its_job(api: Api, namespace: str, pod: str) -> None:
    api.delete(resource("jobs", namespace, pod.rsplit("-", 1)[0]))


@pytest.mark.parametrize(
    "disrupt",
    [
        pytest.param(evicted, id="its pod is evicted"),
        pytest.param(deleted, id="its pod is deleted"),
        pytest.param(removed, id="its pod is removed by force, so that nothing tells how it ended"),
        pytest.param(deleted_with_its_job, id="its Job is deleted"),
    ],
)
def test_a_disrupted_trial_goes_on_in_another_attempt(api: Api, namespace: str, disrupt: Any) -> None:
    trial = {**toy(epochs=4, sleep=1.0), "retries": 0}  # well beyond the second and a half until it is called Running
    running = Running.apply(api, namespace, study("hit", trial, limits={"trials": 1, "parallelism": 1}))
    running.wait_trial(0, "Running", attempt=1)
    disrupt(api, namespace, running.wait_running(1)[0]["metadata"]["name"])
    status = running.wait_trial(0, "Succeeded", "Failed")
    assert (status["state"], status["attempt"], status.get("crashes", 0)) == ("Succeeded", 2, 0), running.told()
    assert status["disruptions"] == 1
    assert status["values"]["loss"] > 0
    assert len(running.trials()) == 1


def test_a_repeated_trial_is_told_its_newest_checkpoint_in_a_volume(api: Api, namespace: str) -> None:
    """By the variable and by a flag: most programs have a --resume, and cannot look for the newest one themselves."""
    script = """
if [ "$RUNG_ATTEMPT" = 1 ]; then
    for n in 2 3; do mkdir -p "$RUNG_CHECKPOINT_DIR/step-$n"; echo "step=$n loss=9 checkpoint_step=$n"; done
    exit 143
fi
[ -d "$RUNG_RESUME_FROM" ] && [ "$*" = "--resume=$RUNG_RESUME_FROM" ] && echo "step=4 loss=${1##*/step-}"
"""
    trial = template(["sh", "-c", script, "train"], ["--resume=$(trial.resumeFrom)"])
    trial["checkpoint"] = {"persistentVolumeClaim": claim(api, namespace)}
    running = Running.apply(api, namespace, study("again", trial, limits={"trials": 1, "parallelism": 1}))
    status = running.wait_trial(0, "Succeeded", "Failed")
    assert (status["state"], status["attempt"]) == ("Succeeded", 2), running.told()
    assert status["values"]["loss"] == 3


def test_a_pod_that_the_cluster_refuses_is_explained_in_its_words(api: Api, namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    api.create("resourcequotas", namespace, quota)
    running = Running.apply(api, namespace, study("full", toy(epochs=1), limits={"trials": 1, "parallelism": 1}))
    until_told(running, "PodsRefused", "exceeded quota")
    api.delete(resource("resourcequotas", namespace, "none"))
    running.wait("Succeeded", timeout=40)


def test_an_image_that_cannot_be_pulled_is_named(api: Api, namespace: str) -> None:
    trial = toy(epochs=1)
    trial["podTemplate"]["spec"]["containers"][0]["image"] = "does-not-exist:1"
    running = Running.apply(api, namespace, study("pull", trial, limits={"trials": 1, "parallelism": 1}))
    until_told(running, "ErrImagePull", "does-not-exist:1")
    assert running.trial(0).get("state", "Queued") == "Queued", "it waits; nothing has failed"


def until_told(running: Running, *words: str) -> None:
    """Until the Running condition says all these words."""
    wait_until(
        f"the condition says {words}",
        lambda: all(word in running.condition("Running").get("message", "") for word in words),
        timeout=20,
        show=running.told,
    )
