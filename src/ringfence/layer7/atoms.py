"""All strings, cut into the coarsest atoms that a number of patterns tell apart.

An exact string is an atom of its own and needs no automaton: it is looked up. All other patterns
become one automaton, whose accepting states with the same tags are one atom, less the exact
strings among them.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from ringfence.layer7 import forms
from ringfence.layer7.automaton import UNIVERSE, Budget, Dfa, Nfa, determinise
from ringfence.layer7.bits import from_members
from ringfence.layer7.language import VALUES, Literal, Node, Pattern, of_pattern
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import Text

BASE_WORK = 1_500_000
WORK_PER_CHARACTER = 300
"""Literal patterns need fewer; only what explodes needs more."""

_Trie = tuple[int, int, int]
"""Exact strings with a common beginning: the first, the one behind the last (of all, sorted), and
how long the beginning is."""


class Atoms:
    """The atoms of some patterns, numbered from 0."""

    def __init__(
        self, patterns: Iterable[Pattern], universe: Node = VALUES, begin: str = ""
    ) -> None:
        """Find them.

        Args:
            patterns: the patterns; equal ones may be repeated.
            universe: all strings that there are; a pattern holds only for strings of it.
            begin: the character that witnesses begin with if they can.

        Raises:
            Undecidable: the patterns cannot be told apart within the budget.
        """
        self.patterns: list[Pattern] = list(dict.fromkeys(patterns))
        self.universe = universe
        languages = [of_pattern(forms.simplest(pattern)) for pattern in self.patterns]
        strings: dict[str, list[int]] = {}
        size = sum(len(_written(pattern)) for pattern in self.patterns)
        nfa = Nfa(Budget(BASE_WORK + WORK_PER_CHARACTER * size))
        nfa.add(universe, UNIVERSE)
        universe_end = len(nfa.tags)
        for number, language in enumerate(languages):
            if isinstance(language, Literal):
                strings.setdefault(language.text, []).append(number)
            else:
                nfa.add(language, number)
        self.dfa = determinise(nfa, universe_end, begin)
        self._number(strings, begin)

    def _number(self, strings: dict[str, list[int]], begin: str) -> None:
        """Give every atom its number, its signature and its witness.

        Atoms of the automaton come first, in the order of their witnesses, then exact strings.
        """
        self.signatures: list[tuple[int, ...]] = []
        """Of each atom: the positions, in `patterns`, of those that hold; ascending."""
        self._witnesses: list[str] = []
        self.of_signature: dict[tuple[int, ...], int] = {}
        self.of_exact: dict[str, int] = {}
        held: dict[str, tuple[int, ...]] = {}
        for text in sorted(strings):
            state = self.dfa.run(text)
            tags = self.dfa.states[state].tags if state >= 0 else None
            if tags is not None:
                held[text] = tuple(sorted((*tags, *strings[text])))
        for signature, witness in _Search(self.dfa, list(held)).witnesses(begin).items():
            self.of_signature[signature] = len(self.signatures)
            self.signatures.append(signature)
            self._witnesses.append(witness)
        for text, signature in held.items():
            self.of_exact[text] = len(self.signatures)
            self.signatures.append(signature)
            self._witnesses.append(text)
        listed: list[list[int]] = [[] for _ in self.patterns]
        for atom, signature in enumerate(self.signatures):
            for number in signature:
                listed[number].append(atom)
        self._masks = {
            pattern: from_members(atoms)
            for pattern, atoms in zip(self.patterns, listed, strict=True)
        }
        self.everything = (1 << self.count) - 1

    @property
    def count(self) -> int:
        """Return how many atoms there are."""
        return len(self.signatures)

    def mask(self, pattern: Pattern) -> int:
        """Return the atoms for which a pattern holds, bit i set for atom i.

        Raises:
            KeyError: it is none of the patterns that the atoms were made of.
        """
        return self._masks[pattern]

    def mask_of_any(self, patterns: Iterable[Pattern]) -> int:
        """Return the atoms for which at least one of some patterns holds."""
        mask = 0
        for pattern in patterns:
            mask |= self._masks[pattern]
        return mask

    def atom_of(self, string: str) -> int:
        """Return the atom that a string belongs to.

        Raises:
            Undecidable: the string is outside the universe, so that no pattern was meant for it.
        """
        atom = self.of_exact.get(string)
        if atom is not None:
            return atom
        state = self.dfa.run(string)
        tags = self.dfa.states[state].tags if state >= 0 else None
        if tags is None:
            raise Undecidable(f"`{string}` cannot be what a policy is asked about")
        return self.of_signature[tags]

    def witness(self, atom: int) -> str:
        """Return a shortest string of an atom, printable and beginning as wished if it can be."""
        return self._witnesses[atom]

    def signature(self, atom: int) -> tuple[Pattern, ...]:
        """Return the patterns that hold for the strings of an atom."""
        return tuple(self.patterns[number] for number in self.signatures[atom])


def _written(pattern: Pattern) -> str:
    return pattern.value if isinstance(pattern, Text) else pattern.pattern


class _Search:
    """Finds, for every signature, a shortest string that is none of the exact ones.

    It walks the automaton breadth first, beside the exact strings that begin with what was walked:
    a string that has left them all is free to end anywhere.
    """

    def __init__(self, dfa: Dfa, exact: list[str]) -> None:
        self.dfa = dfa
        self.exact = exact
        """Sorted."""
        self.letters = dfa.alphabet.letters
        self.plain = {symbol for symbol, letter in enumerate(self.letters) if "!" <= letter <= "~"}
        self.wanted = {state.tags for state in dfa.states if state.tags is not None}
        self.found: dict[tuple[int, ...], str] = {}

    def witnesses(self, begin: str) -> dict[tuple[int, ...], str]:
        """Return a witness of every signature that has one, shortest and nicest first."""
        if begin:
            self.walk({self.dfa.alphabet.symbol(begin)}, self.plain)
        if len(self.found) < len(self.wanted):
            self.walk(self.plain, self.plain)
        if len(self.found) < len(self.wanted):
            every = set(range(len(self.letters)))
            self.walk(every, every)
        return self.found

    def walk(self, first: set[int], allowed: set[int]) -> None:
        """Visit all that can be reached by strings over some symbols, the first letter apart."""
        start: tuple[int, _Trie | None] = 0, (0, len(self.exact), 0) if self.exact else None
        steps: list[tuple[int, str]] = [(-1, "")]
        """How each visited place was come to: from which, and by what letter."""
        places = [start]
        seen = {start}
        position = 0
        while position < len(places):
            state, trie = places[position]
            tags = self.dfa.states[state].tags
            ends_exact = trie is not None and len(self.exact[trie[0]]) == trie[2]
            if tags is not None and tags not in self.found and not ends_exact:
                self.found[tags] = _spelled(steps, position)
                if len(self.found) == len(self.wanted):
                    return
            usable = allowed if position else first
            for letter, place in self.ways(state, trie, usable):
                if place not in seen:
                    seen.add(place)
                    places.append(place)
                    steps.append((position, letter))
            position += 1

    def ways(
        self, state: int, trie: _Trie | None, usable: set[int]
    ) -> Iterator[tuple[str, tuple[int, _Trie | None]]]:
        """Yield where one more letter leads: out of the exact strings if it can, and along them."""
        along = dict(self.branches(trie)) if trie is not None else {}
        letters = self.letters
        found = self.dfa.states[state]
        single = found.single
        for symbol, target in single.items():
            if target >= 0 and symbol in usable and letters[symbol] not in along:
                yield letters[symbol], (target, None)
        for (symbols, _), target in zip(found.parting.groups, found.targets, strict=True):
            if target < 0:
                continue
            for symbol in symbols:
                if symbol not in single and symbol in usable and letters[symbol] not in along:
                    yield letters[symbol], (target, None)
                    break
        for letter, branch in along.items():
            symbol = self.dfa.alphabet.symbol(letter)
            target = self.dfa.step(state, symbol)
            if target >= 0 and symbol in usable:
                yield letter, (target, branch)
                # Another letter of the same symbol, where no exact string goes on with it.
                other = self.other_letter(symbol, along)
                if other:
                    yield other, (target, None)

    def other_letter(self, symbol: int, taken: dict[str, _Trie]) -> str:
        """Return a letter of a symbol that is none of those taken; empty where there is none."""
        for first, last in self.dfa.alphabet.ranges[symbol]:
            for code in range(first, min(last, first + len(taken)) + 1):
                if chr(code) not in taken:
                    return chr(code)
        return ""

    def branches(self, trie: _Trie) -> Iterator[tuple[str, _Trie]]:
        """Yield the exact strings that share a beginning, by their next letter."""
        first, last, depth = trie
        if len(self.exact[first]) == depth:
            first += 1
        members = range(first, last)
        for letter, group in groupby(members, key=lambda number: self.exact[number][depth]):
            listed = list(group)
            yield letter, (listed[0], listed[-1] + 1, depth + 1)


def _spelled(steps: list[tuple[int, str]], position: int) -> str:
    letters = []
    while position > 0:
        position, letter = steps[position]
        letters.append(letter)
    return "".join(reversed(letters))
