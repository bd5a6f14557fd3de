"""The chart: what it renders, what it refuses, and a whole study by an operator that it installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from tests.cluster.api import Api, resource
from tests.cluster.operator_process import free_port
from tests.cluster.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "rung"
RELEASE = "rung"

Document = dict[str, Any]


def rendered(cluster: Cluster, *values: str, namespace: str = "rung-system") -> list[Document]:
    """What `helm template` makes of the chart."""
    options = [option for value in values for option in ("--set-json", value)]
    text = cluster.helm("template", RELEASE, str(CHART), "--namespace", namespace, "--kube-version", "1.35.4", *options)
    return [document for document in yaml.safe_load_all(text.stdout) if document]


def only(documents: list[Document], kind: str) -> Document:
    [found] = [document for document in documents if document["kind"] == kind]
    return found


def test_it_passes_helm_s_own_checks(cluster: Cluster) -> None:
    cluster.helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize(
    ("values", "roles", "namespaces"),
    [
        pytest.param([], {("ClusterRole", None), ("Role", "rung-system")}, [], id="all namespaces, by a ClusterRole"),
        pytest.param(
            ["namespaced=true"], {("Role", "rung-system")}, ["rung-system"], id="its own namespace, by a Role"
        ),
        pytest.param(
            ['watchNamespaces=["a","b"]'],
            {("Role", "a"), ("Role", "b"), ("Role", "rung-system")},
            ["a", "b"],
            id="some namespaces, by a Role in each; its own for the Lease only",
        ),
    ],
)
def test_where_it_has_rights_and_what_it_watches(
    cluster: Cluster, values: list[str], roles: set[tuple[str, str | None]], namespaces: list[str]
) -> None:
    documents = rendered(cluster, *values)
    made = {(d["kind"], d["metadata"].get("namespace")) for d in documents if d["kind"] in {"Role", "ClusterRole"}}
    assert made == roles
    arguments = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [a.partition("=")[2] for a in arguments if a.startswith("--namespace=")] == namespaces
    assert "--lease-namespace=rung-system" in arguments


def test_a_role_for_the_lease_alone_reaches_nothing_else(cluster: Cluster) -> None:
    documents = rendered(cluster, 'watchNamespaces=["a"]')
    [lease] = [d for d in documents if d["kind"] == "Role" and d["metadata"]["namespace"] == "rung-system"]
    assert {resource for rule in lease["rules"] for resource in rule["resources"]} == {"leases"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("replica=2", "replica", id="a mistyped value"),
        pytest.param('image.tagg="x"', "tagg", id="a mistyped value further down"),
        pytest.param('replicas="two"', "replicas", id="a word for a number"),
        pytest.param("workers=0", "workers", id="no workers"),
        pytest.param('watchNamespaces=["Not_A_Name"]', "watchNamespaces", id="no namespace's name"),
        pytest.param('logLevel="LOUD"', "logLevel", id="no such level"),
        pytest.param("port=80", "port", id="a port that only root may take"),
    ],
)
def test_values_that_are_refused(cluster: Cluster, value: str, words: str) -> None:
    outcome = cluster.helm("template", RELEASE, str(CHART), "--set-json", value, check=False)
    assert outcome.returncode != 0
    assert words in outcome.stderr


def test_one_namespace_or_some_but_not_both(cluster: Cluster) -> None:
    values = ["--set-json", "namespaced=true", "--set-json", 'watchNamespaces=["a"]']
    assert cluster.helm("template", RELEASE, str(CHART), *values, check=False).returncode != 0


def test_options_reach_the_operator_s_command_line(cluster: Cluster) -> None:
    """By its own parser: an option that the chart gives and the program does not know would end it at once."""
    from rung.cli.parser import make_parser

    documents = rendered(cluster, "studyMetrics=true", "workers=7", "writeRate=12.5", 'extraArgs=["--log-format=text"]')
    container = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    command = [*container["command"], *container["args"]]
    given = make_parser().parse_args(command[command.index("operator") :])
    assert (given.workers, given.write_rate, given.study_metrics, given.log_format) == (7, 12.5, True, "text")


def test_the_pod_is_as_locked_down_as_a_pod_can_be(cluster: Cluster) -> None:
    pod = only(rendered(cluster), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_its_crds_are_those_of_the_repository() -> None:
    sync = _sync_module()
    assert sync.stale() == []


def test_the_copy_is_made_equal_and_nothing_else_is_touched(tmp_path: Path) -> None:
    sync = _sync_module()
    source, copy = tmp_path / "crds", tmp_path / "chart"
    shutil.copytree(REPOSITORY / "crds", source)
    copy.mkdir()
    (copy / "left-over.yaml").write_text("x")
    names = sorted(path.name for path in source.glob("*.yaml"))
    assert sync.stale(source, copy) == sorted([*names, "left-over.yaml"])
    sync.sync(source, copy)
    assert sync.stale(source, copy) == []
    assert sorted(path.name for path in copy.iterdir()) == names
    (copy / names[0]).write_text("changed")
    assert sync.sync(source, copy) == [names[0]]


def test_without_crds_the_copy_is_left_alone_and_it_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="rung crds --write"):
        _sync_module().sync(tmp_path / "none", tmp_path / "copy")


def install(cluster: Cluster, namespace: str) -> list[str]:
    """A release that watches its own namespace alone, ready; returns its values.

    Its port is one that is free here: the pods of a process node share this machine's.
    """
    values = ["--set", "namespaced=true", "--set", f"port={free_port()}"]
    cluster.helm("install", RELEASE, str(CHART), "--namespace", namespace, *values, "--wait", "--timeout=90s")
    return values


@pytest.fixture
def installed(cluster: Cluster, api: Api, namespace: str) -> Iterator[str]:
    """A release in a namespace that enforces Pod Security "restricted" and gives nobody anything; it is gone after the test."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    install(cluster, namespace)
    yield namespace
    cluster.helm("uninstall", RELEASE, "--namespace", namespace, "--wait", "--timeout=60s")


