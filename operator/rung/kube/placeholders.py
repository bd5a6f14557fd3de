"""Placeholders in a trial's template: a small grammar, replaced string by string, with no shell and no templating
language.

    placeholder = "$(" name [ ":-" fallback ] [ "|int" ] ")"
    name        = "params" | "params." parameter | "resource.target" | "resource.fraction"
                | "trial." ("name" | "number" | "seed" | "repeat" | "checkpointDir" | "resumeFrom")
                | "study." ("name" | "namespace")

- `$(params)` is all active parameters as JSON, `$(params.op)` of an array its active elements, joined by commas. `|int`
  turns a string that is one placeholder into a number.
- A name without a value (an inactive parameter, `trial.resumeFrom` of a first attempt, `resource.target` without a
  resource) takes its fallback. Without one, the list element that holds it is dropped; anywhere else it is an error of
  the author's, but for `trial.resumeFrom`, which is then empty. An element that is a single placeholder and renders
  empty is dropped too.
- Dollars are counted as Kubernetes counts them, in pairs from the left: `$$(params.x)` is a literal `$(params.x)`.
  Kubernetes' own references `$(VAR)`, their escapes `$$(VAR)` and every other dollar are left to the kubelet.
- Where the kubelet expands references itself (command, args, env), dollars in a substituted value are doubled, so that
  the program gets the value and not what the kubelet would make of it.

Source of the dollar rules: k8s.io/kubernetes/third_party/forked/golang/expansion.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter, ParameterType
from rung.space.arrays import expanded

TEMPLATE_FIELD = "spec.trial.podTemplate"
ALL_PARAMETERS = "params"
PARAMETER_PREFIX = "params."
RESUME_FROM = "trial.resumeFrom"
CHECKPOINT_DIR = "trial.checkpointDir"
RESOURCE_NAMES = ("resource.target", "resource.fraction")
FIXED_NAMES = (
    ALL_PARAMETERS,
    *RESOURCE_NAMES,
    "trial.name",
    "trial.number",
    "trial.seed",
    "trial.repeat",
    CHECKPOINT_DIR,
    RESUME_FROM,
    "study.name",
    "study.namespace",
)
WHOLE_NAMES = frozenset({"trial.number", "trial.seed", "trial.repeat", "resource.target"})
MISTAKEN_PREFIXES = frozenset(
    {"param", "parameter", "parameters", "hyperparameters", "trialparameters", "resources", "trials", "studies"}
)
"""Nobody calls an environment variable so and puts a dot behind it; people do mistype ours."""

_OPENING = re.compile(r"(\$+)\((?:(params)(?=[).:|])|(resource|trial|study)(?=\.)|(\w+)\.)", re.IGNORECASE)
_INSIDE = re.compile(r"(?P<name>[^():|]*)(?::-(?P<fallback>[^()]*?)(?P<int>\|int)?|\|(?P<conversion>[^()]*))?\Z")

Json = Any
"""What `json.loads` gives: the one place where nothing more is known of a type."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder as written. `source` is its text, for messages."""

    name: str
    source: str
    fallback: str | None = None
    as_int: bool = False


Part = str | Placeholder


@dataclass(frozen=True, slots=True)
class Substitution:
    """What each name stands for; None: it has no value in this attempt. A name that is missing here does not exist."""

    values: Mapping[str, str | None] = field(default_factory=dict)


def parse(text: str, where: str = TEMPLATE_FIELD) -> tuple[Part, ...]:
    """Split a string into literal text and placeholders. Raises InvalidStudy where a placeholder is malformed."""
    parts: list[Part] = []
    literal: list[str] = []
    position = 0
    for opening in _OPENING.finditer(text):
        if opening.start() < position or not _is_ours(opening):
            continue
        dollars = len(opening.group(1))
        inside = opening.end(1) + 1
        if dollars % 2 == 0:  # escaped: the last pair becomes one literal dollar, the others are the kubelet's
            literal.append(text[position : opening.end(1) - 1])
            position = opening.end(1)
            continue
        closing = text.find(")", inside)
        source = text[opening.end(1) - 1 : closing + 1 if closing >= 0 else len(text)]
        if closing < 0:
            raise InvalidStudy(where, f"{source!r} has no closing parenthesis")
        literal.append(text[position : opening.end(1) - 1])
        if before := "".join(literal):
            parts.append(before)
        literal.clear()
        parts.append(_placeholder(source, text[inside:closing], where))
        position = closing + 1
    literal.append(text[position:])
    if rest := "".join(literal):
        parts.append(rest)
    return tuple(parts)


def _is_ours(opening: re.Match[str]) -> bool:
    word = opening.group(4)
    return word is None or word.lower() in MISTAKEN_PREFIXES


