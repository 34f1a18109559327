"""Finite automata over code points: many languages at once, made deterministic within a budget.

One automaton holds all patterns; an accepting state tells which of them hold. Characters that no
pattern tells apart are one *symbol*, so that a state has few ways out.
"""

import bisect
from dataclasses import dataclass

from ringfence.layer7.characters import LAST, Ranges, only
from ringfence.layer7.language import (
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

UNIVERSE = -1
"""The tag of the language that all strings belong to."""

_Closure = tuple[frozenset[int], frozenset[int]]
"""States that have edges, and tags."""

_NONE: frozenset[int] = frozenset()
_TOO_COMPLEX = "the patterns are too complex to be compared"


@dataclass
class Budget:
    """What may be spent: grows with what is written, so that only what explodes runs out."""

    work: int

    def spend(self, work: int) -> None:
        """Count work done.

        Raises:
            Undecidable: nothing is left.
        """
        self.work -= work
        if self.work < 0:
            raise Undecidable(_TOO_COMPLEX)


class Nfa:
    """Languages side by side, from one start state.

    INVARIANT: the strings that lead to the state `build(start, node)` are those that lead to
    `start`, each followed by a string of `node`. So equal parts behind the same state are built
    once: literals share their beginnings as in a trie, whatever pattern they come from.
    """

    def __init__(self, budget: Budget) -> None:
        """Start with no language at all."""
        self.budget = budget
        self.edges: list[list[tuple[Ranges, int]]] = []
        self.empty: list[list[int]] = []
        self.begins: list[list[int]] = []
        self.ends: list[list[int]] = []
        self.tags: list[list[int]] = []
        self._built: dict[tuple[int, Node | str], int] = {}
        self.start = self._state()

    def add(self, node: Node, tag: int) -> None:
        """Add a language: strings that belong to it are accepted with the tag."""
        self.tags[self.build(self.start, node)].append(tag)

    def _state(self) -> int:
        self.budget.spend(10)
        for column in (self.edges, self.empty, self.begins, self.ends, self.tags):
            column.append([])
        return len(self.tags) - 1

    def build(self, start: int, node: Node) -> int:
        """Return the state that a language leads to from another state."""
        match node:
            case Literal():
                return self._literal(start, node.text)
            case Concat():
                for part in node.parts:
                    start = self.build(start, part)
                return start
            case _:
                end = self._built.get((start, node))
                if end is None:
                    end = self._built[start, node] = self._other(start, node)
                return end

    def _literal(self, start: int, text: str) -> int:
        for letter in text:
            end = self._built.get((start, letter))
            if end is None:
                end = self._built[start, letter] = self._state()
                self.edges[start].append((((ord(letter), ord(letter)),), end))
            start = end
        return start

    def _other(self, start: int, node: Chars | Alternate | Repeat | Begin | End) -> int:
        match node:
            case Repeat(part, low, high):
                for _ in range(low):
                    start = self.build(start, part)
                end = self._state()
                self.empty[start].append(end)
                if high is None:
                    self.empty[self.build(end, part)].append(end)
                    return end
                for _ in range(high - low):
                    start = self.build(start, part)
                    self.empty[start].append(end)
                return end
            case Alternate(parts):
                ends = [self.build(start, part) for part in parts]
                end = self._state()
                for one in ends:
                    self.empty[one].append(end)
            case Chars(chars):
                end = self._state()
                self.edges[start].append((chars, end))
            case Begin():
                end = self._state()
                self.begins[start].append(end)
            case End():
                end = self._state()
                self.ends[start].append(end)
        return end

    def closure(self, state: int, *, at_start: bool) -> _Closure:
        """Return the states with edges, and the tags, that are reached without a character."""
        if not (at_start or self.empty[state] or self.ends[state]):
            return frozenset((state,) if self.edges[state] else ()), frozenset(self.tags[state])
        seen = {(state, False)}
        pending = [(state, False)]
        moving: set[int] = set()
        tags: set[int] = set()
        while pending:
            now, ended = pending.pop()
            tags.update(self.tags[now])
            if self.edges[now] and not ended:
                moving.add(now)
            followers = [(one, ended) for one in self.empty[now]]
            followers += [(one, True) for one in self.ends[now]]
            if at_start:
                followers += [(one, ended) for one in self.begins[now]]
            for follower in followers:
                if follower not in seen:
                    seen.add(follower)
                    pending.append(follower)
        self.budget.spend(6 * len(seen))
        return frozenset(moving), frozenset(tags)


class Alphabet:
    """The code points, cut into the symbols that a number of sets tell apart."""

    def __init__(self, sets: list[Ranges], budget: Budget) -> None:
        """Cut them; a code point in none of the sets belongs to no symbol."""
        starts = {0}
        for chars in sets:
            for first, last in chars:
                starts.update((first, last + 1))
        starts.discard(LAST + 1)
        self._starts = sorted(starts)
        members: list[list[int]] = [[] for _ in self._starts]
        for number, chars in enumerate(sets):
            for first, last in chars:
                begin = bisect.bisect_left(self._starts, first)
                end = bisect.bisect_right(self._starts, last)
                budget.spend(1 + end - begin)
                for cell in range(begin, end):
                    members[cell].append(number)
        cells: dict[tuple[int, ...], list[int]] = {}
        for cell, listed in enumerate(members):
            if listed:
                cells.setdefault(tuple(listed), []).append(cell)
        ends = [start - 1 for start in self._starts[1:]] + [LAST]
        found: list[tuple[str, Ranges, tuple[int, ...]]] = []
        for key, its_cells in cells.items():
            ranges = tuple((self._starts[cell], ends[cell]) for cell in its_cells)
            found.append((_nicest(ranges), ranges, key))
        found.sort(key=lambda one: _rank(one[0]))
        self.letters = [letter for letter, _, _ in found]
        """Of each symbol, its nicest character; the symbols are in the order of these."""
        self.ranges = [ranges for _, ranges, _ in found]
        """Of each symbol, its code points; intervals that touch are not joined."""
        self.symbols_of: list[list[int]] = [[] for _ in sets]
        """Of each set, its symbols, ascending."""
        self._symbol_of_cell = [-1] * len(self._starts)
        for symbol, (_, _, key) in enumerate(found):
            for number in key:
                self.symbols_of[number].append(symbol)
            for cell in cells[key]:
                self._symbol_of_cell[cell] = symbol
        self._known: dict[str, int] = {}

    def symbol(self, character: str) -> int:
        """Return the symbol of a character; -1 where it has none."""
        found = self._known.get(character)
        if found is None:
            cell = bisect.bisect_right(self._starts, ord(character)) - 1
            found = self._known[character] = self._symbol_of_cell[cell]
        return found


def _rank(letter: str) -> tuple[bool, bool, bool, str]:
    """Return how nice a letter is, the nicest least: small letters first, ASCII before others."""
    return not "!" <= letter <= "~", not letter.isalnum(), not letter.islower(), letter


def _nicest(ranges: Ranges) -> str:
    """Return the nicest character of a set."""
    blocks = ((0x61, 0x7A), (0x30, 0x39), (0x41, 0x5A), (0x21, 0x7E), (0, LAST))
    for low, high in blocks:
        for first, last in ranges:
            if max(first, low) <= min(last, high):
                return chr(max(first, low))
    return ""


@dataclass(slots=True)
class Parting:
    """The symbols, parted by which of some sets hold them."""

    group_of: dict[int, int]
    groups: list[tuple[list[int], tuple[int, ...]]]
    """Of each group: its symbols, and the positions of the sets that hold it."""


@dataclass(slots=True)
class State:
    """A state of the deterministic automaton."""

    tags: tuple[int, ...] | None
    """Which languages hold for a string that ends here; None: none, it is outside the universe."""
    single: dict[int, int]
    """Where a symbol leads that goes a way of its own; -1: out of the universe."""
    parting: Parting
    """Of all other symbols."""
    targets: tuple[int, ...]
    """Where the other symbols lead, for each group of `parting`; -1: out of the universe."""


class Dfa:
    """A deterministic automaton; it starts in state 0."""

    def __init__(self, alphabet: Alphabet, states: list[State]) -> None:
        """Keep its parts."""
        self.alphabet = alphabet
        self.states = states

    def step(self, state: int, symbol: int) -> int:
        """Return where a symbol leads; -1: out of the universe."""
        found = self.states[state]
        target = found.single.get(symbol)
        if target is not None:
            return target
        group = found.parting.group_of.get(symbol)
        return -1 if group is None else found.targets[group]

    def run(self, string: str) -> int:
        """Return the state that a string leads to; -1 where it leaves the universe."""
        state = 0
        symbol = self.alphabet.symbol
        for character in string:
            state = self.step(state, symbol(character))
            if state < 0:
                break
        return state


def determinise(nfa: Nfa, universe_end: int, apart: str = "") -> Dfa:
    """Return the deterministic automaton of several languages within a universe.

    Args:
        nfa: all languages, and the universe, added first with the tag `UNIVERSE`.
        universe_end: how many states the NFA had when only the universe was in it.
        apart: characters to be told apart from others even if no pattern does.

    Raises:
        Undecidable: the budget of `nfa` ran out.
    """
    return _Subsets(nfa, universe_end, apart).dfa()


class _Subsets:
    """The subset construction: a state is the set of NFA states that a string leads to."""

    def __init__(self, nfa: Nfa, universe_end: int, apart: str) -> None:
        self._nfa = nfa
        self._universe_end = universe_end
        sets = list(dict.fromkeys(chars for edges in nfa.edges for chars, _ in edges))
        self._alphabet = Alphabet([*sets, *map(only, apart)], nfa.budget)
        number_of = {chars: number for number, chars in enumerate(sets)}
        self._edges = [
            [(number_of[chars], target) for chars, target in edges] for edges in nfa.edges
        ]
        self._partings: dict[tuple[int, ...], Parting] = {}
        self._closures: dict[int, _Closure] = {}
        self._numbers: dict[_Closure, int] = {}
        self._found: list[_Closure] = []

    def dfa(self) -> Dfa:
        """Return the automaton."""
        self._number(self._nfa.closure(self._nfa.start, at_start=True))
        # The list grows while it is walked.
        return Dfa(self._alphabet, [self._expanded(*closure) for closure in self._found])

    def _number(self, closure: _Closure) -> int:
        """Return the number of a state; -1 where it is out of the universe."""
        number = self._numbers.get(closure)
        if number is None:
            moving, tags = closure
            # Patterns may share states with the universe, but only where strings are in both.
            if UNIVERSE in tags or any(state < self._universe_end for state in moving):
                number = len(self._found)
                self._found.append(closure)
            else:
                number = -1
            self._numbers[closure] = number
        return number

    def _target(self, targets: set[int]) -> int:
        """Return the state for the NFA states that a symbol leads to."""
        spent = 1
        moving: frozenset[int] = _NONE
        tags: frozenset[int] = _NONE
        for target in targets:
            found = self._closures.get(target)
            if found is None:
                found = self._closures[target] = self._nfa.closure(target, at_start=False)
            moving = moving | found[0] if moving else found[0]
            tags = tags | found[1] if tags else found[1]
            spent += len(moving) + len(tags)
        self._nfa.budget.spend(spent)
        return self._number((moving, tags))

    def _expanded(self, moving: frozenset[int], tags: frozenset[int]) -> State:
        """Return a state with its ways out."""
        single: dict[int, set[int]] = {}
        wide: dict[int, set[int]] = {}
        spent = 2
        for state in moving:
            for chars, target in self._edges[state]:
                symbols = self._alphabet.symbols_of[chars]
                spent += 1
                if len(symbols) == 1:
                    single.setdefault(symbols[0], set()).add(target)
                else:
                    wide.setdefault(chars, set()).add(target)
        self._nfa.budget.spend(spent)
        key = tuple(sorted(wide))
        parting = self._partings.get(key)
        if parting is None:
            parting = self._partings[key] = self._part(key)
        reached = [
            set().union(*(wide[key[position]] for position in positions))
            for _, positions in parting.groups
        ]
        ways: dict[int, int] = {}
        for symbol, targets in single.items():
            group = parting.group_of.get(symbol)
            more = reached[group] if group is not None else set()
            self._nfa.budget.spend(len(more))
            ways[symbol] = self._target(targets | more)
        # The universe is -1, the first of the sorted tags.
        held = tuple(sorted(tags))[1:] if UNIVERSE in tags else None
        return State(held, ways, parting, tuple(map(self._target, reached)))

    def _part(self, sets: tuple[int, ...]) -> Parting:
        held: dict[int, list[int]] = {}
        for position, number in enumerate(sets):
            symbols = self._alphabet.symbols_of[number]
            self._nfa.budget.spend(len(symbols))
            for symbol in symbols:
                held.setdefault(symbol, []).append(position)
        groups: dict[tuple[int, ...], int] = {}
        parting = Parting({}, [])
        for symbol in sorted(held):
            positions = tuple(held[symbol])
            group = groups.setdefault(positions, len(groups))
            if group == len(parting.groups):
                parting.groups.append(([], positions))
            parting.group_of[symbol] = group
            parting.groups[group][0].append(symbol)
        return parting
