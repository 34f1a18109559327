"""`security.istio.io` and `networking.istio.io`: what of Istio decides who may talk to whom.

AuthorizationPolicy and PeerAuthentication make policies of the servers' side, Sidecar with
ServiceEntry of the clients'; a DestinationRule says how clients use TLS. A RequestAuthentication
refuses only requests with a bad token, and a question has none.

Authority: istio/api `security/v1beta1`, `networking/v1alpha3`; see each part for the rest.
"""

from typing import Final

from ringfence.dialects import (
    Context,
    Dialect,
    _istio_authorization,
    _istio_destination_rule,
    _istio_egress,
    _istio_notes,
    _istio_peer_authentication,
    _istio_unjudged,
)
from ringfence.dialects._emit_istio import emit
from ringfence.model.document import Document
from ringfence.model.kinds import KINDS
from ringfence.model.location import Problem
from ringfence.model.profile import Profile
from ringfence.model.rule import Policy

GROUPS: Final = ("security.istio.io", "networking.istio.io")


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return the policies that an object makes; none of what only says how clients use TLS."""
    match document.kind:
        case _istio_authorization.KIND:
            return _istio_authorization.parse(index, document, context)
        case _istio_peer_authentication.KIND:
            return _istio_peer_authentication.parse(index, document, context)
        case _istio_egress.KIND:
            return _istio_egress.parse(index, document, context)
        case _:
            return []


def inert_because(kind: str, profile: Profile) -> str | None:  # noqa: ARG001
    """Return None: a mesh enforces its policies whatever the CNI; where none is, on nobody."""
    return None


def _notes(context: Context) -> list[Problem]:
    return [*_istio_notes.notes(context), *_istio_unjudged.notes(context)]


DIALECT: Final = Dialect(
    kinds=frozenset((kind.group, kind.kind) for kind in KINDS if kind.group in GROUPS),
    parse=parse,
    emit=emit,
    inert_because=inert_because,
    notes=_notes,
    client_tls=_istio_destination_rule.client_tls,
    client_imports=_istio_egress.client_imports,
    implied=_istio_egress.implied,
)
