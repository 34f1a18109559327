"""Calico's selector language: text to a label expression, errors with their column.

    any   = every {"||" every}
    every = op {"&&" op}
    op    = {"!"} ("has(" LABEL ")" | "all()" | "(" any ")" | LABEL test)
    test  = "==" STR | "!=" STR | "contains" STR | "starts with" STR | "ends with" STR
          | "in" set | "not in" set
    set   = "{" [STR {"," STR} [","]] "}"

Labels are letters, digits and `_ . / -`; strings stand in single or double quotes and know no
escapes; blanks are spaces and tabs alone.

Authority: Calico `libcalico-go/lib/selector/tokenizer/tokenizer.go` and `.../parser/parser.go`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    LabelOr,
    Operator,
    Requirement,
)

MOST_CHARACTERS: Final = 16_384
"""Calico 3.32 takes 1024; earlier versions have no limit."""
MOST_NESTED: Final = 50
"""Parentheses within parentheses: far beyond any use, and safe to walk recursively."""
MOST_IN_A_LABEL: Final = 512

ALL: Final = LabelAnd()

BLANKS: Final = re.compile(r"[ \t]*")
LABEL: Final = re.compile(r"[A-Za-z0-9_./-]+")
STRING: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
CALL: Final = re.compile(r"(all|global|has)\(")
TEST: Final = re.compile(r"contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in")
"""Operators that are words: they stand only behind a label, with blanks inside or without."""
SYMBOLS: Final = ("&&", "||", "==", "!=", "!", "(", ")", "{", "}", ",")
DOUBLED: Final = {"&": "&&", "|": "||", "=": "=="}


class SelectorError(Exception):
    """A text is no selector."""

    def __init__(self, column: int, reason: str) -> None:
        """Say what is wrong, and at which column (counted from 1)."""
        super().__init__(f"at column {column}: {reason}")


class Kind(StrEnum):
    """The kinds of token; what an error message calls them."""

    LABEL = "a label"
    STRING = "a text in quotes"
    SYMBOL = "a symbol"
    TEST = "an operator"
    HAS = "has()"
    ALL = "all()"
    GLOBAL = "global()"
    END = "the end"


@dataclass(frozen=True)
class Token:
    """A word of a selector: the label of `has()`, the content of a string, the operator."""

    kind: Kind
    text: str
    column: int


def is_global(text: str) -> bool:
    """Return whether a selector is `global()` and nothing else.

    Raises:
        SelectorError: the text is no selector's.
    """
    return [token.kind for token in _tokens(text)] == [Kind.GLOBAL, Kind.END]


def parse(text: str, *, prefix: str = "", everything: LabelExpression = ALL) -> LabelExpression:
    """Return the expression that a selector means.

    Args:
        text: the selector, which holds more than blanks.
        prefix: put before every label: the selectors of namespaces and of service accounts see
            their labels where endpoints carry them.
        everything: what `all()` stands for.

    Raises:
        SelectorError: it is no selector, or one that is too long or too deeply nested.
    """
    return _Parser(_tokens(text), prefix, everything).parse()


def _tokens(text: str) -> list[Token]:
    """Return a selector's tokens, the end last."""
    if len(text) > MOST_CHARACTERS:
        raise SelectorError(MOST_CHARACTERS + 1, f"a selector has at most {MOST_CHARACTERS} signs")
    found: list[Token] = []
    at = _skip(text, 0)
    while at < len(text):
        behind_label = bool(found) and found[-1].kind is Kind.LABEL
        token, at = _token(text, at, behind_label=behind_label)
        found.append(token)
        at = _skip(text, at)
    return [*found, Token(Kind.END, "", len(text) + 1)]


def _shown(text: str) -> str:
    """Return a part of a selector as an error shows it, in one line."""
    written = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)
    return f"`{written}`"


def _skip(text: str, at: int) -> int:
    match = BLANKS.match(text, at)
    return match.end() if match else at


def _token(text: str, at: int, *, behind_label: bool) -> tuple[Token, int]:
    """Return the token at a place, and where it ends."""
    column = at + 1
    for symbol in SYMBOLS:
        if text.startswith(symbol, at):
            return Token(Kind.SYMBOL, symbol, column), at + len(symbol)
    sign = text[at]
    if sign in DOUBLED:
        raise SelectorError(column, f"expected `{DOUBLED[sign]}`, found a single `{sign}`")
    if sign in "'\"":
        string = STRING.match(text, at)
        if string is None:
            raise SelectorError(column, "this text in quotes does not end")
        return Token(Kind.STRING, string[0][1:-1], column), string.end()
    if behind_label:
        test = TEST.match(text, at)
        if test is None:
            raise SelectorError(column, "expected an operator behind the label")
        return Token(Kind.TEST, re.sub(r"[ \t]", "", test[0]), column), test.end()
    call = CALL.match(text, at)
    if call is not None:
        return _call(text, at, call)
    label = LABEL.match(text, at)
    if label is None:
        raise SelectorError(column, f"unexpected {_shown(sign)}")
    return Token(Kind.LABEL, _checked(label[0], column), column), label.end()


