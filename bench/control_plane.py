"""Trials per second against the control plane's own floor: 1,000 short trials at parallelism 100 on the simulated node.

The floor is what the same pods reach as bare Jobs on the same control plane in the same run, kept at the same parallelism by a
plain loop, which is told of finished Jobs by a watch or asks by LIST (bare_jobs.py). A pod costs the simulated node two writes
and runs half a second, so what is measured is API server, etcd, scheduler, Job controller, and the operator beside them, all on
the cores of one machine. The operator's limit of writes per second is lifted; what it does as shipped is measured too.
Run: `python -m bench.control_plane`
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.bare_jobs import run_bare
from bench.report import finish, quick, table
from bench.stage import Stage, cpu_seconds, difference, stage
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, study

PARALLELISM = 100
ROUNDS = 2
SETTLED_SECONDS = 2.0  # an operator that has been up for a while: its watches stand
UNLIMITED = 100_000.0
SCRIPT = {"curve": {"loss": {"start": 1, "end": 0.1, "rate": 0.3}}, "steps": 5, "stepSeconds": 0.1}
MIB = 1024 * 1024


def pod_template() -> dict[str, Any]:
    """Half a second on the simulated node, five steps of a curve."""
    container = {"name": "trial", "image": "rung-trial:dev", "resources": {"limits": {"rung.dev/simulated": 1}}}
    return {
        "metadata": {"annotations": {"rung.dev/simulate": json.dumps(SCRIPT)}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def one_study(on: Stage, trials: int, *, write_rate: float | None) -> dict[str, Any]:
    """Trials per second of a study, from its apply to its Succeeded, and the operator's memory."""
    namespace = on.namespace("study")
    document = study(
        "many",
        {"podTemplate": pod_template()},
        sampler={"type": "Random"},
        limits={"trials": trials, "parallelism": PARALLELISM},
        scheduler={"type": "None", "resource": {"metric": "step", "min": 1, "max": 5}},
    )
    with OperatorProcess(on.cluster, [namespace], write_rate=write_rate) as operator:
        time.sleep(SETTLED_SECONDS)
        before, cpu = on.writes(), on.cpu_seconds() | {"operator": cpu_seconds(operator.pid)}
        began = time.monotonic()
        running = Running.apply(on.api, namespace, document)
        deadline = began + 60 + trials
        while running.condition("Succeeded").get("status") != "True":
            if time.monotonic() > deadline:
                raise TimeoutError(f"not over: {running.status.get('trials')}\n{operator.log_end()}")
            time.sleep(0.2)
        seconds = time.monotonic() - began
        now, peak = operator.resident_bytes()
        written = difference(on.writes(), before)
        used = {name: on.cpu_seconds().get(name, cpu_seconds(operator.pid)) - cpu[name] for name in cpu}
        counts = running.status["trials"]
    on.gone(running.path)
    if counts["succeeded"] != trials:
        raise RuntimeError(f"{counts} of {trials} trials")
    return {
        "per_second": round(trials / seconds, 1),
        "seconds": round(seconds, 1),
        "writes_per_trial": round(sum(written.values()) / trials, 1),
        "writes": written,
        "cpu_ms_per_trial": {name: round(1000 * seconds / trials, 1) for name, seconds in used.items()},
        "operator_mib": {"at_the_end": round(now / MIB, 1), "peak": round(peak / MIB, 1)},
    }


def bare(on: Stage, jobs: int, *, watch: bool) -> dict[str, Any]:
    """Jobs per second of a plain loop."""
    namespace = on.namespace("bare")
    before, cpu = on.writes(), on.cpu_seconds()
    seconds = run_bare(on.api, namespace, pod_template(), jobs=jobs, parallelism=PARALLELISM, watch=watch)
    written = difference(on.writes(), before)
    used = {name: now - cpu[name] for name, now in on.cpu_seconds().items()}
    on.gone(f"/api/v1/namespaces/{namespace}")
    return {
        "per_second": round(jobs / seconds, 1),
        "seconds": round(seconds, 1),
        "writes_per_trial": round(sum(written.values()) / jobs, 1),
        "writes": written,
        "cpu_ms_per_trial": {name: round(1000 * seconds / jobs, 1) for name, seconds in used.items()},
    }


def share_of(runs: Mapping[str, Sequence[Mapping[str, Any]]], floor: str) -> dict[str, Any]:
    """Our rate over the floor's, round by round: neighbours in time share what else the machine does."""
    pairs = zip(runs["rung"], runs[floor], strict=True)
    rounds = sorted(round(ours["per_second"] / bare["per_second"], 3) for ours, bare in pairs)
    return {"median": statistics.median(rounds), "rounds": rounds}


def main() -> None:
    """Measure in turns, print, write."""
    small = quick(__doc__)
    trials, rounds = (100, 1) if small else (1_000, ROUNDS)
    runs: dict[str, list[dict[str, Any]]] = {"bare jobs, watch": [], "bare jobs, list": [], "rung": []}
    with stage(simulated=True) as on:
        for _ in range(rounds):
            runs["bare jobs, watch"].append(bare(on, trials, watch=True))
            runs["rung"].append(one_study(on, trials, write_rate=UNLIMITED))
            runs["bare jobs, list"].append(bare(on, trials, watch=False))
        runs["rung, as shipped"] = [one_study(on, trials, write_rate=None)]
    shares = {floor: share_of(runs, floor) for floor in ("bare jobs, watch", "bare jobs, list")}
    rows = [
        (name, run["per_second"], run["seconds"], run["writes_per_trial"], run.get("operator_mib", {}).get("peak", ""))
        for name, found in runs.items()
        for run in found
    ]
    header = ("", "per second", "seconds", "writes per trial", "operator MiB, peak")
    print(table(f"{trials} trials of half a second, {PARALLELISM} at a time, on the simulated node", rows, header))
    for floor, share in shares.items():
        low, high = share["rounds"][0], share["rounds"][-1]
        print(f"  of {floor}: {share['median']:.0%} (rounds from {low:.0%} to {high:.0%})")
    finish("control_plane", {"trials": trials, "parallelism": PARALLELISM, "runs": runs, "shares": shares}, small=small)


if __name__ == "__main__":
    main()
