"""What a user does to a study while it runs, and that no GPU burns for nothing afterwards."""

from __future__ import annotations

import time

import pytest

from tests.cluster.api import Api, resource
from tests.cluster.conftest import Kubectl
from tests.cluster.history import History
from tests.cluster.studies import Running, program, shell, study, toy
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

FOREVER = shell("exec sleep 300")  # a trial that would outlast its test, and that SIGTERM ends at once
GONE_SECONDS = 5.0  # what a user is promised: no pod runs this long after the end


COLLECTED_SECONDS = 45.0
"""Kubernetes' garbage collector looks for new kinds every 30 s: until then it does not know Trials of freshly installed CRDs."""


def test_a_deleted_study_leaves_nothing_behind(api: Api, kubectl: Kubectl, namespace: str) -> None:
    running = Running.apply(api, namespace, study("gone", FOREVER, limits={"parallelism": 3}))
    running.wait_running(3)
    kubectl("delete", "study", "gone", "-n", namespace)
    wait_until(
        "no Job or pod is left",
        lambda: not any(api.items(kind, namespace) for kind in ("jobs", "pods")),
        timeout=GONE_SECONDS + 5,
        show=lambda: [o["metadata"]["name"] for kind in ("jobs", "pods") for o in api.items(kind, namespace)],
    )
    wait_until("no Trial is left", lambda: not api.items("trials", namespace), timeout=COLLECTED_SECONDS)


def test_a_study_made_again_under_its_name_starts_afresh(api: Api, namespace: str) -> None:
    document = study("again", toy(epochs=1), limits={"trials": 2})
    first = Running.apply(api, namespace, document)
    first.wait("Succeeded")
    old = {trial["metadata"]["uid"] for trial in first.trials()}
    api.delete(first.path)
    second = Running.apply(api, namespace, {**document, "spec": {**document["spec"], "seed": 5}})
    second.wait("Succeeded")
    trials = second.trials()
    assert [t["spec"]["number"] for t in trials] == [0, 1]
    assert not old & {t["metadata"]["uid"] for t in trials}


def test_when_the_goal_is_met_in_mid_flight_every_pod_ends(api: Api, namespace: str) -> None:
    good = 'if [ "$RUNG_TRIAL_NUMBER" = 2 ]; then echo step=1 loss=0.01; fi; exec sleep 300'
    goal = [{"metric": "loss", "direction": "Minimize", "goal": "0.05"}]
    limits = {"trials": 12, "parallelism": 4}
    running = Running.apply(api, namespace, study("goal", shell(good), objectives=goal, limits=limits))
    running.wait("Succeeded", reason="GoalReached")
    running.wait_no_pods(timeout=GONE_SECONDS)
    assert running.trial(2)["state"] == "Succeeded"
    assert {running.trial(n)["state"] for n in (0, 1, 3)} == {"Stopped"}
    assert running.status["best"]["trial"] == "goal-2"
    assert len(running.trials()) == 4, "nothing was started after the goal was met"


def test_suspended_means_no_pods_and_resume_goes_on_to_the_end(api: Api, namespace: str) -> None:
    with History(api, namespace) as history:
        limits = {"trials": 5, "parallelism": 2}
        running = Running.apply(api, namespace, study("pause", toy(epochs=3, sleep=0.4), limits=limits))
        running.wait_running(2)
        running.patch(suspend=True)
        running.wait("Suspended")
        running.wait_no_pods(timeout=GONE_SECONDS)
        jobs_then = sum(c.kind == "jobs" and c.event.type == "ADDED" for c in history.changes())
        numbers_then = [t["spec"]["number"] for t in running.trials()]
        assert running.condition("Running")["status"] == "False"
        running.patch(limits={"parallelism": 3})
        wait_until("the change was seen", lambda: running.status["observedGeneration"] >= 3, timeout=10)
        assert sum(c.kind == "jobs" and c.event.type == "ADDED" for c in history.changes()) == jobs_then
        running.patch(suspend=False)
        running.wait("Succeeded")
    trials = running.trials()
    assert running.condition("Suspended")["status"] == "False"
    assert [t["spec"]["number"] for t in trials] == [0, 1, 2, 3, 4]
    assert {t["status"]["state"] for t in trials} == {"Succeeded"}
    interrupted = [t["status"] for t in trials if t["spec"]["number"] in numbers_then and t["status"]["attempt"] > 1]
    assert interrupted, "a trial that was interrupted has a second attempt"
    assert all((s["crashes"], s["disruptions"]) == (0, 0) for s in interrupted), "suspending is nobody's failure"


