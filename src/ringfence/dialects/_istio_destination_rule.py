"""DestinationRules of Istio: by what TLS the proxies of clients call which hosts.

Nothing else of them changes a verdict, so that nothing else is read; a field that is not known
makes one unreadable.

Authority: istio/api `networking/v1alpha3/destination_rule.proto`; Istio
`pilot/pkg/model/destination_rule.go` mergeDestinationRule, `pilot/pkg/networking/core/cluster.go`
(settings of a port take the place of all others), `pkg/config/validation/agent/validation.go`.
"""

import re
from collections import defaultdict
from functools import partial
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects._istio_reader import Reader, created
from ringfence.dialects._istio_values import labels
from ringfence.dialects._shared import Malformed, fields, filled, integer, items, one_of
from ringfence.model.document import Document, Path
from ringfence.model.mesh import ClientTls
from ringfence.model.rule import Unreadable

KIND: Final = "DestinationRule"
SPEC: Final = ("host", "trafficPolicy", "subsets", "exportTo", "workloadSelector")
POLICY: Final = ("loadBalancer", "connectionPool", "outlierDetection", "tls")
WHOLE_POLICY: Final = (*POLICY, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget")
PORT_POLICY: Final = (*POLICY, "port")
TLS: Final = (
    *("mode", "clientCertificate", "privateKey", "caCertificates", "credentialName"),
    *("subjectAltNames", "sni", "insecureSkipVerify", "caCrl"),
)
MODES: Final = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
AT_POLICY: Final[Path] = ("spec", "trafficPolicy")
DOMAIN: Final = "svc.cluster.local"
HOST: Final = re.compile(r"\*|(\*\.)?[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?")
AGES: Final = "which of several DestinationRules for this host is the oldest is not known"


class Read(msgspec.Struct, frozen=True):
    """What a DestinationRule says of TLS."""

    settings: ClientTls
    says: bool
    """Whether there is any `trafficPolicy`: only then a younger one for the host has no say."""
    age: tuple[str, str]
    unreadable: tuple[Unreadable, ...] = ()
    """All that could not be understood."""


def client_tls(context: Context) -> list[ClientTls]:
    """Return what clients are told of TLS, once for each host of a namespace.

    Of several DestinationRules for one host the oldest with a `trafficPolicy` counts.
    """
    same: defaultdict[tuple[Any, ...], list[Read]] = defaultdict(list)
    for index, document in context.by_title.get(KIND, ()):
        one = read(index, document)
        same[one.settings.namespace, one.settings.host, one.settings.workloads].append(one)
    return [_first(listed) for listed in same.values()]


def _first(listed: list[Read]) -> ClientTls:
    saying = [one for one in listed if one.says or one.settings.unreadable] or listed[:1]
    if len(saying) == 1:
        return saying[0].settings
    wrong = [one for one in saying if one.settings.unreadable]
    if wrong:
        return wrong[0].settings
    first = min(saying, key=lambda one: one.age).settings
    contents = {(one.settings.mode, one.settings.ports) for one in saying}
    if len(contents) > 1 and not all(one.age[0] for one in saying):
        return msgspec.structs.replace(first, unreadable=AGES)
    return first


def read(index: int, document: Document) -> Read:
    """Return what a DestinationRule says of TLS."""
    reader = Reader()
    spec = reader.spec(document, *SPEC)
    host = reader.read(partial(_host, spec, document.namespace), "")
    policy = reader.read(lambda: fields(spec.get("trafficPolicy", {}), AT_POLICY, WHOLE_POLICY), {})
    mode = reader.read(partial(_tls, policy, AT_POLICY), "")
    ports = reader.read(partial(_ports, policy), ())
    exported = reader.read(partial(_exported, spec, document.namespace), ("*",))
    at: Path = ("spec", "workloadSelector")
    chosen = reader.read(lambda: labels(spec.get("workloadSelector", {}), at), {})
    reader.read(lambda: items(spec.get("subsets"), ("spec", "subsets")), [])
    settings = ClientTls(
        document=index,
        path=(*AT_POLICY, "tls") if "tls" in policy else AT_POLICY,
        namespace=document.namespace,
        host=host,
        mode=mode,
        ports=tuple(sorted(ports)),
        export_to=exported,
        workloads=tuple(sorted(chosen.items())),
        unreadable=f"{document.ref}: {reader.unreadable[0].reason}" if reader.unreadable else "",
    )
    age = created(document), f"{document.name}.{document.namespace}"
    return Read(settings, "trafficPolicy" in spec, age, tuple(reader.unreadable))


def problems(context: Context) -> list[tuple[Document, Path, str]]:
    """Return what could not be understood of DestinationRules."""
    return [
        (document, wrong.path, f"{document.ref}: {wrong.reason}")
        for index, document in context.by_title.get(KIND, ())
        for wrong in read(index, document).unreadable[:1]
    ]


def _host(spec: dict[str, Any], namespace: str) -> str:
    """Return the full name of the host; one without a dot is a Service of the namespace.

    Source: Istio `pilot/pkg/model/virtualservice.go` ResolveShortnameToFQDN.
    """
    at: Path = ("spec", "host")
    written = filled(spec.get("host"), at).lower()
    if not HOST.fullmatch(written):
        raise Malformed(f"`{written}` is no host", at)
    if "." in written or written == "*":
        return written
    return f"{written}.{namespace}.{DOMAIN}"


def _tls(policy: dict[str, Any], path: Path) -> str:
    """Return the mode of TLS; empty where none is said. Settings without a mode switch it off.

    Source: destination_rule.proto: DISABLE is the first of the modes.
    """
    if "tls" not in policy:
        return ""
    at = (*path, "tls")
    given = fields(policy["tls"], at, TLS)
    return one_of(given.get("mode", "DISABLE"), (*at, "mode"), MODES)


def _ports(policy: dict[str, Any]) -> tuple[tuple[int, str], ...]:
    """Return the modes of ports; where one says none, none is said, whatever the host's."""
    found: dict[int, str] = {}
    for at, value in items(policy.get("portLevelSettings"), (*AT_POLICY, "portLevelSettings")):
        given = fields(value, at, PORT_POLICY)
        port = fields(given.get("port", {}), (*at, "port"), ("number",))
        number = integer(port.get("number"), (*at, "port", "number"), 1, 65535)
        found.setdefault(number, _tls(given, at))
    return tuple(found.items())


def _exported(spec: dict[str, Any], namespace: str) -> tuple[str, ...]:
    listed = [filled(value, at) for at, value in items(spec.get("exportTo"), ("spec", "exportTo"))]
    return tuple(sorted({namespace if one == "." else one for one in listed})) or ("*",)
