import pytest

from emitted import (
    BLOCK,
    DATA,
    DB,
    SHOP,
    emit,
    policy,
    read_back,
    rule,
    spec,
)
from ringfence import dialects
from ringfence.model.label_space import CALICO_NAMESPACE, CALICO_SERVICE_ACCOUNT
from ringfence.model.proposal import Surroundings
from ringfence.model.rule import (
    AllPeers,
    AnyPeer,
    Entity,
    EntityPeer,
    LabelPeer,
    NotPeer,
    Peer,
    PodPeer,
)
from ringfence.model.selector import (
    EVERYTHING,
    LabelAnd,
    LabelIs,
    LabelNot,
    LabelOr,
    LabelSelector,
    Operator,
    Requirement,
    expression_keys,
    from_labels,
)


def account(namespace: str, name: str) -> LabelPeer:
    return LabelPeer(
        LabelAnd(
            (
                LabelIs(Requirement(CALICO_NAMESPACE, Operator.IN, (namespace,))),
                LabelIs(Requirement(CALICO_SERVICE_ACCOUNT, Operator.IN, (name,))),
            )
        )
    )


def test_pods_of_the_own_namespace_need_no_namespace() -> None:
    [written] = spec(emit("calico", rule(PodPeer(SHOP, EVERYTHING))))["egress"]
    assert written["destination"] == {
        "selector": "projectcalico.org/orchestrator == 'k8s'",
        "ports": [443],
    }


def test_every_pod_leaves_network_sets_out() -> None:
    [written] = spec(emit("calico", rule(PodPeer(EVERYTHING, EVERYTHING), traffic=None)))["egress"]
    assert written == {
        "action": "Allow",
        "destination": {
            "selector": "projectcalico.org/orchestrator == 'k8s'",
            "namespaceSelector": "all()",
        },
    }


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        (Requirement("a", Operator.IN, ("x",)), "a == 'x'"),
        (Requirement("a", Operator.IN, ("x", "y")), "a in {'x', 'y'}"),
        (Requirement("a", Operator.NOT_IN, ("x",)), "a != 'x'"),
        (Requirement("a", Operator.NOT_IN, ("x", "y")), "a not in {'x', 'y'}"),
        (Requirement("a", Operator.EXISTS), "has(a)"),
        (Requirement("a", Operator.DOES_NOT_EXIST), "!has(a)"),
        (Requirement("a", Operator.CONTAINS, ("x",)), "a contains 'x'"),
        (Requirement("a", Operator.STARTS_WITH, ("x",)), "a starts with 'x'"),
        (Requirement("a", Operator.ENDS_WITH, ("x",)), "a ends with 'x'"),
        (Requirement("a.b/c-d", Operator.IN, ("it's",)), 'a.b/c-d == "it\'s"'),
    ],
)
def test_requirements_in_calicos_grammar(requirement: Requirement, text: str) -> None:
    chosen = LabelSelector((requirement,))
    written = dialects.emit("calico", [policy(pods=chosen)], Surroundings())
    assert spec(written)["selector"] == text
    [found] = read_back(written, "calico").policies
    assert isinstance(found.subject, LabelPeer)
    assert "a" in {key.partition(".")[0] for key in expression_keys(found.subject.expression)}


def test_labels_in_any_combination() -> None:
    a, b = (LabelIs(Requirement(key, Operator.EXISTS)) for key in "ab")
    own = LabelIs(Requirement(CALICO_NAMESPACE, Operator.IN, ("shop",)))
    peer = LabelPeer(LabelAnd((own, LabelOr((a, LabelNot(LabelAnd((a, b))))))))
    [written] = spec(emit("calico", rule(peer)))["egress"]
    assert written["destination"]["selector"] == "(has(a) || !(has(a) && has(b)))"


def test_service_accounts_have_a_field_of_their_own() -> None:
    emission = emit("calico", rule(account("data", "db")), rule(account("shop", "api")))
    one, other = (r["destination"] for r in spec(emission)["egress"])
    assert one == {
        "namespaceSelector": "projectcalico.org/name == 'data'",
        "serviceAccounts": {"names": ["db"]},
        "ports": [443],
    }
    assert other == {"serviceAccounts": {"names": ["api"]}, "ports": [443]}
    read_back(emission, "calico")


@pytest.mark.parametrize(
    "peer",
    [
        NotPeer(BLOCK),
        AllPeers((BLOCK, DB)),
        EntityPeer(Entity.WORLD),
        LabelPeer(LabelIs(Requirement("a", Operator.EXISTS))),
        PodPeer(DATA, from_labels({"a": "both ' and \""})),
        PodPeer(DATA, from_labels({"no label\n": "x"})),
    ],
)
def test_peers_without_words_stay_closed_and_are_told(peer: Peer) -> None:
    emission = emit("calico", rule(peer))
    assert spec(emission)["egress"] == []
    [told] = emission.unsupported
    assert (told.sort, told.instead, told.wider) == ("peer", "nothing: it stays closed", False)


def test_alternatives_are_peers_of_their_own() -> None:
    found = spec(emit("calico", rule(AnyPeer((BLOCK, AllPeers((DB,)))))))["egress"]
    assert len(found) == 2
    assert spec(emit("calico", rule(AnyPeer((BLOCK, AllPeers())))))["egress"] == [
        {"action": "Allow", "protocol": "TCP", "destination": {"ports": [443]}}
    ]
