"""The two CustomResourceDefinitions, generated from the models.

    python -m rung.api.crds --write crds     writes them
    python -m rung.api.crds --check crds     exit 1, naming the files, if they are not up to date

They need Kubernetes 1.32: selectable fields, messages by format(), ratcheting of rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rung.api.base import JsonObject
from rung.api.frozen import immutability
from rung.api.names import GROUP, VERSION
from rung.api.schema import structural
from rung.api.spec import StudySpec
from rung.api.status import StudyStatus
from rung.api.study import Study
from rung.api.trial import FROZEN_SPEC, FROZEN_SPEC_OPTIONAL, Trial, TrialSpec, TrialStatus

HEADER = "# Generated from operator/rung/api by `rung crds`. Do not edit.\n"
CATEGORY = "rung"  # kubectl get rung: both kinds

STUDY_COLUMNS = (
    ("Best", "string", ".status.best.value", "The best value of the first objective."),
    ("Trials", "string", ".status.progress", "Finished trials of the limit."),
    ("Active", "integer", ".status.trials.active", "Trials that take a slot."),
    ("GPU-H", "string", ".status.gpuHours", "GPU-hours used."),
    ("State", "string", ".status.state", "Where the study stands."),
    ("Age", "date", ".metadata.creationTimestamp", "Since its creation."),
)
TRIAL_COLUMNS = (
    ("State", "string", ".status.state", "Where the trial stands."),
    ("Step", "number", ".status.step", "The furthest step reported."),
    ("Objective", "string", ".status.objective", "The first objective."),
    ("Rung", "string", ".status.rung", "The last rung with a value."),
    ("GPU-Time", "string", ".status.gpuTime", "GPU time of all attempts."),
    ("Parent", "string", ".spec.parent", "Whose checkpoint it goes on from."),
    ("Age", "date", ".metadata.creationTimestamp", "Since its creation."),
    # last, since it is wide: it may wrap without moving another column
    ("Parameters", "string", ".status.parameters", "The values of its parameters."),
)
WIDE = frozenset({"Parent"})
"""Columns for `-o wide`: empty in most studies."""

TRIAL_SELECTABLE = (".spec.study", ".status.finished", ".status.state")
"""Reconciles list the unfinished trials alone, by `status.finished!=true`; a label would need a second write."""


def study_crd() -> JsonObject:
    """The CRD of Study."""
    schema = _root(Study, "Study", structural(StudySpec), structural(StudyStatus, defaults=False))
    schema["x-kubernetes-validations"] = structural(Study)["x-kubernetes-validations"] + immutability()
    subresources = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.limits.parallelism",
            "statusReplicasPath": ".status.trials.active",
        },
    }
    return _crd("Study", "studies", schema, subresources, STUDY_COLUMNS, ())


def trial_crd() -> JsonObject:
    """The CRD of Trial."""
    spec = structural(TrialSpec)
    spec["x-kubernetes-validations"] = [
        {
            "rule": _unchanged(),
            "message": "a Trial's spec cannot change, but for stop: it is the record of what was run",
        }
    ]
    schema = _root(Trial, "Trial", spec, structural(TrialStatus, defaults=False))
    return _crd("Trial", "trials", schema, {"status": {}}, TRIAL_COLUMNS, TRIAL_SELECTABLE)


def render_all() -> dict[str, str]:
    """The text of each file by its name. Deterministic."""
    return {"studies.yaml": render(study_crd()), "trials.yaml": render(trial_crd())}


def render(document: JsonObject) -> str:
    """YAML with the header."""
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def stale(folder: Path) -> list[str]:
    """The files of a folder that are not what the models say now."""
    return [name for name, text in render_all().items() if not _holds(folder / name, text)]


class _Dumper(yaml.SafeDumper):
    """Lists are indented, as in hand-written manifests, and nothing is written as a reference to an equal part."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the base's
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base's
        return True


def _root(model: type[Study | Trial], kind: str, spec: JsonObject, status: JsonObject) -> JsonObject:
    """The schema of an object with apiVersion, kind, metadata, spec and status."""
    fields = model.model_fields
    spec["description"] = fields["spec"].description or spec["description"]
    status["description"] = fields["status"].description or status["description"]
    return {
        "type": "object",
        "description": (model.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{kind}."},
            # no more may be said of it; the name is there so that rules can blame it
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": spec,
            "status": status,
        },
    }


def _unchanged() -> str:
    parts = [f"self.{name} == oldSelf.{name}" for name in FROZEN_SPEC]
    parts += [
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        for name in FROZEN_SPEC_OPTIONAL
    ]
    return " && ".join(f"({part})" for part in parts)


def _crd(
    kind: str,
    plural: str,
    schema: JsonObject,
    subresources: JsonObject,
    columns: Sequence[tuple[str, str, str, str]],
    selectable: Sequence[str],
) -> JsonObject:
    version: JsonObject = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path, "description": description}
            | ({"priority": 1} if name in WIDE else {})
            for name, type_, path, description in columns
        ],
    }
    if selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in selectable]
    version["schema"] = {"openAPIV3Schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            # no short name: two letters are always somebody's already
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the CRDs, or check them. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rung.api.crds", description="The CRDs, from the models.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", metavar="DIR", type=Path, help="write them into this folder")
    what.add_argument("--check", metavar="DIR", type=Path, help="fail if those in this folder are not up to date")
    options: Any = parser.parse_args(arguments)
    if options.check is not None:
        old = stale(options.check)
        if old:
            sys.stderr.write(f"not up to date in {options.check}: {', '.join(old)}; run `make docs`\n")
        return 1 if old else 0
    options.write.mkdir(parents=True, exist_ok=True)
    for name, text in render_all().items():
        (options.write / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
