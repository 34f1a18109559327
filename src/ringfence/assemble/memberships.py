"""Finds out how pods take part in a mesh: from what they carry or, for pods to come, from labels.

A pod that was created tells it by itself: labels and annotations of its namespace may have changed
since. Of a template, and of a manifest of a pod that nothing has created yet, it is worked out what
the injectors will do.

`istio_membership` and `linkerd_membership` know the rules of each mesh.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.istio_membership import REDIRECTED, STATUS, IstioRules
from ringfence.assemble.linkerd_membership import LinkerdRules
from ringfence.assemble.mesh_pods import (
    ISTIO_PROXY,
    Containers,
    PodFacts,
    Space,
    containers,
    proxies,
)
from ringfence.assemble.mesh_settings import Settings
from ringfence.assemble.values import EMPTY, Malformed, mapping, string_map
from ringfence.assemble.waypoints import GATEWAY_NAME, Gateways, Waypoint
from ringfence.model.cluster import Namespace
from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.model.mesh import IstioConfig, LinkerdConfig, Membership, Mesh

TELLING: Final = frozenset({STATUS, REDIRECTED})
"""Annotations of pods that take part though they carry no proxy."""
OUTBOUND: Final = {
    "traffic.sidecar.istio.io/includeOutboundIPRanges": ("*", ""),
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": ("",),
}
"""Annotations by which a proxy leaves out some destinations, and the values that leave out none."""
EITHER_WAY: Final = {
    "ambient.istio.io/bypass-inbound-capture": ("false", ""),
    "config.linkerd.io/skip-subnets": ("",),
}
"""The same of what comes in."""
TLS_MODE: Final = "security.istio.io/tlsMode"


class Template(NamedTuple):
    """A pod, or the template of pods."""

    document: Document
    """The pod's own, or what holds the template."""
    metadata: Mapping[str, Any]
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    account: str
    """Of its service account."""
    created: bool = False
    """Whether it is a pod that the API server has admitted."""
    running: bool = False
    """Whether it has an address as well."""


