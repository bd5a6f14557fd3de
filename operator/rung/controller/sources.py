"""Studies that a study starts from, on a cluster: wait for their end, record once what counts of them, read it again.

The record comes first: nothing rests on another study's trials before their mark stands in this study's status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from rung.api.errors import InvalidStudy
from rung.api.names import STUDY_LABEL
from rung.api.study import StartedFrom, Study, StudyKey, parse_study
from rung.api.trial import Trial
from rung.brain import Plan
from rung.controller.listing import get_or_none
from rung.controller.memory import Memory
from rung.controller.sight import controller_uid
from rung.controller.writing import StatusWriter
from rung.executor.sources import Past, mark_of, started_from, why_wait
from rung.kube.client import Kube

log = logging.getLogger("rung.controller")

WAITING = "Waiting"


@dataclass(frozen=True, slots=True)
class Sources:
    """Reads other studies of the same namespace."""

    kube: Kube
    statuses: StatusWriter

    async def resolve(self, study: Study, plan: Plan, memory: Memory) -> tuple[Study, Plan | None]:
        """The plan with what the others found, and the study as it is after the record; None: it waits.

        Raises InvalidStudy where the others make no start.
        """
        memory.waits_for = frozenset(plan.awaits)  # before they are looked at, so that none ends unnoticed
        marks = {mark.name: mark for mark in study.status.warm_start} if study.status is not None else {}
        others = await asyncio.gather(*(self._other(study, name) for name in plan.awaits))
        fresh = False
        for name, other in zip(plan.awaits, others, strict=True):
            if name in marks:
                continue
            wait = why_wait(name, other)
            if wait is not None:
                if other is not None and await self._leads_back(study, other):
                    what = f"study {name} waits for this one in turn, so neither could start; take one of them out"
                    raise InvalidStudy("spec.warmStart.studies", what)
                memory.state = WAITING
                await self.statuses.wait(study, *wait)
                return study, None
            if other is not None:
                marks[name] = mark_of(other)
                fresh = True
        chosen = [marks[name] for name in plan.awaits]
        found = [await self._past(mark, other) for mark, other in zip(chosen, others, strict=True)]
        resolved = started_from(plan, found)
        if fresh:
            study = await self._record(study, chosen)
        memory.plan, memory.waits_for = resolved, frozenset()
        return study, resolved

    async def _other(self, study: Study, name: str) -> Study | None:
        """Another study; None: there is none. Raises InvalidStudy for one that cannot be read."""
        if name == study.key.name:
            raise InvalidStudy("spec.warmStart.studies", "a study cannot start from itself")
        document = await get_or_none(self.kube, "studies", study.key.namespace, name)
        try:
            return None if document is None else parse_study(document)
        except InvalidStudy as error:
            raise InvalidStudy("spec.warmStart.studies", f"study {name} cannot be read: {error}") from error

    async def _leads_back(self, study: Study, other: Study) -> bool:
        """Whether the other one waits for this one, itself or through others."""
        seen, ahead = {other.key.name}, [other]
        while ahead:
            at = ahead.pop()
            begun = {mark.name for mark in at.status.warm_start} if at.status is not None else set()
            for entry in () if at.spec.warm_start is None else at.spec.warm_start.studies:
                if entry.name == study.key.name and entry.name not in begun:
                    return True
                if entry.name not in seen | begun:
                    seen.add(entry.name)
                    following = await self._other(study, entry.name)
                    ahead += [following] if following is not None else []
        return False

    async def _past(self, mark: StartedFrom, other: Study | None) -> Past:
        """What is there of a study that was taken from. A namesake is another study."""
        if other is None or other.metadata.uid != mark.uid:
            return Past(mark)
        documents = await self.kube.list("trials", other.key.namespace, label_selector=f"{STUDY_LABEL}={mark.name}")
        ours = [Trial.model_validate(d) for d in documents if controller_uid(d) == mark.uid]
        return Past(mark, other, tuple(ours))

    async def _record(self, study: Study, marks: Sequence[StartedFrom]) -> Study:
        log.info("study starts from others", extra={"study": "/".join(study.key), "others": [m.name for m in marks]})
        return await self.statuses.start_from(study, marks)


def waiting_for(memories: dict[StudyKey, Memory], key: StudyKey) -> list[StudyKey]:
    """Studies of the same namespace that wait for this one."""
    return [k for k, memory in memories.items() if key.name in memory.waits_for and k.namespace == key.namespace]
