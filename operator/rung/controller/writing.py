"""Writes of a study's status. One per reconcile; put off for a moment where it tells nothing that anybody waits for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.api.errors import InvalidStudy
from rung.api.study import StartedFrom, Study, StudyKey, StudyStatus
from rung.brain import Plan, Trials
from rung.controller.memory import Memory, frozen_hash
from rung.executor.reconcile import Outcome
from rung.executor.status import not_permitted_status, refused_status, study_status, waiting_status
from rung.kube.client import Kube
from rung.kube.errors import Forbidden

log = logging.getLogger("rung.controller")

STATUS_EVERY_SECONDS = 1.0  # counts may lag by this much: every status write runs all CEL rules on the server


@dataclass(slots=True)
class StatusWriter:
    """Writes by PUT with the resourceVersion that was read: a namesake or a newer writer is a Conflict."""

    kube: Kube
    clock: Callable[[], float]

    async def refuse(
        self, key: StudyKey, document: Mapping[str, Any] | None, error: InvalidStudy, study: Study | None = None
    ) -> None:
        """Accepted=False with the field's path. `document` stands in for a study that not even parses."""
        generation = study.metadata.generation if study is not None else (document or {})["metadata"].get("generation")
        previous = study.status if study is not None else _raw_status(document)
        status = refused_status(generation, previous, error.reason, str(error), self.clock())
        if previous is not None and status == previous:
            return
        log.info(
            "study refused", extra={"study": f"{key.namespace}/{key.name}", "reason": error.reason, "why": str(error)}
        )
        body: dict[str, Any] = dict(document) if document is not None else await self.kube.get("studies", *key)
        body["status"] = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.kube.replace_status("studies", key.namespace, key.name, body)

    async def wait(self, study: Study, reason: str, message: str) -> None:
        """Accepted=Unknown: another study has to end first."""
        status = waiting_status(study.metadata.generation, study.status, reason, message, self.clock())
        if status != study.status:
            await self._put(study, status)

    async def start_from(self, study: Study, marks: Sequence[StartedFrom]) -> Study:
        """What counts of other studies, written before anything rests on it. Returns the study as it is then."""
        status = (study.status or StudyStatus()).model_copy(update={"warm_start": tuple(marks)})
        written = await self._put(study, status)
        newer = study.metadata.model_copy(update={"resource_version": written["metadata"]["resourceVersion"]})
        return study.model_copy(update={"metadata": newer, "status": status})

    async def not_permitted(self, study: Study, error: Forbidden) -> None:
        """Say on the study which right is missing; whoever installs it reads this, and not only the operator's log."""
        status = not_permitted_status(study.metadata.generation, study.status, str(error), self.clock())
        if status == study.status:
            return
        document = await self.kube.get("studies", *study.key)
        document["status"] = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.kube.replace_status("studies", *study.key, document)

    async def write(
        self,
        study: Study,
        plan: Plan,
        trials: Trials,
        outcome: Outcome,
        memory: Memory,
        note: str,
    ) -> float | None:
        """The only write of the study's status; returns seconds after which a write that was put off is due."""
        now, previous = self.clock(), study.status
        status = study_status(
            plan,
            trials,
            outcome.verdict,
            previous,
            now,
            created=outcome.created,
            frozen_hash=frozen_hash(study),
            note=note,
        )
        if previous is not None and status == previous:
            return None
        due = memory.status_written_at + STATUS_EVERY_SECONDS
        if previous is not None and _says_the_same(previous, status) and now < due:
            return due - now
        await self._put(study, status)
        memory.status_written_at = now
        return None

    async def _put(self, study: Study, status: StudyStatus) -> dict[str, Any]:
        document: dict[str, Any] = {
            "apiVersion": study.api_version,
            "kind": "Study",
            "metadata": {
                "name": study.metadata.name,
                "namespace": study.metadata.namespace,
                "uid": study.metadata.uid,
                "resourceVersion": study.metadata.resource_version,
            },
            "spec": study.spec.model_dump(by_alias=True, exclude_none=True, mode="json"),
            # only what there is to say: `kubectl describe` would show each empty field
            "status": status.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json"),
        }
        return await self.kube.replace_status("studies", study.key.namespace, study.key.name, document)


def _raw_status(document: Mapping[str, Any] | None) -> StudyStatus | None:
    status = (document or {}).get("status")
    return StudyStatus.model_validate(status) if status else None


def _says_the_same(before: StudyStatus, after: StudyStatus) -> bool:
    """Nothing that a person or a program waits for: conditions and the best stand as they did."""

    def essence(status: StudyStatus) -> object:
        return [(c.type, c.status, c.reason) for c in status.conditions], status.frozen_hash, status.observed_generation

    return essence(before) == essence(after)
