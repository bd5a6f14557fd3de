"""Hyperopt's TPE with its defaults, driven one suggestion at a time."""

from __future__ import annotations

import logging
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, JOB_STATE_RUNNING, STATUS_FAIL, STATUS_OK, Trials, hp, space_eval, tpe
from hyperopt.base import Domain
from hyperopt.pyll.base import scope

from bench.search.methods.protocol import Asked, Method, Plain, Task
from bench.search.problem import Outcome, Parameter, Problem

logging.getLogger("hyperopt").setLevel(logging.ERROR)


class Hyperopt(Plain):
    """A Trials object that we fill."""

    def __init__(self, task: Task) -> None:
        self._space = space(task.problem)
        self._domain = Domain(lambda _: None, self._space)
        self._trials = Trials()
        self._random = np.random.default_rng(task.seed)

    def ask(self) -> Asked:
        """Running trials are known to it as such."""
        (number,) = self._trials.new_trial_ids(1)
        self._trials.refresh()
        documents = tpe.suggest([number], self._domain, self._trials, int(self._random.integers(2**31)))
        documents[0]["state"] = JOB_STATE_RUNNING
        self._trials.insert_trial_docs(documents)
        self._trials.refresh()
        values = {name: found[0] for name, found in documents[0]["misc"]["vals"].items() if found}
        return Asked(number, _flat(space_eval(self._space, values)))

    def tell(self, number: int, outcome: Outcome) -> None:
        """One objective; it knows no constraints."""
        trial = next(t for t in self._trials._dynamic_trials if t["tid"] == number)  # noqa: SLF001 - there is no other way
        value = outcome.objectives[0]
        finite = bool(np.isfinite(value))
        trial["result"] = {"loss": value, "status": STATUS_OK} if finite else {"status": STATUS_FAIL}
        trial["state"] = JOB_STATE_DONE
        self._trials.refresh()


def space(problem: Problem) -> dict[str, Any]:
    """Children hang below the choice that opens them."""
    found: dict[str, Any] = {}
    parents = {p.parent for p in problem.space if p.parent is not None}
    for p in problem.space:
        if p.parent is not None:
            continue
        if p.name not in parents:
            found[p.name] = _dimension(p, p.name)
            continue
        branches = []
        for choice in p.choices:
            children = [q for q in problem.space if q.parent == p.name and choice in q.when]
            below = {q.name: _dimension(q, f"{q.name}|{choice}") for q in children}
            branches.append({p.name: choice, **below})
        found[p.name] = hp.choice(p.name, branches)
    return found


def _dimension(p: Parameter, label: str) -> Any:
    if p.kind == "cat":
        return hp.choice(label, list(p.choices))
    if p.kind == "int":
        if p.log:
            return scope.int(hp.qloguniform(label, np.log(p.low), np.log(p.high), 1))
        return scope.int(hp.quniform(label, p.low, p.high, 1))
    return hp.loguniform(label, np.log(p.low), np.log(p.high)) if p.log else hp.uniform(label, p.low, p.high)


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name, value in found.items():
        config.update(value if isinstance(value, dict) else {name: value})
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}


def make(option: str, task: Task) -> Method:  # noqa: ARG001 - there is but one
    """For that task."""
    return Hyperopt(task)


def version(option: str) -> str:  # noqa: ARG001 - there is but one
    """Of hyperopt."""
    return f"hyperopt {version_of('hyperopt')}"
