"""Calico's tiers, and how policies are ordered within one.

Authority: Calico `felix/calc/policy_sorter.go`; `api/pkg/apis/projectcalico/v3/tier.go`;
`libcalico-go/lib/validator/v3/validator.go` validateTier.
"""

import math
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._shared import Malformed, fields, one_of, spec_given
from ringfence.model import tiers
from ringfence.model.document import Document, Path
from ringfence.model.profile import Profile, older_than
from ringfence.model.rule import Action, Tier, Ties, Unreadable
from ringfence.yaml_text import type_text

KIND: Final = "Tier.projectcalico.org"
TOP: Final = ("apiVersion", "kind", "metadata", "spec", "status")
DEFAULT: Final = "default"
FIXED: Final = {
    "kube-admin": tiers.CALICO_ADMIN,
    DEFAULT: tiers.CALICO_DEFAULT,
    "kube-baseline": tiers.CALICO_BASELINE,
}
"""Those that every cluster has."""
FIXED_BEFORE_3_32: Final = {
    "adminnetworkpolicy": tiers.CALICO_ADMIN,
    DEFAULT: tiers.CALICO_DEFAULT,
    "baselineadminnetworkpolicy": tiers.CALICO_BASELINE,
}
UNTRACKED: Final = tiers.CALICO_UNTRACKED
PRE_DNAT: Final = tiers.CALICO_PRE_DNAT
STEP: Final = 1e290


def fixed(profile: Profile) -> dict[str, Tier]:
    """Return the tiers that need no object."""
    return FIXED_BEFORE_3_32 if older_than(profile.version, 3, 32) else FIXED


def read(document: Document, profile: Profile) -> Tier:
    """Return the tier that an object describes.

    Raises:
        Malformed: what the API server would refuse.
    """
    fields(document.body, (), TOP)
    spec = fields(spec_given(document), ("spec",), ("order", "defaultAction"))
    order = number(spec.get("order"), ("spec", "order"))
    at: Path = ("spec", "defaultAction")
    default = one_of(spec.get("defaultAction", "Deny"), at, ("Deny", "Pass"))
    unmatched = Action.DENY if default == "Deny" else Action.PASS
    found = Tier(
        math.inf if order is None else order, document.name, ties=Ties.NAME, unmatched=unmatched
    )
    known = fixed(profile).get(document.name)
    if known is None:
        return found
    if order not in (None, known.order):
        raise Malformed(f"the order of this tier is {known.order:g}", ("spec", "order"))
    if "defaultAction" in spec and unmatched is not known.unmatched:
        raise Malformed(f"the default action of this tier is {known.unmatched}", at)
    return known


def find(name: str, context: Context, path: Path) -> Tier:
    """Return the tier of that name.

    Raises:
        Malformed: there is none, or its object cannot be understood: when its policies are
            asked, and what follows them, is not known then.
    """
    found: set[Tier] = set()
    for _, document in context.by_title.get(KIND, ()):
        if document.name == name:
            try:
                found.add(read(document, context.profile))
            except Malformed as malformed:
                why = malformed.unreadable.reason
                raise Malformed(f"its tier `{name}` is unreadable ({why})", path) from None
    if not found and name in fixed(context.profile):
        return fixed(context.profile)[name]
    if len(found) != 1:
        what = "two different objects" if found else "no object"
        raise Malformed(f"the input has {what} for its tier `{name}`", path)
    return found.pop()


def problems(context: Context) -> list[tuple[Document, Unreadable]]:
    """Return what is unreadable of the tiers, which make no policies of their own."""
    found = []
    for _, document in context.by_title.get(KIND, ()):
        try:
            read(document, context.profile)
        except Malformed as malformed:
            found.append((document, malformed.unreadable))
    return found


def early(tier: Tier, start: float, context: Context) -> Tier:
    """Return where untracked and pre-DNAT policies of a tier stand: before all others.

    No drop ends such a tier.
    Source: `felix/rules/endpoints.go` endpointIptablesChain, HostEndpointToRawChains,
    HostEndpointToMangleIngressChains.
    """
    known = set(fixed(context.profile).values()) | {tier}
    for _, document in context.by_title.get(KIND, ()):
        try:
            known.add(read(document, context.profile))
        except Malformed:
            continue
    rank = sorted(known).index(tier)
    phase = "untracked" if start == UNTRACKED else "pre-DNAT"
    return Tier(start + rank * STEP, f"{tier.name} ({phase})", ties=Ties.NAME)


def number(value: Any, path: Path) -> float | None:  # noqa: ANN401
    """Return an order; None where there is none.

    Raises:
        Malformed: not a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed(f"expected a number, found {type_text(value)}", path)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Malformed("this number is too large", path)
    return found


def tie(kind: str, namespace: str, name: str, tier: str, profile: Profile) -> str:
    """Return what orders policies of equal order: ascending, sign by sign.

    Args:
        kind: as Felix names it, so `KubernetesNetworkPolicy` for those of Kubernetes.
        namespace: empty for a policy of the cluster.
        name: of the object.
        tier: the name of its tier, which was part of stored names before 3.32.
        profile: its version decides: the newest where it is not known.
    Source: policy_sorter.go PolKVLess.
    """
    if not older_than(profile.version, 3, 32):
        return f"{name}/{namespace}/{kind}"
    prefix = {
        "KubernetesNetworkPolicy": "knp.default.",
        "KubernetesClusterNetworkPolicy": f"kanp.{tier}.",
    }.get(kind, "" if name.startswith(f"{tier}.") else f"{tier}.")
    return f"{namespace}/{prefix}{name}" if namespace else f"{prefix}{name}"
