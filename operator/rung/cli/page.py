"""docs/cli.md, made from the words of `--help`: `python -m rung.cli.page --write docs/cli.md`, or `--check` to
compare.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rung.cli.parser import make_parser

HEAD = """# The command line

<!-- Made by `python -m rung.cli.page --write docs/cli.md` from `--help`; `make check` fails where the two differ. -->

`rung` is also `kubectl rung`: kubectl finds it by the name `kubectl-rung` in `PATH`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections(make_parser("rung"))])


def is_current(path: Path) -> bool:
    """The file is what `page` makes now."""
    return path.is_file() and path.read_text(encoding="utf-8") == page()


def _sections(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield _section("rung", parser)
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to its subcommands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, command in action.choices.items():
                yield _section(f"rung {name}", command)


def _section(title: str, parser: argparse.ArgumentParser) -> str:
    return f"## {title}\n\n```text\n{parser.format_help().rstrip()}\n```\n"


def main() -> int:
    """Write the page, or compare."""
    parser = argparse.ArgumentParser(prog="python -m rung.cli.page", description=__doc__)
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("--write", metavar="FILE", type=Path)
    either.add_argument("--check", metavar="FILE", type=Path)
    given = parser.parse_args()
    if given.write is not None:
        given.write.write_text(page(), encoding="utf-8")
        return 0
    if is_current(given.check):
        return 0
    print(f"{given.check} is not what --help says: run python -m rung.cli.page --write {given.check}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
