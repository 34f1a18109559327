"""RE2's syntax, read into a language; never handed to Python's own engine.

Source: RE2's syntax page (google/re2 wiki, "Syntax") and `re2/parse.cc` for what it leaves open.
What cannot be followed exactly is refused, never approximated. A pattern is matched against the
whole string, so laziness and groups make no difference.
"""

import functools

from ringfence.layer7.characters import (
    ANY,
    NOT_NEWLINE,
    PERL,
    POSIX,
    Ranges,
    complement,
    folded,
    ranges,
)
from ringfence.layer7.language import (
    EMPTY,
    Alternate,
    Begin,
    Chars,
    Concat,
    End,
    Literal,
    Node,
    Repeat,
)
from ringfence.layer7.undecidable import Undecidable

MAX_DEPTH = 50
"""Groups within groups."""
MAX_REPEAT = 1000
"""Source: `re2/parse.cc`, `kMaxRepeat`."""
MAX_MEMORY_BYTES = 8 << 20
"""What RE2 may spend on a pattern, its own default and so Envoy's."""

_CONTROL = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_HEX = "0123456789abcdefABCDEF"
_OCTAL = "01234567"


def invalid_pattern(pattern: str) -> str | None:
    """Return why RE2 refuses a pattern, or None where it takes it."""
    import re2  # noqa: PLC0415 - needed only where a policy holds a regular expression

    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return None


@functools.lru_cache(maxsize=1024)
def parse(pattern: str) -> Node:
    """Return the language of a pattern that RE2 takes.

    Raises:
        Undecidable: it holds something that cannot be represented exactly.
    """
    try:
        return _Parser(pattern).parse()
    except Undecidable as refused:
        raise Undecidable(f"the regular expression `{pattern}`: {refused.reason}") from None


