"""Expressions: the small language of parameter constraints, derived parameters and composed objectives.

    choice      = or [ "if" or "else" choice ]
    or          = and { "or" and }
    and         = not { "and" not }
    not         = "not" not | comparison
    comparison  = sum { ("==" | "!=" | "<" | "<=" | ">" | ">=") sum } | sum [ "not" ] "in" list
    list        = "(" choice { "," choice } ")", or the same between "[" and "]"
    sum         = product { ("+" | "-") product }
    product     = sign { ("*" | "/" | "//" | "%") sign }
    sign        = ("-" | "+") sign | power
    power       = atom [ "**" sign ]
    atom        = number | string | name | function "(" choice { "," choice } ")" | "(" choice ")"

Functions: abs min max round floor ceil sqrt exp log log2 log10 coalesce. The precedence is Python's. The text is parsed
by hand into `nodes`; nothing of it is ever given to an interpreter. Its length and depth are bounded, and so is the
work of evaluating it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rung.api.facts import Value
from rung.space.nodes import (
    FUNCTIONS,
    Arithmetic,
    Call,
    Choice,
    Coalesce,
    Comparison,
    Constant,
    Logic,
    Membership,
    Name,
    Negative,
    Node,
    Not,
    Result,
    Unanswerable,
)
from rung.space.texts import number_of
from rung.space.tokens import ExpressionError, Kind, Token, tokenize

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "Expression", "ExpressionError"]

MAX_LENGTH = 512  # characters; the longest expression of a real study that was met has 60
MAX_DEPTH = 32  # of brackets, signs, powers and choices in each other: far below Python's own limit on recursion

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_CALLABLE = frozenset(FUNCTIONS) | {"coalesce"}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text, the names that occur in it, and what evaluates it."""

    text: str
    names: frozenset[str]
    root: Node

    @property
    def is_condition(self) -> bool:
        """Whether it answers with yes or no, whatever the inputs."""
        return _is_condition(self.root)

    @staticmethod
    def parse(text: str, names: Collection[str]) -> Expression:
        """Parse `text`, in which any of `names` may occur, however they are spelt. Raises ExpressionError with the
        column.
        """
        return _parsed(text, frozenset(names))

    def evaluate(self, values: Mapping[str, Value | None]) -> Result:
        """Its value. A name that is missing or None is inactive; None: the value rests on an inactive one.

        Raises ExpressionError where there is no value: a division by zero, the logarithm of a negative number, a string
        where a number is needed, a result beyond the range of a double.
        """
        try:
            return self.root(values)
        except Unanswerable as error:
            raise ExpressionError(self.text, str(error)) from None
        except ZeroDivisionError:
            raise ExpressionError(self.text, "division by zero") from None
        except OverflowError:
            raise ExpressionError(self.text, "the result is too large") from None
        except ValueError:  # what math raises outside a function's domain
            raise ExpressionError(self.text, "a function has no value here, such as the log of 0") from None


def _is_condition(node: Node) -> bool:
    if isinstance(node, Choice):
        return _is_condition(node.chosen) and _is_condition(node.otherwise)
    if isinstance(node, Coalesce):
        return all(_is_condition(operand) for operand in node.operands)
    return isinstance(node, (Comparison, Membership, Not, Logic))


@lru_cache(maxsize=256)  # parsing is pure, and the same few texts come again with every look at a study
def _parsed(text: str, names: frozenset[str]) -> Expression:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, f"has {len(text)} characters, at most {MAX_LENGTH} are allowed")
    parser = _Parser(text, tokenize(text, names, _CALLABLE))
    root = parser.whole()
    return Expression(text, frozenset(parser.names), root)