def _placeholder(source: str, inside: str, where: str) -> Placeholder:
    match = _INSIDE.match(inside)
    if match is None:
        raise InvalidStudy(where, f"{source} is no placeholder: write $(name), $(name:-fallback) or $(name|int)")
    conversion = match["conversion"]
    if conversion not in {None, "int"}:
        raise InvalidStudy(where, f"{source}: the only conversion is |int, not |{conversion}")
    return Placeholder(match["name"], source, match["fallback"], as_int=bool(conversion or match["int"]))


def render_template(
    template: Json, substitution: Substitution, *, where: str = TEMPLATE_FIELD, kubelet: bool = True
) -> Json:
    """A copy of any JSON with its placeholders replaced. The given object is not changed.

    `kubelet` says that the kubelet will expand command, args and env of the result: dollars of values are doubled
    there. Raises InvalidStudy with the field's path: unknown name, no value where one is needed, `|int` of what is no
    whole number.
    """
    return _rendered(template, substitution, where, kubelet=kubelet, expanded=False)


def _rendered(node: Json, substitution: Substitution, where: str, *, kubelet: bool, expanded: bool) -> Json:
    if isinstance(node, str):
        return _text(node, substitution, where, expanded=expanded, element=False)
    if isinstance(node, Mapping):
        result = {}
        for key, value in node.items():
            _refuse_key(key, where)
            inside = kubelet and (key in {"command", "args", "env"} or (expanded and key == "value"))
            result[key] = _rendered(value, substitution, child(where, key), kubelet=kubelet, expanded=inside)
        return result
    if isinstance(node, list | tuple):
        elements = []
        for index, value in enumerate(node):
            at = f"{where}[{index}]"
            if not isinstance(value, str):
                elements.append(_rendered(value, substitution, at, kubelet=kubelet, expanded=expanded))
            elif (text := _text(value, substitution, at, expanded=expanded, element=True)) is not None:
                elements.append(text)
        return elements
    return node


def _text(text: str, substitution: Substitution, where: str, *, expanded: bool, element: bool) -> str | int | None:
    """The rendered string or number; None for a list element that is to be dropped."""
    if "$" not in text:
        return text
    rendered: list[str] = []
    parts = parse(text, where)
    for part in parts:
        if isinstance(part, str):
            rendered.append(part)
            continue
        value = _value(part, substitution, where)
        if value is None:
            if element:
                return None
            if part.name != RESUME_FROM:
                raise InvalidStudy(where, _no_value(part))
            value = ""
        if part.as_int:
            if len(parts) > 1:
                raise InvalidStudy(where, _int_is_whole(part, text))
            return _whole(value, part, where)
        rendered.append(value.replace("$", "$$") if expanded else value)
    result = "".join(rendered)
    return None if element and not result and len(parts) == 1 else result


def _value(part: Placeholder, substitution: Substitution, where: str) -> str | None:
    if part.name not in substitution.values:
        raise InvalidStudy(where, _unknown(part, substitution.values))
    value = substitution.values[part.name]
    return part.fallback if value is None else value


def check_template(
    template: Json,
    parameters: Sequence[Parameter],
    *,
    has_resource: bool = False,
    has_checkpoint: bool = False,
    where: str = TEMPLATE_FIELD,
) -> None:
    """Refuse at acceptance what would only fail, or go wrong, with some of the trials. Raises InvalidStudy with the
    path.

    Refused: unknown names; a parameter that may be inactive (or a name that this Study never has) without a fallback
    outside a list; `["--m", "$(params.m)"]`, which would leave `--m` behind; `|int` of what need not be a whole number.
    """
    known = _Known(parameters, has_resource=has_resource, has_checkpoint=has_checkpoint)
    for text, at, before in strings(template, where):
        parts = parse(text, at)
        for part in parts:
            if not isinstance(part, str):
                known.check(part, parts, at, before=before)


