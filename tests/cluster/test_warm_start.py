"""A study that starts from another one: it waits for its end without a slot, begins with what it found, and keeps to it."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from devcluster import Cluster
from rung.api.study import Study
from rung.api.trial import Trial
from rung.brain import Plan
from rung.executor.record import facts_of
from rung.executor.sources import started_from
from rung.simulate.engine import simulate_now
from rung.simulate.sources import simulated_past
from tests.cluster.api import Api, Document
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, study, toy
from tests.cluster.waiting import wait_until
from tests.executor.contract import ReplayedCurves, a_study, told

KILLS = 4


def first_round() -> Document:
    """Four trials of a second or so."""
    return study("round-1", toy(epochs=5, sleep=0.2), limits={"trials": 4, "parallelism": 2})


def final() -> Document:
    """The two best of them again."""
    start = {"studies": [{"name": "round-1", "top": 2, "use": "Enqueue"}]}
    return study("final", toy(epochs=2), sampler={"type": "List"}, warmStart=start, limits={"parallelism": 1})


@pytest.mark.usefixtures("operator")
def test_applied_before_the_study_that_it_starts_from_it_waits_for_its_end(api: Api, namespace: str) -> None:
    last = Running.apply(api, namespace, final())
    missing = last.wait("Accepted", "Unknown", reason="StudyNotFound")
    assert "there is no study round-1" in missing["message"]

    one = Running.apply(api, namespace, first_round())
    waiting = last.wait("Accepted", "Unknown", reason="WaitingForStudy")
    assert waiting["message"] == "waits for the end of study round-1, which has not ended"
    assert last.status["state"] == "Waiting"
    one.wait_running(1)
    assert last.trials() == []
    assert "startedAt" not in last.status

    one.wait("Succeeded")
    last.wait("Accepted", "True")
    last.wait("Succeeded", reason="SearchSpaceExhausted")
    best = sorted(one.trials(), key=lambda t: t["status"]["values"]["loss"])[:2]
    assert [t["spec"]["parameters"] for t in last.trials()] == [t["spec"]["parameters"] for t in best]
    assert [t["spec"]["enqueuedFrom"] for t in last.trials()] == [t["metadata"]["name"] for t in best]
    (mark,) = last.status["warmStart"]
    assert (mark["name"], mark["trials"], mark["uid"]) == ("round-1", 4, api.get(one.path)["metadata"]["uid"])

    api.delete(one.path)
    last.patch(limits={"trials": 10, "parallelism": 1})
    wait_until(
        "what counts of a deleted study is nothing more",
        lambda: "round-1 was deleted" in last.condition("Accepted").get("message", ""),
        timeout=20,
        show=last.told,
    )
    assert last.status["warmStart"] == [mark]
    assert len(last.trials()) == 2


@pytest.mark.usefixtures("operator")
def test_studies_that_wait_for_each_other_are_told_so(api: Api, namespace: str) -> None:
    def of(name: str, other: str) -> Document:
        return study(name, toy(epochs=1), warmStart={"studies": [{"name": other}]}, limits={"trials": 1})

    last = [Running.apply(api, namespace, of(name, other)) for name, other in (("a", "b"), ("b", "c"), ("c", "a"))][-1]
    refused = last.wait("Accepted", "False", reason="InvalidSpec")
    assert "study a waits for this one in turn" in refused["message"]


def test_killed_again_and_again_it_decides_as_if_undisturbed(cluster: Cluster, api: Api, namespace: str) -> None:
    other = a_study("round-1", limits={"trials": 6, "parallelism": 1})
    start = {"studies": [{"name": "round-1", "use": "Model"}]}
    limits = {"trials": 8, "parallelism": 1}
    learning = a_study("round-2", arguments=["--sleep=0.02"], warmStart=start, sampler={"type": "TPE"}, limits=limits)
    past = asyncio.run(simulated_past(Plan.of(other), ReplayedCurves()))
    plan = started_from(Plan.of(learning), [past])
    want = simulate_now(plan, ReplayedCurves())

    moments = random.Random(1)
    with OperatorProcess(cluster, [namespace]) as operator:
        running, _ = [Running.apply(api, namespace, _document(each)) for each in (learning, other)]
        running.wait("Accepted", "True", timeout=60)
        for kill in range(KILLS):
            wait_until("one more trial", lambda n=2 * kill: len(running.trials()) > n, timeout=30, show=running.told)
            time.sleep(moments.uniform(0.0, 0.2))
            operator.kill9()
            operator.start(fresh=kill == 0)
        running.wait("Succeeded", timeout=60)
    trials = [facts_of(Trial.model_validate(trial), plan) for trial in running.trials()]
    assert told(trials, order=True) == told(want.trials, order=True)


def _document(of: Study) -> Document:
    return {
        "apiVersion": of.api_version,
        "kind": of.kind,
        "metadata": {"name": of.metadata.name},
        "spec": of.spec.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json"),
    }
