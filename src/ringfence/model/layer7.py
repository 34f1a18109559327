"""What stands above the port: HTTP, DNS, TLS names, as values. Matching them is for others.

A rule's limit is a `Layer7`: of each thing a request can carry, what is admitted, or None where
that does not matter. A question's `Request` says of the same things what is known.
"""

from enum import StrEnum

import msgspec


class Form(StrEnum):
    """How a pattern is to be read; each is matched against the whole string."""

    EXACT = "exact"
    PREFIX = "prefix"
    """The string begins with it."""
    SUFFIX = "suffix"
    """The string ends with it."""
    SEGMENTS = "segments"
    """The string is it, or begins with it and a `/`; Calico's path prefix on clean paths.

    Source: Calico `app-policy/checker/match.go`."""
    REGEX = "regex"
    """RE2 syntax, anchored at both ends."""


class Text(msgspec.Struct, frozen=True, order=True):
    """A pattern over strings (a path, a method, a host, a header's value)."""

    form: Form
    value: str


def exact(value: str) -> Text:
    """Return the pattern that only one string meets."""
    return Text(Form.EXACT, value)


class Wildcard(StrEnum):
    """What `*` means in a domain name; names are compared in lower case, without a final dot."""

    LABELS = "labels"
    """Only a leading `*.`: one or more whole labels, never the apex (ClusterNetworkPolicy).

    Source: network-policy-api NPEP-133."""
    COMPONENT = "component"
    """At most one `*`, a whole component at any place: one or more labels (Calico).

    Source: docs.tigera.io, domain-based policy."""
    CILIUM = "cilium"
    """`*`: any number of `[-a-z0-9_]` within a label; a leading `**.`: one or more labels; a lone
    `*` or `**`: every name.

    Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go`."""
    CILIUM_BEFORE_1_19 = "cilium-before-1.19"
    """The same, but a leading `**.` means what `*.` does."""


class DomainPattern(msgspec.Struct, frozen=True, order=True):
    """A domain name in a policy: lower case, no final dot."""

    pattern: str
    wildcard: Wildcard = Wildcard.LABELS


class HeaderMatch(msgspec.Struct, frozen=True, order=True):
    """One header of a request must be there, with a value if one is given."""

    name: str
    """Lower case."""
    value: Text | None = None
    """None: any value, but present."""


class HttpMatch(msgspec.Struct, frozen=True, order=True):
    """HTTP requests: all of what is given must hold; of each list, one."""

    methods: tuple[Text, ...] | None = None
    paths: tuple[Text, ...] | None = None
    hosts: tuple[Text, ...] | None = None
    headers: tuple[HeaderMatch, ...] = ()
    """All must hold."""


class Layer7(msgspec.Struct, frozen=True, order=True):
    """A limit of a rule: all of what is given must hold. Without any field: no limit."""

    http: HttpMatch | None = None
    """HTTP requests of this shape, nothing that is not HTTP; None: anything."""
    dns: tuple[DomainPattern, ...] | None = None
    """DNS queries for any of these names, nothing that is not DNS; None: anything."""
    server_names: tuple[DomainPattern, ...] | None = None
    """TLS with a server name among these; None: anything, TLS or not."""
    authenticated: bool = False
    """True: only where the peers authenticated each other (Cilium `authentication.mode:
    required`)."""
    mtls: bool = False
    """True: only over mTLS of the service mesh, by which the peer has an identity there. Plaintext
    is what this box does not hold for."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a question says of layer 7. None, everywhere, means that it was not said.

    A request is HTTP where `http` is true, is not where it is false. The fields of HTTP are only
    given where `http` is true.
    """

    http: bool | None = None
    method: str | None = None
    path: str | None = None
    """As sent, query included."""
    host: str | None = None
    """As `:authority` has it, the port included if one was sent."""
    headers: tuple[tuple[str, str], ...] | None = None
    """All headers that matter, names in lower case, sorted; None: not said."""
    dns: str | None = None
    """The name that a DNS query asks for; empty: it is no DNS query."""
    sni: str | None = None
    """The server name of a TLS handshake; empty: there is none."""
    authenticated: bool | None = None
    """Whether Cilium's agents authenticated the peers to each other."""
    mtls: bool | None = None
    """Whether the connection is over mTLS of the service mesh; None: as both ends are set up."""


ANYTHING = Request()
