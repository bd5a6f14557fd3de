"""Runs studies that are not in the cache yet, in the interpreter that has the method's packages.

    python -m bench.search.work --cache FOLDER [--problems FOLDER] < tasks.jsonl

A task is a line {"suite", "problem", "method", "seed"}. A row's file is named by these, and holds under which versions it was
made; one made under others is made again. Interrupted anywhere, the next call goes on behind the last finished study.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.search import methods
from bench.search.clock import evaluations, trainings
from bench.search.methods.protocol import Task
from bench.search.problem import Problem
from bench.search.problems import load

PROTOCOL = 1
"""Of problems and clock: rows of another number are made again."""


class Suite(NamedTuple):
    """One way to compare."""

    trials: int
    workers: int
    curves: bool = False


SUITES = {
    "sequential": Suite(100, 1),
    "parallel": Suite(100, 8),
    "curves": Suite(100_000, 8, curves=True),
    "constrained": Suite(100, 1),
    "pareto": Suite(60, 1),
    "cells": Suite(300, 1),
}


def path_of(cache: Path, row: Mapping[str, Any]) -> Path:
    """Where a row is kept."""
    return cache / row["suite"] / row["problem"] / f"{row['method']}-{row['seed']}.json"


def kept(cache: Path, row: Mapping[str, Any], version: str | None = None) -> dict[str, Any] | None:
    """The row, if there is one of this protocol (and version)."""
    try:
        found: dict[str, Any] = json.loads(path_of(cache, row).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found["protocol"] != PROTOCOL or (version is not None and found["version"] != version):
        return None
    return found


def study(row: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Run one."""
    suite = SUITES[row["suite"]]
    epochs = problem.epochs if suite.curves else 0
    task = Task(problem, row["seed"], suite.trials, suite.workers, epochs)
    method = methods.make(row["method"], task)
    began = time.perf_counter()
    trace = trainings(method, task) if suite.curves else evaluations(method, task)
    return {**row, **trace.document(), "seconds": round(time.perf_counter() - began, 2)}


def main() -> int:
    """The exit code is the number of studies that failed, at most 100."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--problems", type=Path, default=None)
    given = parser.parse_args()
    problems = {problem.name: problem for problem in load(given.problems, given.cache)}
    failed = 0
    for line in sys.stdin:
        row = json.loads(line)
        version = methods.version(row["method"])
        if kept(given.cache, row, version) is not None:
            continue
        try:
            done = study(row, problems[row["problem"]])
        except Exception as error:  # noqa: BLE001 - a peer that fails on one problem is a finding, not our end
            print(f"FAILED {line.strip()}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            failed += 1
            continue
        path = path_of(given.cache, row)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps({**done, "version": version, "protocol": PROTOCOL}), encoding="utf-8")
        unfinished.replace(path)
        print(f"{row['suite']} {row['problem']} {row['method']} {row['seed']}: {done['seconds']} s", flush=True)
    return min(failed, 100)


if __name__ == "__main__":
    sys.exit(main())
