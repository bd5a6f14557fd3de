"""How fast a slot is filled again: 12 trials of 2 s at 3 in parallel, against the same pods as bare Jobs in a plain loop.

Both run on the same control plane, one after the other; moments are those at which a watch of the pods was told. The work alone
takes 8 s. Run: `python -m bench.refill`
"""

from __future__ import annotations

import time
from typing import Any

from bench.bare_jobs import STUDY, run_bare
from bench.report import finish, quick, summary, table
from bench.stage import Stage, difference, stage
from tests.cluster.history import History, Moments
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, study, toy

PARALLELISM = 3
TRIAL_SECONDS = 2.0
ROUNDS = 3
SETTLED_SECONDS = 2.0  # an operator that has been up for a while: its watches stand


def one_study(on: Stage, trials: int) -> dict[str, Any]:
    """The figures of one study, from its apply to its Succeeded."""
    namespace = on.namespace("study")
    document = study(
        "refill", toy(epochs=1, sleep=TRIAL_SECONDS), limits={"trials": trials, "parallelism": PARALLELISM}
    )
    with OperatorProcess(on.cluster, [namespace]), History(on.api, namespace) as history:
        time.sleep(SETTLED_SECONDS)
        before = on.writes()
        began = time.monotonic()
        running = Running.apply(on.api, namespace, document)
        running.wait("Succeeded", timeout=60 + 4 * trials)
        wall = time.monotonic() - began
        time.sleep(1.0)  # the last Jobs' deletions and the last events are part of the price
        written = difference(on.writes(), before)
        moments = Moments.of(history.changes())
    return figures(wall, began, moments, written, trials)


def bare(on: Stage, trials: int) -> dict[str, Any]:
    """The same pods without a study."""
    namespace = on.namespace("bare")
    given = toy("--x=0.5", "--y=0.5", epochs=1, sleep=TRIAL_SECONDS)["podTemplate"]
    given["spec"]["containers"][0]["args"] = [a for a in given["spec"]["containers"][0]["args"] if "$(" not in a]
    with History(on.api, namespace) as history:
        before = on.writes()
        began = time.monotonic()
        wall = run_bare(on.api, namespace, given, jobs=trials, parallelism=PARALLELISM)
        written = difference(on.writes(), before)
        moments = Moments.of(history.changes(STUDY))
    return figures(wall, began, moments, written, trials)


def figures(wall: float, began: float, moments: Moments, written: dict[str, int], trials: int) -> dict[str, Any]:
    """What both have in common."""
    return {
        "wall_seconds": round(wall, 2),
        "first_running_seconds": round(moments.starts[0] - began, 3),
        "end_to_next_start_seconds": summary(moments.refills(PARALLELISM)),
        "writes_per_trial": round(sum(written.values()) / trials, 1),
        "writes": written,
    }


def main() -> None:
    """Measure both, several times, in turns."""
    small = quick(__doc__)
    trials, rounds = (6, 1) if small else (12, ROUNDS)
    results: dict[str, list[dict[str, Any]]] = {"rung": [], "bare_jobs": []}
    with stage() as on:
        for _ in range(rounds):
            results["rung"].append(one_study(on, trials))
            results["bare_jobs"].append(bare(on, trials))
    rows = [
        (
            name,
            i + 1,
            f"{r['wall_seconds']:.1f}",
            f"{r['first_running_seconds']:.2f}",
            f"{r['end_to_next_start_seconds']['median']:.2f}",
            f"{r['end_to_next_start_seconds']['max']:.2f}",
            f"{r['writes_per_trial']:.1f}",
        )
        for name, runs in results.items()
        for i, r in enumerate(runs)
    ]
    work = TRIAL_SECONDS * trials / PARALLELISM
    title = f"{trials} trials of {TRIAL_SECONDS:g} s, {PARALLELISM} at a time (the work alone: {work:g} s)"
    header = ("", "run", "wall s", "first running s", "end to next start s", "max s", "writes per trial")
    print(table(title, rows, header))
    finish("refill", {"trials": trials, "parallelism": PARALLELISM, "work_seconds": work, "runs": results}, small=small)


if __name__ == "__main__":
    main()
