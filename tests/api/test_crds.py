"""The generated CRDs: up to date, bounded everywhere, and readable by `kubectl explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.api import crds
from rung.api.study import SchedulerType, StudySpec

CRDS = Path(__file__).parents[2] / "crds"
ANNOTATION_LIMIT = 256 * 1024
"""Of all annotations of an object: `kubectl apply` keeps the whole CRD in one."""

Schema = dict[str, Any]
Node = tuple[str, Schema]


def nodes(schema: Schema, path: str) -> Iterator[Node]:
    """Every schema with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from nodes(schema[key], path + suffix)


def root_of(crd: Schema) -> Schema:
    root: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


STUDY, TRIAL = root_of(crds.study_crd()), root_of(crds.trial_crd())
ALL = [*nodes(STUDY, "study"), *nodes(TRIAL, "trial")]
FIELDS = [(path, node) for path, node in ALL if not path.endswith(("[]", "{}")) and ".metadata" not in path]


def by_path(node: Node) -> str:
    return node[0]


def test_the_files_are_what_the_models_say() -> None:
    assert crds.stale(CRDS) == []


def test_a_file_that_is_missing_or_old_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crds.main(["--write", str(tmp_path / "crds")]) == 0
    assert crds.main(["--check", str(tmp_path / "crds")]) == 0
    (tmp_path / "crds" / "trials.yaml").unlink()
    (tmp_path / "crds" / "studies.yaml").write_text("old")
    assert crds.main(["--check", str(tmp_path / "crds")]) == 1
    assert "studies.yaml, trials.yaml; run `make docs`" in capsys.readouterr().err


def test_they_are_small_enough_to_apply() -> None:
    for text in crds.render_all().values():
        assert len(json.dumps(yaml.safe_load(text))) < ANNOTATION_LIMIT / 2


@pytest.mark.parametrize("node", FIELDS, ids=by_path)
def test_a_field_explains_itself(node: Node) -> None:
    path, schema = node
    assert schema.get("description", "").rstrip().endswith((".", ")")), path
    for value in schema.get("enum", ()):
        assert str(value) in schema["description"]
    default = schema.get("default")
    if default is not None and not isinstance(default, dict):
        assert f"Default: {str(default).lower() if isinstance(default, bool) else default}." in schema["description"]


def test_everything_that_a_user_writes_is_bounded() -> None:
    """Rules are weighed by the largest object that they could see, and etcd takes no more than 1.5 MB."""
    for path, schema in nodes(STUDY["properties"]["spec"], "spec"):
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            continue
        match schema.get("type"):
            case "array":
                assert "maxItems" in schema, path
            case "object":
                assert "properties" in schema or "maxProperties" in schema, path
            case "integer":
                assert {"minimum", "maximum"} <= schema.keys(), path
            case "string":
                assert "maxLength" in schema or "enum" in schema, path
            case None:
                assert "maxLength" in schema, path


def test_a_status_is_bounded_too() -> None:
    for root in (STUDY, TRIAL):
        for path, schema in nodes(root["properties"]["status"], "status"):
            if schema.get("type") == "array":
                assert "maxItems" in schema, path
            if schema.get("type") == "object":
                assert "properties" in schema or "maxProperties" in schema, path
            if schema.get("type") == "string":
                assert {"maxLength", "enum", "format"} & schema.keys(), path


def test_a_status_has_no_defaults() -> None:
    for root in (STUDY, TRIAL):
        assert [path for path, schema in nodes(root["properties"]["status"], "status") if "default" in schema] == []


def test_a_parents_default_is_written_in_full() -> None:
    """Defaults inside a default are not applied while its rules are checked: the CRD would be refused."""
    found = 0
    for path, schema in ALL:
        if isinstance(schema.get("default"), dict):
            inner = {n: s["default"] for n, s in schema["properties"].items() if "default" in s}
            assert schema["default"] == inner, path
            found += 1
    assert found == 4  # sampler, scheduler, limits, metrics


def test_lists_say_how_they_merge() -> None:
    for path, schema in ALL:
        if schema.get("type") == "array":
            kind = schema["x-kubernetes-list-type"]
            assert (kind == "map") == ("x-kubernetes-list-map-keys" in schema), path
            for key in schema.get("x-kubernetes-list-map-keys", ()):
                assert key in schema["items"]["required"], path


def test_rules_have_a_static_message_and_build_texts_by_format_alone() -> None:
    rules = [rule for _, schema in ALL for rule in schema.get("x-kubernetes-validations", ())]
    assert len(rules) > 50
    for rule in rules:
        assert rule["message"]
        assert " + " not in rule.get("messageExpression", "")
        assert ".format([" in rule.get("messageExpression", ".format([")


def test_every_field_of_the_spec_is_there() -> None:
    spec = STUDY["properties"]["spec"]["properties"]
    assert set(spec) == {StudySpec.outside_name(name) for name in StudySpec.model_fields}
    assert spec["scheduler"]["properties"]["type"]["enum"] == [kind.value for kind in SchedulerType]


def test_both_kinds_are_found_by_one_word() -> None:
    for crd in (crds.study_crd(), crds.trial_crd()):
        assert crd["spec"]["names"]["categories"] == ["rung"]
