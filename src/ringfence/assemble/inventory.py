"""Finds the workloads of a cluster, from their templates and from the pods that run."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ringfence.assemble import references
from ringfence.assemble.catalog import Catalog
from ringfence.assemble.identities import Folder, Member
from ringfence.assemble.memberships import Memberships, Template
from ringfence.assemble.owners import MIDDLES, Owners
from ringfence.assemble.pod_specs import PodSpecs, host_network, service_account
from ringfence.assemble.values import (
    EMPTY,
    Malformed,
    mapping,
    mappings,
    number,
    parse_address,
    selector,
    string_map,
    text,
)
from ringfence.assemble.waypoints import GATEWAY_NAME
from ringfence.model.cluster import Workload
from ringfence.model.document import Document, Path
from ringfence.model.location import Problem
from ringfence.model.selector import LabelSelector, from_labels

TEMPLATE: Final[Path] = ("spec", "template")
TEMPLATES: Final[dict[str, Path]] = {
    # Tops before what they own, so that an owner is known when its own are met.
    "Deployment": TEMPLATE,
    "StatefulSet": TEMPLATE,
    "DaemonSet": TEMPLATE,
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "ReplicaSet": TEMPLATE,
    "ReplicationController": TEMPLATE,
    "Job": TEMPLATE,
}
WITH_REPLICAS: Final = frozenset(
    {"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"}
)
MOST_REPLICAS: Final = 2**31 - 1
FINISHED: Final = frozenset({"Succeeded", "Failed"})
CALICO_ADDRESS: Final = "cni.projectcalico.org/podIP"
SPEC: Final[Path] = ("spec",)
METADATA: Final[Path] = ("metadata",)
STATUS: Final[Path] = ("status",)


@dataclass
class Draft:
    """A workload as it is being put together."""

    kind: str
    namespace: str
    name: str
    document: Document
    """The object itself or, if that is not in the input, the first that belongs to it."""
    pod_spec: Path
    """Where in the document the spec of its pods stands."""
    labels: dict[str, str]
    selector: LabelSelector | None = None
    replicas: int | None = None
    first_ordinal: int = 0
    templates: list[Member] = field(default_factory=list)
    pods: list[Member] = field(default_factory=list)


class Inventory:
    """The workloads of a catalog, before they are folded into identities."""

    def __init__(self, catalog: Catalog, memberships: Memberships | None = None) -> None:
        """Read every template and every pod; `problems` holds what is malformed.

        Args:
            catalog: the objects.
            memberships: how pods take part in meshes; None where that does not matter.
        """
        self.problems: list[Problem] = []
        self._memberships = memberships
        self._drafts: dict[tuple[str, str, str], Draft] = {}
        self._owners = Owners(catalog)
        self._specs = PodSpecs()
        for kind, path in TEMPLATES.items():
            for document in catalog.of(kind):
                try:
                    self._add_template(document, path)
                except Malformed as malformed:
                    self.problems.append(malformed.of(document))
        for document in catalog.of("Pod"):
            try:
                self._add_pod(document)
            except Malformed as malformed:
                self.problems.append(malformed.of(document))
        if memberships is not None:
            self._add_waypoints(memberships)

    def workloads(self, folder: Folder, services: Collection[tuple[str, str]]) -> list[Workload]:
        """Return the workloads, sorted by namespace, name and kind.

        Args:
            folder: folds pods into identities.
            services: namespace and name of every Service, for what refers to them.
        """
        search = references.Search(services)
        found: list[Workload] = []
        for draft in sorted(self._drafts.values(), key=lambda d: (d.namespace, d.name, d.kind)):
            try:
                named = search.of(draft.document, draft.pod_spec)
            except Malformed as malformed:
                # It changes no verdict, so the workload is kept.
                named = ()
                self.problems.append(malformed.of(draft.document, severity="warning"))
            found.append(
                Workload(
                    kind=draft.kind,
                    namespace=draft.namespace,
                    name=draft.name,
                    identities=folder.fold(
                        draft.kind,
                        draft.name,
                        draft.pods or draft.templates,
                        draft.replicas,
                        draft.first_ordinal,
                    ),
                    location=draft.document.location_of(),
                    labels=draft.labels,
                    selector=draft.selector,
                    replicas=draft.replicas,
                    references=named,
                )
            )
        return found

    def host_pods(self) -> Iterator[tuple[str, Member]]:
        """Yield namespace and pod of every pod on the host network; templates are left out."""
        for draft in self._drafts.values():
            for member in draft.pods:
                if member.host_network:
                    yield draft.namespace, member

    def namespaces(self) -> Iterator[str]:
        """Yield the namespaces of the workloads, repeatedly."""
        return (draft.namespace for draft in self._drafts.values())

    def _add_template(self, document: Document, path: Path) -> None:
        body = document.body
        metadata = mapping(body, "metadata", ())
        spec = mapping(body, "spec", ())
        own_name = _name(document, metadata)
        kind, name = document.kind, own_name
        replicas = None
        if kind in WITH_REPLICAS:
            replicas = number(spec, "replicas", SPEC, 0, MOST_REPLICAS)
        if kind in MIDDLES:
            kind, name = self._owners.of(document)
        owned = (kind, name) != (document.kind, document.name)
        if not owned:
            name = own_name
        key = (kind, document.namespace, name)
        draft = self._drafts.get(key)
        if owned and (replicas == 0 or (draft and draft.document.kind == kind)):
            # Its owner's own template tells what will run; an old revision tells nothing.
            return
        member, pod_spec = self._template(document, path)
        if draft is None:
            draft = self._drafts[key] = Draft(
                kind,
                document.namespace,
                name,
                document,
                pod_spec,
                EMPTY if owned else string_map(metadata, "labels", METADATA),
                None if owned else _selector(document.kind, spec),
            )
        draft.templates.append(member)
        if replicas is not None:
            draft.replicas = (draft.replicas or 0) + replicas
        if kind == "StatefulSet":
            ordinals = mapping(spec, "ordinals", SPEC)
            start = number(ordinals, "start", (*SPEC, "ordinals"), 0, MOST_REPLICAS)
            draft.first_ordinal = start or 0

    def _template(self, document: Document, path: Path) -> tuple[Member, Path]:
        """Return what a template says of its pods, and where their spec stands."""
        above: dict[str, Any] = document.body
        at: Path = ()
        for part in path:
            if above.get(str(part)) is None:
                raise Malformed(f"`{part}` is required", at)
            above = mapping(above, str(part), at)
            at = (*at, part)
        metadata = mapping(above, "metadata", path)
        labels = string_map(metadata, "labels", (*path, "metadata"))
        spec, spec_path = mapping(above, "spec", path), (*path, "spec")
        account, on_host = service_account(spec, spec_path), host_network(spec, spec_path)
        ports = self._specs.ports(spec, spec_path)
        mesh = None
        if self._memberships is not None and not on_host:
            pod = Template(document, metadata, labels, spec, account)
            mesh = self._memberships.of(pod)
        return Member(labels, account, on_host, ports, mesh=mesh), spec_path

    def _add_pod(self, document: Document) -> None:
        body = document.body
        metadata = mapping(body, "metadata", ())
        spec = mapping(body, "spec", ())
        status = mapping(body, "status", ())
        if text(status, "phase", STATUS) in FINISHED:
            return
        addresses = _addresses(status)
        if "deletionTimestamp" in metadata and _released(metadata, addresses):
            return
        labels = string_map(metadata, "labels", METADATA)
        namespace, name = document.namespace, _name(document, metadata)
        account, on_host = service_account(spec, SPEC), host_network(spec, SPEC)
        ports, node = self._specs.ports(spec, SPEC), text(spec, "nodeName", SPEC)
        mesh = None
        if self._memberships is not None and not on_host:
            # Only the API server and what comes after it write these down.
            created = bool(status) or bool(node) or "uid" in metadata
            pod = Template(document, metadata, labels, spec, account, created, bool(addresses))
            mesh = self._memberships.of(pod)
        member = Member(labels, account, on_host, ports, name, addresses, node, mesh)
        owner, owner_name = self._owners.of_pod(namespace, name, metadata, labels)
        key = (owner, namespace, owner_name)
        draft = self._drafts.get(key)
        if draft is None:
            bare = owner == "Pod"
            draft = self._drafts[key] = Draft(
                owner, namespace, owner_name, document, SPEC, labels if bare else EMPTY
            )
        draft.pods.append(member)

    def _add_waypoints(self, memberships: Memberships) -> None:
        """Add the pods that Istio will make of Gateways that are waypoints, where none is there.

        They are what callers from ambient reach in the first place, and have an identity of their
        own, so that manifests can be judged before they are applied. As they will be, they are a
        Deployment's.
        """
        there = {
            (draft.namespace, member.labels.get(GATEWAY_NAME))
            for draft in self._drafts.values()
            for member in (*draft.templates, *draft.pods)
        }
        for waypoint in memberships.gateways:
            namespace, name = waypoint.name
            key = ("Deployment", namespace, waypoint.deployment)
            if waypoint.name in there or key in self._drafts:
                continue
            pod = Template(waypoint.document, EMPTY, waypoint.labels, EMPTY, waypoint.account)
            mesh = memberships.of(pod)
            member = Member(
                waypoint.labels, waypoint.account, host_network=False, ports=(), mesh=mesh
            )
            self._drafts[key] = Draft(
                *key,
                waypoint.document,
                SPEC,
                waypoint.labels,
                from_labels({GATEWAY_NAME: name}),
                templates=[member],
            )


def _name(document: Document, metadata: dict[str, Any]) -> str:
    """Return an object's name or, where the API server is to make one up, what it begins with."""
    name = document.name or text(metadata, "generateName", METADATA).rstrip("-.")
    if not name:
        raise Malformed("`name` is required", METADATA)
    return name


