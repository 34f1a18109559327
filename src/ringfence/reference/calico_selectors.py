"""Calico's selector language, read and matched.

    or  := and ("||" and)*            and := op ("&&" op)*
    op  := "!"* (has(L) | all() | global() | L == S | L != S | L contains S | L starts with S
                 | L ends with S | L in {S,…} | L not in {S,…} | "(" or ")")

Source: Calico `libcalico-go/lib/selector/tokenizer/tokenizer.go` (TOK) and
`.../parser/parser.go`, `ast.go` (PARSE).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ringfence.model.document import Path
from ringfence.reference import schema
from ringfence.reference.schema import NotUnderstoodError

Labels = Mapping[str, str]
Selector = Callable[[Labels], bool]

_LABEL = r"[a-zA-Z0-9_./-]{1,512}"
_TOKENS = re.compile(
    rf"""
    (?P<string> "[^"]*" | '[^']*' )
  | (?P<has> has\([ \t]* {_LABEL} [ \t]*\) )
  | (?P<all> all\([ \t]*\) )
  | (?P<global> global\([ \t]*\) )
  | (?P<sign> == | != | && | \|\| | [(){{}},!] )
  | (?P<label> {_LABEL} )
    """,
    re.VERBOSE,
)
_WORD = re.compile(
    r"(?P<contains>contains)|(?P<starts>starts[ \t]*with)|(?P<ends>ends[ \t]*with)"
    r"|(?P<notin>not[ \t]*in)|(?P<in>in)"
)
"""Only right behind a label are these operators; a space within, and behind, may be missing."""
_DEEPEST = 100

Token = tuple[str, str, int]
"""Its kind, its text and the column that it starts in, from 1."""


def read(
    value: Any,  # noqa: ANN401
    path: Path,
    *,
    prefix: str = "",
    everything: str = "",
    may_be_global: str = "",
) -> Selector:
    """Return what a selector selects. An empty one selects everything, as `all()` does.

    Args:
        value: what stands there.
        path: where it stands.
        prefix: put before each label's key, as for labels of namespaces.
        everything: the label that `all()` asks for, instead of nothing.
        may_be_global: the label that `global()` asks to be absent; without it there is none.

    Source: PARSE; `updateprocessors/selectors.go` parseSelectorAttachPrefix, and for `all()` and
    `global()` `updateprocessors/rules.go` getEndpointSelector.

    Raises:
        NotUnderstoodError: it is no selector.
    """
    tokens = _tokens(schema.text(value, path), path)
    if tokens[0][0] == "end":
        return lambda _labels: True
    kinds = [kind for kind, _, _ in tokens]
    if "global" in kinds and (not may_be_global or len(tokens) > 2):
        # Source: `validator/v3` validateEntityRule: it is legal only in the namespaceSelector of
        # a rule, and there only alone.
        raise NotUnderstoodError("`global()` can only stand alone in a namespaceSelector", path)
    reader = _Reader(tokens, path, prefix, everything, may_be_global)
    found = reader.any_of()
    if reader.kind != "end":
        reader.fail("something follows")
    return found


def _tokens(text: str, path: Path) -> list[Token]:
    """Return the tokens. White space is spaces and tabs alone; strings have no escapes.

    Source: TOK AppendTokens.
    """
    tokens: list[Token] = []
    at = 0
    while True:
        while at < len(text) and text[at] in " \t":
            at += 1
        if at == len(text):
            return [*tokens, ("end", "", at + 1)]
        after_label = bool(tokens) and tokens[-1][0] == "label"
        found = (_WORD if after_label else _TOKENS).match(text, at)
        if found is None and after_label:
            found = _TOKENS.match(text, at)
            if found is not None and found.lastgroup not in ("sign", "string"):
                found = None
        if found is None or found.lastgroup is None:
            raise NotUnderstoodError(f"column {at + 1} of `{text}`: no selector", path)
        tokens.append((found.lastgroup, found.group(), at + 1))
        at = found.end()


class _Reader:
    """Goes through the tokens from left to right."""

    def __init__(
        self, tokens: list[Token], path: Path, prefix: str, everything: str, nothing: str
    ) -> None:
        self.tokens = tokens
        self.path = path
        self.prefix = prefix
        self.everything = everything
        self.nothing = nothing
        self.at = 0
        self.depth = 0

    @property
    def kind(self) -> str:
        """Return the kind of the next token; of a sign, the sign."""
        kind, text, _ = self.tokens[self.at]
        return text if kind == "sign" else kind

    def fail(self, reason: str) -> None:
        column = self.tokens[self.at][2]
        raise NotUnderstoodError(f"column {column} of the selector: {reason}", self.path)

    def take(self, kind: str) -> str:
        """Return the text of the next token, which must be of a kind, and go on."""
        if self.kind != kind:
            self.fail(f"{'a string' if kind == 'string' else f'`{kind}`'} must stand here")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def any_of(self) -> Selector:
        """`||` binds least."""
        parts = [self.all_of()]
        while self.kind == "||":
            self.take("||")
            parts.append(self.all_of())
        return lambda labels: any(part(labels) for part in parts)

    def all_of(self) -> Selector:
        """`&&` binds tighter than `||`."""
        parts = [self.operation()]
        while self.kind == "&&":
            self.take("&&")
            parts.append(self.operation())
        return lambda labels: all(part(labels) for part in parts)

    def operation(self) -> Selector:
        """`!` binds tightest, and may be repeated."""
        negated = False
        while self.kind == "!":
            self.take("!")
            negated = not negated
        found = self.condition()
        return (lambda labels: not found(labels)) if negated else found

    def condition(self) -> Selector:
        match self.kind:
            case "has":
                text = self.take("has")
                key = self.prefix + text.removeprefix("has(").removesuffix(")").strip(" \t")
                return lambda labels: key in labels
            case "all":
                self.take("all")
                return lambda labels: not self.everything or self.everything in labels
            case "global":
                self.take("global")
                return lambda labels: self.nothing not in labels
            case "label":
                return self.comparison(self.prefix + self.take("label"))
            case "(":
                self.take("(")
                self.depth += 1
                if self.depth > _DEEPEST:
                    self.fail("too many parentheses")
                found = self.any_of()
                self.take(")")
                self.depth -= 1
                return found
            case _:
                self.fail("a condition must stand here")
                raise AssertionError

    def comparison(self, key: str) -> Selector:
        """Return what an operator behind a label's key asks for.

        `!=` and `not in` hold where the label is absent; the others do not.

        Source: PARSE LabelNeValueNode, LabelNotInSetNode ("matches if the label is not present").
        """
        operator = self.kind
        if operator in ("in", "notin"):
            self.at += 1
            values = self.set_of_strings()
            wanted = operator == "in"
            return lambda labels: (key in labels and labels[key] in values) == wanted
        if operator not in ("==", "!=", "contains", "starts", "ends"):
            self.fail("an operator must stand here")
        self.at += 1
        value = self.take("string")[1:-1]
        return {
            "==": lambda labels: labels.get(key) == value,
            "!=": lambda labels: labels.get(key) != value,
            "contains": lambda labels: key in labels and value in labels[key],
            "starts": lambda labels: key in labels and labels[key].startswith(value),
            "ends": lambda labels: key in labels and labels[key].endswith(value),
        }[operator]

    def set_of_strings(self) -> frozenset[str]:
        """Return the strings between braces: none, or several, also with a comma behind the last.

        Source: PARSE parseOperation, TokIn.
        """
        self.take("{")
        values = []
        while self.kind == "string":
            values.append(self.take("string")[1:-1])
            if self.kind != ",":
                break
            self.take(",")
        self.take("}")
        return frozenset(values)


def both(parts: Iterable[Selector]) -> Selector:
    """Return what all of several selectors select."""
    listed = list(parts)
    return lambda labels: all(part(labels) for part in listed)
