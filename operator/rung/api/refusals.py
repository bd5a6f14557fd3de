"""What is wrong with a document, as people read it: (field, message) for each complaint of the models.

pydantic knows where and which check failed; the words here say what was expected, what was found and what to do.
"""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rung.api.base import ApiModel, Keywords
from rung.api.errors import InvalidStudy
from rung.api.scalars import PATTERN_WORDS

SHOWN = 3
"""Further problems that are named beside the first: more would not be read."""

Refusal = tuple[str, str]
"""(field, what is wrong)."""

_KEY = "[key]"


def first_of(refusals: Collection[Refusal]) -> InvalidStudy:
    """One error for all: the first field, and a few of the others behind it."""
    (field, message), *others = refusals
    if others:
        shown = "; ".join(f"{path}: {wrong}" for path, wrong in others[:SHOWN])
        more = f"; and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        message = f"{message}. Also: {shown}{more}"
    return InvalidStudy(field, message)


def refusals_of(error: ValidationError, model: type[ApiModel], path: str) -> list[Refusal]:
    """Every complaint of a failed `model_validate`, in words. `path` is where the model stands.

    Unknown fields come first: what is then missing is most often what was misspelt.
    """
    details = sorted(error.errors(include_url=False), key=lambda d: d["type"] != "extra_forbidden")
    return [(dotted(path, d["loc"]), _words(d, model)) for d in details if not _follows(d, details)]


def _follows(details: ErrorDetails, others: list[ErrorDetails]) -> bool:
    """A list that is too short only because pydantic does not count its wrong items: those are named already."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in others
    )


def dotted(path: str, location: tuple[int | str, ...]) -> str:
    """("parameters", 0, "min") -> .parameters[0].min, behind `path`."""
    for part in location:
        if part != _KEY:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def duplicates(model: ApiModel, path: str) -> Iterator[Refusal]:
    """Items of list-maps and sets that stand there twice, as an API server reports them."""
    for name, info in type(model).model_fields.items():
        value, here = getattr(model, name), f"{path}.{model.outside_name(name)}"
        for keywords in (k for k in info.metadata if isinstance(k, Keywords)):
            yield from _duplicates(value, keywords, here)
        for inner, place in _models(value, here):
            yield from duplicates(inner, place)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """'; did you mean X?' or nothing."""
    folded = {_folded(name): name for name in known}
    found = difflib.get_close_matches(_folded(word), folded, n=1, cutoff=0.7)
    return f"; did you mean {folded[found[0]]}?" if found else ""


def _folded(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def _duplicates(items: object, keywords: Keywords, path: str) -> Iterator[Refusal]:
    if not isinstance(items, tuple):
        return
    keys = keywords.list_map_keys
    seen: list[object] = []
    for index, item in enumerate(items):
        identity = {key: getattr(item, key) for key in keys} if keys else item
        if (keys or keywords.is_set) and identity in seen:
            yield f"{path}[{index}]", f"Duplicate value: {json.dumps(identity, separators=(',', ':'))}"
        seen.append(identity)


def _models(value: object, path: str) -> Iterator[tuple[ApiModel, str]]:
    if isinstance(value, ApiModel):
        yield value, path
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, ApiModel):
                yield item, f"{path}[{index}]"


def _words(details: ErrorDetails, model: type[ApiModel]) -> str:  # noqa: C901, PLR0911 - a table in all but form
    kind, found, context = details["type"], details["input"], details.get("ctx", {})
    match kind:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "unknown field" + did_you_mean(str(details["loc"][-1]), _fields_at(model, details["loc"][:-1]))
        case "enum":
            allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            meant = did_you_mean(found, allowed) if isinstance(found, str) else "; quote it"
            return f"must be one of {', '.join(allowed)}, got {_shown(found)}{meant}"
        case "string_type":
            quote = "; quote it" if isinstance(found, bool | int | float) else ""
            return f"must be a string, got {_shown(found)}{quote}"
        case "int_type" | "int_from_float":
            return f"must be a whole number without quotes, got {_shown(found)}"
        case "bool_type":
            return f"must be true or false without quotes, got {_shown(found)}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, got {found}"
        case "less_than_equal":
            return f"must be at most {context['le']}, got {found}"
        case "string_pattern_mismatch":
            words = PATTERN_WORDS.get(str(context["pattern"]), f"must match {context['pattern']}")
            return f"{words}, got {_shown(found)}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters, got {len(str(found))}"
        case "too_short":
            return f"must have at least {_items(context['min_length'])}, got {context['actual_length']}"
        case "too_long":
            return f"must have at most {_items(context['max_length'])}, got {context['actual_length']}"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"must be an object, got {_shown(found)}"
        case "tuple_type" | "list_type" | "iterable_type":
            return f"must be a list, got {_shown(found)}"
        case _:
            return details["msg"]


def _items(count: int) -> str:
    return f"{count} item" if count == 1 else f"{count} items"


def _shown(value: object) -> str:
    """A value for a message: short, and with its kind where that is the point."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 64 else value[:61] + "...", ensure_ascii=False)
    return "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else str(value)


def _fields_at(model: type[ApiModel], location: tuple[int | str, ...]) -> list[str]:
    """The names of the fields of the model at a location."""
    for part in location:
        if isinstance(part, int):
            continue
        info = next((f for name, f in model.model_fields.items() if (f.alias or name) == part), None)
        inner = _model_in(info.annotation) if info is not None else None
        if inner is None:
            return []
        model = inner
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[ApiModel] | None:
    """The model in `X | None`, `tuple[X, ...]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    return next((m for m in map(_model_in, typing.get_args(annotation)) if m is not None), None)
