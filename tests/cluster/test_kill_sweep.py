"""Guarantee 3 under kill -9: the operator dies at 20 random moments of two studies' lives, and nobody can tell afterwards.

One study whose decisions don't hang on the order of arrival (Sobol, synchronous rungs) is compared with an undisturbed run; one
that is asynchronous (ASHA) is held to the invariants, and each recorded decision is computed again from what was recorded before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from devcluster import Cluster
from rung.api.study import parse_study
from rung.api.trial import Trial
from rung.brain import Plan
from rung.brain.replay import contradictions
from rung.executor.record import facts_of
from tests.cluster.api import Api, Document
from tests.cluster.conftest import namespaces_of
from tests.cluster.history import Change, History, violations
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, rungs_of, study, toy
from tests.cluster.waiting import wait_until

KILLS = 20
SEED = 3
CHANGES_BETWEEN_KILLS = (2, 16)  # of Trials, Jobs and pods: a life ends amid writes, however fast the machine is
FRESH_EVERY = 5  # lives are forks, for the sake of time, but for some, whose strings have other hashes
JITTER_SECONDS = 0.1
PARALLELISM = 3
SWEEP_SECONDS = 60.0
LULL_SECONDS = 30.0  # without a change, while there is work to do


def halving() -> Document:
    """Three cohorts of nine trials over the rungs 1, 3 and 9."""
    return study(
        "halving",
        toy("--noise=0.02", sleep=0.1),
        scheduler=rungs_of("SuccessiveHalving", 1, 9),
        limits={"trials": 27, "parallelism": PARALLELISM},
        seed=11,
    )


def asha() -> Document:
    """As many trials, judged as they come."""
    return study(
        "asha",
        toy("--noise=0.02", sleep=0.1),
        scheduler=rungs_of("ASHA", 1, 9),
        limits={"trials": 40, "parallelism": PARALLELISM},
        seed=12,
    )


@dataclass(frozen=True)
class Sweep:
    """What the sweep left: the studies at their ends, and everything that happened to the killed ones."""

    calm: Running
    halving: Running
    asha: Running
    history: dict[str, list[Change]]
    kills_in_mid_flight: int


@pytest.fixture(scope="module")
def sweep(cluster: Cluster, api: Api) -> Iterator[Sweep]:
    """The undisturbed run goes on beside the disturbed ones, under an operator of its own."""
    moments = random.Random(SEED)
    with namespaces_of(cluster, api) as make:
        at_rest, one, other = (make(prefix) for prefix in ("calm", "killed-halving", "killed-asha"))
        with (
            OperatorProcess(cluster, [at_rest], fresh=False),
            OperatorProcess(cluster, [one, other]) as victim,
            History(api, one) as first,
            History(api, other) as second,
        ):
            calm = Running.apply(api, at_rest, halving())
            killed = Running.apply(api, one, halving()), Running.apply(api, other, asha())
            in_mid_flight = 0
            for kill in range(KILLS):
                enough = len(first) + len(second) + moments.randint(*CHANGES_BETWEEN_KILLS)
                _until_so_many(enough, killed, (first, second))
                time.sleep(moments.uniform(0.0, JITTER_SECONDS))  # not always right after a write
                victim.kill9()
                in_mid_flight += not all(study.condition("Succeeded").get("status") == "True" for study in killed)
                victim.start(fresh=kill % FRESH_EVERY == 0)
            for running in (*killed, calm):
                running.wait("Succeeded", timeout=SWEEP_SECONDS)
                running.wait_no_pods()
            history = {"halving": first.changes("halving"), "asha": second.changes("asha")}
        yield Sweep(calm, *killed, history, in_mid_flight)


def _until_so_many(changes: int, studies: Sequence[Running], histories: Sequence[History]) -> None:
    wait_until(
        f"{changes} changes of the studies were seen, {sum(map(len, histories))} there are",
        lambda: sum(map(len, histories)) >= changes,
        timeout=LULL_SECONDS,
        show=lambda: "\n".join(study.told() for study in studies),
    )


def verdicts(running: Running) -> dict[tuple[int, int], tuple[str, float]]:
    """(trial, rung) -> verdict and value, up to each trial's Stop.

    A trial runs on while a synchronous rung waits for others, so how far beyond its Stop it came is a matter of timing.
    """
    found = {}
    for trial in running.trials():
        for rung in sorted(trial["status"].get("rungs", ()), key=lambda r: int(r["step"])):
            found[trial["spec"]["number"], rung["step"]] = (rung["verdict"], rung["value"])
            if rung["verdict"] == "Stop":
                break
    return found


def test_the_operator_was_killed_while_there_was_work(sweep: Sweep) -> None:
    assert sweep.kills_in_mid_flight == KILLS


def test_the_killed_study_made_the_trials_of_the_undisturbed_one(sweep: Sweep) -> None:
    killed, calm = ({t["spec"]["number"]: t["spec"] for t in s.trials()} for s in (sweep.halving, sweep.calm))
    assert killed == calm


def test_the_killed_study_decided_as_the_undisturbed_one(sweep: Sweep) -> None:
    assert verdicts(sweep.halving) == verdicts(sweep.calm)


def test_the_killed_study_found_the_best_of_the_undisturbed_one(sweep: Sweep) -> None:
    killed, calm = (study.status["best"] for study in (sweep.halving, sweep.calm))
    assert (killed["trial"], killed["value"], killed["parameters"]) == (
        calm["trial"],
        calm["value"],
        calm["parameters"],
    )


@pytest.mark.parametrize("name", ["halving", "asha"])
def test_nothing_was_lost_or_doubled_at_any_write(sweep: Sweep, name: str) -> None:
    assert violations(sweep.history[name], PARALLELISM) == []


@pytest.mark.parametrize("name", ["halving", "asha"])
def test_every_number_was_given_out_once_and_no_trial_was_started_twice(sweep: Sweep, name: str) -> None:
    running: Running = getattr(sweep, name)
    trials = running.trials()
    assert [t["spec"]["number"] for t in trials] == list(range(len(trials)))
    assert all(t["status"]["attempt"] == 1 for t in trials), "a killed operator is no reason to start a trial again"
    assert all(t["status"]["finished"] for t in trials)


def test_every_recorded_decision_is_computed_again_from_those_before_it(sweep: Sweep, api: Api) -> None:
    plan = Plan.of(parse_study(api.get(sweep.asha.path), strict=False))
    facts = [facts_of(Trial.model_validate(document), plan) for document in sweep.asha.trials()]
    assert contradictions(plan, facts) == []
    assert sum(len(f.rungs) for f in facts) >= len(facts), "there were decisions to compute"
    assert any(r.verdict == "Stop" for f in facts for r in f.rungs)
