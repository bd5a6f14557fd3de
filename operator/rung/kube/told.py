"""What a trial is told: the values of its placeholders and its environment variables. Pure, and the same wherever it
runs.

The variables are those of docs/trial-contract.md. Texts of parameters stay as they are in the Trial object; only the
JSON forms (`RUNG_PARAMETERS`, `$(params)`) turn them into numbers where the parameter's type is one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from rung.api.study import Parameter, ParameterType, Study
from rung.api.trial import Trial
from rung.kube.placeholders import (
    ALL_PARAMETERS,
    CHECKPOINT_DIR,
    PARAMETER_PREFIX,
    RESUME_FROM,
    Substitution,
)
from rung.space.arrays import expanded

KEEP_ALL = "0"


def parameters_json(parameters: Sequence[Parameter], texts: Mapping[str, str]) -> str:
    """The active parameters as one JSON object in the order of the spec, numbers as numbers; behind them each array as the
    list of its active elements.

    A Categorical's values are words, whatever they look like; an Ordinal's are numbers if all that it lists are; a
    Derived value is a number if it reads as one.
    """
    apart = expanded(tuple(parameters))
    types = {parameter.name: parameter for parameter in apart.parameters}
    ordered = [name for name in types if name in texts] + [name for name in texts if name not in types]
    values: dict[str, object] = {name: typed(texts[name], types.get(name)) for name in ordered}
    for array, elements in apart.arrays.items():
        if active := [values[element] for element in elements if element in values]:
            values[array] = active
    return json.dumps(values, ensure_ascii=False)


def typed(text: str, parameter: Parameter | None) -> str | int | float:
    """The value that a text stands for, by the parameter's type."""
    if parameter is None or parameter.type is ParameterType.CATEGORICAL:
        return text
    if parameter.type is ParameterType.ORDINAL and any(isinstance(_number(v), str) for v in parameter.values):
        return text
    number = _number(text)
    if parameter.type is ParameterType.DOUBLE and isinstance(number, int):
        return float(number)  # a program that asks for the type gets the same one at 1.0 as at 0.5
    return number


def _number(text: str) -> str | int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def substitution_of(
    study: Study, trial: Trial, *, target: int | None, resume_from: str | None = None, checkpoint_dir: str | None = None
) -> Substitution:
    """The value of every placeholder in one attempt of a trial."""
    spec = study.spec
    texts = trial.spec.parameters
    resource = spec.scheduler.resource
    apart = expanded(spec.parameters)
    known = {**texts, **apart.folded(texts)}
    names = (*(parameter.name for parameter in apart.parameters), *apart.arrays)
    values: dict[str, str | None] = {PARAMETER_PREFIX + name: known.get(name) for name in names}
    values |= {
        ALL_PARAMETERS: parameters_json(spec.parameters, texts),
        "resource.target": None if target is None else str(target),
        "resource.fraction": None if target is None or resource is None else f"{target / resource.max:.6g}",
        "trial.name": trial.metadata.name,
        "trial.number": str(trial.spec.number),
        "trial.seed": str(trial.spec.seed),
        "trial.repeat": str(trial.spec.repeat),
        CHECKPOINT_DIR: checkpoint_dir,
        RESUME_FROM: resume_from or None,
        "study.name": study.metadata.name,
        "study.namespace": study.key.namespace,
    }
    return Substitution(values)


def environment_of(
    study: Study,
    trial: Trial,
    *,
    attempt: int,
    target: int | None,
    resume_from: str | None = None,
    checkpoint_dir: str | None = None,
) -> dict[str, str]:
    """The RUNG_ variables of one attempt, without those that only the executor knows (address, termination log)."""
    spec = study.spec
    environment = {
        "RUNG_STUDY": study.metadata.name,
        "RUNG_NAMESPACE": study.key.namespace,
        "RUNG_TRIAL": trial.metadata.name,
        "RUNG_TRIAL_NUMBER": str(trial.spec.number),
        "RUNG_ATTEMPT": str(attempt),
        "RUNG_SEED": str(trial.spec.seed),
        "RUNG_REPEAT": str(trial.spec.repeat),
        "RUNG_PARAMETERS": parameters_json(spec.parameters, trial.spec.parameters),
        "RUNG_METRICS_PORT": str(spec.metrics.port),
    }
    if spec.scheduler.resource is not None:
        environment["RUNG_RESOURCE_METRIC"] = spec.scheduler.resource.metric
    if target is not None:
        environment["RUNG_RESOURCE_TARGET"] = str(target)
    if checkpoint_dir is not None:
        environment["RUNG_CHECKPOINT_DIR"] = checkpoint_dir
        environment["RUNG_CHECKPOINT_KEEP"] = KEEP_ALL  # retain: All is the only one so far
    if resume_from:
        environment["RUNG_RESUME_FROM"] = resume_from
    return environment
