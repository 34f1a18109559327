"""Questions about one connection: what an answer says, and what it is limited to."""

from functools import partial

import msgspec
import pytest

from questions.cni_shops import CALICO_SHOP, STAGED, calico, cilium
from questions.shop import shop
from ringfence.errors import UsageError
from ringfence.model.query import Http, Query
from ringfence.model.verdict import Verdict
from ringfence.questions.check import Checker, Judge, check
from ringfence.questions.explain import explain

BY_POD = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shard, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shard}}
  template: {metadata: {labels: {app: shard}}, spec: {containers: [{name: c}]}}
---
apiVersion: v1
kind: Pod
metadata:
  name: shard-0
  namespace: shop
  labels: {app: shard, statefulset.kubernetes.io/pod-name: shard-0}
  ownerReferences: [{kind: StatefulSet, name: shard, apiVersion: apps/v1, controller: true}]
spec: {containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.0.1.1}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: shard-1
  namespace: shop
  labels: {app: shard, statefulset.kubernetes.io/pod-name: shard-1}
  ownerReferences: [{kind: StatefulSet, name: shard, apiVersion: apps/v1, controller: true}]
spec: {containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.0.1.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: first-shard, namespace: shop}
spec:
  podSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: shard-0}}
"""


def ask(source: str, to: str, port: int | str | None = None, protocol: str | None = None) -> str:
    return check(shop(BY_POD), source, to, port, protocol).verdict.value


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_allow_and_deny_by_both_judges(judge: Judge) -> None:
    asked = partial(check, shop(), judge=judge)
    assert asked("shop/web", "shop/db", 5432).verdict is Verdict.ALLOW
    assert asked("shop/web", "shop/db", 5433).verdict is Verdict.DENY
    assert asked("shop/web", "svc/db", 80).verdict is Verdict.ALLOW
    assert asked("ops/tool", "svc/shop/db", 80).verdict is Verdict.DENY
    assert asked("203.0.113.7", "shop/db", "sql").verdict is Verdict.ALLOW


def test_evidence_names_object_and_rule_on_both_sides() -> None:
    egress, ingress = check(shop(), "shop/web", "shop/db", 5432).evidence
    assert (egress.direction, egress.object, egress.rule) == ("egress", None, "default")
    assert (ingress.object, ingress.rule) == ("NetworkPolicy/shop/db", "ingress[0]")


def test_without_a_port_an_allow_is_limited_to_the_ports_allowed() -> None:
    judgement = check(shop(), "shop/web", "shop/db")
    assert judgement.verdict is Verdict.ALLOW
    assert judgement.limited_to == ({"protocol": "TCP", "ports": "5432"},)
    assert check(shop(), "ops/tool", "shop/db").verdict is Verdict.DENY
    assert check(shop(), "shop/db", "shop/web").limited_to == ()


def test_a_range_is_limited_to_the_addresses_allowed() -> None:
    judgement = check(shop(), "203.0.112.0/23", "shop/db", 5432)
    assert judgement.verdict is Verdict.ALLOW
    assert judgement.limited_to == ({"from": "203.0.113.0-203.0.113.255"},)


def test_a_workload_whose_pods_differ_is_limited_to_the_pods_allowed() -> None:
    judgement = check(shop(BY_POD), "shop/web", "shop/shard", 80)
    assert judgement.verdict is Verdict.ALLOW
    assert judgement.limited_to == ({"to": "shop/shard[shard-1]"},)
    assert ask("shop/web", "shop/shard-0", 80) == "deny"
    assert ask("shop/web", "shop/shard-1", 80) == "allow"


def test_icmp_takes_no_port() -> None:
    assert ask("shop/web", "ops/tool", None, "ICMP") == "allow"
    assert ask("shop/web", "shop/db", None, "icmp") == "unknown"


@pytest.mark.parametrize(
    ("port", "protocol"), [(70000, None), (-1, None), (80, "QUIC"), ("nope", None)]
)
def test_what_cannot_be_asked_is_a_usage_error(port: int | str, protocol: str | None) -> None:
    with pytest.raises(UsageError):
        ask("shop/web", "shop/db", port, protocol)


def test_a_dual_stack_pair_is_limited_to_the_family_allowed() -> None:
    pods = "\n---\n".join(
        f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: dual, labels: {{app: {name}}}}}
spec: {{containers: [{{name: c}}]}}
status: {{phase: Running, podIPs: [{{ip: 10.0.2.{n}}}, {{ip: "fd00::{n}"}}]}}"""
        for n, name in enumerate(("a", "b"), 1)
    )
    policy = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b, namespace: dual}
