"""What `rung run` adds to each trial and `rung simulate` decides per second.

    per trial    (wall of a study of many trials - wall of one of few) / the difference in trials, one at a time, minus the same
                 for a bare loop of `subprocess.run`: neither side's start-up counts
    first trial  from the command's start to the first line of the first trial's program
    simulate     likewise by the difference of a long and a short study, so that imports don't count

Run: `python -m bench.local_overhead`
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import ROOT, finish, quick, table
from tests.cluster.studies import study, template

ROUNDS = 5
PROGRAM = "import os, time; open(os.environ['MOMENTS'], 'a').write(f'{time.time()!r}\\n'); print('loss=0.5')"


def environment(**more: str) -> dict[str, str]:
    """Of a command that runs from the source tree."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trial_image'}", **more}


def rung_run(folder: Path, trials: int) -> tuple[float, float]:
    """Seconds of the whole command, and until its first trial's first line."""
    moments = folder / f"moments-{trials}-{time.monotonic_ns()}"
    document = study(
        f"local-{trials}", template([sys.executable, "-c", PROGRAM]), limits={"trials": trials, "parallelism": 1}
    )
    file = folder / f"study-{trials}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "rung.cli",
        "run",
        str(file),
        "--fresh",
        "--quiet",
        "--state",
        str(folder / "state"),
    ]
    began, wall_began = time.monotonic(), time.time()
    done = subprocess.run(
        command, env=environment(MOMENTS=str(moments)), capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    seconds = time.monotonic() - began
    lines = moments.read_text(encoding="ascii").split()
    if len(lines) != trials:
        raise RuntimeError(f"{len(lines)} trials ran, expected {trials}")
    return seconds, min(map(float, lines)) - wall_began


def bare_loop(folder: Path, trials: int) -> float:
    """The same program, as often, without anything around it."""
    began = time.monotonic()
    for _ in range(trials):
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment(MOMENTS=str(folder / "bare")),
            capture_output=True,
            check=True,
        )
    return time.monotonic() - began


def simulate(folder: Path, trials: int) -> float:
    """Seconds of `rung simulate` on a study of Random trials."""
    document = study(
        f"simulated-{trials}",
        template(["true"]),
        sampler={"type": "Random"},
        limits={"trials": trials, "parallelism": 8},
    )
    file = folder / f"simulated-{trials}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    began = time.monotonic()
    command = [sys.executable, "-m", "rung.cli", "simulate", str(file), "--json"]
    subprocess.run(command, env=environment(), capture_output=True, check=True, timeout=300)
    return time.monotonic() - began


def main() -> None:
    """Measure, print, write."""
    small = quick(__doc__)
    few, many, rounds = (2, 7, 1) if small else (5, 45, ROUNDS)
    short, long = (200, 1200) if small else (1_000, 11_000)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(rounds):
            (seconds_few, first), (seconds_many, _) = rung_run(folder, few), rung_run(folder, many)
            ours = (seconds_many - seconds_few) / (many - few)
            bare = (bare_loop(folder, many) - bare_loop(folder, few)) / (many - few)
            decided = (long - short) / (simulate(folder, long) - simulate(folder, short))
            runs.append(
                {
                    "per_trial_ms": round(1000 * ours, 1),
                    "bare_ms": round(1000 * bare, 1),
                    "added_ms": round(1000 * (ours - bare), 1),
                    "first_trial_seconds": round(first, 3),
                    "simulated_trials_per_second": round(decided),
                }
            )
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    header = ("", "per trial ms", "bare ms", "added ms", "first trial s", "simulated trials/s")
    rows = [(f"run {i + 1}", *run.values()) for i, run in enumerate(runs)] + [("median", *medians.values())]
    print(table("rung run, one trial at a time, and rung simulate", rows, header))
    finish("local_overhead", {"runs": runs, "medians": medians}, small=small)


if __name__ == "__main__":
    main()
