"""The API on a real API server: what it refuses and how that reads, what may change when, and what kubectl shows."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from devcluster import ApiError, Cluster
from rung.api.base import problems
from rung.api.study import Study, parse_study
from tests.api.builders import LOSS, LR, Case, Document, study
from tests.api.changes import FREE, FROZEN, Change, with_points
from tests.api.studies import GOOD, REFUSED, UNACCEPTED, by_name, scenarios
from tests.cluster.api import Api, resource

STRICT = "?dryRun=All&fieldValidation=Strict"


@pytest.fixture(scope="module")
def studies(module_namespace: str) -> str:
    """Where studies are posted; no operator looks at them."""
    return resource("studies", module_namespace)


def refusal(api: Api, studies: str, document: Document) -> str:
    """What the server says to a Study that it must refuse."""
    with pytest.raises(ApiError) as caught:
        api.request("POST", studies + STRICT, document)
    assert caught.value.status in {400, 422}
    return str(caught.value)


def broken_rule(document: Document) -> str | None:
    """What Python says of the first rule between fields that does not hold; None if a single field is wrong."""
    try:
        checked = Study.model_validate(document, extra="forbid", by_name=False)
    except ValidationError:
        return None
    if any(checked.spec.trial.inner_problems()):
        return None
    return next((wrong for _, wrong in problems(checked, "")), None)


@pytest.mark.parametrize("case", REFUSED, ids=by_name)
def test_the_server_refuses_and_names_the_field(api: Api, studies: str, case: Case) -> None:
    said = refusal(api, studies, case.document)
    for word in (case.field, *case.words):
        assert word in said
    rule = broken_rule(case.document)
    if rule is not None:
        assert rule in said, "the two faces of a rule must say the same"


@pytest.mark.parametrize("case", UNACCEPTED, ids=by_name)
def test_what_only_rung_can_see_passes_the_server(api: Api, studies: str, case: Case) -> None:
    api.request("POST", studies + STRICT, case.document)


@pytest.mark.parametrize("case", GOOD, ids=by_name)
def test_good_studies_pass_and_read_the_same_before_and_after(api: Api, studies: str, case: Case) -> None:
    stored = api.request("POST", studies + STRICT, case.document)
    assert parse_study(stored).spec == parse_study(case.document).spec


@pytest.mark.parametrize("name", sorted(scenarios()))
def test_studies_as_users_write_them_pass(api: Api, studies: str, name: str) -> None:
    document = scenarios()[name]
    stored = api.request("POST", studies + STRICT, document)
    assert parse_study(stored).spec == parse_study(document).spec


def test_a_typo_is_refused_in_strict_mode_and_pruned_otherwise(api: Api, studies: str) -> None:
    typo = study(limits={"paralelism": 2})
    assert 'unknown field "spec.limits.paralelism"' in refusal(api, studies, typo)
    stored = api.request("POST", studies + "?dryRun=All", typo)
    assert stored["spec"]["limits"] == {"parallelism": 4, "failedTrials": 6}


def test_the_server_fills_in_every_default_that_the_models_have(api: Api, studies: str) -> None:
    stored = api.request("POST", studies + STRICT, study())
    assert stored["spec"]["sampler"] == {"type": "Auto"}
    assert stored["spec"]["scheduler"] == {"type": "None"}
    assert stored["spec"]["metrics"] == {"source": "Auto", "port": 9100, "path": "/metrics", "intervalSeconds": 5}
    assert {key: stored["spec"][key] for key in ("seed", "suspend", "finish")} == {
        "seed": 0,
        "suspend": False,
        "finish": False,
    }
    assert (stored["spec"]["trial"]["retries"], stored["spec"]["trial"]["keepJobs"]) == (1, "Failed")
    assert stored["spec"]["objectives"][0]["reduce"] == "Last"


# --- what may change when


@pytest.fixture(scope="module")
def old_and_new(api: Api, module_namespace: str) -> Iterator[tuple[str, str]]:
    """Two equal studies; the second one has trials."""
    paths = []
    for name in ("new", "old"):
        api.create("studies", module_namespace, with_points(name))
        paths.append(resource("studies", module_namespace, name))
    status: Document = {"trials": {"created": 1}}
    api.request("PUT", f"{paths[1]}/status", {**api.get(paths[1]), "status": status})
    yield paths[0], paths[1]
    for path in paths:
        api.delete(path)


def put(api: Api, path: str, change: Change) -> Document:
    """Write a changed spec without keeping it."""
    document = copy.deepcopy(api.get(path))
    change(document["spec"])
    return api.request("PUT", path + STRICT, document)


@pytest.mark.parametrize(("change", "field"), FROZEN)
def test_what_decisions_rest_on_is_frozen_once_trials_exist(
    api: Api, old_and_new: tuple[str, str], change: Change, field: str
) -> None:
    new, old = old_and_new
    put(api, new, change)
    with pytest.raises(ApiError) as caught:
        put(api, old, change)
    assert field in str(caught.value)
    assert "once trials exist" in str(caught.value)


@pytest.mark.parametrize("change", FREE)
def test_the_rest_stays_free(api: Api, old_and_new: tuple[str, str], change: Change) -> None:
    for path in old_and_new:
        put(api, path, change)


def test_a_trial_is_frozen_but_for_stop(api: Api, module_namespace: str) -> None:
    spec = {"study": "s", "number": 3, "parameters": {"lr": "0.1"}, "seed": 5, "bracket": 0}
    document = {"apiVersion": "rung.dev/v1alpha1", "kind": "Trial", "metadata": {"name": "s-3"}, "spec": spec}
    api.create("trials", module_namespace, document)
    path = resource("trials", module_namespace, "s-3")
    for change in ({"number": 4}, {"parameters": {"lr": "0.2"}}, {"seed": 6}, {"values": {"loss": "1"}}):
        with pytest.raises(ApiError, match="cannot change"):
            api.patch(path, {"spec": change})
    assert api.patch(path, {"spec": {"stop": True}})["spec"]["stop"] is True
    api.delete(path)


def test_unfinished_trials_are_selected_where_nothing_is_said_too(api: Api, module_namespace: str) -> None:
    for number, status in enumerate(({}, {"state": "Running"}, {"finished": True, "state": "Succeeded"})):
        spec = {"study": "sel", "number": number}
        name = f"sel-{number}"
        document = {"apiVersion": "rung.dev/v1alpha1", "kind": "Trial", "metadata": {"name": name}, "spec": spec}
        made = api.create("trials", module_namespace, document)
        if status:
            path = resource("trials", module_namespace, name, "status")
            api.request("PUT", path, {**made, "status": status})
    selector = "status.finished!=true,spec.study=sel"
    found = api.items("trials", module_namespace, fieldSelector=selector)
    assert [item["spec"]["number"] for item in found] == [0, 1]
    assert len(api.items("trials", module_namespace, fieldSelector="status.state=Succeeded,spec.study=sel")) == 1


# --- what kubectl shows and does


def test_explain_reads_well(cluster: Cluster) -> None:
    def explained(path: str) -> str:
        return " ".join(cluster.kubectl("explain", path).stdout.split())

    sampler = explained("studies.spec.sampler.type")
    assert "Grid: every point of a finite space" in sampler
    for kind in ("LatinHypercube", "RandomForest", "NSGA2", "Reinforce", "Default: Auto"):
        assert kind in sampler
    assert "Last, Min, Max, Mean. Default: Last" in explained("studies.spec.objectives.reduce")
    assert "Default: 4" in explained("studies.spec.limits.parallelism")
    assert "3 if absent" in explained("studies.spec.scheduler.eta")
    assert "What was found and why" in explained("studies.status")
    assert "Numbers given out so far" in explained("studies.status.trials.created")
    assert "One assignment of parameters being evaluated" in explained("trials")


def test_scale_sets_the_parallelism(cluster: Cluster, api: Api, module_namespace: str) -> None:
    api.create("studies", module_namespace, study("scaled"))
    path = resource("studies", module_namespace, "scaled")
    cluster.kubectl("scale", "study/scaled", "--replicas=6", "-n", module_namespace)
    assert api.get(path)["spec"]["limits"]["parallelism"] == 6
    nothing: subprocess.CompletedProcess[str] = cluster.kubectl(
        "scale", "study/scaled", "--replicas=0", "-n", module_namespace, check=False
    )
    assert nothing.returncode != 0
    assert "greater than or equal to 1" in nothing.stderr
    api.delete(path)


def test_get_shows_what_people_ask_first(cluster: Cluster, api: Api, module_namespace: str, tmp_path: Path) -> None:
    made = api.create("studies", module_namespace, study("shown"))
    status: Document = {
        "state": "Running",
        "progress": "12/64",
        "gpuHours": "1.25",
        "trials": {"created": 16, "active": 4},
        "best": {"trial": "shown-7", "value": "0.0713", "values": {"loss": "0.07132"}, "parameters": {"lr": "0.01"}},
    }
    path = resource("studies", module_namespace, "shown")
    api.request("PUT", f"{path}/status", {**made, "status": status})
    header, row = cluster.kubectl("get", "study", "shown", "-n", module_namespace).stdout.splitlines()
    assert header.split() == ["NAME", "BEST", "TRIALS", "ACTIVE", "GPU-H", "STATE", "AGE"]
    assert row.split()[:6] == ["shown", "0.0713", "12/64", "4", "1.25", "Running"]
    # a cache of its own: kubectl keeps categories per address, and an earlier cluster may have had this one
    by_category = cluster.kubectl("get", "rung", "-n", module_namespace, f"--cache-dir={tmp_path}").stdout
    assert "study.rung.dev/shown" in by_category
    api.delete(path)


def test_a_status_of_the_largest_size_is_taken(api: Api, module_namespace: str) -> None:
    """64 parameters with conditions, all rungs, the whole Pareto front: within the bounds of the schema, and 64 KB."""
    many = [{**LR, "name": f"p{i}"} for i in range(64)]
    objectives = [{**LOSS, "metric": f"m{i}"} for i in range(4)]
    made = api.create("studies", module_namespace, study("largest", parameters=many, objectives=objectives))
    rungs = [
        {"bracket": b, "step": 3**s, "entered": 99999, "promoted": 33333, "best": "0.123456"}
        for b in range(8)
        for s in range(16)
    ]
    front = [{"trial": f"largest-{i}", "values": ["0.12345678901234567"] * 4} for i in range(32)]
    best = {"trial": "largest-9", "value": "1", "parameters": {p["name"]: "0.012345678901234567" for p in many}}
    status: Document = {"rungs": rungs, "paretoFront": front, "best": best, "trials": {"created": 100_000}}
    path = resource("studies", module_namespace, "largest")
    stored = api.request("PUT", f"{path}/status", {**made, "status": status})
    assert stored["status"] == status
    api.delete(path)
