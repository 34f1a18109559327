"""Which pairs are over mTLS, in `connectivity`."""

import msgspec
import pytest

from questions import shop as plain
from questions.mesh_shop import (
    AMBIENT,
    ONLY_8080,
    ONLY_WEB,
    SIDECAR,
    STRICT,
    linkerd,
    load,
    shop,
    text,
)
from ringfence.model.connectivity import OverMtls
from ringfence.model.snapshot import Snapshot
from ringfence.questions.connectivity import connectivity

OWN_TLS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec: {host: pay.shop.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}
"""
METRICS = """
apiVersion: v1
kind: Service
metadata: {name: metrics, namespace: shop}
spec: {selector: {app: pay}, ports: [{name: http, port: 9090}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: pay, namespace: shop}
spec:
  selector: {matchLabels: {app: pay}}
  portLevelMtls: {9090: {mode: DISABLE}}
"""


def over(snapshot: Snapshot, source: str, to: str) -> OverMtls | msgspec.UnsetType:
    pairs = connectivity(snapshot).connections
    (found,) = [pair.mtls for pair in pairs if (pair.source, pair.destination) == (source, to)]
    return found


@pytest.mark.parametrize("mesh", [SIDECAR, AMBIENT])
def test_two_members_of_a_mesh_talk_over_mtls(mesh: str) -> None:
    assert over(shop(mesh=mesh), "shop/web", "shop/pay") is True


def test_two_members_of_linkerd_talk_over_mtls() -> None:
    assert over(linkerd(), "shop/web", "shop/pay") is True


@pytest.mark.parametrize("pair", [("legacy/batch", "shop/pay"), ("shop/web", "legacy/batch")])
def test_with_one_end_outside_the_mesh_it_is_plaintext(pair: tuple[str, str]) -> None:
    assert over(shop(), *pair) is False


def test_what_is_limited_above_the_port_counts_too() -> None:
    assert over(shop(ONLY_WEB), "shop/web", "shop/pay") is True


def test_a_client_that_is_told_to_use_none_is_plaintext() -> None:
    assert over(shop(OWN_TLS), "shop/web", "shop/pay") is False


def test_some_ports_may_be_and_others_not() -> None:
    assert over(shop(METRICS), "shop/web", "shop/pay") == "both"


def test_strict_leaves_only_mtls() -> None:
    """Others may still send UDP, but nothing that is known to be served."""
    assert over(shop(STRICT), "shop/web", "shop/pay") is True
    assert over(shop(STRICT), "legacy/batch", "shop/pay") is msgspec.UNSET


def test_what_is_served_over_udp_is_plaintext() -> None:
    ports = "[{containerPort: 8080}, {containerPort: 53, protocol: UDP}]"
    manifests = text().replace("[{containerPort: 8080}]", ports)
    assert over(load(manifests), "shop/web", "shop/pay") == "both"


def test_a_tunnel_that_the_network_closes_is_no_pair() -> None:
    pairs = connectivity(shop(ONLY_8080, mesh=AMBIENT)).connections
    assert not [p for p in pairs if (p.source, p.destination) == ("shop/web", "shop/pay")]


def test_without_a_mesh_nothing_is_said() -> None:
    answer = connectivity(plain.shop())
    assert {pair.mtls for pair in answer.connections} == {msgspec.UNSET}
    assert b"mtls" not in msgspec.json.encode(answer.connections)


def test_the_ports_of_the_proxies_are_not_those_of_the_workload() -> None:
    proxy = "{name: istio-proxy, ports: [{name: http-envoy-prom, containerPort: 15090}]}"
    manifests = text().replace("containers: [{name: c,", f"containers: [{proxy}, {{name: c,")
    assert over(load(manifests), "shop/web", "shop/pay") is True
