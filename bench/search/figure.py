"""The figure beside the tables: `python -m bench.search.figure RESULTS.json FIGURE.svg`, in the environment that has matplotlib."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

TITLES = {
    "sequential": "one after the other",
    "parallel": "8 asynchronous workers",
    "curves": "learning curves, 8 workers",
}


OURS = ("#d62728", "#ff7f0e", "#e5ae00")
PEERS = ("#1f77b4", "#17becf", "#2ca02c", "#9467bd")
"""Colours. So many of each kind are drawn, the best of those with more than one seed: the tables have all."""


def _styles(best_first: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Ours in warm colours and thick; by method, in the order given."""
    ours, peers = iter(OURS), iter(PEERS)
    found: dict[str, dict[str, Any]] = {}
    for method in best_first:
        if method == "random":
            found[method] = {"color": "0.6", "linewidth": 1, "linestyle": "--"}
        elif (colour := next(ours if method.startswith("rung") else peers, None)) is not None:
            found[method] = {"color": colour, "linewidth": 2.2 if method.startswith("rung") else 1.2}
    return found


def _panel(axis: Any, suite: str, content: dict[str, Any], group: str, what: str) -> None:
    """One line for each method, the best at the end first in the legend, which stands beside the regret alone."""
    curves = content["curves"].get(group, {})
    lines = [line for line in content["tables"].get(group, []) if line["seeds"] > 1 and line["method"] in curves]
    for method, style in _styles(line["method"] for line in lines).items():
        ys = curves[method][what]
        axis.plot([100 * (i + 1) / len(ys) for i in range(len(ys))], ys, label=method, **style)
    axis.set(xlabel="evaluations" if suite != "curves" else "% of the clock")
    if lines and what == "regret":
        axis.legend(fontsize=6, frameon=False)


def draw(document: dict[str, Any], path: Path) -> None:
    """Regret along the way in three suites, and the rank beneath it; on the right the time of an ask, and our own problems."""
    mpl.rcParams.update({"svg.fonttype": "none", "font.size": 8, "svg.hashsalt": "search"})
    figure, axes = plt.subplots(2, 4, figsize=(14, 7.2))
    for (above, below), (suite, title) in zip(axes.T, TITLES.items(), strict=False):
        content = document["suites"].get(suite)
        if content is None:
            continue
        group = "folder" if "folder" in content["curves"] else "own"
        _panel(above, suite, content, group, "regret")
        _panel(below, suite, content, group, "rank")
        above.set(title=title, ylim=(0, 1))
    axes[0][0].set_ylabel("mean normalised regret")
    axes[1][0].set_ylabel("mean rank")
    latency = document["latency"]
    for method, style in _styles(sorted(latency, key=lambda m: m != "rung-gp")).items():
        told, ms = ([found[key] for found in latency[method]] for key in ("told", "ask_ms"))
        axes[0][3].loglog(told, ms, label=method, **style)
    axes[0][3].set(title="one ask", xlabel="told trials", ylabel="ms")
    axes[0][3].legend(fontsize=6, frameon=False)
    if "sequential" in document["suites"]:
        _panel(axes[1][3], "sequential", document["suites"]["sequential"], "own", "regret")
    axes[1][3].set(title="one after the other, our own problems", ylim=(0, 1), ylabel="mean normalised regret")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
