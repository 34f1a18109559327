"""PeerAuthentications of Istio to the common form: what must, or must not, be mTLS.

Of each level (workload, namespace, mesh) the oldest counts, and the first of the levels that says
a mode. For ztunnel, which refuses nothing that is mTLS, DISABLE is PERMISSIVE.

Authority: istio/api `security/v1beta1/peer_authentication.proto`; Istio
`pilot/pkg/security/authn/policy_applier.go`, `pilot/pkg/model/authentication.go`,
`pilot/pkg/serviceregistry/ambient/authorization.go`, `pkg/config/validation/validation.go`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects import _istio_subjects as subjects
from ringfence.dialects._istio_reader import Reader, created, perhaps
from ringfence.dialects._istio_values import labels
from ringfence.dialects._shared import Malformed, fields, one_of
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.layer7 import Layer7
from ringfence.model.mesh import ISTIO, DataPlane
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    Direction,
    MeshPeer,
    NotPeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Traffic,
    Unreadable,
)
from ringfence.model.selector import from_labels
from ringfence.model.tiers import ISTIO_TRANSPORT
from ringfence.yaml_text import type_text

KIND: Final = "PeerAuthentication"
SPEC: Final = ("selector", "mtls", "portLevelMtls")
UNSET: Final = "UNSET"
STRICT: Final = "STRICT"
PERMISSIVE: Final = "PERMISSIVE"
DISABLE: Final = "DISABLE"
MODES: Final = (UNSET, DISABLE, PERMISSIVE, STRICT)
OVER_MTLS: Final = (Layer7(mtls=True),)
EVERY_PORT: Final[tuple[Traffic, ...]] = (PortRange(Protocol.TCP),)
WORKLOAD, NAMESPACE, MESH = 0, 1, 2
"""The levels, in the order in which they decide."""
AGES: Final = "which of several PeerAuthentications of one level is the oldest is not known"
LOST: Final = (
    "what Istio makes of this for ztunnel does not hold what it says (a mode of the mesh beside a"
    " mode of the namespace or the workload)"
)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a PeerAuthentication says."""

    index: int
    document: Document
    level: int | None
    """None: the selector cannot be understood."""
    labels: dict[str, str]
    mode: str
    ports: tuple[tuple[int, str], ...]
    root: bool
    """Whether it is of the root namespace."""
    created: str
    """As the API server writes it; empty where it is not known."""
    unreadable: tuple[Unreadable, ...]

    @property
    def applies(self) -> bool:
        """Return whether it has any effect: one of the root namespace with a selector has none."""
        return self.level != WORKLOAD or not self.root

    @property
    def modes(self) -> tuple[str, tuple[tuple[int, str], ...]]:
        """Return all that it says of modes."""
        return self.mode, self.ports


def all_read(context: Context) -> dict[int, Read]:
    """Return what each PeerAuthentication says, by its number among the documents."""
    root = subjects.config(context).root_namespace
    return {
        index: read(index, document, root) for index, document in context.by_title.get(KIND, ())
    }


def read(index: int, document: Document, root: str) -> Read:
    """Return what a PeerAuthentication says."""
    reader = Reader()
    spec = reader.spec(document, *SPEC)
    at: Path = ("spec", "selector")
    selected = reader.read(lambda: labels(spec["selector"], at) if "selector" in spec else {}, None)
    mode = reader.read(partial(_mode, spec.get("mtls"), ("spec", "mtls")), UNSET)
    ports = reader.read(partial(_ports, spec.get("portLevelMtls")), ())
    if selected == {} and ports:
        why = "ports have modes only where there is a selector at `spec.portLevelMtls`"
        reader.unreadable.append(Unreadable(why, ("spec", "portLevelMtls")))
    is_root = document.namespace == root
    level = WORKLOAD if selected else MESH if is_root else NAMESPACE
    return Read(
        index=index,
        document=document,
        level=None if selected is None else level,
        labels=selected or {},
        mode=mode,
        ports=tuple(sorted(ports)),
        created=created(document),
        unreadable=tuple(reader.unreadable),
        root=is_root,
    )


