"""What differs between two clusters, or two states of one: in connections, not in documents."""

import msgspec

from ringfence.model.connectivity import Allowance, Peer
from ringfence.model.location import Problem
from ringfence.model.profile import Profile


class Change(
    msgspec.Struct,
    frozen=True,
    rename={"source": "from", "destination": "to"},
):
    """What changed in the traffic that one peer may send another.

    The five kinds of change are disjoint: each packet is in one of them at most.
    """

    source: str
    destination: str
    gained: tuple[Allowance, ...] = ()
    """Denied before, allowed now."""
    lost: tuple[Allowance, ...] = ()
    """Allowed before, denied now."""
    became_unknown: tuple[Allowance, ...] = ()
    """Allowed or denied before, unknown now."""
    became_allowed: tuple[Allowance, ...] = ()
    """Unknown before, allowed now."""
    became_denied: tuple[Allowance, ...] = ()
    """Unknown before, denied now."""
    before: tuple[Allowance, ...] = ()
    """All that was allowed."""
    now: tuple[Allowance, ...] = ()
    """All that is allowed."""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences, sorted by source, then destination. Empty where nothing changed.

    Outside addresses are told in the coarsest ranges whose connections changed alike: a range
    that merely splits or merges is no difference.
    """

    old_profile: Profile
    profile: Profile
    endpoints: tuple[Peer, ...]
    """What stands on both sides; the outside in the cells that either side tells apart."""
    appeared: tuple[Peer, ...] = ()
    """Workloads and nodes that only the new side has."""
    disappeared: tuple[Peer, ...] = ()
    """Those that only the old side has."""
    changes: tuple[Change, ...] = ()
    """Between peers that both sides have."""
    of_appeared: tuple[Change, ...] = ()
    """Connections gained because one end appeared."""
    of_disappeared: tuple[Change, ...] = ()
    """Connections lost because one end disappeared."""
    unknown_because: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.appeared or self.disappeared or self.changes)
