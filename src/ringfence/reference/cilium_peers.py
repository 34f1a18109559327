"""The peers of a rule in Cilium's policies: endpoints, entities, blocks, services, nodes, names.

A rule has one sort of them; several of a sort are ORed.

Source: Cilium `pkg/policy/utils/parserules.go` mergeEndpointSelectors, `pkg/policy/api/
{ingress,egress,entity,service}.go`, `pkg/policy/api/rule_validation.go`, `pkg/policy/k8s/
service.go`, `Documentation/security/policy/layer3.rst`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ringfence.model.cluster import Node, Service
from ringfence.model.document import Path
from ringfence.model.label_space import CILIUM_NAMESPACE
from ringfence.model.profile import older_than
from ringfence.model.snapshot import Snapshot
from ringfence.reference import addresses, cilium_blocks, schema
from ringfence.reference.cilium_entities import entity, is_api_server
from ringfence.reference.cilium_labels import (
    ANY,
    Labels,
    Selector,
    equals,
    labels_of,
    labels_of_remote_node,
    peer_selector,
    read_selector,
)
from ringfence.reference.cilium_layer7 import read_names
from ringfence.reference.ends import Approach, Host, Outside
from ringfence.reference.outcome import NO, YES, Match, any_of, certain, perhaps
from ringfence.reference.schema import NotUnderstoodError

NODE_UNSURE = "the node of `{}` is not known"
GROUPS = "which addresses a cloud provider's groups have is not known"
NO_SERVICE = "no such Service is known, and a rule whose Services are none may mean any peer"
SERVICES_DENIED = "what `toServices` denies is left to the version of Cilium"
NO_LABELS = "the labels of the Service `{}` are not known"

WILDCARD = "*"
"""What the peer is kept under that is anyone."""


@dataclass(frozen=True)
class PeerEntry:
    """One selector of a rule's peers."""

    key: str
    """What Cilium keeps it under: entries of the same key and port are merged."""
    match: Match
    by_name: bool = False
    """Matches only names whose addresses Cilium's DNS proxy saw."""
    endpoints: bool = False
    """Of `fromEndpoints` or `toEndpoints`: further requirements apply to it, before 1.19."""


ANYONE = PeerEntry(WILDCARD, YES)


