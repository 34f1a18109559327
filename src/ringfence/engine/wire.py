"""What the mTLS of a mesh makes of classes of traffic: half of them, sealed, on another port.

Rules of a mesh tell what is over mTLS from what is not; which it is depends on the two ends. The
network sees of mTLS only TLS, and where a tunnel carries it only the tunnel's port.
"""

from functools import cache, cached_property
from typing import Final

from ringfence.engine import bits
from ringfence.engine.ports import AUTHENTICATED, MTLS
from ringfence.engine.traffic import Run, TrafficSpace
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Request
from ringfence.model.mesh import Ports

SERVER_NAME: Final = "_mesh_"
"""Stands for what proxies write as server name among themselves: no policy of a CNI means it."""


class Wire:
    """The classes of traffic of a snapshot, as a mesh carries them."""

    def __init__(self, traffic: TrafficSpace) -> None:
        """Keep the classes."""
        self._traffic = traffic
        self.tcp = traffic.mask(Protocol.TCP)
        self.others = traffic.everything & ~self.tcp
        """What no mesh carries."""
        self.ports_of = cache(self._ports_of)
        self.sealed = cache(self._sealed)
        self.tunnelled = cache(self._tunnelled)
        self.either = cache(self._either)
        self.of_mesh = cache(self._of_mesh)
        self.taken = cache(self._taken)

    def _taken(self, ports: Ports) -> int:
        """Return every class of the TCP ports that a proxy takes, which all are cut at."""
        found = 0
        for run in self._runs:
            if ports.holds(run.first):
                found |= run.mask
        return found

    def _ports_of(self, port: int) -> int:
        """Return every class of a TCP port."""
        found = 0
        for run in self._traffic.at_port(Protocol.TCP, port):
            found |= run.mask
        return found

    @cached_property
    def _runs(self) -> list[Run]:
        return self._traffic.of_protocol(Protocol.TCP)

    @cached_property
    def over_mtls(self) -> int:
        """Return the classes that what is over mTLS may be of."""
        return self.tcp & ~(self._halves & ~self._over)

    @cached_property
    def in_plaintext(self) -> int:
        """Return the classes that plaintext may be of."""
        return self.tcp & ~self._over

    @cached_property
    def _over(self) -> int:
        return self._traffic.limit((MTLS,))[0]

    @cached_property
    def _halves(self) -> int:
        """Return the classes of the runs that rules cut by mTLS."""
        found = 0
        for run in self._runs:
            if run.space is not None and MTLS in run.space.boxes:
                found |= run.mask
        return found

    @cached_property
    def _twins(self) -> dict[int, int]:
        """Return, for each class of runs cut by mTLS, the one that differs in nothing else."""
        found: dict[int, int] = {}
        for run in self._runs:
            if run.space is None or MTLS not in run.space.boxes:
                continue
            space = run.space
            boxes = space.boxes
            rest = bits.from_members(bit for bit, box in enumerate(boxes) if not box.mtls)
            over = set(bits.members(space.mask(MTLS)))
            by_rest: dict[int, tuple[list[int], list[int]]] = {}
            for number, signature in enumerate(space.signatures):
                alike = by_rest.setdefault(signature & rest, ([], []))
                alike[number in over].append(run.offset + number)
            for plain, sealed in by_rest.values():
                if plain and sealed:
                    found |= dict.fromkeys(plain, sealed[-1]) | dict.fromkeys(sealed, plain[-1])
        return found

    def _either(self, mask: int) -> int:
        """Return some classes with their twins: what they are, mTLS or not."""
        halves = mask & self._halves
        while halves:
            lowest = halves & -halves
            halves ^= lowest
            twin = self._twins.get(lowest.bit_length() - 1)
            if twin is not None:
                mask |= 1 << twin
        return mask

    def _of_mesh(self, mask: int, mtls: bool, own_tls: bool) -> int:  # noqa: FBT001 - as they are
        """Return what passes, mTLS or not, of what a mesh lets pass that tells the two apart.

        Args:
            mask: what the rules of the mesh let pass.
            mtls: whether it is over mTLS.
            own_tls: whether it is over TLS in which the proxy reads nothing.
        """
        if own_tls:
            return self.sealed(mask & self.in_plaintext)
        return self.either(mask & (self.over_mtls if mtls else self.in_plaintext)) & self.tcp

    # -- as the network sees it --------------------------------------------------------------

    def _seen(self, run: Run) -> list[tuple[int, int | None]]:
        """Return what mTLS on some ports may be to the network, authenticated or not.

        Shape: pairs of the classes that it sees, and of all that is one of them in truth; None
        where that is everything.
        """
        if run.space is None:
            return [(run.mask, None)]
        found: list[tuple[int, int | None]] = []
        split = AUTHENTICATED in run.space.boxes
        for authenticated in (True, False) if split else (None,):
            request = Request(http=False, dns="", sni=SERVER_NAME, authenticated=authenticated)
            seen = run.space.mask_of(request) << run.offset
            held = self._traffic.limit((AUTHENTICATED,))[0]
            found.append((seen, (held if authenticated else ~held) if split else None))
        return found

    @cached_property
    def _told_apart(self) -> list[tuple[int, int]]:
        """Return the same for every port on which anything is told apart."""
        return [
            (seen, run.mask if truth is None else run.mask & truth)
            for run in self._runs
            if run.space
            for seen, truth in self._seen(run)
        ]

    def _sealed(self, mask: int) -> int:
        """Return what passes over mTLS on its own port, of what a network lets pass."""
        for seen, truth in self._told_apart:
            mask = mask | truth if mask & seen else mask & ~truth
        return mask & self.tcp

    def _tunnelled(self, mask: int, port: int) -> int:
        """Return what passes in a tunnel, of what a network lets pass at the tunnel's port."""
        found = 0
        for run in self._traffic.at_port(Protocol.TCP, port):
            for seen, truth in self._seen(run):
                if mask & seen:
                    found |= self.tcp if truth is None else self.tcp & truth
        return found
