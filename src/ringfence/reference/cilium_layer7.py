"""What Cilium's rules say above the port: HTTP, DNS, TLS server names, and authentication.

Source: Cilium `pkg/policy/api/{l4,l7,http,fqdn}.go`, `pkg/policy/api/rule_validation.go`,
`pkg/envoy/policy/envoy_l7_rules_translator.go`; cilium/proxy `cilium/network_policy.cc`.
"""

from dataclasses import dataclass
from typing import Any

from ringfence.model.document import Path
from ringfence.model.layer7 import Request
from ringfence.reference import cilium_http, cilium_names, schema
from ringfence.reference.cilium_answers import Answer, all_of, any_of, no, open_, yes
from ringfence.reference.schema import NotUnderstoodError

Written = dict[str, Any]
"""A part of a manifest that was read and found right."""


@dataclass(frozen=True)
class Limit:
    """What one entry of `toPorts` asks for above the port, and the rule that it stands in."""

    http: tuple[cilium_http.HttpRule, ...] | None = None
    """None: no HTTP rules. One of them must hold."""
    dns: tuple["Names", ...] | None = None
    """None: no DNS rules."""
    server_names: tuple[str, ...] = ()
    """Empty: no TLS is asked for."""
    terminates_tls: bool = False
    listener: str = ""
    """A listener of one's own, which decides by itself."""
    authentication: str = ""
    """`required`, `disabled` or `test-always-fail` where the rule says so."""
    icmp: str = ""
    """The type of ICMP that is meant, where the question did not say which it asks for."""

    @property
    def parser(self) -> str:
        """Return what the proxy reads the traffic as; empty where it goes past the proxy.

        Source: Cilium `pkg/policy/l4.go` createL4Filter.
        """
        if self.listener:
            return "crd"
        if self.dns:
            return "dns"
        if self.http:
            return "http"
        return "tls" if self.server_names or self.terminates_tls else ""


UNLIMITED = Limit()
ALWAYS_FAIL = "test-always-fail"
"""The mode of authentication that no peers pass."""


@dataclass(frozen=True)
class Names:
    """One entry of `dns` or `toFQDNs`: a name, a pattern, or (for DNS alone) either of both."""

    name: str = ""
    pattern: str = ""

    def match(self, name: str, version: str) -> bool:
        """Return whether a domain name is meant."""
        if self.name and cilium_names.is_name(name, self.name):
            return True
        return bool(self.pattern) and cilium_names.matches(name, self.pattern, version)

    def __str__(self) -> str:
        """Return it as an answer tells it."""
        return self.name or self.pattern


def read_names(value: Any, path: Path, *, both: bool) -> Names:  # noqa: ANN401
    """Return an entry that has `matchName` or `matchPattern`.

    Args:
        value: what stands there.
        path: where it stands.
        both: whether it may have both.

    Raises:
        NotUnderstoodError: it has neither, or both where it may not, or what it has is none.
    """
    given = schema.fields(value, path, ("matchName", "matchPattern"))
    given = {key: content for key, content in given.items() if content != ""}
    if not given or (len(given) > 1 and not both):
        raise NotUnderstoodError("must have one of matchName, matchPattern", path)
    name = pattern = ""
    if "matchName" in given:
        name = cilium_names.read_name(given["matchName"], (*path, "matchName"))
    if "matchPattern" in given:
        pattern = cilium_names.read_pattern(given["matchPattern"], (*path, "matchPattern"))
    return Names(name, pattern)


def read_limit(given: Written, path: Path, *, ingress: bool, ports: list[Any]) -> Limit:
    """Return what an entry of `toPorts` asks for above the port.

    DNS rules stand on egress only, HTTP rules on TCP only, neither on port 0; server names beside
    them only where TLS is terminated; a listener on egress only and without either. Lists of rules
    that are empty ask for nothing.

    Args:
        given: the entry's fields.
        path: where it stands.
        ingress: whether it stands in a rule of ingress.
        ports: its `ports`, read already.

    Source: Cilium `pkg/policy/api/rule_validation.go` PortRule.Validate, L7Rules.Validate.

    Raises:
        NotUnderstoodError: Cilium would reject it.
    """
    http, dns, said = _rules(given.get("rules"), (*path, "rules"))
    if dns and ingress:
        raise NotUnderstoodError("there are no DNS rules for ingress", (*path, "rules", "dns"))
    for index, port in enumerate(ports):
        at = (*path, "ports", index)
        if said and not dns and port.get("protocol") != "TCP":
            raise NotUnderstoodError("rules of layer 7 need the protocol TCP", at)
        if said and port.get("port") in ("0", "", None):
            raise NotUnderstoodError("rules of layer 7 need a port", at)
        if dns and isinstance(port.get("endPort"), int) and _is_range(port):
            raise NotUnderstoodError("DNS rules have no ranges of ports", at)
    if dns is not None and not ports:
        raise NotUnderstoodError("DNS rules need a port", path)
    names = _server_names(given.get("serverNames"), (*path, "serverNames"))
    terminates = given.get("terminatingTLS") is not None
    for key in ("terminatingTLS", "originatingTLS"):
        if key in given:
            _tls(given[key], (*path, key))
    if names and said and not terminates:
        raise NotUnderstoodError("server names beside rules need `terminatingTLS`", path)
    listener = ""
    if "listener" in given:
        at = (*path, "listener")
        if ingress or said:
            raise NotUnderstoodError("a listener stands on egress, without rules", at)
        listener = _listener(given["listener"], at)
    return Limit(
        http=http or None,
        dns=dns or None,
        server_names=names,
        terminates_tls=terminates or given.get("originatingTLS") is not None,
        listener=listener,
    )