spec:
  podSelector: {matchLabels: {app: b}}
  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]
"""
    judgement = check(shop(pods + policy), "dual/a", "dual/b", 80)
    assert judgement.verdict is Verdict.ALLOW
    assert judgement.limited_to == ({"ip_family": 4},)


def test_a_checker_answers_queries_as_they_come() -> None:
    checker = Checker(shop())
    query = Query(source="shop/web", destination="shop/db", port="sql", protocol="TCP")
    assert checker.ask(query).verdict is Verdict.ALLOW


# -- above the port ------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_an_open_request_that_a_rule_decides_is_limited(judge: Judge) -> None:
    found = check(cilium(), "shop/web", "shop/payment", 8080, judge=judge)
    assert found.verdict is Verdict.ALLOW
    assert found.limited_to == ({"http": {"method": "POST", "path": "/v1/payment"}},)


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_any_other_verb_is_refused_also_within_the_namespace(judge: Judge) -> None:
    ask_http = partial(check, cilium(), "shop/web", "shop/payment", 8080, judge=judge)
    assert ask_http(http=Http(method="POST", path="/v1/payment")).verdict is Verdict.ALLOW
    assert ask_http(http=Http(method="GET", path="/v1/payment")).verdict is Verdict.DENY
    assert ask_http(http=Http(method="POST", path="/v1")).verdict is Verdict.DENY


def test_a_question_without_a_port_is_limited_to_port_and_request() -> None:
    assert check(cilium(), "shop/web", "shop/payment").limited_to == (
        {
            "protocol": "TCP",
            "ports": "8080",
            "http": {"method": "POST", "path": "/v1/payment"},
        },
    )


def test_calico_normalises_the_path_that_is_asked() -> None:
    ask_http = partial(check, calico(), "shop/web", "shop/payment", 8080)
    assert ask_http(http=Http(method="GET", path="/v1/../v1//x?y")).verdict is Verdict.ALLOW
    assert ask_http(http=Http(method="GET", path="/v10")).verdict is Verdict.DENY


def test_calico_says_what_its_http_rules_need() -> None:
    note = "HTTP rules hold only where Calico's application layer policy (Envoy) runs"
    assert note in check(calico(), "shop/web", "shop/payment", 8080).notes
    assert note not in check(calico(), "shop/web", "shop/payment", 9090).notes


def test_staged_policies_answer_only_where_they_are_asked() -> None:
    get = Http(method="GET", path="/v1/x")
    for staged, verdict in ((False, Verdict.ALLOW), (True, Verdict.DENY)):
        snapshot = calico(CALICO_SHOP + STAGED, staged=staged)
        assert check(snapshot, "shop/web", "shop/payment", 8080, http=get).verdict is verdict


def test_a_type_of_icmp_is_limited_to_its_codes() -> None:
    policy = """
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress: [{action: Allow, protocol: ICMP, icmp: {type: 3, code: 4}}]
"""
    checker = Checker(calico(CALICO_SHOP + policy))
    query = Query(source="shop/payment", destination="shop/web", icmp={"type": 3})
    assert checker.ask(query).limited_to == ({"icmp": "3/4"},)
    deny = msgspec.structs.replace(query, icmp={"type": 8})
    assert checker.ask(deny).verdict is Verdict.DENY
    allow = msgspec.structs.replace(query, icmp={"type": 3, "code": 4})
    assert checker.ask(allow) == msgspec.structs.replace(checker.ask(allow), limited_to=())
    ported = Query(source="shop/web", destination="shop/db", port=8, protocol="ICMP")
    with pytest.raises(UsageError):
        checker.ask(ported)


BEHIND = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{port: 80, targetPort: http}]}
"""


def test_a_services_port_asked_of_its_pods_is_told() -> None:
    asked = partial(check, shop(BEHIND), "shop/web")
    wanted = (
        "shop/cart declares no port 80, a port of svc/shop/cart: "
        "to go by way of it, ask svc/shop/cart:80"
    )
    assert asked("shop/cart", 80).notes == (wanted,)
    assert not asked("shop/cart", 8080).notes
    assert not asked("shop/cart", 81).notes
    assert not asked("shop/cart", 80, "UDP").notes
    assert not asked("svc/shop/cart", 80).notes
    query = Query(source="shop/web", destination="shop/cart", port=80)
    assert explain(shop(BEHIND), query).judgement.notes == (wanted,)
