"""The forms in which programs say numbers on a line of text, read without ever running or trusting it.

    {"epoch": 3, "val_loss": 0.4}                   JSON; NaN, Infinity bare or quoted; nested once: `eval.loss`
    {'loss': 0.4, 'grad': np.float64(2.0)}          a Python dict, as Hugging Face's Trainer prints it, since its
    {'loss': '0.4', 'epoch': '1.5'}                 version 5 with every number as text
    epoch=3 val_loss=0.4 · loss: 0.5 - acc: 0.9     pairs anywhere on the line (Keras, Katib, prefixes, tqdm postfixes)
    Epoch 3/10 · Epoch [3/10], loss: 0.5            the counter alone may stand without a sign, in any case
    [3]<tab>valid_1's auc: 0.9                      XGBoost and LightGBM: the round in front is the step

A line may mix them (`Epoch 3: {'loss': 0.4}`). Where a name occurs twice the later one holds. Every pattern is
possessive and starts only at a token's first character, so a hostile line costs time linear in its length; nothing is
evaluated. A command line's flags (`--epochs=27`) are no report, nor are times (`12:30:45`), dates, ranges and numbers
with units (`10MB`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

from rung.observe.extract import STEP, Wanted, number_of

DICT_BYTES: Final = 16 * 1024  # a dict on a line is a report, not a dump
PAIRS: Final = 256  # per line or object; more is a dump too
TOKENS: Final = 8 * PAIRS  # of a dict: np.float64(0.5), with its name and comma, has seven
DECODER: Final = json.JSONDecoder(parse_int=float)  # an integer of 5,000 digits is infinity, not a ValueError

_NUMBER = r"[-+]?+(?:\d++(?:\.\d*+)?+(?:[eE][-+]?+\d++)?+|\.\d++(?:[eE][-+]?+\d++)?+|(?i:nan|inf(?:inity)?+))"
_WHOLE_NUMBER = re.compile(_NUMBER)
_ENDS = r"(?!\w|:\d|\.\w|/\D|-\d)"  # not a time, version, path, date or unit
_IN_NAME = r"[^\s,;|(){}\"=:<>]"
_PAIR = re.compile(rf"(?<!{_IN_NAME})({_IN_NAME}++)\s*+[=:]\s*+({_NUMBER}){_ENDS}")
_OPENS = re.compile(r"\{\s*+[\"'}]")  # of a report: its first name, or nothing; not of ${HOME} or {0:…}
_ROUND = re.compile(r"(?:^|\]:\s*+)\[(\d++)\]\t")
_PLAIN_NAME = re.compile(rf"{_IN_NAME}++")
_TOKEN = re.compile(
    r"\s*+(?:"
    r"(?P<text>'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\")"
    rf"|(?P<number>{_NUMBER})(?![\w.])"
    r"|(?P<word>\w[\w.]*+\(?+)"  # with its dots and its parenthesis at once: trying twice would be quadratic
    r"|(?P<mark>[{}\[\]:,()])"
    r"|(?P<other>['\"]|[^\s\w{}\[\]:,()'\"]++))",
)
_SCALARS = re.compile(
    r"(?:\w++\.)*+(?:b?float\d*|u?int\d*|tensor|Tensor|array|Array)\("
)  # np.float64(0.5), tensor(0.5)


class LineForms:
    """Reads one line at a time. Made once per stream, since the wanted names shape the patterns."""

    def __init__(self, wanted: Wanted) -> None:
        # A user's name becomes literal text, never a pattern.
        self._odd = [
            (key, re.compile(rf"(?<!\w){re.escape(key)}\s*+[=:]\s*+({_NUMBER}){_ENDS}"))
            for key in wanted.keys
            if not _PLAIN_NAME.fullmatch(key) and key not in wanted.quantiles
        ]
        self._counter = wanted.steps[0]
        self._counter_word = self._counter.lower()
        self._counted = re.compile(
            rf"(?<![\w.-]){re.escape(self._counter)}\s*+[=:#]?+\s*+[\[(]?+\s*+({_NUMBER}){_ENDS}", re.IGNORECASE
        )

    def read(self, line: str) -> tuple[dict[str, float], Mapping[str, object]]:
        """The numbers on a line by name, and the JSON object on it (empty if there is none), for what is no number."""
        brace = line.find("{")
        if brace >= 0 and _OPENS.match(line, brace):
            inner, document = _braced(line, brace)
            if inner is not None:
                return {**self._pairs(line[:brace]), **inner}, document
        return self._pairs(line), {}

    def _pairs(self, text: str) -> dict[str, float]:
        numbers: dict[str, float] = {}
        if self._counter_word in text.lower():
            for found in islice(self._counted.finditer(text), PAIRS):
                numbers[self._counter] = float(found[1])
        if "=" not in text and ":" not in text:
            return numbers
        for name, value in islice(_PAIR.findall(text), PAIRS):
            plain = name.lstrip("[<*")
            if plain[:1].isalpha() or plain[:1] == "_":
                numbers[plain] = float(value)
        for key, pattern in self._odd:
            if key in text:
                for found in islice(pattern.finditer(text), PAIRS):
                    numbers[key] = float(found[1])
        if "]\t" in text and STEP not in numbers and (counted := _ROUND.search(text)):
            numbers[STEP] = float(counted[1])
        return numbers


def _braced(line: str, brace: int) -> tuple[dict[str, float] | None, Mapping[str, object]]:
    """The numbers in the braces that open at `brace`, None if they hold no JSON object and no dict; and the object."""
    if line.count("[") + line.count("{") > TOKENS:
        return None, {}
    if line.startswith('"', brace + 1) or not line.startswith("'", brace + 1):
        try:
            document, _ = DECODER.raw_decode(line, brace)
        except (ValueError, RecursionError):
            pass
        else:
            return json_numbers(document), document
    return (dict_numbers(line[brace : brace + DICT_BYTES]) or None), {}


def json_numbers(document: Mapping[str, object]) -> dict[str, float]:
    """The numbers of a JSON object, one nested level flattened with a dot; lists and deeper levels are passed over."""
    numbers: dict[str, float] = {}
    for name, value in islice(document.items(), PAIRS):
        if isinstance(value, dict):
            for inner, nested in islice(value.items(), PAIRS):
                number = number_of(nested)
                if number is not None:
                    numbers[f"{name}.{inner}"] = number
        else:
            number = number_of(value)
            if number is not None:
                numbers[name] = number
    return numbers


def dict_numbers(text: str) -> dict[str, float]:
    """The numbers of a Python dict's text, read token by token up to its closing brace, one nested level with a dot.

    `np.float64(0.5)` and `tensor(0.5, device='cuda:0')` count as their first number. What is no dict, or is
    torn, gives nothing.
    """
    numbers: dict[str, float] = {}
    parents: list[str] = []  # of the open braces; the outermost has an empty name
    text_before: str | None = None  # a string that may turn out to be a key
    key: str | None = None  # whose value comes next
    for token in islice(_TOKEN.finditer(text), TOKENS):
        kind = token.lastgroup
        said = token[kind] if kind else ""
        value: float | None = None
        match kind, said:
            case "mark", ":":
                key, text_before = text_before, None
                continue
            case "mark", "{":
                parents.append(key or "")
            case "mark", "}":
                if parents:
                    parents.pop()
                if not parents:
                    return numbers
            case "word", _ if _SCALARS.fullmatch(said):
                continue  # its number follows, and is the key's
            case "text", _:
                text_before = said[1:-1]
                value = _spelled(text_before) if key is not None else None
            case "number", _:
                value = float(said)
            case "other", "'" | '"':
                break  # a string that never ends: each further quote would scan to the end again
        if value is not None and key is not None and len(parents) <= 2:
            numbers[f"{parents[1]}.{key}" if len(parents) == 2 else key] = value
        key = None
    return {}


def _spelled(text: str) -> float | None:
    """The number that a text in a Python dict spells, and nothing beside it."""
    return float(text) if _WHOLE_NUMBER.fullmatch(text) else number_of(text)
