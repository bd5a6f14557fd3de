"""Studies and Trials for the tests of this folder: a builder shows only what matters to a case."""

from __future__ import annotations

from typing import Any

from rung.api.study import Study, parse_study
from rung.api.trial import Trial

PARAMETERS: list[dict[str, Any]] = [
    {"name": "lr", "type": "Double", "min": "1e-5", "max": "1", "scale": "Log"},
    {"name": "width", "type": "Int", "min": "8", "max": "256"},
    {"name": "batch", "type": "Ordinal", "values": ["16", "32"]},
    {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]},
    {
        "name": "momentum",
        "type": "Double",
        "min": "0",
        "max": "1",
        "when": [{"parameter": "optimizer", "in": ["sgd"]}],
    },
]
TEXTS = {"lr": "0.003", "width": "64", "batch": "32", "optimizer": "adam"}


def a_study(*, pod: dict[str, Any] | None = None, trial: dict[str, Any] | None = None, **spec: Any) -> Study:
    """A study named digits; `pod` goes over its pod's spec, `trial` over spec.trial, the rest over spec."""
    container = {"name": "trial", "image": "t:1", "args": ["--lr=$(params.lr)", "--m=$(params.momentum)"]}
    template = {"spec": {"containers": [container], **(pod or {})}}
    document = {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {
            "name": "digits",
            "namespace": "ml",
            "uid": "11112222-3333-4444-5555-666677778888",
            "generation": 1,
        },
        "spec": {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": PARAMETERS,
            "trial": {"podTemplate": template, **(trial or {})},
            **spec,
        },
    }
    return parse_study(document, strict=True)


def a_trial(*, parameters: dict[str, str] | None = None) -> Trial:
    """Trial 7 of the study."""
    return Trial.model_validate(
        {
            "apiVersion": "rung.dev/v1alpha1",
            "kind": "Trial",
            "metadata": {"name": "digits-7", "namespace": "ml", "uid": "aaaa"},
            "spec": {
                "study": "digits",
                "number": 7,
                "parameters": TEXTS if parameters is None else parameters,
                "seed": 41,
            },
        }
    )
