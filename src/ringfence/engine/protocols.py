"""The protocols as which Cilium's proxies read traffic."""

from typing import Final

from ringfence.model.layer7 import DomainPattern, HttpMatch, Layer7, Wildcard

HTTP: Final = "http"
TLS: Final = "tls"
DNS: Final = "dns"
OTHER: Final = "other"
"""A listener of one's own, or a parser that is not followed here."""
ORDER: Final = (OTHER, HTTP, TLS, DNS)
"""What comes first where rules ask for several.

Source: Cilium `pkg/policy/l4.go` L7ParserType.defaultPriority."""

WHOLE: Final = {
    HTTP: Layer7(http=HttpMatch()),
    DNS: Layer7(dns=(DomainPattern("*", Wildcard.CILIUM),)),
}
"""All that is of a protocol. TLS is looked into for server names alone, and else passed on."""


def read_as(parser: str) -> str:
    """Return as what a rule's parser reads what it is sent; empty where the rule has none."""
    return parser if parser in ("", HTTP, TLS, DNS) else OTHER