@dataclass(frozen=True)
class Section:
    """Where a rule stands, for what its peers may be."""

    ingress: bool
    denies: bool
    namespace: str
    """The policy's; empty for a clusterwide one."""

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields that hold peers, each with its sort."""
        way = "from" if self.ingress else "to"
        sorts = ["Endpoints", "CIDR", "CIDRSet", "Entities", "Nodes", "Groups"]
        if not self.ingress:
            sorts.append("Services")
            if not self.denies:
                sorts.append("FQDNs")
        return {way + sort: sort for sort in sorts}


def read_peers(
    given: dict[str, Any], path: Path, here: Approach, snapshot: Snapshot, section: Section
) -> list[PeerEntry] | None:
    """Return the peers of a rule; empty if it names none, None if it names nobody.

    A list of endpoints, nodes, entities or blocks that is there and empty means nobody; of any
    other sort it counts as not there. Services that are none may leave a rule with ports like one
    without peers. Only those that are allowed are looked up.

    Source: Cilium `pkg/policy/utils/parserules.go` mergeEndpointSelectors, issue 20067;
    `pkg/policy/k8s/service.go` processRule.

    Raises:
        NotUnderstoodError: something is not understood, or there are peers of several sorts.
    """
    found: list[PeerEntry] = []
    nobody = False
    filled = ""
    for field, sort in section.fields.items():
        if field not in given:
            continue
        at = (*path, field)
        listed = schema.items(given[field], at)
        if not listed:
            nobody = nobody or sort not in ("Groups", "Services", "FQDNs")
            continue
        if filled:
            raise NotUnderstoodError(f"has both `{filled}` and `{field}`", path)
        filled = field
        for index, entry in enumerate(listed):
            found += _peer(sort, entry, (*at, index), here, snapshot, section)
        if sort == "Services" and section.denies:
            found = [PeerEntry("services", perhaps(SERVICES_DENIED))]
        elif sort == "Services" and not found:
            found = [PeerEntry("services", perhaps(NO_SERVICE))]
    return None if nobody else found


def _peer(
    sort: str,
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    snapshot: Snapshot,
    section: Section,
) -> list[PeerEntry]:
    match sort:
        case "Endpoints":
            selector = peer_selector(read_selector(value, path), section.namespace)
            return [PeerEntry(_key(selector), endpoint(selector, here, snapshot), endpoints=True)]
        case "Entities":
            return [PeerEntry(key, match) for key, match in entity(value, path, here, snapshot)]
        case "CIDR":
            return [PeerEntry(*cilium_blocks.block(value, path, here, snapshot))]
        case "CIDRSet":
            return [PeerEntry(*cilium_blocks.block_set(value, path, here, snapshot))]
        case "Nodes":
            return [node(value, path, here)]
        case "Services":
            return service(value, path, here, snapshot)
        case "FQDNs":
            return [name(value, path, here, snapshot)]
        case _:
            return [group(value, path, here)]


def _key(selector: Selector) -> str:
    parts = [f"{c.source}:{c.key} {c.operator} {list(c.values)}" for c in selector.conditions]
    return " & ".join(sorted(parts)) or WILDCARD


def endpoint(selector: Selector, here: Approach, snapshot: Snapshot) -> Match:
    """Return whether a selector of endpoints selects the peer, whatever the peer is."""
    api_server = is_api_server(here.peer, here.family, snapshot)
    answers = {
        selector.selects(labels_of(here.peer, here, api_server=known))
        for known in ((True, False) if api_server.because else (api_server == YES,))
    }
    if len(answers) > 1:
        return replace(api_server)
    return certain(answers.pop())


def node(value: Any, path: Path, here: Approach) -> PeerEntry:  # noqa: ANN401
    """Return whether a selector of `fromNodes` or `toNodes` selects the peer: nodes by labels.

    It needs `enable-node-selector-labels`: without it Cilium rejects the policy.

    Source: Cilium `pkg/policy/api/rule_validation.go`
    (ErrFromToNodesRequiresNodeSelectorOption).

    Raises:
        NotUnderstoodError: it is not on, or the selector is none.
    """
    if not here.cilium.node_selectors:
        raise NotUnderstoodError("rejected without `enable-node-selector-labels`", path)
    selector = read_selector(value, path)
    # Only other nodes have an identity with labels: the subject's own is never meant.
    own = bool(here.one_node)
    matches = (
        NO
        if own
        else node_matches(
            selector, here.peer, here, lambda found: labels_of_remote_node(found, here)
        )
    )
    return PeerEntry(f"nodes: {_key(selector)}", matches)


def node_matches(
    selector: Selector, party: object, here: Approach, labels: Callable[[Node], Labels]
) -> Match:
    """Return whether a selector of nodes selects an end; perhaps, if it is not known which it is.

    Args:
        selector: as it was written.
        party: the end.
        here: the connection.
        labels: by what a node is selected.
    """
    if not isinstance(party, Host):
        return NO
    if party.node:
        return certain(selector.selects(labels(party.node)))
    candidates = [selector.selects(labels(found)) for found in here.nodes]
    if party.on_some_node and all(candidates):
        return YES
    if any(candidates) or not candidates:
        return perhaps(NODE_UNSURE.format(party.name))
    return NO


def name(value: Any, path: Path, here: Approach, snapshot: Snapshot) -> PeerEntry:  # noqa: ANN401
    """Return whether an entry of `toFQDNs` means the peer's domain name; an address it never does.

    Raises:
        NotUnderstoodError: it is none.
    """
    names = read_names(value, path, both=False)
    domain = here.peer.domain if isinstance(here.peer, Outside) else ""
    held = bool(domain) and names.match(domain, snapshot.profile.version)
    return PeerEntry(f"fqdn: {names}", certain(held), by_name=True)


def service(
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    snapshot: Snapshot,
) -> list[PeerEntry]:
    """Return what an entry of `toServices` means: the pods, or the addresses, behind Services.

    `k8sServiceSelector` selects them by their labels, `k8sService` names one; without a namespace
    each means every namespace. What a Service with a selector selects is meant as endpoints; what
    stands behind one without is meant as blocks, which match no pods.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    given = schema.fields(value, path, ("k8sService", "k8sServiceSelector"))
    if not given:
        raise NotUnderstoodError("must have one of k8sService, k8sServiceSelector", path)
    unsure: list[str] = []
    if "k8sService" in given:
        at = (*path, "k8sService")
        by_name = schema.fields(given["k8sService"], at, ("serviceName", "namespace"))
        wanted = schema.text(by_name.get("serviceName", ""), (*at, "serviceName"))
        space = schema.text(by_name.get("namespace", ""), (*at, "namespace"))
        services = [s for s in snapshot.services if s.name == wanted]
    else:
        services, space = list(snapshot.services), ""
    if "k8sServiceSelector" in given:
        at = (*path, "k8sServiceSelector")
        by_label = schema.fields(given["k8sServiceSelector"], at, ("selector", "namespace"))
        space = schema.text(by_label.get("namespace", ""), (*at, "namespace"))
        selector = read_selector(schema.required(by_label, "selector", at), (*at, "selector"))
        services = []
        for found in snapshot.services:
            if space not in ("", found.namespace):
                continue
            if found.labels is None and selector.conditions:
                unsure.append(NO_LABELS.format(found.ref))
            elif _has(found, selector):
                services.append(found)
    services = [found for found in services if space in ("", found.namespace)]
    entries = [
        _behind(found, here, snapshot)
        for found in services
        if found.selector is not None or found.backends
    ]
    entries += [PeerEntry("services", perhaps(why)) for why in unsure]
    return entries


