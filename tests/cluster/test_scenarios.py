"""Studies as users would write them run to their end on a cluster, with an actor in the place of their programs.

What is cut: the number of trials, and the machines that nobody has here. All else is applied as written.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster import Cluster
from rung.api.study import parse_study
from rung.brain.measure import BUILT_IN, compile_measure
from tests.api.runnable import ON_A_CLUSTER
from tests.api.studies import scenarios
from tests.cluster.actor import program
from tests.cluster.api import Api, Document
from tests.cluster.conftest import namespaces_of
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.studies import Running, claim, study, template
from tests.cluster.waiting import wait_until

TRIALS, PARALLELISM = 6, 3
ALL_SECONDS = 240.0  # all studies share the machine's cores
PLAIN_GPU = "nvidia.com/gpu"


def staged(document: Document) -> Document:
    """The study with an actor in the first container, or in the one that speaks."""
    made = copy.deepcopy(document)
    spec = made["spec"]
    limits = spec.setdefault("limits", {})
    runs = spec.get("repeats", {}).get("count", 1)
    limits["trials"] = max(runs, min(TRIALS, limits.get("trials", TRIALS)))
    limits["parallelism"] = min(PARALLELISM, limits.get("parallelism", PARALLELISM))
    spec["metrics"] = {"intervalSeconds": 1, **spec.get("metrics", {})}
    pod = spec["trial"]["podTemplate"]["spec"]
    pod["terminationGracePeriodSeconds"] = 1
    speaks = spec["metrics"].get("container")
    actor = next((c for c in pod["containers"] if c["name"] == speaks), pod["containers"][0])
    actor["command"] = said_by(document)
    for helper in pod.get("initContainers", ()):
        helper["command"] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        asked = container.get("resources", {}).get("limits", {})
        for name in [name for name in asked if name.startswith("nvidia.com/mig")]:
            asked[PLAIN_GPU] = asked.pop(name)  # a slice of a GPU is a resource like any other
    return made


def said_by(document: Document) -> list[str]:
    """The command of an actor that reports what the study wants to know, by the names that its program uses."""
    spec = parse_study(document, strict=True).spec
    keys = {extract.metric: extract.key for extract in spec.metrics.extract if extract.key}
    wanted = [name for name in compile_measure(spec).wanted if name not in BUILT_IN]
    resource = spec.scheduler.resource
    restarts = spec.scheduler.mode is not None and spec.scheduler.mode.value == "Restart"
    step_name = "" if restarts else ("step" if resource is None else resource.metric)
    return program(step_name, [keys.get(name, name) for name in wanted])


def earlier(name: str, of: Document) -> Document:
    """A study that another one starts from: the same parameters, a few random trials."""
    spec: dict[str, Any] = copy.deepcopy(of["spec"])
    return study(
        name,
        template(said_by(of)),
        objectives=[{k: v for k, v in o.items() if k in {"metric", "direction"}} for o in spec["objectives"]],
        parameters=[p for p in spec["parameters"] if p["type"] != "Derived"],
        sampler={"type": "Random"},
        limits={"trials": 3, "parallelism": 3},
    )


@pytest.fixture(scope="module")
def ended(cluster: Cluster, api: Api) -> Iterator[dict[str, Running]]:
    """All of them, applied together: by name, when each has ended."""
    documents = scenarios()
    with namespaces_of(cluster, api) as make, OperatorProcess(cluster, fresh=False):
        running: dict[str, Running] = {}
        for name in ON_A_CLUSTER:
            namespace = make("scenario")
            document = staged(documents[name])
            if claimed := document["spec"]["trial"].get("checkpoint", {}).get("persistentVolumeClaim"):
                claim(api, namespace, claimed)
            for start in document["spec"].get("warmStart", {}).get("studies", ()):
                Running.apply(api, namespace, earlier(start["name"], document))
            running[name] = Running.apply(api, namespace, document)

        with contextlib.suppress(AssertionError):  # each test says of its own study why it has not ended
            left = list(running.values())
            wait_until("all scenarios to end", lambda: all_over(left), timeout=ALL_SECONDS)
        yield running


def all_over(left: list[Running]) -> bool:
    """All have succeeded or failed. Those that have are not asked about again: a poll is one small request."""
    while left and left[-1].status.get("state") in {"Succeeded", "Failed"}:
        left.pop()
    return not left


@pytest.mark.parametrize("name", ON_A_CLUSTER)
def test_a_scenario_runs_to_its_end(ended: dict[str, Running], name: str) -> None:
    running = ended[name]
    status = running.status
    assert running.condition("Succeeded").get("status") == "True", running.told()
    assert status["trials"]["succeeded"] + status["trials"].get("stopped", 0) > 0, running.told()
    assert status.get("best") or status.get("front"), running.told()
