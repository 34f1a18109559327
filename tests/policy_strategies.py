"""Hypothesis strategies for policies: every field of every kind, over one small vocabulary.

All kinds are drawn as the raw manifests that people write, mostly well-formed; `spoiled` breaks
one part of one, at any depth.
"""

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Manifest = dict[str, Any]
Draw = st.DrawFn

NAMESPACES = ("alpha", "beta", "gamma", "ghost")
"""`ghost` is named by policies alone: no object defines it."""
INHABITED = ("alpha", "alpha", "alpha", "beta", "gamma")
"""Where workloads and policies are drawn to live: close together, so that they meet."""
POD_LABELS = {"app": ("web", "db", "api"), "tier": ("front", "back"), "mark": ("",)}
NAMESPACE_LABELS = {"env": ("prod", "dev"), "team": ("red", "blue")}
NODE_LABELS = {"zone": ("a", "b"), "kubernetes.io/os": ("linux",)}
PORT_NAMES = ("http", "dns", "metrics", "nobody")
PORTS = (1, 53, 79, 80, 81, 443, 8000, 8050, 8100, 65534, 65535)
PROTOCOLS = ("TCP", "UDP", "SCTP")
CIDRS = (
    "0.0.0.0/0",
    "0.0.0.0/1",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.0.7/24",
    "10.0.0.4/30",
    "10.0.0.5/32",
    "10.1.0.0/16",
    "192.168.0.0/16",
    "192.168.0.1/32",
    "203.0.113.0/24",
    "203.0.113.128/25",
    "255.255.255.255/32",
    "::/0",
    "fd00::/8",
    "fd00::/64",
    "fd00::5/128",
    "2001:DB8::/32",
    "2001:db8::/48",
)
INSIDE = {
    "0.0.0.0/0": CIDRS[1:13],
    "10.0.0.0/8": ("10.0.0.0/16", "10.1.0.0/16", "10.0.0.5/32"),
    "10.0.0.0/16": ("10.0.0.0/24", "10.0.0.4/30", "10.0.0.5/32"),
    "10.0.0.7/24": ("10.0.0.4/30", "10.0.0.5/32"),
    "203.0.113.0/24": ("203.0.113.128/25", "203.0.113.0/32"),
    "::/0": ("fd00::/8", "fd00::5/128", "2001:db8::/32"),
    "fd00::/8": ("fd00::/64", "fd00::5/128"),
}
"""Per block, what may be excepted from it."""
DOMAINS = ("api.corp.test", "*.corp.test", "*.api.corp.test", "B.api.corp.test", "other.test.")


def maybe(draw: Draw, target: Manifest, key: str, value: st.SearchStrategy[Any]) -> None:
    """Set a key, leave it out, or (one time in ten) set it to null."""
    chosen = draw(st.integers(0, 9))
    if chosen == 2:
        target[key] = None
    elif chosen >= 3:
        target[key] = draw(value)


