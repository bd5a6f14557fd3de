"""`rung validate`."""

from __future__ import annotations

import argparse
import sys

from rung.api.errors import InvalidStudy, RungError
from rung.api.implemented import check_runnable
from rung.brain import Plan
from rung.brain.population import remark
from rung.cli.documents import Source, read_sources
from rung.kube.render import check_pod_template

GOOD, BAD = 0, 2


def main(given: argparse.Namespace) -> int:
    """Say of each study whether it can run. Problems go to stdout, since they are the answer."""
    problems = 0
    for name in given.studies:
        try:
            sources = read_sources(name)
        except RungError as error:
            print(error)
            problems += 1
            continue
        for source in sources:
            try:
                print(f"{source.label}: {_can_run(source)}")
            except InvalidStudy as problem:
                print(f"{source.label}: {problem}")
                problems += 1
    if problems:
        print(f"{problems} of them cannot run", file=sys.stderr)
    return BAD if problems else GOOD


def _can_run(source: Source) -> str:
    """That it can, and what is remarkable about it. Raises InvalidStudy: why it cannot."""
    plan = Plan.of(source.study())
    check_runnable(plan.spec)
    check_pod_template(plan.study)
    note = remark(plan)
    return f"can run; {note}" if note else "can run"