def test_raising_the_limit_reopens_a_study_that_had_ended(api: Api, namespace: str) -> None:
    running = Running.apply(api, namespace, study("more", toy(epochs=1), limits={"trials": 2}))
    running.wait("Succeeded", reason="TrialsCompleted")
    running.patch(limits={"trials": 4})
    wait_until(
        "two more trials have ended", lambda: running.status.get("progress") == "4/4", timeout=20, show=running.told
    )
    running.wait("Succeeded", reason="TrialsCompleted")
    assert [t["spec"]["number"] for t in running.trials()] == [0, 1, 2, 3]


def test_finish_keeps_what_was_found(api: Api, namespace: str) -> None:
    quick_or_endless = 'echo step=1 loss=0.$RUNG_TRIAL_NUMBER; [ "$RUNG_TRIAL_NUMBER" -lt 2 ] || exec sleep 300'
    running = Running.apply(
        api, namespace, study("done", shell(quick_or_endless), limits={"trials": 9, "parallelism": 2})
    )
    running.wait_trial(0, "Succeeded")
    running.wait_trial(3, "Running")
    running.patch(finish=True)
    running.wait("Succeeded", reason="FinishedByHand")
    running.wait_no_pods(timeout=GONE_SECONDS)
    assert running.status["best"]["trial"] == "done-0"
    assert running.trial(3)["state"] == "Stopped"


def test_a_trial_stopped_by_hand_makes_room_for_the_next(api: Api, namespace: str) -> None:
    running = Running.apply(api, namespace, study("hand", FOREVER, limits={"trials": 9, "parallelism": 1}))
    running.wait_trial(0, "Running")
    api.patch(resource("trials", namespace, "hand-0"), {"spec": {"stop": True}})
    stopped = running.wait_trial(0, "Stopped")
    assert stopped["outcome"] == "StoppedByHand"
    running.wait_trial(1, "Running")
    assert len(running.live_pods()) == 1


def test_a_point_appended_while_the_study_runs_is_the_next_to_be_tried(api: Api, namespace: str) -> None:
    one_by_one = study("wish", FOREVER, limits={"trials": 9, "parallelism": 1})
    running = Running.apply(api, namespace, one_by_one)
    running.wait_trial(0, "Running")
    running.patch(warmStart={"points": [{"parameters": {"x": "0.125"}}]})
    api.patch(resource("trials", namespace, "wish-0"), {"spec": {"stop": True}})
    running.wait_trial(1, "Running")
    assert running.trials()[1]["spec"]["parameters"]["x"] == "0.125"