def _is_range(port: Written) -> bool:
    first = port.get("port")
    return isinstance(first, str) and first.isdigit() and int(port["endPort"]) > int(first)


def _rules(
    value: Any,  # noqa: ANN401
    path: Path,
) -> tuple[tuple[cilium_http.HttpRule, ...] | None, tuple[Names, ...] | None, bool]:
    """Return the HTTP rules, the DNS rules, and whether a list of either is there at all.

    Kafka and the protocols of one's own are gone in 1.20, and not judged.
    """
    given = schema.fields({} if value is None else value, path, ("http", "dns"))
    if len(given) > 1:
        raise NotUnderstoodError("has rules of more than one protocol", path)
    http, dns = None, None
    if "http" in given:
        at = (*path, "http")
        listed = enumerate(schema.items(given["http"], at))
        http = tuple(cilium_http.read(entry, (*at, index)) for index, entry in listed)
    if "dns" in given:
        at = (*path, "dns")
        listed = enumerate(schema.items(given["dns"], at))
        dns = tuple(read_names(entry, (*at, index), both=True) for index, entry in listed)
    return http, dns, bool(given)


def _server_names(value: Any, path: Path) -> tuple[str, ...]:  # noqa: ANN401
    return tuple(
        cilium_names.read_pattern(entry, (*path, index))
        for index, entry in enumerate(schema.items(value, path))
    )


def _tls(value: Any, path: Path) -> None:  # noqa: ANN401
    given = schema.fields(value, path, ("secret", "trustedCA", "certificate", "privateKey"))
    at = (*path, "secret")
    secret = schema.fields(schema.required(given, "secret", path), at, ("namespace", "name"))
    schema.text(schema.required(secret, "name", at), (*at, "name"))
    for key in ("trustedCA", "certificate", "privateKey"):
        schema.text(given.get(key, ""), (*path, key))
    schema.text(secret.get("namespace", ""), (*at, "namespace"))


def _listener(value: Any, path: Path) -> str:  # noqa: ANN401
    given = schema.fields(value, path, ("envoyConfig", "name", "priority"))
    at = (*path, "envoyConfig")
    config = schema.fields(schema.required(given, "envoyConfig", path), at, ("kind", "name"))
    schema.text(config.get("kind", ""), (*at, "kind"))
    schema.text(schema.required(config, "name", at), (*at, "name"))
    if "priority" in given:
        schema.integer(given["priority"], (*path, "priority"), 0, 100)
    name = schema.text(schema.required(given, "name", path), (*path, "name"))
    return name or "listener"


def read_authentication(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return the mode of a rule's `authentication`; empty where it says nothing.

    Raises:
        NotUnderstoodError: it is none.
    """
    if value is None:
        return ""
    given = schema.fields(value, path, ("mode",))
    at = (*path, "mode")
    modes = ("disabled", "required", ALWAYS_FAIL)
    return schema.choice(schema.required(given, "mode", path), at, modes)


# -- whether a request meets it ------------------------------------------------------------------


def meets(limit: Limit, request: Request, version: str) -> Answer:
    """Return whether a request meets all that is asked for, and what that is where it is open."""
    parts = [open_({"icmp": limit.icmp})] if limit.icmp else []
    if limit.http:
        parts.append(any_of([rule.meets(request) for rule in limit.http]))
    if limit.dns:
        parts.append(_dns(limit.dns, request, version))
    if limit.server_names:
        parts.append(_sni(limit.server_names, request, version))
    return all_of([*parts, authenticates(limit, request)])


def authenticates(limit: Limit, request: Request) -> Answer:
    """Return whether the peers authenticated each other, as far as that is asked for."""
    if limit.authentication == ALWAYS_FAIL:
        return no()
    return _authenticated(request) if limit.authentication == "required" else yes()


def _dns(wanted: tuple[Names, ...], request: Request, version: str) -> Answer:
    """Return whether a DNS query asks for one of the names; what is no DNS query does not."""
    if request.dns is None:
        if request.http or request.sni:
            return no()
        return any_of([open_({"dns": {"query": str(names)}}) for names in wanted])
    meant = bool(request.dns) and any(names.match(request.dns, version) for names in wanted)
    return yes() if meant else no()


def _sni(wanted: tuple[str, ...], request: Request, version: str) -> Answer:
    """Return whether a TLS handshake asks for one of the names; what has none does not.

    Source: cilium/proxy `cilium/network_policy.cc` PortNetworkPolicyRule::allowed.
    """
    if request.sni is None:
        if request.dns:
            return no()
        return any_of([open_({"tls": {"server_name": name}}) for name in wanted])
    meant = bool(request.sni) and any(
        cilium_names.matches(request.sni, name, version) for name in wanted
    )
    return yes() if meant else no()


def _authenticated(request: Request) -> Answer:
    if request.authenticated is None:
        return open_({"authenticated": True})
    return yes() if request.authenticated else no()
