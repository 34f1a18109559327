"""From an automaton back to a regular expression."""

from typing import NamedTuple

from ringfence.layer7.atoms import Atoms
from ringfence.layer7.automaton import Dfa
from ringfence.layer7.bits import members
from ringfence.layer7.characters import Ranges, complement, ranges
from ringfence.layer7.forms import canonical
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import Form, Text, exact

MAX_LENGTH = 2000
"""Of an expression that people are still shown."""


class _Part(NamedTuple):
    """A regular expression, and how tightly it holds together."""

    text: str
    level: int
    """0: an alternation, 1: a sequence, 2: one thing that can be repeated."""


_EMPTY = _Part("", 1)


def expression_of(atoms: Atoms, wanted: int, within: int) -> tuple[Text, ...]:
    """Return patterns that hold for all strings of some atoms, and for none outside others.

    Args:
        atoms: the atoms of texts.
        wanted: those that must be covered.
        within: those that may be. Where an atom is among them, so are the exact strings that
            meet the same patterns and more.

    Raises:
        Undecidable: the expression would be too long.
    """
    exact_atoms = {atom: text for text, atom in atoms.of_exact.items()}
    listed = members(wanted)
    inside = {atoms.signatures[atom] for atom in listed if atom not in exact_atoms}
    found: list[Text] = []
    if inside:
        allowed = {atoms.signatures[atom] for atom in members(within)}
        found.append(eliminated(atoms.dfa, allowed))
    for atom in listed:
        text = exact_atoms.get(atom)
        if text is not None and atoms.dfa.states[atoms.dfa.run(text)].tags not in inside:
            found.append(exact(text))
    return tuple(found)


def eliminated(dfa: Dfa, accepted: set[tuple[int, ...]]) -> Text:
    """Return an expression for the strings that end in some signatures: state elimination.

    Raises:
        Undecidable: the expression would be too long.
    """
    states = dfa.states
    start, end = len(states), len(states) + 1
    arrows: dict[int, dict[int, _Part]] = {start: {0: _EMPTY}, end: {}}
    for number, state in enumerate(states):
        arrows[number] = _arrows(dfa, number)
        if state.tags in accepted:
            arrows[number][end] = _EMPTY
    _drop_useless(arrows, end)
    sources: dict[int, set[int]] = {number: set() for number in arrows}
    for source, targets in arrows.items():
        for target in targets:
            sources[target].add(source)
    left = set(arrows) - {start, end}
    while left:
        gone = min(left, key=lambda one: (len(arrows[one]) * len(sources[one]), one))
        left.remove(gone)
        ways = arrows.pop(gone)
        loop = ways.pop(gone, None)
        again = _EMPTY if loop is None else _repeated(loop)
        for source in sources.pop(gone) - {gone}:
            into = arrows[source].pop(gone)
            for target, out in ways.items():
                sources[target].add(source)
                way = _sequence(_sequence(into, again), out)
                arrows[source][target] = _either(arrows[source].get(target), way)
        for target in ways:
            sources[target].discard(gone)
    return canonical(Text(Form.REGEX, arrows[start].get(end, _EMPTY).text))


def _arrows(dfa: Dfa, number: int) -> dict[int, _Part]:
    """Return where a state leads, and by which characters."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for symbol, chars in enumerate(dfa.alphabet.ranges):
        target = dfa.step(number, symbol)
        if target >= 0:
            pairs.setdefault(target, []).extend(chars)
    every = ranges(pair for listed in pairs.values() for pair in listed)
    return {target: _characters(ranges(listed), every) for target, listed in pairs.items()}


def _drop_useless(arrows: dict[int, dict[int, _Part]], end: int) -> None:
    """Remove the states from which the end cannot be reached."""
    useful = {end}
    grown = True
    while grown:
        grown = False
        for number, targets in arrows.items():
            if number not in useful and not useful.isdisjoint(targets):
                useful.add(number)
                grown = True
    for number in list(arrows):
        if number not in useful:
            del arrows[number]
        else:
            arrows[number] = {
                target: part for target, part in arrows[number].items() if target in useful
            }


# -- putting parts together ------------------------------------------------------------------------


def _checked(text: str, level: int) -> _Part:
    if len(text) > MAX_LENGTH:
        raise Undecidable("what these patterns have in common is too long to be written")
    return _Part(text, level)


def _in_group(part: _Part, level: int) -> str:
    return part.text if part.level >= level else f"({part.text})"


def _sequence(first: _Part, second: _Part) -> _Part:
    if not first.text or not second.text:
        return first if first.text else second
    once = _in_group(first, 2)
    if second.text == f"{once}*":
        return _checked(f"{once}+", 1)
    return _checked(_in_group(first, 1) + _in_group(second, 1), 1)


def _either(first: _Part | None, second: _Part) -> _Part:
    if first is None or first == second:
        return second
    if not first.text or not second.text:
        return _checked(f"{_in_group(first if first.text else second, 2)}?", 1)
    return _checked(f"{first.text}|{second.text}", 0)


def _repeated(part: _Part) -> _Part:
    return _checked(f"{_in_group(part, 2)}*", 1) if part.text else _EMPTY


# -- characters ------------------------------------------------------------------------------------


def _characters(chosen: Ranges, every: Ranges) -> _Part:
    """Return the class of some characters, of all that may stand there."""
    others = complement(ranges((*chosen, *complement(every))))
    if not others:
        return _Part(".", 2)
    if len(chosen) == 1 and chosen[0][0] == chosen[0][1]:
        return _Part(escaped(chr(chosen[0][0])), 2)
    positive, negative = f"[{_listed(chosen)}]", f"[^{_listed(others)}]"
    return _Part(min(negative, positive, key=len), 2)


def _listed(chars: Ranges) -> str:
    written = []
    for first, last in chars:
        written.append(escaped(chr(first)))
        if last > first:
            written.append(("" if last == first + 1 else "-") + escaped(chr(last)))
    return "".join(written)


def escaped(text: str) -> str:
    """Return a regular expression for one text, as RE2 reads it."""
    written = []
    for letter in text:
        if letter in r"\.+*?()|[]{}^$-":
            written.append(f"\\{letter}")
        elif letter.isprintable():
            written.append(letter)
        else:
            written.append(f"\\x{{{ord(letter):x}}}")
    return "".join(written)
