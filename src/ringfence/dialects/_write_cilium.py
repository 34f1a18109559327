"""Writes common rules as Cilium's policies of namespaces and of the cluster.

Authority: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` for what is implied of a subject.
"""

from ringfence.dialects._emission import Body, Telling
from ringfence.dialects._emit_cilium import _Emitter
from ringfence.dialects._emit_cilium_peers import selector
from ringfence.dialects._writing import Recording
from ringfence.model.label_space import CILIUM_NAMESPACE
from ringfence.model.rule import LabelPeer, Policy
from ringfence.model.selector import LabelAnd, LabelIs, Operator, Requirement


class Writer(_Emitter, Recording):
    """The emitter of Cilium's policies; their subjects are in Cilium's label space."""

    denials_apart = True

    def bodies(self, telling: Telling) -> list[Body]:
        """Return what one rule comes to."""
        found = super().bodies(telling)
        self.record(telling, found)
        return found

    def selected(self, policy: Policy) -> tuple[str, Body]:
        """Return the kind of a policy, and the selector of its subject."""
        assert isinstance(policy.subject, LabelPeer)  # noqa: S101 - so the caller makes it
        expression = policy.subject.expression
        assert isinstance(expression, LabelAnd)  # noqa: S101 - likewise
        own = Requirement(CILIUM_NAMESPACE, Operator.IN, (policy.namespace,))
        anywhere = Requirement(CILIUM_NAMESPACE, Operator.EXISTS)
        requirements = tuple(
            part.requirement
            for part in expression.parts
            if isinstance(part, LabelIs) and part.requirement not in (own, anywhere)
        )
        kind = "CiliumNetworkPolicy" if policy.namespace else "CiliumClusterwideNetworkPolicy"
        return kind, selector(requirements)
