"""`rung simulate`."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rung.api.study import Study
from rung.brain import Plan
from rung.cli.documents import read_study
from rung.executor.sources import Past, started_from
from rung.local.sources import past
from rung.simulate.engine import simulate
from rung.simulate.report import Best, Report, curve_source, report_of
from rung.simulate.sources import simulated_past
from rung.view import wording

SUCCEEDED, FAILED = 0, 1


def main(given: argparse.Namespace) -> int:
    """Simulate the study once per seed. Raises RungError where it cannot run or the curves cannot be read."""
    study, _ = read_study(given.study)
    before = [read_study(name)[0] for name in given.after]
    reports = []
    for seed in range(study.spec.seed, study.spec.seed + given.seeds):
        report = simulated(study, seed, given.curves, before, Path(given.state))
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


def simulated(study: Study, seed: int, curves: str, before: Sequence[Study], state: Path) -> Report:
    """The study with that seed, whatever its own is, behind those that come `before` it."""
    return asyncio.run(_in_turn([*before, study], seed, curves, state))


async def _in_turn(studies: Sequence[Study], seed: int, curves: str, state: Path) -> Report:
    """Each study in turn; one that names others starts from those before it, and from what `rung run` has left."""
    pasts: dict[str, Past] = {}

    async def plan_of(study: Study) -> Plan:
        spec = study.spec.model_copy(update={"seed": seed, "suspend": False})
        plan = Plan.of(study.model_copy(update={"spec": spec}))
        found = [pasts.get(name) or await past(name, state, note) for name in plan.awaits]
        return started_from(plan, found) if found else plan

    *before, last = studies
    for study in before:
        plan = await plan_of(study)
        pasts[study.metadata.name] = await simulated_past(plan, curve_source(plan, curves))
    plan = await plan_of(last)
    source = curve_source(plan, curves)
    began = time.perf_counter()
    result = await simulate(plan, source)
    return report_of(plan, result, time.perf_counter() - began)


def note(text: str) -> None:
    """One line beside the result."""
    print(text, file=sys.stderr)


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
