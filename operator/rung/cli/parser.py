"""Every command and option, with the words of `--help`. docs/cli.md is made from it (`rung.cli.page`)."""

from __future__ import annotations

import argparse

WIDTH = 96  # of help text: fixed, so that the page made from it is the same everywhere


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Of a fixed width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)


def make_parser(program: str = "rung") -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _parser(
        program, "Tune hyperparameters: a Study in a file, run on this machine, in simulation or on a cluster."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    _run(commands)
    _simulate(commands)
    _validate(commands)
    _crds(commands)
    _operator(commands)
    commands.add_parser(
        "version", help="print the version", description="Print the version.", formatter_class=Formatter
    )
    return parser


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=program, description=description, formatter_class=Formatter, allow_abbrev=False)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, short: str, description: str
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=short, description=description, formatter_class=Formatter, allow_abbrev=False)


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "run",
        "run a study on this machine",
        "Run a study on this machine: trials are processes, started as the pod template's container says (its image\n"
        "is not used). Ended by Ctrl-C, kill -9 or a crash, the same command goes on where it was.\n\n"
        "Ctrl-C once ends the trials gracefully, twice at once. Exit code: 0 succeeded, 1 failed, 2 the study cannot\n"
        "run, 130 interrupted.",
    )
    command.add_argument("study", metavar="STUDY", help="a YAML or JSON file with one Study; - is standard input")
    command.add_argument(
        "--state",
        metavar="DIR",
        default=".rung",
        help="where studies keep their state, each in a folder of its name (.rung)",
    )
    command.add_argument("--fresh", action="store_true", help="delete what is known of the study and start over")
    command.add_argument(
        "--gpus", metavar="N", type=_count, help="GPUs to share out among trials (those that this machine shows)"
    )
    command.add_argument(
        "--pin-cpus",
        action="store_true",
        help="run each trial on CPU cores of its own, as many as its requests.cpu says; it waits until they are free",
    )
    command.add_argument(
        "--parallelism", metavar="N", type=_positive, help="trials at a time (spec.limits.parallelism)"
    )
    command.add_argument("--plain", action="store_true", help="one line per event instead of a live table")
    command.add_argument("--quiet", action="store_true", help="only the result")


def _simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "simulate",
        "run a study on curves and a virtual clock",
        "Run a study without training anything: the same decisions over synthetic or recorded learning curves and a\n"
        "virtual clock. Says how many epochs it would train and what it would find.",
    )
    command.add_argument("study", metavar="STUDY", help="a YAML or JSON file with one Study; - is standard input")
    command.add_argument(
        "--curves",
        metavar="FILE",
        default="synthetic",
        help="a .csv or .json file of recorded curves (synthetic: made from a formula and the seed)",
    )
    command.add_argument(
        "--seeds", metavar="N", type=_positive, default=1, help="repeat with so many seeds, from spec.seed on (1)"
    )
    command.add_argument(
        "--after",
        metavar="FILE",
        action="append",
        default=[],
        help="a study to simulate before this one, which starts from it (spec.warmStart.studies); may be repeated",
    )
    command.add_argument(
        "--state",
        metavar="DIR",
        default=".rung",
        help="where `rung run` has left studies that this one starts from and that no --after names (.rung)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document instead of text")


def _validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "validate",
        "say whether studies can run",
        "Check studies as an API server and the operator would: schema, parameters, template. Names the field of each\n"
        "problem. Exit code: 0 all can run, 2 at least one cannot.",
    )
    command.add_argument("studies", metavar="STUDY", nargs="+", help="YAML or JSON files; - is standard input")


def _crds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "crds",
        "print the custom resource definitions",
        "The custom resource definitions, made from the same models that read a Study. Without an option they are\n"
        "printed, ready for `kubectl apply --server-side -f -`.",
    )
    either = command.add_mutually_exclusive_group()
    either.add_argument("--write", metavar="DIR", help="write one file for each kind")
    either.add_argument("--check", metavar="DIR", help="exit with 1 if the files there differ")


def _operator(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "operator",
        "run the operator",
        "The operator, as its Deployment starts it. Inside a pod it needs no option; outside it uses a kubeconfig.",
    )
    command.add_argument(
        "--namespace",
        metavar="NAME",
        action="append",
        default=[],
        dest="namespaces",
        help="watch this namespace only; may be repeated (all of them)",
    )
    command.add_argument(
        "--kubeconfig", metavar="FILE", help="how to reach the cluster (in a pod: its service account)"
    )
    command.add_argument(
        "--health-port", metavar="PORT", type=_port, default=8080, help="serves /healthz, /readyz and /metrics (8080)"
    )
    command.add_argument(
        "--workers", metavar="N", type=_positive, default=16, help="studies that are worked on at the same time (16)"
    )
    command.add_argument(
        "--write-rate",
        metavar="N",
        type=_rate,
        default=200.0,
        help="writes per second to the API server at most (200)",
    )
    command.add_argument(
        "--no-leader-election", action="store_true", help="start at once; only where nobody else can be running"
    )
    command.add_argument("--lease-namespace", metavar="NAME", help="where the leader's Lease is (the operator's own)")
    command.add_argument(
        "--study-metrics", action="store_true", help="a series per study on /metrics, not only sums over all of them"
    )
    command.add_argument(
        "--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="how much is logged (INFO)"
    )
    command.add_argument(
        "--log-format", choices=("json", "text"), default="json", help="json for a cluster's log, text for eyes (json)"
    )


def _count(text: str) -> int:
    return _whole(text, 0)


def _positive(text: str) -> int:
    return _whole(text, 1)


def _port(text: str) -> int:
    port = _whole(text, 0)
    if port > 65535:
        raise argparse.ArgumentTypeError(f"expected a port of at most 65535, got {text}")
    return port


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 < rate < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return rate
