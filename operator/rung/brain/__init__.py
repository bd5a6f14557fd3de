"""The brain: facts in, decisions out. See `rung.brain.decide`."""

from __future__ import annotations

from rung.brain.decide import decide
from rung.brain.decisions import Decision, Decisions, StudyState, StudyVerdict, applied
from rung.brain.plan import Plan
from rung.brain.trials import Trials
from rung.brain.verdict import StudyRecord

__all__ = ["Decision", "Decisions", "Plan", "StudyRecord", "StudyState", "StudyVerdict", "Trials", "applied", "decide"]
