"""The smallest change to a mesh's own policies that would allow a connection.

Like those of the network it is only proposed here: whoever asks judges anew with it.
"""

import copy
from typing import Any, Final

import msgspec
import yaml

from ringfence.engine.steps import MeshTrace, SideTrace
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.document import Document
from ringfence.model.explanation import Change
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.proposed_rules import lasting_labels

ISTIO: Final = "security.istio.io/v1"
LINKERD: Final = "policy.linkerd.io"
DEFAULT_POLICY: Final = "DefaultInboundPolicy"
AUTHORIZATION: Final = "AuthorizationPolicy"
PLAINTEXT: Final = "it goes in plaintext, so that {0} proves nothing by which a rule could allow it"
NEEDS_MTLS: Final = "{} asks for mTLS, and this goes in plaintext"
JOIN: Final = "{}: have {} join the mesh"
BY_GATEWAY: Final = "{}: from outside, come in by a gateway of the mesh"
BY_SERVICE: Final = (
    "{}: {} is in the mesh, but a sidecar sends mTLS only to Services; call it by one that leads"
    " there"
)
SET_SO: Final = "{}: {} is in the mesh; see what its settings (DestinationRule, left-out ports) say"
DENY_STANDS: Final = "{} denies, and no rule that is added allows what it denies: narrow that rule"
BY_EGRESS: Final = "{} keeps the proxy of {} from sending this: what it may send is said there"
UNCLEAR: Final = "whether it goes over mTLS cannot be told"
NO_SERVER: Final = "the default policy of {} denies this, and without a Server none can allow it"
NOT_LISTED: Final = "none is proposed for {}"


