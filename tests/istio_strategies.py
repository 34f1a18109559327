"""Hypothesis strategies for Istio's objects: every field of every kind, over the small vocabulary.

All are drawn as the raw manifests that people write, and are well-formed as far as one object can
be by itself: a policy may name a provider, a Service or a Gateway that nothing defines.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from policy_strategies import Draw, Manifest, few, seldom

SECURITY, NETWORKING = "security.istio.io/v1", "networking.istio.io/v1"
ROOT = "istio-system"
HOMES = ("alpha", "alpha", "alpha", "beta", ROOT)
"""Where policies are drawn to live: close to the workloads, at times where they are for all."""
APPS = ("web", "db", "api")
ACCOUNTS = ("web", "db", "robot", "default")
PORTS = (80, 8080, 9000)
PRINCIPALS = (
    *(f"cluster.local/ns/{ns}/sa/{name}" for ns in ("alpha", "beta") for name in ACCOUNTS[:3]),
    *("*", "cluster.local/ns/alpha/*", "*/sa/web", "*", "old.test/ns/alpha/sa/web"),
    *("odd.test/ns/alpha/sa/web", "*/ns/beta/sa/robot", "cluster.local/ns/alpha/sa/way"),
)
NAMESPACES = ("alpha", "beta", "al*", "*a", "*", "gamma", "a*a")
OWNERS = ("web", "alpha/web", "beta/robot", "db", "alpha/way")
BLOCKS = ("10.0.0.4", "10.0.0.0/24", "10.0.0.4/30", "10.1.0.0/16", "0.0.0.0/0", "fd00::/64")
METHODS = ("GET", "POST", "P*", "*", "get", "*T")
PATHS = ("/pub", "/pub*", "/admin*", "*/a", "*", "/pub/{*}", "/pub/{**}", "/{*}/a", "/x.Y/Z")
HOSTS = ("api.test", "*.test", "api.*", "*", "API.test", "api.test:80")
DOMAINS = ("cluster.local", "old.test", "*", "*.test")
CREATED = (None, None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
MODES = ("STRICT", "STRICT", "PERMISSIVE", "DISABLE", "UNSET")


def listed(values: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    """One of some values, or two."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def manifest(
    draw: Draw, api: str, kind: str, name: str, spec: Manifest, homes: tuple[str, ...] = HOMES
) -> Manifest:
    """Return an object in one namespace or another, of this age or that."""
    metadata: Manifest = {"name": name, "namespace": draw(st.sampled_from(homes))}
    if created := draw(st.sampled_from(CREATED)):
        metadata["creationTimestamp"] = created
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def selector() -> st.SearchStrategy[Manifest]:
    """The labels of a workload."""
    return st.sampled_from(APPS).map(lambda app: {"app": app})


# -- AuthorizationPolicy -------------------------------------------------------------------------

AT_LAYER_4: Mapping[str, tuple[Any, ...]] = {
    "principals": PRINCIPALS,
    "notPrincipals": PRINCIPALS,
    "namespaces": NAMESPACES,
    "notNamespaces": NAMESPACES,
    "serviceAccounts": OWNERS,
    "notServiceAccounts": OWNERS,
    "ipBlocks": BLOCKS,
    "notIpBlocks": BLOCKS,
}
ABOVE: Mapping[str, tuple[Any, ...]] = {
    "trustDomains": DOMAINS,
    "notTrustDomains": DOMAINS,
    "remoteIpBlocks": BLOCKS,
    "notRemoteIpBlocks": BLOCKS,
    "requestPrincipals": ("iss.test/sub", "*"),
    "notRequestPrincipals": ("iss.test/*",),
}
OPERATIONS: Mapping[str, tuple[Any, ...]] = {
    "ports": tuple(map(str, PORTS)),
    "notPorts": tuple(map(str, PORTS)),
    "methods": METHODS,
    "notMethods": METHODS,
    "paths": PATHS,
    "notPaths": PATHS,
    "hosts": HOSTS,
    "notHosts": HOSTS,
}
KEYS: Mapping[str, tuple[Any, ...]] = {
    "source.ip": BLOCKS,
    "source.namespace": NAMESPACES,
    "source.principal": PRINCIPALS,
    "source.serviceAccount": OWNERS[1:3],
    "remote.ip": BLOCKS,
    "destination.ip": BLOCKS,
    "destination.port": tuple(map(str, PORTS)),
    "request.headers[x-team]": ("red", "r*", "*"),
    "request.auth.principal": ("iss.test/sub", "*"),
    "request.auth.audiences": ("web",),
    "request.auth.presenter": ("web",),
    "request.auth.claims[groups]": ("web", "*"),
    "connection.sni": ("api.test", "*"),
    "experimental.envoy.filters.network.x[y]": ("z",),
}


