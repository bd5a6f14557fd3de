"""From a model to the structural OpenAPI v3 schema that a CRD takes.

pydantic writes JSON Schema 2020-12; an API server wants less of it: no references, no anyOf with null (absent and null are
one), no titles, no patternProperties, a list type on every list, a format on every integer. Since `kubectl explain` shows
neither defaults nor more than four values of an enum, descriptions end with both.
Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.api.base import ApiModel, JsonObject
from rung.api.scalars import MAX_INT32

_ORDER = (
    "type",
    "format",
    "description",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "items",
    "additionalProperties",
    "required",
    "properties",
    "x-kubernetes-validations",
)
"""What may stand in a schema, in the order in which it is written."""


def structural(model: type[ApiModel], *, defaults: bool = True) -> JsonObject:
    """The schema of a model. Without `defaults` none is written: a status is what the operator says, no more."""
    raw = model.model_json_schema(by_alias=True)
    return _Converter(raw.get("$defs", {}), defaults).convert(raw)


class _Converter:
    def __init__(self, definitions: Mapping[str, Any], defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def convert(self, node: Mapping[str, Any]) -> JsonObject:
        """One node with all below it."""
        schema = self._flat(node)
        default = _bare(schema.pop("default", None))
        if self._defaults and default not in (None, [], {}, ""):
            schema["default"] = default
        if "patternProperties" in schema:  # of keys an API server checks nothing
            schema["additionalProperties"] = next(iter(schema["patternProperties"].values()))
        match schema.get("type"):
            case "array":
                schema["items"] = self.convert(schema["items"])
                schema.setdefault("x-kubernetes-list-type", "atomic")
            case "integer":
                small = schema.get("maximum", MAX_INT32 + 1) <= MAX_INT32
                schema.setdefault("format", "int32" if small else "int64")
            case "object":
                if isinstance(schema.get("additionalProperties"), Mapping):
                    schema["additionalProperties"] = self.convert(schema["additionalProperties"])
                elif "additionalProperties" in schema:
                    del schema["additionalProperties"]
                if "properties" in schema:
                    schema["properties"] = {name: self.convert(inner) for name, inner in schema["properties"].items()}
        _describe(schema)
        return {key: schema[key] for key in _ORDER if key in schema}

    def _flat(self, node: Mapping[str, Any]) -> JsonObject:
        """Without reference and alternative with null; what stands beside them wins."""
        flat = dict(node)
        while "$ref" in flat or "anyOf" in flat:
            if "$ref" in flat:
                inner = self._definitions[flat.pop("$ref").removeprefix("#/$defs/")]
            else:
                (inner,) = (option for option in flat.pop("anyOf") if option.get("type") != "null")
            flat = {**inner, **flat}
        return flat


def _bare(default: object) -> object:
    """A default without what is absent by default."""
    if isinstance(default, Mapping):
        return {key: _bare(value) for key, value in default.items() if value not in (None, [], {})}
    return default


def _describe(schema: JsonObject) -> None:
    """Name the values of an enum and the default, where the text does not do so."""
    text = str(schema.get("description", ""))
    values = [str(value) for value in schema.get("enum", ())]
    if values and not all(value in text for value in values):
        text += f" One of {', '.join(values)}."
    default = schema.get("default")
    if default is not None and not isinstance(default, Mapping):
        text += f" Default: {str(default).lower() if isinstance(default, bool) else default}."
    if text:
        schema["description"] = text.strip()
