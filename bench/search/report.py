"""What is published: bench/results/search.json with all figures, and the tables between the markers of docs/search.md.

Rows of ours count only if the sources that they rest on have not changed since, unless `stale` ones are asked for; rows of peers
as they are kept. What the cache lacks is taken over from the published file itself, under the same rule. Which versions stand
behind a method is written beside the figures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import RESULTS, ROOT, provenance
from bench.search import figures, methods
from bench.search.figures import MARKS, SHARES, Found
from bench.search.problem import Problem
from bench.search.problems import CORE, fits, group
from bench.search.work import SUITES, kept
from rung.api.errors import InvalidStudy

PAGE = ROOT / "docs" / "search.md"
NAME = "search"
POINTS = tuple(range(5, 101, 5))  # of the figure's curves
CLOCK = tuple(i / 20 for i in range(1, 21))
BY_PROBLEM = " ° paired by problem, with the error over problems: there are not two seeds known of both."
MANY_SEEDS = 32
NOTHING = 1e9  # stands for "nothing feasible yet": JSON has no infinity


def build(
    cache: Path,
    problems: Sequence[Problem],
    *,
    suites: Sequence[str] = tuple(SUITES),
    stale: bool = False,
    published: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that is known, as one document. `published`: an earlier one, whose other suites stay as they are."""
    by_name = {p.name: p for p in problems}
    current = {name: _version(name) for name, e in methods.METHODS.items() if e.environment == methods.OURS}
    current = {} if stale else current
    earlier = _holds(published or {}, current)
    before = earlier if set(suites) == set(SUITES) else published or {}
    versions: dict[str, set[str]] = {m: set(found) for m, found in before.get("versions", {}).items()}
    document: dict[str, Any] = {"suites": {}, "latency": earlier.get("latency", {}) | _latency(cache, current)}
    for suite in SUITES:
        if suite not in suites:
            document["suites"] |= {
                s: content for s, content in (published or {}).get("suites", {}).items() if s == suite
            }
            continue
        rows = list(_rows(cache, suite, by_name, current))
        for row in rows:
            versions.setdefault(row["method"], set()).add(row["version"])
        known = earlier.get("suites", {}).get(suite, {})
        if rows or known:
            document["suites"][suite] = _suite(suite, rows, by_name, known)
    deciding = cache / "deciding.json"
    if deciding.exists():
        document["deciding"] = json.loads(deciding.read_text(encoding="utf-8"))
    document["versions"] = {method: sorted(found) for method, found in sorted(versions.items())}
    return document


def _version(name: str) -> str:
    """The present one of ours; none where this version of Rung lacks the sampler."""
    try:
        return methods.version(name)
    except InvalidStudy:
        return "none"


