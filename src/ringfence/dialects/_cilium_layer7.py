"""What Cilium's rules say above the port: HTTP, DNS, server names, listeners, authentication.

Authority: Cilium `pkg/policy/api/{l4,http,fqdn}.go`, `pkg/policy/api/rule_validation.go`,
`pkg/policy/l4.go` createL4Filter, `pkg/envoy/policy/envoy_l7_rules_translator.go`.
"""

from dataclasses import dataclass
from typing import Any, Final

from ringfence.dialects._cilium_peers import MATCH_PATTERN, Surroundings, domain, domain_pattern
from ringfence.dialects._cilium_ports import Port
from ringfence.dialects._shared import Malformed, fields, filled, integer, items, one_of, text
from ringfence.layer7 import canonical, invalid_pattern
from ringfence.model.document import Path
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HeaderMatch,
    HttpMatch,
    Layer7,
    Text,
    exact,
)
from ringfence.model.rule import Direction

HTTP: Final = "http"
DNS: Final = "dns"
TLS: Final = "tls"
LISTENER: Final = "crd"
KAFKA: Final = "kafka"

MISMATCHES: Final = ("LOG", "ADD", "DELETE", "REPLACE")
TLS_FIELDS: Final = ("secret", "trustedCA", "certificate", "privateKey")
KAFKA_FIELDS: Final = ("role", "apiKey", "apiVersion", "clientID", "topic")
CLUSTERWIDE_LISTENER: Final = "CiliumClusterwideEnvoyConfig"
LISTENERS: Final = ("CiliumEnvoyConfig", CLUSTERWIDE_LISTENER)


@dataclass(frozen=True)
class Limit:
    """What an item of `toPorts` says above the port."""

    boxes: tuple[Layer7, ...] | None = None
    """As in `Rule.layer7`."""
    perhaps: tuple[Layer7, ...] = ()
    """What may be admitted beside: it depends on a secret."""
    parser: str = ""
    uncertain: str = ""


def limit(
    given: dict[str, Any],
    ports: list[tuple[Path, Port]],
    path: Path,
    direction: Direction,
    around: Surroundings,
) -> Limit:
    """Return what an item of `toPorts` says above the port.

    Raises:
        Malformed: what the API server or Cilium would reject.
    Source: `rule_validation.go` PortRule.Validate, L7Rules.Validate.
    """
    old = around.older_than(1, 20)
    known = ("http", "dns", *(("kafka", "l7proto", "l7") if old else ()))
    at = (*path, "rules")
    rules = fields(given["rules"], at, known) if "rules" in given else {}
    terminated = _tls(given, "terminatingTLS", path)
    originated = _tls(given, "originatingTLS", path)
    names = _server_names(given, path, around)
    if names and rules and not terminated:
        raise Malformed("`serverNames` go with rules only where TLS is terminated", path)
    if rules:
        _check_ports(rules, ports, path, direction)
    if "listener" in given:
        _listener(given["listener"], (*path, "listener"), direction, around)
        if rules:
            raise Malformed("a listener goes without rules", (*path, "listener"))
        return Limit(parser=LISTENER, uncertain="the listener that it names decides")
    found = _rules(rules, at, around)
    if not found.parser and (names or terminated or originated):
        found = Limit(parser=TLS)
    if not names:
        return found
    boxes = found.boxes if found.boxes is not None else (Layer7(),)
    return Limit(_with(boxes, names), _with(found.perhaps, names), found.parser, found.uncertain)


def _with(boxes: tuple[Layer7, ...], names: tuple[DomainPattern, ...]) -> tuple[Layer7, ...]:
    return tuple(Layer7(http=box.http, dns=box.dns, server_names=names) for box in boxes)


