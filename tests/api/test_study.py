"""The models: what comes in, what stays, what a person reads when something is wrong."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given
from pydantic import ValidationError

from rung.api.errors import InvalidStudy
from rung.api.names import job_name, trial_name
from rung.api.study import Parameter, Study, StudyKey, parse_study, resolved_trials
from rung.api.trial import Trial
from tests.api.builders import ASHA, LOSS, LR, Document, in_yaml, study
from tests.api.strategies import studies


def complaint(document: object) -> str:
    with pytest.raises(InvalidStudy) as caught:
        parse_study(document, strict=True)  # type: ignore[arg-type] # a file may hold anything
    return str(caught.value)


@given(studies())
def test_a_study_survives_the_way_out_and_in(document: Document) -> None:
    once = parse_study(document, strict=True)
    out = once.model_dump(by_alias=True, exclude_none=True, mode="json")
    assert parse_study(out, strict=True) == once
    assert Study.model_validate_json(once.model_dump_json(by_alias=True, exclude_none=True)) == once


@given(studies())
def test_reading_leaves_the_document_as_it_was(document: Document) -> None:
    before = copy.deepcopy(document)
    parse_study(document, strict=True)
    assert document == before


def test_numbers_are_read_as_they_are_written() -> None:
    (parameter,) = parse_study(study(parameters=[{**LR, "min": 16, "max": "1e3"}])).spec.parameters
    assert (parameter.min, parameter.max) == ("16", "1e3")


def test_a_study_cannot_be_changed() -> None:
    spec = parse_study(study()).spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 3  # type: ignore[misc] # which is the point


def test_a_newer_servers_fields_pass_and_a_files_do_not() -> None:
    document = study(novelty={"a": 1})
    assert parse_study(document).spec == parse_study(study()).spec
    assert complaint(document) == "spec.novelty: unknown field"


def test_what_a_server_adds_to_metadata_and_status_passes_in_a_file_too() -> None:
    document = study()
    document["metadata"] |= {"managedFields": [{}], "uid": "u", "generation": 3}
    document["status"] = {"state": "Running", "novelty": 1, "trials": {"created": 3}}
    read = parse_study(document, strict=True)
    assert read.status is not None
    assert read.status.trials is not None
    assert (read.metadata.generation, read.status.trials.created) == (3, 3)


def test_nulls_are_absent_but_in_a_template() -> None:
    document = study(limits=None, scheduler={"type": "None", "resource": None, "eta": None})
    container = document["spec"]["trial"]["podTemplate"]["spec"]["containers"][0]
    container["command"] = None
    read = parse_study(document, strict=True)
    assert read.spec.limits.parallelism == 4
    assert read.spec.trial.pod_template == {"spec": {"containers": [container]}}


def test_the_key_is_namespace_and_name() -> None:
    document = study("digits")
    assert parse_study(document).key == StudyKey("default", "digits")
    document["metadata"]["namespace"] = "team-a"
    assert parse_study(document).key == StudyKey("team-a", "digits")


@pytest.mark.parametrize(
    ("document", "want"),
    [
        pytest.param(
            in_yaml("parameters: [{name: lr, type: Categorical, values: [yes, no]}]"),
            "spec.parameters[0].values[0]: must be a string or a whole number, got a boolean; quote it. Also: "
            "spec.parameters[0].values[1]: must be a string or a whole number, got a boolean; quote it",
            id="yes and no",
        ),
        pytest.param(
            in_yaml('parameters: [{name: lr, type: Double, min: 0.001, max: "0.1"}]'),
            'spec.parameters[0].min: must be a string or a whole number, got the float 0.001; quote it: "0.001"',
            id="a float says how to quote it",
        ),
        pytest.param(
            study(parameters=[{**LR, "max": "1e999"}]),
            'spec.parameters[0].max: must be a number such as 16, "0.5" or "1e-4" (at most 20 digits, and two of the '
            'exponent), got "1e999"',
            id="1e999",
        ),
        pytest.param(
            study(limits={"paralelism": 3}),
            "spec.limits.paralelism: unknown field; did you mean parallelism?",
            id="a misspelt field",
        ),
        pytest.param(
            study(limits={"failed_trials": 3}),
            "spec.limits.failed_trials: unknown field; did you mean failedTrials?",
            id="snake case",
        ),
        pytest.param(
            study(scheduler={**ASHA, "type": "asha"}),
            "spec.scheduler.type: must be one of None, SuccessiveHalving, Hyperband, ASHA, MedianStop, HyperTune, PASHA, "
            'CurveExtrapolation, PBT, PB2, got "asha"; did you mean ASHA?',
            id="a misspelt value",
        ),
        pytest.param(
            study(limits={"trials": "64"}),
            'spec.limits.trials: must be a whole number without quotes, got "64"',
            id="a quoted number where there is no choice",
        ),
        pytest.param(
            study(suspend="yes"), 'spec.suspend: must be true or false without quotes, got "yes"', id="yes as a switch"
        ),
        pytest.param(
            study(sampler="Random"), 'spec.sampler: must be an object, got "Random"', id="a word for an object"
        ),
        pytest.param(study(objectives=LOSS), "spec.objectives: must be a list, got an object", id="one for a list"),
        pytest.param(
            study(parameters=[LR, LR]), 'spec.parameters[1]: Duplicate value: {"name":"lr"}', id="a name twice"
        ),
        pytest.param(study(trial=None), "spec.trial: is required", id="what is required"),
        pytest.param({**study(), "kind": "Experiment"}, "kind: must be Study, got Experiment", id="another kind"),
        pytest.param(
            {**study(), "apiVersion": "rung.dev/v1"},
            "apiVersion: must be rung.dev/v1alpha1, got rung.dev/v1",
            id="another version",
        ),
        pytest.param({**study(), "sped": {}}, "sped: unknown field; did you mean spec?", id="a misspelt root"),
        pytest.param(
            {"apiVersion": "rung.dev/v1alpha1", "kind": "Study", "metadata": {"name": "a"}},
            "spec: is required",
            id="no spec",
        ),
        pytest.param(
            [study()], "document: must be an object with apiVersion: rung.dev/v1alpha1 and kind: Study", id="a list"
        ),
    ],
)
def test_a_complaint_says_what_to_do(document: object, want: str) -> None:
    assert complaint(document) == want


def test_of_many_complaints_a_few_are_shown_and_the_rest_counted() -> None:
    said = complaint(study(limits={"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}))
    assert said.count("unknown field") == 4
    assert said.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("spec", "grid_size", "want"),
    [
        pytest.param("{}", None, 64, id="the default"),
        pytest.param("limits: {trials: 7, gpuHours: 3}", None, 7, id="what is written"),
        pytest.param("limits: {gpuHours: 3}", None, None, id="another budget lifts the default"),
        pytest.param("limits: {durationSeconds: 60}", 9, None, id="so does a duration"),
        pytest.param("sampler: {type: Sobol}", 9, 64, id="a finite space is no grid"),
        pytest.param(
            "{sampler: {type: Grid}, parameters: [{name: n, type: Int, min: 1, max: 100}]}",
            100,
            100,
            id="a grid's size",
        ),
        pytest.param(
            "{sampler: {type: Grid}, limits: {trials: 12}, parameters: [{name: n, type: Int, min: 1, max: 100}]}",
            100,
            12,
            id="a grid cut short",
        ),
        pytest.param(
            "{sampler: {type: List}, warmStart: {points: [{parameters: {lr: 1}}]}}",
            None,
            None,
            id="a list ends by itself",
        ),
        pytest.param(
            "{sampler: {type: Grid}, repeats: {count: 3}, parameters: [{name: lr, type: Int, min: 1, max: 9}]}",
            9,
            27,
            id="a grid, each point three times",
        ),
    ],
)
def test_how_many_trials_a_study_makes(spec: str, grid_size: int | None, want: int | None) -> None:
    assert resolved_trials(parse_study(study(**(yaml.safe_load(spec) or {}))).spec, grid_size) == want


def test_parts_may_be_built_by_code_without_the_rules_between_them() -> None:
    assert Parameter.model_validate({"name": "x", "type": "Double", "min": 3, "max": 1}).min == "3"


def test_names_of_trials_and_jobs_fit_a_pods() -> None:
    name = job_name("s" * 40, 999_999, 999)
    assert name == trial_name("s" * 40, 999_999) + "-999"
    assert len(name) + len("-abcde") <= 63


def test_a_trial_survives_the_way_out_and_in() -> None:
    document: Document = {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Trial",
        "metadata": {"name": "s-3", "namespace": "default"},
        "spec": {"study": "s", "number": 3, "parameters": {"lr": "0.1"}, "seed": 5, "bracket": 1, "stop": False},
        "status": {
            "finished": True,
            "state": "Stopped",
            "step": 4.5,
            "rungs": [{"step": 3, "value": 0.5, "order": 2, "verdict": "Stop", "reason": "worse"}],
            "curve": [{"step": 1, "values": {"loss": 0.5}}],
            "metrics": [{"name": "loss", "last": 1, "min": 1, "max": 1, "sum": 1, "count": 1, "step": 1}],
        },
    }
    trial = Trial.model_validate(document)
    assert Trial.model_validate_json(trial.model_dump_json(by_alias=True, exclude_none=True)) == trial
    assert trial.status is not None
    assert trial.status.rungs[0].verdict == "Stop"
