"""The page of all fields of a Study and a Trial, from the same schemas as the CRDs.

python -m rung.api.reference --write docs/study-reference.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rung.api.base import JsonObject
from rung.api.crds import study_crd, trial_crd
from rung.api.frozen import FROZEN
from rung.api.implemented import MODES
from rung.api.scheduler import Mode

INTRODUCTION = """\
# The Study, field by field

<!-- generated from operator/rung/api by `make docs`: do not edit -->

Only `objectives`, `parameters` and `trial` are required. `kubectl explain study.spec` says the same on a cluster.

Numbers in a spec are strings, since the API conventions forbid floats; whole numbers may stand without quotes. Write
`"0.5"`, `"1e-4"` and `16`; quote `"yes"`, `"no"`, `"on"` and `"off"`, which YAML reads as booleans.

Defaults that always apply are filled in by the API server. Those that apply only sometimes (`scale`, `eta`, `mode`,
`limits.trials`) are not written into the object: their descriptions name them.
"""

PLACEHOLDERS = """\
## Placeholders

In any string of `spec.trial.podTemplate`, of `manifest`, and of `trial.metadata`:

| placeholder | stands for |
|---|---|
| `$(params.NAME)` | the value of a parameter |
| `$(params)` | all active parameters as one JSON object |
| `$(resource.target)`, `$(resource.fraction)` | train up to this step; the same as a share of `resource.max` |
| `$(trial.name)`, `$(trial.number)`, `$(trial.seed)`, `$(trial.repeat)` | of the trial |
| `$(trial.checkpointDir)`, `$(trial.resumeFrom)` | where its checkpoints go, and the one to go on from |
| `$(study.name)`, `$(study.namespace)` | of the study |
| `$(params.NAME:-0.9)` | with a fallback for where it has no value |
| `$(params.NAME\\|int)` | as a number, where it is the whole string |
| `$$(` | a literal `$(` |

An element of a list that names an inactive parameter without a fallback is left out, and so is one that is nothing but a
placeholder and renders empty: write `--lr=$(params.lr)` as one element. Kubernetes' own `$(VARIABLE)` is left alone.
"""


def render_reference() -> str:
    """The page as Markdown. Deterministic."""
    study = _root(study_crd())["properties"]
    trial = _root(trial_crd())["properties"]
    parts = [
        INTRODUCTION,
        _later(),
        _frozen(),
        *_tables("spec", study["spec"]),
        PLACEHOLDERS,
        "# Status of a Study\n",
        *_tables("status", study["status"]),
        "# The Trial\n\nMade by the operator: one for each assignment.\n",
        *_tables("spec", trial["spec"]),
        *_tables("status", trial["status"]),
    ]
    return "\n".join(parts)


def _root(crd: JsonObject) -> JsonObject:
    root: JsonObject = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def _later() -> str:
    """What this version refuses."""
    modes = ", ".join(kind.value for kind in Mode if kind not in MODES)
    return (
        "## Not implemented yet\n\n"
        f"The schema holds more than this version does: modes {modes}; metrics from a file, "
        "`manifest` with its companions, `retain` other than All, `promotedPriorityClass`. A Study that uses one of them "
        "gets `Accepted=False`, reason `NotImplemented`, with the field's path.\n"
    )


def _frozen() -> str:
    """What cannot change."""
    fields = ", ".join(f"`{frozen.field.removeprefix('spec.')}`" for frozen in FROZEN)
    return (
        "## What may change\n\n"
        f"Until the first trial exists, everything. After that these are frozen: {fields} (of `trial`, the template alone). "
        "Goals, roles, limits, `suspend`, `finish`, metrics, retries and time-outs may change at any time, and points may be "
        "appended to `warmStart.points`.\n"
    )


def _tables(path: str, schema: JsonObject) -> Iterator[str]:
    """A table of the fields of an object, then one for each object below it."""
    required = set(schema.get("required", ()))
    rows = [
        f"| `{name}`{' (required)' if name in required else ''} | {_type(inner)} | {_cell(inner)} |"
        for name, inner in schema["properties"].items()
    ]
    yield (
        f"## {path}\n\n{schema.get('description', '')}\n\n| field | type | meaning |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )
    for name, inner in schema["properties"].items():
        below = inner.get("items", inner)
        if "properties" in below and not below.get("x-kubernetes-preserve-unknown-fields"):
            yield from _tables(f"{path}.{name}{'[]' if 'items' in inner else ''}", below)


def _type(schema: JsonObject) -> str:
    match schema.get("type"):
        case "array":
            return f"list of {_several(_type(schema['items']))}"
        case "object":
            inner: Any = schema.get("additionalProperties")
            return f"map of {_several(_type(inner))}" if inner else "object"
        case None:
            return "string or whole number"
        case kind:
            return {"integer": "whole number", "boolean": "true or false"}.get(str(kind), str(kind))


def _several(kind: str) -> str:
    return " or ".join(f"{word}s" for word in kind.split(" or "))


def _cell(schema: JsonObject) -> str:
    """The description, with the bounds of numbers; bars would end the cell."""
    text = str(schema.get("description", ""))
    if schema.get("type") == "integer" and "minimum" in schema and schema.get("maximum", 2**31) < 2**31 - 1:
        text += f" {schema['minimum']} to {schema['maximum']}."
    return text.replace("|", "\\|").replace("<", "&lt;")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rung.api.reference", description="The page of all fields.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", metavar="FILE", type=Path, help="write it")
    what.add_argument("--check", metavar="FILE", type=Path, help="fail if it is not up to date")
    options: Any = parser.parse_args(arguments)
    text = render_reference()
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")
        return 0
    if options.check.exists() and options.check.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"not up to date: {options.check}; run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