def _check_ports(
    rules: dict[str, Any], ports: list[tuple[Path, Port]], path: Path, direction: Direction
) -> None:
    at = (*path, "rules")
    if len(rules.keys() - {"l7"}) > 1 or (rules.keys() == {"l7"}):
        raise Malformed("exactly one kind of rules", at)
    resolves = bool(items(rules.get("dns"), (*at, "dns")))
    if resolves and direction is Direction.INGRESS:
        raise Malformed("DNS rules are for egress only", (*at, "dns"))
    if "dns" in rules and not ports:
        raise Malformed("DNS rules need a port", (*at, "dns"))
    for where, port in ports:
        if not resolves and not port.only_tcp:
            raise Malformed("rules other than DNS need protocol TCP", where)
        if resolves and port.ranged:
            raise Malformed("DNS rules know no range of ports", where)
        if port.every:
            raise Malformed("rules need a port other than 0", where)


def _rules(rules: dict[str, Any], path: Path, around: Surroundings) -> Limit:
    """Return what the rules of one kind admit; an empty list of them restricts nothing.

    Source: `l4.go` createL4Filter, which looks at the lists' lengths.
    """
    if http := items(rules.get("http"), (*path, "http")):
        matches = [_http(value, at) for at, value in http]
        return Limit(
            tuple(Layer7(http=match) for match, secret in matches if not secret),
            tuple(Layer7(http=match) for match, secret in matches if secret),
            HTTP,
        )
    if dns := items(rules.get("dns"), (*path, "dns")):
        names = tuple(dict.fromkeys(domain(value, at, around) for at, value in dns))
        return Limit((Layer7(dns=names),), parser=DNS)
    if kafka := items(rules.get("kafka"), (*path, "kafka")):
        for at, value in kafka:
            fields(value, at, KAFKA_FIELDS)
        return Limit(parser=KAFKA, uncertain="what its Kafka rules admit cannot be asked")
    if protocol := text(rules.get("l7proto", ""), (*path, "l7proto")):
        for at, value in items(rules.get("l7"), (*path, "l7")):
            if not isinstance(value, dict):
                raise Malformed("expected a map", at)
        why = f"what its rules for `{protocol}` admit cannot be asked"
        return Limit(parser=protocol, uncertain=why)
    return Limit()


def _http(value: Any, path: Path) -> tuple[HttpMatch, bool]:  # noqa: ANN401
    """Return one HTTP rule, and whether it depends on a secret."""
    given = fields(value, path, ("path", "method", "host", "headers", "headerMatches"))
    headers = [
        _header(text(written, at))
        for at, written in items(given.get("headers"), (*path, "headers"))
    ]
    secret = False
    for at, item in items(given.get("headerMatches"), (*path, "headerMatches")):
        match, by_secret = _header_match(item, at)
        headers += [match] if match else []
        secret |= by_secret
    return (
        HttpMatch(
            methods=_pattern(given, "method", path),
            paths=_pattern(given, "path", path),
            hosts=_pattern(given, "host", path),
            headers=tuple(sorted(set(headers), key=_by_name)),
        ),
        secret,
    )


def _by_name(header: HeaderMatch) -> tuple[str, str]:
    return header.name, header.value.value if header.value else ""


def _pattern(given: dict[str, Any], key: str, path: Path) -> tuple[Text, ...] | None:
    """Return a regular expression that the whole of a thing must meet; empty: anything does."""
    at = (*path, key)
    written = text(given.get(key, ""), at)
    if not written:
        return None
    return (regular_expression(written, at),)


def regular_expression(written: str, path: Path) -> Text:
    """Return a pattern that a whole text must meet, in the simplest form that says it.

    Raises:
        Malformed: RE2 does not take it, so that Cilium refuses the policy.
    """
    if reason := invalid_pattern(written):
        raise Malformed(f"`{written}` is no regular expression: {reason}", path)
    return canonical(Text(Form.REGEX, written))


