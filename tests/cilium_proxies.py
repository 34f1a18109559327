"""Policies that send the same peers and ports to Cilium's proxies and past them, and what to ask.

Drawn from few peers, ports and kinds, so that most of them meet.
"""

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from cilium_requests import HEADERS, HOSTS, NAMES, http_request, plain_request
from cilium_strategies import LISTENER, SIDES
from every_connection import outside_ends, pod_ends
from policy_strategies import Draw, Manifest, few
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.snapshot import Snapshot

AGENT = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"namespace": "kube-system", "name": "cilium"},
}
VERSIONS = ("v1.16.4", "v1.17.1", "v1.18.3", "v1.19.4", "v1.20.1", "v1.20.1")
WHO: dict[str, tuple[tuple[str, Any], ...]] = {
    "ingress": (
        ("", None),
        ("Endpoints", {}),
        ("Endpoints", {"matchLabels": {"app": "web"}}),
        ("Entities", "all"),
        ("Entities", "cluster"),
        ("Entities", "kube-apiserver"),
        ("CIDRSet", {"cidrGroupRef": "nowhere"}),
    ),
    "egress": (
        ("", None),
        ("Endpoints", {}),
        ("Entities", "world"),
        ("Entities", "kube-apiserver"),
        ("CIDR", "10.0.0.0/8"),
        ("CIDR", "0.0.0.0/0"),
        ("FQDNs", {"matchPattern": "*"}),
    ),
}
PORTS: tuple[Manifest, ...] = (
    {"port": "80"},
    {"port": "80"},
    {"port": "80", "endPort": 81},
    {"port": "79", "endPort": 90},
    {"port": "http"},
)
"""Of which some elements have one by the name."""


@st.composite
def entries(draw: Draw, section: str) -> Manifest:
    """An entry of `toPorts`, limited or not."""
    port = dict(draw(st.sampled_from(PORTS)))
    kind = draw(st.sampled_from(("plain", "plain", "all", "http", "http", "tls", "dns", "crd")))
    if section == "ingress" and kind in {"dns", "crd"}:
        kind = "http"
    port["protocol"] = "TCP"
    if kind in {"plain", "dns"}:
        port["protocol"] = draw(st.sampled_from(("TCP", "UDP", "ANY")))
    entry: Manifest = {"ports": [port]}
    match kind:
        case "all":
            entry["ports"] = [{"port": "0", "protocol": "TCP"}]
        case "http":
            rule = draw(st.sampled_from(({"method": "GET"}, {"path": "/public"}, {}, SECRET)))
            entry["rules"] = {"http": [rule]}
        case "tls":
            entry["serverNames"] = draw(few(st.sampled_from(NAMES[:2])))
        case "dns":
            port.pop("endPort", None)
            entry["rules"] = {"dns": [draw(st.sampled_from(({"matchName": NAMES[0]}, EVERY)))]}
        case "crd" if draw(st.integers(0, 3)) == 0:
            entry["listener"] = LISTENER
    return entry


EVERY = {"matchPattern": "*"}
SECRET = {"headerMatches": [{"name": "x-team", "secret": {"namespace": "alpha", "name": "token"}}]}


@st.composite
def rules(draw: Draw, section: str) -> Manifest:
    """A rule for few peers and ports."""
    found: Manifest = {}
    sort, peer = draw(st.sampled_from(WHO[section]))
    if sort:
        found[SIDES[section] + sort] = [peer]
    if not sort or draw(st.integers(0, 5)):
        found["toPorts"] = [draw(entries(section))]
    if draw(st.integers(0, 9)) == 0:
        found["authentication"] = {"mode": draw(st.sampled_from(("required", "disabled")))}
    return found


@st.composite
def proxied_policies(draw: Draw) -> list[Manifest]:
    """Policies for all pods, of which the rules meet; at times a NetworkPolicy among them."""
    found: list[Manifest] = []
    section = draw(st.sampled_from(("ingress", "egress")))
    for number in range(draw(st.integers(1, 2))):
        spec: Manifest = {"endpointSelector": {}}
        spec[section] = draw(st.lists(rules(section), min_size=1, max_size=3))
        if draw(st.integers(0, 3)) == 0:
            spec["enableDefaultDeny"] = {section: False}
        if draw(st.integers(0, 9)) == 0:
            spec[f"{section}Deny"] = [{"toPorts": [{"ports": [{"port": "81"}]}]}]
        found.append(
            {
                "apiVersion": "cilium.io/v2",
                "kind": "CiliumClusterwideNetworkPolicy",
                "metadata": {"name": f"cp{number}"},
                "spec": spec,
            }
        )
    if draw(st.integers(0, 3)) == 0:
        listed = ({"port": 80}, {"port": 80, "protocol": "UDP"}, {"port": "http"})
        port = draw(st.sampled_from(listed))
        found.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"namespace": "alpha", "name": "np"},
                "spec": {
                    "podSelector": {},
                    "policyTypes": [section.capitalize()],
                    section: draw(st.sampled_from(([{}], [{"ports": [port]}]))),
                },
            }
        )
    return found


@st.composite
def agents(draw: Draw) -> Manifest:
    """The agent, from the image of which its version is read."""
    image = f"quay.io/cilium/cilium:{draw(st.sampled_from(VERSIONS))}"
    pod = {"hostNetwork": True, "containers": [{"name": "cilium-agent", "image": image}]}
    labels = {"k8s-app": "cilium"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return AGENT | {"spec": {"selector": {"matchLabels": labels}, "template": template}}


def said() -> list[Request]:
    """Return what may be said above the port."""
    found = [plain_request(authenticated=one) for one in (False, True)]
    found += [plain_request(dns=name) for name in NAMES[:2]]
    found += [plain_request(sni=name) for name in NAMES[:2]]
    found += [http_request("POST", "/b", HOSTS[0], headers) for headers in HEADERS[:2]]
    return [*found, http_request("GET", "/public", HOSTS[0], ())]


def asked(snapshot: Snapshot, most: int) -> Iterator[Connection]:
    """Yield questions about the ports that the policies are for."""
    rng = random.Random(7)
    pods, others = pod_ends(snapshot, single=False), outside_ends(snapshot)
    for _ in range(most if pods else 0):
        pod, other = rng.choice(pods), rng.choice([*pods, *others])
        ends = (pod, other) if rng.random() < 0.5 else (other, pod)
        protocol = rng.choice((Protocol.TCP, Protocol.TCP, Protocol.UDP))
        request = rng.choice([ANYTHING, *said()])
        if protocol is Protocol.UDP and (request.http or request.sni):
            request = plain_request()
        port = rng.choice((80, 80, 80, 81, 85, 8080))
        yield Connection(ends[0], ends[1], protocol, port, request=request)