class _Parser:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.fold = False
        self.dot_newline = False
        self.lines = False
        self.depth = 0

    def parse(self) -> Node:
        node = self.alternation()
        if self.at < len(self.pattern):
            raise Undecidable("unexpected `)`")
        return node

    # -- structure ---------------------------------------------------------------------------

    def ahead(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def take(self, text: str) -> bool:
        """Step over a text if it stands here."""
        if self.ahead(text):
            self.at += len(text)
            return True
        return False

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise Undecidable("it ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def alternation(self) -> Node:
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else Alternate(tuple(branches))

    def sequence(self) -> Node:
        parts: list[Node] = []
        repeatable = False
        while self.at < len(self.pattern) and not self.ahead("|") and not self.ahead(")"):
            if self.take(r"\Q"):
                end = self.pattern.find(r"\E", self.at)
                quoted = self.pattern[self.at : end if end >= 0 else None]
                self.at = end + 2 if end >= 0 else len(self.pattern)
                parts += [self.character(ord(letter)) for letter in quoted]
                repeatable = repeatable or bool(quoted)
                continue
            bounds = self.repetition()
            if bounds is not None:
                if not repeatable or not parts:
                    raise Undecidable("nothing to repeat")
                parts[-1] = Repeat(parts[-1], *bounds)
                repeatable = False
                continue
            node = self.item()
            repeatable = node is not None
            if node is not None:
                parts.append(node)
        return concat(parts)

    def repetition(self) -> tuple[int, int | None] | None:
        """Step over a repetition and return its bounds, or None where none stands here."""
        bounds: tuple[int, int | None]
        if self.take("*"):
            bounds = 0, None
        elif self.take("+"):
            bounds = 1, None
        elif self.take("?"):
            bounds = 0, 1
        else:
            counted = self.counted()
            if counted is None:
                return None
            bounds = counted
        self.take("?")
        return bounds

    def counted(self) -> tuple[int, int | None] | None:
        """Step over `{n}`, `{n,}` or `{n,m}`; any other brace is a character."""
        end = self.pattern.find("}", self.at)
        if not self.ahead("{") or end < 0:
            return None
        low, comma, high = self.pattern[self.at + 1 : end].partition(",")
        if not _is_number(low) or (high and not _is_number(high)):
            return None
        self.at = end + 1
        if len(low) > 4 or len(high) > 4:
            raise Undecidable("too many repetitions")
        first = int(low)
        last = int(high) if high else None if comma else first
        if first > MAX_REPEAT or (last is not None and not first <= last <= MAX_REPEAT):
            raise Undecidable("too many repetitions")
        return first, last

    def item(self) -> Node | None:
        """Return what stands here, or None where it was only flags."""
        letter = self.next()
        match letter:
            case "(":
                return self.group()
            case "[":
                return Chars(self.bracket())
            case ".":
                return Chars(ANY if self.dot_newline else NOT_NEWLINE)
            case "^" | "$" if self.lines:
                raise Undecidable("anchors of lines, as `(?m)` has them, are not followed")
            case "^":
                return Begin()
            case "$":
                return End()
            case "\\":
                return self.escape()
            case "*" | "+" | "?":
                raise Undecidable("nothing to repeat")
            case _:
                return self.character(ord(letter))

    def character(self, code: int) -> Node:
        if not self.fold:
            return Literal(chr(code))
        chars = folded(((code, code),))
        return Literal(chr(code)) if chars == ((code, code),) else Chars(chars)

    def group(self) -> Node | None:
        flags = self.fold, self.dot_newline, self.lines
        if self.take("?P<") or self.take("?<"):
            end = self.pattern.find(">", self.at)
            name = self.pattern[self.at : end]
            if end < 0 or not name or not name.replace("_", "a").isalnum():
                raise Undecidable("a group's name is not understood")
            self.at = end + 1
        elif self.take("?") and not self.flags():
            return None
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Undecidable(f"more than {MAX_DEPTH} groups within each other")
        node = self.alternation()
        if not self.take(")"):
            raise Undecidable("a `)` is missing")
        self.depth -= 1
        self.fold, self.dot_newline, self.lines = flags
        return node

    def flags(self) -> bool:
        """Step over `i`, `m-s:` and the like; return whether a group follows."""
        value = True
        flagged = False
        while True:
            match self.next():
                case "i":
                    self.fold = value
                case "s":
                    self.dot_newline = value
                case "m":
                    self.lines = value
                case "U":
                    pass
                case "-" if value:
                    value = flagged = False
                    continue
                case ":" | ")" as end if value or flagged:
                    return end == ":"
                case _:
                    raise Undecidable("a group of a kind that RE2 does not have")
            flagged = True

    # -- escapes and classes -----------------------------------------------------------------

    def escape(self) -> Node:
        letter = self.next()
        if letter == "A":
            return Begin()
        if letter == "z":
            return End()
        if letter in "bB":
            raise Undecidable(rf"the word boundary `\{letter}` is not followed")
        if letter == "C":
            raise Undecidable(r"the single byte `\C` is not followed")
        named = self.named(letter)
        return Chars(named) if named is not None else self.character(self.code(letter))

    def named(self, letter: str) -> Ranges | None:
        r"""Return the class of `\d` and the like; None for every other letter."""
        if letter in "pP":
            raise Undecidable(rf"the Unicode class `\{letter}` is not followed")
        chars = PERL.get(letter.lower())
        if chars is None:
            return None
        chars = folded(chars) if self.fold else chars
        return complement(chars) if letter.isupper() else chars

    def code(self, letter: str) -> int:
        r"""Return the character that an escape stands for, its first letter behind the `\` read."""
        if letter in _CONTROL:
            return _CONTROL[letter]
        if letter == "x":
            return self.hexadecimal()
        if letter == "0" or (letter in _OCTAL and self.pattern[self.at : self.at + 1] in _octal()):
            digits = letter
            while len(digits) < 3 and self.pattern[self.at : self.at + 1] in _octal():
                digits += self.next()
            return int(digits, 8)
        if letter.isascii() and not letter.isalnum():
            return ord(letter)
        raise Undecidable(rf"`\{letter}` is not understood")

    def hexadecimal(self) -> int:
        if self.take("{"):
            end = self.pattern.find("}", self.at)
            digits = self.pattern[self.at : max(end, self.at)]
            self.at = end + 1
        else:
            digits = self.pattern[self.at : self.at + 2]
            self.at += 2
            if len(digits) < 2:
                digits = ""
        if not digits or digits.strip(_HEX) or int(digits, 16) > ANY[0][1]:
            raise Undecidable(r"`\x` is not followed by a character's number")
        return int(digits, 16)

    def bracket(self) -> Ranges:
        negated = self.take("^")
        pairs: list[tuple[int, int]] = []
        first = True
        while first or not self.ahead("]"):
            first = False
            named = self.named_in_bracket()
            if named is not None:
                pairs += named
                continue
            low = high = self.member()
            if self.ahead("-") and not self.ahead("-]"):
                self.at += 1
                high = self.member()
                if high < low:
                    raise Undecidable("a range of characters runs backwards")
            chars = ((low, high),)
            pairs += folded(chars) if self.fold else chars
        self.at += 1
        return complement(ranges(pairs)) if negated else ranges(pairs)

    def named_in_bracket(self) -> Ranges | None:
        if self.ahead("[:"):
            end = self.pattern.find(":]", self.at)
            name = self.pattern[self.at + 2 : max(end, 0)]
            chars = POSIX.get(name.removeprefix("^"))
            if chars is None:
                if end >= 0:
                    raise Undecidable("a class of characters that RE2 does not have")
                return None
            self.at = end + 2
            chars = folded(chars) if self.fold else chars
            return complement(chars) if name.startswith("^") else chars
        if self.ahead("\\"):
            named = self.named(self.pattern[self.at + 1 : self.at + 2] or "-")
            if named is not None:
                self.at += 2
            return named
        return None

    def member(self) -> int:
        letter = self.next()
        return self.code(self.next()) if letter == "\\" else ord(letter)


def concat(parts: list[Node]) -> Node:
    """Return parts one behind the other, characters that follow each other as one literal."""
    joined: list[Node] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Literal) and isinstance(last, Literal):
            joined[-1] = Literal(last.text + part.text)
        else:
            joined.append(part)
    if not joined:
        return EMPTY
    return joined[0] if len(joined) == 1 else Concat(tuple(joined))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _octal() -> tuple[str, ...]:
    return tuple(_OCTAL)
