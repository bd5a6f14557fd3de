"""The figure beside the tables: `python -m bench.search.figure RESULTS.json FIGURE.svg`, in the environment that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

TITLES = {
    "sequential": "one after the other",
    "parallel": "8 asynchronous workers",
    "curves": "learning curves, 8 workers",
}


def _colour(method: str, place: int) -> dict[str, Any]:
    """Ours in warm colours and thick."""
    if method.startswith("rung"):
        return {"color": plt.cm.autumn(place % 5 / 6), "linewidth": 2.2}
    if method == "random":
        return {"color": "0.6", "linewidth": 1, "linestyle": "--"}
    return {"color": plt.cm.winter(place % 7 / 7), "linewidth": 1.1}


def draw(document: dict[str, Any], path: Path) -> None:
    """Regret along the way in three suites, and the time of an ask."""
    mpl.rcParams.update({"svg.fonttype": "none", "font.size": 8})
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6))
    for axis, (suite, title) in zip(axes, TITLES.items(), strict=False):
        content = document["suites"].get(suite)
        if content is None:
            continue
        group = "folder" if "folder" in content["curves"] else "own"
        curves = content["curves"].get(group, {})
        for place, (method, values) in enumerate(sorted(curves.items(), key=lambda item: item[1][-1])):
            xs = [100 * (i + 1) / len(values) for i in range(len(values))]
            axis.plot(xs, values, label=method, **_colour(method, place))
        axis.set(title=title, ylim=(0, 1), xlabel="evaluations" if suite != "curves" else "% of the clock")
        axis.legend(fontsize=5.5, frameon=False)
    axes[0].set_ylabel("mean normalised regret")
    for place, (method, measured) in enumerate(document["latency"].items()):
        axes[3].loglog(
            [f["told"] for f in measured], [f["ask_ms"] for f in measured], label=method, **_colour(method, place)
        )
    axes[3].set(title="one ask", xlabel="told trials", ylabel="ms")
    axes[3].legend(fontsize=5.5, frameon=False)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
