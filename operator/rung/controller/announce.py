"""Events: what a person sees in `kubectl describe` and `kubectl get events`. They follow the writes they tell of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.api.facts import Descent
from rung.api.names import API_VERSION, trial_name
from rung.api.study import Study, StudyStatus
from rung.brain import Plan
from rung.brain.decisions import Conclude, Create, Judge, Retry, clone_reason
from rung.controller.memory import Memory
from rung.executor.reconcile import Outcome
from rung.kube.events import EventRecorder

UNREMARKABLE = frozenset({"Completed", "StudyEnded"})
"""Ends that the Trial's own status tells, and nobody wonders at: an event each would be a fifth of all writes."""

WARNINGS = frozenset({"Failed", "Infeasible"})


class Announcer:
    """Turns what a reconcile did into events. Posting happens elsewhere and never fails a reconcile."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder

    def announce(
        self,
        study: Study,
        plan: Plan,
        memory: Memory,
        outcome: Outcome,
        previous: StudyStatus | None,
    ) -> None:
        """One event per trial that was stopped, cloned, failed or retried, and one when the study's state changes."""
        for decision in outcome.decided:
            match decision:
                case Conclude(number=number, state=state, reason=reason, message=message):
                    if reason not in UNREMARKABLE:
                        kind = "Warning" if state.value in WARNINGS else "Normal"
                        self._trial(plan, memory, number, kind, reason, message)
                case Judge(number=number, stop=True, message=message):
                    self._trial(plan, memory, number, "Normal", "StoppedAtRung", message)
                case Create(number=number, descent=Descent() as descent, message=message):
                    kind = "Warning" if descent.step is None else "Normal"
                    self._trial(plan, memory, number, kind, clone_reason(descent), message)
                case Retry(number=number, reason=reason, message=message) if reason != "Suspended":
                    self._trial(plan, memory, number, "Warning", reason, f"{message}; another attempt follows")
                case _:
                    pass
        before = previous.state if previous is not None else ""
        if outcome.verdict.state.value != before:
            kind = "Warning" if outcome.verdict.state.value == "Failed" else "Normal"
            self._recorder.post(_reference(study), kind, outcome.verdict.reason, outcome.verdict.message)

    async def failed_create(self, job: Mapping[str, Any]) -> str:
        """Why the Job controller could not make the Job's pod, in its own words; "" if it has not said."""
        return await self._recorder.failed_create(job)

    def _trial(self, plan: Plan, memory: Memory, number: int, kind: str, reason: str, message: str) -> None:
        known = memory.objects.get(number)
        if known is None:
            return
        reference = {
            "apiVersion": API_VERSION,
            "kind": "Trial",
            "namespace": plan.study.key.namespace,
            "name": trial_name(plan.study.key.name, number),
            "uid": known.uid,
        }
        self._recorder.post(reference, kind, reason, message)


def _reference(study: Study) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Study",
        "namespace": study.key.namespace,
        "name": study.key.name,
        "uid": study.metadata.uid,
    }
