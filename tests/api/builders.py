"""A case of the table of Studies, and short ways to write one.

    SERVER    refused by the API server; `rung run`, which has none, refuses it with the same words
    ACCEPTED  passes the API server; refused when the Study is accepted: Accepted=False, with the field's path

`field` is the path that the refusal names, `words` are what a person needs to read in it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

Document = dict[str, Any]


class Stage(StrEnum):
    """Where a bad Study is refused."""

    SERVER = "server"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Case:
    """One Study and what becomes of it. `stage` is None for a good one."""

    name: str
    document: Document
    stage: Stage | None = None
    field: str = ""
    words: tuple[str, ...] = ()
    reason: str = "InvalidSpec"


LR: Document = {"name": "lr", "type": "Double", "min": "0.001", "max": "0.1"}
WORDS: Document = {"name": "opt", "type": "Categorical", "values": ["sgd", "adam"]}
WIDTH: Document = {"name": "width", "type": "Int", "min": 16, "max": 512}
EPOCHS: Document = {"metric": "epoch", "max": 27}
ASHA: Document = {"type": "ASHA", "resource": EPOCHS}
LOSS: Document = {"metric": "loss", "direction": "Minimize"}
CLAIM: Document = {"persistentVolumeClaim": "runs"}
PYTORCH: Document = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"nprocPerNode": "$(params.lr)"}}
WORKFLOW: Document = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {"arguments": "$(params.lr)"}}


def pods(*args: str, **spec: Any) -> Document:
    """A pod template with one container."""
    container = {"name": "trial", "image": "trial:1", "args": list(args) or ["--lr=$(params.lr)"]}
    return {"spec": {"containers": [container], **spec}}


def env(value: str) -> Document:
    """A pod template with one container and one variable."""
    return {"spec": {"containers": [{"name": "trial", "image": "trial:1", "env": [{"name": "X", "value": value}]}]}}


def study(name: str = "table", **spec: Any) -> Document:
    """The smallest Study with these fields of the spec on top; one that is None is left out."""
    base: Document = {"objectives": [LOSS], "parameters": [LR], "trial": {"podTemplate": pods()}}
    merged = {key: value for key, value in {**base, **spec}.items() if value is not None}
    document = {"apiVersion": "rung.dev/v1alpha1", "kind": "Study", "metadata": {"name": name}, "spec": merged}
    return copy.deepcopy(document)


def parameters(*items: Mapping[str, Any], template: Document | None = None, **spec: Any) -> Document:
    """A Study with these parameters, and a template that names none of them."""
    return study(parameters=list(items), trial={"podTemplate": template or pods("--go")}, **spec)


def trial(**fields: Any) -> Document:
    """A Study with these fields of `trial`."""
    return study(trial={"podTemplate": pods(), **fields})


def manifest(document: Document, **fields: Any) -> Document:
    """A Study whose trials are of another kind."""
    return study(trial={"manifest": document, **fields})


def in_yaml(text: str) -> Document:
    """A spec's fields as a person types them."""
    return study(**yaml.safe_load(text))


def refused(name: str, document: Document, field: str, *words: str) -> Case:
    """By the API server, and by `rung run` with the same words."""
    return Case(name, document, Stage.SERVER, field, words)


def unaccepted(name: str, document: Document, field: str, *words: str, reason: str = "InvalidSpec") -> Case:
    """Accepted=False."""
    return Case(name, document, Stage.ACCEPTED, field, words, reason)


def later(name: str, document: Document, field: str) -> Case:
    """Accepted=False, NotImplemented."""
    return Case(name, document, Stage.ACCEPTED, field, ("not implemented yet",), "NotImplemented")


def good(name: str, document: Document) -> Case:
    """By all."""
    return Case(name, document)
