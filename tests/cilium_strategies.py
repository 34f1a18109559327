"""Hypothesis strategies for Cilium's objects: every field of every kind, over the small vocabulary.

All are drawn as the raw manifests that people write, mostly such as Cilium takes: it refuses an
object as a whole, so that one mistake hides all else that it says.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from policy_strategies import (
    CIDRS,
    INHABITED,
    INSIDE,
    NAMESPACE_LABELS,
    NAMESPACES,
    NODE_LABELS,
    POD_LABELS,
    PORT_NAMES,
    Draw,
    Manifest,
    cluster_network_policies,
    few,
    maybe,
    network_policies,
    seldom,
    selectors,
)

PREFIXES = ("", "", "k8s:", "any:")
"""Of a pod's labels in a selector; most people write none."""
OWN_KEYS = {
    "io.kubernetes.pod.namespace": NAMESPACES[:3],
    "io.cilium.k8s.namespace.labels.env": NAMESPACE_LABELS["env"],
    "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": NAMESPACES[:2],
    "io.cilium.k8s.policy.serviceaccount": ("default", "robot"),
    "io.cilium.k8s.policy.cluster": ("default", "east"),
    "apps.kubernetes.io/pod-index": ("0", "1"),
}
"""What Cilium adds to a pod's labels, and one that it leaves out of them."""
RESERVED = ("host", "remote-node", "world", "world-ipv4", "kube-apiserver", "init", "health")
ENTITIES = (
    "all", "world", "host", "remote-node", "kube-apiserver", "cluster", "cluster", "init",
    "ingress", "health", "unmanaged", "none", "cluster-mesh",
)  # fmt: skip
NUMBERS = ("0", "53", "80", "80", "81", "443", "8000", "8050", "65535")
PROTOCOLS = ("TCP", "TCP", "UDP", "SCTP", "ANY")
NAMES = ("api.corp.test", "a.api.corp.test", "other.test")
PATTERNS = ("*.corp.test", "**.corp.test", "*.api.corp.test", "*", "a*.api.corp.test", "*.test")
BLOCKS = tuple(c for c in CIDRS if not c.startswith("2001:DB8"))
HEADERS = ("x-team", "X-Team: red", "x-role: reader")
LISTENER = {
    "envoyConfig": {"kind": "CiliumClusterwideEnvoyConfig", "name": "own"},
    "name": "one",
}
SERVICES = ("front", "back", "bare")
SECTIONS = ("ingress", "ingress", "ingressDeny", "egress", "egress", "egressDeny")
SIDES = {"ingress": "from", "egress": "to"}


# -- selectors -----------------------------------------------------------------------------------


@st.composite
def cilium_selectors(draw: Draw, *, reserved: bool = False) -> Manifest:
    """A selector of endpoints, by keys of every source."""
    if reserved and draw(st.integers(0, 7)) == 0:
        key = f"reserved:{draw(st.sampled_from(RESERVED))}"
        if draw(st.booleans()):
            return {"matchLabels": {key: ""}}
        operator = draw(st.sampled_from(("Exists", "DoesNotExist")))
        return {"matchExpressions": [{"key": key, "operator": operator}]}
    vocabulary = draw(seldom(st.just(POD_LABELS | OWN_KEYS), st.just(POD_LABELS)))
    found: Manifest = draw(selectors(vocabulary))
    prefix = st.sampled_from(PREFIXES)
    if "matchLabels" in found:
        found["matchLabels"] = {draw(prefix) + k: v for k, v in found["matchLabels"].items()}
    for expression in found.get("matchExpressions", ()):
        expression["key"] = draw(prefix) + expression["key"]
    return found


def node_selectors() -> st.SearchStrategy[Manifest]:
    """A selector of nodes."""
    return selectors(NODE_LABELS)


# -- peers ---------------------------------------------------------------------------------------