def _selector(kind: str, spec: dict[str, Any]) -> LabelSelector | None:
    match kind:
        case "Job" | "CronJob":
            # The controller makes up one that names a single run.
            return None
        case "ReplicationController":
            labels = string_map(spec, "selector", SPEC)
            return from_labels(labels) if labels else None
        case _:
            return selector(spec, "selector", SPEC)


def _addresses(status: dict[str, Any]) -> tuple[str, ...]:
    """Return a pod's addresses, one per family, in the order in which the status lists them."""
    found: tuple[str, ...] = ()
    if status.get("podIPs"):
        at = (*STATUS, "podIPs")
        found = tuple(text(entry, "ip", at) for entry in mappings(status, "podIPs", STATUS))
    elif status.get("podIP"):
        found = (text(status, "podIP", STATUS),)
    for address in found:
        if parse_address(address) is None:
            raise Malformed(f"`{address}` is no IP address", (*STATUS, "podIPs"))
    return found


def _released(metadata: dict[str, Any], addresses: tuple[str, ...]) -> bool:
    """Return whether a pod that is being deleted no longer holds its address.

    Source: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go` IsFinished.
    """
    annotations = mapping(metadata, "annotations", METADATA)
    return not addresses or annotations.get(CALICO_ADDRESS) == ""
