"""Calls peers, traffic and limits by the words that comments and messages use."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text
from ringfence.model.rule import (
    DomainPeer,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    Traffic,
    of_a_mesh,
)


def peer_text(peer: Peer) -> str:
    """Return what to call a peer in a sentence."""
    match peer:
        case PodPeer() | LabelPeer():
            return "pods by their labels"
        case IpPeer():
            return blocks_text((peer,))
        case NodePeer():
            return "the nodes"
        case DomainPeer():
            return peer.pattern.pattern
        case EntityPeer():
            return f"the entity {peer.entity.value}"
        case _:
            return "a combination of peers"


def blocks_text(blocks: Sequence[IpPeer]) -> str:
    """Return blocks with what is taken from them."""
    return ", ".join(
        block.cidr + (f" except {', '.join(block.excepts)}" if block.excepts else "")
        for block in blocks
    )


def traffic_text(traffic: Sequence[Traffic] | None) -> str:
    """Return traffic as a comment says it: `TCP 443, UDP dns`; `all traffic` for None."""
    if traffic is None:
        return "all traffic"
    return ", ".join(map(_one_traffic_text, traffic)) or "no traffic"


def _one_traffic_text(part: Traffic) -> str:
    match part:
        case NamedPort():
            return f"{part.protocol.value} {part.name}" if part.protocol else f"port {part.name}"
        case PortRange():
            if part.first <= 1 and part.last == 65535:
                return f"{part.protocol.value} all ports"
            numbers = str(part.first) if part.first == part.last else f"{part.first}-{part.last}"
            return f"{part.protocol.value} {numbers}"
        case _:
            raise of_a_mesh(part)


def layer7_text(boxes: Iterable[Layer7]) -> str:
    """Return limits as a comment says them: `HTTP GET,HEAD /v1/*, any method /health`."""
    found: list[str] = []
    for box in boxes:
        if box.http is not None:
            found.append(("" if found else "HTTP ") + _http_text(box.http))
        elif box.dns is not None:
            found.append(f"DNS for {', '.join(name.pattern for name in box.dns)}")
        elif box.server_names is not None:
            names = ", ".join(name.pattern for name in box.server_names)
            found.append(f"TLS to {names}")
        if box.authenticated:
            found.append("authenticated peers")
    return ", ".join(found) or "nothing"


def layer7_sort(boxes: Iterable[Layer7]) -> str:
    """Return what a language lacks that cannot say some limits: `HTTP`, `DNS`, `TLS`."""
    for box in boxes:
        if box.dns is not None:
            return "DNS"
        if box.server_names is not None:
            return "TLS"
        if box.authenticated:
            return "authentication"
    return "HTTP"


def _http_text(http: HttpMatch) -> str:
    methods = "any method" if http.methods is None else ",".join(map(_text_text, http.methods))
    paths = "/*" if http.paths is None else ",".join(map(_text_text, http.paths))
    found = f"{methods} {paths}"
    if http.hosts is not None:
        found += f" of {','.join(map(_text_text, http.hosts))}"
    if http.headers:
        found += f" with {', '.join(header.name for header in http.headers)}"
    return found


_SHAPES: Final[Mapping[Form, str]] = {
    Form.EXACT: "{}",
    Form.PREFIX: "{}*",
    Form.SUFFIX: "*{}",
    Form.SEGMENTS: "{} and below",
    Form.REGEX: "~{}",
}


def _text_text(text: Text) -> str:
    return _SHAPES[text.form].format(text.value)
