"""Why a rule matched a connection or did not, in words."""

from ringfence.engine.steps import RuleTrace
from ringfence.layer7.undecidable import Undecidable
from ringfence.layer7.words import limit_text, text
from ringfence.model.connection import Connection, DomainEnd
from ringfence.model.layer7 import HttpMatch, Layer7, Request
from ringfence.model.rule import Action

PLAINTEXT = (Layer7(mtls=True),)
"""What a rule leaves out that is about plaintext alone."""
UNLEARNED = (
    "names a domain of which Cilium never learns the addresses: no rule of {} sends DNS through "
    "its proxy"
)


def why(traced: RuleTrace, connection: Connection, subject: str, other: str) -> str:
    """Return how one rule met a connection.

    Args:
        traced: the rule.
        connection: what was asked.
        subject: what the rule's subject is called.
        other: what the other end is called.
    """
    rule = traced.compiled.rule
    if rule.unreadable:
        return rule.unreadable.reason
    if traced.own is False:
        return f"does not apply to {subject}"
    if traced.unlearned and traced.peer is False and isinstance(connection.destination, DomainEnd):
        return UNLEARNED.format(subject)
    peer = f"perhaps means {other}"
    if traced.peer is not None:
        peer = f"means {other}" if traced.peer else f"does not mean {other}"
    parts = [peer, _traffic(traced, connection)]
    if rule.uncertain:
        parts.append(rule.uncertain)
    if rule.action is Action.LOG and traced.matches is not False:
        parts.append("recorded, and on to the next rule")
    return ", ".join(parts)


def wire(connection: Connection) -> str:
    """Return the protocol and port of a connection: `TCP 443`, `ICMP type 8`."""
    protocol, port = connection.protocol.value, connection.port
    if port is None:
        return protocol
    return f"ICMP type {port // 256}" if protocol == "ICMP" else f"{protocol} {port}"


def _traffic(traced: RuleTrace, connection: Connection) -> str:
    rule, told = traced.compiled.rule, wire(connection)
    if not traced.ports:
        return f"does not name {told}"
    words = f"allows {told}" if rule.action is Action.ALLOW else f"names {told}"
    if rule.not_layer7:
        words += " in plaintext" if rule.not_layer7 == PLAINTEXT else _but_for(rule.not_layer7)
        if traced.traffic is False and rule.layer7 is None:
            return f"{words}: it is {'over mTLS' if connection.request.mtls else 'one of these'}"
    if rule.layer7 is None:
        return words
    words += f" for {limit_text(rule.layer7)}"
    if traced.traffic:
        return words
    reasons = [mismatch(box, connection.request) for box in rule.layer7]
    reasons = list(dict.fromkeys(reason for reason in reasons if reason))
    if traced.traffic is None or not reasons:
        return f"{words}, and perhaps this is it" if traced.traffic is None else words
    return f"{words}: {'; '.join(reasons)}"


def _but_for(boxes: tuple[Layer7, ...]) -> str:
    return f" but for {limit_text(boxes)}"


def mismatch(box: Layer7, request: Request) -> str:
    """Return what of a request fails a limit: `method GET is not POST`; empty if nothing does."""
    found = ["it goes in plaintext"] if box.mtls and request.mtls is False else []
    for name, said, part in _dimensions(box, request):
        try:
            if not _may_meet(part, request):
                found.append(f"{name} {said or 'none'} is not {_only(part)}")
        except Undecidable as undecidable:
            found.append(f"{name}: {undecidable.reason}")
    if found:
        return ", ".join(found)
    if box.http is not None and request.http is False:
        return "it is no HTTP"
    return ""


def _dimensions(box: Layer7, request: Request) -> list[tuple[str, str | None, Layer7]]:
    """Return the things that a limit looks at, with what the request says of each."""
    found: list[tuple[str, str | None, Layer7]] = []
    http = box.http
    if http is not None and request.http is not False:
        for name, said, part in (
            ("method", request.method, HttpMatch(methods=http.methods)),
            ("path", request.path, HttpMatch(paths=http.paths)),
            ("host", request.host, HttpMatch(hosts=http.hosts)),
        ):
            if said is not None and part != HttpMatch():
                found.append((name, said, Layer7(http=part)))
        if request.headers is not None:
            values = dict(request.headers)
            found += [
                (f"header {h.name}", values.get(h.name), Layer7(http=HttpMatch(headers=(h,))))
                for h in http.headers
            ]
    if box.dns is not None and request.dns is not None:
        found.append(("DNS query", request.dns, Layer7(dns=box.dns)))
    if box.server_names is not None and request.sni is not None:
        found.append(("server name", request.sni, Layer7(server_names=box.server_names)))
    if box.authenticated and request.authenticated is not None:
        said = "yes" if request.authenticated else "no"
        found.append(("authentication", said, Layer7(authenticated=True)))
    return found


def _may_meet(part: Layer7, request: Request) -> bool:
    from ringfence.layer7.space import Space  # noqa: PLC0415 - only where rules look so far

    space = Space((part,))
    return bool(space.mask(part) & space.mask_of(request))


def _only(part: Layer7) -> str:
    """Return one dimension of a limit in words, without what the others would say."""
    http = part.http
    if http is None:
        return text(part).removeprefix("DNS ").removeprefix("SNI ")
    if http.methods is not None:
        return text(part).removesuffix(" *")
    return text(part).removeprefix("HTTP ").removeprefix("on host ").removeprefix("with header ")
