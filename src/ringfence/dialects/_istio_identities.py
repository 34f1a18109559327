"""Whom Istio's policies mean by what peers prove to be: as Envoy compares it, and as ztunnel does.

Envoy compares the whole SPIFFE identity by patterns that Istio makes, in part of unquoted text;
ztunnel takes it apart first. Istio rewrites trust domains for Envoy alone.

Authority: Istio `pilot/pkg/security/authz/model/generator.go`,
`pilot/pkg/security/trustdomain/bundle.go`, `pilot/pkg/serviceregistry/ambient/authorization.go`;
ztunnel `src/rbac.rs`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ringfence.dialects._istio_values import accounts, pattern, quoted, regular_expression
from ringfence.model.document import Path
from ringfence.model.layer7 import Form, Text
from ringfence.model.mesh import IstioConfig
from ringfence.model.rule import ANYONE, AnyPeer, Peer, PrincipalPeer

LOCAL_DOMAIN: Final = "cluster.local"
"""In a principal it stands for the trust domain of the mesh, whatever that is."""
PLAIN: Final = re.compile(r"[-a-zA-Z0-9_/:]*")
"""Means itself in a regular expression."""

Listed = list[tuple[Path, str]]
"""Strings, each with its path."""


@dataclass(frozen=True)
class Reading:
    """Who reads a policy, and what its values mean there."""

    namespace: str
    """Of the policy: where a service account without a namespace is looked up."""
    config: IstioConfig
    ztunnel: bool = False
    """False: Envoy."""

    def principals(self, listed: Listed) -> Peer:
        """Return the peers that any of some principals means."""
        if any(value == "*" for _, value in listed):
            return ANYONE
        if self.ztunnel:
            return _any(pattern(value) for _, value in listed)
        return _any(
            _unquoted_suffix(one, at) for at, value in listed for one in self._in_domains(value)
        )

    def namespaces(self, listed: Listed) -> Peer:
        """Return the peers of any of some namespaces."""
        if any(value == "*" for _, value in listed):
            return ANYONE
        if self.ztunnel:
            return _any(_namespace(value) for _, value in listed)
        return _any(
            regular_expression(f".*/ns/{value.replace('*', '.*')}/.*", at) for at, value in listed
        )

    def service_accounts(self, listed: Listed) -> Peer:
        """Return the peers of any of some service accounts, of any trust domain."""
        pairs = accounts(listed, self.namespace)
        if self.ztunnel:
            return _any(
                Text(Form.REGEX, f"[^/]+/ns/{quoted(namespace)}/sa/{quoted(name)}")
                for namespace, name in pairs
            )
        return _any(
            regular_expression(f".+/ns/{namespace}/(.+/|)sa/{name}(/.+)?", at)
            for (at, _), (namespace, name) in zip(listed, pairs, strict=True)
        )

    def trust_domains(self, listed: Listed) -> Peer:
        """Return the peers of any of some trust domains, which only Envoy knows."""
        if any(value == "*" for _, value in listed):
            return ANYONE
        ours = self._domains
        values = [one for _, value in listed for one in (ours if value in ours else (value,))]
        return _any(map(_trust_domain, dict.fromkeys(values)))

    @property
    def _domains(self) -> tuple[str, ...]:
        return (self.config.trust_domain, *self.config.trust_domain_aliases)

    def _in_domains(self, principal: str) -> list[str]:
        """Return a principal in each of the mesh's trust domains, where it names one of them.

        Source: bundle.go ReplaceTrustDomainAliases.
        """
        domain, _, rest = principal.partition("/")
        if principal.count("/") != 4 or domain == "*":
            return [principal]
        ours = self._domains
        if domain != LOCAL_DOMAIN and not any(_stands_for(domain, one) for one in ours):
            return [principal]
        kept = [
            principal if domain.startswith("*") and _stands_for(domain, one) else f"{one}/{rest}"
            for one in ours
        ]
        return list(dict.fromkeys(kept))


def _any(texts: Iterable[Text]) -> Peer:
    peers = tuple(PrincipalPeer(text) for text in dict.fromkeys(texts))
    return peers[0] if len(peers) == 1 else AnyPeer(peers)


def _stands_for(pattern: str, domain: str) -> bool:
    if pattern.startswith("*"):
        return domain.endswith(pattern[1:])
    if pattern.endswith("*"):
        return domain.startswith(pattern[:-1])
    return pattern == domain


def _unquoted_suffix(principal: str, at: Path) -> Text:
    """Return what Envoy makes of a principal: what follows a leading `*` is not quoted.

    Source: matcher/string.go StringMatcherWithPrefix.
    """
    if principal.startswith("*") and not PLAIN.fullmatch(principal[1:]):
        return regular_expression(f".*{principal[1:]}", at)
    return pattern(principal)


def _namespace(value: str) -> Text:
    """Return what ztunnel makes of a namespace: a `*` at one end, else itself."""
    match pattern(value):
        case Text(Form.SUFFIX, rest):
            return Text(Form.REGEX, f".*/ns/[^/]*{quoted(rest)}/.*")
        case Text(Form.PREFIX, start):
            return Text(Form.REGEX, f".*/ns/{quoted(start)}[^/]*/.*")
        case _:
            return Text(Form.REGEX, f".*/ns/{quoted(value)}/.*")


def _trust_domain(value: str) -> Text:
    match pattern(value):
        case Text(Form.SUFFIX, rest):
            return Text(Form.REGEX, f"[^/]*{quoted(rest)}/.*")
        case Text(Form.PREFIX, start):
            return Text(Form.REGEX, f"{quoted(start)}[^/]*/.*")
        case _:
            return Text(Form.PREFIX, f"{value}/")
