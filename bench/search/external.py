"""Problems of a folder beside the project: its `problems.py` (see `load`) with `all(split)`, and the data it reads.

Such a problem has `space` (name, type float/int/cat, lo, hi, log, choices, parent, when), `f(config, rng)`, `true(config)`,
`curve(config, rng)` where `epochs > 0`, `best`, `ref`, `n_obj` and `n_con`; several objectives or constraints come as a dict of
`y` and `c`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from bench.search.problem import Array, Config, Outcome, Parameter, Problem

SPLIT = "public"


class External(Problem):
    """One of them."""

    def __init__(self, source: Any) -> None:
        space = tuple(_parameter(p) for p in source.space)
        found = {"noisy": bool(source.noisy), "conditional": any(p.parent for p in space), "curves": source.epochs > 0}
        tags = frozenset(tag for tag, holds in found.items() if holds)
        super().__init__(source.name, space, source.best, source.ref, source.epochs, source.n_obj, source.n_con, tags)
        self._source = source

    def truth(self, config: Config) -> Outcome:
        """Without noise."""
        return _outcome(self._source.true(self._whole(config)))

    def observe(self, config: Config, random: np.random.Generator) -> Outcome:
        """One evaluation."""
        return _outcome(self._source.f(self._whole(config), random))

    def curve(self, config: Config, random: np.random.Generator) -> tuple[Array, Array]:
        """Values and seconds of each epoch."""
        values, seconds = self._source.curve(self._whole(config), random)
        return np.asarray(values, dtype=np.float64), np.asarray(seconds, dtype=np.float64)

    def _whole(self, config: Config) -> dict[str, Any]:
        """Inactive parameters may be asked for, and are ignored."""
        return {p.name: config.get(p.name, p.decode(0.5)) for p in self.space}


def load(folder: Path) -> list[Problem]:
    """All problems of the folder. Raises FileNotFoundError where it has no problems.py."""
    spec = importlib.util.spec_from_file_location("external_problems", folder / "problems.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{folder} has no problems.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [External(source) for source in module.all(SPLIT)]


def _parameter(p: Any) -> Parameter:
    return Parameter(
        p.name, p.type, float(p.lo), float(p.hi), bool(p.log), tuple(p.choices or ()), p.parent, tuple(p.when or ())
    )


def _outcome(said: Any) -> Outcome:
    if isinstance(said, dict):
        return Outcome(tuple(map(float, said["y"])), tuple(map(float, said["c"])))
    return Outcome((float(said),))
