"""LightGBM: every round's evaluation as `valid_1 auc`, and the model `model.txt`.

    with rung_trial.start() as trial:
        rung = RungCallback(trial)
        booster = lightgbm.train(parameters, data, rung.rounds_left(300), valid_sets=[held_out],
                                 init_model=rung.checkpoint, callbacks=[rung])

The scikit-learn classes take the same callback. Rounds count over all attempts. A stop is LightGBM's own early stopping,
with the last round as the best one.
"""

from __future__ import annotations

from typing import Any, Optional

import lightgbm

from rung_trial import Trial

FILE = "model.txt"
CHECKPOINT_EVERY = 10  # rounds: one often takes milliseconds, which is less than a model takes to be flushed to disk


class RungCallback:
    """`every`: rounds between two checkpoints; the last round before a stop has one in any case."""

    order = 25  # after LightGBM's own recording (20), before its early stopping (30), which ends the round
    before_iteration = False

    def __init__(self, trial: Trial, every: int = CHECKPOINT_EVERY) -> None:
        self.trial, self.every = trial, every
        found = trial.resume()
        self.step = found[0] if found else 0
        self.checkpoint: Optional[str] = str(found[1] / FILE) if found else None

    def rounds_left(self, default: int) -> int:
        """For `num_boost_round`, which counts from where the training goes on."""
        return max((self.trial.target or default) - self.step, 0)

    def __call__(self, env: Any) -> None:
        """After a round: report, keep, and stop when told or at the target."""
        results = env.evaluation_result_list or []
        self.step = env.iteration + 1
        self.trial.report({f"{result[0]} {result[1]}": result[2] for result in results}, step=self.step)
        stop = self.trial.should_stop() or bool(self.trial.target and self.step >= self.trial.target)
        due = stop or self.step % self.every == 0
        if due and self.trial.checkpoint_dir and isinstance(env.model, lightgbm.Booster):
            with self.trial.checkpoint(self.step) as folder:
                env.model.save_model(folder / FILE)
        if stop and self.step < env.end_iteration:
            raise lightgbm.callback.EarlyStopException(env.iteration, results)
