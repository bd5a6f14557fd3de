"""Studies that a study starts from, on this machine: those whose state lies beside its own.

    .rung/round-1/      a study that has ended
    .rung/round-2/      one with `warmStart: {studies: [{name: round-1}]}`

A study that another `rung run` is working on is waited for. One that nobody works on is an error: on a machine nothing
begins by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from rung.api.study import StartedFrom, Study
from rung.brain import Plan
from rung.executor.sources import Past, mark_of, started_from, why_wait
from rung.local.state import State, StateError

POLL_SECONDS = 0.5  # between two looks at a study that another process works on


async def resolved(plan: Plan, parent: Path, marks: Mapping[str, StartedFrom], note: Callable[[str], None]) -> Plan:
    """The plan with what the studies that it awaits have found. `marks`: what an earlier run has recorded of them.

    Raises StateError for a study that is not there or has not ended, InvalidStudy for one that makes no start.
    """
    if not plan.awaits:
        return plan
    pasts = []
    for name in plan.awaits:
        state = State(parent / name)
        if name in marks:
            study = state.study()
            same = study is not None and mark_of(study).uid == marks[name].uid
            pasts.append(_past(marks[name], study if same else None, state))
            continue
        pasts.append(await past(name, parent, note))
    return started_from(plan, pasts)


async def past(name: str, parent: Path, note: Callable[[str], None]) -> Past:
    """A study that has ended, or will: it is waited for. Raises StateError."""
    state = State(parent / name)
    study = await _ended(name, state, note)
    return _past(mark_of(study), study, state)


def _past(mark: StartedFrom, study: Study | None, state: State) -> Past:
    return Past(mark, study, () if study is None else tuple(state.trials()))


async def _ended(name: str, state: State, note: Callable[[str], None]) -> Study:
    """The study, once it has ended."""
    waits = False
    while True:
        study = state.study()
        if study is not None and why_wait(name, study) is None:
            return study
        if not state.is_worked_on():
            what = "has not ended" if study is not None else f"is not in {state.path.parent}"
            raise StateError(f"spec.warmStart.studies: study {name} {what}: `rung run` it to its end first")
        if not waits:
            note(f"waiting for the end of study {name}, which another `rung run` works on")
            waits = True
        await asyncio.sleep(POLL_SECONDS)
