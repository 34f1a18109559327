"""Reads the parts of one object of Istio: what is wrong with one does not stop the others."""

from typing import Any, Final

from ringfence.dialects import _shared
from ringfence.dialects._shared import fields
from ringfence.model.document import Document
from ringfence.model.rule import Action, Direction, Rule, Unreadable
from ringfence.yaml_text import type_text

BODY: Final = ("apiVersion", "kind", "metadata", "spec", "status")


class Reader(_shared.Reader):
    """Reads one object of Istio, which is of one form from the outside."""

    def spec(self, document: Document, *known: str) -> dict[str, Any]:
        """Return an object's spec without what is null; one that is missing says nothing."""
        self.read(lambda: fields(document.body, (), BODY), None)
        spec = document.body.get("spec")
        if spec is None:
            return {}
        if not isinstance(spec, dict):
            reason = f"expected a map, found {type_text(spec)} at `spec`"
            self.unreadable.append(Unreadable(reason, ("spec",)))
            return {}
        self.read(lambda: fields(spec, ("spec",), known), None)
        return {key: value for key, value in spec.items() if value is not None}


def annotation(document: Document, key: str) -> str:
    """Return an annotation; empty where there is none, or no string."""
    metadata = document.body.get("metadata")
    given = metadata.get("annotations") if isinstance(metadata, dict) else None
    found = given.get(key) if isinstance(given, dict) else None
    return found if isinstance(found, str) else ""


def created(document: Document) -> str:
    """Return when an object was created, as the API server writes it; empty: that is not known."""
    metadata = document.body.get("metadata")
    found = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else ""


def perhaps(
    direction: Direction, unreadable: tuple[Unreadable, ...], *actions: Action
) -> tuple[Rule, ...]:
    """Return rules that may do any of some things: what is wrong outside of rules is one of these.

    So it makes one direction unknown, and never the other, in which the object has no say.
    """
    return tuple(
        Rule(
            direction=direction,
            action=action,
            peers=None,
            traffic=None,
            path=one.path,
            unreadable=one,
        )
        for one in unreadable
        for action in actions
    )
