"""Hypothesis strategies for clusters of which most of the policies look above the port.

Those of `strategies` show every field now and then; few of their connections come to a rule with a
limit of layer 7, and fewer to several. Here there are few ports and few selectors, and many such
rules for the same destinations.
"""

from typing import Any

from hypothesis import strategies as st

from calico_strategies import USER, https
from cilium_strategies import NAMES, PATTERNS, http_rules, names
from policy_strategies import Draw, Manifest
from strategies import Situation

APPS = ("web", "db")
PORT = {"port": "80", "protocol": "TCP"}
LOOKUPS = ("UDP", "UDP", "TCP", "ANY")
Rules = st.SearchStrategy[list[Manifest]]


@st.composite
def clusters(draw: Draw) -> list[Manifest]:
    """Two namespaces with three pods between them."""
    found: list[Manifest] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("alpha", "beta")
    ]
    for number, namespace in enumerate(("alpha", "alpha", "beta")):
        labels = {"app": draw(st.sampled_from(APPS))} if number else {"app": "web"}
        container = {"name": "main", "image": "x", "ports": [{"containerPort": 80, "name": "http"}]}
        addresses = [{"ip": f"10.0.0.{number + 4}"}, {"ip": f"fd00::{number + 4}"}]
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"w{number}", "namespace": namespace, "labels": labels},
                "spec": {"containers": [container]},
                "status": {"phase": "Running", "podIPs": addresses[: draw(st.integers(1, 2))]},
            }
        )
    return found


@st.composite
def talkative(draw: Draw, cni: str) -> Situation:
    """A cluster on Calico or Cilium with one to four policies."""
    one = calico_policies if cni == "calico" else cilium_policies
    listed = [draw(one(f"p{number}")) for number in range(draw(st.integers(1, 4)))]
    if cni == "calico":
        tier = {"apiVersion": USER, "kind": "Tier", "metadata": {"name": "early"}}
        listed.append({**tier, "spec": {"order": 500}})
    return Situation(draw(clusters()), listed, cni)


# -- Calico --------------------------------------------------------------------------------------


@st.composite
def calico_rules(draw: Draw) -> Manifest:
    """A rule of ingress, which mostly allows, and then mostly some of HTTP alone."""
    action = draw(st.sampled_from(("Allow", "Allow", "Allow", "Allow", "Deny", "Pass", "Log")))
    rule: Manifest = {"action": action}
    if draw(st.integers(0, 3)):
        rule["protocol"] = "TCP"
        if draw(st.booleans()):
            rule["destination"] = {"ports": draw(st.sampled_from(([80], [80, 443], ["1:80"])))}
    if draw(st.integers(0, 2)) == 0:
        rule["source"] = {"selector": f"app == '{draw(st.sampled_from(APPS))}'"}
    if action == "Allow" and draw(st.integers(0, 4)):
        rule["http"] = draw(https())
    elif action != "Allow":
        # Otherwise little comes to what stands behind it.
        rule["source"] = {"selector": f"app == '{draw(st.sampled_from(APPS))}'"}
    return rule


@st.composite
def calico_policies(draw: Draw, name: str) -> Manifest:
    """A policy of either kind, in one of two tiers."""
    spec: Manifest = {
        "selector": draw(st.sampled_from(("all()", "app == 'web'"))),
        "order": draw(st.integers(1, 3)),
        "types": ["Ingress"],
        "ingress": draw(st.lists(calico_rules(), min_size=1, max_size=4)),
    }
    if draw(st.integers(0, 3)) == 0:
        spec["tier"] = "early"
    metadata: Manifest = {"name": name}
    namespaced = draw(st.booleans())
    if namespaced:
        metadata["namespace"] = "alpha"
    kind = "NetworkPolicy" if namespaced else "GlobalNetworkPolicy"
    return {"apiVersion": USER, "kind": kind, "metadata": metadata, "spec": spec}


# -- Cilium --------------------------------------------------------------------------------------


@st.composite
def to_ports(draw: Draw, *, egress: bool) -> Manifest:
    """An entry of `toPorts`: mostly with HTTP rules, else names of TLS or DNS, or plain."""
    match draw(st.integers(0, 7)):
        case 0:
            return {"ports": [PORT]}
        case 1:
            served = draw(st.lists(st.sampled_from((*NAMES, *PATTERNS)), min_size=1, max_size=2))
            return {"ports": [PORT], "serverNames": served}
        case 2 | 3 if egress:
            port = {"port": "53", "protocol": draw(st.sampled_from(LOOKUPS))}
            return {"ports": [port], "rules": {"dns": draw(few(names()))}}
        case _:
            return {"ports": [PORT], "rules": {"http": draw(few(http_rules()))}}


def few(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """One entry, two or three."""
    return st.lists(entries, min_size=1, max_size=3)


@st.composite
def cilium_rules(draw: Draw, section: str) -> Manifest:
    """A rule of one of the four sections; those that deny are narrow."""
    side = "from" if section.startswith("ingress") else "to"
    endpoints = [{"matchLabels": {"app": draw(st.sampled_from(APPS))}}]
    if section.endswith("Deny"):
        return {f"{side}Endpoints": endpoints, "toPorts": [{"ports": [PORT]}]}
    rule: Manifest = {}
    match draw(st.integers(0, 4)):
        case 0:
            rule[f"{side}Endpoints"] = endpoints
        case 1:
            entities = st.sampled_from(("all", "cluster", "world"))
            rule[f"{side}Entities"] = [draw(entities)]
        case 2 if side == "to":
            rule["toFQDNs"] = draw(few(names()))
    entries = to_ports(egress=side == "to")
    rule["toPorts"] = draw(st.lists(entries, min_size=1, max_size=2))
    if draw(st.integers(0, 7)) == 0:
        rule["authentication"] = {"mode": "required"}
    return rule


@st.composite
def cilium_policies(draw: Draw, name: str) -> Manifest:
    """A policy of either kind."""
    labels: Manifest = draw(st.sampled_from(({}, {"matchLabels": {"app": "web"}})))
    spec: Manifest = {"endpointSelector": labels}
    for section in ("ingress", "egress"):
        if draw(st.integers(0, 2)):
            spec[section] = draw(st.lists(cilium_rules(section), min_size=1, max_size=3))
        if draw(st.integers(0, 7)) == 0:
            spec[f"{section}Deny"] = [draw(cilium_rules(f"{section}Deny"))]
    if len(spec) == 1:
        spec["ingress"] = [draw(cilium_rules("ingress"))]
    metadata: Manifest = {"name": name}
    namespaced = draw(st.booleans())
    if namespaced:
        metadata["namespace"] = "alpha"
    kind = "CiliumNetworkPolicy" if namespaced else "CiliumClusterwideNetworkPolicy"
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec}
