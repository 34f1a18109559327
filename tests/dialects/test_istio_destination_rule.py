"""DestinationRules of Istio: by what TLS clients call which hosts."""

from typing import Any

import pytest

from dialects.istio_documents import document, parsed
from ringfence.model.document import Document
from ringfence.model.mesh import ClientTls

DR = "DestinationRule"
WEB = "web.shop.svc.cluster.local"


def tls(mode: str | None) -> dict[str, Any]:
    return {} if mode is None else {"tls": {"mode": mode}}


def rule(spec: Any, name: str = "p", **metadata: Any) -> Document:
    return document(DR, spec, name, **metadata)


def told(*documents: Document) -> tuple[ClientTls, ...]:
    return parsed(*documents).client_tls


def one(spec: Any) -> ClientTls:
    (found,) = told(rule(spec))
    return found


@pytest.mark.parametrize("mode", ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])
def test_modes(mode: str) -> None:
    found = one({"host": "web", "trafficPolicy": tls(mode)})
    assert (found.mode, found.unreadable) == (mode, "")
    assert found.path == ("spec", "trafficPolicy", "tls")


def test_settings_without_a_mode_switch_tls_off() -> None:
    assert one({"host": "web", "trafficPolicy": {"tls": {}}}).mode == "DISABLE"


def test_without_settings_it_says_no_mode_and_is_told_all_the_same() -> None:
    assert one({"host": "web"}).mode == ""
    assert one({"host": "web", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}).mode == ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("web", WEB),
        ("Web.Shop.svc.cluster.local", WEB),
        ("web.shop", "web.shop"),
        ("*.shop.svc.cluster.local", "*.shop.svc.cluster.local"),
        ("*", "*"),
        ("api.example.com", "api.example.com"),
    ],
)
def test_a_host_without_a_dot_is_a_service_of_the_namespace(host: str, expected: str) -> None:
    assert one({"host": host}).host == expected


def test_what_a_port_says_takes_the_place_of_what_the_host_says() -> None:
    found = one(
        {
            "host": "web",
            "trafficPolicy": {
                **tls("DISABLE"),
                "portLevelSettings": [
                    {"port": {"number": 443}, **tls("SIMPLE")},
                    {"port": {"number": 80}, "loadBalancer": {}},
                ],
            },
        }
    )
    assert (found.mode, found.ports) == ("DISABLE", ((80, ""), (443, "SIMPLE")))


def test_it_may_be_for_some_namespaces_and_workloads() -> None:
    found = one({"host": "web", "exportTo": [".", "other"], "workloadSelector": {}})
    assert (found.export_to, found.workloads) == (("other", "shop"), ())
    selector = {"matchLabels": {"b": "2", "a": "1"}}
    assert one({"host": "web", "workloadSelector": selector}).workloads == (("a", "1"), ("b", "2"))
    assert one({"host": "web"}).export_to == ("*",)


# -- several for one host --------------------------------------------------------------------------


def test_of_several_for_one_host_the_oldest_that_says_anything_counts() -> None:
    old, older, oldest = (
        rule(
            {"host": "web", **({"trafficPolicy": tls(mode)} if mode else {})},
            f"p{number}",
            creationTimestamp=f"2026-01-0{number}T00:00:00Z",
        )
        for number, mode in ((3, "DISABLE"), (2, "SIMPLE"), (1, None))
    )
    (found,) = told(old, older, oldest)
    assert found.mode == "SIMPLE"


def test_of_several_of_unknown_age_none_is_known_to_count() -> None:
    (found,) = told(
        rule({"host": "web", "trafficPolicy": tls("DISABLE")}, "a"),
        rule({"host": WEB, "trafficPolicy": tls("SIMPLE")}, "b"),
    )
    assert found.unreadable


def test_several_that_say_the_same_are_one() -> None:
    (found,) = told(
        rule({"host": "web", "trafficPolicy": tls("DISABLE")}, "a"),
        rule({"host": "web", "trafficPolicy": tls("DISABLE")}, "b"),
    )
    assert (found.mode, found.unreadable) == ("DISABLE", "")


def test_those_of_other_hosts_and_workloads_stand_beside_it() -> None:
    found = told(
        rule({"host": "web"}, "a"),
        rule({"host": "db"}, "b"),
        rule({"host": "web", "workloadSelector": {"matchLabels": {"a": "b"}}}, "c"),
    )
    assert len(found) == 3


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {},
        {"host": ""},
        {"host": 1},
        {"host": "a b"},
        {"host": "*web"},
        {"host": "web", "tls": {}},
        {"host": "web", "trafficPolicy": []},
        {"host": "web", "trafficPolicy": {"retries": 1}},
        {"host": "web", "trafficPolicy": {"tls": {"mode": "PLAIN"}}},
        {"host": "web", "trafficPolicy": {"tls": {"level": 1}}},
        {"host": "web", "trafficPolicy": {"portLevelSettings": [{}]}},
        {"host": "web", "trafficPolicy": {"portLevelSettings": [{"port": {"number": 0}}]}},
        {"host": "web", "trafficPolicy": {"portLevelSettings": [{"port": {"name": "a"}}]}},
        {"host": "web", "exportTo": "."},
        {"host": "web", "workloadSelector": {"labels": {}}},
    ],
)
def test_what_cannot_be_understood_is_told_and_leaves_its_host_open(spec: Any) -> None:
    found = parsed(rule(spec))
    (settings,) = found.client_tls
    assert settings.unreadable
    assert [problem.severity for problem in found.problems] == ["error"]
    assert found.policies == ()
