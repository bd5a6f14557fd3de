"""Syne Tune's multi-fidelity methods, driven through their scheduler interface. They know no conditions: all parameters are given."""

from __future__ import annotations

import datetime as dt
import logging
import warnings
from importlib.metadata import version as version_of
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from syne_tune.backend.trial_status import Trial  # noqa: E402 - it talks while it is imported
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform  # noqa: E402
from syne_tune.optimizer.baselines import ASHA, BOHB, DEHB, MOBSTER, HyperTune  # noqa: E402

from bench.search.methods.protocol import Asked, Method, Plain, Task, Word  # noqa: E402
from bench.search.problem import Outcome, Parameter  # noqa: E402

REFITTED = {"debug_log": False, "opt_skip_init_length": 50, "opt_skip_period": 20}
"""Of the Gaussian processes: by default their hyperparameters are fitted anew for each trial, and a study takes more than ten
minutes. Beyond 50 values it is each 20th trial here, an option that Syne Tune has for this.
"""

WORDS = {"CONTINUE": Word.GO_ON, "STOP": Word.STOP, "PAUSE": Word.PAUSE}


class Syne(Plain):
    """A scheduler and the trials that it knows."""

    def __init__(self, task: Task, option: str) -> None:
        kind, _, variant = option.partition("-")
        space = {p.name: _dimension(p) for p in task.problem.space}
        more: dict[str, Any] = {"grace_period": 1, "reduction_factor": 3}
        made = {"asha": ASHA, "bohb": BOHB, "dehb": DEHB, "mobster": MOBSTER, "hypertune": HyperTune}[kind]
        more |= {"max_resource_level": task.epochs} if made is DEHB else {"max_t": task.epochs}
        more |= {} if made is DEHB else {"type": variant or "stopping"}
        more |= {"search_options": REFITTED} if made in {MOBSTER, HyperTune} else {}
        self._scheduler = made(space, metric="loss", mode="min", resource_attr="epoch", random_seed=task.seed, **more)
        self._trials: dict[int, Trial] = {}
        self._done: dict[int, int] = {}
        self._last: dict[int, dict[str, float]] = {}

    def ask(self) -> Asked | None:
        """A new trial, or one that was paused."""
        suggestion = self._scheduler.suggest(len(self._trials))
        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            number = int(suggestion.checkpoint_trial_id)
            return Asked(number, dict(self._trials[number].config), self._done[number])
        number = len(self._trials)
        trial = Trial(number, suggestion.config, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        self._trials[number] = trial
        self._done[number] = 0
        self._scheduler.on_trial_add(trial)
        return Asked(number, dict(suggestion.config))

    def report(self, number: int, epoch: int, value: float) -> Word:
        """Each epoch is a result."""
        self._done[number] = epoch
        self._last[number] = {"loss": value, "epoch": epoch}
        said = WORDS[self._scheduler.on_trial_result(self._trials[number], self._last[number])]
        if said is Word.STOP:
            self._scheduler.on_trial_remove(self._trials[number])
        return said

    def tell(self, number: int, outcome: Outcome) -> None:  # noqa: ARG002 - it was reported
        """It ran to its end."""
        self._scheduler.on_trial_complete(self._trials[number], self._last[number])


def _dimension(p: Parameter) -> Any:
    if p.kind == "cat":
        return choice(list(p.choices))
    if p.kind == "int":
        return (lograndint if p.log else randint)(int(p.low), int(p.high))
    return (loguniform if p.log else uniform)(p.low, p.high)


def make(option: str, task: Task) -> Method:
    """`option`: asha, bohb, dehb, mobster or hypertune, and its type after a dash."""
    return Syne(task, option)


def version(option: str) -> str:  # noqa: ARG001 - one package for all
    """Of Syne Tune."""
    return f"syne-tune {version_of('syne-tune')}"
