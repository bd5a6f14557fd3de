"""Temporary."""

from rung.api.study import StudySpec


def check_implemented(spec: StudySpec) -> None:
    """Nothing."""
