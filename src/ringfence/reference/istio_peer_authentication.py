"""PeerAuthentication: whether a port takes mTLS, plaintext, or both.

Source: Istio `pilot/pkg/security/authn/policy_applier.go` (ComposePeerAuthentication),
`pkg/config/validation/validation.go` (ValidatePeerAuthentication); for ambient
`pilot/pkg/serviceregistry/ambient/authorization.go` (convertedSelectorPeerAuthentications).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.mesh import DataPlane
from ringfence.reference import schema
from ringfence.reference.ends import OwnPod
from ringfence.reference.istio_objects import (
    SECURITY,
    are_in,
    config,
    created,
    labels_of,
    of_kind,
    spec_of,
)
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError

AGES = "which of several PeerAuthentications of one level is the oldest is not known"
LOST = "what Istio makes of the ports of a PeerAuthentication for ztunnel may not hold them"


class Mode(StrEnum):
    """What a port takes."""

    UNSET = "UNSET"
    """What the next wider level says."""
    DISABLE = "DISABLE"
    """Plaintext alone."""
    PERMISSIVE = "PERMISSIVE"
    """Both."""
    STRICT = "STRICT"
    """MTLS alone."""


@dataclass(frozen=True)
class Said:
    """The mode of one port, and what says so; None where nothing does."""

    mode: Mode = Mode.PERMISSIVE
    document: Document | None = None
    path: Path = ()
    doubt: str = ""
    """Why it is not known whether the mode is enforced."""
    level: int = -1
    """The level that says so: of the mesh, of the namespace, of the workload."""


@dataclass(frozen=True)
class Resolved:
    """What the mode of a port may be."""

    said: tuple[Said, ...] = (Said(),)
    because: tuple[str, ...] = ()
    """Why there is more than one."""
    unread: tuple[tuple[Document, Path], ...] = ()
    """What could not be understood: then nothing is known of the mode."""


@dataclass(frozen=True)
class _Read:
    """One PeerAuthentication."""

    document: Document
    labels: dict[str, str] | None
    mode: Mode
    ports: dict[int, Mode]


def mode(flow: Flow) -> Resolved:
    """Return the mode of the port that a connection goes to.

    The mesh's level is what the root namespace has without a selector, the namespace's what its
    own has without one, the workload's what its namespace has with one that selects it; those in
    the root namespace that have a selector are ignored. Of each level the oldest alone counts. The
    narrowest level that says anything decides, and before it the workload's `portLevelMtls`. At
    first it is PERMISSIVE. Proxies of Gateways have no mode: their listeners say what they take.
    """
    pod = flow.destination
    if not isinstance(pod, OwnPod) or flow.server is None or flow.server.gateway:
        return Resolved()
    root = config(flow.snapshot).root_namespace
    levels: tuple[list[_Read], list[_Read], list[_Read]] = ([], [], [])
    unread: list[tuple[Document, NotUnderstoodError]] = []
    for document in of_kind(flow.snapshot, SECURITY, "PeerAuthentication"):
        if document.namespace not in (root, pod.namespace):
            continue
        try:
            read = _read(document)
        except NotUnderstoodError as error:
            if _may_select(document, pod):
                unread.append((document, error))
            continue
        if not read.labels:
            levels[0 if document.namespace == root else 1].append(read)
        elif document.namespace != root and are_in(read.labels, pod.labels):
            levels[2].append(read)
    resolve = _by_ztunnel if flow.server.data_plane is DataPlane.AMBIENT else _by_envoy
    said: list[Said] = []
    for mesh, namespace, workload in product(*(_oldest(level) for level in levels)):
        found = resolve(mesh, namespace, workload, flow.port)
        if found not in said:
            said.append(found)
    # What is not understood does not matter where a narrower level decides.
    narrow = min(one.level for one in said)
    wide = [(document, error) for document, error in unread if _level(document, root) >= narrow]
    if wide:
        because = tuple(not_understood(document, error) for document, error in wide)
        return Resolved((), because, tuple((document, error.path) for document, error in wide))
    modes = {one.mode for one in said}
    return Resolved(tuple(said), (AGES,) if len(modes) > 1 else ())


def _oldest(level: list[_Read]) -> list[_Read | None]:
    """Return those of a level that may be the oldest: without a time of creation any may be so.

    Source: Istio `pilot/pkg/model/push_context.go` sortConfigByCreationTime.
    """
    dated = [one for one in level if created(one.document)]
    undated = [one for one in level if not created(one.document)]
    return [*dated[:1], *undated] or [None]


def _by_envoy(
    mesh: _Read | None, namespace: _Read | None, workload: _Read | None, port: int
) -> Said:
    """Return the mode of a port at a sidecar."""
    found = Said()
    for number, level in enumerate((mesh, namespace, workload)):
        if level is not None and level.mode is not Mode.UNSET:
            found = Said(level.mode, level.document, ("spec", "mtls"), level=number)
    if workload is None or workload.ports.get(port, Mode.UNSET) is Mode.UNSET:
        return found
    path = ("spec", "portLevelMtls", _port_key(workload.document, port))
    return Said(workload.ports[port], workload.document, path, level=2)


def _by_ztunnel(
    mesh: _Read | None, namespace: _Read | None, workload: _Read | None, port: int
) -> Said:
    """Return the mode of a port at a ztunnel, which takes mTLS always: DISABLE is PERMISSIVE.

    What it enforces was converted, and of a workload's ports something is lost on the way:

    - where the workload itself says no mode, ports that are DISABLE are exceptions to a STRICT
      level above only beside one that is PERMISSIVE;
    - where it says none, some port is PERMISSIVE, and above it a namespace that says none stands
      under a mesh that is STRICT, nothing is left of the policy that takes STRICT's place;
    - a port that is STRICT at a workload that is not is left out under a mesh that is STRICT.

    Source: authorization.go convertPeerAuthentication, convertedSelectorPeerAuthentications.
    """
    found = _by_envoy(mesh, namespace, workload, port)
    if workload is not None and workload.ports:
        modes = set(workload.ports.values())
        unsaid = namespace is None or namespace.mode is Mode.UNSET
        strict_above = unsaid and mesh is not None and mesh.mode is Mode.STRICT
        of_port = workload.ports.get(port, Mode.UNSET)
        if workload.mode is Mode.UNSET:
            if of_port is Mode.DISABLE and Mode.PERMISSIVE not in modes:
                found = _by_envoy(mesh, namespace, None, port)
            if Mode.PERMISSIVE in modes and namespace is not None and strict_above:
                found = replace(found, doubt=LOST) if found.mode is Mode.STRICT else found
        elif workload.mode is not Mode.STRICT and of_port is Mode.STRICT and strict_above:
            found = replace(found, doubt=LOST)
    return replace(found, mode=Mode.PERMISSIVE) if found.mode is Mode.DISABLE else found


def _read(document: Document) -> _Read:
    """Return what an object says.

    Raises:
        NotUnderstoodError: Istio would reject it: ports without a selector, port 0, another mode.
    """
    given = spec_of(document, ("selector", "mtls", "portLevelMtls"))
    labels = labels_of(given.get("selector"), ("spec", "selector"))
    at: Path = ("spec", "portLevelMtls")
    said = given.get("portLevelMtls", {})
    if not isinstance(said, dict):
        raise NotUnderstoodError("must be a mapping", at)
    if said and not labels:
        raise NotUnderstoodError("`portLevelMtls` needs a selector", at)
    ports = {_port(key, (*at, key)): _mode(value, (*at, key)) for key, value in said.items()}
    return _Read(document, labels, _mode(given.get("mtls"), ("spec", "mtls")), ports)


def _mode(value: Any, path: Path) -> Mode:  # noqa: ANN401
    given = schema.fields({} if value is None else value, path, ("mode",))
    return Mode(schema.choice(given.get("mode", "UNSET"), (*path, "mode"), tuple(Mode)))


def _port(key: Any, path: Path) -> int:  # noqa: ANN401
    """Return a port that is a key: in YAML it may be a number, in JSON it is a string."""
    text = str(key)
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise NotUnderstoodError(f"`{key}` is no port", path)
    return int(text)


def _port_key(document: Document, port: int) -> Any:  # noqa: ANN401
    """Return a port as the object has it for a key."""
    said = document.body["spec"]["portLevelMtls"]
    return next(key for key in said if str(key).isdigit() and int(key) == port)


def _level(document: Document, root: str) -> int:
    """Return the level of an object that was not understood, the narrowest that it may be of."""
    spec = document.body.get("spec")
    try:
        selector = spec.get("selector") if isinstance(spec, dict) else None
        labels = labels_of(selector, ("spec", "selector"))
    except NotUnderstoodError:
        return 2
    if labels:
        return 2
    return 0 if document.namespace == root else 1


def _may_select(document: Document, pod: OwnPod) -> bool:
    """Return whether an object that was not understood may be meant for a pod."""
    spec = document.body.get("spec")
    try:
        selector = spec.get("selector") if isinstance(spec, dict) else None
        return are_in(labels_of(selector, ("spec", "selector")), pod.labels)
    except NotUnderstoodError:
        return True
