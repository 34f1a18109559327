"""What a conversion tells: of which rule, what could not be said, and what stands instead."""

from enum import StrEnum

import msgspec

from ringfence.model.document import path_text
from ringfence.model.rule import Policy, Rule
from ringfence.model.snapshot import Snapshot


class Effect(StrEnum):
    """What becomes of the rule that is told of."""

    NARROWER = "narrower"
    """Less is allowed than before."""
    WIDER = "wider"
    """More is allowed than before; only where that was asked for."""
    TODAY = "today"
    """The same for what is in the cluster now; what comes later is not covered, so that it stays
    closed, or, of what is only denied or isolated, is not."""
    LEFT = "left"
    """It is not converted at all: what hosts send and receive."""
    NOTE = "note"
    """Worth knowing; no verdict changes."""


class Told(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that is told."""

    file: str
    line: int | None
    object: str
    """The source's policy, as `CiliumNetworkPolicy/shop/db`."""
    rule: str
    """As `ingress[0]`; empty where the policy as a whole is meant."""
    what: str
    instead: str
    effect: Effect

    def __str__(self) -> str:
        """Return it as one line."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        rule = f" {self.rule}" if self.rule else ""
        return f"{place}: {self.object}{rule}: {self.what}; {self.instead}"


class Origin(msgspec.Struct, frozen=True, order=True):
    """The policy and the rule that something comes from."""

    document: int
    object: str
    namespace: str
    name: str
    rule: str
    file: str
    line: int | None

    @property
    def words(self) -> str:
        """Return it as the comment above a rule has it."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"From {self.object} {self.rule or 'isolation'} ({place})."

    def tell(self, what: str, instead: str, effect: Effect) -> Told:
        """Return something that is told of it."""
        return Told(
            file=self.file,
            line=self.line,
            object=self.object,
            rule=self.rule,
            what=what,
            instead=instead,
            effect=effect,
        )


def origin(snapshot: Snapshot, policy: Policy, rule: Rule | None = None) -> Origin:
    """Return where a policy or one of its rules was written."""
    document = snapshot.documents[policy.document]
    path = rule.path if rule else policy.isolation_path
    at = document.location_of(path)
    shown = path[1:] if path and path[0] == "spec" else path
    return Origin(
        document=policy.document,
        object=policy.ref,
        namespace=policy.namespace,
        name=policy.name,
        rule=path_text(shown) if rule else "",
        file=at.file,
        line=at.line,
    )
