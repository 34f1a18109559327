"""Headers that a request has with several values: to Istio's proxies each counts by itself.

Classes of traffic give a header one value, so that what compares such a header is not told.

Authority: Envoy `source/extensions/filters/common/rbac/matchers.cc`
(rbac_match_headers_individually), since 1.37.1 and in what was mended of the versions before.
"""

from functools import cached_property
from typing import Final

from ringfence.engine.steps import SideTrace
from ringfence.model.layer7 import Request
from ringfence.model.mesh import ISTIO, Membership
from ringfence.model.rule import Layer
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict

REPEATED: Final = "a header is sent with several values, of which each is compared by itself"


class RepeatedHeaders:
    """What of the headers of requests is not told of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Keep the snapshot."""
        self._snapshot = snapshot

    def doubt(self, side: SideTrace, request: Request, member: Membership | None) -> None:
        """Leave unknown what a proxy says of a request, where it may compare such a header."""
        names = [name for name, _ in request.headers or ()]
        if member is None or member.data_plane not in ISTIO or len(names) == len(set(names)):
            return
        if any(names.count(name) > 1 for name in self._compared):
            side.verdict = Verdict.UNKNOWN
            side.because.append(REPEATED)

    @cached_property
    def _compared(self) -> frozenset[str]:
        """Return the headers of which any policy of a mesh speaks."""
        return frozenset(
            header.name
            for policy in self._snapshot.policies
            if policy.tier.layer is Layer.MESH
            for rule in policy.rules
            for box in (*(rule.layer7 or ()), *rule.not_layer7)
            if box.http
            for header in box.http.headers
        )
