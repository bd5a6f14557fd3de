"""Study files: YAML or JSON, several documents, other kinds among them as in any file for `kubectl apply`."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rung.api.errors import InvalidStudy, RungError
from rung.api.study import Study, parse_study

STDIN = "-"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C where PyYAML has it: ten times as fast


class UnreadableFileError(RungError):
    """A file that holds no Study."""


class StrictLoader(_Loader):  # type: ignore[misc] # which of the two it is, is known at run time only
    """Refuses a key that occurs twice, as `kubectl apply` does: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The base's, after a look at the keys."""
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} occurs twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


@dataclass(frozen=True, slots=True)
class Source:
    """One document that says it is a Study."""

    name: str  # of the file
    text: str  # the whole file
    document: Mapping[str, Any]

    def study(self) -> Study:
        """Raises InvalidStudy: unknown fields are errors in a file."""
        return parse_study(self.document, strict=True)

    @property
    def label(self) -> str:
        """File and study, for messages."""
        metadata = self.document.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        return f"{self.name}: {name}" if isinstance(name, str) else self.name


def read_sources(name: str) -> list[Source]:
    """Every Study of a file. Raises UnreadableFileError if there is none."""
    text = _text(name)
    try:
        documents = list(yaml.load_all(text, Loader=StrictLoader))
    except yaml.YAMLError as error:
        raise UnreadableFileError(f"{_shown(name)}: is not YAML: {_first_lines(error)}") from error
    except RecursionError:
        raise UnreadableFileError(f"{_shown(name)}: is nested too deeply") from None
    found = [Source(_shown(name), text, document) for document in _items(documents) if _is_study(document)]
    if not found:
        kinds = sorted({str(d.get("kind")) for d in _items(documents) if d.get("kind")})
        seen = f"found {', '.join(kinds)}" if kinds else "no document has a kind"
        raise UnreadableFileError(
            f"{_shown(name)}: holds no Study (apiVersion: rung.dev/v1alpha1, kind: Study); {seen}"
        )
    return found


def read_study(name: str) -> tuple[Study, str]:
    """The one Study of a file, and the file's text. Raises UnreadableFileError and InvalidStudy."""
    sources = read_sources(name)
    if len(sources) > 1:
        raise UnreadableFileError(
            f"{_shown(name)}: holds {len(sources)} studies; give each a file of its own to run it"
        )
    try:
        return sources[0].study(), sources[0].text
    except InvalidStudy as error:
        raise UnreadableFileError(f"{sources[0].label}: {error}") from error


def _items(documents: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Documents that are objects, those inside a List too."""
    for document in documents:
        if isinstance(document, Mapping):
            items = document.get("items")
            if document.get("kind") == "List" and isinstance(items, list):
                yield from _items(items)
            else:
                yield document


def _is_study(document: Mapping[str, Any]) -> bool:
    return document.get("kind") == "Study"


def _text(name: str) -> str:
    try:
        if name == STDIN:
            return sys.stdin.buffer.read().decode()
        return Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{_shown(name)}: is not text: {error}") from error
    except OSError as error:
        raise UnreadableFileError(f"{_shown(name)}: cannot be read: {error.strerror or error}") from error


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name


def _first_lines(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or 'syntax error'}"