class Memberships:
    """How the pods of a cluster take part in its meshes."""

    def __init__(
        self,
        catalog: Catalog,
        namespaces: Sequence[Namespace],
        settings: Settings,
        gateways: Gateways,
    ) -> None:
        """Read what namespaces say; `problems` holds what is malformed, or not judged."""
        self.problems: list[Problem] = []
        self.gateways = gateways
        self._settings = settings
        self._annotations: dict[str, dict[str, str]] = {}
        for document in catalog.of("Namespace"):
            metadata = document.body.get("metadata")
            if isinstance(metadata, dict):
                self._annotations[document.name] = self._readable(document, metadata)
        self._labels = {n.name: n.labels for n in namespaces if not n.implicit}
        self._istio = IstioRules(settings, gateways, catalog, self._labels)
        self._linkerd = LinkerdRules(settings, catalog, self._annotations)
        self._known: dict[tuple[object, ...], Membership | None] = {}
        self._told: set[tuple[str, str, str]] = set()
        self.found: set[str] = set()
        """`istio` and `linkerd`, where any pod takes part."""

    def of(self, pod: Template) -> Membership | None:
        """Return how pods with a network of their own take part; None where they do not."""
        document, metadata, labels, spec, account, created, running = pod
        annotations = metadata.get("annotations")
        if not isinstance(annotations, dict):
            annotations = EMPTY
        carried = proxies(spec)
        if running and not carried and TELLING.isdisjoint(annotations):
            return None  # of nearly all pods of a cluster without a mesh, this is all
        told = tuple([item for item in annotations.items() if _concerns(item[0])])
        own = tuple([item for item in labels.items() if _concerns(item[0])])
        if carried and carried[0][0] == ISTIO_PROXY:
            declared = Containers(carried)  # what else is in the pod makes no difference
        else:
            declared = containers(spec, carried)
        try:
            key = (document.namespace, account, created, running, told, own, declared)
            if key in self._known:
                return self._known[key]
        except TypeError:  # an annotation that is a list: the API server would refuse it
            return None
        facts = PodFacts(
            Space(
                document.namespace,
                self._labels.get(document.namespace),
                self._annotations.get(document.namespace, EMPTY),
            ),
            labels,
            {name: value for name, value in told if isinstance(value, str)},
            account,
            declared,
            created,
            running,
        )
        found = self._istio.of(facts) or self._linkerd.of(facts)
        waypoint = self.gateways.of_pod(facts.space.name, labels, facts.space.labels or EMPTY)
        if found is not None:
            self.found.add("linkerd" if found.data_plane == "linkerd" else "istio")
            outbound = self._left_out(document, facts, OUTBOUND)
            either = self._left_out(document, facts, EITHER_WAY)
            found = msgspec.structs.replace(
                found,
                # Source: Istio `pilot/pkg/model/service.go` GetTLSModeFromEndpointLabels.
                plaintext=labels.get(TLS_MODE) == "disabled" and found.data_plane == "sidecar",
                unclear=outbound,
                uncertain=found.uncertain or either,
                waypoint_of=waypoint.name if waypoint else None,
            )
        elif waypoint:
            self._tell_of_waypoint(document, waypoint)
        self._known[key] = found
        return found

    def mesh(self) -> Mesh:
        """Return the configurations of the meshes that are there; to be asked when all is read."""
        istio, linkerd = self._settings.istio, self._settings.linkerd
        if istio is None and (self._istio.there or "istio" in self.found):
            istio = IstioConfig()
        if linkerd is None and (self._linkerd.there or "linkerd" in self.found):
            linkerd = LinkerdConfig()
        if linkerd is not None:
            linkerd = msgspec.structs.replace(linkerd, namespace=self._linkerd.control_plane)
        return Mesh(istio, linkerd)

    def distinct(self) -> tuple[Membership, ...]:
        """Return every way in which pods take part, sorted; to be asked when all is read."""
        return tuple(sorted({found for found in self._known.values() if found is not None}))

    def _readable(self, document: Document, metadata: dict[str, Any]) -> dict[str, str]:
        try:
            return string_map(mapping(document.body, "metadata", ()), "annotations", ("metadata",))
        except Malformed as malformed:
            self.problems.append(malformed.of(document))
            found = metadata.get("annotations")
            if not isinstance(found, dict):
                return {}
            return {name: value for name, value in found.items() if isinstance(value, str)}

    def _left_out(
        self, document: Document, facts: PodFacts, names: Mapping[str, tuple[str, ...]]
    ) -> str:
        """Return, and warn, what a pod says of addresses that its proxy leaves out."""
        found = [
            f"`{name}: {value}`"
            for name, harmless in names.items()
            if (value := facts.annotations.get(name)) is not None and value not in harmless
        ]
        if not found:
            return ""
        why = f"{', '.join(found)}: which addresses the proxy leaves out is not judged"
        self._warn(document, f"{why}, so that verdicts that depend on it are unknown")
        return f"{document.ref}: {why}"

    def _tell_of_waypoint(self, document: Document, waypoint: Waypoint) -> None:
        """Warn that what takes part in no mesh has a waypoint."""
        ref = "/".join(waypoint.name)
        self._warn(
            document,
            f"Gateway `{ref}` is the waypoint for its own address, and it is in no mesh, which is "
            "not judged: callers are taken to go past the waypoint",
        )

    def _warn(self, document: Document, message: str) -> None:
        key = (document.ref, message, "")
        if key not in self._told:
            self._told.add(key)
            self.problems.append(
                Problem(
                    f"{document.ref}: {message}",
                    document.location_of(),
                    (),
                    document.ref,
                    severity="warning",
                )
            )


def _concerns(name: object) -> bool:
    """Return whether a label or an annotation is one of a mesh, or names a Gateway."""
    return isinstance(name, str) and (
        "istio.io" in name or "linkerd.io" in name or name == GATEWAY_NAME
    )
