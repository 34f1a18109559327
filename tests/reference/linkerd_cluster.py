"""The small cluster in Linkerd's mesh, and how its objects are written and asked.

In the mesh: shop/web (as `web`), shop/db (as `db`), lab/tester (as `tester`). Not: lab/many.
shop/db is probed at 8080 /healthz and at 8080 /; 9000 is opaque there, 7070 asks for identities.
"""

from typing import Any

import msgspec
import yaml

from reference.small_cluster import BARE, document, end
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection
from ringfence.model.document import Document
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.mesh import DataPlane, LinkerdConfig, Membership, Mesh
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.reference import judge

DOMAIN = "serviceaccount.identity.linkerd.cluster.local"
IN_MESH = {"shop/web": "web", "shop/db": "db", "lab/tester": "tester"}

SERVER = "podSelector: {matchLabels: {app: db}}\nport: 80\n"
WEB = "requiredAuthenticationRefs: [{kind: ServiceAccount, name: web}]\n"
ANYONE = "requiredAuthenticationRefs: []\n"
TO_SERVER = "targetRef: {group: policy.linkerd.io, kind: Server, name: s}\n"


def made(kind: str, name: str, spec: str, *, version: str = "", **metadata: Any) -> Document:
    """Return an object of Linkerd's or the Gateway API's, in `shop` where nothing else is said."""
    versions = {
        "Server": "policy.linkerd.io/v1beta3",
        "ServerAuthorization": "policy.linkerd.io/v1beta1",
        "GRPCRoute": "gateway.networking.k8s.io/v1",
        "GatewayRoute": "gateway.networking.k8s.io/v1",
        "HTTPRoute": "policy.linkerd.io/v1beta3",
        "TLSRoute": "gateway.networking.k8s.io/v1alpha2",
        "TCPRoute": "gateway.networking.k8s.io/v1alpha2",
    }
    body: dict[str, Any] = {
        "apiVersion": version or versions.get(kind, "policy.linkerd.io/v1alpha1"),
        "kind": "HTTPRoute" if kind == "GatewayRoute" else kind,
        "metadata": {"namespace": "shop", "name": name, **metadata},
        "spec": yaml.safe_load(spec),
    }
    return document(body)


def server(more: str = "", *, name: str = "s", **extra: Any) -> Document:
    """Return a Server for port 80 of shop/db."""
    return made("Server", name, SERVER + more, **extra)


def policy(spec: str, *, name: str = "p", **extra: Any) -> Document:
    """Return an AuthorizationPolicy."""
    return made("AuthorizationPolicy", name, spec, **extra)


def attached(kind: str, name: str, spec: str, **extra: Any) -> Document:
    """Return a route that is attached to the Server `s`."""
    parent = "parentRefs: [{group: policy.linkerd.io, kind: Server, name: s}]\n"
    return made(kind, name, parent + spec, **extra)


def meshed(*documents: Document, config: LinkerdConfig | None = None, **of_db: Any) -> Snapshot:
    """Return the small cluster in the mesh, with these objects.

    Args:
        documents: the objects.
        config: how Linkerd is set up.
        of_db: fields of the membership of shop/db.
    """
    workloads = []
    for workload in BARE.workloads:
        account = IN_MESH.get(workload.ref)
        if account is None:
            workloads.append(workload)
            continue
        own: dict[str, Any] = {}
        if workload.ref == "shop/db":
            own = {
                "probes": ((8080, "/"), (8080, "/healthz")),
                "opaque": ((9000, 9000),),
                "identity_ports": ((7070, 7070),),
                **of_db,
            }
        principal = f"{account}.{workload.namespace}.{DOMAIN}"
        member = Membership(DataPlane.LINKERD, principal, seen=True, **own)
        identity = msgspec.structs.replace(workload.identities[0], mesh=member)
        workloads.append(msgspec.structs.replace(workload, identities=(identity,)))
    return msgspec.structs.replace(
        BARE,
        workloads=tuple(workloads),
        documents=documents,
        mesh=Mesh(linkerd=config or LinkerdConfig(source="linkerd-config")),
    )


def http(method: str | None = None, path: str | None = None, **more: Any) -> Request:
    """Return an HTTP request."""
    return Request(http=True, method=method, path=path, **more)


def ask(
    snapshot: Snapshot,
    source: str,
    destination: str = "shop/db",
    port: int = 80,
    request: Request = ANYTHING,
) -> Judgement:
    """Return what the reference judge says of a TCP connection."""
    ends = (end(snapshot, source), end(snapshot, destination))
    return judge(snapshot, Connection(*ends, Protocol.TCP, port, None, request))


def verdict(
    snapshot: Snapshot,
    source: str,
    destination: str = "shop/db",
    port: int = 80,
    request: Request = ANYTHING,
) -> str:
    """Return the verdict alone, `limited` where an allow is."""
    found = ask(snapshot, source, destination, port, request)
    return "limited" if found.limited_to else found.verdict.value