def _rows(
    cache: Path, suite: str, problems: Mapping[str, Problem], current: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for name, problem in problems.items():
        if not fits(problem, suite) or not (cache / suite / name).exists():
            continue
        for method in methods.METHODS:
            for seed in range(MANY_SEEDS):
                row = kept(
                    cache, {"suite": suite, "problem": name, "method": method, "seed": seed}, current.get(method)
                )
                if row is not None:
                    yield row


def _holds(published: Mapping[str, Any], current: Mapping[str, str]) -> dict[str, Any]:
    """What of it is still so: the figures of peers, and of ours whose sources are the same."""
    known = published.get("versions", {})
    holding = {m for m in known if m in methods.METHODS and (m not in current or known[m] == [current[m]])}
    suites = {
        suite: {part: {m: v for m, v in content[part].items() if m in holding} for part in ("seeds", "ask_ms")}
        | {"curves": {g: {m: v for m, v in c.items() if m in holding} for g, c in content["curves"].items()}}
        for suite, content in published.get("suites", {}).items()
    }
    latency = {m: v for m, v in published.get("latency", {}).items() if m in holding}
    return {"versions": {m: known[m] for m in holding}, "suites": suites, "latency": latency}


def _taken_over(found: Found, earlier: Mapping[str, Any], problems: Mapping[str, Problem], suite: str) -> None:
    """A mean over seeds counts until two seeds are known by themselves."""
    for method, by_problem in earlier.items():
        for p, by_seed in by_problem.items():
            if p not in problems or not fits(problems[p], suite):
                continue
            whole = found.setdefault(method, {}).setdefault(p, {})
            means: dict[figures.Seed, Any] = {}
            for seed, marks in by_seed.items():
                values = np.array([np.inf if v >= NOTHING else v for v in marks])
                if seed.isdigit():
                    whole.setdefault(int(seed), values)
                else:
                    means[seed] = values
            if means and len(whole) < 2:
                found[method][p] = means


def _suite(
    suite: str, rows: Sequence[Mapping[str, Any]], problems: Mapping[str, Problem], earlier: Mapping[str, Any]
) -> dict[str, Any]:
    """Tables by group of problems, and each study's figures."""
    figure, marks = _figure_of(suite)
    found = figures.collect(rows, problems, figure)
    _taken_over(found, earlier.get("seeds", {}), problems, suite)
    names = [p for p in problems if any(p in by_problem for by_problem in found.values())]
    groups = {"own": [p for p in names if group(problems[p]) == "own"]}
    folder = [p for p in names if group(problems[p]) == "folder"]
    groups["folder"] = [p for p in CORE if p in folder] if suite in {"sequential", "parallel"} else folder
    compared = {name: compare(found, chosen) for name, chosen in groups.items() if chosen}
    return {
        "marks": list(marks),
        "groups": groups,
        "tables": {name: content["table"] for name, content in compared.items()},
        "partly": {name: content["partly"] for name, content in compared.items()},
        "seeds": {m: {p: {s: _list(v) for s, v in w.items()} for p, w in q.items()} for m, q in found.items()},
        "ask_ms": earlier.get("ask_ms", {}) | _ask_ms(rows),
        "curves": _curves(suite, rows, problems, groups, earlier.get("curves", {})),
    }


def _figure_of(suite: str) -> tuple[Any, Sequence[float]]:
    match suite:
        case "curves":
            return figures.regrets_in_time, SHARES
        case "constrained":
            return figures.feasible_best, MARKS
        case "pareto":
            return figures.hypervolumes, (25, 60)
        case "cells":
            return (lambda row, problem: figures.regrets(row, problem, (100, 200, 300))), (100, 200, 300)
        case _:
            return figures.regrets, MARKS


def compare(found: Found, problems: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """`table`: the methods that ran on all of the problems. `partly`: the others."""
    table = _table(found, problems)
    return {"table": table, "partly": _partly(found, table, problems)}


def _table(found: Found, problems: Sequence[str]) -> list[dict[str, Any]]:
    """One line for each method that ran on all of them, the best first."""
    whole = [m for m in found if figures.mean(found, m, problems) is not None]
    last = len(next(iter(found[whole[0]][problems[0]].values()))) - 1 if whole else 0
    ranks = figures.ranks(found, whole, problems, last) if whole else {}
    lines = []
    for method in whole:
        means = figures.mean(found, method, problems)
        line: dict[str, Any] = {
            "method": method,
            "seeds": min(figures.seeds(found[method][p]) for p in problems),
            "mean": _list(means),
            "rank": round(ranks[method], 2),
        }
        rivals = {}
        for rival in whole:
            if rival == method or not method.startswith("rung"):
                continue
            differences = [figures.difference(found, method, rival, problems, mark) for mark in range(last + 1)]
            rivals[rival] = [d and [round(d.mean, 4), round(d.error, 4), d.pairs] for d in differences]
        line["against"] = rivals
        lines.append(line)
    return sorted(lines, key=lambda line: (line["mean"][-1], line["method"]))


def _partly(found: Found, table: Sequence[Mapping[str, Any]], problems: Sequence[str]) -> list[dict[str, Any]]:
    """Methods that ran on some of the problems, beside the best of ours on just the studies that both have."""
    ours = next((line["method"] for line in table if line["method"].startswith("rung")), None)
    lines = []
    for method in sorted(found.keys() - {line["method"] for line in table}):
        pairs = [(p, s) for p in problems for s in found[method].get(p, {}) if ours and s in found[ours].get(p, {})]
        if ours is None or not pairs:
            continue
        means = [_list(np.mean([found[m][p][s] for p, s in pairs], axis=0)) for m in (method, ours)]
        shown = sorted({p for p, _ in pairs}, key=list(problems).index)
        lines.append({"method": method, "problems": shown, "studies": len(pairs), "mean": means[0], ours: means[1]})
    return lines


def _curves(
    suite: str,
    rows: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Problem],
    groups: Mapping[str, Sequence[str]],
    earlier: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Mean regret along the way, and mean rank, for the figure; of earlier methods the regret, as their ranks were others."""
    if suite not in {"sequential", "parallel", "curves"}:
        return {}
    points = CLOCK if suite == "curves" else POINTS
    if suite == "curves":
        found = figures.collect(rows, problems, lambda r, p: figures.regrets_in_time(r, p, points))
    else:
        found = figures.collect(rows, problems, lambda r, p: figures.regrets(r, p, points))
    curves: dict[str, dict[str, Any]] = {}
    for name, chosen in groups.items():
        averaged = {m: means for m in found if (means := figures.mean(found, m, chosen)) is not None}
        ranked = [figures.ranks(found, list(averaged), chosen, i) for i in range(len(points))] if averaged else []
        for method, means in averaged.items():
            rank = _list([ranks[method] for ranks in ranked])
            curves.setdefault(name, {})[method] = {"regret": _list(means), "rank": rank}
        for method, before in earlier.get(name, {}).items():
            curves.setdefault(name, {}).setdefault(method, {"regret": before["regret"]})
    return curves


def _ask_ms(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Median over all asks, or decision time of a trial."""
    found: dict[str, list[float]] = {}
    for row in rows:
        said = [row["decision_ms"]] if "decision_ms" in row else row["ask_ms"]
        found.setdefault(row["method"], []).extend(said)
    return {m: round(float(np.median(v)), 2) for m, v in found.items()}


def _latency(cache: Path, current: Mapping[str, str]) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {}
    for path in sorted((cache / "latency").glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["version"] == current.get(row["method"], row["version"]):
            found.setdefault(row["method"], []).append(row["figures"])
    return {m: sorted(v, key=lambda f: f["told"]) for m, v in found.items()}


def write(document: Mapping[str, Any]) -> None:
    """The JSON, and the page's tables."""
    RESULTS.mkdir(exist_ok=True)
    made = {"made_by": {**provenance(), "command": "python -m bench.search"}, **document}
    (RESULTS / f"{NAME}.json").write_text(text_of(made) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for suite, content in document["suites"].items():
        for name in content["tables"]:
            page = _replaced(page, f"{suite} {name}", _markdown(suite, content, name))
    page = _replaced(page, "latency", _latency_markdown(document["latency"]))
    page = _replaced(page, "deciding", _deciding_markdown(document.get("deciding", {})))
    PAGE.write_text(page, encoding="utf-8")


def published() -> dict[str, Any] | None:
    """What was written last."""
    path = RESULTS / f"{NAME}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def text_of(document: Mapping[str, Any]) -> str:
    """JSON with a list of plain values on one line."""
    flat = re.compile(r"\[\s*([^\[\]{}]*?)\s*\]")
    return flat.sub(lambda found: f"[{' '.join(found[1].split())}]", json.dumps(document, indent=1))


def _replaced(page: str, name: str, text: str) -> str:
    """The part between the markers; a page without them does not show it."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def _markdown(suite: str, content: Mapping[str, Any], name: str) -> str:
    problems, marks = content["groups"][name], content["marks"]
    if suite == "constrained":
        return _feasible(content, problems, marks)
    if suite == "pareto":
        return _by_problem(content, problems, marks)
    shown = [f"{mark:.0%}" if suite == "curves" else f"@{mark}" for mark in marks]
    cost = "ms a trial" if suite == "curves" else "ms an ask"
    ours = [line for line in content["tables"][name] if line["method"].startswith("rung")]
    best = ours[0] if ours else None
    header = ["", *shown, "rank", "seeds", cost, *([f"{best['method']} minus it, {shown[-1]}"] if best else [])]
    lines = [header]
    for line in content["tables"][name]:
        cells = [f"`{line['method']}`", *(f"{v:.3f}" for v in line["mean"]), f"{line['rank']:.1f}", str(line["seeds"])]
        cells.append(f"{content['ask_ms'].get(line['method'], 0):.1f}")
        if best:
            pair = best["against"].get(line["method"])
            cells.append(_difference_text(pair[-1]) if pair else "")
        lines.append(cells)
    text = f"{_table_text(lines)}\n\nProblems ({len(problems)}): {', '.join(problems)}."
    text += BY_PROBLEM if BY_PROBLEM[1] in text else ""
    return text if not content["partly"][name] else f"{text}\n\n{_partly_text(content['partly'][name], shown)}"


def _difference_text(difference: Sequence[float] | None) -> str:
    if difference is None:
        return ""
    apart, error, pairs = difference
    return f"{apart:+.3f} ± {error:.3f}{'' if pairs else BY_PROBLEM[1]}"


def _partly_text(partly: Sequence[Mapping[str, Any]], shown: Sequence[str]) -> str:
    lines = [["on some of the problems", *(f"{mark}: it / ours" for mark in shown), "ours", "studies", "problems"]]
    for line in partly:
        ours = next(key for key in line if key.startswith("rung"))
        pairs = [f"{theirs:.3f} / {mine:.3f}" for theirs, mine in zip(line["mean"], line[ours], strict=True)]
        lines.append([f"`{line['method']}`", *pairs, f"`{ours}`", str(line["studies"]), ", ".join(line["problems"])])
    return _table_text(lines)


def _feasible(content: Mapping[str, Any], problems: Sequence[str], marks: Sequence[float]) -> str:
    """Median over the seeds, and the worst of them; a dash where a seed has found nothing feasible."""
    lines = [["", *(f"{p} @{m}" for p in problems for m in marks), "seeds"]]
    for method, by_problem in sorted(content["seeds"].items()):
        if not by_problem.keys() & set(problems):
            continue
        cells, seeds = [f"`{method}`"], []
        for p in problems:
            found = np.array(list(by_problem.get(p, {}).values()) or [[NOTHING] * len(marks)])
            seeds.append(figures.seeds(by_problem.get(p, {})))
            for middle, worst in zip(np.median(found, axis=0), found.max(0), strict=True):
                cells.append(" / ".join("–" if v >= NOTHING else f"{v:.4g}" for v in (middle, worst)))
        lines.append([*cells, str(min(seeds))])
    return _table_text(lines)


def _by_problem(content: Mapping[str, Any], problems: Sequence[str], marks: Sequence[float]) -> str:
    header = ["", *(f"{p} @{m}" for p in problems for m in marks), "seeds"]
    lines = [header]
    for method, by_problem in sorted(content["seeds"].items()):
        found = [list(by_problem.get(p, {}).values()) for p in problems]
        if not any(found):
            continue
        cells = [f"{v:.4f}" if each else "" for each in found for v in (np.mean(each, axis=0) if each else marks)]
        lines.append(
            [f"`{method}`", *cells, str(min(figures.seeds(by_problem[p]) for p in problems if p in by_problem))]
        )
    return _table_text(lines)


def _latency_markdown(latency: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    sizes = sorted({f["told"] for measured in latency.values() for f in measured})
    lines = [["", *(f"ask at n = {n:,}, ms" for n in sizes), "import + first ask, s", "peak, MiB"]]
    for method, measured in latency.items():
        by_size = {f["told"]: f for f in measured}
        asks = [f"{by_size[n]['ask_ms']:.1f}" if n in by_size else "" for n in sizes]
        first, peak = min(f["first_s"] for f in measured), max(f["peak_mib"] for f in measured)
        lines.append([f"`{method}`", *asks, f"{first:.2f}", f"{peak:.0f}"])
    return _table_text(lines)


def _deciding_markdown(deciding: Mapping[str, Any]) -> str:
    lines = [["", "verdict, ms", "whole report, ms"]]
    for name, measured in deciding.get("schedulers", {}).items():
        lines.append([f"`{name}`", f"{measured['judge_ms']:.3f}", f"{measured['report_ms']:.2f}"])
    return _table_text(lines)


def _table_text(lines: Sequence[Sequence[str]]) -> str:
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ruled)


def _list(values: Any) -> list[float]:
    """Finite figures for JSON; what is infinite (nothing feasible yet) as a large one."""
    return [round(float(v), 5) if np.isfinite(v) else NOTHING for v in values]
