"""Blocks with exceptions as CIDRs without any, for languages that have no exceptions."""

import ipaddress

from ringfence.model.rule import IpPeer


def pieces(block: IpPeer) -> tuple[str, ...]:
    """Return a block as CIDRs without exceptions."""
    left = [block.cidr]
    for taken in block.excepts:
        left = [piece for own in left for piece in _halved(own, taken)]
    return tuple(left)


def _halved(cidr: str, taken: str) -> list[str]:
    """Return a CIDR without another, in as few CIDRs as there can be, ascending."""
    own, other = ipaddress.ip_network(cidr), ipaddress.ip_network(taken)
    if own.version != other.version or not own.overlaps(other):
        return [cidr]
    if own.prefixlen >= other.prefixlen:
        return []
    low, high = map(str, own.subnets())
    return [*_halved(low, taken), *_halved(high, taken)]
