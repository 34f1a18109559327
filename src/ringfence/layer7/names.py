"""A domain pattern against one name, by hand.

Source: as `ringfence.model.layer7.Wildcard` names them.
"""

from ringfence.model.layer7 import DomainPattern, Wildcard

_LABEL_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def matches(pattern: DomainPattern, name: str) -> bool:
    """Return whether a pattern holds for a name, which may have capitals and a final dot.

    What is no name (an empty label, a character that names do not have) meets no pattern.
    """
    labels = name.lower().removesuffix(".").split(".")
    if not all(label and _LABEL_CHARS.issuperset(label) for label in labels):
        return False
    wanted = pattern.pattern.split(".")
    match pattern.wildcard:
        case Wildcard.LABELS:
            return _leading(wanted, labels) if wanted[0] == "*" else wanted == labels
        case Wildcard.COMPONENT:
            return _components(wanted, labels)
        case Wildcard.CILIUM | Wildcard.CILIUM_BEFORE_1_19:
            stars = wanted[0].count("*")
            if not pattern.pattern.strip("*"):
                return True
            if pattern.wildcard is Wildcard.CILIUM and wanted[0] == "*" * stars and stars > 1:
                rest = wanted[1:]
                return len(labels) > len(rest) and _each(rest, labels[-len(rest) :])
            return _each(wanted, labels)


def _leading(wanted: list[str], labels: list[str]) -> bool:
    """Return whether at least one label stands where the first, a `*`, is; a lone `*` is none."""
    rest = wanted[1:]
    return bool(rest) and len(labels) > len(rest) and labels[-len(rest) :] == rest


def _components(wanted: list[str], labels: list[str]) -> bool:
    """Return whether labels are the wanted ones, each `*` standing for at least one of them."""
    reached = {0}
    for component in wanted:
        if component == "*":
            reached = set(range(min(reached) + 1, len(labels) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(labels) and labels[at] == component}
        if not reached:
            return False
    return len(labels) in reached


def _each(wanted: list[str], labels: list[str]) -> bool:
    """Return whether each label meets the wanted one at its place."""
    return len(wanted) == len(labels) and all(map(_within, wanted, labels))


def _within(wanted: str, label: str) -> bool:
    """Return whether a label is the wanted one, each `*` standing for any characters, or none."""
    first, *rest = wanted.split("*")
    if not rest:
        return wanted == label
    if not label.startswith(first):
        return False
    at = len(first)
    *middle, last = rest
    for piece in middle:
        found = label.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(label) - at >= len(last) and label.endswith(last)
