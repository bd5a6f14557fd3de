"""Lightning: every training epoch's metrics, validation included, and a full checkpoint `model.ckpt`.

    with rung_trial.start() as trial:
        rung = RungCallback(trial)
        trainer = Trainer(max_epochs=trial.target or 27, callbacks=[rung])
        trainer.fit(model, ckpt_path=rung.checkpoint)

What the module logs with `self.log` is reported. At SIGTERM Lightning itself leaves `fit` after the batch that it is
in; the checkpoint of the last whole epoch counts. Of several processes all write their part of a checkpoint, into a
folder that they must share, and the first one speaks.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

from rung_trial import Trial

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:  # the same under its older name
    from pytorch_lightning.callbacks import Callback

FILE = "model.ckpt"


class RungCallback(Callback):
    """Put it into `Trainer(callbacks=[…])`."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        found = trial.resume()
        self.checkpoint: Optional[str] = str(found[1] / FILE) if found else None

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report, keep, and stop at the target."""
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero:
            self.trial.report(trainer.callback_metrics, step=epoch)
        if self.trial.checkpoint_dir:
            self._keep(trainer, epoch)
        stop = self.trial.should_stop() or bool(self.trial.target and epoch >= self.trial.target)
        if trainer.strategy.reduce_boolean_decision(stop, all=False):  # all leave at the same epoch, or none would
            trainer.should_stop = True

    def _keep(self, trainer: Any, epoch: int) -> None:
        with ExitStack() as written:
            folder = str(written.enter_context(self.trial.checkpoint(epoch))) if trainer.is_global_zero else ""
            trainer.save_checkpoint(Path(trainer.strategy.broadcast(folder)) / FILE)