class _Parser:
    """Recursive descent over the tokens; one method for each rule of the grammar above."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()

    def whole(self) -> Node:
        if self.tokens[0].kind is Kind.END:
            raise ExpressionError(self.text, "is empty")
        node = self.choice()
        if self.here.kind is not Kind.END:
            raise self.unexpected("an operator or the end")
        return node

    def choice(self) -> Node:
        chosen = self.disjunction()
        if not self.take(Kind.KEYWORD, "if"):
            return chosen
        condition = self.disjunction()
        self.expect(Kind.KEYWORD, "else")
        return Choice(condition, chosen, self.deeper(self.choice))

    def disjunction(self) -> Node:
        return self.logic("or", self.conjunction)

    def conjunction(self) -> Node:
        return self.logic("and", self.negation)

    def logic(self, symbol: str, operand: Callable[[], Node]) -> Node:
        operands = [operand()]
        while self.take(Kind.KEYWORD, symbol):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Logic(symbol, tuple(operands))

    def negation(self) -> Node:
        if self.take(Kind.KEYWORD, "not"):
            return Not(self.deeper(self.negation))
        return self.comparison()

    def comparison(self) -> Node:
        first = self.sum()
        negated = self.here.text == "not" and self.here.kind is Kind.KEYWORD
        if negated:
            self.at += 1
        if self.take(Kind.KEYWORD, "in"):
            return Membership(first, self.members(), negated)
        if negated:
            raise self.unexpected("'in' after 'not'")
        rest: list[tuple[str, Node]] = []
        while symbol := self.take(Kind.OPERATOR, *_COMPARISONS):
            rest.append((symbol, self.sum()))
        return Comparison(first, tuple(rest)) if rest else first

    def members(self) -> tuple[Node, ...]:
        opening = self.take(Kind.OPERATOR, "(", "[")
        if not opening:
            raise self.unexpected("a list after 'in', such as (1, 2)")
        return self.listed(")" if opening == "(" else "]")

    def listed(self, closing: str) -> tuple[Node, ...]:
        nodes = [self.deeper(self.choice)]
        while self.take(Kind.OPERATOR, ","):
            nodes.append(self.deeper(self.choice))
        self.expect(Kind.OPERATOR, closing)
        return tuple(nodes)

    def sum(self) -> Node:
        return self.arithmetic(("+", "-"), self.product)

    def product(self) -> Node:
        return self.arithmetic(("*", "/", "//", "%"), self.sign)

    def arithmetic(self, symbols: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        first = operand()
        rest: list[tuple[str, Node]] = []
        while symbol := self.take(Kind.OPERATOR, *symbols):
            rest.append((symbol, operand()))
        return Arithmetic(first, tuple(rest)) if rest else first

    def sign(self) -> Node:
        if symbol := self.take(Kind.OPERATOR, "-", "+"):
            operand = self.deeper(self.sign)
            return Negative(operand) if symbol == "-" else operand
        return self.power()

    def power(self) -> Node:
        base = self.atom()
        if self.take(Kind.OPERATOR, "**"):
            return Arithmetic(base, (("**", self.deeper(self.sign)),))
        return base

    def atom(self) -> Node:
        token = self.here
        self.at += 1
        if token.kind is Kind.NUMBER:
            return Constant(self.number(token))
        if token.kind is Kind.TEXT:
            return Constant(token.text)
        if token.kind is Kind.NAME:
            self.names.add(token.text)
            return Name(token.text)
        if token.kind is Kind.FUNCTION:
            return self.call(token)
        if token.kind is Kind.OPERATOR and token.text == "(":
            node = self.deeper(self.choice)
            self.expect(Kind.OPERATOR, ")")
            return node
        self.at -= 1
        raise self.unexpected("a value")

    def number(self, token: Token) -> float | int:
        number = number_of(token.text)
        if number is None:
            raise ExpressionError(self.text, "this number is too large", token.column)
        return number

    def call(self, token: Token) -> Node:
        self.expect(Kind.OPERATOR, "(")
        operands = self.listed(")")
        if token.text == "coalesce":
            return Coalesce(operands)
        function = FUNCTIONS[token.text]
        if len(operands) < function.least or (function.most is not None and len(operands) > function.most):
            wanted = "1 or 2 values" if function.most == 2 else "1 value"
            what = f"{token.text} takes {wanted}, {len(operands)} are given"
            raise ExpressionError(self.text, what, token.column)
        return Call(token.text, operands)

    @property
    def here(self) -> Token:
        return self.tokens[self.at]

    def take(self, kind: Kind, *texts: str) -> str:
        """The text of the next token if it is one of these, which is then used up; otherwise nothing."""
        token = self.here
        if token.kind is kind and token.text in texts:
            self.at += 1
            return token.text
        return ""

    def expect(self, kind: Kind, text: str) -> None:
        if not self.take(kind, text):
            raise self.unexpected(repr(text))

    def deeper(self, rule: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(self.text, f"is nested more than {MAX_DEPTH} deep", self.here.column)
        node = rule()
        self.depth -= 1
        return node

    def unexpected(self, wanted: str) -> ExpressionError:
        token = self.here
        found = "the end" if token.kind is Kind.END else repr(token.text)
        return ExpressionError(self.text, f"expected {wanted}, found {found}", token.column)
