"""Who Calico's selectors select: pods, host endpoints and network sets, by their labels.

A selector of a rule is a set of addresses: those of the pods and host endpoints that it selects,
and the blocks of the network sets. Whatever has one of these addresses matches.

Source: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go` (CONV),
`felix/labelindex/named_port_index.go` (INDEX).
"""

import ipaddress
from dataclasses import dataclass, replace

from ringfence.model import label_space
from ringfence.model.snapshot import Snapshot
from ringfence.reference import addresses
from ringfence.reference.calico_objects import (
    HostEndpoint,
    Labelled,
    host_endpoints,
    namespace_labels,
    network_sets,
)
from ringfence.reference.calico_selectors import Selector
from ringfence.reference.ends import Approach, Host, Network, Outside, OwnPod, Party
from ringfence.reference.outcome import NO, YES, Match, any_of, perhaps


@dataclass(frozen=True)
class Known:
    """All that has labels, read once for a question."""

    snapshot: Snapshot
    sets: tuple[Labelled, ...]
    hosts: tuple[HostEndpoint, ...]


def known(snapshot: Snapshot) -> Known:
    """Return all that has labels."""
    return Known(snapshot, tuple(network_sets(snapshot)), tuple(host_endpoints(snapshot)))


def pod_labels(snapshot: Snapshot, pod: OwnPod) -> dict[str, str]:
    """Return the labels by which Calico knows a pod; its own win over inherited ones.

    Source: CONV podToDefaultWorkloadEndpoint, ServiceAccountToProfile; Felix
    `labelindex` (an item's own labels win over its parents').
    """
    prefix = label_space.CALICO_SERVICE_ACCOUNT_PREFIX
    inherited = namespace_labels(snapshot, pod.namespace)
    for account in snapshot.service_accounts:
        if (account.namespace, account.name) == (pod.namespace, pod.service_account):
            inherited |= {prefix + key: value for key, value in account.labels.items()}
    if pod.service_account:
        inherited[prefix + label_space.CALICO_NAME] = pod.service_account
    return {
        **inherited,
        **pod.labels,
        label_space.CALICO_NAMESPACE: pod.namespace,
        label_space.CALICO_ORCHESTRATOR: "k8s",
        **(
            {label_space.CALICO_SERVICE_ACCOUNT: pod.service_account} if pod.service_account else {}
        ),
    }


def lies_in(nets: tuple[Network, ...], party: Party, here: Approach) -> Match:
    """Return whether a party's address lies in any of several blocks."""
    return addresses.any_matches(nets, replace(here, peer=party))


def is_domain(party: Party, patterns: tuple[str, ...]) -> bool:
    """Return whether a party is a domain of one of several names.

    `*` stands for one or more components, wherever it stands: `*.google.com` is www.google.com
    and www.ipv6.google.com, and never google.com.

    Source: docs.tigera.io, domain-based policy, "Domain name matching".
    """
    if not isinstance(party, Outside) or not party.domain:
        return False
    name = party.domain.lower().removesuffix(".").split(".")
    for pattern in patterns:
        before, star, after = (part.strip(".") for part in pattern.partition("*"))
        head, tail = ([*text.split(".")] if text else [] for text in (before, after))
        if not star and name == head:
            return True
        spare = len(name) - len(head) - len(tail)
        if star and spare >= 1 and name[: len(head)] == head and name[len(head) + spare :] == tail:
            return True
    return False


def selected(
    selector: Selector, party: Party, here: Approach, all_: Known, *, names: bool
) -> Match:
    """Return whether a party has an address, or a name, among those that a selector stands for.

    A host endpoint has the addresses that are expected of it; one without any has none here.

    Args:
        selector: what the labels must meet.
        party: whose address it is.
        here: the connection.
        all_: what has labels.
        names: whether the domain names of network sets count.

    Source: INDEX UpdateEndpointOrSet, extractCIDRsFromHostEndpoint; `v3/policy_common.go`
    EntityRule.Selector.
    """
    found = [NO]
    if isinstance(party, OwnPod) and selector(pod_labels(all_.snapshot, party)):
        return YES
    for one in (*all_.sets, *all_.hosts):
        if one.labels is not None and not selector(one.labels):
            continue
        if one.unreadable:
            found.append(perhaps(one.unreadable))
            continue
        found.append(lies_in(one.nets, party, here))
        if names and is_domain(party, one.domains):
            return YES
    return any_of(found)


def has_named_port(party: Party, name: str, protocol: str, port: int | None, all_: Known) -> bool:
    """Return whether a party declares a port of that name and protocol, of init containers too.

    Args:
        party: whose port it is.
        name: the port's name.
        protocol: TCP, UDP or SCTP.
        port: the number that it must have; None for any.
        all_: what has labels.

    Source: CONV `workload_endpoint_default.go`; INDEX (host endpoints have ports, too).
    """
    if isinstance(party, OwnPod):
        return any(
            (declared.name, declared.protocol.value) == (name, protocol)
            and port in (None, declared.port)
            for declared in party.ports
        )
    if not isinstance(party, Host):
        return False
    here = {ipaddress.ip_address(low) for low, high in party.place if low == high and low > 2**32}
    here |= {ipaddress.IPv4Address(low) for low, high in party.place if low == high < 2**32}
    return any(
        (declared.name, declared.protocol) == (name, protocol) and port in (None, declared.port)
        for one in all_.hosts
        if any(address in net for net in one.nets for address in here)
        for declared in one.ports
    )
