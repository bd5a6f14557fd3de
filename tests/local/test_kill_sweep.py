"""Guarantee 3 under kill -9, on this machine: `rung run` dies at 20 random moments, and nobody can tell afterwards.

As on the cluster (`tests/cluster/test_kill_sweep.py`), one study whose decisions don't hang on the order of arrival is compared
with an undisturbed run, and asynchronous ones are held to the invariants. A killed run takes its trials with it, so an attempt
may have to be repeated; what is never right is two processes of one trial, or more than the parallelism, at the same time: each
process of a trial holds locks that tell.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rung.api.facts import TrialFacts
from rung.api.study import Study
from rung.brain import Plan
from rung.brain.replay import contradictions
from rung.executor.record import facts_of
from rung.local.run import Options, run_study
from rung.local.state import State
from rung.simulate.engine import simulate_now
from rung.view.shown import Look
from tests.executor.contract import CHECKPOINTS, ReplayedCurves, a_population, a_study, scheduled, told
from tests.forked import forks
from tests.local.conftest import processes_of

KILLS = 21  # of all studies together
SEED = 3
ROUNDS_BETWEEN_KILLS = 1, 9  # a round follows each piece of news: a life ends amid writes, on any machine
JITTER_SECONDS = 0.03
PARALLELISM = 3
TRIALS = 45
POPULATION = 8
WITHIN = 60.0

# The curve of tests/executor/replay.py, by a process that first makes sure of being alone.
ALONE = """
import fcntl, json, os, sys, time
locks, trial = sys.argv[1], os.environ["RUNG_TRIAL_NUMBER"]
held = []
def take(name):
    held.append(open(os.path.join(locks, name), "w"))
    try:
        fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
if not take(f"trial-{trial}"):
    open(os.path.join(locks, f"doubled-{trial}"), "w")
if not any(take(f"slot-{slot}") for slot in range(int(sys.argv[2]))):
    open(os.path.join(locks, f"crowded-{trial}"), "w")
x = json.loads(os.environ["RUNG_PARAMETERS"])["x"]
begins = int(os.environ.get("RUNG_RESUME_FROM", "").rpartition("step-")[2] or 0)
for step in range(begins + 1, int(os.environ["RUNG_RESOURCE_TARGET"]) + 1):
    time.sleep(0.03)
    print(json.dumps({"epoch": step, "loss": (x - 0.3) ** 2 + 1 / step, "checkpoint_step": step}), flush=True)