@st.composite
def sources(draw: Draw) -> Manifest:
    """What a peer must be: mostly one field."""
    found: Manifest = {}
    for _ in range(draw(st.sampled_from((1, 1, 1, 2)))):
        fields = ABOVE if draw(st.integers(0, 7)) == 0 else AT_LAYER_4
        name = draw(st.sampled_from(sorted(fields)))
        found[name] = draw(listed(fields[name]))
    if draw(st.integers(0, 11)) and {"serviceAccounts", "notServiceAccounts"} & found.keys():
        # Beside those the API server admits nothing else of the kind.
        for name in ("principals", "notPrincipals", "namespaces", "notNamespaces"):
            found.pop(name, None)
    return found


@st.composite
def operations(draw: Draw, *, low: bool) -> Manifest:
    """What is asked for: mostly one field, at times of the ports alone."""
    names = ["notPorts", "ports"] if low else sorted(OPERATIONS)
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return {name: draw(listed(OPERATIONS[name])) for name in chosen}


@st.composite
def conditions(draw: Draw) -> Manifest:
    """An entry of `when`."""
    key = draw(st.sampled_from(sorted(KEYS)))
    found: Manifest = {"key": key}
    form = draw(st.integers(0, 3))
    if form != 1:
        found["values"] = draw(listed(KEYS[key]))
    if form in (1, 2):
        found["notValues"] = draw(listed(KEYS[key]))
    return found


@st.composite
def rules(draw: Draw) -> Manifest:
    """A rule; each part of it may be missing, and often speaks of layer 4 alone."""
    rule: Manifest = {}
    low = draw(st.booleans())
    if draw(st.integers(0, 2)):
        rule["from"] = [
            {"source": one} for one in draw(st.lists(sources(), min_size=1, max_size=2))
        ]
    if draw(st.integers(0, 2)):
        own = st.lists(operations(low=low), min_size=1, max_size=2)
        rule["to"] = [{"operation": one} for one in draw(own)]
    if draw(st.integers(0, 4)) == 0:
        rule["when"] = draw(st.lists(conditions(), min_size=1, max_size=2))
    return rule


TARGETS = (
    {"kind": "Service", "group": "", "name": "front"},
    {"kind": "Service", "group": "core", "name": "back"},
    {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "way"},
    {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "gate"},
    {"kind": "GatewayClass", "group": "gateway.networking.k8s.io", "name": "istio-waypoint"},
    {"kind": "ServiceEntry", "group": "networking.istio.io", "name": "se"},
)


@st.composite
def attached(draw: Draw, spec: Manifest) -> Manifest:
    """The spec with a selector, something that it is attached to, or neither."""
    match draw(st.integers(0, 7)):
        case 0 | 1 | 2:
            return {**spec, "selector": {"matchLabels": draw(selector())}}
        case 3:
            return {**spec, "targetRef": draw(st.sampled_from(TARGETS))}
        case 4:
            targets = st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2)
            return {**spec, "targetRefs": draw(targets)}
    return spec


