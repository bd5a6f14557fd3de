"""Where a figure comes from, and how it is shown and kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rung", "kopf", "kubernetes", "numpy", "pydantic", "aiohttp")

_began = time.monotonic()


def quick(description: str | None) -> bool:
    """Parse a benchmark's command line: whether only a small run is wanted."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small run that shows that it works; writes no result")
    return bool(parser.parse_args().quick)


def provenance(**more: object) -> dict[str, object]:
    """Who measured this, on what, when."""
    return {
        "command": f"python -m bench.{Path(sys.argv[0]).stem}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_at_the_end": [round(x, 2) for x in os.getloadavg()],
        "seconds": round(time.monotonic() - _began, 1),
        **more,
    }


def summary(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, tail and number of a sample."""
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), digits),
        "p90": round(quantile(ordered, 0.9), digits),
        "p99": round(quantile(ordered, 0.99), digits),
        "max": round(ordered[-1], digits),
    }


def quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest value that at least a share q of the sample does not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1))]


def table(title: str, rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Plain text, aligned."""
    texts = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def finish(name: str, result: Mapping[str, Any], *, small: bool, **more: object) -> None:
    """Write the result with its provenance; a quick run's only to the screen."""
    document = {"made_by": provenance(**more), **result}
    if small:
        print(f"(a quick run: nothing written; measured in {document['made_by']['seconds']} s)")
        return
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(ROOT)}")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
