"""Splits the text of an expression into tokens.

The names that may occur are known beforehand (parameters, or metrics), so they are matched as they stand: `eval/loss`,
`recall@10` and `valid_1 auc` are names wherever they are listed. At each place the longest token wins, so `eval/loss`
is one name and not a division, even where `eval` and `loss` are listed too; put blanks around the operator to divide.
Where two are equally long, a number, a keyword or an operator wins over a name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from rung.api.errors import RungError

KEYWORDS = frozenset({"and", "or", "not", "in", "if", "else"})
OPERATORS = ("**", "//", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", ",")
HINTS = {"&&": "and", "||": "or", "!": "not", "^": "**", "=": "==", "&": "and", "|": "or", "?": "a if condition else b"}

_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d]\w*")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")


class ExpressionError(RungError):
    """An expression cannot be read, or has no value for these inputs.

    `text` is the expression, `what` says what is wrong, `column` (from 1) where, if it is a matter of place.
    """

    def __init__(self, text: str, what: str, column: int | None = None) -> None:
        self.text = text
        self.what = what
        self.column = column
        place = f"column {column} of " if column is not None else ""
        super().__init__(f"{place}{_shortened(text)!r}: {what}")


class Kind(Enum):
    """What a token is."""

    NUMBER = auto()
    TEXT = auto()
    NAME = auto()
    FUNCTION = auto()
    KEYWORD = auto()
    OPERATOR = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` as it stands (a string without its quotes), `column` counts from 1."""

    kind: Kind
    text: str
    column: int


def tokenize(text: str, names: Collection[str], functions: Collection[str]) -> list[Token]:
    """All tokens of `text`, closed by one of kind END. Raises ExpressionError at what is none of them."""
    longest_first = sorted((name for name in names if name), key=lambda name: (-len(name), name))
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _next(text, at, longest_first, functions)
        tokens.append(token)
    tokens.append(Token(Kind.END, "", len(text) + 1))
    return tokens


def _next(text: str, at: int, longest_first: Sequence[str], functions: Collection[str]) -> tuple[Token, int]:
    """The token that starts at `at`, and where it ends."""
    plain = _plain(text, at, functions)
    name = next((name for name in longest_first if _stands_at(name, text, at)), "")
    if plain is not None and len(name) <= plain[1] - at:
        return plain
    if name:
        return Token(Kind.NAME, name, at + 1), at + len(name)
    raise _unknown(text, at, longest_first, functions)


def _plain(text: str, at: int, functions: Collection[str]) -> tuple[Token, int] | None:
    """A number, string, keyword, function or operator at `at`, and where it ends."""
    if match := _NUMBER.match(text, at):
        kind, shown = Kind.NUMBER, match[0]
    elif match := _TEXT.match(text, at):
        kind, shown = Kind.TEXT, match[0][1:-1]
    elif match := _WORD.match(text, at):
        if match[0] in KEYWORDS:
            kind, shown = Kind.KEYWORD, match[0]
        elif match[0] in functions and text[match.end() :].lstrip().startswith("("):
            kind, shown = Kind.FUNCTION, match[0]
        else:
            return None
    else:
        operator = next((operator for operator in OPERATORS if text.startswith(operator, at)), None)
        return None if operator is None else (Token(Kind.OPERATOR, operator, at + 1), at + len(operator))
    return Token(kind, shown, at + 1), match.end()


def _stands_at(name: str, text: str, at: int) -> bool:
    """Whether `name` stands at `at` as a whole: `width` does not stand in `width2`."""
    end = at + len(name)
    return text.startswith(name, at) and not (_is_word(name[-1]) and end < len(text) and _is_word(text[end]))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _unknown(text: str, at: int, names: Sequence[str], functions: Collection[str]) -> ExpressionError:
    """What to say about something that is no token."""
    column = at + 1
    word = _WORD.match(text, at)
    if word is None:
        if text[at] in "'\"":
            return ExpressionError(text, "this string is never closed", column)
        hint = next((wanted for symbol, wanted in HINTS.items() if text.startswith(symbol, at)), None)
        advice = f"; write {hint!r}" if hint else ""
        return ExpressionError(text, f"{text[at]!r} is not understood here{advice}", column)
    is_call = text[word.end() :].lstrip().startswith("(")
    what, known = ("function", functions) if is_call else ("name", names)
    return ExpressionError(text, f"unknown {what} {word[0]!r}{did_you_mean(word[0], known)}", column)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A half sentence that helps with a misspelt `word`: the closest known one, else what there is."""
    starts = [name for name in known if name.startswith(word)]
    if close := (difflib.get_close_matches(word, known, n=1) or sorted(starts)[:1]):
        return f"; did you mean {close[0]!r}?"
    if not known:
        return "; there are none here"
    shown = sorted(known)
    return f"; known are {', '.join(shown[:8])}{', …' if len(shown) > 8 else ''}"


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
