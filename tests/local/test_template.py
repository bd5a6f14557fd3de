"""The pod template as a process: command, environment, what is left out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rung.api.errors import InvalidStudy
from rung.api.facts import Descent, TrialFacts
from rung.api.study import parse_study
from rung.brain import Plan
from rung.executor.record import trial_of
from rung.local.process import Launch
from rung.local.state import AttemptFolder
from rung.local.template import Template

Document = dict[str, Any]


def a_plan(container: Document, *, pod: Document | None = None, metadata: Document | None = None, **spec: Any) -> Plan:
    document = {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": "digits"},
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [
                {"name": "lr", "type": "Double", "min": "0", "max": "1"},
                {"name": "kind", "type": "Categorical", "values": ["sgd", "$(HOME)"]},
                {
                    "name": "momentum",
                    "type": "Double",
                    "min": "0",
                    "max": "1",
                    "when": [{"parameter": "kind", "in": ["sgd"]}],
                },
            ],
            "trial": {
                "podTemplate": {
                    **({"metadata": metadata} if metadata else {}),
                    "spec": {"containers": [{"name": "t", "image": "i", **container}], **(pod or {})},
                }
            },
            **spec,
        },
    }
    return Plan.of(parse_study(document, strict=True))


def launched(
    tmp_path: Path,
    plan: Plan,
    *,
    environment: dict[str, str] | None = None,
    devices: tuple[str, ...] = (),
    **known: Any,
) -> Launch:
    template = Template.of(plan, environment or {"HOME": "/home/me", "RUNG_TRIAL": "outer"})
    facts = TrialFacts(number=7, parameters={"lr": 0.25, "kind": "$(HOME)"}, seed=11, **known)
    trial = trial_of(facts, plan, None, 0.0)
    folder = AttemptFolder(tmp_path / "attempts" / "7-2", 7, 2)
    return template.launch(trial, folder, devices, target=plan.target, port=4711, checkpoints=tmp_path / "checkpoints")


def test_placeholders_and_references_become_values(tmp_path: Path) -> None:
    plan = a_plan(
        {
            "command": ["python", "train.py"],
            "args": [
                "--lr=$(params.lr)",
                "--kind=$(params.kind)",
                "--momentum=$(params.momentum)",
                "--run=$(RUN)",
                "$$(RUN)",
            ],
            "env": [{"name": "RUN", "value": "$(RUNG_TRIAL)/$(RUNG_ATTEMPT)"}, {"name": "UNKNOWN", "value": "$(NOPE)"}],
            "workingDir": "/tmp",
        }
    )
    launch = launched(tmp_path, plan)
    assert launch.arguments == ("python", "train.py", "--lr=0.25", "--kind=$(HOME)", "--run=digits-7/2", "$(RUN)")
    assert launch.environment["UNKNOWN"] == "$(NOPE)"
    assert launch.directory == Path("/tmp")


def test_the_environment_is_this_machines_the_protocols_and_the_templates(tmp_path: Path) -> None:
    plan = a_plan(
        {"command": ["true"], "env": [{"name": "HOME", "value": "/elsewhere"}]},
        scheduler={"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": 27}},
    )
    got = launched(
        tmp_path, plan, environment={"HOME": "/home/me", "LANG": "C", "RUNG_CHECKPOINT_DIR": "/outer"}
    ).environment
    assert (got["HOME"], got["LANG"]) == ("/elsewhere", "C")
    assert "RUNG_CHECKPOINT_DIR" not in got
    assert json.loads(got["RUNG_PARAMETERS"]) == {"lr": 0.25, "kind": "$(HOME)"}
    want = {
        "RUNG_STUDY": "digits",
        "RUNG_TRIAL": "digits-7",
        "RUNG_TRIAL_NUMBER": "7",
        "RUNG_ATTEMPT": "2",
        "RUNG_SEED": "11",
        "RUNG_RESOURCE_METRIC": "epoch",
        "RUNG_RESOURCE_TARGET": "27",
        "RUNG_METRICS_PORT": "4711",
        "RUNG_METRICS_HOST": "127.0.0.1",
        "RUNG_TERMINATION_LOG": str(tmp_path / "attempts" / "7-2" / "termination"),
        "PYTHONUNBUFFERED": "1",
    }
    assert {name: got[name] for name in want} == want


def test_a_study_with_checkpoints_gives_each_trial_a_folder(tmp_path: Path) -> None:
    container = {"name": "t", "image": "i", "command": ["train", "$(trial.checkpointDir)"]}
    template = {"podTemplate": {"spec": {"containers": [container]}}}
    launch = launched(tmp_path, a_plan({}, trial={**template, "checkpoint": {"persistentVolumeClaim": "runs"}}))
    directory = str(tmp_path / "checkpoints" / "digits-7")
    assert launch.arguments == ("train", directory)
    assert launch.environment["RUNG_CHECKPOINT_DIR"] == directory
    assert Path(directory).is_dir()
    restarting = {"type": "ASHA", "mode": "Restart", "resource": {"max": 9}}
    fresh = a_plan({}, trial={**template, "checkpoint": {"persistentVolumeClaim": "runs"}}, scheduler=restarting)
    assert launched(tmp_path, fresh).arguments == ("train", f"{directory}/rung-9"), "nothing of a shorter run"
    without = launched(tmp_path, a_plan({}, trial=template))
    assert without.arguments == ("train",)
    assert "RUNG_CHECKPOINT_DIR" not in without.environment


def test_a_clone_is_told_its_parents_checkpoint_until_it_has_its_own(tmp_path: Path) -> None:
    container = {"name": "t", "image": "i", "command": ["train", "--resume=$(trial.resumeFrom)"]}
    trial = {"podTemplate": {"spec": {"containers": [container]}}, "checkpoint": {"persistentVolumeClaim": "runs"}}
    scheduler = {"type": "PBT", "resource": {"max": 20}, "pbt": {"population": 4, "intervalSteps": 5}}
    plan = a_plan({}, trial=trial, scheduler=scheduler)
    parents, own = (tmp_path / "checkpoints" / name for name in ("digits-3/step-5", "digits-7/step-9"))

    def resumed(**known: Any) -> str | None:
        return launched(tmp_path, plan, **known).environment.get("RUNG_RESUME_FROM")

    clone = {"descent": Descent(replaces=2, rung=5, parent=3, step=5.0)}
    assert resumed(**clone) == str(parents)
    assert resumed(**clone, checkpoint_step=9.0) == str(parents), "what was reported and is not there does not count"
    own.mkdir(parents=True)
    assert resumed(**clone, checkpoint_step=9.0) == str(own)
    assert resumed(descent=Descent(replaces=2, rung=5, parent=3, step=None)) is None


def test_devices_are_made_visible_and_nothing_else_is_hidden(tmp_path: Path) -> None:
    plan = a_plan({"command": ["true"]})
    assert launched(tmp_path, plan, devices=("2", "5")).environment["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert "CUDA_VISIBLE_DEVICES" not in launched(tmp_path, plan).environment


@pytest.mark.parametrize(
    ("container", "pod", "said"),
    [
        pytest.param({}, {}, "image i", id="the image"),
        pytest.param({}, {"volumes": [{"name": "v"}]}, "1 volumes", id="volumes"),
        pytest.param({}, {"initContainers": [{"name": "v"}]}, "1 init containers", id="init containers"),
        pytest.param({"envFrom": [{"secretRef": {"name": "s"}}]}, {}, "envFrom would come", id="all of a Secret"),
    ],
)
def test_what_only_a_cluster_has_is_said_once(container: Document, pod: Document, said: str) -> None:
    template = Template.of(a_plan({"command": ["true"], **container}, pod=pod), {})
    assert any(said in note for note in template.notes)


@pytest.mark.parametrize(
    ("container", "field"),
    [
        pytest.param({}, "spec.trial.podTemplate.spec.containers[0].command", id="no command"),
        pytest.param(
            {"command": ["true"], "resources": {"limits": {"nvidia.com/gpu": "half"}}},
            "spec.trial.podTemplate.spec.containers[0].resources.limits[nvidia.com/gpu]",
            id="half a GPU",
        ),
    ],
)
def test_a_template_without_a_process_is_refused(container: Document, field: str) -> None:
    with pytest.raises(InvalidStudy) as refused:
        Template.of(a_plan(container), {})
    assert refused.value.field == field