def few(entries: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    """Return a list of one entry or a few; at times an empty one."""
    return seldom(st.just([]), st.lists(entries, min_size=1, max_size=most))


def seldom(rare: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return the one strategy one time in six, else the other; `one_of` would be even."""
    return st.integers(0, 5).flatmap(lambda chosen: rare if chosen == 0 else usual)


@st.composite
def selectors(draw: Draw, vocabulary: Mapping[str, tuple[str, ...]]) -> Manifest:
    """A label selector; empty ones are frequent."""
    found: Manifest = {}
    shape = draw(st.integers(0, 7))
    keys = st.sampled_from(sorted(vocabulary))
    if shape in {1, 2, 5}:
        chosen = draw(st.lists(keys, min_size=1, max_size=2, unique=True))
        found["matchLabels"] = {key: draw(st.sampled_from(vocabulary[key])) for key in chosen}
    if shape in {3, 4, 5}:
        expressions = []
        for key in draw(st.lists(keys, min_size=1, max_size=2)):
            operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
            expression: Manifest = {"key": key, "operator": operator}
            if operator in {"In", "NotIn"}:
                values = st.sampled_from((*vocabulary[key], "other"))
                expression["values"] = draw(st.lists(values, min_size=1, max_size=2))
            elif draw(st.booleans()):
                expression["values"] = []
            expressions.append(expression)
        found["matchExpressions"] = expressions
    return found


def pod_selectors() -> st.SearchStrategy[Manifest]:
    """Selectors of pods, at times by a label that differs from pod to pod."""
    per_pod: Manifest = {"matchLabels": {"apps.kubernetes.io/pod-index": "1"}}
    return seldom(st.just(per_pod), selectors(POD_LABELS))


def namespace_selectors() -> st.SearchStrategy[Manifest]:
    """Selectors of namespaces, by their labels or by name."""
    by_name = st.sampled_from(NAMESPACES).map(
        lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}}
    )
    return seldom(by_name, selectors(NAMESPACE_LABELS))


# -- NetworkPolicy -------------------------------------------------------------------------------


@st.composite
def ip_blocks(draw: Draw) -> Manifest:
    """An ipBlock, often with exceptions that lie inside it."""
    cidr = draw(st.sampled_from((*CIDRS, *INSIDE, *INSIDE)))
    block: Manifest = {"cidr": cidr}
    if cidr in INSIDE and draw(st.integers(0, 2)):
        block["except"] = draw(few(st.sampled_from(INSIDE[cidr])))
    return block


@st.composite
def network_policy_peers(draw: Draw) -> Manifest:
    """One of the three forms of peer: block, one selector, both selectors."""
    form = draw(st.integers(0, 4))
    if form in {0, 1}:
        return {"ipBlock": draw(ip_blocks())}
    peer: Manifest = {}
    if form in {2, 3}:
        peer["podSelector"] = draw(pod_selectors())
    if form in {3, 4}:
        peer["namespaceSelector"] = draw(namespace_selectors())
    return peer


@st.composite
def network_policy_ports(draw: Draw) -> Manifest:
    """A port: number, range, name, or all of a protocol."""
    port: Manifest = {}
    maybe(draw, port, "protocol", st.sampled_from(PROTOCOLS))
    form = draw(st.integers(0, 4))
    if form in {0, 1}:
        port["port"] = draw(st.sampled_from(PORTS))
    elif form == 2:
        port["port"] = draw(st.sampled_from(PORT_NAMES))
    elif form == 3:
        first, last = sorted((draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))))
        port |= {"port": first, "endPort": last}
    return port


@st.composite
def network_policy_rules(draw: Draw, side: str) -> Manifest:
    """An ingress or egress rule; both its lists may be missing, null or empty."""
    rule: Manifest = {}
    maybe(draw, rule, side, few(network_policy_peers()))
    maybe(draw, rule, "ports", few(network_policy_ports()))
    return rule


@st.composite
def network_policies(draw: Draw, name: str = "np") -> Manifest:
    """A NetworkPolicy with every combination of sections and `policyTypes`."""
    spec: Manifest = {}
    maybe(draw, spec, "podSelector", pod_selectors())
    maybe(draw, spec, "ingress", few(network_policy_rules("from")))
    maybe(draw, spec, "egress", few(network_policy_rules("to")))
    types = st.lists(st.sampled_from(("Ingress", "Egress")), max_size=2, unique=True)
    maybe(draw, spec, "policyTypes", types)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": draw(st.sampled_from((*INHABITED, "ghost")))},
        "spec": spec,
    }


# -- ClusterNetworkPolicy and its forerunners ----------------------------------------------------


@st.composite
def subjects(draw: Draw) -> Manifest:
    """A subject: namespaces, or pods in namespaces."""
    if draw(st.booleans()):
        return {"namespaces": draw(namespace_selectors())}
    return {"pods": draw(namespaced_pods())}


@st.composite
def namespaced_pods(draw: Draw) -> Manifest:
    """Selectors of namespaces and pods together."""
    return {
        "namespaceSelector": draw(namespace_selectors()),
        "podSelector": draw(pod_selectors()),
    }


@st.composite
def cluster_peers(draw: Draw, kinds: tuple[str, ...]) -> Manifest:
    """A peer of one of these fields."""
    kind = draw(st.sampled_from(kinds))
    match kind:
        case "namespaces":
            return {kind: draw(namespace_selectors())}
        case "pods":
            return {kind: draw(namespaced_pods())}
        case "nodes":
            return {kind: draw(selectors(NODE_LABELS))}
        case "networks":
            return {
                kind: draw(st.lists(st.sampled_from(CIDRS), min_size=1, max_size=2, unique=True))
            }
        case _:
            return {
                kind: draw(st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=2, unique=True))
            }


def ranges() -> st.SearchStrategy[tuple[int, int]]:
    """Two different ports, the lower first."""
    pair = st.lists(st.sampled_from(PORTS), min_size=2, max_size=2, unique=True)
    return pair.map(lambda found: (min(found), max(found)))


@st.composite
def cluster_protocols(draw: Draw) -> Manifest:
    """An entry of ClusterNetworkPolicy's `protocols`."""
    form = draw(st.integers(0, 4))
    if form == 0:
        return {"destinationNamedPort": draw(st.sampled_from(PORT_NAMES))}
    port: Manifest = {"number": draw(st.sampled_from(PORTS))}
    if form == 1:
        start, end = draw(ranges())
        port = {"range": {"start": start, "end": end}}
    protocol = draw(st.sampled_from(("tcp", "udp", "sctp")))
    # `tcp: {}` fails the schema though prose says that it means all ports.
    return {protocol: {} if form == 4 else {"destinationPort": port}}


@st.composite
def admin_ports(draw: Draw) -> Manifest:
    """An entry of the forerunners' `ports`."""
    form = draw(st.integers(0, 3))
    if form == 0:
        return {"namedPort": draw(st.sampled_from(PORT_NAMES))}
    content: Manifest = {}
    maybe(draw, content, "protocol", st.sampled_from(PROTOCOLS))
    if form == 1:
        start, end = draw(ranges())
        return {"portRange": content | {"start": start, "end": end}}
    return {"portNumber": content | {"port": draw(st.sampled_from(PORTS))}}


@st.composite
def cluster_rules(
    draw: Draw,
    side: str,
    actions: tuple[str, ...],
    peers: tuple[str, ...],
    traffic: tuple[str, st.SearchStrategy[Manifest]],
) -> Manifest:
    """A rule; domain names only where it accepts, and named ports only for pods."""
    action = draw(st.sampled_from(actions))
    if action not in {"Accept", "Allow"}:
        peers = tuple(peer for peer in peers if peer != "domainNames")
    field, entries = traffic
    rule: Manifest = {"action": action}
    maybe(draw, rule, field, st.lists(entries, min_size=1, max_size=2))
    if any("amedPort" in key for entry in rule.get(field) or () for key in entry):
        peers = peers[:2]
    rule[side] = draw(st.lists(cluster_peers(peers), min_size=1, max_size=2))
    maybe(draw, rule, "name", st.just("why"))
    return rule


INGRESS_PEERS = ("namespaces", "pods")
EGRESS_PEERS = ("namespaces", "pods", "networks", "nodes", "domainNames")


@st.composite
def cluster_network_policies(draw: Draw, name: str = "cnp") -> Manifest:
    """A ClusterNetworkPolicy of either tier; few priorities, so that ties are frequent."""
    actions = ("Accept", "Deny", "Pass")
    traffic = ("protocols", cluster_protocols())
    spec: Manifest = {
        "tier": draw(st.sampled_from(("Admin", "Baseline"))),
        "priority": draw(st.sampled_from((0, 1, 1000))),
        "subject": draw(subjects()),
    }
    ingress = cluster_rules("from", actions, INGRESS_PEERS, traffic)
    egress = cluster_rules("to", actions, EGRESS_PEERS, traffic)
    maybe(draw, spec, "ingress", few(ingress, 3))
    maybe(draw, spec, "egress", few(egress, 3))
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


@st.composite
def admin_network_policies(draw: Draw, name: str = "anp") -> Manifest:
    """An AdminNetworkPolicy."""
    actions = ("Allow", "Deny", "Pass")
    traffic = ("ports", admin_ports())
    spec: Manifest = {
        "priority": draw(st.sampled_from((0, 1, 1000))),
        "subject": draw(subjects()),
    }
    ingress = cluster_rules("from", actions, INGRESS_PEERS, traffic)
    egress = cluster_rules("to", actions, EGRESS_PEERS, traffic)
    maybe(draw, spec, "ingress", few(ingress, 3))
    maybe(draw, spec, "egress", few(egress, 3))
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


@st.composite
def baseline_admin_network_policies(draw: Draw) -> Manifest:
    """The BaselineAdminNetworkPolicy."""
    actions, peers = ("Allow", "Deny"), EGRESS_PEERS[:4]
    traffic = ("ports", admin_ports())
    spec: Manifest = {"subject": draw(subjects())}
    ingress = cluster_rules("from", actions, INGRESS_PEERS, traffic)
    egress = cluster_rules("to", actions, peers, traffic)
    maybe(draw, spec, "ingress", few(ingress, 3))
    maybe(draw, spec, "egress", few(egress, 3))
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "BaselineAdminNetworkPolicy",
        "metadata": {"name": "default"},
        "spec": spec,
    }


# -- what is malformed ---------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 80, 65536, "", "80", "http", "TCP", "Ingress", "Allow", "x" * 120,
    "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8", "010.0.0.0/8", "::ffff:10.0.0.0/104", "1001",
    [], {}, [None], [{}], {"app": "web"}, ["web", "web"], {"podSelector": {}}, {"namespaces": {}},
)  # fmt: skip
"""Values of the wrong type or out of range, some of them right in one place or another."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value below one."""
    found = [path]
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        pairs = []
    for key, child in pairs:
        found += places(child, (*path, key))
    return found


@st.composite
def spoiled(draw: Draw, manifest: Manifest) -> Manifest:
    """The manifest with one part of its spec gone, unknown, doubled, or of a wrong value."""
    result = copy.deepcopy(manifest)
    path = draw(st.sampled_from(places(result["spec"], ("spec",))))
    parent: Any = result
    for part in path[:-1]:
        parent = parent[part]
    here = parent[path[-1]]
    match draw(st.integers(0, 3)):
        case 0 if isinstance(here, dict):
            here["surprise"] = draw(st.sampled_from((None, 1, {})))
        case 1 if isinstance(here, list) and here:
            here.append(copy.deepcopy(here[0]))
        case 2 if path != ("spec",):
            del parent[path[-1]]
        case _:
            parent[path[-1]] = copy.deepcopy(draw(st.sampled_from(WRONG)))
    return result
