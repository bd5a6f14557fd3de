"""The Kubernetes body keeps every promise of an executor: the same study as in simulation, through Jobs and pods."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from rung.api.study import Study
from rung.api.trial import Trial
from rung.brain import Plan, StudyState, StudyVerdict
from rung.executor.record import facts_of
from tests.cluster.api import Api
from tests.cluster.studies import Running
from tests.cluster.waiting import wait_until
from tests.executor.contract import ExecutorContract, Result

STUDY_SECONDS = 60.0
_numbers = itertools.count()


@pytest.mark.usefixtures("operator")
class TestKubernetes(ExecutorContract):
    """Runs each study in the module's namespace, under a name of its own."""

    @pytest.fixture(autouse=True)
    def cluster_of_the_module(self, api: Api, module_namespace: str) -> None:
        self.api, self.namespace = api, module_namespace

    async def run(self, study: Study) -> Result:
        return await asyncio.to_thread(self._run, study)

    async def run_after(self, study: Study, other: Study) -> Result:
        return await asyncio.to_thread(self._run_after, study, other)

    def _run_after(self, study: Study, other: Study) -> Result:
        """Both applied together, the one that waits first."""
        name = f"contract-{next(_numbers)}"
        document = _document(study)
        document["spec"]["warmStart"]["studies"][0]["name"] = name
        running = Running.apply(self.api, self.namespace, document)
        Running.apply(self.api, self.namespace, _document(other, name))
        return self._ended(study, running)

    def _run(self, study: Study) -> Result:
        return self._ended(study, Running.apply(self.api, self.namespace, _document(study)))

    def _ended(self, study: Study, running: Running) -> Result:
        state = wait_until(
            "the study is over",
            lambda: next((s for s in ("Succeeded", "Failed") if running.condition(s).get("status") == "True"), ""),
            timeout=STUDY_SECONDS,
            show=running.told,
        )
        over = running.condition(state)
        plan = Plan.of(study)
        trials = [facts_of(Trial.model_validate(trial), plan) for trial in running.trials()]
        return Result(trials, StudyVerdict(StudyState(state), over["reason"], over["message"]))


def _document(study: Study, name: str | None = None) -> dict[str, Any]:
    return {
        "apiVersion": study.api_version,
        "kind": study.kind,
        "metadata": {"name": name or f"contract-{next(_numbers)}"},
        "spec": study.spec.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json"),
    }