@st.composite
def cidr_sets(draw: Draw) -> Manifest:
    """An entry of `fromCIDRSet` or `toCIDRSet`."""
    form = draw(st.integers(0, 5))
    if form == 0:
        return {"cidrGroupRef": draw(st.sampled_from(("offices", "partners", "nowhere")))}
    if form == 1:
        return {"cidrGroupSelector": {"matchLabels": {"site": draw(st.sampled_from(("a", "b")))}}}
    cidr = draw(st.sampled_from((*BLOCKS, *INSIDE)))
    found: Manifest = {"cidr": cidr}
    if cidr in INSIDE and draw(st.booleans()):
        found["except"] = draw(few(st.sampled_from(INSIDE[cidr])))
    return found


def names() -> st.SearchStrategy[Manifest]:
    """An entry of `toFQDNs` or of DNS rules."""
    return st.one_of(
        st.sampled_from(NAMES).map(lambda name: {"matchName": name}),
        st.sampled_from(PATTERNS).map(lambda pattern: {"matchPattern": pattern}),
    )


@st.composite
def services(draw: Draw) -> Manifest:
    """An entry of `toServices`."""
    by_name: Manifest = {}
    maybe(draw, by_name, "namespace", st.sampled_from(NAMESPACES[:2]))
    if draw(st.integers(0, 2)):
        return {"k8sService": by_name | {"serviceName": draw(st.sampled_from(SERVICES))}}
    return {"k8sServiceSelector": by_name | {"selector": draw(selectors({"app": ("web", "db")}))}}


def peers(sort: str) -> st.SearchStrategy[Any]:
    """An entry of the list of a sort of peers."""
    return {
        "Endpoints": cilium_selectors(reserved=True),
        "Entities": st.sampled_from(ENTITIES),
        "CIDR": st.sampled_from(BLOCKS),
        "CIDRSet": cidr_sets(),
        "Nodes": node_selectors(),
        "Services": services(),
        "FQDNs": names(),
        "Groups": st.just({"aws": {"region": "eu", "securityGroupsNames": ["web"]}}),
    }[sort]


# -- ports and what is above them ----------------------------------------------------------------


@st.composite
def http_rules(draw: Draw) -> Manifest:
    """An entry of `http`."""
    found: Manifest = {}
    maybe(draw, found, "method", st.sampled_from(("GET", "POST", "GET|HEAD", "P.*", "")))
    maybe(draw, found, "path", st.sampled_from(("/public", "/public/.*", "/[a-c]+", "/v1(/.*)?")))
    if draw(st.integers(0, 3)) == 0:
        found["host"] = draw(st.sampled_from(("api\\.corp\\.test", ".*\\.test(:80)?")))
    if draw(st.integers(0, 3)) == 0:
        found["headers"] = draw(few(st.sampled_from(HEADERS)))
    if draw(st.integers(0, 5)) == 0:
        match: Manifest = {"name": "x-team"}
        maybe(draw, match, "value", st.just("red"))
        if draw(st.booleans()):
            match["mismatch"] = draw(st.sampled_from(("LOG", "ADD", "DELETE", "REPLACE")))
        elif draw(st.integers(0, 2)) == 0:
            match["secret"] = {"namespace": "alpha", "name": "token"}
        found["headerMatches"] = [match]
    return found


@st.composite
def ports(draw: Draw, forms: Sequence[str], protocols: Sequence[str] = PROTOCOLS) -> Manifest:
    """A port: number, range or name."""
    found: Manifest = {}
    form = draw(st.sampled_from(forms))
    if form == "name":
        found["port"] = draw(st.sampled_from(PORT_NAMES)).upper() if draw(st.booleans()) else "http"
    else:
        found["port"] = draw(st.sampled_from(NUMBERS[0 if form == "any" else 1 :]))
    if form == "range":
        found["endPort"] = draw(st.sampled_from((0, 80, 443, 8100, 65535)))
    if len(protocols) == 1 or draw(st.booleans()):
        found["protocol"] = draw(st.sampled_from(protocols))
    return found


