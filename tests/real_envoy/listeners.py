"""The listeners of workloads: a chain of filters for each way in which a port is spoken to.

PeerAuthentication says which chains there are. What stands behind the filters is Envoy itself: it
answers requests, and echoes what is no request.

Source: Istio `pilot/pkg/networking/core/{filterchain_options,listener_builder}.go`,
`pilot/pkg/networking/core/listener_inbound.go`, `pilot/pkg/security/authn/policy_applier.go`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from real_envoy.compiler import TYPE, Json, Settings, filters

HTTP_OVER_MTLS: Final = ["istio-http/1.0", "istio-http/1.1", "istio-h2"]
TCP_OVER_MTLS: Final = ["istio-peer-exchange", "istio"]
PLAIN_HTTP: Final = ["http/1.0", "http/1.1", "h2c"]
PATH_AS_READ: Final = "x-path"
"""The header of an answer in which Envoy says what it took the path for."""
NORMALIZATION: Final[dict[str, Json]] = {
    "NONE": {"normalize_path": False},
    "BASE": {"normalize_path": True},
    "MERGE_SLASHES": {"normalize_path": True, "merge_slashes": True},
    "DECODE_AND_MERGE_SLASHES": {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
    },
}


@dataclass(frozen=True, eq=False)
class Port:
    """A port of a workload."""

    address: str
    number: int
    reads: str
    """`http`, `tcp`, or `other`: what a Service says of it; then it is looked at."""
    mode: str
    """STRICT, PERMISSIVE or DISABLE."""
    policies: list[Json]
    """The AuthorizationPolicies that apply to the workload."""


@dataclass(frozen=True)
class Mesh:
    """What holds for all of them."""

    settings: Settings
    normalization: str
    authority: Path
    certificate: Path

    def tls(self) -> Json:
        """Return mTLS as a server: only peers of the mesh's trust domains are known."""
        domains = [
            {"san_type": "URI", "matcher": {"prefix": f"spiffe://{domain}/"}}
            for domain in self.settings.domains
        ]
        own = {"filename": str(self.certificate)}
        config = {
            "@type": f"{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": own, "private_key": own}],
                "validation_context": {
                    "trusted_ca": {"filename": str(self.authority)},
                    "match_typed_subject_alt_names": domains,
                },
            },
        }
        return {"name": "tls", "typed_config": config}


def listener(port: Port, mesh: Mesh) -> Json:
    """Return the listener of a port."""
    inspectors = [
        {
            "name": f"envoy.filters.listener.{name}",
            "typed_config": {"@type": f"{TYPE}.filters.listener.{name}.v3.{kind}"},
        }
        for name, kind in (("tls_inspector", "TlsInspector"), ("http_inspector", "HttpInspector"))
        if name == "tls_inspector" or port.reads == "other"
    ]
    address = {"address": port.address, "port_value": port.number}
    return {
        "name": f"{port.address}:{port.number}",
        "address": {"socket_address": address},
        "enable_reuse_port": False,
        "listener_filters": inspectors,
        "filter_chains": [
            _chain(number, *one, port, mesh) for number, one in enumerate(_ways(port))
        ],
    }


def _ways(port: Port) -> list[tuple[list[str], bool, bool, bool]]:
    """Return the chains: the ALPN that one is for, whether that is TLS, ended here, and HTTP."""
    every = [*HTTP_OVER_MTLS, *TCP_OVER_MTLS]
    http = port.reads == "http"
    chains: dict[str, list[tuple[list[str], bool, bool, bool]]]
    if port.reads == "other":
        chains = {
            "STRICT": [(HTTP_OVER_MTLS, True, True, True), ([], True, True, False)],
            "PERMISSIVE": [
                (HTTP_OVER_MTLS, True, True, True),
                (PLAIN_HTTP, False, False, True),
                (TCP_OVER_MTLS, True, True, False),
                ([], False, False, False),
                ([], True, False, False),
            ],
            "DISABLE": [(PLAIN_HTTP, False, False, True), ([], False, False, False)],
        }
    else:
        chains = {
            "STRICT": [([], True, True, http)],
            "PERMISSIVE": [(every, True, True, http), ([], False, False, http)],
            "DISABLE": [([], False, False, http)],
        }
        if not http:
            chains["PERMISSIVE"].append(([], True, False, False))
    return chains[port.mode]


def _chain(
    number: int, alpn: list[str], tls: bool, ends: bool, http: bool, port: Port, mesh: Mesh
) -> Json:
    match: Json = {"transport_protocol": "tls" if tls else "raw_buffer"}
    if alpn:
        match["application_protocols"] = alpn
    found: Json = {"name": str(number), "filter_chain_match": match}
    if ends:
        found["transport_socket"] = mesh.tls()
    authorization = filters(port.policies, mesh.settings, tcp=not http)
    if not http:
        echo = {"@type": f"{TYPE}.filters.network.echo.v3.Echo"}
        end = {"name": "envoy.filters.network.echo", "typed_config": echo}
        return {**found, "filters": [*authorization, end]}
    return {**found, "filters": [_http(authorization, mesh.normalization)]}


def _http(authorization: list[Json], normalization: str) -> Json:
    path = {"header": {"key": PATH_AS_READ, "value": "%REQ(:PATH)%"}}
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "response_headers_to_add": [path],
    }
    router: dict[str, Any] = {"@type": f"{TYPE}.filters.http.router.v3.Router"}
    config = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "use_remote_address": False,
        **NORMALIZATION[normalization],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            *authorization,
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


# -- PeerAuthentication ----------------------------------------------------------------------------


def mode(policies: list[Json], namespace: str, labels: dict[str, str], port: int) -> str:
    """Return what a port of a workload takes: of each level the oldest says, the nearest last."""
    found = "PERMISSIVE"
    listed = sorted(policies, key=lambda one: str(one["metadata"].get("creationTimestamp", "")))
    for level in ("mesh", "namespace", "workload"):
        winner = next((one for one in listed if _level(one, namespace, labels) == level), None)
        if winner is None:
            continue
        found = _said(winner["spec"].get("mtls"), found)
        if level == "workload":
            ports = winner["spec"].get("portLevelMtls", {})
            found = _said(ports.get(port, ports.get(str(port))), found)
    return found


def _said(given: Json | None, otherwise: str) -> str:
    said: str = (given or {}).get("mode", "UNSET")
    return otherwise if said == "UNSET" else said


def _level(policy: Json, namespace: str, labels: dict[str, str]) -> str:
    """Return of which level a PeerAuthentication is for a workload; empty: it is not for it."""
    selected = policy["spec"].get("selector", {}).get("matchLabels", {})
    of = policy["metadata"]["namespace"]
    if not selected:
        return {"istio-system": "mesh", namespace: "namespace"}.get(of, "")
    return "workload" if of == namespace and selected.items() <= labels.items() else ""
