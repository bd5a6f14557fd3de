"""`rung simulate`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from rung.api.study import Study
from rung.brain import Plan
from rung.cli.documents import read_study
from rung.simulate.engine import simulate_now
from rung.simulate.report import Best, Report, curve_source, report_of
from rung.view import wording

SUCCEEDED, FAILED = 0, 1


def main(given: argparse.Namespace) -> int:
    """Simulate the study once per seed. Raises RungError where it cannot run or the curves cannot be read."""
    study, _ = read_study(given.study)
    reports = []
    for seed in range(study.spec.seed, study.spec.seed + given.seeds):
        report = simulated(study, seed, given.curves)
        reports.append(report)
        if not given.json:
            _print(report, brief=given.seeds > 1)
    if given.json:
        documents = [report.document() for report in reports]
        json.dump(documents if given.seeds > 1 else documents[0], sys.stdout, indent=1, allow_nan=False)
        print()
    elif given.seeds > 1:
        _print_all(reports)
    return SUCCEEDED if all(report.state != "Failed" for report in reports) else FAILED


def simulated(study: Study, seed: int, curves: str) -> Report:
    """The study with that seed, whatever its own is."""
    spec = study.spec.model_copy(update={"seed": seed, "suspend": False})
    plan = Plan.of(study.model_copy(update={"spec": spec}))
    source = curve_source(plan, curves)
    began = time.perf_counter()
    result = simulate_now(plan, source)
    return report_of(plan, result, time.perf_counter() - began)


def _print(report: Report, *, brief: bool) -> None:
    best = _said(report.best)
    if brief:
        print(
            f"seed {report.seed}: {report.reason}, {best}, {report.trials} trials, {report.share:.0%} of full training"
        )
        return
    print(f"{report.study}: {report.state} ({report.reason}) in simulation")
    print(f"best    {best}")
    if report.best is not None:
        print("        " + " ".join(f"{name}={text}" for name, text in report.best.parameters.items()))
    print(f"trials  {report.trials}, {report.stopped} of them stopped")
    full = f"{report.steps:.0f} of {report.full_steps} steps that full training takes ({report.share:.0%})"
    print(f"trained {full}")
    print(
        f"time    {wording.time(report.virtual_seconds)} of virtual time; decided in {wording.time(report.seconds)}",
        end="",
    )
    print(f" ({report.trials_per_second:.0f} trials per second)")


def _print_all(reports: list[Report]) -> None:
    names = list(reports[0].best.values) if reports[0].best is not None else []
    for name in names:
        values = sorted(report.best.values[name] for report in reports if report.best is not None)
        low, middle, high = (wording.number(v) for v in (values[0], statistics.median(values), values[-1]))
        print(f"{name}: median {middle}, from {low} to {high} over {len(values)} seeds")


def _said(best: Best | None) -> str:
    if best is None:
        return "no result"
    values = ", ".join(f"{name} {wording.number(value)}" for name, value in best.values.items())
    return f"trial {best.trial}: {values}" + ("" if best.complete else " (stopped early)")
