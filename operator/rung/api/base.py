"""What all models share: immutability, camelCase outside, and rules that an API server and Python both check.

A *rule* is a method of the model that it belongs to. It returns what is wrong, or None. Its decorator holds the same
condition in CEL, so that the two stand side by side and a table of bad Studies can hold them against each other:

    @rule("double(self.low) <= double(self.high)", "low must not exceed high", says="'… %s …'.format([self.low])")
    def _ordered(self) -> str | None: ...

    rule      the condition in CEL; `self` is the model as JSON
    message   static, shown by the server when `says` fails at run time
    says      CEL of the message, by format() alone: its cost is bounded, that of `+` with a computed text is not
    at        the field that is to blame, relative to the model: ".spec.trial"

Validating a model (`model_validate`) checks types, enums and bounds of single fields. Rules between fields are checked by
`problems`, which `parse_study` calls: code and tests may build parts that no user could write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

JsonObject = dict[str, Any]
"""A JSON object of which Rung knows no more: a pod template, a manifest of any kind, a schema."""

Check = TypeVar("Check", bound=Callable[[Any], str | None])
_RULE = "__rung_rule__"


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition between fields. See the module's docstring."""

    rule: str
    message: str
    says: str = ""
    at: str = ""

    def as_validation(self) -> JsonObject:
        """An entry of x-kubernetes-validations."""
        entry: JsonObject = {"rule": self.rule, "message": self.message}
        if self.says:
            entry["messageExpression"] = self.says
        if self.at:
            entry["fieldPath"] = self.at
        return entry


def rule(cel: str, message: str, *, says: str = "", at: str = "") -> Callable[[Check], Check]:
    """Mark a method as the Python face of a rule."""

    def mark(check: Check) -> Check:
        setattr(check, _RULE, Rule(cel, message, says, at))
        return check

    return mark


class ApiModel(BaseModel):
    """Immutable, camelCase outside, snake_case inside. Unknown fields pass: a newer CRD may meet an older operator."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    @classmethod
    def rules(cls) -> tuple[tuple[Rule, Callable[[Any], str | None]], ...]:
        """The rules of this model, in the order in which they are written."""
        return _rules(cls)

    @classmethod
    def outside_name(cls, name: str) -> str:
        """A field's name in JSON."""
        return cls.model_fields[name].alias or name

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonObject:
        """The schema of the fields, with the rules on top."""
        schema: JsonObject = handler(core_schema)
        validations = [found.as_validation() for found, _ in cls.rules()]
        if validations:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = validations
        return schema

    def inner_problems(self) -> Iterator[tuple[str, str]]:
        """(path from here, what is wrong) of fields that are no models but have a schema: a pod template."""
        yield from ()


@cache
def _rules(model: type[ApiModel]) -> tuple[tuple[Rule, Callable[[Any], str | None]], ...]:
    members = [member for owner in reversed(model.__mro__) for member in vars(owner).values()]
    return tuple((found, member) for member in members if isinstance(found := getattr(member, _RULE, None), Rule))


def problems(model: ApiModel, path: str) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) for every rule that does not hold, parts before wholes, as an API server lists them."""
    for name in type(model).model_fields:
        yield from _inside(getattr(model, name), f"{path}.{model.outside_name(name)}" if path else name)
    for inner, wrong_inside in model.inner_problems():
        yield path + inner, wrong_inside
    for found, check in model.rules():
        wrong = check(model)
        if wrong is not None:
            yield (path + found.at).lstrip("."), wrong


def _inside(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, ApiModel):
        yield from problems(value, path)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _inside(item, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, ApiModel):
                yield from problems(item, f"{path}.{key}")


class Keywords:
    """Schema keywords of a type, for the CRD alone: Python does not check them.

    For what the API's own machinery wants (x-kubernetes-…), and for bounds of a status: an operator must be able to read
    what another version has written.
    """

    def __init__(self, **keywords: object) -> None:
        self._keywords: JsonObject = {_outside(name): value for name, value in keywords.items()}

    @property
    def list_map_keys(self) -> list[str]:
        """The fields by which items of a list-map are told apart; empty for other lists."""
        keys = self._keywords.get("x-kubernetes-list-map-keys", [])
        return list(keys) if isinstance(keys, list) else []

    @property
    def is_set(self) -> bool:
        """Whether an item may stand in the list only once."""
        return self._keywords.get("x-kubernetes-list-type") == "set"

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonObject:
        """The type's own schema with these on top."""
        schema: JsonObject = handler(core_schema)
        schema.update(self._keywords)
        return schema


def _outside(name: str) -> str:
    """max_items -> maxItems, x_kubernetes_list_type -> x-kubernetes-list-type."""
    return name.replace("_", "-") if name.startswith("x") else to_camel(name)
