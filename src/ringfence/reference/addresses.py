"""IP blocks: reading CIDRs, and whether an end's address lies in one.

An end's place is the set of addresses that it may have in the connection's family: one where the
address is known, all blocks of pods where a pod's is not, the whole family where nothing is
known, and none where it has no address of that family.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from ringfence.model.document import Path
from ringfence.model.profile import Cni
from ringfence.reference import schema
from ringfence.reference.ends import ASSUMED, Approach, Host, Network, OwnPod
from ringfence.reference.outcome import NO, YES, Match, perhaps
from ringfence.reference.schema import NotUnderstoodError

_CIDR = re.compile(r"([0-9A-Fa-f:.]+)/(0|[1-9][0-9]{0,2})")


def read_cidr(value: Any, path: Path) -> Network:  # noqa: ANN401
    """Return a block in CIDR notation; host bits may be set and count for nothing.

    Not understood: no prefix length, a netmask in its place, leading zeros (ambiguous between
    decimal and octal), a zone, an IPv4 address mapped into IPv6.

    Source: kubernetes `pkg/apis/core/validation` IsValidCIDRForLegacyField; network-policy-api
    `CIDR` (isCIDR).

    Raises:
        NotUnderstoodError: anything that is no such block.
    """
    found = _CIDR.fullmatch(schema.text(value, path))
    try:
        network = ipaddress.ip_network(value, strict=False) if found else None
    except ValueError:
        network = None
    if network is None or network.network_address in ipaddress.ip_network("::ffff:0:0/96"):
        raise NotUnderstoodError(f"`{value}` is no CIDR block", path)
    return network


def block_matches(cidr: Network, excepts: list[Network], here: Approach) -> Match:
    """Return whether the peer's address lies in a block and in none of its exceptions.

    By the specification this is plain matching of addresses, so that it hits pods and nodes too.
    Cilium matches blocks only against what is outside the cluster: neither pods nor nodes, unless
    its settings say otherwise.
    Where the address is not known, the block matches if it holds all addresses that the peer may
    have, does not if it holds none of them, and else perhaps does.

    Source: networking/v1 IPBlock; KNP evaluateIPBlocks; Cilium `Documentation/security/policy/
    layer3.rst` (policy-cidr-match-mode).
    """
    if here.cni is Cni.CILIUM:
        if isinstance(here.peer, OwnPod) and not here.cilium.cidrs_match_pods:
            return NO
        if isinstance(here.peer, Host) and not here.cilium.cidrs_match_nodes:
            return NO
    if cidr.version != here.family:
        return NO
    inside = [_range(cidr)]
    for except_ in excepts:
        inside = _minus(inside, _range(except_))
    return _held(inside, here)


def any_matches(cidrs: Iterable[Network], here: Approach) -> Match:
    """Return whether the peer's address lies in any of several blocks, taken together.

    What lives somewhere within all of them is in one of them, though it is not known in which.
    """
    inside = [_range(cidr) for cidr in cidrs if cidr.version == here.family]
    return _held(inside, here) if inside else NO


def _held(inside: list[tuple[int, int]], here: Approach) -> Match:
    """Return whether ranges of addresses hold the peer's."""
    if isinstance(here.peer, OwnPod) and here.peer.assumed:
        here.notes.add(ASSUMED)
    place = list(here.peer.place)
    missing = place
    for block in inside:
        missing = _minus(missing, block)
    if not place or missing == place:
        return NO
    if not missing:
        return YES
    return perhaps(here.peer.why_unsure)


def _range(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def _minus(ranges: list[tuple[int, int]], taken: tuple[int, int]) -> list[tuple[int, int]]:
    """Return what is left of ranges of addresses without one of them, both ends included."""
    left: list[tuple[int, int]] = []
    for low, high in ranges:
        if taken[1] < low or high < taken[0]:
            left.append((low, high))
            continue
        if low < taken[0]:
            left.append((low, taken[0] - 1))
        if taken[1] < high:
            left.append((taken[1] + 1, high))
    return left


def strictly_inside(inner: Network, outer: Network) -> bool:
    """Return whether one block is part of another and smaller than it."""
    if inner.version != outer.version or inner.prefixlen <= outer.prefixlen:
        return False
    return _minus([_range(inner)], _range(outer)) == []
