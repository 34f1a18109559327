"""PeerAuthentication: whether a port takes mTLS, plaintext, or both.

Source: Istio `pilot/pkg/security/authn/policy_applier.go` (ComposePeerAuthentication),
`pkg/config/validation/validation.go` (ValidatePeerAuthentication); for ambient
`pilot/pkg/serviceregistry/ambient/authorization.go` (convertedSelectorPeerAuthentications).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.mesh import DataPlane
from ringfence.reference import schema
from ringfence.reference.ends import OwnPod
from ringfence.reference.istio_objects import SECURITY, are_in, config, labels_of, of_kind, spec_of
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError


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
class Resolved:
    """The mode of one port, and what says so."""

    mode: Mode = Mode.PERMISSIVE
    document: Document | None = None
    path: Path = ()
    because: tuple[str, ...] = ()
    """Why it cannot be told, if so."""
    unread: tuple[tuple[Document, Path], ...] = ()
    """What could not be understood."""


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

    In ambient DISABLE acts as PERMISSIVE: a ztunnel takes mTLS always.
    """
    pod = flow.destination
    if not isinstance(pod, OwnPod) or flow.server is None or flow.server.gateway:
        return Resolved()
    root = config(flow.snapshot).root_namespace
    mesh: list[_Read] = []
    namespace: list[_Read] = []
    workload: list[_Read] = []
    unread: list[tuple[Document, Path]] = []
    because: list[str] = []
    for document in of_kind(flow.snapshot, SECURITY, "PeerAuthentication"):
        if document.namespace not in (root, pod.namespace):
            continue
        try:
            read = _read(document)
        except NotUnderstoodError as error:
            if _may_select(document, pod):
                unread.append((document, error.path))
                because.append(not_understood(document, error))
            continue
        if not read.labels:
            (mesh if document.namespace == root else namespace).append(read)
        elif document.namespace != root and are_in(read.labels, pod.labels):
            workload.append(read)
    if because:
        return Resolved(because=tuple(because), unread=tuple(unread))
    found = Resolved()
    for level in (mesh, namespace, workload):
        if level and level[0].mode is not Mode.UNSET:
            found = Resolved(level[0].mode, level[0].document, ("spec", "mtls"))
    if workload:
        of_port = workload[0].ports.get(flow.port, Mode.UNSET)
        if of_port is not Mode.UNSET:
            path = ("spec", "portLevelMtls", _port_key(workload[0].document, flow.port))
            found = Resolved(of_port, workload[0].document, path)
    if found.mode is Mode.DISABLE and flow.server.data_plane is DataPlane.AMBIENT:
        return Resolved(Mode.PERMISSIVE, found.document, found.path)
    return found


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


def _may_select(document: Document, pod: OwnPod) -> bool:
    """Return whether an object that was not understood may be meant for a pod."""
    spec = document.body.get("spec")
    try:
        selector = spec.get("selector") if isinstance(spec, dict) else None
        return are_in(labels_of(selector, ("spec", "selector")), pod.labels)
    except NotUnderstoodError:
        return True
