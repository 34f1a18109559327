"""AdminNetworkPolicy and BaselineAdminNetworkPolicy `policy.networking.k8s.io/v1alpha1`.

Source: network-policy-api `apis/v1alpha1/adminnetworkpolicy_types.go` (ANP),
`baselineadminnetworkpolicy_types.go` (BANP), `shared_types.go` (SHARED), and the
`config/crd/experimental` that validate them.
"""

from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.rule import Direction
from ringfence.reference import cluster_rules, peers, ports, schema
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import Match, Outcome, Selected
from ringfence.reference.schema import NotUnderstoodError

API_VERSIONS = ("policy.networking.k8s.io/v1alpha1",)
BASELINE_ACTIONS = {"Allow": Outcome.ALLOW, "Deny": Outcome.DENY}
ADMIN_ACTIONS = {**BASELINE_ACTIONS, "Pass": Outcome.PASS}
MOST = 100
"""The most rules of a direction, peers of a rule and ports of a rule."""

_BASELINE_EGRESS = (*peers.INGRESS_PEERS, "networks", "nodes")
_ADMIN_EGRESS = (*_BASELINE_EGRESS, "domainNames")


def select_admin(document: Document, pod: OwnPod) -> Selected | None:
    """Return the AdminNetworkPolicy if its subject selects the pod; priority 0 to 1000.

    A direction without rules is not affected at all.

    Source: ANP AdminNetworkPolicySpec.

    Raises:
        NotUnderstoodError: whether it does, or where the policy stands, cannot be told.
    """
    if not _selects(document, pod):
        return None
    spec, at = document.body["spec"], ("spec",)
    schema.fields(document.body, (), cluster_rules.TOP_LEVEL)
    schema.fields(spec, at, ("priority", "subject", "ingress", "egress"))
    return Selected(
        document=document,
        sections=cluster_rules.sections(spec, at, MOST),
        read_rule=read_admin_rule,
        possible_actions=lambda value: cluster_rules.possible_actions(value, ADMIN_ACTIONS),
        priority=schema.integer(spec.get("priority"), (*at, "priority"), 0, 1000),
    )


def select_baseline(document: Document, pod: OwnPod) -> Selected | None:
    """Return the BaselineAdminNetworkPolicy if its subject selects the pod.

    There is one in a cluster, and its name is `default`; it has no priority.

    Source: BANP (XValidation of `metadata.name`), BaselineAdminNetworkPolicySpec.

    Raises:
        NotUnderstoodError: whether it does cannot be told, or it would be rejected.
    """
    if not _selects(document, pod):
        return None
    spec, at = document.body["spec"], ("spec",)
    schema.fields(document.body, (), cluster_rules.TOP_LEVEL)
    if document.name != "default":
        raise NotUnderstoodError("must be named `default`", ("metadata", "name"))
    schema.fields(spec, at, ("subject", "ingress", "egress"))
    return Selected(
        document=document,
        sections=cluster_rules.sections(spec, at, MOST),
        read_rule=read_baseline_rule,
        possible_actions=lambda value: cluster_rules.possible_actions(value, BASELINE_ACTIONS),
    )


def _selects(document: Document, pod: OwnPod) -> bool:
    """Return whether the subject selects the pod; of `pods` both selectors must be there.

    Source: SHARED AdminNetworkPolicySubject, NamespacedPod.
    """
    spec = cluster_rules.spec_of(document, API_VERSIONS)
    at: Path = ("spec", "subject")
    return cluster_rules.subject(spec.get("subject"), at, pod, namespace_needed=True)


def read_admin_rule(value: Any, path: Path, here: Approach) -> tuple[Match, Outcome]:  # noqa: ANN401
    """Return whether a rule of an AdminNetworkPolicy matches, and its action.

    Source: ANP AdminNetworkPolicyIngressRule, AdminNetworkPolicyEgressRule.

    Raises:
        NotUnderstoodError: something in the rule is not understood.
    """
    return _read_rule(value, path, here, ADMIN_ACTIONS, _ADMIN_EGRESS)


def read_baseline_rule(value: Any, path: Path, here: Approach) -> tuple[Match, Outcome]:  # noqa: ANN401
    """Return whether a rule of the baseline matches, and its action: no Pass, no domain names.

    Source: BANP BaselineAdminNetworkPolicyIngressRule, BaselineAdminNetworkPolicyEgressRule.

    Raises:
        NotUnderstoodError: something in the rule is not understood.
    """
    return _read_rule(value, path, here, BASELINE_ACTIONS, _BASELINE_EGRESS)


def _read_rule(
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    actions: dict[str, Outcome],
    egress_peers: tuple[str, ...],
) -> tuple[Match, Outcome]:
    """Return whether a rule matches, any of its peers AND any of its ports, and its action.

    Peers must be given, at least one. Without `ports`: all traffic. A peer in which no field is
    known makes the rule fail closed.

    Raises:
        NotUnderstoodError: something in the rule is not understood.
    """
    side = cluster_rules.SIDES[here.direction]
    given = schema.fields(value, path, ("name", "action", side, "ports"))
    schema.text(given.get("name", ""), (*path, "name"), 100)
    action = actions[schema.choice(given.get("action"), (*path, "action"), actions)]
    at = (*path, side)
    entries = schema.some(given.get(side), at, MOST)
    known = peers.INGRESS_PEERS if here.direction is Direction.INGRESS else egress_peers
    found = [
        peers.peer(entry, (*at, index), here, known, namespace_needed=True)
        for index, entry in enumerate(entries)
    ]
    at = (*path, "ports")
    wanted = schema.items(given.get("ports"), at, MOST)
    traffic = [port(entry, (*at, index), here) for index, entry in enumerate(wanted)]
    cluster_rules.forbid_names_without_pods(entries, wanted, "namedPort", path)
    cluster_rules.forbid_domain_names(entries, action, here, path)
    return cluster_rules.fail_closed(found, traffic, action)


def port(value: Any, path: Path, here: Approach) -> bool:  # noqa: ANN401
    """Return whether one entry of `ports` matches the connection.

    Exactly one of `portNumber`, `portRange` and `namedPort`; the first two are of a protocol,
    TCP if none is given; a name is that of a container port of whatever protocol.

    Source: SHARED AdminNetworkPolicyPort, Port, PortRange.

    Raises:
        NotUnderstoodError: something in the entry is not understood.
    """
    key, content = schema.only(value, path, ("portNumber", "portRange", "namedPort"))
    at = (*path, key)
    if key == "namedPort":
        if not schema.text(content, at):
            raise NotUnderstoodError("must not be empty", at)
        return ports.is_named_port(content, None, here)
    numbers = ("port",) if key == "portNumber" else ("start", "end")
    given = schema.fields(content, at, ("protocol", *numbers))
    wanted = ports.protocol(given.get("protocol", Protocol.TCP), (*at, "protocol"))
    if key == "portNumber":
        number = ports.port_number(schema.required(given, "port", at), (*at, "port"))
        return here.protocol == wanted and here.port == number
    return cluster_rules.in_range(given, at, here) and here.protocol == wanted
