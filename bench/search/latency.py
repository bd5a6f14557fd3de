"""What an `ask` costs: time at 100 to 10,000 told trials, the first one with its import, and the process's peak memory.

Each figure is processor time on one thread in a process of its own (the first ask: since that process began), in a space of eight
parameters (six real, one whole, one choice) whose results are told beforehand; the median of as many asks as fit into a minute.
`python -m bench.search.latency METHOD N FILE` writes one of them.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from bench.search import methods
from bench.search.methods.protocol import Task
from bench.search.problem import Config, Outcome, Parameter, Problem

SIZES = (100, 500, 2_000, 10_000)
ASKS = 15
SECONDS = 60.0  # after which fewer asks have to do


class Eight(Problem):
    """A bowl with a choice."""

    def __init__(self) -> None:
        space = [Parameter(f"x{i}") for i in range(6)]
        space += [Parameter("k", "int", 1, 64, log=True), Parameter("c", "cat", choices=("a", "b", "c"))]
        super().__init__("eight", tuple(space))

    def truth(self, config: Config) -> Outcome:
        """Smooth, with a few waves."""
        u = np.array([p.encode(config[p.name]) for p in self.space])
        return Outcome((float(np.sum((u - 0.4) ** 2) + 0.1 * np.sum(np.sin(9 * u))),))


def measure(name: str, told: int) -> dict[str, float]:
    """A first ask, then `told` results that were not asked for, then the asks that count."""
    problem = Eight()
    method = methods.make(name, Task(problem, 0, told + 2 * ASKS))
    method.ask()
    first = time.process_time()
    random = np.random.default_rng(0)
    configs = [problem.sample(random) for _ in range(told)]
    method.fill([(config, problem.truth(config)) for config in configs])
    seconds: list[float] = []
    began = time.perf_counter()
    while len(seconds) < ASKS and (len(seconds) < 3 or time.perf_counter() - began < SECONDS):
        before = time.process_time()
        asked = method.ask()
        seconds.append(time.process_time() - before)
        if asked is None:
            break
        method.tell(asked.number, problem.truth(asked.config))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ask_ms = 1000 * statistics.median(seconds)
    return {"told": told, "ask_ms": round(ask_ms, 2), "first_s": round(first, 3), "peak_mib": round(peak, 1)}


def main() -> None:
    """One measurement, written to a file unless it is there already under this version."""
    name, told, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    version = methods.version(name)
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["version"] == version:
        return
    figures = measure(name, told)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"method": name, "version": version, "figures": figures}), encoding="utf-8")
    print(f"latency {name} {figures}", flush=True)


if __name__ == "__main__":
    main()