def _has(found: Service, selector: Selector) -> bool:
    """Return whether a Service has the labels; where they are from is of no account."""
    any_source = Selector(tuple(replace(c, source=ANY) for c in selector.conditions))
    return any_source.selects({("k8s", key): value for key, value in (found.labels or {}).items()})


def _behind(found: Service, here: Approach, snapshot: Snapshot) -> PeerEntry:
    if found.selector is not None:
        labels = {r.key: r.values[0] for r in found.selector.requirements if r.values}
        conditions = [equals(key, value, ANY) for key, value in sorted(labels.items())]
        selector = Selector((*conditions, equals(CILIUM_NAMESPACE, found.namespace)))
        return PeerEntry(_key(selector), endpoint(selector, here, snapshot))
    blocks = [
        addresses.read_cidr(f"{b.address}/{128 if ':' in b.address else 32}", ())
        for b in found.backends
    ]
    match = any_of([addresses.block_matches(block, [], here) for block in blocks])
    return PeerEntry(f"service: {found.ref}", match)


def group(value: Any, path: Path, here: Approach) -> PeerEntry:  # noqa: ANN401
    """Return whether a cloud provider's group may hold the peer: it stands for blocks.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    given = schema.fields(value, path, ("aws",))
    at = (*path, "aws")
    known = ("labels", "region", "securityGroupsIds", "securityGroupsNames")
    aws = schema.fields(schema.required(given, "aws", path), at, known)
    schema.text(aws.get("region", ""), (*at, "region"))
    for key in ("securityGroupsIds", "securityGroupsNames"):
        for index, entry in enumerate(schema.items(aws.get(key), (*at, key))):
            schema.text(entry, (*at, key, index))
    whole = addresses.read_cidr("0.0.0.0/0" if here.family == 4 else "::/0", ())
    reachable = addresses.block_matches(whole, [], here)
    return PeerEntry(f"groups: {aws}", NO if reachable == NO else perhaps(GROUPS))


def requirement(
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    snapshot: Snapshot,
    section: Section,
) -> list[Match]:
    """Return whether the peer meets each entry of `fromRequires` or `toRequires`.

    They are gone from 1.19 on, where a list of them must be empty.

    Raises:
        NotUnderstoodError: there are any, and Cilium rejects them.
    """
    listed = schema.items(value, path)
    if listed and not older_than(snapshot.profile.version, 1, 19):
        raise NotUnderstoodError("is gone from Cilium 1.19 on", path)
    return [
        endpoint(
            peer_selector(read_selector(entry, (*path, index)), section.namespace), here, snapshot
        )
        for index, entry in enumerate(listed)
    ]
