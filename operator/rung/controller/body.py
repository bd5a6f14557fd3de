"""The cluster as a body: Trials and Jobs written by deterministic names, so that every write may be repeated.

AlreadyExists is a success only if the owner is ours and the object is not being deleted; deletes carry the UID that was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rung.api.checkpoints import at_step, folder, inherited
from rung.api.errors import Conflict
from rung.api.facts import Attempt, AttemptEnd, AttemptPhase, TrialFacts
from rung.api.names import API_VERSION, STUDY_LABEL, TRIAL_LABEL, job_name, trial_name
from rung.api.trial import Trial
from rung.brain import Plan
from rung.controller.memory import Memory, TrialObject
from rung.controller.sight import controller_uid
from rung.executor.record import spec_of, status_of
from rung.kube.client import Kube
from rung.kube.errors import AlreadyExists, Invalid, NotFound
from rung.kube.render import gpus_of_job, render_job


@dataclass(slots=True)
class KubeBody:
    """One study's writes during one reconcile."""

    kube: Kube
    plan: Plan
    memory: Memory
    now: Callable[[], float]
    on_kill: Callable[[float], None] = lambda seconds: None  # from the observation to the Job's deletion  # noqa: ARG005

    @property
    def namespace(self) -> str:
        """The study's."""
        return self.plan.study.metadata.namespace or "default"

    @property
    def study_name(self) -> str:
        """The study's."""
        return self.plan.study.metadata.name

    async def create(self, facts: TrialFacts) -> None:
        """The Trial object, owned by the Study. A known one gets its status at once, since nothing else will write it."""
        document = self._trial_document(facts)
        name = document["metadata"]["name"]
        try:
            made = await self.kube.create("trials", self.namespace, document)
        except AlreadyExists:
            made = await self._adopted("trials", name, self.memory.uid)
        self._remember(facts.number, made)
        if facts.finished:
            await self.write(facts)

    async def write(self, facts: TrialFacts) -> None:
        """PUT of the status with the resourceVersion that was last seen; a namesake or a newer writer is a Conflict."""
        known = self.memory.objects[facts.number]
        now = self.now()
        status = status_of(facts, self.plan, known.status, now)
        name = trial_name(self.study_name, facts.number)
        document = {
            "apiVersion": API_VERSION,
            "kind": "Trial",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "uid": known.uid,
                "resourceVersion": known.resource_version,
            },
            "spec": spec_of(facts, self.plan).model_dump(by_alias=True, exclude_none=True, mode="json"),
            "status": status.model_dump(by_alias=True, exclude_none=True, mode="json"),
        }
        written = await self.kube.replace_status("trials", self.namespace, name, document)
        known.resource_version = written["metadata"]["resourceVersion"]
        known.status = status
        known.written_at = now

    async def start(self, facts: TrialFacts, attempt: int) -> TrialFacts:
        """The attempt's Job, owned by the Trial. A Job that the server calls invalid ends the attempt as Refused."""
        owner = self.memory.objects[facts.number]
        target = self.plan.attempt_target(facts)
        document = render_job(
            self.plan.study, self._trial(facts), attempt, resume_from=self._resume_from(facts), target=target
        )
        ready = replace(facts, gpus=gpus_of_job(document))
        name = job_name(self.study_name, facts.number, attempt)
        try:
            made = await self.kube.create("jobs", self.namespace, document)
        except AlreadyExists:
            made = await self._adopted("jobs", name, owner.uid)
        except Invalid as error:
            refused = Attempt(
                attempt,
                AttemptPhase.ENDED,
                end=AttemptEnd.REFUSED,
                message=f"the Job was refused: {error}",
                collected=True,
            )
            return replace(ready, live=refused)
        self.memory.jobs[name] = made["metadata"]["uid"]
        return ready

    def _resume_from(self, facts: TrialFacts) -> str | None:
        """The newest complete checkpoint, of a clone without one its parent's. Mode Restart begins from nothing at every rung."""
        step = facts.checkpoint_step
        if step is None and facts.descent is not None:
            return inherited(self.plan.study, spec_of(facts, self.plan))
        directory = folder(self.plan.study, facts.number, self.plan.attempt_target(facts))
        if directory is None or step is None or self.plan.rung_by_rung:
            return None
        return at_step(directory, step)

    async def end(self, facts: TrialFacts, attempt: int, reason: str) -> None:
        """Delete the Job, in the background: its pod gets SIGTERM now. Never by name alone."""
        await self.delete_job(job_name(self.study_name, facts.number, attempt))
        if reason == "StoppedAtRung" and facts.last_observed_at is not None:
            self.on_kill(max(0.0, self.now() - facts.last_observed_at))

    async def delete_job(self, name: str) -> None:
        """By the UID of the last list; one that is gone is a success."""
        uid = self.memory.jobs.get(name)
        try:
            if uid is None:
                uid = (await self.kube.get("jobs", self.namespace, name))["metadata"]["uid"]
            await self.kube.delete("jobs", self.namespace, name, uid=uid)
        except NotFound:
            pass
        self.memory.jobs.pop(name, None)

    def _trial(self, facts: TrialFacts) -> Trial:
        document = self._trial_document(facts)
        document["metadata"]["uid"] = self.memory.objects[facts.number].uid
        return Trial.model_validate(document)

    def _trial_document(self, facts: TrialFacts) -> dict[str, Any]:
        return {
            "apiVersion": API_VERSION,
            "kind": "Trial",
            "metadata": {
                "name": trial_name(self.study_name, facts.number),
                "namespace": self.namespace,
                "labels": {STUDY_LABEL: self.study_name, TRIAL_LABEL: str(facts.number)},
                "ownerReferences": [
                    {
                        "apiVersion": API_VERSION,
                        "kind": "Study",
                        "name": self.study_name,
                        "uid": self.memory.uid,
                        "controller": True,
                    }
                ],
            },
            "spec": spec_of(facts, self.plan).model_dump(by_alias=True, exclude_none=True, mode="json"),
        }

    async def _adopted(self, resource: str, name: str, owner: str) -> dict[str, Any]:
        """The object that is there already, if it is ours; else a Conflict, which lists again and tries again."""
        found: dict[str, Any] = await self.kube.get(resource, self.namespace, name)
        if controller_uid(found) != owner or found["metadata"].get("deletionTimestamp"):
            raise Conflict(
                f"{resource} {self.namespace}/{name} exists, owned by another or on its way out: waiting for it to go"
            )
        return found

    def _remember(self, number: int, document: dict[str, Any]) -> None:
        metadata = document["metadata"]
        self.memory.objects[number] = TrialObject(metadata["uid"], metadata["resourceVersion"])