@st.composite
def port_rules(draw: Draw, section: str) -> Manifest:
    """An entry of `toPorts`, with rules of layer 7 where the section may have them."""
    every = ports(("any", "number", "number", "range", "name"))
    kind = draw(st.integers(0, 9))
    tcp = ports(("number", "number", "range", "name"), ("TCP",))
    if section.endswith("Deny") or kind < 4:
        return {"ports": draw(few(every))}
    if kind in {4, 5, 6}:
        found: Manifest = {"ports": draw(few(tcp)), "rules": {"http": draw(few(http_rules()))}}
        if draw(st.integers(0, 5)) == 0:
            found["terminatingTLS"] = {"secret": {"namespace": "alpha", "name": "cert"}}
            maybe(draw, found, "serverNames", few(st.sampled_from((*NAMES, *PATTERNS))))
        return found
    if kind == 7 and section == "egress":
        lookups = ports(("number", "name"), ("UDP", "TCP", "ANY"))
        return {"ports": [draw(lookups)], "rules": {"dns": draw(few(names()))}}
    if kind == 8:
        found = {"ports": draw(few(tcp))}
        maybe(draw, found, "serverNames", few(st.sampled_from((*NAMES, *PATTERNS))))
        if draw(st.integers(0, 3)) == 0:
            found["originatingTLS"] = {"secret": {"name": "ca"}, "trustedCA": "ca.crt"}
        return found
    if kind == 9 and section == "egress" and draw(st.integers(0, 3)) == 0:
        return {"ports": [draw(tcp)], "listener": LISTENER}
    return {"ports": draw(few(every)), "rules": draw(st.sampled_from(({}, {"http": []})))}


@st.composite
def icmps(draw: Draw) -> Manifest:
    """An entry of `icmps`."""
    family = draw(st.sampled_from(("IPv4", "IPv4", "IPv6", None)))
    kinds = ("EchoRequest", 128, "129") if family == "IPv6" else ("EchoRequest", 8, 0, "3")
    found: Manifest = {"type": draw(st.sampled_from(kinds))}
    if family:
        found["family"] = family
    return {"fields": [found]}


# -- rules and policies --------------------------------------------------------------------------


@st.composite
def cilium_rules(draw: Draw, section: str, *, of_nodes: bool = False) -> Manifest:
    """A rule of one of the four sections; at times without any field."""
    direction = section.removesuffix("Deny")
    sorts = ["Endpoints", "Endpoints", "Endpoints", "Entities", "Entities", "CIDR", "CIDRSet"]
    if direction == "egress":
        sorts += ["FQDNs", "FQDNs", "Services"] if section == "egress" else ["Services"]
    if draw(st.integers(0, 9)) == 0:
        sorts = ["Nodes", "Groups"]
    rule: Manifest = {}
    if draw(st.integers(0, 5)):
        sort = draw(st.sampled_from(sorts))
        rule[SIDES[direction] + sort] = draw(few(peers(sort)))
    what = draw(st.integers(0, 9))
    if what < 6:
        plain = st.builds(lambda found: {"ports": found}, few(ports(("any", "number", "name"))))
        rule["toPorts"] = draw(few(plain if of_nodes else port_rules(section)))
    elif what == 6:
        rule["icmps"] = draw(few(icmps()))
    if not section.endswith("Deny") and draw(st.integers(0, 11)) == 0:
        modes = st.sampled_from(("required", "required", "disabled", "test-always-fail"))
        rule["authentication"] = {"mode": draw(modes)}
    return rule


