"""DestinationRules: with what TLS a client's sidecar calls a Service.

Source: istio/api `networking/v1alpha3/destination_rule.proto`; Istio
`pilot/pkg/model/{push_context,destination_rule,sidecar}.go`,
`pilot/pkg/networking/util/util.go` (MergeTrafficPolicy).
"""

from dataclasses import dataclass
from typing import Any

from ringfence.model.cluster import Service
from ringfence.model.document import Document, Path
from ringfence.reference import schema
from ringfence.reference.ends import OwnPod
from ringfence.reference.istio_chains import leads_to
from ringfence.reference.istio_hosts import (
    covers,
    full_name,
    host_of,
    how_specific,
    is_seen,
    read_export,
)
from ringfence.reference.istio_objects import NETWORKING, are_in, config, labels_of, of_kind
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError

MODES = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
PORTS = "the Service's ports that lead to this one are called with different TLS"


@dataclass(frozen=True)
class Said:
    """The mode that a DestinationRule asks for; empty where none does."""

    mode: str = ""
    because: tuple[str, ...] = ()
    """Why it cannot be told, if so."""


@dataclass(frozen=True)
class _Rule:
    document: Document
    host: str
    export: tuple[str, ...]
    workloads: dict[str, str] | None
    mode: str
    """Empty where it says nothing of TLS."""
    ports: dict[int, str]
    says: bool
    """Whether it has a `trafficPolicy` at all."""


def mode(flow: Flow, service: Service) -> Said:
    """Return what the DestinationRule that applies says.

    Rules of the client's namespace go first, then those of the Service's, then those of the root
    namespace; of each the one whose host is most specific; of the same host the oldest with a
    traffic policy. One that selects workloads holds for clients of its own namespace alone. What is
    said for a port of the Service takes the place of all that is said for the host.
    """
    client, pod = flow.source, flow.destination
    if not isinstance(client, OwnPod) or not isinstance(pod, OwnPod):
        return Said()
    host = host_of(service)
    root = config(flow.snapshot).root_namespace
    rules: list[_Rule] = []
    for document in of_kind(flow.snapshot, NETWORKING, "DestinationRule"):
        if document.namespace not in (client.namespace, service.namespace, root):
            continue
        try:
            read = _read(document)
        except NotUnderstoodError as error:
            if _may_be_about(document, host):
                return Said(because=(not_understood(document, error),))
            continue
        if covers(read.host, host):
            rules.append(read)
    chosen = _chosen(rules, client, service, root)
    if chosen is None:
        return Said()
    ports = {port.port for port in service.ports if leads_to(port, pod, flow.port)}
    said = {chosen.ports.get(port, chosen.mode) for port in ports} or {chosen.mode}
    return Said(said.pop()) if len(said) == 1 else Said(because=(PORTS,))


def _may_be_about(document: Document, host: str) -> bool:
    """Return whether a rule that was not understood may be about a host."""
    spec = document.body.get("spec")
    said = spec.get("host") if isinstance(spec, dict) else None
    return not isinstance(said, str) or covers(full_name(said, document.namespace), host)


def _chosen(rules: list[_Rule], client: OwnPod, service: Service, root: str) -> _Rule | None:
    """Return the rule that applies to a client's calls to a Service.

    Source: push_context.go destinationRule; sidecar.go (SidecarScope.DestinationRule).
    """
    levels = [
        [
            rule
            for rule in rules
            if rule.document.namespace == namespace
            and (namespace == client.namespace or is_seen(rule.export, namespace, client.namespace))
        ]
        for namespace in dict.fromkeys((client.namespace, service.namespace, root))
    ]
    for level in levels:
        if not level:
            continue
        best = max(how_specific(rule.host) for rule in level)
        group = [rule for rule in level if how_specific(rule.host) == best]
        for rule in group:
            at_home = rule.document.namespace == client.namespace
            if rule.workloads and at_home and are_in(rule.workloads, client.labels):
                return rule
        plain = [rule for rule in group if not rule.workloads]
        return next((rule for rule in plain if rule.says), None)
    return None


def _read(document: Document) -> _Rule:
    """Return what of a DestinationRule is about TLS; all else in it is left alone.

    Raises:
        NotUnderstoodError: what is about TLS is not understood.
    """
    at: Path = ("spec",)
    spec = _mapping(document.body.get("spec"), at)
    host = schema.text(schema.required(spec, "host", at), (*at, "host"))
    selector = labels_of(spec.get("workloadSelector"), (*at, "workloadSelector"))
    export = read_export(spec.get("exportTo"), (*at, "exportTo"))
    at = (*at, "trafficPolicy")
    policy = _mapping(spec.get("trafficPolicy"), at)
    ports: dict[int, str] = {}
    at = (*at, "portLevelSettings")
    for index, entry in enumerate(schema.items(policy.get("portLevelSettings"), at)):
        here = (*at, index)
        settings = _mapping(entry, here)
        port = _mapping(settings.get("port"), (*here, "port")).get("number")
        number = schema.integer(port, (*here, "port", "number"), 1, 65535)
        ports.setdefault(number, _mode(settings.get("tls"), (*here, "tls")))
    return _Rule(
        document,
        full_name(host, document.namespace),
        export,
        selector,
        _mode(policy.get("tls"), ("spec", "trafficPolicy", "tls")),
        ports,
        says=spec.get("trafficPolicy") is not None,
    )


def _mode(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return the mode of TLS settings: empty where there are none, DISABLE where they say none.

    Source: destination_rule.proto ClientTLSSettings.TLSmode (DISABLE is zero).
    """
    if value is None:
        return ""
    return schema.choice(_mapping(value, path).get("mode", "DISABLE"), (*path, "mode"), MODES)


def _mapping(value: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotUnderstoodError("must be a mapping", path)
    return {key: child for key, child in value.items() if child is not None}
