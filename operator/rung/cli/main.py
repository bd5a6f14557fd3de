"""From arguments to a command, and from what goes wrong to one line and an exit code.

    0    done; `run`: the study has succeeded         2      the input is at fault; nothing was begun
    1    `run`: the study has failed                  130    interrupted; `rung run` goes on from there

Each command is imported when it is called for: `rung run` must not wait for a Kubernetes client.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from rung.api.errors import RungError
from rung.cli.parser import make_parser

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MODULES = {
    "run": "rung.cli.run",
    "simulate": "rung.cli.simulate",
    "validate": "rung.cli.validate",
    "crds": "rung.cli.crds",
    "operator": "rung.cli.operator",
    "version": "rung.cli.version",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code; ends by SystemExit(2) where the arguments make no sense, as argparse does."""
    parser = make_parser(program(sys.argv[0]))
    given = parser.parse_args(arguments)
    try:
        return execute(given)
    except RungError as error:
        print(f"{parser.prog} {given.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"{parser.prog} {given.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `rung … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def execute(given: argparse.Namespace) -> int:
    """The command's own `main`, imported now."""
    code: int = importlib.import_module(MODULES[given.command]).main(given)
    return code


def program(path: str) -> str:
    """How this program is called: kubectl finds its plug-ins by a name with a dash."""
    name = os.path.basename(path)  # noqa: PTH119 - pathlib is not needed for anything else here
    return "kubectl rung" if name.startswith(("kubectl-rung", "kubectl_rung")) else "rung"
