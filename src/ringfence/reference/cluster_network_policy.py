"""ClusterNetworkPolicy `policy.networking.k8s.io/v1alpha2`, clause by clause.

Source: network-policy-api `apis/v1alpha2/clusternetworkpolicy_types.go` (NPA) and
`config/crd/experimental`, which validates it.
"""

from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.reference import cluster_rules, peers, ports, schema
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import Match, Outcome, Selected
from ringfence.reference.schema import NotUnderstoodError

API_VERSIONS = ("policy.networking.k8s.io/v1alpha2",)
ACTIONS = {"Accept": Outcome.ALLOW, "Deny": Outcome.DENY, "Pass": Outcome.PASS}
MOST = 25
"""The most rules of a direction, peers of a rule and protocols of a rule."""

PEERS = {
    Direction.INGRESS: peers.INGRESS_PEERS,
    Direction.EGRESS: (*peers.INGRESS_PEERS, "networks", "nodes", "domainNames"),
}
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}


def select(document: Document, pod: OwnPod) -> Selected | None:
    """Return the policy if its subject selects the pod.

    The tier is Admin or Baseline; the priority 0 to 1000, lower first. A direction without rules
    is not affected at all: nothing is isolated.

    Source: NPA ClusterNetworkPolicySpec.

    Raises:
        NotUnderstoodError: whether it does, or where the policy stands, cannot be told.
    """
    if not selects(document, pod):
        return None
    spec, at = document.body["spec"], ("spec",)
    schema.fields(document.body, (), cluster_rules.TOP_LEVEL)
    schema.fields(spec, at, ("tier", "priority", "subject", "ingress", "egress"))
    tier = schema.choice(spec.get("tier"), (*at, "tier"), ("Admin", "Baseline"))
    return Selected(
        document=document,
        sections=cluster_rules.sections(spec, at, MOST),
        read_rule=read_rule,
        possible_actions=lambda value: cluster_rules.possible_actions(value, ACTIONS),
        priority=schema.integer(spec.get("priority"), (*at, "priority"), 0, 1000),
        baseline=tier == "Baseline",
    )


def selects(document: Document, pod: OwnPod) -> bool:
    """Return whether the policy's subject selects the pod, however the rest of it reads.

    Raises:
        NotUnderstoodError: that cannot be told.
    """
    spec = cluster_rules.spec_of(document, API_VERSIONS)
    at: Path = ("spec", "subject")
    return cluster_rules.subject(spec.get("subject"), at, pod, namespace_needed=False)


def read_rule(value: Any, path: Path, here: Approach) -> tuple[Match, Outcome]:  # noqa: ANN401
    """Return whether a rule matches, any of its peers AND any of its protocols, and its action.

    Peers must be given, at least one. Without `protocols`: all traffic, ICMP included. A peer in
    which no field is known makes the rule fail closed. Calico implements the standard channel
    alone: a named port, which that does not have, makes the whole rule fail closed.

    Source: NPA ClusterNetworkPolicyIngressRule, ClusterNetworkPolicyEgressRule; Calico
    `conversion/clusternetworkpolicy.go` k8sCNPPortToCalicoFields.

    Raises:
        NotUnderstoodError: something in the rule is not understood.
    """
    side = cluster_rules.SIDES[here.direction]
    given = schema.fields(value, path, ("name", "action", side, "protocols"))
    schema.text(given.get("name", ""), (*path, "name"), 100)
    action = ACTIONS[schema.choice(given.get("action"), (*path, "action"), ACTIONS)]
    at = (*path, side)
    entries = schema.some(given.get(side), at, MOST)
    known = PEERS[here.direction]
    found = [
        peers.peer(entry, (*at, index), here, known, namespace_needed=False)
        for index, entry in enumerate(entries)
    ]
    at = (*path, "protocols")
    wanted = schema.items(given.get("protocols"), at, MOST)
    traffic = [protocol(entry, (*at, index), here) for index, entry in enumerate(wanted)]
    cluster_rules.forbid_names_without_pods(entries, wanted, "destinationNamedPort", path)
    cluster_rules.forbid_domain_names(entries, action, here, path)
    unsupported = here.cni is Cni.CALICO and cluster_rules.has(wanted, "destinationNamedPort")
    return cluster_rules.fail_closed(found, traffic, action, unsupported=unsupported)


def protocol(value: Any, path: Path, here: Approach) -> bool:  # noqa: ANN401
    """Return whether one entry of `protocols` matches the connection.

    Exactly one of `tcp`, `udp`, `sctp` and `destinationNamedPort`. A protocol without
    `destinationPort` means all its ports: the schema rejects `tcp: {}`, yet every implementation
    reads it so. A name is that of a container port of whatever protocol.

    Source: NPA ClusterNetworkPolicyProtocol; KNP matchPort.

    Raises:
        NotUnderstoodError: something in the entry is not understood.
    """
    key, content = schema.only(value, path, (*_PROTOCOLS, "destinationNamedPort"))
    at = (*path, key)
    if key == "destinationNamedPort":
        if not schema.text(content, at):
            raise NotUnderstoodError("must not be empty", at)
        return ports.is_named_port(content, None, here)
    given = schema.fields(content, at, ("destinationPort",))
    right = here.protocol == _PROTOCOLS[key]
    if "destinationPort" not in given:
        return right
    return destination_port(given["destinationPort"], (*at, "destinationPort"), here) and right


def destination_port(value: Any, path: Path, here: Approach) -> bool:  # noqa: ANN401
    """Return whether the connection's port is a `number` or in a `range`: exactly one of them.

    Source: NPA Port.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    key, content = schema.only(value, path, ("number", "range"))
    at = (*path, key)
    if key == "number":
        return here.port == ports.port_number(content, at)
    given = schema.fields(content, at, ("start", "end"))
    return cluster_rules.in_range(given, at, here)
