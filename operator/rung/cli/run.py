"""`rung run`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from pathlib import Path

from rung.brain import StudyState
from rung.cli.documents import read_study
from rung.local.run import Options, Ran, run_study
from rung.view.deferred import DeferredLiveView
from rung.view.plain import PlainView

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(given: argparse.Namespace) -> int:
    """Run the study to its end. Raises RungError where it cannot run."""
    study, text = read_study(given.study)
    options = Options(
        directory=Path(given.state) / study.metadata.name,
        fresh=given.fresh,
        gpus=given.gpus,
        parallelism=given.parallelism,
        pin_cpus=given.pin_cpus,
    )
    view: PlainView | DeferredLiveView = DeferredLiveView() if _on_a_terminal(given) else PlainView(quiet=given.quiet)
    try:
        ran = asyncio.run(run_study(study, text, options, view))
    finally:
        view.close()
    view.conclude()
    if ran.interrupted:
        print(f"interrupted; to go on: {_again(given)}", file=sys.stderr)
    elif ran.verdict.state is StudyState.SUSPENDED:
        print("spec.suspend is true: nothing runs; set it to false and run again", file=sys.stderr)
    return exit_code(ran)


def exit_code(ran: Ran) -> int:
    """For scripts."""
    if ran.verdict.state is StudyState.SUCCEEDED:
        return DONE
    if ran.verdict.state is StudyState.FAILED:
        return FAILED
    return INTERRUPTED if ran.interrupted else BAD_INPUT


def _on_a_terminal(given: argparse.Namespace) -> bool:
    if given.plain or given.quiet or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return False
    from importlib.util import find_spec  # noqa: PLC0415 - only where it is asked

    return find_spec("rich") is not None


def _again(given: argparse.Namespace) -> str:
    """The command that goes on: this one, without what would start over."""
    words = ["rung", "run", given.study]
    if given.state != ".rung":
        words += ["--state", given.state]
    if given.gpus is not None:
        words += ["--gpus", str(given.gpus)]
    if given.pin_cpus:
        words.append("--pin-cpus")
    if given.parallelism is not None:
        words += ["--parallelism", str(given.parallelism)]
    return shlex.join(words)
