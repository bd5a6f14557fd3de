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


def _panel(axis: Any, suite: str, curves: dict[str, dict[str, list[float]]], what: str) -> None:
    """One line for each method, the best last value first in the legend."""
    known = {method: found for method, found in curves.items() if what in found}
    for place, (method, found) in enumerate(sorted(known.items(), key=lambda item: item[1][what][-1])):
        xs = [100 * (i + 1) / len(found[what]) for i in range(len(found[what]))]
        axis.plot(xs, found[what], label=method, **_colour(method, place))
    axis.set(xlabel="evaluations" if suite != "curves" else "% of the clock")
    if known:
        axis.legend(fontsize=5.5, frameon=False)


def draw(document: dict[str, Any], path: Path) -> None:
    """Regret along the way in three suites, and the rank beneath it; on the right the time of an ask, and our own problems."""
    mpl.rcParams.update({"svg.fonttype": "none", "font.size": 8, "svg.hashsalt": "search"})
    figure, axes = plt.subplots(2, 4, figsize=(14, 7.2))
    for (above, below), (suite, title) in zip(axes.T, TITLES.items(), strict=False):
        content = document["suites"].get(suite)
        if content is None:
            continue
        curves = content["curves"].get("folder", content["curves"].get("own", {}))
        _panel(above, suite, curves, "regret")
        _panel(below, suite, curves, "rank")
        above.set(title=title, ylim=(0, 1))
    axes[0][0].set_ylabel("mean normalised regret")
    axes[1][0].set_ylabel("mean rank")
    for place, (method, measured) in enumerate(document["latency"].items()):
        axes[0][3].loglog(
            [f["told"] for f in measured], [f["ask_ms"] for f in measured], label=method, **_colour(method, place)
        )
    axes[0][3].set(title="one ask", xlabel="told trials", ylabel="ms")
    axes[0][3].legend(fontsize=5.5, frameon=False)
    own = document["suites"].get("sequential", {"curves": {}})["curves"].get("own", {})
    _panel(axes[1][3], "sequential", own, "regret")
    axes[1][3].set(title="one after the other, our own problems", ylim=(0, 1), ylabel="mean normalised regret")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
