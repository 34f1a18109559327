"""Policies for a mesh, alone and with the network's: what is written, what is told, the proof."""

from typing import Any

import pytest
import yaml

from prove.proofs import changed, proved
from ringfence.learn.wishes import (
    CILIUM,
    ISTIO,
    KUBERNETES,
    LINKERD,
    NO_NETWORK,
    Wishes,
)
from ringfence.model.proposal import CLOSED
from ringfence.prove.generated import Generation, generate, prove
from written_maps import cluster, dependency_map

SIDECAR = "labels: {istio-injection: enabled}"
AMBIENT = "labels: {istio.io/dataplane-mode: ambient}"
INJECTED = "annotations: {linkerd.io/inject: enabled}"
CLOSED_BY_DEFAULT = (
    "annotations: {linkerd.io/inject: enabled, config.linkerd.io/default-inbound-policy: deny}"
)
POST = "http: [{methods: [POST], path: /v1/payment}]"
METRICS = "http: [{methods: [GET], path: /metrics}]"
PAY_PORTS = "[{port: 80, targetPort: 8080, name: http}]"


def shop(mesh: str, *, ports: str = PAY_PORTS, service: str = "", more: str = "") -> str:
    """Return a shop in a mesh, and a Prometheus outside it."""
    found = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, {mesh}}}\n"
    found += "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: mon}\n"
    found += deployment("shop/web", 80) + deployment("shop/pay", 8080)
    found += deployment("shop/other", 9000, "web") + deployment("mon/prom", 9090)
    return (found + more) + (
        "---\napiVersion: v1\nkind: Service\n"
        f"metadata: {{namespace: shop, name: pay{service}}}\n"
        f"spec: {{selector: {{app: pay}}, ports: {ports}}}\n"
    )


def deployment(name: str, port: int, account: str = "") -> str:
    namespace, _, own = name.partition("/")
    return (
        "---\napiVersion: apps/v1\nkind: Deployment\n"
        f"metadata: {{namespace: {namespace}, name: {own}}}\n"
        f"spec: {{selector: {{matchLabels: {{app: {own}}}}}, template: {{metadata: {{labels: "
        f"{{app: {own}}}}}, spec: {{serviceAccountName: {account or own}, containers: "
        f"[{{name: c, ports: [{{containerPort: {port}}}]}}]}}}}}}\n"
    )


def written(calls: str, mesh: str, wishes: Wishes, **more: Any) -> Generation:
    text = f"namespaces: [shop]\ndns: false\nworkloads:\n{calls}"
    manifests = shop(mesh, **more)
    return generate(dependency_map(text), cluster(manifests, pod_cidrs=("10.0.0.0/8",)), wishes)


def objects(generation: Generation, kind: str) -> dict[str, Any]:
    """Return the specs of the written objects of a kind, by name."""
    assert proved(generation).holds, generation.proof
    return {
        each["metadata"]["name"].removeprefix("ringfence-"): each["spec"]
        for file in generation.emission.files
        for each in yaml.safe_load_all(file.text)
        if each["kind"] == kind
    }


WEB_PAYS = f"- {{workload: shop/web, calls: [{{to: svc/shop/pay, {POST}}}]}}\n"
PROM_LOOKS = f"- {{workload: shop/pay, callers: [{{from: mon/prom, ports: [8080], {METRICS}}}]}}\n"
ALONE = Wishes(dialect=NO_NETWORK, mesh=ISTIO)


def test_a_namespace_is_closed_and_opened_to_principals_ports_methods_and_paths() -> None:
    found = objects(written(WEB_PAYS, SIDECAR, ALONE), "AuthorizationPolicy")
    assert found["default-deny"] == {}
    assert found["pay"]["selector"] == {"matchLabels": {"app": "pay"}}
    assert found["pay"]["rules"] == [
        {
            "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}],
            "to": [
                {"operation": {"ports": ["8080"], "methods": ["POST"], "paths": ["/v1/payment"]}}
            ],
        }
    ]


def test_mtls_is_strict_where_every_caller_is_meshed() -> None:
    found = objects(written(WEB_PAYS, SIDECAR, ALONE), "PeerAuthentication")
    assert found == {"mtls": {"mtls": {"mode": "STRICT"}}}


