"""The expression language: what it computes, what it refuses, and that nothing but ExpressionError ever leaves it."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.api.facts import Value
from rung.space.expressions import MAX_DEPTH, MAX_LENGTH, Expression, ExpressionError

NAMES = ("a", "b", "width", "act", "eval", "loss", "eval/loss", "recall@10", "valid_1's auc", "log", "width2")
INPUTS: dict[str, Value | None] = {
    "a": 7,
    "b": 2.5,
    "width": 64,
    "act": "relu",
    "eval": 10.0,
    "loss": 4.0,
    "eval/loss": 0.25,
    "recall@10": 0.5,
    "valid_1's auc": 0.9,
    "log": 3,
    "width2": 128,
}


def value_of(text: str, **inputs: Value | None) -> Value | bool | None:
    return Expression.parse(text, NAMES).evaluate({**INPUTS, **inputs})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("1 + 2 * 3", 7, id="products before sums"),
        pytest.param("2 ** 3 ** 2", 512, id="powers from right to left"),
        pytest.param("-2 ** 2", -4, id="a power before its sign"),
        pytest.param("2 ** -1", 0.5, id="a negative exponent gives a real number"),
        pytest.param("10 - 4 - 3", 3, id="differences from left to right"),
        pytest.param("7 / 2", 3.5, id="a quotient is real"),
        pytest.param("7 // 2", 3, id="a floor quotient of integers is an integer"),
        pytest.param("b // 1", 2, id="a floor quotient of reals is an integer too"),
        pytest.param("-7 // 2", -4, id="a floor quotient rounds down"),
        pytest.param("-7 % 4", 1, id="a remainder has the divisor's sign"),
        pytest.param("ceil(1.2 ** 3)", 2, id="ceil gives an integer"),
        pytest.param("floor(b)", 2, id="floor gives an integer"),
        pytest.param("32 * round(224 * 1.1 / 32)", 256, id="round gives an integer"),
        pytest.param("round(3.14159, 2)", 3.14, id="round to digits gives a real number"),
        pytest.param("sqrt(16) + exp(0) + log(1) + log2(8) + log10(1000)", 11.0, id="functions of reals"),
        pytest.param("abs(-3) + min(4, 2, 9) + max(1, 5)", 10, id="abs, min and max keep integers"),
        pytest.param("1 <= a <= 7 < 8", True, id="a chain of comparisons"),
        pytest.param("1 < a > 9", False, id="a chain fails with any of its links"),
        pytest.param('act == "relu"', True, id="strings are equal as they stand"),
        pytest.param("act != 'gelu'", True, id="single quotes do too"),
        pytest.param('a == "7"', True, id="a string equals the number that it writes"),
        pytest.param('a == "seven"', False, id="a string that is no number equals none"),
        pytest.param("a in (5, 7)", True, id="membership in a list"),
        pytest.param("act not in ['relu', 'gelu']", False, id="membership denied, in brackets"),
        pytest.param("not (a == 7 and b > 3)", True, id="not, and"),
        pytest.param("a < 3 or b < 3", True, id="or"),
        pytest.param("1 if a > b else 2", 1, id="a choice"),
        pytest.param("1 if a < 0 else 2 if a < 5 else 3", 3, id="choices chain to the right"),
        pytest.param("eval/loss", 0.25, id="a listed name is one name, not a division"),
        pytest.param("eval / loss", 2.5, id="with blanks it is a division"),
        pytest.param("1 - recall@10", 0.5, id="a name with an at sign"),
        pytest.param("valid_1's auc * 2", 1.8, id="a name with a blank and a quote"),
        pytest.param("width2 - width", 64, id="a name does not end inside a longer one"),
        pytest.param("log + log(1)", 3.0, id="a name may be a function's, which is told by its bracket"),
        pytest.param("a > 3 and log(a - 3) > 0", True, id="and stops at the first that decides"),
        pytest.param("a > 9 and log(a - 9) > 0", False, id="so the other side need not have a value"),
        pytest.param(".5 + 1. + 1e-1 + 2E+1", 21.6, id="forms of numbers"),
        pytest.param("+a - -a", 14, id="signs"),
    ],
)
def test_an_expression_has_the_value(text: str, want: Value | bool) -> None:
    value = value_of(text)
    assert value == pytest.approx(want, rel=1e-15) if isinstance(want, float) else value == want
    assert type(value) is type(want)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("b", None, id="an inactive name is inactive"),
        pytest.param("2 * b + 1", None, id="what rests on it is inactive"),
        pytest.param("max(a, b)", None, id="a function of it too"),
        pytest.param("coalesce(b, a)", 7, id="coalesce takes the first active one"),
        pytest.param("coalesce(b, b)", None, id="coalesce of inactive ones is inactive"),
        pytest.param("b < 3", None, id="a comparison with it is open"),
        pytest.param("not b < 3", None, id="its denial is open"),
        pytest.param("a < 3 and b < 3", False, id="and is decided by the other side"),
        pytest.param("b < 3 and a > 3", None, id="or left open by it"),
        pytest.param("b < 3 or a > 3", True, id="or is decided by the other side"),
        pytest.param("b in (1, 2)", None, id="membership of it is open"),
        pytest.param("a in (b, 7)", True, id="membership among it is decided by another member"),
        pytest.param("a in (b, 8)", None, id="or open"),
        pytest.param("1 if b > 0 else 2", None, id="a choice by it is open"),
        pytest.param("a if a > 0 else b", 7, id="the side that is not chosen does not matter"),
    ],
)
def test_inactive_names_spread_until_something_else_decides(text: str, want: Value | bool | None) -> None:
    assert value_of(text, b=None) is want or value_of(text, b=None) == want


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        pytest.param("2 * widht", 5, "unknown name 'widht'; did you mean 'width'?", id="a misspelt name"),
        pytest.param("flor(a)", 1, "unknown function 'flor'; did you mean 'floor'?", id="a misspelt function"),
        pytest.param("a && b", 3, "write 'and'", id="another language's and"),
        pytest.param("a = 7", 3, "write '=='", id="an assignment"),
        pytest.param("a ^ 2", 3, "write '**'", id="another language's power"),
        pytest.param("(a + b", 7, "expected ')', found the end", id="an open bracket"),
        pytest.param("a b", 3, "expected an operator or the end, found 'b'", id="two values in a row"),
        pytest.param("a +", 4, "expected a value, found the end", id="half a sum"),
        pytest.param("act == 'relu", 8, "never closed", id="an open string"),
        pytest.param("a in 7", 6, "expected a list after 'in'", id="membership in a number"),
        pytest.param("a not 7", 7, "expected 'in' after 'not'", id="half a membership"),
        pytest.param("1 if a", 7, "expected 'else'", id="half a choice"),
        pytest.param("sqrt(a, b)", 1, "sqrt takes 1 value, 2 are given", id="too many arguments"),
        pytest.param("__import__('os')", 1, "unknown function", id="a builtin"),
        pytest.param("a.real", 2, "is not understood here", id="an attribute"),
        pytest.param("1e999", 1, "too large", id="a number beyond a double"),
        pytest.param("", None, "is empty", id="nothing"),
        pytest.param("a" * (MAX_LENGTH + 1), None, f"at most {MAX_LENGTH}", id="too long a text"),
        pytest.param("(" * 40 + "a" + ")" * 40, 34, f"more than {MAX_DEPTH} deep", id="too many brackets"),
        pytest.param("-" * 40 + "a", 34, f"more than {MAX_DEPTH} deep", id="too many signs"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, column: int | None, what: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text, NAMES)
    assert what in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("1 / (a - 7)", "division by zero", id="a division by zero"),
        pytest.param("0 ** -1", "division by zero", id="a power of zero"),
        pytest.param("log(0)", "no value here", id="a logarithm of zero"),
        pytest.param("sqrt(-1)", "no value here", id="a root of a negative number"),
        pytest.param("(-8) ** 0.5", "not a real number", id="a complex power"),
        pytest.param("9 ** 9 ** 9", "too large", id="a tower of powers"),
        pytest.param("exp(1000)", "too large", id="a function beyond a double"),
        pytest.param("1e200 * 1e200", "not a finite number", id="a product beyond a double"),
        pytest.param("act + 1", "'+' needs a number, got 'relu'", id="a sum with a string"),
        pytest.param("act < 'z'", "'<' needs a number", id="an order of strings"),
        pytest.param("(a > 3) * 2", "write 1 if … else 0", id="a condition as a number"),
        pytest.param("act and a", "'and' needs a condition", id="a string as a condition"),
        pytest.param("round(b, 99)", "whole number of digits", id="a hundred digits"),
    ],
)
def test_what_has_no_value_says_why(text: str, what: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of(text)
    assert what in str(caught.value)


def test_an_expression_knows_its_names() -> None:
    assert Expression.parse("eval/loss * a + min(a, b) if act == 'a' else 0", NAMES).names == {
        "eval/loss", "a", "b", "act",
    }  # fmt: skip


def test_a_long_sum_is_not_deep() -> None:
    assert Expression.parse(" + ".join(["a"] * 120), ["a"]).evaluate({"a": 1}) == 120


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("a < 3", True, id="a comparison"),
        pytest.param("a", False, id="a value"),
        pytest.param("not a", True, id="a denial"),
        pytest.param("a < 3 if b < 3 else a > 3", True, id="a choice of conditions"),
        pytest.param("a < 3 if b < 3 else a", False, id="a choice of a condition or a value"),
        pytest.param("a + (b < 3)", False, id="a sum"),
    ],
)
def test_conditions_are_told_from_values(text: str, *, want: bool) -> None:
    assert Expression.parse(text, NAMES).is_condition is want


VOCABULARY = (
    "a b act eval/loss 1 0 2.5 9 1e300 'x' + - * / // % ** ( ) [ ] , < <= == != in not and or if else "
    "log( coalesce( round( min( exp("
)
words = st.sampled_from(VOCABULARY.split())
texts = st.lists(words, max_size=24).map(" ".join) | st.text(max_size=40)


@given(texts, st.none() | st.integers() | st.floats() | st.text(max_size=3))
@settings(max_examples=300)
def test_nothing_but_expression_errors_leaves_it(text: str, value: Value | None) -> None:
    with contextlib.suppress(ExpressionError):
        Expression.parse(text, NAMES).evaluate({**INPUTS, "a": value})


Computed = tuple[str, float | int]
OPERATORS: dict[str, Callable[[float | int, float | int], float | int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


def computed() -> st.SearchStrategy[Computed]:
    """An expression with what Python makes of the same numbers."""
    leaf = (st.integers(0, 99) | st.floats(0, 99, allow_nan=False)).map(lambda number: (repr(number), number))

    def grown(part: st.SearchStrategy[Computed]) -> st.SearchStrategy[Computed]:
        joined = st.tuples(part, st.sampled_from(sorted(OPERATORS)), part).map(
            lambda t: (f"({t[0][0]} {t[1]} {t[2][0]})", OPERATORS[t[1]](t[0][1], t[2][1]))
        )
        return joined | part.map(lambda t: (f"(-{t[0]})", -t[1]))

    return st.recursive(leaf, grown, max_leaves=8)


@given(computed())
def test_plain_arithmetic_is_pythons(example: Computed) -> None:
    text, want = example
    value = Expression.parse(text, ()).evaluate({})
    assert value == want
    assert type(value) is type(want)


@given(st.sets(st.text(min_size=1, max_size=8).filter(lambda name: not any(c.isspace() for c in name)), min_size=1))
def test_a_listed_name_standing_alone_is_that_name(names: set[str]) -> None:
    for name in names:
        try:
            expression = Expression.parse(name, names)
        except ExpressionError:
            continue  # an operator or keyword of the language that somebody took for a name
        if expression.names:
            assert expression.names == {name}
            assert expression.evaluate({name: 0.5}) == 0.5


def test_values_are_not_rounded_on_the_way() -> None:
    assert value_of("b", b=0.1 + 0.2) == 0.1 + 0.2
    assert math.isnan(float(str(value_of("b", b=math.nan))))