@st.composite
def authorization_policies(draw: Draw, name: str = "ap", action: str = "") -> Manifest:
    """An AuthorizationPolicy, mostly one that allows or denies."""
    actions = (*("ALLOW",) * 5, *("DENY",) * 4, "CUSTOM", "AUDIT", "")
    chosen = action or draw(st.sampled_from(actions))
    spec: Manifest = {"action": chosen} if chosen else {}
    if chosen == "CUSTOM":
        spec["provider"] = {"name": draw(st.sampled_from(("known", "unknown")))}
    found = draw(few(rules()))
    without = draw(st.booleans())
    if found or not without:
        spec["rules"] = found
    made = manifest(draw, SECURITY, "AuthorizationPolicy", name, draw(attached(spec)))
    if draw(st.integers(0, 19)) == 0:
        made["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
    return made


# -- the others ----------------------------------------------------------------------------------


@st.composite
def peer_authentications(draw: Draw, name: str = "pa") -> Manifest:
    """A PeerAuthentication of any level."""
    spec: Manifest = {}
    if draw(st.integers(0, 2)):
        spec["selector"] = {"matchLabels": draw(selector())}
        if draw(st.booleans()):
            numbers = draw(st.lists(st.sampled_from(PORTS), min_size=1, max_size=2, unique=True))
            modes = {port: {"mode": draw(st.sampled_from(MODES))} for port in map(str, numbers)}
            spec["portLevelMtls"] = modes
    if draw(st.integers(0, 5)):
        spec["mtls"] = {"mode": draw(st.sampled_from(MODES))}
    return manifest(draw, SECURITY, "PeerAuthentication", name, spec)


@st.composite
def request_authentications(draw: Draw, name: str = "ra") -> Manifest:
    """A RequestAuthentication, which refuses nobody without a token."""
    spec = draw(attached({"jwtRules": [{"issuer": "iss.test"}]}))
    return manifest(draw, SECURITY, "RequestAuthentication", name, spec)


CALLED = (
    *("front", "back", "front.alpha.svc.cluster.local", "*.alpha.svc.cluster.local"),
    *("*.local", "*", "api.test", "back.beta"),
)


@st.composite
def destination_rules(draw: Draw, name: str = "dr") -> Manifest:
    """A DestinationRule, mostly one that says something of TLS."""
    modes = st.sampled_from(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"))
    spec: Manifest = {"host": draw(st.sampled_from(CALLED))}
    policy: Manifest = {}
    if draw(st.integers(0, 2)):
        policy["tls"] = {"mode": draw(modes)}
    if draw(st.integers(0, 2)) == 0:
        numbers = draw(st.lists(st.sampled_from((80, 9000)), min_size=1, unique=True))
        policy["portLevelSettings"] = [
            {"port": {"number": number}, "tls": {"mode": draw(modes)}} for number in numbers
        ]
    if draw(st.integers(0, 5)) == 0:
        policy["loadBalancer"] = {"simple": "RANDOM"}
    without = draw(st.booleans())
    if policy or not without:
        spec["trafficPolicy"] = policy
    if draw(st.integers(0, 3)) == 0:
        spec["exportTo"] = draw(listed((".", "*", "beta")))
    if draw(st.integers(0, 3)) == 0:
        spec["workloadSelector"] = {"matchLabels": draw(selector())}
    return manifest(draw, NETWORKING, "DestinationRule", name, spec)


@st.composite
def sidecars(draw: Draw, name: str = "sc") -> Manifest:
    """A Sidecar: which hosts a proxy knows, and what it does with the others."""
    hosts = (
        *("./*", "*/*", "alpha/*", "~/*", "./front.alpha.svc.cluster.local"),
        *("*/api.test", "*/*.test", "beta/back.beta.svc.cluster.local"),
    )
    spec: Manifest = {}
    if draw(st.booleans()):
        spec["workloadSelector"] = {"labels": draw(selector())}
    if draw(st.integers(0, 3)):
        spec["egress"] = []
        for _ in range(draw(st.integers(1, 2))):
            listener: Manifest = {"hosts": draw(listed(hosts))}
            if draw(st.integers(0, 3)) == 0:
                port = {"number": draw(st.sampled_from((80, 443))), "protocol": "HTTP", "name": "x"}
                listener["port"] = port
            spec["egress"].append(listener)
    if draw(st.integers(0, 2)):
        mode = draw(st.sampled_from(("REGISTRY_ONLY", "REGISTRY_ONLY", "ALLOW_ANY")))
        spec["outboundTrafficPolicy"] = {"mode": mode}
    return manifest(draw, NETWORKING, "Sidecar", name, spec)


@st.composite
def service_entries(draw: Draw, name: str = "se") -> Manifest:
    """A ServiceEntry: hosts outside, with addresses or without."""
    protocols = st.sampled_from(("HTTP", "TLS", "HTTPS", "TCP", "GRPC"))
    ports = [
        {"number": number, "name": f"p{number}", "protocol": draw(protocols)}
        for number in draw(
            st.lists(st.sampled_from((80, 443)), min_size=1, max_size=2, unique=True)
        )
    ]
    spec: Manifest = {"hosts": draw(listed(("api.test", "*.test", "other.test"))), "ports": ports}
    if draw(st.integers(0, 2)) == 0:
        spec["addresses"] = draw(listed(("203.0.113.0/24", "203.0.113.9", "10.0.0.0/24")))
    if draw(st.booleans()):
        spec["location"] = draw(st.sampled_from(("MESH_EXTERNAL", "MESH_INTERNAL")))
    spec["resolution"] = draw(st.sampled_from(("NONE", "DNS")))
    if draw(st.integers(0, 3)) == 0:
        spec["exportTo"] = draw(listed((".", "*", "beta")))
    return manifest(draw, NETWORKING, "ServiceEntry", name, spec)


@st.composite
def configurations(draw: Draw) -> list[Manifest]:
    """Istio's mesh configuration, where it is in the cluster."""
    if draw(st.integers(0, 2)):
        return []
    lines = ["extensionProviders: [{name: known, envoyExtAuthzHttp: {service: a, port: 1}}]"]
    if draw(st.booleans()):
        lines.append("outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    if draw(st.integers(0, 3)) == 0:
        lines.append("enableAutoMtls: false")
    if draw(st.booleans()):
        lines.append("trustDomainAliases: [old.test]")
    if draw(st.integers(0, 3)) == 0:
        lines.append("trustDomain: own.test")
    if draw(st.booleans()):
        chosen = draw(st.sampled_from(("NONE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")))
        lines.append(f"pathNormalization: {{normalization: {chosen}}}")
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": ROOT},
            "data": {"mesh": "\n".join(lines)},
        }
    ]


@st.composite
def istio_policies(draw: Draw) -> list[Manifest]:
    """One to six objects of all kinds, those that decide most first."""
    found: list[Manifest] = []
    for number in range(draw(st.integers(1, 6))):
        one = draw(
            seldom(
                st.one_of(
                    destination_rules(f"dr{number}"),
                    sidecars(f"sc{number}"),
                    service_entries(draw(st.sampled_from(("se", f"se{number}")))),
                    request_authentications(f"ra{number}"),
                    destination_rules(f"dr{number}"),
                ),
                st.one_of(
                    authorization_policies(f"ap{number}"),
                    authorization_policies(f"ap{number}"),
                    peer_authentications(f"pa{number}"),
                ),
            )
        )
        if one["metadata"]["name"] not in {other["metadata"]["name"] for other in found}:
            found.append(one)
    return found
