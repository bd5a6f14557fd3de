"""XGBoost: every round's evaluation, under the names that XGBoost prints (`valid-rmse`), and the model `model.ubj`.

    with rung_trial.start() as trial:
        rung = RungCallback(trial)
        booster = xgboost.train(parameters, data, rung.rounds_left(300), evals=[(held_out, "valid")],
                                xgb_model=rung.checkpoint, callbacks=[rung], verbose_eval=False)

The scikit-learn classes take the same callback. Rounds count over all attempts.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import xgboost

from rung_trial import Trial

FILE = "model.ubj"
CHECKPOINT_EVERY = 10  # rounds: one often takes milliseconds, which is less than a model takes to be flushed to disk


class RungCallback(xgboost.callback.TrainingCallback):
    """`every`: rounds between two checkpoints; the last round before a stop has one in any case."""

    def __init__(self, trial: Trial, every: int = CHECKPOINT_EVERY) -> None:
        super().__init__()
        self.trial, self.every = trial, every
        found = trial.resume()
        self.step = found[0] if found else 0
        self.checkpoint: Optional[str] = str(found[1] / FILE) if found else None

    def rounds_left(self, default: int) -> int:
        """For `num_boost_round`, which counts from where the training goes on."""
        return max((self.trial.target or default) - self.step, 0)

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Sequence[Any]]]) -> bool:
        """Report, keep, and stop when told or at the target."""
        self.step = model.num_boosted_rounds()
        values = {f"{data}-{name}": seen[-1] for data, of in evals_log.items() for name, seen in of.items()}
        # `xgboost.cv` gives a mean and a deviation
        self.trial.report({n: v[0] if isinstance(v, tuple) else v for n, v in values.items()}, step=self.step)
        stop = self.trial.should_stop() or bool(self.trial.target and self.step >= self.trial.target)
        due = stop or self.step % self.every == 0
        if due and self.trial.checkpoint_dir and isinstance(model, xgboost.Booster):
            with self.trial.checkpoint(self.step) as folder:
                model.save_model(folder / FILE)
        return stop
