"""Bad Studies and good ones that people might fear are bad: what the API promises, as a table.

Used by the tests of the models and by those on a real API server.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from tests.api import bad_running, bad_search, good, unaccepted
from tests.api.builders import Case, Document, Stage

SCENARIOS = Path(__file__).parent / "scenarios"

REFUSED: tuple[Case, ...] = (*bad_search.CASES, *bad_running.CASES)
"""By an API server, and without one with the same words."""

UNACCEPTED: tuple[Case, ...] = unaccepted.CASES
GOOD: tuple[Case, ...] = good.CASES

__all__ = ["GOOD", "REFUSED", "UNACCEPTED", "Case", "Document", "Stage", "by_name", "scenarios"]


def by_name(case: Case) -> str:
    """For the ids of tests."""
    return case.name


@cache
def scenarios() -> dict[str, Document]:
    """Studies as users would write them, by file name. Read once: who changes one copies it."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(SCENARIOS.glob("*.yaml"))}
