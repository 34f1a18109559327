"""What blocks of addresses have in common, and what one leaves of another. All of it is exact."""

import ipaddress
from collections.abc import Iterable
from functools import cache

from ringfence.model.rule import IpPeer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@cache
def network(cidr: str) -> Network:
    """Return a CIDR as a network."""
    return ipaddress.ip_network(cidr)


def within(inner: str, outer: str) -> bool:
    """Return whether all of one CIDR lies in another."""
    one, other = network(inner), network(outer)
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def single(address: str) -> str:
    """Return the CIDR of one address."""
    parsed = ipaddress.ip_address(address)
    return f"{parsed}/{parsed.max_prefixlen}"


def merged(cidrs: Iterable[str]) -> tuple[str, ...]:
    """Return the same addresses as few CIDRs, sorted."""
    by_version: dict[int, list[Network]] = {4: [], 6: []}
    for cidr in cidrs:
        by_version[network(cidr).version].append(network(cidr))
    return tuple(
        str(each)
        for found in by_version.values()
        for each in ipaddress.collapse_addresses(found)  # type: ignore[type-var]
    )


def trimmed(cidr: str, excepts: Iterable[str]) -> IpPeer | None:
    """Return a block without some CIDRs; None where nothing is left."""
    inside = []
    for taken in excepts:
        if within(cidr, taken):
            return None
        if within(taken, cidr):
            inside.append(network(taken))
    merged = ipaddress.collapse_addresses(inside)  # type: ignore[type-var]
    kept = tuple(sorted(str(each) for each in merged))
    return None if kept == (cidr,) else IpPeer(cidr, kept)


def common(one: IpPeer, other: IpPeer) -> IpPeer | None:
    """Return what two blocks have in common; None where nothing."""
    if within(one.cidr, other.cidr):
        inner = one.cidr
    elif within(other.cidr, one.cidr):
        inner = other.cidr
    else:
        return None
    return trimmed(inner, (*one.excepts, *other.excepts))


def minus(block: IpPeer, taken: IpPeer) -> list[IpPeer]:
    """Return what a block holds and another does not."""
    if common(block, taken) is None:
        return [block]
    found = []
    if rest := trimmed(block.cidr, (*block.excepts, taken.cidr)):
        found.append(rest)
    spared = (common(block, IpPeer(cidr)) for cidr in taken.excepts)
    return found + [kept for kept in spared if kept]