def test_a_workload_with_callers_outside_the_mesh_is_permissive_by_itself() -> None:
    generation = written(WEB_PAYS + PROM_LOOKS, SIDECAR, ALONE)
    assert objects(generation, "PeerAuthentication") == {
        "mtls": {"mtls": {"mode": "STRICT"}},
        "pay": {"selector": {"matchLabels": {"app": "pay"}}, "mtls": {"mode": "PERMISSIVE"}},
    }
    texts = [file.text for file in generation.emission.files]
    assert any("come without mTLS, by the map: mon/prom." in text for text in texts)


def test_what_has_no_labels_cannot_be_permissive_by_itself() -> None:
    bare = deployment("shop/bare", 80).replace("{app: bare}", "{}")
    calls = (
        "namespaces: [shop]\ndns: false\nworkloads:\n"
        "- {workload: shop/bare, callers: [{from: mon/prom, ports: [80]}]}\n"
    )
    snapshot = cluster(shop(SIDECAR) + bare, pod_cidrs=("10.0.0.0/8",))
    generation = generate(dependency_map(calls), snapshot, ALONE)
    assert objects(generation, "PeerAuthentication") == {"mtls": {"mtls": {"mode": "PERMISSIVE"}}}


def test_a_caller_outside_the_mesh_is_told_and_closed() -> None:
    generation = written(PROM_LOOKS, SIDECAR, ALONE)
    told = [(each.sort, each.instead) for each in generation.emission.unsupported]
    assert told == [("identity", CLOSED)]


@pytest.mark.parametrize("dialect", [KUBERNETES, CILIUM])
def test_with_the_network_a_caller_outside_the_mesh_is_let_in_and_the_network_says_who(
    dialect: str,
) -> None:
    generation = written(WEB_PAYS + PROM_LOOKS, SIDECAR, Wishes(dialect=dialect, mesh=ISTIO))
    rules = objects(generation, "AuthorizationPolicy")["pay"]["rules"]
    assert rules[1]["from"] == [{"source": {"notPrincipals": ["*"]}}]
    assert not generation.emission.unsupported
    folders = {file.path.partition("/")[0] for file in generation.emission.files}
    assert folders == {dialect, "istio"}


def test_blocks_of_addresses_are_told_by_the_address() -> None:
    calls = "- {workload: shop/web, callers: [{from: 203.0.113.0/24, ports: [80]}]}\n"
    rules = objects(written(calls, SIDECAR, ALONE), "AuthorizationPolicy")["web"]["rules"]
    assert rules[0]["from"] == [{"source": {"ipBlocks": ["203.0.113.0/24"]}}]


def test_a_workload_that_shares_its_account_is_told_and_offered_its_own() -> None:
    generation = written(WEB_PAYS, SIDECAR, ALONE)
    assert [offer.why.partition(":")[0] for offer in generation.offers] == [
        "shop/other runs as the service account `web`, as does shop/web",
        "shop/web runs as the service account `web`, as does shop/other",
    ]
    account, patch = (yaml.safe_load(file.text) for file in generation.offers[0].files)
    assert account["kind"], account["metadata"]["name"] == ("ServiceAccount", "other")
    assert patch["spec"]["template"]["spec"] == {"serviceAccountName": "other"}
    assert "serviceaccount deployment/other other" in generation.offers[0].command


def test_the_proof_states_who_shares_an_account() -> None:
    generation = written(WEB_PAYS, SIDECAR, ALONE)
    emission = changed(generation.emission, ("sa/web", "sa/pay"))
    text = f"namespaces: [shop]\ndns: false\nworkloads:\n{WEB_PAYS}"
    snapshot = cluster(shop(SIDECAR), pod_cidrs=("10.0.0.0/8",))
    proof = prove(dependency_map(text), snapshot, generation.proposal, emission)
    assert {each.source for each in proof.less} == {"shop/web"}
    assert {each.source for each in proof.more} == {"shop/pay"}