def _mode(value: Any, path: Path) -> str:  # noqa: ANN401
    if value is None:
        return UNSET
    given = fields(value, path, ("mode",))
    return one_of(given.get("mode", UNSET), (*path, "mode"), MODES)


def _ports(value: Any) -> tuple[tuple[int, str], ...]:  # noqa: ANN401
    path: Path = ("spec", "portLevelMtls")
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise Malformed(f"expected a map, found {type_text(value)}", path)
    found = []
    for written, mode in value.items():
        port = int(written) if str(written).isdecimal() else 0
        if not 1 <= port <= 65535:
            raise Malformed(f"`{written}` is not between 1 and 65535", (*path, written))
        found.append((port, _mode(mode, (*path, written))))
    return tuple(found)


# -- which of them counts --------------------------------------------------------------------------


def _by_level(context: Context) -> dict[tuple[int, str], list[Read]]:
    """Return those that have any effect, by their level and namespace."""
    found: defaultdict[tuple[int, str], list[Read]] = defaultdict(list)
    for one in context.once(all_read).values():
        if one.applies and one.level is not None:
            found[one.level, one.document.namespace].append(one)
    return dict(found)


def rivals(one: Read, context: Context) -> list[Read]:
    """Return the others of its level: of two for a workload, the older counts."""
    if one.level is None:
        return []
    listed = context.once(_by_level).get((one.level, one.document.namespace), [])
    return [other for other in listed if other.index != one.index]


def is_older(other: Read, one: Read) -> bool | None:
    """Return whether another is older; None: that is not known, and makes a difference.

    Source: Istio `pilot/pkg/model/push_context.go` sortConfigByCreationTime: of two of one second,
    the one whose name comes first.
    """
    if other.created and one.created:
        return _age(other) < _age(one)
    if other.modes == one.modes and not other.unreadable and not one.unreadable:
        return other.index < one.index
    return None


def _age(one: Read) -> tuple[str, str]:
    return one.created, f"{one.document.name}.{one.document.namespace}"


def effective(context: Context, level: int, namespace: str) -> tuple[str | None, bool]:
    """Return the mode of a level for a namespace (None: there is none), and if that is sure."""
    place = subjects.config(context).root_namespace if level == MESH else namespace
    found = context.once(_by_level).get((level, place), [])
    if not found:
        return None, True
    sure = not any(one.unreadable for one in found) and (
        all(one.created for one in found) or len({one.modes for one in found}) == 1
    )
    return min(found, key=_age).mode, sure