class MeshProposals:
    """Adds what a mesh would need to documents that already hold what the network would."""

    def __init__(self, snapshot: Snapshot, documents: list[Document]) -> None:
        """Keep where changes are made.

        Args:
            snapshot: the cluster as it is.
            documents: its policies as they would be; changed in place.
        """
        self._snapshot, self._documents = snapshot, documents
        self.changes: list[Change] = []
        self.hints: list[str] = []
        """Why no change can be proposed."""

    def add(self, connection: Connection, mesh: MeshTrace, source: str, subject: str) -> bool:
        """Propose what lets a connection through both proxies; False where nothing can be said.

        Args:
            connection: the connection.
            mesh: what the mesh makes of it.
            source: what the source is called.
            subject: what the destination is called.
        """
        if mesh.egress.verdict is Verdict.DENY:
            self.hints.append(BY_EGRESS.format(_objects(mesh.egress), source))
            return False
        if mesh.ingress.verdict is not Verdict.DENY:
            return True
        if mesh.mtls is None:
            self.hints.append(UNCLEAR)
            return False
        if not mesh.ingress.by_isolation:
            return self._against(connection, mesh, source, subject)
        return self._allow(connection, mesh, source)

    # -- what stands against it ----------------------------------------------------------------

    def _against(self, connection: Connection, mesh: MeshTrace, source: str, subject: str) -> bool:
        """Propose what lets through what rules deny: in Linkerd an authorization does."""
        deciding = [e for e in mesh.ingress.evidence if e.action == "deny" and e.object]
        if not deciding:
            self.hints.append(NO_SERVER.format(subject))
            return False
        title, _, name = (deciding[0].object or "").partition("/")
        kind, _, group = title.partition(".")
        told = f"{deciding[0].object} {deciding[0].rule}"
        if kind == "PeerAuthentication":
            self._tell_plaintext(NEEDS_MTLS.format(told), connection, source)
            return False
        if kind == DEFAULT_POLICY:
            if mesh.mtls:
                self.hints.append(NO_SERVER.format(subject))
            else:
                self._tell_plaintext(PLAINTEXT.format(source), connection, source)
            return False
        if kind not in {"Server", "HTTPRoute", "GRPCRoute"}:
            self.hints.append(DENY_STANDS.format(told))
            return False
        principal = self._principal(connection)
        if not mesh.mtls or principal is None:
            self._tell_plaintext(PLAINTEXT.format(source), connection, source)
            return False
        namespace, _, name = name.partition("/")
        target = {"group": group or LINKERD, "kind": kind, "name": name}
        self._authorize(target, namespace, principal)
        return True

    def _authorize(self, target: dict[str, str], namespace: str, principal: str) -> None:
        """Have an object of Linkerd's authorize a client.

        Source: linkerd2 `policy-controller/k8s/api/src/policy/authorization_policy.rs`.
        """
        authentication = f"{target['name']}-{principal.split('.', 1)[0]}"
        self._create(
            f"{LINKERD}/v1alpha1",
            "MeshTLSAuthentication",
            namespace,
            authentication,
            {"identities": [principal]},
        )
        reference = {"group": LINKERD, "kind": "MeshTLSAuthentication", "name": authentication}
        self._create(
            f"{LINKERD}/v1alpha1",
            AUTHORIZATION,
            namespace,
            authentication,
            {
                "targetRef": target,
                "requiredAuthenticationRefs": [reference],
            },
        )

    # -- what nothing allows -------------------------------------------------------------------

    def _allow(self, connection: Connection, mesh: MeshTrace, source: str) -> bool:
        """Propose a rule of an AuthorizationPolicy that selects just this workload, or a new one.

        Source: istio/api `security/v1beta1/authorization_policy.proto`.
        """
        principal = self._principal(connection)
        if not mesh.mtls or principal is None:
            self._tell_plaintext(PLAINTEXT.format(source), connection, source)
            return False
        rule = self._rule(connection, mesh, principal)
        isolating = [e.object for e in mesh.ingress.evidence if e.rule == "isolation"]
        for traced in mesh.ingress.policies:
            policy = traced.policy.policy
            document = self._documents[policy.document]
            spec = document.body.get("spec")
            if policy.ref in isolating and isinstance(spec, dict) and _is_narrow(spec):
                self._insert(policy.document, rule)
                return True
        destination = connection.destination
        if not isinstance(destination, PodEnd):
            self.hints.append(NOT_LISTED.format(_objects(mesh.ingress)))
            return False
        workload = self._snapshot.workloads[destination.workload]
        labels = lasting_labels(workload, workload.identities[destination.identity])
        attached: dict[str, Any] = {"selector": {"matchLabels": labels}}
        namespace, name = workload.namespace, f"{workload.name}-callers"
        if mesh.waypoint and connection.service is not None:
            called = self._snapshot.services[connection.service]
            namespace = called.namespace
            reference = {"group": "", "kind": "Service", "name": called.name}
            attached = {"targetRefs": [reference]}
        spec = {**attached, "action": "ALLOW", "rules": [rule]}
        self._create(ISTIO, AUTHORIZATION, namespace, name, spec)
        return True

    def _rule(self, connection: Connection, mesh: MeshTrace, principal: str) -> dict[str, Any]:
        operation: dict[str, Any] = {}
        if connection.port is not None and not mesh.waypoint:
            operation["ports"] = [str(connection.port)]
        request = connection.request
        if mesh.waypoint or self._plane(connection) is DataPlane.SIDECAR:
            if request.method is not None:
                operation["methods"] = [request.method]
            if request.path is not None:
                operation["paths"] = [request.path.partition("?")[0]]
        rule: dict[str, Any] = {"from": [{"source": {"principals": [principal]}}]}
        return {**rule, "to": [{"operation": operation}]} if operation else rule

    def _tell_plaintext(self, what: str, connection: Connection, source: str) -> None:
        """Tell what would make a connection go over mTLS."""
        if not isinstance(connection.source, PodEnd):
            self.hints.append(BY_GATEWAY.format(what))
        elif self._principal(connection) is None:
            self.hints.append(JOIN.format(what, source))
        elif connection.service is None:
            self.hints.append(BY_SERVICE.format(what, source))
        else:
            self.hints.append(SET_SO.format(what, source))

    def _principal(self, connection: Connection) -> str | None:
        end = connection.source
        if not isinstance(end, PodEnd):
            return None
        mesh = self._snapshot.workloads[end.workload].identities[end.identity].mesh
        return mesh.principal if mesh else None

    def _plane(self, connection: Connection) -> DataPlane | None:
        end = connection.destination
        if not isinstance(end, PodEnd):
            return None
        mesh = self._snapshot.workloads[end.workload].identities[end.identity].mesh
        return mesh.data_plane if mesh else None

    # -- making it -----------------------------------------------------------------------------

    def _insert(self, number: int, rule: dict[str, Any]) -> None:
        document = self._documents[number]
        body = copy.deepcopy(document.body)
        body["spec"]["rules"] = [*(body["spec"].get("rules") or []), rule]
        self._documents[number] = msgspec.structs.replace(document, body=body, lines=())
        at = self._snapshot.documents[number].location_of(("spec", "rules"))
        self.changes.append(
            Change(
                f"add to spec.rules of {document.ref}",
                document.ref,
                yaml.safe_dump([rule], sort_keys=False),
                at.file,
                at.line,
            )
        )

    def _create(
        self, api_version: str, kind: str, namespace: str, name: str, spec: dict[str, Any]
    ) -> None:
        body = {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        document = Document(api_version, kind, namespace, name, body, "proposed")
        self._documents.append(document)
        manifest = yaml.safe_dump(body, sort_keys=False)
        self.changes.append(Change(f"create {document.ref}", document.ref, manifest))


def _is_narrow(spec: dict[str, Any]) -> bool:
    """Return whether a policy is for some workloads, unlike a namespace's default deny."""
    selector = spec.get("selector")
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    return bool(labels or spec.get("targetRefs") or spec.get("targetRef"))


def _objects(side: SideTrace) -> str:
    named = dict.fromkeys(e.object for e in side.evidence if e.object)
    return " and ".join(filter(None, named)) or f"the mesh's {Direction(side.direction).value}"
