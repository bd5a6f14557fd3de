"""Hugging Face's Trainer: everything that it logs, and the checkpoints that it saves.

    with rung_trial.start() as trial:
        rung = RungCallback(trial)
        trainer = Trainer(model, arguments, train_dataset=…, callbacks=[rung])
        trainer.train(resume_from_checkpoint=rung.checkpoint)

A log's step is the optimiser's (`global_step`), or the epoch where the Study's counter is called `epoch`, which every
log names. When and what is saved is the TrainingArguments' (`save_strategy="epoch"`): each save is copied to a place
that the Trainer does not clean up.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Mapping, Optional

from transformers import TrainerCallback

from rung_trial import Trial

EPOCH = "epoch"


class RungCallback(TrainerCallback):
    """Put it into `Trainer(callbacks=[…])`."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        found = trial.resume()
        self.checkpoint: Optional[str] = str(found[1]) if found else None

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Optional[Mapping[str, Any]] = None, **kwargs: Any
    ) -> None:
        """Report the numbers."""
        if state.is_world_process_zero:
            numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, (int, float))}
            self.trial.report(numbers, step=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop when told, with a checkpoint of just now, and at the target."""
        if self.trial.should_stop():
            control.should_training_stop = True
            control.should_save = control.should_save or bool(self.trial.checkpoint_dir)
        if self.trial.counter != EPOCH:
            self._stop_at_target(state, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop at the target, if epochs are counted."""
        self._stop_at_target(state, control)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep what the Trainer has just saved."""
        if self.trial.checkpoint_dir and state.is_world_process_zero:
            with self.trial.checkpoint(int(self._step(state))) as folder:
                shutil.copytree(Path(args.output_dir) / f"checkpoint-{state.global_step}", folder, dirs_exist_ok=True)

    def _stop_at_target(self, state: Any, control: Any) -> None:
        if self.trial.target and self._step(state) >= self.trial.target:
            control.should_training_stop = True

    def _step(self, state: Any) -> float:
        return float(state.epoch if self.trial.counter == EPOCH else state.global_step)
