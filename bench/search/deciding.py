"""What a stop decision costs with 10,000 trials on record: `python -m bench.search.deciding FILE` writes the medians.

judge    the scheduler's own verdict on a new entry, `settle` included where it is synchronous
report   the whole of `Optimizer.report`: folding the observation in, deciding, recording
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rung import Optimizer
from rung.api.study import SchedulerType
from rung.schedule import Asha, Entry, Hyperband, Membership, RungTable, Scheduler

TRIALS = 10_000
ASKED = 100
MOST = 81  # epochs


def judge_ms(scheduler: Scheduler) -> float:
    """Median over `ASKED` entries behind `TRIALS` others."""
    random, table = np.random.default_rng(0), RungTable()
    seconds: list[float] = []
    for number in range(TRIALS + ASKED):
        bracket = scheduler.bracket(number, table)
        entry = Entry(number, scheduler.rungs(bracket)[0], float(random.random()), number + 1)
        began = time.process_time()
        table.add(entry, bracket, scheduler.judge(table, entry, bracket).verdict)
        if scheduler.synchronous and number >= TRIALS:
            heard = number
            scheduler.settle(table, bracket, lambda n, heard=heard: Membership.ALIVE if n > heard else Membership.GONE)
        seconds.append(time.process_time() - began)
    return 1000 * statistics.median(seconds[TRIALS:])


def report_ms(kind: SchedulerType, rungs: Scheduler) -> float:
    """Median over `ASKED` first reports, eight trials running."""
    random = np.random.default_rng(1)
    study: dict[str, Any] = {
        "parameters": [{"name": "x", "type": "Double", "min": 0, "max": 1}],
        "objectives": [{"metric": "y", "direction": "Minimize"}],
        "sampler": {"type": "Random"},
        "scheduler": {"type": kind.value, "resource": {"metric": "epoch", "min": 1, "max": MOST}},
        "limits": {"trials": 2 * TRIALS},
    }
    facts = []
    for number in range(TRIALS):
        x, bracket = float(random.random()), rungs.bracket(number, RungTable())
        step = rungs.rungs(bracket)[0]
        record = {"step": step, "value": x, "order": number + 1, "verdict": "Stop"}
        facts.append(
            {"number": number, "parameters": {"x": x}, "bracket": bracket, "state": "Stopped", "values": {"y": x}}
            | {"rungs": [record], "curve": [{"step": step, "values": {"y": x}}]}
        )
    optimizer = Optimizer.restore(facts, **study)
    running = [optimizer.ask() for _ in range(8)]
    seconds: list[float] = []
    for _ in range(ASKED):
        trial = running.pop(0)
        if trial is None:
            raise AssertionError("half of the trials are left")
        step = rungs.rungs(rungs.bracket(trial.number, RungTable()))[0]
        began = time.process_time()
        optimizer.report(trial.number, step, float(random.random()))
        seconds.append(time.process_time() - began)
        optimizer.tell(trial.number, 0.5)
        running.append(optimizer.ask())
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Both schedulers."""
    made: dict[SchedulerType, Scheduler] = {
        SchedulerType.ASHA: Asha(1, MOST, 3),
        SchedulerType.HYPERBAND: Hyperband(1, MOST, 3),
    }
    found = {
        kind.value: {"judge_ms": round(judge_ms(s), 4), "report_ms": round(report_ms(kind, s), 3)}
        for kind, s in made.items()
    }
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"trials": TRIALS, "schedulers": found}), encoding="utf-8")
    print(found, flush=True)


if __name__ == "__main__":
    main()