def test_requests_on_a_port_that_is_named_as_tcp_are_told_as_wider() -> None:
    ports = "[{port: 80, targetPort: 8080, name: tcp-pay}]"
    generation = written(WEB_PAYS, SIDECAR, ALONE, ports=ports)
    (rule,) = objects(generation, "AuthorizationPolicy")["pay"]["rules"]
    assert rule["to"] == [{"operation": {"ports": ["8080"]}}]
    (told,) = generation.emission.unsupported
    assert (told.sort, told.wider) == ("HTTP", True)
    assert "name it as TCP" in told.because


def test_ztunnel_reads_no_http_which_is_told_as_wider() -> None:
    generation = written(WEB_PAYS, AMBIENT, ALONE)
    (rule,) = objects(generation, "AuthorizationPolicy")["pay"]["rules"]
    assert rule["to"] == [{"operation": {"ports": ["8080"]}}]
    (told,) = generation.emission.unsupported
    assert (told.sort, told.wider) == ("HTTP", True)
    assert "ztunnel" in told.because


def test_calls_through_a_waypoint_are_told_to_stay_closed() -> None:
    waypoint = ", labels: {istio.io/use-waypoint: gate}"
    gate = (
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
        "metadata: {name: gate, namespace: shop}\nspec: {gatewayClassName: istio-waypoint, "
        "listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n"
    )
    generation = written(WEB_PAYS, AMBIENT, ALONE, service=waypoint, more=gate)
    assert proved(generation).holds, generation.proof
    told = {each.sort: each for each in generation.emission.unsupported}
    assert told["waypoint"].instead == CLOSED
    assert "shop/gate" in told["waypoint"].what


def test_the_network_opens_the_tunnel_of_ambient_and_lets_the_kubelet_probe() -> None:
    generation = written(WEB_PAYS, AMBIENT, Wishes(dialect=KUBERNETES, mesh=ISTIO))
    ingress = objects(generation, "NetworkPolicy")["pay"]["ingress"]
    assert [rule.get("ports", [{}])[0].get("port") for rule in ingress] == [8080, 15008, None]
    assert ingress[2]["from"] == [{"ipBlock": {"cidr": "169.254.7.127/32"}}]


def test_the_network_lets_sidecars_reach_istiod_and_leaves_requests_to_the_mesh() -> None:
    generation = written(WEB_PAYS, SIDECAR, Wishes(dialect=CILIUM, mesh=ISTIO))
    (rule,) = objects(generation, "CiliumNetworkPolicy")["pay"]["ingress"]
    assert rule["toPorts"] == [{"ports": [{"port": "8080", "protocol": "TCP"}]}]
    (control,) = objects(generation, "CiliumNetworkPolicy")["pay"]["egress"]
    assert control["toPorts"][0]["ports"] == [{"port": "15012", "protocol": "TCP"}]


def test_what_is_in_no_mesh_is_told() -> None:
    text = shop(SIDECAR) + deployment("mon/agent", 1)
    calls = "namespaces: [shop, mon]\ndns: false\nworkloads: []\n"
    generation = generate(dependency_map(calls), cluster(text, pod_cidrs=("10.0.0.0/8",)), ALONE)
    notes = [str(note) for note in generation.proposal.notes]
    assert any(
        "`mon/agent`, `mon/prom`" in note and "in no mesh of Istio" in note for note in notes
    )


def test_what_leads_out_of_the_cluster_is_told_to_be_the_networks() -> None:
    calls = "- {workload: shop/web, calls: [{to: api.example.com, ports: [443]}]}\n"
    told = [str(note) for note in written(calls, SIDECAR, ALONE).proposal.notes]
    assert any("to api.example.com: a mesh's policies say who is let in" in n for n in told)
    both = written(calls, SIDECAR, Wishes(dialect=CILIUM, mesh=ISTIO))
    assert not any("who is let in" in str(note) for note in both.proposal.notes)


def test_an_earlier_policy_of_the_mesh_is_no_part_of_the_proof_and_told() -> None:
    text = shop(SIDECAR) + (
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
        "metadata: {namespace: shop, name: open}\nspec: {rules: [{}]}\n"
    )
    calls = f"namespaces: [shop]\ndns: false\nworkloads:\n{WEB_PAYS}"
    generation = generate(dependency_map(calls), cluster(text, pod_cidrs=("10.0.0.0/8",)), ALONE)
    assert proved(generation).holds
    assert [document.name for document in generation.stays] == ["open"]


