"""Headers that a request has with several values: to Istio's proxies each counts by itself.

Classes of traffic give a header one value, so that what compares such a header is not told.

Authority: Envoy `source/extensions/filters/common/rbac/matchers.cc`
(rbac_match_headers_individually), since 1.37.1 and in what was mended of the versions before.
"""

from typing import Final

from ringfence.engine.steps import SideTrace
from ringfence.model.layer7 import Request
from ringfence.model.mesh import ISTIO, Membership
from ringfence.model.verdict import Verdict

REPEATED: Final = "a header is sent with several values, of which each is compared by itself"


def doubt(side: SideTrace, request: Request, member: Membership | None) -> None:
    """Leave unknown what a proxy says of a request, where it may compare such a header."""
    names = [name for name, _ in request.headers or ()]
    if member is None or member.data_plane not in ISTIO or len(names) == len(set(names)):
        return
    if any(names.count(name) > 1 for name in _compared(side)):
        side.verdict = Verdict.UNKNOWN
        side.because.append(REPEATED)


def _compared(side: SideTrace) -> frozenset[str]:
    """Return the headers of which any policy speaks that a proxy is given."""
    return frozenset(
        header.name
        for policy in side.policies
        for met in policy.rules
        for box in (*(met.compiled.rule.layer7 or ()), *met.compiled.rule.not_layer7)
        if box.http
        for header in box.http.headers
    )
