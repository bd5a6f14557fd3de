"""Everything side by side, in one command.

    python -m bench.search [--problems FOLDER] [--suites …] [--methods …] [--seeds 5]

Installs the peers into environments of their own, makes the tables of real trainings, runs every study that is not in the
cache under the present versions, and writes bench/results/search.json, search.svg and the tables of docs/search.md. Stop it at
any moment: the next call goes on. `--report` only writes what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.report import RESULTS, ROOT
from bench.search import environments, methods, report, trained
from bench.search.latency import SIZES
from bench.search.problems import fits, load
from bench.search.work import SUITES

CACHE = Path.home() / ".cache" / "rung" / "search"
SEEDS = 5

MEASURED = ("rung-gp", "rung-tpe", "rung-auto", "rung-forest", "optuna-tpe", "optuna-gp")
"""Methods whose latency is measured."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> int:
    """The exit code is 1 if a study failed."""
    given = _given()
    cache, peers = given.cache, given.peers or given.cache / "peers"
    failed = 0
    if not given.report:
        if not given.no_install:
            environments.install(peers)
        for table in trained.TABLES:
            print(f"==> table {table}", flush=True)
            trained.make(cache, table)
        tasks = _tasks(given)
        for environment in (methods.OURS, *environments.PACKAGES):
            failed += _run(environment, [t for t in tasks if _environment(t["method"]) == environment], given, peers)
        _measure(given, peers)
    known = None if given.anew else report.published()
    problems = load(given.problems, cache)
    report.write(report.build(cache, problems, suites=given.suites, stale=given.stale, published=known))
    _draw(peers)
    return min(failed, 1)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=Path, help="a folder of further problems, with a problems.py")
    parser.add_argument("--suites", nargs="*", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--methods", nargs="*", choices=list(methods.METHODS), default=list(methods.METHODS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"results, tables and environments ({CACHE})")
    parser.add_argument("--peers", type=Path, help="the environments (below the cache)")
    parser.add_argument("--no-install", action="store_true", help="run those peers that are installed")
    parser.add_argument("--report", action="store_true", help="run nothing, write what is there")
    parser.add_argument("--anew", action="store_true", help="take nothing over from the published file")
    parser.add_argument("--stale", action="store_true", help="show rows of ours that older sources made, too")
    return parser.parse_args()


def _environment(method: str) -> str:
    return methods.METHODS[method].environment


def _tasks(given: argparse.Namespace) -> list[dict[str, object]]:
    """By seed first, so that an interrupted run has whole seeds."""
    problems = load(given.problems, given.cache)
    return [
        {"suite": suite, "problem": problem.name, "method": method, "seed": seed}
        for seed in range(given.seeds)
        for suite in given.suites
        for method in given.methods
        if methods.suits(method, suite) and seed < (methods.METHODS[method].seeds or seed + 1)
        for problem in problems
        if fits(problem, suite)
    ]


def _command(environment: str, peers: Path) -> tuple[list[str], dict[str, str]]:
    path = f"{ROOT / 'operator'}:{ROOT}" if environment == methods.OURS else str(ROOT)
    return [str(environments.python(environment, peers))], {**os.environ, **ONE_THREAD, "PYTHONPATH": path}


def _run(environment: str, tasks: Sequence[dict[str, object]], given: argparse.Namespace, peers: Path) -> int:
    if not tasks or not environments.available(environment, peers):
        return 0
    command, variables = _command(environment, peers)
    command += ["-m", "bench.search.work", "--cache", str(given.cache)]
    command += ["--problems", str(given.problems)] if given.problems else []
    lines = "".join(json.dumps(task) + "\n" for task in tasks)
    return subprocess.run(command, input=lines, text=True, env=variables, cwd=ROOT, check=False).returncode


def _measure(given: argparse.Namespace, peers: Path) -> None:
    """Latency and memory, each in a process of its own."""
    for method in (m for m in MEASURED if m in given.methods):
        environment = _environment(method)
        if not environments.available(environment, peers):
            continue
        command, variables = _command(environment, peers)
        for told in SIZES:
            path = given.cache / "latency" / f"{method}-{told}.json"
            done = subprocess.run(
                [*command, "-m", "bench.search.latency", method, str(told), str(path)],
                env=variables,
                cwd=ROOT,
                check=False,
            )
            if done.returncode != 0:
                print(f"latency of {method} at {told}: not measured", file=sys.stderr)

    command, variables = _command(methods.OURS, peers)
    path = given.cache / "deciding.json"
    subprocess.run([*command, "-m", "bench.search.deciding", str(path)], env=variables, cwd=ROOT, check=True)


def _draw(peers: Path) -> None:
    if environments.available(methods.PEERS, peers):
        command, variables = _command(methods.PEERS, peers)
        files = [str(RESULTS / f"{report.NAME}.{ending}") for ending in ("json", "svg")]
        subprocess.run([*command, "-m", "bench.search.figure", *files], env=variables, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