def test_a_network_that_forgets_the_tunnel_is_found() -> None:
    policy = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {namespace: shop, name: pay}\nspec: {podSelector: {matchLabels: {app: pay}}, "
        "ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]}\n"
    )
    calls = f"namespaces: [shop]\ndns: false\nworkloads:\n{WEB_PAYS}"
    for mesh, holds in ((SIDECAR, True), (AMBIENT, False)):
        snapshot = cluster(shop(mesh) + policy, pod_cidrs=("10.0.0.0/8",))
        proof = proved(generate(dependency_map(calls), snapshot, ALONE))
        assert proof.holds is holds, proof
        assert bool(proof.less) is not holds


# -- Linkerd -------------------------------------------------------------------------------------


def test_linkerd_has_a_server_for_each_port_and_routes_for_requests() -> None:
    wishes = Wishes(dialect=NO_NETWORK, mesh=LINKERD)
    generation = written(WEB_PAYS, CLOSED_BY_DEFAULT, wishes)
    servers = objects(generation, "Server")
    assert servers["pay-8080"] == {
        "podSelector": {"matchLabels": {"app": "pay"}},
        "port": 8080,
        "accessPolicy": "deny",
    }
    (route,) = (
        r
        for name, r in objects(generation, "HTTPRoute").items()
        if "8080" in name
        if r["rules"][0]["matches"][0].get("method") == "POST"
    )
    assert route["rules"][0]["matches"][0]["path"] == {"type": "Exact", "value": "/v1/payment"}
    identities = [a["identities"] for a in objects(generation, "MeshTLSAuthentication").values()]
    assert ["web.shop.serviceaccount.identity.linkerd.cluster.local"] in identities


def test_a_prefix_of_paths_does_not_hold_what_has_no_slash_behind_it() -> None:
    calls = (
        "- {workload: shop/web, calls: [{to: svc/shop/pay, "
        "http: [{methods: [GET], path: /v1/*}]}]}\n"
    )
    generation = written(calls, CLOSED_BY_DEFAULT, Wishes(dialect=NO_NETWORK, mesh=LINKERD))
    assert proved(generation).holds


def test_what_no_server_is_for_is_told_with_the_annotation_that_closes_it() -> None:
    generation = written(WEB_PAYS, INJECTED, Wishes(dialect=NO_NETWORK, mesh=LINKERD))
    assert proved(generation).holds
    commands = [offer.command for offer in generation.offers]
    assert any("config.linkerd.io/default-inbound-policy=deny" in each for each in commands)


def test_the_network_opens_the_tunnel_of_linkerd_and_its_control_plane() -> None:
    generation = written(WEB_PAYS, CLOSED_BY_DEFAULT, Wishes(dialect=KUBERNETES, mesh=LINKERD))
    policies = objects(generation, "NetworkPolicy")
    ingress = policies["pay"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in ingress] == [8080, 4143]
    egress = [rule["ports"][0]["port"] for rule in policies["pay"]["egress"]]
    assert egress == [8080, 8086, 8090]


def test_nodes_are_let_in_by_their_addresses_for_every_request_where_none_is_read() -> None:
    node = (
        "---\napiVersion: v1\nkind: Node\nmetadata: {name: one}\n"
        "status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}\n"
    )
    calls = f"- {{workload: shop/pay, callers: [{{from: nodes, ports: [8080], {METRICS}}}]}}\n"
    generation = written(calls, AMBIENT, Wishes(dialect=KUBERNETES, mesh=ISTIO), more=node)
    (rule,) = objects(generation, "AuthorizationPolicy")["pay"]["rules"]
    assert rule["from"] == [{"source": {"ipBlocks": ["192.168.0.1/32"]}}]


def test_one_rule_opens_the_tunnel_to_all_that_a_selection_means() -> None:
    calls = "- {workload: shop/web, calls: [{to: {namespace: shop, labels: {}}, ports: [sql]}]}\n"
    named = deployment("shop/db", 5432).replace("{containerPort", "{name: sql, containerPort")
    generation = written(calls, AMBIENT, Wishes(dialect=KUBERNETES, mesh=ISTIO), more=named)
    assert proved(generation).holds, generation.proof
