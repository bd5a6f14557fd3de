"""The chart's CRDs are copies of crds/: Helm packs only what lies inside the chart.

python charts/sync.py           copy
python charts/sync.py --check   exit with 1, naming them, if files differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = REPOSITORY / "crds"
COPY = REPOSITORY / "charts" / "rung" / "crds"


def stale(source: Path = SOURCE, copy: Path = COPY) -> list[str]:
    """Names of files that are missing in the copy, differ there, or should not be there."""
    wanted = {path.name: path.read_bytes() for path in source.glob("*.yaml")}
    present = {path.name: path.read_bytes() for path in copy.glob("*")} if copy.is_dir() else {}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def sync(source: Path = SOURCE, copy: Path = COPY) -> list[str]:
    """Make the copy equal; returns the names of the files that have changed. Raises FileNotFoundError without a source."""
    if not any(source.glob("*.yaml")):
        raise FileNotFoundError(f"there are no CRDs in {source}: make them with `rung crds --write crds`")
    changed = stale(source, copy)
    copy.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if (source / name).exists():
            (copy / name).write_bytes((source / name).read_bytes())
        else:
            (copy / name).unlink()
    return changed


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Copy the CRDs into the chart.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if the copies are not up to date"
    )
    if parser.parse_args(arguments).check:
        names = stale()
        if names:
            sys.stderr.write(f"charts/rung/crds is not up to date: {', '.join(names)}; run `make docs`\n")
        return 1 if names else 0
    for name in sync():
        sys.stdout.write(f"charts/rung/crds/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
