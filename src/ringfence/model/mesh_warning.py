"""What policies of a mesh, and those of the network beneath it, do that nobody may have meant."""

import msgspec

from ringfence.model.location import Location


class MeshWarning(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One such thing; judged, not guessed."""

    message: str
    object: str
    """`Kind/namespace/name`."""
    shown_by: str
    """A connection on which it shows, with its verdict."""
    location: Location
