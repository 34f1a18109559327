"""Finds out which pods may be subject to policies that could not be read."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ringfence import dialects
from ringfence.assemble.distinctions import keys, peers
from ringfence.model.kinds import KINDS, MESH_TITLES
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.location import Problem
from ringfence.model.mesh import NO_MESH, Mesh
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import NodePeer, PodPeer, Policy
from ringfence.model.selector import LabelSelector
from ringfence.model.snapshot import BlindSpot

POLICY_KINDS: Final = {kind.title: kind for kind in KINDS if kind.policy}


NOT_JUDGED: Final = {
    Cni.ANTREA: frozenset({"NetworkPolicy.crd.antrea.io", "ClusterNetworkPolicy.crd.antrea.io"}),
}
"""The kinds of policy that each CNI enforces beside the ones that are judged."""
NEEDED: Final = {
    "istio": ("Namespace", "Service", "Gateway", "GatewayClass"),
    "linkerd": ("Namespace",),
}
"""What else a mesh goes by: labels that decide who takes part, the protocols of Services' ports,
the waypoints before them."""
WIDE: Final = frozenset(
    {
        "ConfigMap",
        "DestinationRule",
        "EgressNetwork",
        "Gateway",
        "MeshTLSAuthentication",
        "NetworkAuthentication",
        "ServiceEntry",
    }
)
"""What is in a namespace, but matters, or may matter, to pods of every other."""


def find(
    problems: Iterable[Problem],
    policies: Sequence[Policy],
    profile: Profile,
    mesh: Mesh = NO_MESH,
) -> tuple[BlindSpot, ...]:
    """Return what must be unknown because of problems.

    Args:
        problems: those of the sources and of this room; what a dialect could not understand
            is left out, as the policies themselves carry it.
        policies: those that could be read; they decide whether labels of namespaces and of
            nodes matter at all.
        profile: by which is judged: what it does not enforce hides nothing, and what it
            enforces beside the kinds that are judged cannot be left out of account.
        mesh: those that pods take part in; a mesh of nobody heeds nothing.
    """
    if profile.cni is Cni.NONE and mesh == NO_MESH:
        return ()
    there = frozenset(name for name in NEEDED if getattr(mesh, name) is not None)
    judged = _judged(profile, there)
    needed = frozenset(kind for name in there for kind in NEEDED[name])
    by_label = any(
        key != NAMESPACE_NAME for selector in _namespaces(policies) for key in keys(selector)
    )
    by_node = any(isinstance(peer, NodePeer) for policy in policies for peer in peers(policy))
    found: set[tuple[str, str, int, str]] = set()
    spots: list[BlindSpot] = []
    beside = NOT_JUDGED.get(profile.cni, frozenset())
    for problem in problems:
        because = problem.message
        if not beside.isdisjoint(problem.affects):
            because = f"{problem.object} has effect on {profile.cni} and is not judged yet"
        elif problem.severity != "error" or not (
            not problem.affects
            or not judged.isdisjoint(problem.affects)
            or ("Namespace" in problem.affects and by_label)
            or not needed.isdisjoint(problem.affects)
            or ("Node" in problem.affects and by_node)
        ):
            continue
        spot = BlindSpot(because, problem.location, _namespace(problem, mesh), problem.spared)
        key = _order(spot)
        if key not in found:
            found.add(key)
            spots.append(spot)
    return tuple(sorted(spots, key=_order))


def _judged(profile: Profile, there: frozenset[str]) -> frozenset[str]:
    """Return the kinds of policy that something in the cluster enforces.

    Of a text that cannot be read no more than a kind's bare name is known, so that a mesh's kinds
    count under that, too.
    """
    enforced = dialects.enforced_kinds(profile)
    of_mesh = {title for title in enforced if MESH_TITLES.get(title) in there}
    bare = {title.partition(".")[0] for title in of_mesh}
    return frozenset({t for t in enforced if t not in MESH_TITLES} | of_mesh | bare)


def _namespace(problem: Problem, mesh: Mesh) -> str | None:
    """Return the only namespace whose pods the policy concerns that a problem is about, or None.

    Only a namespaced object is written with three parts. What stands in Istio's root namespace
    holds in all of them.
    """
    kind, _, rest = (problem.object or "").partition("/")
    if kind in WIDE:
        return None
    namespace, slash, _ = rest.partition("/")
    if mesh.istio and namespace == mesh.istio.root_namespace and MESH_TITLES.get(kind) == "istio":
        return None
    known = POLICY_KINDS.get(kind)
    return namespace if slash and namespace and (known is None or known.namespaced) else None


def _namespaces(policies: Sequence[Policy]) -> Iterator[LabelSelector]:
    """Yield every selector by which policies select namespaces."""
    for policy in policies:
        for peer in peers(policy):
            if isinstance(peer, PodPeer):
                yield peer.namespaces


def _order(spot: BlindSpot) -> tuple[str, str, int, str]:
    return spot.namespace or "", spot.location.file, spot.location.line or 0, spot.because
