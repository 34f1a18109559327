"""Who takes part in a mesh: found by data plane, by Gateway, and by what they prove to be."""

from bisect import bisect_left
from collections import defaultdict
from functools import cache

from ringfence.engine import bits
from ringfence.engine.matches import NOTHING, Matches
from ringfence.engine.universe import Universe
from ringfence.model.layer7 import Form, Text
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import MeshPeer

Kind = tuple[DataPlane, str, bool, str]
"""Data plane, name of the Gateway, whether that is a waypoint, and the default inbound policy."""


class Members:
    """The members of the meshes of a snapshot."""

    def __init__(self, universe: Universe) -> None:
        """Gather them by kind and by principal."""
        kinds: dict[Kind, list[int]] = defaultdict(list)
        principals: dict[str, list[int]] = defaultdict(list)
        for element in bits.members(universe.meshed):
            mesh = universe.identity(element).mesh
            assert mesh is not None  # noqa: S101 - only such are among them
            kind = (mesh.data_plane, mesh.gateway, mesh.waypoint, mesh.default_inbound)
            kinds[kind].append(element)
            principals[mesh.principal].append(element)
        self._kinds = {kind: bits.from_members(found) for kind, found in kinds.items()}
        self._principals = {name: bits.from_members(found) for name, found in principals.items()}
        self._names = sorted(name for name in principals if name)
        self._reversed = sorted(name[::-1] for name in self._names)
        self.of = cache(self._of)
        self.proving = cache(self._proving)

    def _of(self, peer: MeshPeer) -> int:
        """Return the members that a peer means, as a bit set."""
        found = 0
        for (plane, gateway, waypoint, default), members in self._kinds.items():
            if (
                plane in peer.planes
                and peer.gateway in (None, gateway)
                and peer.waypoint in (None, waypoint)
                and peer.default_inbound in (None, default)
            ):
                found |= members
        return found

    def _proving(self, pattern: Text) -> Matches:
        """Return the members whose principal a pattern holds for."""
        if pattern.form is Form.EXACT:
            return Matches(self._principals.get(pattern.value, 0))
        if pattern.form is Form.PREFIX:
            return self._all(_beginning(self._names, pattern.value))
        if pattern.form is Form.SUFFIX:
            held = _beginning(self._reversed, pattern.value[::-1])
            return self._all([name[::-1] for name in held])
        return self._proving_by_pattern(pattern, self._names)

    def _proving_by_pattern(self, pattern: Text, names: list[str]) -> Matches:
        """Return the same for a pattern that has to be followed; perhaps all, where it cannot."""
        if not names:
            return NOTHING
        from ringfence.layer7.atoms import Atoms  # noqa: PLC0415 - only where a rule needs it
        from ringfence.layer7.undecidable import Undecidable  # noqa: PLC0415

        try:
            atoms = Atoms((pattern,))
            mask = atoms.mask(pattern)
            return self._all([name for name in names if mask >> atoms.atom_of(name) & 1])
        except Undecidable:
            return Matches(0, self._all(names).certain)

    def _all(self, names: list[str]) -> Matches:
        found = 0
        for name in names:
            found |= self._principals[name]
        return Matches(found)


def _beginning(names: list[str], prefix: str) -> list[str]:
    """Return those of some sorted names that begin with a prefix."""
    first = past = bisect_left(names, prefix)
    while past < len(names) and names[past].startswith(prefix):
        past += 1
    return names[first:past]