"""


def swept(kind: str, locks: Path) -> Study:
    """Over the rungs 1, 3 and 9: five cohorts of nine where there are cohorts."""
    command = [sys.executable, "-E", "-S", "-c", ALONE, str(locks), str(PARALLELISM)]
    container = {"name": "trial", "image": "none", "command": command}
    template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}
    limits = {"trials": TRIALS, "parallelism": PARALLELISM}
    scheduler = a_population(POPULATION) if kind == "PBT" else scheduled(kind)
    trial = {"podTemplate": template, **(CHECKPOINTS if kind == "PBT" else {})}
    return a_study(trial=trial, sampler={"type": "Sobol"}, scheduler=scheduler, limits=limits)


class Telling:
    """A watcher that says so after every round."""

    def __init__(self, rounds: Connection) -> None:
        self._rounds = rounds

    def note(self, text: str) -> None:
        """Nothing: only rounds count."""

    def look(self, look: Look) -> None:
        """One byte."""
        self._rounds.send_bytes(b"!")


def one_life(study: Study, state: Path, rounds: Connection) -> None:
    """`rung run` in a process of its own, without what a terminal needs."""
    asyncio.run(run_study(study, "", Options(state), Telling(rounds)))


def live(study: Study, state: Path, rounds: int | None, jitter: float = 0.0) -> bool:
    """Run it for so many rounds and kill it, or to its end. True if it was killed while it had work to do."""
    ours, theirs = forks().Pipe(duplex=False)
    process = forks().Process(target=one_life, args=(study, state, theirs), daemon=True)
    process.start()
    theirs.close()
    seen, deadline = 0, time.monotonic() + WITHIN
    try:
        while rounds is None or seen < rounds:
            assert ours.poll(max(deadline - time.monotonic(), 0)), f"only {seen} rounds in {WITHIN:g} s"
            ours.recv_bytes()
            seen += 1
    except EOFError:  # it has come to its end
        process.join(WITHIN)
        assert process.exitcode == 0
        return False
    time.sleep(jitter)  # not always right after a round
    process.kill()
    process.join(WITHIN)
    return process.exitcode == -signal.SIGKILL


@dataclass(frozen=True)
class Sweep:
    """What is left of a study whose runs were killed."""

    plan: Plan
    trials: Sequence[TrialFacts]
    locks: Path
    state: Path
    killed: int


def sweep(kind: str, folder: Path, moments: random.Random, kills: int) -> Sweep:
    locks, state = folder / "locks", folder / "state"
    locks.mkdir()
    study = swept(kind, locks)
    killed = sum(
        live(study, state, moments.randint(*ROUNDS_BETWEEN_KILLS), moments.uniform(0, JITTER_SECONDS))
        for _ in range(kills)
    )
    live(study, state, None)
    plan = Plan.of(study)
    return Sweep(plan, [facts_of(trial, plan) for trial in State(state).trials()], locks, state, killed)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sweep]:
    moments = random.Random(SEED)
    kinds = ("SuccessiveHalving", "ASHA", "PBT")
    return {kind: sweep(kind, tmp_path_factory.mktemp("sweep"), moments, KILLS // len(kinds)) for kind in kinds}


def test_the_runs_were_killed_while_there_was_work(sweeps: dict[str, Sweep]) -> None:
    assert sum(one.killed for one in sweeps.values()) == KILLS


def test_synchronous_rungs_decided_as_if_undisturbed(sweeps: dict[str, Sweep]) -> None:
    killed = sweeps["SuccessiveHalving"]
    undisturbed = simulate_now(killed.plan, ReplayedCurves())
    assert told(killed.trials, order=False) == told(undisturbed.trials, order=False)


@pytest.mark.parametrize("kind", ["ASHA", "PBT"])
def test_every_recorded_decision_is_computed_again_from_those_before_it(sweeps: dict[str, Sweep], kind: str) -> None:
    killed = sweeps[kind]
    assert contradictions(killed.plan, killed.trials) == []
    assert any(record.verdict == "Stop" for facts in killed.trials for record in facts.rungs)


def test_every_member_that_was_stopped_was_replaced_once(sweeps: dict[str, Sweep]) -> None:
    killed = sweeps["PBT"]
    stopped = [f.number for f in killed.trials if any(record.verdict == "Stop" for record in f.rungs)]
    assert sorted(f.descent.replaces for f in killed.trials if f.descent) == stopped
    assert sum(f.descent is None for f in killed.trials) == TRIALS


@pytest.mark.parametrize("kind", ["SuccessiveHalving", "ASHA", "PBT"])
def test_nothing_was_lost_doubled_or_left(sweeps: dict[str, Sweep], kind: str) -> None:
    killed = sweeps[kind]
    clones = sum(facts.descent is not None for facts in killed.trials)
    assert [facts.number for facts in killed.trials] == list(range(TRIALS + clones))
    assert all(facts.finished and facts.crashes == 0 for facts in killed.trials)
    assert max(facts.attempt for facts in killed.trials) > 1, "some attempt had to be repeated"
    orders = sorted(record.order for facts in killed.trials for record in facts.rungs)
    assert orders == list(range(1, len(orders) + 1)), "each verdict was recorded once"
    assert [path.name for path in killed.locks.iterdir() if path.name.startswith(("doubled", "crowded"))] == []
    assert processes_of(killed.state) == []