class _Known:
    """The names that a Study has, and which of them may be without a value."""

    def __init__(self, parameters: Sequence[Parameter], *, has_resource: bool, has_checkpoint: bool) -> None:
        apart = expanded(tuple(parameters))
        self._parameters = {PARAMETER_PREFIX + parameter.name: parameter for parameter in apart.parameters}
        self._arrays = {PARAMETER_PREFIX + array: elements for array, elements in apart.arrays.items()}
        self._names = dict.fromkeys((*self._parameters, *self._arrays, *FIXED_NAMES), None)
        self._optional = {name for name, parameter in self._parameters.items() if parameter.when}
        firsts = {name: PARAMETER_PREFIX + elements[0] for name, elements in self._arrays.items()}
        self._optional.update(name for name, first in firsts.items() if first in self._optional)
        self._optional.add(RESUME_FROM)
        if not has_resource:
            self._optional.update(RESOURCE_NAMES)
        if not has_checkpoint:
            self._optional.add(CHECKPOINT_DIR)

    def check(self, part: Placeholder, parts: tuple[Part, ...], at: str, *, before: str | None) -> None:
        """One placeholder. `before` is the list element before it, None outside a list, "" for a first element."""
        if part.name not in self._names:
            raise InvalidStudy(at, _unknown(part, self._names))
        if part.as_int:
            self._check_int(part, parts, at)
        if part.name not in self._optional:
            return
        if before is None:
            if part.fallback is None and part.name != RESUME_FROM:
                raise InvalidStudy(at, _no_value(part))
            return
        if len(parts) == 1 and not part.fallback and _is_flag(before):
            advice = f'"{before}={part.source}"'
            raise InvalidStudy(
                at,
                f"{part.source} may have no value, and without this element {before} would stand alone: write {advice}",
            )

    def _check_int(self, part: Placeholder, parts: tuple[Part, ...], at: str) -> None:
        if len(parts) > 1:
            raise InvalidStudy(at, _int_is_whole(part, "".join(p if isinstance(p, str) else p.source for p in parts)))
        if part.fallback is not None:
            _whole(part.fallback, part, at)
        if part.name in self._arrays:
            raise InvalidStudy(at, f"{part.source}: {part.name} is an array, a list of values and no whole number")
        parameter = self._parameters.get(part.name)
        if parameter is None:
            if part.name not in WHOLE_NAMES:
                raise InvalidStudy(at, f"{part.source}: {part.name} is no whole number")
            return
        if parameter.value is not None and parameter.type is not ParameterType.DERIVED:
            possible: tuple[str, ...] = (parameter.value,)
        elif parameter.type is ParameterType.DOUBLE:
            raise InvalidStudy(at, f"{part.source}: parameter {parameter.name} is a Double; |int needs whole numbers")
        else:
            possible = parameter.values
        for value in possible:
            _whole(value, part, at)


def strings(node: Json, where: str) -> Iterator[tuple[str, str, str | None]]:
    """Every string with its path and the list element before it (None outside a list, "" before the first or a
    non-string).
    """
    if isinstance(node, str):
        yield node, where, None
    elif isinstance(node, Mapping):
        for key, value in node.items():
            _refuse_key(key, where)
            yield from strings(value, child(where, key))
    elif isinstance(node, list | tuple):
        before = ""
        for index, value in enumerate(node):
            if isinstance(value, str):
                yield value, f"{where}[{index}]", before
                before = value
            else:
                yield from strings(value, f"{where}[{index}]")
                before = ""


def child(where: str, key: str) -> str:
    """The path of a key, in the API server's way of writing: `labels[rung.dev/study]` where a dot would mislead."""
    return f"{where}.{key}" if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f"{where}[{key}]"


def _refuse_key(key: str, where: str) -> None:
    if "$" in key and any(not isinstance(part, str) for part in parse(key, where)):
        raise InvalidStudy(where, f"a placeholder cannot be a key: {key!r}")


def _is_flag(text: str) -> bool:
    """An option whose value would be the next argument."""
    return len(text.lstrip("-")) > 0 and text.startswith("-") and "=" not in text and "$(" not in text


def _whole(value: str, part: Placeholder, where: str) -> int:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        number = 0.5  # falls through to the message
    if not number.is_integer():
        raise InvalidStudy(where, f"{part.source}: {value!r} is no whole number")
    return int(number)


def _int_is_whole(part: Placeholder, text: str) -> str:
    return f"{part.source}: |int makes a whole string a number, so nothing may stand beside it; got {text!r}"


def _no_value(part: Placeholder) -> str:
    if part.name.startswith(PARAMETER_PREFIX):
        why = f"parameter {part.name.removeprefix(PARAMETER_PREFIX)} is inactive in some trials"
    elif part.name in RESOURCE_NAMES:
        why = "the Study has no spec.scheduler.resource"
    elif part.name == CHECKPOINT_DIR:
        why = "the Study has no spec.trial.checkpoint"
    else:
        why = "it has no value in this attempt"
    inside = part.source[2:-1].split("|")[0]
    return f"{part.source} has no value where {why}: give a fallback, $({inside}:-…), or make it an element of a list"


def _unknown(part: Placeholder, names: Mapping[str, str | None]) -> str:
    known = list(names)
    folded = {name.lower(): name for name in known}
    word = part.name.lower()
    head, dot, tail = word.partition(".")
    if dot and head in MISTAKEN_PREFIXES:
        word = f"{_mended(head)}.{tail}"
    close = [word] if word in folded else difflib.get_close_matches(word, folded, n=1, cutoff=0.6)
    hint = f"did you mean $({folded[close[0]]})?" if close else f"known are {', '.join(known)}."
    return f"{part.source}: there is no {part.name or 'empty name'}; {hint} A literal $( is written $$("


def _mended(prefix: str) -> str:
    if "param" in prefix:
        return "params"
    return {"resources": "resource", "trials": "trial", "studies": "study"}[prefix]
