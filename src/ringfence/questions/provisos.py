"""What a verdict takes for granted beside the policies, told as notes.

Source: Calico documentation, "Enforce policy for Istio" and "Application layer policies": the
`http` of a rule is enforced by Envoy with Calico's checker beside it (`app-policy/`), and by
nothing else.
"""

from typing import Final

import msgspec

from ringfence.engine import Engine
from ringfence.engine.steps import SideTrace
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.connection import Connection
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement

CALICO_HTTP: Final = "HTTP rules hold only where Calico's application layer policy (Envoy) runs"


class Provisos:
    """The notes that the verdicts on one snapshot need."""

    def __init__(self, snapshot: Snapshot, engine: Engine) -> None:
        """Find whether any rule needs one.

        Args:
            snapshot: the cluster.
            engine: that judges it.
        """
        self._engine = engine
        self._http = snapshot.profile.cni is Cni.CALICO and any(
            rule.layer7 is not None for policy in snapshot.policies for rule in policy.rules
        )

    def told(self, connection: Connection, judgement: Judgement) -> Judgement:
        """Return a verdict with what it takes for granted."""
        if not self._http or any("Envoy" in note for note in judgement.notes):
            return judgement
        try:
            views = self._engine.views(connection)
        except Undecidable:
            return judgement
        sides = [side for view in views for side in (view.trace.egress, view.trace.ingress)]
        if not any(map(looked_above_the_port, sides)):
            return judgement
        return msgspec.structs.replace(judgement, notes=(*judgement.notes, CALICO_HTTP))


def looked_above_the_port(side: SideTrace) -> bool:
    """Return whether a rule that matched up to the port looked at what is said above it."""
    return any(
        rule.compiled.rule.layer7 is not None and rule.matches_up_to_port is not False
        for policy in side.policies
        for rule in policy.rules
    )
