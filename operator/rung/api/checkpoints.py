"""Where checkpoints lie: one folder for each trial, in it one checkpoint for each step. Pure.

    volume      /runs/digits-7/step-9 for the program; pvc://claim/digits-1a2b3c4d/digits-7/step-9 for people (as KServe has it)
    uri         s3://bucket/runs/digits-1a2b3c4d/digits-7/step-9 for both; the program reaches it by itself
    a machine   a folder of the study's state in the place of the volume

The study's folder has the beginning of its UID in its name, so that a later namesake finds it empty. In mode Restart each rung
has a folder of its own, digits-7/rung-9: a run that begins from nothing must not find what a shorter one has left.
"""

from __future__ import annotations

from rung.api.names import number_of, trial_name
from rung.api.study import Mode, Study
from rung.api.trial import TrialSpec

MOUNT = "/runs"
UID_DIGITS = 8  # enough to tell a study from a later namesake, short enough to read


def study_folder(study: Study) -> str:
    """The study's folder in a volume or below a URI: one for all trials, so that one can go on from another's checkpoint."""
    return f"{study.metadata.name}-{(study.metadata.uid or '')[:UID_DIGITS]}".rstrip("-")


def folder(study: Study, number: int, target: int | None = None, volume: str = MOUNT) -> str | None:
    """A trial's own folder as its program names it; None without a checkpoint in the Study.

    `target` is the attempt's, `volume` where the volume is.
    """
    checkpoint = study.spec.trial.checkpoint
    if checkpoint is None:
        return None
    name = trial_name(study.metadata.name, number)
    if study.spec.scheduler.mode is Mode.RESTART:
        name = f"{name}/rung-{target}"
    return f"{volume}/{name}" if checkpoint.uri is None else f"{_below(checkpoint.uri, study)}/{name}"


def at_step(directory: str, step: float) -> str:
    """A checkpoint in a trial's folder."""
    return f"{directory}/step-{int(step) if step == int(step) else step}"


def inherited(study: Study, trial: TrialSpec, volume: str = MOUNT) -> str | None:
    """The checkpoint of another trial that a clone begins with. Nothing is copied, and nothing of the parent's is overwritten."""
    if trial.parent is None or trial.parent_step is None:
        return None
    directory = folder(study, number_of(trial.parent), volume=volume)
    return None if directory is None else at_step(directory, trial.parent_step)


def location(study: Study, number: int, step: float, target: int | None = None, volume: str | None = None) -> str:
    """Where a person finds a checkpoint. `volume`: the folder that stands for the volume, where there is no cluster."""
    checkpoint = study.spec.trial.checkpoint
    if checkpoint is None:
        return ""
    claim = f"pvc://{checkpoint.persistent_volume_claim}"
    directory = folder(study, number, target, volume or _below(claim, study))
    return "" if directory is None else at_step(directory, step)


def _below(place: str, study: Study) -> str:
    return f"{place.rstrip('/')}/{study_folder(study)}"
