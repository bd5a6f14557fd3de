"""What the controller remembers of a study between two reconciles. Everything here can be lost at any moment: it is read again.

Finished trials are read once; unfinished ones, Jobs and pods are listed fresh each time and never believed from here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from rung.api.errors import InvalidStudy
from rung.api.frozen import FROZEN
from rung.api.study import Study
from rung.api.trial import TrialStatus
from rung.brain import Plan, Trials


@dataclass(slots=True)
class TrialObject:
    """The identity of a Trial on the API server, and its status as last read or written."""

    uid: str
    resource_version: str
    status: TrialStatus | None = None
    written_at: float = 0.0


@dataclass(slots=True)
class Memory:
    """One study, by UID."""

    uid: str
    generation: int | None = None
    plan: Plan | None = None
    refusal: InvalidStudy | None = None
    warnings: tuple[str, ...] = ()
    trials: Trials | None = None
    objects: dict[int, TrialObject] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)  # name -> UID, of the last list
    status_written_at: float = 0.0
    state: str = ""
    waits_for: frozenset[str] = frozenset()  # names of studies whose end it waits for


def frozen_hash(study: Study) -> str:
    """A fingerprint of what must not change once trials exist. Closes the gap before `status.trials.created` is written."""
    parts = [(frozen.field, frozen.part(study.spec)) for frozen in FROZEN]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