def test_the_number_of_a_deleted_trial_never_comes_again(api: Api, namespace: str) -> None:
    running = Running.apply(api, namespace, study("gap", FOREVER, limits={"trials": 9, "parallelism": 1}))
    running.wait_trial(0, "Running")
    api.delete(resource("trials", namespace, "gap-0"))
    running.wait_trial(1, "Running")
    assert [t["spec"]["number"] for t in running.trials()] == [1]
    assert running.status["trials"]["created"] == 2


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        pytest.param(None, ["kept-1-1"], id="as it is, those that failed"),
        pytest.param("All", ["kept-0-1", "kept-1-1"], id="all"),
        pytest.param("None", [], id="none"),
    ],
)
def test_jobs_are_kept_as_the_study_says(api: Api, namespace: str, keep: str | None, left: list[str]) -> None:
    one_fails = shell('echo step=1 loss=0.5; [ "$RUNG_TRIAL_NUMBER" = 0 ] || exit 3')
    trial = {**one_fails, "retries": 0, **({} if keep is None else {"keepJobs": keep})}
    running = Running.apply(api, namespace, study("kept", trial, limits={"trials": 2}))
    running.wait("Succeeded", reason="TrialsCompleted")

    def jobs() -> list[str]:
        found = (job["metadata"] for job in api.items("jobs", namespace))
        return sorted(m["name"] for m in found if not m.get("deletionTimestamp"))

    wait_until(f"{left} are left", lambda: jobs() == left, timeout=10, show=jobs)
    assert running.trial(1)["state"] == "Failed"


def test_too_many_failures_end_the_study_and_its_running_trials(api: Api, namespace: str) -> None:
    text = 'echo step=1 loss=0.5; [ "$RUNG_TRIAL_NUMBER" = 0 ] && exec sleep 300; exit 3'
    limits = {"trials": 20, "parallelism": 2, "failedTrials": 2}
    running = Running.apply(api, namespace, study("bad", {**shell(text), "retries": 0}, limits=limits))
    failed = running.wait("Failed", reason="TooManyFailures")
    assert "spec.limits.failedTrials allows 2" in failed["message"]
    assert "exit code 3" in failed["message"]
    running.wait_no_pods(timeout=GONE_SECONDS)
    assert running.trial(0)["state"] == "Stopped"
    counts = running.status["trials"]
    assert counts["failed"] == 3


def test_where_nothing_works_the_study_fails_at_once(api: Api, namespace: str) -> None:
    limits = {"trials": 50, "parallelism": 3, "failedTrials": 40}
    nothing = {**program("import no_such_module"), "retries": 0}
    running = Running.apply(api, namespace, study("nothing", nothing, limits=limits))
    failed = running.wait("Failed", reason="NothingWorks")
    assert "exit code 1" in failed["message"]
    running.wait_no_pods(timeout=GONE_SECONDS)
    assert len(running.trials()) < 10


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        pytest.param(
            {"parameterConstraints": ["x + z <= 1"]},
            "spec.parameterConstraints[0]",
            "z",
            id="an unknown name in a constraint",
        ),
        pytest.param(
            {"metrics": {"source": "File", "file": {"path": "/x"}}},
            "spec.metrics.source",
            "File",
            id="what is not implemented is named as such",
        ),
        pytest.param(
            {"trial": {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "i", "argz": ["1"]}]}}}},
            "spec.trial.podTemplate",
            "argz",
            id="an unknown field in the template is found by a dry run",
        ),
    ],
)
def test_a_refused_study_can_be_mended(
    api: Api, namespace: str, change: dict[str, object], field: str, words: str
) -> None:
    good = study("mend", toy(epochs=1), limits={"trials": 1})
    running = Running.apply(api, namespace, {**good, "spec": {**good["spec"], **change}})
    refused = running.wait("Accepted", "False")
    assert refused["message"].startswith(field), refused
    assert words in refused["message"]
    assert running.trials() == []
    assert running.jobs() == []
    current = api.get(running.path)
    mended = {**current, "spec": good["spec"]}
    api.request("PUT", running.path, mended)
    running.wait("Succeeded")


def test_a_study_ended_by_its_time_limit_says_so(api: Api, namespace: str) -> None:
    limits = {"durationSeconds": 2, "parallelism": 2}
    began = time.monotonic()
    running = Running.apply(api, namespace, study("clock", FOREVER, limits=limits))
    running.wait("Succeeded", reason="DurationReached", timeout=10)
    assert time.monotonic() - began >= 1.5
    running.wait_no_pods(timeout=GONE_SECONDS)
