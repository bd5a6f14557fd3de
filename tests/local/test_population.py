"""`rung run examples/pbt.yaml`: real networks, whose clones go on from the checkpoints of others."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from rung.api.facts import TrialFacts, TrialState
from rung.api.names import number_of
from rung.api.study import Study, parse_study
from rung.brain import Plan, StudyState
from rung.brain.population import lineage
from rung.brain.replay import contradictions
from rung.executor.record import facts_of
from rung.local.run import Options, Ran, run_study
from rung.local.state import State
from tests.local.conftest import Recorder, processes_of
from tests.trial_image.processes import TRIAL_IMAGE, ended, trainer

EXAMPLE = Path(__file__).parents[2] / "examples" / "pbt.yaml"
MEMBERS, TARGET = 8, 15


@dataclass(frozen=True)
class Found:
    """The study after its end."""

    plan: Plan
    ran: Ran
    state: Path
    trials: dict[int, TrialFacts]
    document: Study

    def checkpoints(self, number: int) -> Path:
        return self.state / "checkpoints" / f"pbt-{number}"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    document = yaml.safe_load(EXAMPLE.read_text())
    container = document["spec"]["trial"]["podTemplate"]["spec"]["containers"][0]
    container["command"][0] = sys.executable  # the name python may be another one here
    study = parse_study(document, strict=True)
    state = tmp_path_factory.mktemp("pbt") / "state"
    environment = {**os.environ, "PYTHONPATH": str(TRIAL_IMAGE)}
    ran = asyncio.run(run_study(study, "", Options(state), Recorder(), environment=environment))
    plan = Plan.of(study)
    kept = State(state)
    trials = {trial.spec.number: facts_of(trial, plan) for trial in kept.trials()}
    return Found(plan, ran, state, trials, Study.model_validate_json((state / "study.json").read_text()))


def clones(found: Found) -> list[TrialFacts]:
    return [facts for facts in found.trials.values() if facts.descent is not None]


def test_eight_networks_come_to_their_end_and_the_worst_are_replaced(found: Found) -> None:
    assert found.ran.verdict.state is StudyState.SUCCEEDED, found.ran.verdict.message
    stopped = [n for n, facts in found.trials.items() if any(r.verdict == "Stop" for r in facts.rungs)]
    assert len(stopped) >= 3
    assert sorted(facts.descent.replaces for facts in clones(found) if facts.descent) == stopped
    assert sum(facts.descent is None for facts in found.trials.values()) == MEMBERS
    assert contradictions(found.plan, found.trials.values()) == []
    assert processes_of(found.state) == []


def test_a_clone_begins_with_its_parents_checkpoint_and_writes_its_own(found: Found) -> None:
    resumed = [facts for facts in clones(found) if facts.descent and facts.descent.step is not None]
    assert resumed
    for facts in resumed:
        assert facts.descent is not None
        assert facts.descent.step is not None
        assert facts.curve[0].step == facts.descent.step + 1
        own = {path.name for path in found.checkpoints(facts.number).iterdir()}
        assert f"step-{int(facts.descent.step)}" not in own
        assert (found.checkpoints(facts.descent.parent) / f"step-{int(facts.descent.step)}").is_dir()
        if facts.state is TrialState.SUCCEEDED:
            assert f"step-{TARGET}" in own


def test_what_may_not_change_is_as_in_the_parent(found: Found) -> None:
    for facts in clones(found):
        assert facts.descent is not None
        parent = found.trials[facts.descent.parent]
        assert facts.parameters["width"] == parent.parameters["width"]


def test_the_best_is_what_its_lineage_trains_one_after_the_other(found: Found, tmp_path: Path) -> None:
    """Each stretch again, by hand, from the checkpoint of the one before: the same loss to the last bit."""
    assert found.document.status is not None
    best = found.document.status.best
    assert best is not None
    number = number_of(best.trial)
    line = [number_of(a.trial) for a in best.lineage] or [number]
    trials = found.ran.trials
    assert line == lineage(trials, number)
    loss = None
    for place, ancestor in enumerate(line):
        facts = found.trials[ancestor]
        following = found.trials[line[place + 1]].descent if place + 1 < len(line) else None
        upto = TARGET if following is None else int(following.step or 0)
        environment = {"RUNG_CHECKPOINT_DIR": str(tmp_path / str(ancestor)), "RUNG_SEED": str(facts.seed)}
        if place:
            environment["RUNG_RESUME_FROM"] = str(
                tmp_path / str(line[place - 1]) / f"step-{int(facts.descent.step or 0)}"
            )  # type: ignore[union-attr]
        arguments = [f"--{name}={text}" for name, text in found.plan.space.render(facts.parameters).items()]
        done = ended(trainer("digits", "--optimizer=sgd", *arguments, f"--epochs={upto}"), **environment)
        assert done.code == 0, done.stderr
        loss = [report["val_loss"] for report in done.reports if "val_loss" in report][-1]
    assert loss == found.trials[number].values["val_loss"]
