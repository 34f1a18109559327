"""What workloads of a mesh ask of their callers, and the same cluster with that made strict."""

import copy
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
import yaml

from ringfence import assemble
from ringfence.engine import Engine
from ringfence.model.cluster import Identity, Protocol, Workload
from ringfence.model.connection import AddressEnd, Connection, PodEnd
from ringfence.model.document import Document
from ringfence.model.kinds import group_of
from ringfence.model.layer7 import Request
from ringfence.model.mesh import ISTIO, DataPlane, IstioConfig, LinkerdConfig, Membership
from ringfence.model.rule import Action
from ringfence.model.snapshot import Snapshot
from ringfence.model.tiers import ISTIO_TRANSPORT

STRICT: Final = "STRICT"
AUTHENTICATED: Final = ("all-authenticated", "cluster-authenticated", "deny")
"""Linkerd's default policies that refuse plaintext."""
GROUP: Final = "security.istio.io"
KIND: Final = "PeerAuthentication"
SOMEBODY: Final = AddressEnd("203.0.113.1")
"""Whoever asks: PeerAuthentications do not look at the peer."""
USUAL_PORT: Final = 8080


def member(workload: Workload) -> Membership | None:
    """Return how a workload takes part in a mesh; None: none of its pods do."""
    return next((identity.mesh for identity in workload.identities if identity.mesh), None)


def plane(membership: Membership) -> str:
    """Return what a membership is called: its data plane, `gateway` or `waypoint`."""
    if membership.gateway:
        return "waypoint" if membership.waypoint else "gateway"
    return membership.data_plane.value


class Modes:
    """The modes of workloads, as the judge finds them."""

    def __init__(self, engine: Engine) -> None:
        """Keep who judges."""
        self._engine = engine
        self._snapshot = engine.snapshot

    def of(self, number: int, served: Iterable[int]) -> Counter[str]:
        """Return the modes of a workload's ports: `STRICT`, or a default policy of Linkerd's.

        Args:
            number: the workload.
            served: its ports.
        """
        found: Counter[str] = Counter()
        for index, identity in enumerate(self._snapshot.workloads[number].identities):
            mesh = identity.mesh
            if mesh is None or mesh.gateway:
                continue
            if mesh.data_plane is DataPlane.LINKERD:
                linkerd = self._snapshot.mesh.linkerd or LinkerdConfig()
                found[mesh.default_inbound or linkerd.default_inbound] += 1
                continue
            ports = [port for port in served if mesh.inbound.holds(port)] or [USUAL_PORT]
            for port in ports:
                found[self._mode(PodEnd(number, index), port)] += 1
        return found

    @staticmethod
    def refuse_plaintext(found: Counter[str]) -> bool:
        """Return whether all of some modes do; not where there are none."""
        return bool(found) and all(mode == STRICT or mode in AUTHENTICATED for mode in found)

    def _mode(self, end: PodEnd, port: int) -> str:
        refused = [self._refuses(end, port, mtls=mtls) for mtls in (False, True)]
        if None in refused:
            return "unknown"
        return {(True, False): STRICT, (False, True): "DISABLE"}.get(
            (bool(refused[0]), bool(refused[1])), "PERMISSIVE"
        )

    def _refuses(self, end: PodEnd, port: int, *, mtls: bool) -> bool | None:
        """Return whether PeerAuthentications refuse plaintext, or mTLS; None: perhaps."""
        asked = Connection(SOMEBODY, end, Protocol.TCP, port, request=Request(mtls=mtls))
        mesh = self._engine.trace(asked).mesh
        if mesh is None:
            return False
        rules = [
            rule
            for policy in mesh.ingress.policies
            if policy.policy.policy.tier == ISTIO_TRANSPORT
            for rule in policy.rules
        ]
        for rule in rules:
            if rule.matches is None:
                return None
            if rule.matches:
                return rule.compiled.rule.action is Action.DENY
        return False


# -- strict ----------------------------------------------------------------------------------------


def made_strict(snapshot: Snapshot, namespaces: set[str]) -> tuple[Snapshot, dict[str, str]]:
    """Return a cluster in which the members of a mesh in some namespaces refuse plaintext.

    Exceptions for some workloads, or for some of their ports, stay as they are.

    Shape: the cluster, and the manifest of each namespace that makes it so.
    """
    root = (snapshot.mesh.istio or IstioConfig()).root_namespace
    documents = list(snapshot.documents)
    told: dict[str, str] = {}
    istio, linkerd = (
        sorted({w.namespace for w in snapshot.workloads if _takes_part(w, planes)} & namespaces)
        for planes in (ISTIO, (DataPlane.LINKERD,))
    )
    for namespace in istio:
        if namespace != root:
            told[namespace] = _strict_istio(documents, namespace)
    workloads = snapshot.workloads
    for namespace in linkerd:
        told[namespace] = "".join([told.get(namespace, ""), _strict_linkerd(namespace)])
    if linkerd:
        workloads = tuple(
            msgspec.structs.replace(w, identities=tuple(map(_authenticated, w.identities)))
            if w.namespace in linkerd
            else w
            for w in workloads
        )
    changed = msgspec.structs.replace(snapshot, workloads=workloads)
    return assemble.with_documents(changed, documents), told


def _takes_part(workload: Workload, planes: tuple[DataPlane, ...]) -> bool:
    return any(
        identity.mesh and not identity.mesh.gateway and identity.mesh.data_plane in planes
        for identity in workload.identities
    )


def _strict_istio(documents: list[Document], namespace: str) -> str:
    """Have the PeerAuthentications of a namespace, or a new one, ask for mTLS; return it."""
    found = [
        number
        for number, document in enumerate(documents)
        if (document.kind, document.namespace) == (KIND, namespace)
        and group_of(document.api_version) == GROUP
        and not _selects(document)
    ]
    if not found:
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": KIND,
            "metadata": {"name": "default", "namespace": namespace},
            "spec": {"mtls": {"mode": STRICT}},
        }
        documents.append(Document(f"{GROUP}/v1", KIND, namespace, "default", body, "proposed"))
        return yaml.safe_dump(body, sort_keys=False)
    for number in found:
        body = copy.deepcopy(documents[number].body)
        body["spec"] = {"mtls": {"mode": STRICT}}
        documents[number] = msgspec.structs.replace(documents[number], body=body, lines=())
    first = documents[found[0]]
    name = {"name": first.name, "namespace": namespace}
    shown = {"apiVersion": first.api_version, "kind": KIND, "metadata": name}
    return yaml.safe_dump({**shown, "spec": first.body["spec"]}, sort_keys=False)


def _selects(document: Document) -> bool:
    spec = document.body.get("spec")
    selector = spec.get("selector") if isinstance(spec, dict) else None
    return isinstance(selector, dict) and bool(selector.get("matchLabels"))


def _strict_linkerd(namespace: str) -> str:
    """Return what has new pods of a namespace ask for an identity.

    Source: linkerd.io "Authorization policy": pods take it when they start.
    """
    annotations = {"config.linkerd.io/default-inbound-policy": AUTHENTICATED[0]}
    metadata = {"name": namespace, "annotations": annotations}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    return yaml.safe_dump(body, sort_keys=False)


def _authenticated(identity: Identity) -> Identity:
    mesh = identity.mesh
    if mesh is None or mesh.data_plane is not DataPlane.LINKERD:
        return identity
    if mesh.default_inbound in AUTHENTICATED:
        return identity
    strict = msgspec.structs.replace(mesh, default_inbound=AUTHENTICATED[0])
    return msgspec.structs.replace(identity, mesh=strict)