@st.composite
def plain_rules(draw: Draw, section: str, beside: Manifest) -> Manifest:
    """A rule without anything above the port, over the ports of another: the same, more, or all.

    Its peers are the same, or those of any other rule.
    """
    direction = section.removesuffix("Deny")
    side = SIDES[direction]
    rule = {key: value for key, value in beside.items() if key.startswith(side)}
    rule.pop("toPorts", None)
    if draw(st.booleans()):
        sort = draw(st.sampled_from(("Endpoints", "Entities", "CIDR")))
        rule = {side + sort: draw(few(peers(sort)))} if draw(st.integers(0, 2)) else {}
    ported = [port for entry in beside["toPorts"] for port in entry["ports"]]
    found = []
    for port in ported:
        more = dict(port)
        match draw(st.sampled_from(("same", "same", "fewer", "range", "all"))):
            case "fewer":
                more.pop("endPort", None)
            case "range" if port["port"].isdigit() and int(port["port"]):
                more |= {"port": str(int(port["port"]) - draw(st.integers(0, 1)))}
                more["endPort"] = (
                    int(port["port"]) + draw(st.integers(0, 3)) - 3 * (int(port["port"]) > 65530)
                )
            case "all":
                more = {"port": "0"}
        found.append(more)
    if not rule or draw(st.integers(0, 3)):
        rule["toPorts"] = [{"ports": found}]
    return rule


def looks_above_the_port(rule: Manifest) -> bool:
    """Return whether any ports of a rule are sent to a proxy."""
    return any(len(entry) > 1 and entry.get("ports") for entry in rule.get("toPorts") or ())


def beside(proxied: list[Manifest], section: str) -> st.SearchStrategy[Manifest]:
    """A rule over the ports of one of some rules."""
    return st.sampled_from(proxied).flatmap(lambda rule: plain_rules(section, rule))


@st.composite
def specs(draw: Draw, *, clusterwide: bool) -> Manifest:
    """One rule object, `spec` or one of `specs`."""
    of_nodes = clusterwide and draw(st.integers(0, 3)) == 0
    spec: Manifest = (
        {"nodeSelector": draw(node_selectors())}
        if of_nodes
        else {"endpointSelector": draw(cilium_selectors())}
    )
    chosen = draw(
        st.lists(
            st.sampled_from(
                ("ingress", "ingress", "ingressDeny", "egress", "egress", "egressDeny")
            ),
            min_size=1,
            max_size=2,
            unique=True,
        )
    )
    for section in chosen:
        rules = cilium_rules(section, of_nodes=of_nodes)
        spec[section] = draw(few(rules, 2))
        proxied: list[Manifest] = [one for one in spec[section] if looks_above_the_port(one)]
        if proxied and draw(seldom(st.just(False), st.just(True))):
            spec[section].append(draw(beside(proxied, section)))
    if draw(st.integers(0, 3)) == 0:
        directions = st.fixed_dictionaries(
            {}, optional={"ingress": st.booleans(), "egress": st.booleans()}
        )
        spec["enableDefaultDeny"] = draw(directions)
    if draw(st.integers(0, 9)) == 0:
        spec |= {"description": "why", "labels": [{"key": "team", "value": "red"}]}
    return spec


@st.composite
def cilium_policies(draw: Draw, name: str = "cp") -> Manifest:
    """A CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy."""
    clusterwide = draw(st.integers(0, 2)) == 0
    metadata: Manifest = {"name": name}
    if not clusterwide:
        metadata["namespace"] = draw(st.sampled_from(INHABITED))
    found: Manifest = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy",
        "metadata": metadata,
    }
    form = draw(st.integers(0, 5))
    one = specs(clusterwide=clusterwide)
    if form:
        found["spec"] = draw(one)
    if form < 2:
        found["specs"] = draw(st.lists(one, min_size=1, max_size=2))
    return found


@st.composite
def cilium_policy_sets(draw: Draw, *, most: int = 4) -> list[Manifest]:
    """Policies of all the kinds that Cilium enforces, its own above all."""
    found: list[Manifest] = []
    for number in range(draw(st.integers(1, most))):
        match draw(st.integers(0, 8)):
            case 0:
                found.append(draw(network_policies(f"np{number}")))
            case 1:
                found.append(draw(cluster_network_policies(f"cnp{number}")))
            case _:
                found.append(draw(cilium_policies(f"cp{number}")))
    return found
