"""DestinationRules: with what TLS a client's sidecar calls a Service.

Source: istio/api `networking/v1alpha3/destination_rule.proto`; Istio
`pilot/pkg/model/{push_context,destination_rule,sidecar}.go`,
`pilot/pkg/networking/util/util.go` (MergeTrafficPolicy).
"""

import re
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
from ringfence.reference.istio_objects import (
    NETWORKING,
    are_in,
    config,
    created,
    labels_of,
    of_kind,
)
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError

MODES = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
AGES = "which of several DestinationRules for this host is the oldest is not known"
_SPEC = ("host", "trafficPolicy", "subsets", "exportTo", "workloadSelector")
_SETTINGS = ("loadBalancer", "connectionPool", "outlierDetection", "tls")
_POLICY = (*_SETTINGS, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget")
_TLS = (
    *("mode", "clientCertificate", "privateKey", "caCertificates", "credentialName"),
    *("subjectAltNames", "sni", "insecureSkipVerify", "caCrl"),
)
_LABEL = re.compile("[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
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

    Rules of the client's namespace go first (but for the root namespace), then those of the
    Service's, then those of the root namespace; of each the one whose host is most specific; of the
    same host the oldest with a traffic policy. One that selects workloads holds for clients of its
    own namespace alone. What is said for a port of the Service takes the place of all that is said
    for the host.

    Source: push_context.go destinationRule.
    """
    client, pod = flow.source, flow.destination
    if not isinstance(client, OwnPod) or not isinstance(pod, OwnPod):
        return Said()
    root = config(flow.snapshot).root_namespace
    own = () if client.namespace == root else (client.namespace,)
    for namespace in dict.fromkeys((*own, service.namespace, root)):
        level, unread = _about(flow, namespace, host_of(service))
        if unread:
            return Said(because=unread)
        at_home = namespace == client.namespace
        level = [
            one for one in level if at_home or is_seen(one.export, namespace, client.namespace)
        ]
        if not level:
            continue
        chosen = _chosen(level, client, at_home=at_home)
        if len({(one.mode, tuple(sorted(one.ports.items()))) for one in chosen}) > 1:
            return Said(because=(AGES,))
        if not chosen:
            return Said()
        ports = {port.port for port in service.ports if leads_to(port, pod, flow.port)}
        said = {chosen[0].ports.get(port, chosen[0].mode) for port in ports} or {chosen[0].mode}
        return Said(said.pop()) if len(said) == 1 else Said(because=(PORTS,))
    return Said()


def _about(flow: Flow, namespace: str, host: str) -> tuple[list[_Rule], tuple[str, ...]]:
    """Return the rules of a namespace that are about a host, and why it may have others."""
    rules: list[_Rule] = []
    unread: list[str] = []
    for document in of_kind(flow.snapshot, NETWORKING, "DestinationRule"):
        if document.namespace != namespace:
            continue
        try:
            read = _read(document)
        except NotUnderstoodError as error:
            if _may_be_about(document, host):
                unread.append(not_understood(document, error))
            continue
        if covers(read.host, host):
            rules.append(read)
    return rules, tuple(unread)


def _may_be_about(document: Document, host: str) -> bool:
    """Return whether a rule that was not understood may be about a host."""
    spec = document.body.get("spec")
    said = spec.get("host") if isinstance(spec, dict) else None
    if not isinstance(said, str) or not _is_host(said):
        return True
    return covers(full_name(said, document.namespace), host)


def _is_host(written: str) -> bool:
    """Return whether something is a host: names with dots between, perhaps a star in front."""
    if written == "*":
        return True
    name = written.lower().removeprefix("*.")
    return bool(name) and all(_LABEL.fullmatch(label) for label in name.split("."))


def _chosen(level: list[_Rule], client: OwnPod, *, at_home: bool) -> list[_Rule]:
    """Return the rule of a level that applies to a client; all that may be the oldest.

    Source: push_context.go destinationRule; sidecar.go (SidecarScope.DestinationRule).
    """
    best = max(how_specific(rule.host) for rule in level)
    group = [rule for rule in level if how_specific(rule.host) == best]
    for rule in group:
        if rule.workloads and at_home and are_in(rule.workloads, client.labels):
            same = [one for one in group if one.workloads == rule.workloads]
            return _oldest([one for one in same if one.says] or [rule])
    return _oldest([rule for rule in group if not rule.workloads and rule.says])


def _oldest(rules: list[_Rule]) -> list[_Rule]:
    """Return those that may be the oldest: where one has no time of creation, any may be."""
    if all(created(rule.document) for rule in rules):
        return rules[:1]
    return rules


def _read(document: Document) -> _Rule:
    """Return what of a DestinationRule is about TLS; of all else only that it is known.

    Raises:
        NotUnderstoodError: what is about TLS is not understood.
    """
    at: Path = ("spec",)
    spec = _fields(document.body.get("spec"), at, _SPEC)
    host = schema.text(schema.required(spec, "host", at), (*at, "host"))
    if not _is_host(host):
        raise NotUnderstoodError(f"`{host}` is no host", (*at, "host"))
    schema.items(spec.get("subsets"), (*at, "subsets"))
    selector = labels_of(spec.get("workloadSelector"), (*at, "workloadSelector"))
    export = read_export(spec.get("exportTo"), (*at, "exportTo"))
    at = (*at, "trafficPolicy")
    policy = _fields(spec.get("trafficPolicy"), at, _POLICY)
    ports: dict[int, str] = {}
    at = (*at, "portLevelSettings")
    for index, entry in enumerate(schema.items(policy.get("portLevelSettings"), at)):
        here = (*at, index)
        settings = _fields(entry, here, (*_SETTINGS, "port"))
        port = _fields(settings.get("port"), (*here, "port"), ("number",)).get("number")
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
    return schema.choice(_fields(value, path, _TLS).get("mode", "DISABLE"), (*path, "mode"), MODES)


def _fields(value: Any, path: Path, known: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
    return {} if value is None else schema.fields(value, path, known)
