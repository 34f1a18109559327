"""Hypothesis strategies for Calico's objects: every field of every kind, over the small vocabulary.

All are drawn as the raw manifests that people write, and are well-formed as far as one object can
be by itself: a policy may name a tier, a Service or a profile that nothing defines.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from policy_strategies import (
    CIDRS,
    INHABITED,
    NAMESPACE_LABELS,
    NAMESPACES,
    POD_LABELS,
    PORT_NAMES,
    PORTS,
    Draw,
    Manifest,
    few,
    network_policies,
    seldom,
)

USER, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"
TIERS = {"early": 500, "late": 2_000_000, "last": None}
"""One before and one between those that are always there, and one behind them all."""
ACCOUNT_LABELS = {"duty": ("read", "write")}
ACCOUNTS = ("default", "robot")
HOST_LABELS = {"role": ("node", "block"), "app": ("web", "db"), "tier": ("front",)}
"""Of host endpoints and network sets."""
NETS = tuple(c for c in CIDRS if c not in ("10.0.0.7/24", "2001:DB8::/32") and not c.endswith("/0"))
METHODS = ("GET", "POST", "get", "*")
PATHS = (
    "/",
    "/pub",
    "/pub/",
    "/pub/a",
    "/adm%69n",
    "/a/../pub",
    "/v1;x/pay",
    "//pub",
    "/%2e%2e/pub",
)
OWN_DOMAINS = ("api.corp.test", "*.corp.test", "api.*.test", "b.api.corp.test", "OTHER.test.")
SERVICES = ("front", "back", "bare")
FIXED_TIERS = ("default", "default", "default", "kube-admin", "kube-baseline")
FORWARD: Manifest = {"applyOnForward": True}
UNTRACKED: Manifest = {"applyOnForward": True, "doNotTrack": True}
PRE_DNAT: Manifest = {"applyOnForward": True, "preDNAT": True}

# -- selectors -----------------------------------------------------------------------------------


@st.composite
def conditions(draw: Draw, vocabulary: Mapping[str, tuple[str, ...]]) -> str:
    """One condition on one label, in any of the ways to write it."""
    key = draw(st.sampled_from(sorted(vocabulary)))
    values = st.sampled_from((*vocabulary[key], "other"))
    value = draw(values)
    quote = draw(st.sampled_from("'\""))
    match draw(st.integers(0, 8)):
        case 0:
            return f"has({key})"
        case 1:
            return f"{key} != {quote}{value}{quote}"
        case 2:
            return f"{key} contains {quote}{value[:2]}{quote}"
        case 3:
            return f"{key} starts with {quote}{value[:1]}{quote}"
        case 4:
            return f"{key} ends with {quote}{value[-1:]}{quote}"
        case 5 | 6 as form:
            listed = ", ".join(f"'{one}'" for one in draw(st.lists(values, max_size=2)))
            return f"{key} {'in' if form == 5 else 'not in'} {{{listed}}}"
        case _:
            return f"{key} == {quote}{value}{quote}"


def selectors(vocabulary: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
    """A selector: any combination of conditions; `all()` and single ones are frequent."""
    one = conditions(vocabulary)
    combined = st.recursive(
        st.one_of(one, one, st.just("all()")),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(" && ".join),
            st.tuples(inner, inner).map(" || ".join),
            inner.map(lambda text: f"!({text})"),
            inner.map(lambda text: f"({text})"),
        ),
        max_leaves=3,
    )
    return st.one_of(st.just("all()"), one, one, combined)


ENDPOINTS = {
    **POD_LABELS,
    **HOST_LABELS,
    "projectcalico.org/namespace": NAMESPACES[:3],
    "projectcalico.org/serviceaccount": ACCOUNTS,
    "projectcalico.org/orchestrator": ("k8s",),
    "pcns.env": NAMESPACE_LABELS["env"],
    "apps.kubernetes.io/pod-index": ("0", "1"),
}
OF_NAMESPACES = {
    **NAMESPACE_LABELS,
    "projectcalico.org/name": NAMESPACES,
    "kubernetes.io/metadata.name": NAMESPACES,
}
OF_ACCOUNTS = {**ACCOUNT_LABELS, "projectcalico.org/name": ACCOUNTS}


def endpoint_selectors() -> st.SearchStrategy[str]:
    """Selectors of endpoints and network sets, mostly by the labels that they often have."""
    return st.one_of(selectors({**POD_LABELS, **HOST_LABELS}), selectors(ENDPOINTS))


# -- rules ---------------------------------------------------------------------------------------


@st.composite
def ports(draw: Draw, *, named: bool) -> int | str:
    """A port: number, number as text, range, name."""
    match draw(st.integers(0, 5)):
        case _ if named:
            return draw(st.sampled_from(PORT_NAMES))
        case 0:
            return draw(st.sampled_from(PORT_NAMES))
        case 1:
            return str(draw(st.sampled_from(PORTS)))
        case 2:
            pair = sorted((draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))))
            return f"{pair[0]}:{pair[1]}"
        case _:
            return draw(st.sampled_from(PORTS))


@st.composite
def blocks(draw: Draw, family: int) -> list[str]:
    """Blocks of one IP family."""
    of_family = [cidr for cidr in NETS if (":" in cidr) == (family == 6)]
    return draw(st.lists(st.sampled_from(of_family), min_size=1, max_size=2, unique=True))


@st.composite
def entities(draw: Draw, family: int, protocol: Any, *, destination: bool) -> Manifest:
    """A source or destination; each of its fields is there now and then."""
    found: Manifest = {}

    def given(once_in: int) -> bool:
        return draw(st.integers(1, once_in)) == 1

    if given(6):
        found["nets"] = draw(blocks(family))
    if given(10):
        found["notNets"] = draw(blocks(family))
    if given(3):
        found["selector"] = draw(endpoint_selectors())
    if given(9):
        found["notSelector"] = draw(endpoint_selectors())
    if given(5):
        text = seldom(st.just("global()"), selectors(OF_NAMESPACES))
        found["namespaceSelector"] = draw(text)
    if given(10):
        accounts: Manifest = {}
        if draw(st.booleans()):
            accounts["names"] = draw(st.lists(st.sampled_from(ACCOUNTS), max_size=2))
        if draw(st.booleans()):
            accounts["selector"] = draw(selectors(OF_ACCOUNTS))
        found["serviceAccounts"] = accounts
    ported = protocol in ("TCP", "UDP", "SCTP", 6, 17)
    if (ported and given(2 if destination else 25)) or (protocol is None and given(12)):
        found["ports"] = draw(few(ports(named=not ported)))
    if (ported and given(10 if destination else 40)) or (protocol is None and given(40)):
        found["notPorts"] = draw(few(ports(named=not ported)))
    return found


def icmp(number: int) -> st.SearchStrategy[Manifest]:
    """An ICMP type, with a code or without; at times nothing."""
    kinds = st.sampled_from((0, 3, 8) if number == 4 else (1, 128, 129))
    return st.fixed_dictionaries({"type": kinds}, optional={"code": st.sampled_from((0, 1, 4))})


def https() -> st.SearchStrategy[Manifest]:
    """An `http`: methods, paths, both or neither."""
    path = st.one_of(
        st.fixed_dictionaries({"exact": st.sampled_from(PATHS)}),
        st.fixed_dictionaries({"prefix": st.sampled_from(PATHS)}),
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "methods": st.lists(st.sampled_from(METHODS), max_size=2, unique=True),
            "paths": st.lists(path, max_size=2),
        },
    )


ACTIONS = ("Allow", "Allow", "Allow", "Deny", "Deny", "Pass", "Log")
PROTOCOLS = (
    None,
    None,
    "TCP",
    "TCP",
    "TCP",
    "UDP",
    "SCTP",
    "ICMP",
    "ICMPv6",
    6,
    17,
    1,
    "6",
    47,
    "UDPLite",
)


@st.composite
def rules(draw: Draw, direction: str, *, namespaced: bool = True) -> Manifest:
    """A rule, with whatever goes together in one."""
    action = draw(st.sampled_from(ACTIONS))
    protocol = draw(st.sampled_from(PROTOCOLS))
    family = {"ICMP": 4, "ICMPv6": 6}.get(str(protocol)) or draw(st.sampled_from((4, 4, 6)))
    rule: Manifest = {"action": action}
    if protocol is not None:
        rule["protocol"] = protocol
    if draw(st.integers(0, 11)) == 0:
        others = ("TCP", "UDP", "SCTP", 58 if family == 6 else 1, 47)
        rule["notProtocol"] = draw(st.sampled_from(others))
    if draw(st.integers(0, 9)) == 0:
        rule["ipVersion"] = family
    if protocol in ("ICMP", "ICMPv6"):
        for name, once_in in (("icmp", 2), ("notICMP", 4)):
            if draw(st.integers(1, once_in)) == 1:
                rule[name] = draw(icmp(family))
    peer, own = ("source", "destination") if direction == "ingress" else ("destination", "source")
    if draw(st.integers(0, 3)):
        rule[peer] = draw(entities(family, protocol, destination=peer == "destination"))
    if draw(st.integers(0, 2)) == 0:
        rule[own] = draw(entities(family, protocol, destination=own == "destination"))
    if draw(st.integers(0, 7)) == 0:
        service: Manifest = {"name": draw(st.sampled_from(SERVICES))}
        if not namespaced or draw(st.booleans()):
            service["namespace"] = draw(st.sampled_from(NAMESPACES[:2]))
        rule[peer] = {"services": service}
    elif direction == "egress" and action == "Allow" and draw(st.integers(0, 5)) == 0:
        kept = {k: v for k, v in rule.get(peer, {}).items() if k in ("ports", "notPorts")}
        domains = st.lists(st.sampled_from(OWN_DOMAINS), min_size=1, max_size=2, unique=True)
        rule[peer] = {**kept, "domains": draw(domains)}
    limited = direction == "ingress" and action == "Allow" and protocol in (None, "TCP")
    if limited and draw(st.integers(0, 2)) == 0:
        rule["http"] = draw(https())
    if draw(st.integers(0, 15)) == 0:
        rule["metadata"] = {"annotations": {"why": "x"}}
    return rule


# -- policies ------------------------------------------------------------------------------------


def manifest(draw: Draw, kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """Return an object in the form that users write, or now and then in the stored one."""
    metadata: Manifest = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    api = draw(st.sampled_from((USER, USER, USER, STORED)))
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


@st.composite
def policies(draw: Draw, name: str = "p", *, tiers: tuple[str, ...] = FIXED_TIERS) -> Manifest:
    """A NetworkPolicy or GlobalNetworkPolicy, enforced or (its kind tells) staged."""
    namespaced = draw(st.booleans())
    spec: Manifest = {}
    tier = draw(st.sampled_from(tiers))
    if tier != "default" or draw(st.booleans()):
        spec["tier"] = tier
    if draw(st.integers(0, 4)):
        spec["order"] = draw(st.sampled_from((1, 1, 999.5, 1000, 2000)))
    if draw(st.integers(0, 3)):
        spec["selector"] = draw(endpoint_selectors())
    if draw(st.integers(0, 7)) == 0:
        spec["serviceAccountSelector"] = draw(selectors(OF_ACCOUNTS))
    if not namespaced:
        if draw(st.integers(0, 4)) == 0:
            spec["namespaceSelector"] = draw(selectors(OF_NAMESPACES))
        spec |= draw(st.sampled_from(({}, {}, {}, {}, FORWARD, UNTRACKED, PRE_DNAT)))
    kinds = ("ingress",) if spec.get("preDNAT") else ("ingress", "egress")
    for section in kinds:
        if draw(st.integers(0, 3)):
            found = draw(st.lists(rules(section, namespaced=namespaced), min_size=1, max_size=4))
            spec[section] = found
    types = [kind.capitalize() for kind in kinds]
    if spec.get("preDNAT") or draw(st.integers(0, 2)) == 0:
        chosen = draw(st.lists(st.sampled_from(types), min_size=1, max_size=2, unique=True))
        spec["types"] = chosen
    if draw(st.integers(0, 15)) == 0:
        spec["performanceHints"] = ["AssumeNeededOnEveryNode"]
    kind = "NetworkPolicy" if namespaced else "GlobalNetworkPolicy"
    if draw(st.integers(0, 6)) == 0:
        kind = f"Staged{kind}"
        action = draw(st.sampled_from((None, "Set", "Set", "Delete", "Learn", "Ignore")))
        if action == "Delete":
            spec = {key: value for key, value in spec.items() if key == "tier"}
        if action:
            spec["stagedAction"] = action
        name = draw(st.sampled_from((name, "p0", "p1")))
    if draw(st.integers(0, 2)) == 0:
        name = f"{tier}.{name}"
    namespace = draw(st.sampled_from((*INHABITED, "ghost"))) if namespaced else ""
    return manifest(draw, kind, name, namespace, spec)


@st.composite
def staged_kubernetes_policies(draw: Draw) -> Manifest:
    """A StagedKubernetesNetworkPolicy, often of the name of one that is enforced."""
    plain = draw(network_policies(draw(st.sampled_from(("np0", "np1", "planned")))))
    spec = {**plain["spec"]}
    action = draw(st.sampled_from((None, "Set", "Delete", "Ignore")))
    if action == "Delete":
        spec = {}
    if action:
        spec["stagedAction"] = action
    return {**plain, "apiVersion": USER, "kind": "StagedKubernetesNetworkPolicy", "spec": spec}
