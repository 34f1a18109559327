"""Writes common rules as NetworkPolicies, and keeps which rule says what."""

from ringfence.dialects._emission import Body, Telling
from ringfence.dialects._emit_kubernetes import _Emitter
from ringfence.dialects._writing import Recording


class Writer(_Emitter, Recording):
    """The emitter of NetworkPolicies, recording."""

    def bodies(self, telling: Telling) -> list[Body]:
        """Return what one rule comes to."""
        found = super().bodies(telling)
        self.record(telling, found)
        return found
