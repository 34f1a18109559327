import pytest

from emitted import (
    BLOCK,
    DB,
    SHOP,
    egress,
    emit,
    read_back,
    rule,
)
from ringfence.model.label_space import CILIUM_NAMESPACE, CILIUM_SERVICE_ACCOUNT
from ringfence.model.rule import (
    AllPeers,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NodePeer,
    NotPeer,
    Peer,
    PodPeer,
)
from ringfence.model.selector import (
    EVERYTHING,
    LabelAnd,
    LabelIs,
    LabelNot,
    LabelSelector,
    Operator,
    Requirement,
    from_labels,
)


def test_pods_of_the_own_namespace_need_no_namespace() -> None:
    [written] = egress(emit("cilium", rule(PodPeer(SHOP, EVERYTHING))))
    assert written["toEndpoints"] == [{}]


def test_pods_of_every_namespace_and_of_labelled_ones() -> None:
    labelled = PodPeer(from_labels({"team": "one"}), from_labels({"app": "x"}))
    [written] = egress(emit("cilium", rule(PodPeer(EVERYTHING, EVERYTHING), labelled)))
    assert written["toEndpoints"] == [
        {"matchExpressions": [{"key": "k8s:io.kubernetes.pod.namespace", "operator": "Exists"}]},
        {"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.team": "one", "app": "x"}},
    ]


def test_selectors_that_labels_cannot_say() -> None:
    chosen = LabelSelector(
        (
            Requirement("app", Operator.IN, ("a", "b")),
            Requirement("role", Operator.DOES_NOT_EXIST),
            Requirement("x:y", Operator.EXISTS),
        )
    )
    [written] = egress(emit("cilium", rule(PodPeer(SHOP, chosen))))
    assert written["toEndpoints"][0]["matchExpressions"] == [
        {"key": "app", "operator": "In", "values": ["a", "b"]},
        {"key": "role", "operator": "DoesNotExist"},
        {"key": "k8s:x:y", "operator": "Exists"},
    ]


def test_every_sort_of_peer_is_a_rule_of_its_own() -> None:
    emission = emit("cilium", rule(BLOCK, DB, EntityPeer(Entity.WORLD), NodePeer(EVERYTHING)))
    assert [next(iter(written)) for written in egress(emission)] == [
        "toEndpoints",
        "toEntities",
        "toCIDRSet",
    ]
    assert egress(emission)[1]["toEntities"] == ["world", "host", "remote-node"]
    assert emission.unsupported == ()
    read_back(emission, "cilium")


def test_blocks_with_exceptions() -> None:
    [written] = egress(emit("cilium", rule(IpPeer("10.0.0.0/8", ("10.1.0.0/16",)))))
    assert written["toCIDRSet"] == [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]


def test_service_accounts_are_labels() -> None:
    found = LabelPeer(
        LabelAnd(
            (
                LabelIs(Requirement(CILIUM_NAMESPACE, Operator.IN, ("data",))),
                LabelIs(Requirement(CILIUM_SERVICE_ACCOUNT, Operator.IN, ("db",))),
            )
        )
    )
    emission = emit("cilium", rule(found))
    assert egress(emission)[0]["toEndpoints"] == [
        {
            "matchLabels": {
                "k8s:io.kubernetes.pod.namespace": "data",
                "k8s:io.cilium.k8s.policy.serviceaccount": "db",
            }
        }
    ]
    read_back(emission, "cilium")


@pytest.mark.parametrize(
    "peer",
    [
        NotPeer(BLOCK),
        AllPeers((BLOCK, DB)),
        NodePeer(from_labels({"a": "b"})),
        LabelPeer(LabelIs(Requirement("a", Operator.EXISTS))),
        LabelPeer(LabelNot(LabelIs(Requirement(CILIUM_NAMESPACE, Operator.EXISTS)))),
    ],
)
def test_peers_without_words_stay_closed_and_are_told(peer: Peer) -> None:
    emission = emit("cilium", rule(peer))
    assert egress(emission) == [{}]
    [told] = emission.unsupported
    assert (told.sort, told.instead, told.wider) == ("peer", "nothing: it stays closed", False)


# -- nodes and the API server ----------------------------------------------------------------

SERVER = IpPeer("192.168.0.1/32")


def test_an_address_of_the_api_server_is_its_entity() -> None:
    around = {"nodes": ("192.168.0.1", "192.168.0.2"), "api_servers": ("192.168.0.1",)}
    emission = emit("cilium", rule(SERVER), **around)
    assert egress(emission)[0]["toEntities"] == ["kube-apiserver"]
    assert emission.unsupported == ()
    assert emission.substitutes[0].entities == (Entity.KUBE_APISERVER,)
    assert "is written as the entity kube-apiserver" in emission.files[0].text


def test_one_of_several_api_servers_stays_closed_unless_wider_is_wanted() -> None:
    both = ("192.168.0.1", "192.168.0.3")
    emission = emit("cilium", rule(SERVER), api_servers=both, nodes=both)
    assert egress(emission) == [{}]
    assert [told.sort for told in emission.unsupported] == ["address of a node"]
    emission = emit("cilium", rule(SERVER), allow_wider=True, api_servers=both, nodes=both)
    assert egress(emission)[0]["toEntities"] == ["kube-apiserver"]
    assert [told.wider for told in emission.unsupported] == [True]
    outside = emit("cilium", rule(SERVER), api_servers=both)
    assert egress(outside)[0]["toCIDRSet"] == [{"cidr": "192.168.0.1/32"}]
    assert outside.unsupported == ()


def test_an_address_of_a_node_is_no_block() -> None:
    emission = emit("cilium", rule(SERVER), nodes=("192.168.0.1", "192.168.0.2"))
    assert egress(emission) == [{}]
    assert [told.wider for told in emission.unsupported] == [False]
    emission = emit("cilium", rule(SERVER), nodes=("192.168.0.1", "192.168.0.2"), allow_wider=True)
    assert egress(emission)[0]["toEntities"] == ["host", "remote-node"]
    emission = emit("cilium", rule(SERVER), nodes=("192.168.0.1",))
    assert egress(emission)[0]["toEntities"] == ["host", "remote-node"]
    assert emission.unsupported == ()


def test_a_block_tells_the_nodes_within_it() -> None:
    emission = emit("cilium", rule(IpPeer("192.168.0.0/16")), nodes=("192.168.0.1",))
    assert egress(emission)[0]["toCIDRSet"] == [{"cidr": "192.168.0.0/16"}]
    [told] = emission.unsupported
    assert told.what == "to the nodes within 192.168.0.0/16, TCP 443"
    mode = emit("cilium", rule(SERVER), nodes=("192.168.0.1",), blocks_match_nodes=True)
    assert egress(mode)[0]["toCIDRSet"] == [{"cidr": "192.168.0.1/32"}]
    assert mode.unsupported == ()
