"""Writes common rules as Calico's policies of namespaces and of the cluster, in any tier.

Authority: Calico `api/pkg/apis/projectcalico/v3/{networkpolicy,globalnetworkpolicy,tier}.go`; what
selectors of a policy are confined to, `libcalico-go/lib/backend/syncersv1/updateprocessors`.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ringfence import yaml_text
from ringfence.dialects._emission import MANAGED_BY, Body, Telling
from ringfence.dialects._emit_calico import _Emitter
from ringfence.dialects._emit_calico_selectors import entity_of_labels
from ringfence.dialects._writing import CONVERTED, Recording
from ringfence.model.label_space import CALICO_NAMESPACE
from ringfence.model.rule import Action, LabelPeer, Policy, Tier, Ties
from ringfence.model.selector import LabelAnd, LabelIs, Operator, Requirement
from ringfence.model.tiers import CALICO_DEFAULT

EARLY: Final = Tier(900_000, "ringfence", ties=Ties.NAME)
"""A tier of one's own before the tier `default`, that ends in passing: for what has to be decided
in another order than there."""


class Writer(_Emitter, Recording):
    """The emitter of Calico's policies; their subjects are in Calico's label space."""

    tiers: tuple[Tier, ...] = (*_Emitter.tiers, EARLY)

    def bodies(self, telling: Telling) -> list[Body]:
        """Return what one rule comes to, whatever tier its policy is in."""
        policy = msgspec.structs.replace(telling.proposed.policy, tier=CALICO_DEFAULT)
        telling.proposed = msgspec.structs.replace(telling.proposed, policy=policy)
        found = super().bodies(telling)
        self.record(telling, found)
        return found

    def selected(self, policy: Policy) -> tuple[str, Body]:
        """Return the kind of a policy, and the selectors of its subject.

        Raises:
            Unsayable: a selector cannot be written.
        """
        assert isinstance(policy.subject, LabelPeer)  # noqa: S101 - so the caller makes it
        expression = policy.subject.expression
        parts = expression.parts if isinstance(expression, LabelAnd) else (expression,)
        entity: Body = {}
        if policy.namespace:
            own = LabelIs(Requirement(CALICO_NAMESPACE, Operator.IN, (policy.namespace,)))
            rest = tuple(part for part in parts if part != own)
            if rest:
                entity = entity_of_labels(LabelAnd((own, *rest)), policy.namespace)
        else:
            entity = entity_of_labels(LabelAnd(parts), "")
        found: Body = {"selector": entity.get("selector", "all()")}
        if "namespaceSelector" in entity and not policy.namespace:
            found["namespaceSelector"] = entity["namespaceSelector"]
        if accounts := entity.get("serviceAccounts"):
            found["serviceAccountSelector"] = accounts.get("selector") or _named(accounts["names"])
        return ("NetworkPolicy" if policy.namespace else "GlobalNetworkPolicy"), found


def _named(names: list[str]) -> str:
    return f"projectcalico.org/name in {{{', '.join(repr(name) for name in names)}}}"


def tier(found: Tier) -> Iterator[str]:
    """Yield the lines of a file that holds one tier."""
    yield from yaml_text.comment([CONVERTED])
    yield from yaml_text.block(
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Tier",
            "metadata": {"name": found.name, "labels": MANAGED_BY},
            "spec": {
                "order": int(found.order),
                "defaultAction": "Deny" if found.unmatched is Action.DENY else "Pass",
            },
        }
    )