# -- to policies -----------------------------------------------------------------------------------


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return the policies of a PeerAuthentication; none where it has no effect."""
    del document
    one = context.once(all_read)[index]
    everyone = MeshPeer(ISTIO, gateway="")
    if one.unreadable or one.level is None:
        rules = perhaps(Direction.INGRESS, one.unreadable, Action.DENY, Action.PASS)
        return [_policy(one, (everyone, _selected(one)), rules)]
    if not one.applies:
        return []
    by_envoy, by_ztunnel = _by_envoy(one), _by_ztunnel(one, context)
    if by_envoy == by_ztunnel:
        return _for(one, everyone, by_envoy, context)
    return [
        *_for(one, MeshPeer((DataPlane.SIDECAR,), gateway=""), by_envoy, context),
        *_for(one, MeshPeer((DataPlane.AMBIENT,), gateway=""), by_ztunnel, context),
    ]


def _for(one: Read, mesh: MeshPeer, rules: Sequence[Rule], context: Context) -> list[Policy]:
    """Return the policies for those whom no older one of the level selects, or perhaps none."""
    if not rules:
        return []
    others = [(_selected(other), is_older(other, one)) for other in rivals(one, context)]
    older = [NotPeer(other) for other, is_so in others if is_so]
    doubtful = [other for other, is_so in others if is_so is None]
    own = (mesh, _selected(one), *older)
    found = [_policy(one, (*own, *map(NotPeer, doubtful)), rules)]
    if doubtful:
        subject = (*own, AnyPeer(tuple(doubtful)))
        found.append(_policy(one, subject, [_doubtful(rule) for rule in rules]))
    return found


def _selected(one: Read) -> Peer:
    root = one.document.namespace if one.root else ""
    return PodPeer(subjects.within(one.document.namespace, root), from_labels(one.labels))


def _policy(one: Read, subject: tuple[Peer, ...], rules: Sequence[Rule]) -> Policy:
    return Policy(
        document=one.index,
        kind=one.document.title,
        namespace=one.document.namespace,
        name=one.document.name,
        tier=ISTIO_TRANSPORT,
        order=WORKLOAD if one.level is None else one.level,
        tie=f"{one.document.namespace}/{one.document.name}",
        subject=AllPeers(subject),
        rules=tuple(rules),
    )


def _doubtful(rule: Rule) -> Rule:
    uncertain = "; ".join(filter(None, (rule.uncertain, AGES)))
    return msgspec.structs.replace(rule, uncertain=uncertain)


def _by_envoy(one: Read) -> list[Rule]:
    """Return the rules of a proxy: for ports first; what is not said, the next level decides."""
    found: list[Rule] = []
    for port, mode in one.ports:
        path: Path = ("spec", "portLevelMtls", str(port))
        found += _rules(mode, path, (PortRange(Protocol.TCP, port, port),))
    return [*found, *_rules(one.mode, ("spec", "mtls"), EVERY_PORT)]


def _by_ztunnel(one: Read, context: Context) -> list[Rule]:
    """Return the rules as Istio converts them for ztunnel, as far as that holds what they say.

    Source: ambient/authorization.go convertedSelectorPeerAuthentications counts only a port that is
    PERMISSIVE against a STRICT level above, and then DISABLE with it; convertPeerAuthentication
    leaves out ports whose mode a level above seems to say already.
    """
    modes = {mode for _, mode in one.ports}
    lost = LOST if is_lost(one, context) else ""
    found: list[Rule] = []
    for port, mode in one.ports:
        path: Path = ("spec", "portLevelMtls", str(port))
        traffic = (PortRange(Protocol.TCP, port, port),)
        if mode == DISABLE and one.mode == UNSET and PERMISSIVE not in modes:
            continue
        found += _rules(_loose(mode), path, traffic, lost if mode == STRICT else "")
    if lost and one.mode == UNSET:
        return [*found, *_rules(STRICT, ("spec", "portLevelMtls"), EVERY_PORT, lost)]
    return [*found, *_rules(_loose(one.mode), ("spec", "mtls"), EVERY_PORT)]


def is_lost(one: Read, context: Context) -> bool:
    """Return whether what it says of ports is lost, or may be, on the way to ztunnel.

    A port that is STRICT is left out where the mesh is STRICT, even if the workload is not; ports
    that are PERMISSIVE where the namespace has a PeerAuthentication that says no mode.
    """
    modes = {mode for _, mode in one.ports}
    namespace, sure = effective(context, NAMESPACE, one.document.namespace)
    mesh, sure_of_mesh = effective(context, MESH, one.document.namespace)
    strict_above = mesh == STRICT and namespace in (None, UNSET)
    if one.mode in (PERMISSIVE, DISABLE):
        return STRICT in modes and (strict_above or not (sure and sure_of_mesh))
    unsaid = one.mode == UNSET and namespace == UNSET
    return unsaid and PERMISSIVE in modes and (mesh == STRICT or not sure_of_mesh)


def _loose(mode: str) -> str:
    return PERMISSIVE if mode == DISABLE else mode


def _rules(
    mode: str, path: Path, traffic: tuple[Traffic, ...], uncertain: str = ""
) -> Iterable[Rule]:
    """Return the rules of a mode: what it refuses, and that the levels above have no say."""
    if mode == UNSET:
        return
    ingress = partial(Rule, direction=Direction.INGRESS, peers=None, traffic=traffic, path=path)
    if mode == STRICT:
        yield ingress(action=Action.DENY, not_layer7=OVER_MTLS, uncertain=uncertain)
    if mode == DISABLE:
        yield ingress(action=Action.DENY, layer7=OVER_MTLS)
    yield ingress(action=Action.PASS)
