"""Ranges of outside addresses: the form in which answers name the outside."""

import ipaddress
from collections.abc import Iterable

import msgspec

LAST_ADDRESS = {4: 2**32 - 1, 6: 2**128 - 1}
"""The last address of each family, as a number."""


class AddressRange(msgspec.Struct, frozen=True, order=True):
    """Addresses of one family from `first` to `last`, both included, as numbers."""

    family: int
    first: int
    last: int

    def __str__(self) -> str:
        """Return the range as answers name it: `0.0.0.0-9.255.255.255`."""
        return f"{_address(self.family, self.first)}-{_address(self.family, self.last)}"

    @property
    def short(self) -> str:
        """The range as people write it: an address, a CIDR, else first and last."""
        address = _address(self.family, self.first)
        size = self.last - self.first + 1
        if size == 1:
            return address
        if size & (size - 1) == 0 and self.first % size == 0:
            return f"{address}/{(32 if self.family == 4 else 128) - size.bit_length() + 1}"
        return str(self)


def parse_range(name: str) -> AddressRange | None:
    """Return the range that a peer's name says (a range, an address, a CIDR); None for others."""
    first, dash, last = name.partition("-")
    try:
        if not dash:
            network = ipaddress.ip_network(name)
            return AddressRange(
                network.version, int(network.network_address), int(network.broadcast_address)
            )
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        return None
    if low.version != high.version or int(low) > int(high):
        return None
    return AddressRange(low.version, int(low), int(high))


def merge(ranges: Iterable[AddressRange]) -> list[AddressRange]:
    """Return the same addresses in as few ranges as possible, sorted."""
    merged: list[AddressRange] = []
    for part in sorted(ranges):
        if merged and merged[-1].family == part.family and part.first <= merged[-1].last + 1:
            before = merged.pop()
            part = AddressRange(part.family, before.first, max(before.last, part.last))  # noqa: PLW2901
        merged.append(part)
    return merged


def _address(family: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number))
