"""From rows to the figures that are published: regret after so many evaluations, paired differences, ranks, times.

    found[m][p][s]   (k,) the figure of method m on problem p with seed s, at the k marks
    mean             over seeds, then over problems: every problem counts the same
    difference       to another method, paired by problem and seed: mean over problems of the mean over the seeds that both
                     have, ± its standard error, sqrt(sum of var_p / n_p) / problems; where a problem has not two such
                     seeds, mean of the problems' differences ± their own deviation / sqrt(problems)
    rank             among the methods, by the mean over seeds on each problem; ties share

Regret is that of the configuration with the best *observed* value so far, by its noise-free value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.search.problem import Array, Problem

Seed = int | str
"""Seed 3; or "0-4", for the mean over these where they are not known one by one."""

Found = dict[str, dict[str, dict[Seed, Array]]]
"""Method -> problem -> seed -> figures at the marks."""

MARKS = (25, 50, 100)
SHARES = (0.25, 0.5, 1.0)  # of the clock
REFERENCE = (1.1, 1.1)  # of the hypervolume


class Difference(NamedTuple):
    """One minus other: below 0 the first is better, where smaller is."""

    mean: float
    error: float  # standard error
    pairs: int  # of seeds; 0: paired by problem alone


def regrets(row: Mapping[str, Any], problem: Problem, marks: Sequence[int] = MARKS) -> Array:
    """Normalised regret after so many evaluations."""
    observed, truths = np.asarray(row["observed"])[:, 0], np.asarray(row["truths"])[:, 0]
    return np.array([problem.regret(truths[np.argmin(observed[:n])]) for n in marks])


def regrets_in_time(row: Mapping[str, Any], problem: Problem, shares: Sequence[float] = SHARES) -> Array:
    """Normalised regret after shares of the clock; 2 before anything was said."""
    times = [time for time, _, _ in row["best"]]
    said = [final for _, _, final in row["best"]]
    at = [int(np.searchsorted(times, share * row["budget"], side="right")) for share in shares]
    return np.array([problem.regret(said[i - 1]) if i else 2.0 for i in at])


def feasible_best(row: Mapping[str, Any], problem: Problem, marks: Sequence[int] = MARKS) -> Array:  # noqa: ARG001
    """Best objective among what is feasible, in its own unit; infinite where nothing is."""
    truths = np.where(row["feasible"], np.asarray(row["truths"])[:, 0], np.inf)
    return np.array([truths[:n].min() for n in marks])


def hypervolumes(row: Mapping[str, Any], problem: Problem, marks: Sequence[int] = (25, 60)) -> Array:  # noqa: ARG001
    """Area that the points so far dominate below the reference."""
    truths = np.asarray(row["truths"])
    return np.array([hypervolume(truths[:n]) for n in marks])


def hypervolume(points: Array) -> float:
    """Of two objectives, (n, 2): strips from the left to the right."""
    inside = points[(points < REFERENCE).all(1)]
    area, lowest = 0.0, REFERENCE[1]
    for x, y in inside[np.lexsort((inside[:, 1], inside[:, 0]))]:
        if y < lowest:
            area += (REFERENCE[0] - x) * (lowest - y)
            lowest = float(y)
    return area


def collect(rows: Iterable[Mapping[str, Any]], problems: Mapping[str, Problem], figure: Callable[..., Array]) -> Found:
    """The figures of all rows."""
    found: Found = {}
    for row in rows:
        by_problem = found.setdefault(row["method"], {})
        by_problem.setdefault(row["problem"], {})[row["seed"]] = figure(row, problems[row["problem"]])
    return found


def mean(found: Found, method: str, problems: Sequence[str]) -> Array | None:
    """Over seeds, then over problems; None where the method lacks one of them."""
    by_problem = found.get(method, {})
    if any(not by_problem.get(p) for p in problems) or not problems:
        return None
    averaged: Array = np.mean([np.mean(list(by_problem[p].values()), axis=0) for p in problems], axis=0)
    return averaged


def seeds(by_seed: Mapping[Seed, Array]) -> int:
    """How many stand behind these figures."""
    spans = [str(seed).partition("-") for seed in by_seed]
    return sum(int(last or first) - int(first) + 1 for first, _, last in spans)


def difference(found: Found, one: str, other: str, problems: Sequence[str], mark: int) -> Difference | None:
    """Paired by problem and seed, at one of the marks; None where one of them has nothing yet, or too little for an error."""
    sides = [(found.get(one, {}).get(p, {}), found.get(other, {}).get(p, {})) for p in problems]
    if not all(a and b for a, b in sides):
        return None
    each = []
    for a, b in sides:
        shared = sorted(a.keys() & b.keys(), key=str)
        left, right = ([side[s] for s in shared] or list(side.values()) for side in (a, b))
        with np.errstate(invalid="ignore"):  # nothing feasible yet in either
            apart = np.mean(left, axis=0) - np.mean(right, axis=0) if not shared else np.subtract(left, right)
        each.append(np.atleast_2d(apart)[:, mark])
    means = np.array([d.mean() for d in each])
    if not np.isfinite(means).all():
        return None
    if min(len(d) for d in each) >= 2:
        error = math.sqrt(sum(d.var(ddof=1) / len(d) for d in each)) / len(each)
        return Difference(float(means.mean()), error, sum(len(d) for d in each))
    if len(means) < 2:
        return None
    return Difference(float(means.mean()), float(means.std(ddof=1)) / math.sqrt(len(means)), 0)


def ranks(found: Found, methods: Sequence[str], problems: Sequence[str], mark: int) -> dict[str, float]:
    """Mean rank over the problems, 1 is best."""
    table = np.array([[np.mean([v[mark] for v in found[m][p].values()]) for m in methods] for p in problems])
    below = (table[:, :, None] > table[:, None, :]).sum(2)
    ties = (table[:, :, None] == table[:, None, :]).sum(2)
    placed = (below + (ties + 1) / 2).mean(0)
    return {m: float(r) for m, r in zip(methods, placed, strict=True)}