def _call(text: str, at: int, call: re.Match[str]) -> tuple[Token, int]:
    """Return `all()`, `global()` or `has(LABEL)` as one token; no blank before the parenthesis."""
    inside = _skip(text, call.end())
    named = ""
    if call[1] == "has":
        label = LABEL.match(text, inside)
        if label is None:
            raise SelectorError(inside + 1, "expected a label in `has()`")
        named = _checked(label[0], inside + 1)
        inside = _skip(text, label.end())
    if not text.startswith(")", inside):
        raise SelectorError(inside + 1, f"expected `)` to end `{call[0]}`")
    return Token(Kind(f"{call[1]}()"), named, at + 1), inside + 1


def _checked(label: str, column: int) -> str:
    if len(label) > MOST_IN_A_LABEL:
        raise SelectorError(column, f"a label has at most {MOST_IN_A_LABEL} signs")
    return label


class _Parser:
    """Reads tokens by recursive descent."""

    def __init__(self, tokens: list[Token], prefix: str, everything: LabelExpression) -> None:
        self._tokens = tokens
        self._at = 0
        self._prefix = prefix
        self._everything = everything

    def parse(self) -> LabelExpression:
        found = self._any(0)
        if self._next.kind is not Kind.END:
            raise self._unexpected("`&&`, `||` or the end")
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        """Return the next token and go on; the end stays."""
        token = self._next
        if token.kind is not Kind.END:
            self._at += 1
        return token

    def _accept(self, symbol: str) -> bool:
        """Go on behind a symbol, if it is next."""
        if self._next.kind is Kind.SYMBOL and self._next.text == symbol:
            self._at += 1
            return True
        return False

    def _unexpected(self, expected: str) -> SelectorError:
        token = self._next
        shown = _shown(token.text[:60]) if token.text else token.kind.value
        return SelectorError(token.column, f"expected {expected}, found {shown}")

    def _any(self, depth: int) -> LabelExpression:
        parts = [self._every(depth)]
        while self._accept("||"):
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else LabelOr(tuple(parts))

    def _every(self, depth: int) -> LabelExpression:
        parts = [self._operation(depth)]
        while self._accept("&&"):
            parts.append(self._operation(depth))
        return parts[0] if len(parts) == 1 else LabelAnd(tuple(parts))

    def _operation(self, depth: int) -> LabelExpression:
        negated = False
        while self._accept("!"):
            negated = not negated
        found = self._primary(depth)
        return LabelNot(found) if negated else found

    def _primary(self, depth: int) -> LabelExpression:
        column = self._next.column
        if self._accept("("):
            if depth >= MOST_NESTED:
                raise SelectorError(column, f"more than {MOST_NESTED} parentheses in each other")
            found = self._any(depth + 1)
            if not self._accept(")"):
                raise self._unexpected("`)`")
            return found
        match self._next.kind:
            case Kind.HAS:
                return self._is(self._take().text, Operator.EXISTS)
            case Kind.ALL:
                self._take()
                return self._everything
            case Kind.LABEL:
                return self._test(self._take().text)
            case Kind.GLOBAL:
                raise SelectorError(
                    column, "`global()` stands alone, and only in a rule's namespaceSelector"
                )
            case _:
                raise self._unexpected("a label, `has()`, `all()`, `!` or `(`")

    def _test(self, label: str) -> LabelExpression:
        """Return what is said of a label.

        Source: Calico `libcalico-go/lib/selector/parser/ast.go`: `!=` and `not in` hold where
        the label is absent, the others do not.
        """
        if self._accept("=="):
            return self._is(label, Operator.IN, self._string())
        if self._accept("!="):
            return self._is(label, Operator.NOT_IN, self._string())
        if self._next.kind is not Kind.TEST:
            raise self._unexpected("an operator behind the label")
        match self._take().text:
            case "contains":
                return self._is(label, Operator.CONTAINS, self._string())
            case "startswith":
                return self._is(label, Operator.STARTS_WITH, self._string())
            case "endswith":
                return self._is(label, Operator.ENDS_WITH, self._string())
            case "in":
                values = self._set()
                return self._is(label, Operator.IN, *values) if values else LabelOr()
            case _:
                values = self._set()
                return self._is(label, Operator.NOT_IN, *values) if values else ALL

    def _is(self, label: str, operator: Operator, *values: str) -> LabelIs:
        return LabelIs(Requirement(self._prefix + label, operator, values))

    def _string(self) -> str:
        if self._next.kind is not Kind.STRING:
            raise self._unexpected("a text in quotes")
        return self._take().text

    def _set(self) -> tuple[str, ...]:
        """Return a set's values, sorted; the last may have a comma behind it."""
        if not self._accept("{"):
            raise self._unexpected("`{`")
        values: set[str] = set()
        while self._next.kind is Kind.STRING:
            values.add(self._take().text)
            if not self._accept(","):
                break
        if not self._accept("}"):
            raise self._unexpected("`,` or `}`" if values else "a text in quotes or `}`")
        return tuple(sorted(values))
