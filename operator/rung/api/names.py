"""Names and labels that appear on objects. Deterministic, so that every write may be repeated."""

from __future__ import annotations

GROUP = "rung.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

STUDY_LABEL = f"{GROUP}/study"
"""The Study's name: selects trials, Jobs and pods. Ownership is checked by UID, since a namesake may have come before."""

STUDY_UID_LABEL = f"{GROUP}/study-uid"
TRIAL_LABEL = f"{GROUP}/trial"
"""The trial's number."""

ATTEMPT_LABEL = f"{GROUP}/attempt"

MAX_STUDY_NAME = 40
"""`<study>-<trial>-<attempt>` and the five signs that a Job adds for its pod must fit in the 63 of a DNS label."""


def trial_name(study: str, number: int) -> str:
    """The name of a Trial."""
    return f"{study}-{number}"


def number_of(trial: str) -> int:
    """The number in the name of a Trial."""
    return int(trial.rpartition("-")[2])


def job_name(study: str, number: int, attempt: int) -> str:
    """The name of an attempt's Job. Attempts count from 1."""
    return f"{study}-{number}-{attempt}"
