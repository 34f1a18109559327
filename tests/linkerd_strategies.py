"""Hypothesis strategies for Linkerd's objects: every field of every kind, over few names.

All are drawn as the raw manifests that people write, and are well-formed as far as one object can
be by itself: an authorization may refer to what nothing defines.
"""

from typing import Any

from hypothesis import strategies as st

from policy_strategies import Draw, Manifest, few

OWN, GATEWAY = "policy.linkerd.io", "gateway.networking.k8s.io"
HOMES = ("alpha", "alpha", "alpha", "beta")
APPS = ("web", "db", "api")
ACCOUNTS = ("web", "db", "robot")
CIDRS = ("10.0.0.0/24", "10.0.0.4/32", "0.0.0.0/0", "10.1.0.0/16", "fd00::/64", "203.0.113.0/24")
IDENTITIES = (
    *(f"{name}.alpha.serviceaccount.identity.linkerd.cluster.local" for name in ACCOUNTS),
    *("*", "*.alpha.serviceaccount.identity.linkerd.cluster.local", "spiffe://x.test/y"),
)
DEFAULTS = (
    *("all-authenticated", "all-unauthenticated", "cluster-authenticated"),
    *("cluster-unauthenticated", "deny", "audit"),
)
PROTOCOLS = ("unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS")
CREATED = (None, None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
PATHS = ("/pub", "/pub/a", "/", "/admin", "/pub/")


def manifest(draw: Draw, api: str, kind: str, name: str, spec: Manifest, **more: Any) -> Manifest:
    """Return an object in one namespace or another, of this age or that."""
    metadata: Manifest = {"name": name, "namespace": draw(st.sampled_from(HOMES)), **more}
    if created := draw(st.sampled_from(CREATED)):
        metadata["creationTimestamp"] = created
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def some(values: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    """One of some values, or two."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


@st.composite
def selectors(draw: Draw) -> Manifest:
    """A selector of pods, or of Servers by their labels."""
    match draw(st.integers(0, 5)):
        case 0 | 2:
            return {}
        case 1:
            values = draw(some(APPS))
            operator = draw(st.sampled_from(("In", "NotIn")))
            return {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
    return {"matchLabels": {"app": draw(st.sampled_from(APPS))}}


# -- Servers -------------------------------------------------------------------------------------


@st.composite
def servers(draw: Draw, name: str = "s0") -> Manifest:
    """A Server, by number or by name, of any version."""
    version = draw(st.sampled_from(("v1beta3", "v1beta3", "v1beta3", "v1beta2", "v1beta1")))
    ports = (*(80,) * 5, 8080, 9000, "http", "admin", 4191)
    spec: Manifest = {"podSelector": draw(selectors()), "port": draw(st.sampled_from(ports))}
    if draw(st.integers(0, 19)) == 0 and version != "v1beta1":
        spec["externalWorkloadSelector"] = spec.pop("podSelector")
    if draw(st.booleans()):
        spec["proxyProtocol"] = draw(st.sampled_from(PROTOCOLS))
    if version == "v1beta3" and draw(st.integers(0, 3)) == 0:
        spec["accessPolicy"] = draw(st.sampled_from(DEFAULTS))
    labels = {"labels": {"app": draw(st.sampled_from(APPS))}}
    return manifest(draw, f"{OWN}/{version}", "Server", name, spec, **labels)


@st.composite
def server_authorizations(draw: Draw, name: str = "sa") -> Manifest:
    """A ServerAuthorization."""
    server: Manifest = {"name": draw(servers_named())}
    if draw(st.integers(0, 3)) == 0:
        server = {"selector": draw(selectors())}
    client: Manifest = {}
    if draw(st.booleans()):
        client["networks"] = draw(few(networks()))
    match draw(st.integers(0, 4)):
        case 0:
            client["unauthenticated"] = True
        case 1:
            client["meshTLS"] = {"unauthenticatedTLS": True}
        case 2:
            client["meshTLS"] = {"identities": draw(some(IDENTITIES[:5]))}
        case _:
            accounts = draw(some(ACCOUNTS))
            named: list[Manifest] = [{"name": account} for account in accounts]
            if draw(st.booleans()):
                named[0]["namespace"] = draw(st.sampled_from(("alpha", "beta")))
            client["meshTLS"] = {"serviceAccounts": named}
    spec = {"server": server, "client": client}
    return manifest(draw, f"{OWN}/v1beta1", "ServerAuthorization", name, spec)


@st.composite
def networks(draw: Draw) -> Manifest:
    """A block, at times with exceptions."""
    found: Manifest = {"cidr": draw(st.sampled_from(CIDRS))}
    if found["cidr"] in CIDRS[:3:2] and draw(st.booleans()):
        found["except"] = ["10.0.0.4/31"]
    return found


# -- AuthorizationPolicy, and what it refers to --------------------------------------------------

TARGETS = (
    *({"group": OWN, "kind": "Server", "name": name} for name in ("s0", "s0", "s1")),
    {"kind": "Namespace", "name": "alpha"},
    {"kind": "Namespace", "name": "beta"},
    *({"group": OWN, "kind": "HTTPRoute", "name": name} for name in ("r0", "r1")),
    {"group": GATEWAY, "kind": "HTTPRoute", "name": "r0"},
    {"group": GATEWAY, "kind": "GRPCRoute", "name": "r1"},
)
AUTHENTICATIONS = (
    *({"kind": "ServiceAccount", "name": name} for name in ACCOUNTS),
    {"kind": "ServiceAccount", "name": "robot", "namespace": "beta"},
    {"group": OWN, "kind": "MeshTLSAuthentication", "name": "m0"},
    {"group": OWN, "kind": "MeshTLSAuthentication", "name": "m1"},
)


@st.composite
def authorization_policies(draw: Draw, name: str = "ap") -> Manifest:
    """An AuthorizationPolicy for a Server, a route or a namespace."""
    target = draw(st.sampled_from(TARGETS))
    required: list[Manifest] = []
    if draw(st.integers(0, 2)):
        required.append(draw(st.sampled_from(AUTHENTICATIONS)))
    if draw(st.integers(0, 3)) == 0:
        named = {"kind": "NetworkAuthentication", "name": draw(st.sampled_from(("n0", "n1")))}
        required.append({"group": OWN, **named})
    spec = {"targetRef": target, "requiredAuthenticationRefs": required}
    found = manifest(draw, f"{OWN}/v1alpha1", "AuthorizationPolicy", name, spec)
    if target["kind"] == "Namespace" and draw(st.integers(0, 9)):
        found["metadata"]["namespace"] = target["name"]
    return found


@st.composite
def mesh_tls_authentications(draw: Draw, name: str = "m0") -> Manifest:
    """A MeshTLSAuthentication, by identities or by what they are of."""
    spec: Manifest = {}
    if draw(st.booleans()):
        spec["identities"] = draw(some(IDENTITIES))
    else:
        references: tuple[Manifest, ...] = (
            *({"kind": "ServiceAccount", "name": account} for account in ACCOUNTS),
            {"kind": "ServiceAccount", "name": "robot", "namespace": "beta"},
            {"kind": "Namespace", "name": "beta"},
            {"kind": "Namespace", "name": "alpha"},
        )
        spec["identityRefs"] = draw(st.lists(st.sampled_from(references), min_size=1, max_size=2))
    return manifest(draw, f"{OWN}/v1alpha1", "MeshTLSAuthentication", name, spec)


@st.composite
def network_authentications(draw: Draw, name: str = "n0") -> Manifest:
    """A NetworkAuthentication."""
    spec = {"networks": draw(st.lists(networks(), min_size=1, max_size=2))}
    return manifest(draw, f"{OWN}/v1alpha1", "NetworkAuthentication", name, spec)


# -- routes --------------------------------------------------------------------------------------

EXPRESSIONS = ("/pub/.*", "/[a-z]+", "r.d")


@st.composite
def named_values(draw: Draw, name: str) -> Manifest:
    """A header or a query parameter."""
    found: Manifest = {"name": name, "value": draw(st.sampled_from(("red", "blue")))}
    match draw(st.integers(0, 3)):
        case 0:
            found["type"] = "Exact"
        case 1:
            found |= {"type": "RegularExpression", "value": EXPRESSIONS[2]}
    return found


@st.composite
def http_matches(draw: Draw) -> Manifest:
    """An entry of `matches` of an HTTPRoute."""
    found: Manifest = {}
    if draw(st.integers(0, 3)):
        path: Manifest = {"value": draw(st.sampled_from(PATHS))}
        match draw(st.integers(0, 4)):
            case 0:
                path["type"] = "Exact"
            case 1:
                path["type"] = "PathPrefix"
            case 2:
                path = {
                    "type": "RegularExpression",
                    "value": draw(st.sampled_from(EXPRESSIONS[:2])),
                }
        found["path"] = path
    if draw(st.integers(0, 2)) == 0:
        found["method"] = draw(st.sampled_from(("GET", "POST")))
    if draw(st.integers(0, 4)) == 0:
        found["headers"] = [draw(named_values(draw(st.sampled_from(("x-team", "X-Team")))))]
    if draw(st.integers(0, 7)) == 0:
        found["queryParams"] = [draw(named_values("team"))]
    return found


@st.composite
def grpc_matches(draw: Draw) -> Manifest:
    """An entry of `matches` of a GRPCRoute."""
    found: Manifest = {}
    method: Manifest = {}
    if draw(st.booleans()):
        method["service"] = "x.Y"
    if draw(st.booleans()):
        method["method"] = "Z"
    if method:
        if draw(st.booleans()):
            method["type"] = "Exact"
        found["method"] = method
    if draw(st.integers(0, 4)) == 0:
        found["headers"] = [draw(named_values("x-team"))]
    return found


FILTERS: tuple[Manifest, ...] = (
    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}},
    {"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}},
)


@st.composite
def routes(draw: Draw, name: str = "r0") -> Manifest:
    """A route of any kind, attached to Servers or to ports of EgressNetworks."""
    group, kind = draw(
        st.sampled_from(
            (
                *((OWN, "HTTPRoute"),) * 4,
                *((GATEWAY, "HTTPRoute"), (GATEWAY, "GRPCRoute"), (GATEWAY, "GRPCRoute")),
                *((GATEWAY, "TLSRoute"), (GATEWAY, "TCPRoute")),
            )
        )
    )
    inbound = kind in ("HTTPRoute", "GRPCRoute") and draw(st.integers(0, 3))
    parents: list[Manifest] = []
    for _ in range(draw(st.sampled_from((1, 1, 2)))):
        parent: Manifest = {"group": OWN, "kind": "Server", "name": draw(servers_named())}
        if not inbound:
            port = draw(st.sampled_from((80, 443)))
            parent = {"group": OWN, "kind": "EgressNetwork", "name": "e0", "port": port}
        parents.append(parent)
    spec: Manifest = {"parentRefs": parents}
    if kind != "TCPRoute" and draw(st.integers(0, 3)) == 0:
        spec["hostnames"] = draw(some(("api.test", "*.test", "other.test")))
    match kind:
        case "HTTPRoute" | "GRPCRoute":
            one = http_matches() if kind == "HTTPRoute" else grpc_matches()
            spec["rules"] = []
            for _ in range(draw(st.sampled_from((1, 1, 2)))):
                rule: Manifest = {}
                if draw(st.integers(0, 5)):
                    rule["matches"] = draw(st.lists(one, min_size=1, max_size=2))
                if draw(st.integers(0, 9)) == 0:
                    rule["filters"] = [draw(st.sampled_from(FILTERS))]
                spec["rules"].append(rule)
        case _:
            spec["rules"] = [{"backendRefs": [{"name": "x", "port": 443}]}]
    version = {OWN: "v1beta3"}.get(group, "v1" if kind != "TCPRoute" else "v1alpha2")
    found = manifest(draw, f"{group}/{version}", kind, name, spec)
    if draw(st.integers(0, 3)) == 0:
        accepted = draw(st.sampled_from(("True", "True", "False")))
        found["status"] = {
            "parents": [
                {
                    "parentRef": {**parent, "namespace": found["metadata"]["namespace"]},
                    "controllerName": "linkerd.io/policy-controller",
                    "conditions": [{"type": "Accepted", "status": accepted}],
                }
                for parent in parents
            ]
        }
    return found


def servers_named() -> st.SearchStrategy[str]:
    """The name of a Server."""
    return st.sampled_from(("s0", "s0", "s1"))


@st.composite
def egress_networks(draw: Draw, name: str = "e0") -> Manifest:
    """An EgressNetwork of a namespace, or of the one whose are for all."""
    spec: Manifest = {"trafficPolicy": draw(st.sampled_from(("Deny", "Deny", "Allow")))}
    if draw(st.booleans()):
        spec["networks"] = draw(st.lists(networks(), min_size=1, max_size=2))
    found = manifest(draw, f"{OWN}/v1alpha1", "EgressNetwork", name, spec)
    if draw(st.integers(0, 2)) == 0:
        found["metadata"]["namespace"] = "linkerd-egress"
    return found


@st.composite
def configurations(draw: Draw) -> list[Manifest]:
    """The values of Linkerd's chart, where they are in the cluster."""
    if draw(st.integers(0, 2)):
        return []
    lines = ["linkerdVersion: stable"]
    if draw(st.booleans()):
        lines.append("clusterNetworks: 10.0.0.0/24")
    if draw(st.booleans()):
        lines.append("policyController: {probeNetworks: [10.0.0.0/24]}")
    mode = draw(st.sampled_from(("transport-header", "transparent")))
    inbound = draw(st.sampled_from(DEFAULTS))
    lines.append(f"proxy: {{outboundTransportMode: {mode}, defaultInboundPolicy: {inbound}}}")
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "linkerd-config", "namespace": "linkerd"},
            "data": {"values": "\n".join(lines)},
        }
    ]


@st.composite
def linkerd_policies(draw: Draw) -> list[Manifest]:
    """A Server or two, and what is attached to them."""
    found = [draw(servers("s0"))]
    if draw(st.integers(0, 3)) == 0:
        found.append(draw(servers("s1")))
    for number in range(draw(st.integers(0, 5))):
        match draw(st.integers(0, 10)):
            case 0 | 1 | 10:
                one = draw(authorization_policies(f"ap{number}"))
            case 2 | 3 | 4:
                one = draw(server_authorizations(f"sa{number}"))
            case 5 | 6 | 7:
                one = draw(routes(draw(st.sampled_from(("r0", "r1")))))
            case _:
                one = draw(egress_networks("e0"))
        found.append(one)
    for name, strategy in (
        *(("m0", mesh_tls_authentications), ("m1", mesh_tls_authentications)),
        *(("n0", network_authentications), ("n1", network_authentications)),
    ):
        if draw(st.integers(0, 2)):
            found.append(draw(strategy(name)))
    unique = {
        (one["apiVersion"], one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one
        for one in found
    }
    return list(unique.values())
