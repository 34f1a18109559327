"""The small cluster under Cilium, and how its policies are written and asked."""

from typing import Any

import msgspec
import yaml

from reference.small_cluster import BARE, document, end
from ringfence.model.cluster import Protocol, Service
from ringfence.model.connection import Connection
from ringfence.model.document import Document
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.profile import CiliumConfig, Cni, Profile
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.reference import judge

TO_DB = "endpointSelector: {matchLabels: {app: db}}"
TO_WEB = "endpointSelector: {matchLabels: {app: web}}"


def cnp(*spec: str, name: str = "p", namespace: str = "shop") -> Document:
    """Return a CiliumNetworkPolicy with the fields of its spec, in YAML."""
    return _object("CiliumNetworkPolicy", {"namespace": namespace, "name": name}, spec)


def ccnp(*spec: str, name: str = "c") -> Document:
    """Return a CiliumClusterwideNetworkPolicy."""
    return _object("CiliumClusterwideNetworkPolicy", {"name": name}, spec)


def group(name: str, *cidrs: str, **labels: str) -> Document:
    """Return a CiliumCIDRGroup."""
    body: dict[str, Any] = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": name, "labels": labels},
        "spec": {"externalCIDRs": list(cidrs)},
    }
    return document(body)


def _object(kind: str, metadata: dict[str, str], spec: tuple[str, ...]) -> Document:
    body = {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata}
    return document({**body, "spec": yaml.safe_load("\n".join(spec))})


def cluster(
    *documents: Document,
    version: str = "",
    flag: bool | None = False,
    settings: CiliumConfig | None = None,
    services: tuple[Service, ...] = (),
) -> Snapshot:
    """Return the small cluster with these policies."""
    profile = Profile(
        Cni.CILIUM, version=version, cluster_network_policy=flag, cilium=settings or CiliumConfig()
    )
    return msgspec.structs.replace(BARE, documents=documents, profile=profile, services=services)


def ask(
    snapshot: Snapshot,
    source: str,
    destination: str,
    traffic: str = "tcp/80",
    request: Request = ANYTHING,
    family: int | None = None,
) -> Judgement:
    """Return what the reference judge says; `icmp/8` is a type of ICMP."""
    protocol, _, port = traffic.partition("/")
    number = int(port) * (256 if protocol == "icmp" else 1) if port else None
    ends = end(snapshot, source), end(snapshot, destination)
    return judge(snapshot, Connection(*ends, Protocol(protocol.upper()), number, family, request))


def verdict(snapshot: Snapshot, source: str, destination: str, *more: Any, **also: Any) -> str:
    """Return the verdict as a word; `limited` for an allow with limits."""
    found = ask(snapshot, source, destination, *more, **also)
    return "limited" if found.limited_to else found.verdict.value