def _header(written: str) -> HeaderMatch:
    """Return an item of `headers`: `Name: value`, or a name that must be there.

    What stands before the first space is the name, without its colon.
    Source: `envoy_l7_rules_translator.go` getHTTPRule.
    """
    name, space, value = written.partition(" ")
    if not space:
        return HeaderMatch(written.lower())
    return HeaderMatch(name.rstrip(":").lower(), exact(value))


def _header_match(value: Any, path: Path) -> tuple[HeaderMatch | None, bool]:  # noqa: ANN401
    """Return what a header must hold, None where it only changes, and whether a secret tells.

    Source: `http.go` HeaderMatch: with a `mismatch` action the rule matches all the same.
    """
    given = fields(value, path, ("name", "value", "secret", "mismatch"))
    name = filled(given.get("name"), (*path, "name")).lower()
    written = text(given.get("value", ""), (*path, "value"))
    if "secret" in given:
        _secret(given["secret"], (*path, "secret"))
    if given.get("mismatch", "") != "":
        one_of(given["mismatch"], (*path, "mismatch"), MISMATCHES)
        return None, False
    if "secret" in given:
        return HeaderMatch(name), True
    return HeaderMatch(name, exact(written) if written else None), False


def _secret(value: Any, path: Path) -> None:  # noqa: ANN401
    given = fields(value, path, ("namespace", "name"))
    text(given.get("namespace", ""), (*path, "namespace"))
    filled(given.get("name"), (*path, "name"))


def _tls(given: dict[str, Any], key: str, path: Path) -> bool:
    """Return whether there is such a TLS context; the secret is taken to hold what it should."""
    if key not in given:
        return False
    at = (*path, key)
    context = fields(given[key], at, TLS_FIELDS)
    _secret(context.get("secret"), (*at, "secret"))
    for name in TLS_FIELDS[1:]:
        text(context.get(name, ""), (*at, name))
    return True


def _server_names(
    given: dict[str, Any], path: Path, around: Surroundings
) -> tuple[DomainPattern, ...]:
    found = []
    for at, value in items(given.get("serverNames"), (*path, "serverNames")):
        written = filled(value, at)
        if not MATCH_PATTERN.fullmatch(written):
            raise Malformed(f"`{written}` is no server's name", at)
        found.append(domain_pattern(written, at, around))
    return tuple(dict.fromkeys(found))


def _listener(value: Any, path: Path, direction: Direction, around: Surroundings) -> None:  # noqa: ANN401
    if direction is Direction.INGRESS:
        raise Malformed("a listener is for egress only", path)
    given = fields(value, path, ("envoyConfig", "name", "priority"))
    filled(given.get("name"), (*path, "name"))
    integer(given.get("priority", 0), (*path, "priority"), 0, 100)
    at = (*path, "envoyConfig")
    config = fields(given.get("envoyConfig"), at, ("kind", "name"))
    filled(config.get("name"), (*at, "name"))
    kind = one_of(config.get("kind", LISTENERS[0]), (*at, "kind"), LISTENERS)
    if not around.namespace and config.get("kind") and kind != CLUSTERWIDE_LISTENER:
        raise Malformed("a clusterwide policy needs a clusterwide listener", (*at, "kind"))


MODES: Final = ("disabled", "required", "test-always-fail")


def authenticated(found: Limit, mode: str) -> Limit:
    """Return a limit with what `authentication.mode` adds to it.

    Source: `pkg/policy/api/rule.go` AuthenticationMode; `test-always-fail` never succeeds.
    """
    match mode:
        case "required":
            boxes = found.boxes if found.boxes is not None else (Layer7(),)
            return Limit(_required(boxes), _required(found.perhaps), found.parser, found.uncertain)
        case "test-always-fail":
            return Limit((), (), found.parser)
        case _:
            return found


def _required(boxes: tuple[Layer7, ...]) -> tuple[Layer7, ...]:
    return tuple(
        Layer7(http=box.http, dns=box.dns, server_names=box.server_names, authenticated=True)
        for box in boxes
    )