def test_an_installed_operator_runs_a_study(cluster: Cluster, api: Api, installed: str) -> None:
    study = yaml.safe_load((REPOSITORY / "examples" / "quickstart.yaml").read_text())
    container = study["spec"]["trial"]["podTemplate"]["spec"]["containers"][0]
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    study["spec"]["trial"]["podTemplate"]["spec"]["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    study["spec"]["limits"] = {"trials": 3, "parallelism": 3}
    cluster.kubectl("-n", installed, "apply", "-f", "-", input=json.dumps(study))
    name = study["metadata"]["name"]
    cluster.kubectl("-n", installed, "wait", "--for=condition=Succeeded", f"study/{name}", "--timeout=90s")
    assert api.get(resource("studies", installed, name))["status"]["best"]["trial"]
    leases = api.items("leases", installed)
    assert [lease["metadata"]["name"] for lease in leases] == ["rung-operator"]


def test_a_release_that_goes_hands_its_lease_back_and_leaves_only_the_crds(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    values = install(cluster, namespace)

    def holder() -> str:
        leases = api.items("leases", namespace)
        return str(leases[0]["spec"].get("holderIdentity") or "") if leases else ""

    wait_until("it leads", holder, timeout=30)
    cluster.helm("upgrade", RELEASE, str(CHART), "--namespace", namespace, *values, "--set", "replicas=0", "--wait")
    wait_until("it hands the lease back", lambda: not holder(), timeout=20)
    cluster.helm("uninstall", RELEASE, "--namespace", namespace, "--wait", "--timeout=60s")
    assert api.find("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/studies.rung.dev") is not None
    assert [kind for kind in ("roles", "rolebindings") if api.items(kind, namespace)] == []
    wait_until("its pod ends", lambda: not api.items("pods", namespace), timeout=20)


def _sync_module() -> ModuleType:
    """charts/sync.py, which is a script and no part of the package."""
    spec = importlib.util.spec_from_file_location("charts_sync", REPOSITORY / "charts" / "sync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
