"""A container's variables where there is no kubelet: what a machine answers, what the shell gives, what is refused."""

from __future__ import annotations

import os
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rung.api.errors import InvalidStudy
from rung.local.template import Template
from rung.local.variables import quantity
from tests.local.test_template import a_plan, launched

WHERE = "spec.trial.podTemplate.spec.containers[0]"
RESOURCES = {"requests": {"cpu": "1500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def field_ref(path: str) -> dict[str, Any]:
    return {"fieldRef": {"fieldPath": path}}


def resource(name: str, **more: str) -> dict[str, Any]:
    return {"resourceFieldRef": {"resource": name, **more}}


@pytest.mark.parametrize(
    ("source", "want"),
    [
        pytest.param(field_ref("metadata.name"), "digits-7-2", id="the pod's name is the attempt's"),
        pytest.param(field_ref("metadata.namespace"), "default", id="the namespace"),
        pytest.param(field_ref("metadata.labels['team']"), "vision", id="a label of the template"),
        pytest.param(field_ref("metadata.labels['rung.dev/trial']"), "7", id="a label that Rung puts there"),
        pytest.param(field_ref("metadata.annotations['lr']"), "0.25", id="an annotation, rendered"),
        pytest.param(field_ref("metadata.annotations['none']"), "", id="one that is not there is empty"),
        pytest.param(field_ref("status.podIP"), "127.0.0.1", id="the address"),
        pytest.param(field_ref("spec.nodeName"), socket.gethostname(), id="the node"),
        pytest.param(resource("requests.cpu"), "2", id="cores are rounded up"),
        pytest.param(resource("requests.cpu", divisor="1m"), "1500", id="or counted in thousandths"),
        pytest.param(resource("limits.memory", divisor="1Mi"), "2048", id="memory in the unit that is asked for"),
        pytest.param(resource("limits.cpu"), str(os.cpu_count()), id="without a limit, all of the machine"),
    ],
)
def test_what_a_machine_answers(tmp_path: Path, source: dict[str, Any], want: str) -> None:
    metadata = {"labels": {"team": "vision"}, "annotations": {"lr": "$(params.lr)"}}
    env = [{"name": "ASKED", "valueFrom": source}, {"name": "AGAIN", "value": "<$(ASKED)>"}]
    plan = a_plan({"command": ["true"], "env": env, "resources": RESOURCES}, metadata=metadata)
    got = launched(tmp_path, plan).environment
    assert (got["ASKED"], got["AGAIN"]) == (want, f"<{want}>")


SECRET = {"secretKeyRef": {"name": "keys", "key": "token"}}
CONFIG = {"configMapKeyRef": {"name": "settings", "key": "token"}}


@pytest.mark.parametrize("source", [SECRET, CONFIG, field_ref("metadata.uid")])
def test_what_only_a_cluster_knows_comes_from_the_shell(tmp_path: Path, source: dict[str, Any]) -> None:
    env = [{"name": "TOKEN", "valueFrom": source}, {"name": "URL", "value": "https://$(TOKEN)@host"}]
    plan = a_plan({"command": ["true"], "env": env})
    got = launched(tmp_path, plan, environment={"TOKEN": "secret"}).environment
    assert (got["TOKEN"], got["URL"]) == ("secret", "https://secret@host")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param(SECRET, "the Secret is not known on this machine: set TOKEN in the shell", id="a Secret"),
        pytest.param(CONFIG, "the ConfigMap is not known on this machine: set TOKEN", id="a ConfigMap"),
        pytest.param(field_ref("metadata.uid"), "that field of a pod is not known", id="a pod's uid"),
        pytest.param({"fileKeyRef": {"path": "x"}}, "this is not known on this machine", id="what is to come"),
    ],
)
def test_and_is_refused_where_the_shell_has_it_not(source: dict[str, Any], said: str) -> None:
    env = [{"name": "OTHER", "value": "1"}, {"name": "TOKEN", "valueFrom": source}]
    with pytest.raises(InvalidStudy, match=said) as refused:
        Template.of(a_plan({"command": ["true"], "env": env}), {})
    assert refused.value.field == f"{WHERE}.env[1].valueFrom"


def test_an_optional_one_is_left_out(tmp_path: Path) -> None:
    optional = {"secretKeyRef": {**SECRET["secretKeyRef"], "optional": True}}
    plan = a_plan({"command": ["true"], "env": [{"name": "TOKEN", "valueFrom": optional}]})
    assert "TOKEN" not in launched(tmp_path, plan).environment


def test_a_divisor_that_is_no_quantity_is_refused() -> None:
    env = [{"name": "CORES", "valueFrom": resource("limits.cpu", divisor="one")}]
    with pytest.raises(InvalidStudy, match=r"must be a quantity such as .* got 'one'"):
        Template.of(a_plan({"command": ["true"], "env": env}), {})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5", "1.5"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("100k", "100000"),
        ("1e3", "1000"),
    ],
)
def test_quantities(text: str, want: str) -> None:
    assert quantity(text) == Decimal(want)


@pytest.mark.parametrize("text", ["", "two", "1 Gi", "1KB", "nan", "-1", "0x10", "1.2.3"])
def test_what_is_no_quantity_names_its_field(text: str) -> None:
    with pytest.raises(InvalidStudy, match="must be a quantity such as") as refused:
        Template.of(a_plan({"command": ["true"], "resources": {"requests": {"cpu": text}}}), {})
    assert refused.value.field == f"{WHERE}.resources.requests.cpu"
