"""Keras 3: every epoch's logs, and the whole model as `model.keras` in each checkpoint.

with rung_trial.start() as trial:
    rung = RungCallback(trial)
    model = keras.models.load_model(rung.checkpoint) if rung.checkpoint else build()
    model.fit(x, y, validation_data=held_out, initial_epoch=rung.step, epochs=trial.target or 27, callbacks=[rung])
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

import keras

from rung_trial import Trial

FILE = "model.keras"


class RungCallback(keras.callbacks.Callback):
    """`step`: epochs that are trained already."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.trial = trial
        found = trial.resume()
        self.step = found[0] if found else 0
        self.checkpoint: Optional[str] = str(found[1] / FILE) if found else None
        self._cut = False

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Stop within an epoch too: it may last longer than the grace period."""
        if self.trial.should_stop():
            self._cut = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Report, keep, and stop at the target."""
        if self._cut:
            return
        self.step = epoch + 1
        self.trial.report(logs, step=self.step)
        if self.trial.checkpoint_dir:
            with self.trial.checkpoint(self.step) as folder:
                self.model.save(folder / FILE)
        if self.trial.should_stop() or (self.trial.target and self.step >= self.trial.target):
            self.model.stop_training = True
