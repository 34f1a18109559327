"""An AuthorizationPolicy's rule as a sidecar, a gateway or a waypoint reads it.

Source: Istio `pilot/pkg/security/authz/model/{model,generator}.go`; Envoy
`source/extensions/filters/common/rbac`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ringfence.model.rule import Direction
from ringfence.reference.addresses import any_matches
from ringfence.reference.istio_objects import config
from ringfence.reference.istio_rules import Field, Rule, block
from ringfence.reference.istio_strings import (
    is_header,
    is_host,
    is_namespace,
    is_path,
    is_peer,
    is_refused,
    is_service_account,
    is_value,
    with_aliases,
)
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import NO, Match, all_of, any_of, certain, negated, perhaps

HTTP_ONLY = frozenset({"hosts", "methods", "paths", "requestPrincipals", "headers", "request.auth"})
TOKEN = "the token of the request decides; a question gives none"
ADDRESSED = "the address of the Service that the client calls decides (`destination.ip`)"
FORWARDED = "the header `x-forwarded-for` decides: `remoteIpBlocks` are what the client says it is"
REFUSED = "Envoy refuses what Istio makes of a value that is no regular expression"
PSEUDO = (
    "what the proxy makes of a header decides that is no header, or comes from the request line"
)
METADATA = "what other filters of the proxy say decides (`experimental.envoy.filters`)"
SERVER_NAME = "the server name of the TLS handshake decides, which may be the mesh's own"

_PSEUDO = frozenset({"host", ":authority", ":path", ":scheme", ":method"})


@dataclass(frozen=True)
class Facts:
    """One request, or one connection of which nothing is read above the port."""

    flow: Flow
    port: int
    """What `ports` are compared with."""
    as_http: bool
    """Whether the proxy's filters for HTTP judge it; else those for TCP do."""
    http: bool
    """Whether it is HTTP."""
    at_waypoint: bool = False
    method: str = ""
    path: str = ""
    """Without its query, normalised."""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def meets(rule: Rule, facts: Facts, namespace: str, *, allows: bool) -> Match:
    """Return whether a rule matches.

    Filters for TCP know nothing of HTTP: there a rule that allows is left out altogether if any of
    its fields is of HTTP, wherever it stands; of any other such a field is left out, so that it
    matches more. At a port that is read as HTTP what is none meets no field of HTTP.

    Args:
        rule: the rule.
        facts: what is judged.
        namespace: the policy's.
        allows: whether the rule allows.

    Source: model.go checkError.
    """
    if not facts.http and allows and any(one.kind in HTTP_ONLY for one in rule.fields):
        return NO

    if any(is_refused(f.kind, value) for f in rule.fields for value in (*f.values, *f.not_values)):
        return perhaps(REFUSED)

    def part(fields: tuple[Field, ...]) -> Match:
        heard = [one for one in fields if facts.as_http or one.kind not in HTTP_ONLY]
        return all_of(_holds(one, facts, namespace) for one in heard)

    found = [part(rule.conditions)]
    if rule.sources:
        found.append(any_of(part(source) for source in rule.sources))
    if rule.operations:
        found.append(any_of(part(operation) for operation in rule.operations))
    return all_of(found)


def _holds(one: Field, facts: Facts, namespace: str) -> Match:
    """Return whether a field holds: one of the values, if there are any, and none of the others."""
    if one.kind in HTTP_ONLY and not facts.http:
        return NO
    found = []
    if one.values:
        found.append(any_of(_is(one, value, facts, namespace) for value in one.values))
    if one.not_values:
        found.append(negated(any_of(_is(one, value, facts, namespace) for value in one.not_values)))
    return all_of(found)


def _is(one: Field, value: str, facts: Facts, namespace: str) -> Match:
    """Return whether one value of a field is what the facts say."""
    principal = facts.flow.principal
    plain: dict[str, Callable[[], bool]] = {
        "principals": lambda: is_principal(value, facts.flow),
        "namespaces": lambda: is_namespace(value, principal),
        "serviceAccounts": lambda: is_service_account(value, principal, namespace),
        "trustDomains": lambda: _is_trust_domain(value, facts.flow),
        "ports": lambda: int(value) == facts.port,
        "methods": lambda: is_header(value, facts.method),
        "hosts": lambda: is_host(value, facts.host),
        "paths": lambda: is_path(value, facts.path),
    }
    if one.kind in plain:
        return certain(plain[one.kind]())
    match one.kind:
        case "ipBlocks":
            return has_address(facts.flow, value, Direction.INGRESS)
        case "destination.ip":
            if facts.at_waypoint:
                return perhaps(ADDRESSED)
            return has_address(facts.flow, value, Direction.EGRESS)
        case "headers":
            if one.header in _PSEUDO:
                return perhaps(PSEUDO)
            return certain(_has_header(one.header, value, facts))
        case "remoteIpBlocks":
            if facts.as_http:
                return perhaps(FORWARDED)
            return has_address(facts.flow, value, Direction.INGRESS)
        case "connection.sni":
            return perhaps(SERVER_NAME)
        case "experimental":
            return perhaps(METADATA)
    return perhaps(TOKEN)


def is_principal(value: str, flow: Flow) -> bool:
    """Return whether the peer is a principal, or one of those that its trust domain stands for."""
    principal = flow.principal
    mesh = config(flow.snapshot)
    domains = (mesh.trust_domain, *mesh.trust_domain_aliases)
    return bool(principal) and any(is_peer(v, principal) for v in with_aliases(value, domains))


def _is_trust_domain(value: str, flow: Flow) -> bool:
    """Return whether the peer is of a trust domain, or of an alias where it is the mesh's.

    Source: bundle.go ExpandTrustDomainAliases.
    """
    mesh = config(flow.snapshot)
    domains = (mesh.trust_domain, *mesh.trust_domain_aliases)
    said = flow.principal.partition("/")[0]
    return bool(said) and any(
        is_value(one, said) for one in (domains if value in domains else (value,))
    )


def _has_header(name: str, value: str, facts: Facts) -> bool:
    """Return whether a header is there with a value; of what comes more than once each counts.

    Source: Envoy `source/extensions/filters/common/rbac/matchers.cc`
    (rbac_match_headers_individually), since 1.37.1 and in what was mended of the versions before.
    """
    return any(key == name and is_header(value, content) for key, content in facts.headers)


def has_address(flow: Flow, value: str, direction: Direction) -> Match:
    """Return whether an end's address is in a block: the source's, or the destination's."""
    return any_matches([block(value)], flow.approach(direction))
