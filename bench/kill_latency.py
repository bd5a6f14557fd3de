"""From a metric to the end of its trial: 200 trials that a scheduler stops while they run.

    reported -> deleted   the trial's own clock when it reported the value at the rung, to the moment at which a watch was told
                          that its Job is gone; contains the wait for the next scrape (half an interval on average)
    scraped -> deleted    by the operator's own histogram rung_metric_to_kill_seconds (upper ends of buckets)

Both clocks are this machine's. Run: `python -m bench.kill_latency`
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import finish, quick, summary, table
from bench.stage import Stage, stage
from tests.cluster.history import Change, History
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, rungs_of, study, template

INTERVAL_SECONDS = 1
PARALLELISM = 8
HISTOGRAM = "rung_metric_to_kill_seconds"
PROGRAM = """
import os, sys, time
import rung_trial
with rung_trial.start() as trial:
    for epoch in trial.steps(default=27):
        time.sleep(0.3)
        trial.report(step=epoch, loss=1 / epoch + trial.parameters["x"])
        if epoch in (1, 3, 9):
            with open(os.path.join(sys.argv[1], os.environ["RUNG_TRIAL_NUMBER"] + "-" + str(epoch)), "w") as moment:
                moment.write(repr(time.time()))
"""


def measure(on: Stage, stops: int) -> tuple[list[float], dict[str, float]]:
    """Latencies of trials that were stopped at a rung while they ran, and the operator's histogram."""
    namespace = on.namespace("kill")
    with (
        tempfile.TemporaryDirectory() as folder,
        OperatorProcess(on.cluster, [namespace]) as operator,
        History(on.api, namespace) as history,
    ):
        document = study(
            "kill",
            template(["python", "-c", PROGRAM, folder]),
            metrics={"source": "Http", "intervalSeconds": INTERVAL_SECONDS},
            scheduler=rungs_of("ASHA", 1, 27, "epoch"),
            limits={"trials": 10 * stops, "parallelism": PARALLELISM},
        )
        running = Running.apply(on.api, namespace, document)
        deadline = time.monotonic() + 60 + 3 * stops
        while running.status.get("trials", {}).get("stopped", 0) < stops:
            if time.monotonic() > deadline:
                raise TimeoutError(running.told())
            time.sleep(0.5)
        running.patch(finish=True)
        running.wait("Succeeded")
        metrics = operator.metrics()
        latencies = [
            latency
            for trial in running.trials()
            if (latency := _latency(trial, history.changes(), Path(folder))) is not None
        ]
    return latencies, {name: value for name, value in metrics.items() if name.startswith(HISTOGRAM)}


def _latency(trial: dict[str, Any], changes: list[Change], folder: Path) -> float | None:
    """Seconds from the report to the Job's deletion; None for a trial that no rung stopped."""
    rungs = trial["status"].get("rungs", ())
    stop = next((r for r in rungs if r["verdict"] == "Stop"), None)
    if stop is None:
        return None
    number = trial["spec"]["number"]
    reported = float((folder / f"{number}-{stop['step']}").read_text(encoding="ascii"))
    gone = next(
        (c.event.at for c in changes if c.kind == "jobs" and c.event.type == "DELETED" and c.attempt[0] == number), None
    )
    if gone is None:
        return None
    to_wall = time.time() - time.monotonic()
    return gone + to_wall - reported


def bucket_quantile(histogram: dict[str, float], q: float) -> float | None:
    """Upper end of the bucket that holds the quantile; None where nothing was counted."""
    total = histogram.get(f"{HISTOGRAM}_count", 0.0)
    if not total:
        return None
    ends = sorted(
        (float(name.split('le="')[1].rstrip('"}')), count) for name, count in histogram.items() if 'le="' in name
    )
    return next((end for end, count in ends if count >= q * total), None)


def main() -> None:
    """Measure, print, write."""
    small = quick(__doc__)
    with stage() as on:
        latencies, histogram = measure(on, 10 if small else 200)
    reported = summary(latencies)
    scraped = {"n": int(histogram.get(f"{HISTOGRAM}_count", 0))} | {
        name: bucket_quantile(histogram, q) for name, q in (("median", 0.5), ("p99", 0.99))
    }
    rows = [
        ("reported -> deleted", reported["n"], reported["median"], reported["p99"]),
        ("scraped -> deleted (at most)", scraped["n"], scraped["median"], scraped["p99"]),
    ]
    print(table(f"stopped at a rung, scraped every {INTERVAL_SECONDS} s", rows, ("", "n", "median s", "p99 s")))
    result = {"interval_seconds": INTERVAL_SECONDS, "reported_to_deleted": reported, "scraped_to_deleted": scraped}
    finish("kill_latency", result, small=small)


if __name__ == "__main__":
    main()
