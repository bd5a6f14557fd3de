"""Write the pages that are generated from the code, or with --check say which of them are stale.

docs/study-reference.md from the models, docs/cli.md from the commands' own help, docs/metrics.md from the operator's registry.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def metrics_page() -> str:
    """Every metric of the operator, with its help text."""
    from rung.controller.telemetry import StudyFigures, Telemetry

    example = StudyFigures("default", "digits", "Running", {"Running": 4}, 4, {"used": 1.0}, 0.1)
    telemetry = Telemetry(lambda: [example], per_study=True)
    lines = [
        "# The operator's metrics",
        "",
        "Served on `/metrics` of the health port. No label per trial; series per study only with `--study-metrics`.",
        "",
        "| metric | type | labels | what it counts |",
        "|---|---|---|---|",
    ]
    labels = {
        "rung_reconciles": ["result"],
        "rung_decisions": ["kind"],
        "rung_api_requests": ["verb", "resource", "code"],
    }
    for family in sorted(telemetry.registry.collect(), key=lambda f: f.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found = labels.get(family.name) or sorted({k for s in family.samples for k in s.labels if k != "le"})
        lines.append(f"| `{name}` | {family.type} | {', '.join(found) or '–'} | {family.documentation} |")
    return "\n".join(lines) + "\n"


def study_page() -> str:
    """Every field of a Study."""
    from rung.api.reference import render_reference

    return render_reference()


def cli_page() -> str:
    """Every command's help."""
    from rung.cli.page import page

    return page()


PAGES: dict[str, Callable[[], str]] = {
    "study-reference.md": study_page,
    "cli.md": cli_page,
    "metrics.md": metrics_page,
}


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is stale")
    check = parser.parse_args().check
    stale = []
    for name, render in PAGES.items():
        path, text = DOCS / name, render()
        if path.exists() and path.read_text() == text:
            continue
        if check:
            stale.append(name)
        else:
            path.write_text(text)
    if stale:
        sys.stderr.write(f"stale: {', '.join(f'docs/{name}' for name in stale)}; run `make docs`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
