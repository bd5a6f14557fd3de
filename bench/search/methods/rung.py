"""Ours: `rung.Optimizer` with the sampler and the scheduler that the option names, everything else at its default."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import rung
from bench.search.methods.protocol import Asked, Method, Task, Word
from bench.search.problem import Config, Outcome, Parameter
from rung import Optimizer
from rung.api.names import API_VERSION
from rung.api.study import parse_study
from rung.brain import Plan
from rung.optimizer import NO_CLUSTER, Pause, Stop

RESTS_ON = ("rung.search", "rung.pareto", "rung.space")
"""Packages whose modules are a part of a proposal. What surrounds them (facts, records) is held by laws of its own."""


class Rung:
    """An optimizer in memory."""

    def __init__(self, task: Task, sampler: str, scheduler: str) -> None:
        problem = task.problem
        self._objectives = [f"y{i}" for i in range(problem.objectives)]
        self._constraints = [f"c{i}" for i in range(problem.constraints)]
        limits: dict[str, Any] = {"parallelism": task.workers, "failedTrials": 2**31 - 1}
        if task.epochs:
            limits["durationSeconds"] = 2**31 - 1  # the clock ends the study
        else:
            limits["trials"] = task.trials
        self._study: dict[str, Any] = {
            "parameters": [_parameter(p) for p in problem.space],
            "objectives": [{"metric": name, "direction": "Minimize"} for name in self._objectives],
            "constraints": [{"metric": name, "max": 0} for name in self._constraints],
            "sampler": {"type": sampler},
            "scheduler": _scheduler(scheduler, task.epochs),
            "limits": limits,
            "seed": task.seed,
            "clock": lambda: 0.0,
        }
        self._optimizer = Optimizer(**self._study)

    def ask(self) -> Asked | None:
        """A new trial, or one that was paused."""
        trial = self._optimizer.ask()
        if trial is None:
            return None
        return Asked(trial.number, dict(trial.parameters), int(trial.resume_from or 0))

    def report(self, number: int, epoch: int, value: float) -> Word:
        """Each epoch is an observation."""
        said = self._optimizer.report(number, epoch, value)
        return Word.STOP if isinstance(said, Stop) else Word.PAUSE if isinstance(said, Pause) else Word.GO_ON

    def tell(self, number: int, outcome: Outcome) -> None:
        """With its constraints."""
        self._optimizer.tell(number, self._values(outcome))

    def fill(self, told: Sequence[tuple[Config, Outcome]]) -> None:
        """As the facts of another optimizer."""
        facts = [
            {"number": number, "parameters": config, "state": "Succeeded", "values": self._values(outcome)}
            for number, (config, outcome) in enumerate(told)
        ]
        self._optimizer = Optimizer.restore(facts, **self._study)

    def _values(self, outcome: Outcome) -> dict[str, float]:
        names = (*self._objectives, *self._constraints)
        return dict(zip(names, (*outcome.objectives, *outcome.violations), strict=True))


def _parameter(p: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": p.name}
    if p.kind == "cat":
        found |= {"type": "Categorical", "values": list(p.choices)}
    else:
        whole = p.kind == "int"
        found |= {"type": "Int" if whole else "Double"}
        found |= {"min": int(p.low) if whole else p.low, "max": int(p.high) if whole else p.high}
        found |= {"scale": "Log"} if p.log else {}
    if p.parent is not None:
        found["when"] = [{"parameter": p.parent, "in": list(p.when)}]
    return found


def _scheduler(name: str, epochs: int) -> dict[str, Any] | None:
    if not epochs:
        return None
    return {"type": name or "None", "resource": {"metric": "epoch", "min": 1, "max": epochs}}


def make(option: str, task: Task) -> Method:
    """`option`: the sampler's type, and after a plus the scheduler's."""
    sampler, _, scheduler = option.partition("+")
    return Rung(task, sampler, scheduler)


def version(option: str) -> str:
    """A hash of the modules that the sampler imports, and of those that do, and of the schedulers where there is one.

    Raises InvalidStudy for a sampler that this version of Rung does not have.
    """
    sampler, _, scheduler = option.partition("+")
    document = {
        "apiVersion": API_VERSION,
        "kind": "Study",
        "metadata": {"name": "version"},
        "spec": {
            "objectives": [{"metric": "y", "direction": "Minimize"}],
            "parameters": [{"name": "c", "type": "Categorical", "values": ["a", "b"]}],
            "sampler": {"type": sampler},
            "trial": NO_CLUSTER,
        },
    }
    name = type(Plan.of(parse_study(document)).sampler).__module__
    whole = sampler == "Auto"  # it may choose any of them
    names = _imported("rung.search.auto" if whole else name, {name})
    files = {_file(n) for n in names}
    folder = Path(rung.__file__).parent
    files |= set(folder.glob("search/**/*.py")) if whole else set()
    files |= set(folder.glob("schedule/*.py")) if scheduler else set()
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return f"rung {rung.__version__} {found.hexdigest()[:12]}"


def _imported(name: str, known: set[str]) -> set[str]:
    """Modules that a proposal rests on, from this one on."""
    known.add(name)
    for found in _imports(name):
        if found not in known:
            _imported(found, known)
    return known


@cache
def _imports(name: str) -> frozenset[str]:
    """Modules that one imports: found by reading, so that it does not matter what is loaded."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(_file(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(RESTS_ON):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(one for one in found if one != "rung.search" and _file(one).exists())


def _file(name: str) -> Path:
    """A module's source, whether there is such a module or not."""
    path = Path(rung.__file__).parent.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
