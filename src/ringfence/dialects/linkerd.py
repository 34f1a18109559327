"""Linkerd's policies: Servers, who is authorized on them and their routes, EgressNetworks.

They are judged by the proxies of pods in Linkerd's mesh, whatever the CNI. Where no pod is in it,
they select nobody.

Authority: linkerd2 `policy-controller`, `charts/linkerd-crds/templates/policy`; linkerd2-proxy
`linkerd/proxy/server-policy`, `linkerd/app/inbound/src/policy`.
"""

from collections import defaultdict
from typing import Final

from ringfence.dialects import (
    Context,
    Dialect,
    _linkerd_defaults,
    _linkerd_egress,
    _linkerd_servers,
)
from ringfence.dialects._emit_linkerd import emit
from ringfence.dialects._linkerd_notes import notes
from ringfence.dialects._linkerd_objects import GATEWAY, GROUP
from ringfence.model.document import Document
from ringfence.model.profile import Profile
from ringfence.model.rule import Policy


def parse(index: int, document: Document, context: Context) -> list[Policy]:  # noqa: ARG001
    """Return what an object says of the Servers and EgressNetworks that it is, or is for."""
    return context.once(_by_document).get(index, [])


def _by_document(context: Context) -> dict[int, list[Policy]]:
    """Return all policies by the index of the document that says them."""
    found: defaultdict[int, list[Policy]] = defaultdict(list)
    for policy in (*_linkerd_servers.policies(context), *_linkerd_egress.policies(context)):
        found[policy.document].append(policy)
    return dict(found)


def inert_because(kind: str, profile: Profile) -> str | None:  # noqa: ARG001
    """Return None: proxies judge by these whatever CNI there is."""
    return None


DIALECT: Final = Dialect(
    kinds=frozenset(
        {
            (GROUP, "Server"),
            (GROUP, "ServerAuthorization"),
            (GROUP, "AuthorizationPolicy"),
            (GROUP, "MeshTLSAuthentication"),
            (GROUP, "NetworkAuthentication"),
            (GROUP, "HTTPRoute"),
            (GROUP, "EgressNetwork"),
            (GATEWAY, "HTTPRoute"),
            (GATEWAY, "GRPCRoute"),
            (GATEWAY, "TLSRoute"),
            (GATEWAY, "TCPRoute"),
        }
    ),
    parse=parse,
    emit=emit,
    inert_because=inert_because,
    notes=notes,
    implied=_linkerd_defaults.policies,
)
