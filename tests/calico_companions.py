"""Hypothesis strategies for what Calico's policies refer to, and for all of it together."""

from hypothesis import strategies as st

from calico_strategies import (
    ACCOUNT_LABELS,
    FIXED_TIERS,
    HOST_LABELS,
    NETS,
    OWN_DOMAINS,
    TIERS,
    manifest,
    policies,
    rules,
    staged_kubernetes_policies,
)
from policy_strategies import (
    DOMAINS,
    NAMESPACES,
    POD_LABELS,
    PORT_NAMES,
    PORTS,
    Draw,
    Manifest,
    few,
    spoiled,
)

SERVICES = ("front", "back", "bare")


@st.composite
def tiers(draw: Draw) -> list[Manifest]:
    """The custom tiers, and at times one that is always there."""
    found = []
    for name, order in TIERS.items():
        spec: Manifest = {} if order is None else {"order": order}
        if draw(st.booleans()):
            spec["defaultAction"] = draw(st.sampled_from(("Pass", "Deny")))
        found.append(manifest(draw, "Tier", name, "", spec))
    if draw(st.integers(0, 5)) == 0:
        found.append(manifest(draw, "Tier", "default", "", {"order": 1_000_000}))
    return found


def host_labels() -> st.SearchStrategy[dict[str, str]]:
    """The labels of a host endpoint or a network set, each of which may be missing."""
    return st.fixed_dictionaries(
        {}, optional={key: st.sampled_from(values) for key, values in HOST_LABELS.items()}
    )


@st.composite
def network_sets(draw: Draw, name: str) -> Manifest:
    """A NetworkSet or GlobalNetworkSet; bare addresses and host bits are allowed here."""
    written = st.sampled_from((*NETS, "10.0.0.5", "203.0.113.9", "10.0.0.7/24", "0.0.0.0/0"))
    spec: Manifest = {"nets": draw(st.lists(written, max_size=2))}
    if draw(st.integers(0, 2)) == 0:
        spec["allowedEgressDomains"] = draw(few(st.sampled_from((*DOMAINS, *OWN_DOMAINS))))
    namespaced = draw(st.booleans())
    kind = "NetworkSet" if namespaced else "GlobalNetworkSet"
    namespace = draw(st.sampled_from(NAMESPACES)) if namespaced else ""
    found = manifest(draw, kind, name, namespace, spec)
    found["metadata"]["labels"] = draw(host_labels())
    return found


@st.composite
def host_endpoints(draw: Draw, name: str) -> Manifest:
    """A HostEndpoint of all interfaces or of one, with addresses or without."""
    spec: Manifest = {"node": draw(st.sampled_from(("n1", "n1", "n2", "n9")))}
    interface = draw(st.sampled_from(("*", "*", "*", "eth0", None)))
    if interface:
        spec["interfaceName"] = interface
    if not interface or draw(st.booleans()):
        known = ("10.0.0.4", "10.0.0.5", "192.168.0.1", "10.1.0.1", "2001:db8::1", "fd00::5")
        spec["expectedIPs"] = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
    if draw(st.booleans()):
        names = ("projectcalico-default-allow", "own", "other", "kns.alpha", "absent")
        spec["profiles"] = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    if draw(st.integers(0, 2)) == 0:
        port = st.fixed_dictionaries(
            {
                "name": st.sampled_from(PORT_NAMES),
                "protocol": st.sampled_from(("TCP", "UDP")),
                "port": st.sampled_from(PORTS),
            }
        )
        spec["ports"] = draw(st.lists(port, max_size=2))
    found = manifest(draw, "HostEndpoint", name, "", spec)
    found["metadata"]["labels"] = draw(host_labels())
    return found


@st.composite
def profiles(draw: Draw, name: str) -> Manifest:
    """A Profile: rules, and labels for what has it."""
    spec: Manifest = {}
    for section in ("ingress", "egress"):
        if draw(st.integers(0, 2)):
            spec[section] = draw(few(rules(section, namespaced=False)))
    if not name.startswith("k") and draw(st.booleans()):
        spec["labelsToApply"] = draw(host_labels())
    return manifest(draw, "Profile", name, "", spec)


@st.composite
def documents(draw: Draw, *, sound: bool = False) -> list[Manifest]:
    """Tiers, one to five policies, and at times all that these may refer to.

    Args:
        draw: given by Hypothesis.
        sound: whether all of them are well-formed; else a part of one is malformed now and then.
    """
    found = draw(tiers())
    custom = (*FIXED_TIERS, *TIERS, *TIERS)
    for number in range(draw(st.integers(1, 5))):
        found.append(draw(policies(f"p{number}", tiers=custom)))
    if draw(st.integers(0, 5)) == 0:
        found.append(draw(staged_kubernetes_policies()))
    found += [draw(network_sets(f"s{n}")) for n in range(draw(st.integers(0, 2)))]
    if draw(st.integers(0, 2)) == 0:
        found += [draw(host_endpoints(f"h{n}")) for n in range(draw(st.integers(1, 2)))]
    names = ("own", "other", "kns.alpha", "ksa.alpha.robot", "projectcalico-default-allow")
    if draw(st.integers(0, 3)) == 0:
        chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        found += [draw(profiles(name)) for name in chosen]
    distinct = {
        (m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]): m for m in found
    }
    found = list(distinct.values())
    if not sound and draw(st.integers(0, 4)) == 0:
        number = draw(st.integers(0, len(found) - 1))
        found[number] = draw(spoiled(found[number]))
    return found


@st.composite
def surroundings(draw: Draw) -> list[Manifest]:
    """ServiceAccounts with labels, and Services with a selector or with addresses."""
    found: list[Manifest] = []
    for namespace in NAMESPACES[:2]:
        if draw(st.booleans()):
            labels = {k: draw(st.sampled_from(v)) for k, v in ACCOUNT_LABELS.items()}
            metadata = {"name": "robot", "namespace": namespace, "labels": labels}
            found.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    for name in SERVICES:
        if draw(st.booleans()):
            found += draw(services(name))
    return found


@st.composite
def services(draw: Draw, name: str) -> list[Manifest]:
    """A Service, and an EndpointSlice where it selects nothing."""
    namespace = draw(st.sampled_from(NAMESPACES[:2]))
    targets: list[int | str] = [80, 443, 8000, "http", "metrics"]
    listed = []
    for number in range(draw(st.integers(1, 2))):
        target = draw(st.sampled_from(targets))
        port = {"name": f"p{number}", "port": 80 + number, "targetPort": target}
        listed.append({**port, "protocol": draw(st.sampled_from(("TCP", "UDP")))})
    spec: Manifest = {"ports": listed}
    if name != "bare":
        key = draw(st.sampled_from(("app", "tier")))
        spec["selector"] = {key: draw(st.sampled_from(POD_LABELS[key]))}
    metadata = {"name": name, "namespace": namespace}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    if name != "bare":
        return [service]
    known = st.sampled_from(("203.0.113.9", "10.0.0.5", "192.168.0.1"))
    addresses = draw(st.lists(known, max_size=2, unique=True))
    labels = {"kubernetes.io/service-name": name}
    endpoints = [{"addresses": [address]} for address in addresses]
    ports_of = [{"name": "p0", "port": draw(st.sampled_from(PORTS)), "protocol": "TCP"}]
    slice_: Manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports_of,
    }
    return [service, slice_]
