import pytest

from ringfence.errors import InputError
from ringfence.learn.dependency_map import (
    Block,
    Domain,
    HttpRequest,
    Place,
    Pods,
    Port,
    ServiceName,
    WorkloadName,
)
from ringfence.learn.read_map import read_file, read_text
from ringfence.model.cluster import Protocol
from written_maps import HEAD, dependency_map

EVERYTHING = """
metadata: {name: all}
namespaces: [shop]
dns: false
workloads:
  - workload: shop/Deployment/web
    owner: storefront
    calls:
      - to: svc/shop/db
      - to: {namespace: shop, labels: {tier: back}}
        ports: [8080, 53/udp, 8000-8100/TCP, metrics, dns/UDP]
        http:
          - methods: [GET, POST]
            path: /v1/*
        owner: them
        reason: because
        evidence: a guess
      - to: {namespaceLabels: {}}
        ports: any
      - to: "*.Example.com."
        ports: [443]
      - to: fd00::/64
        ports: [443]
    callers:
      - from: internet
        ports: [http]
      - from: 10.0.0.1
        ports: ["80"]
  - pods: {namespaceLabels: {team: one}}
"""


def test_reads_everything_that_a_map_can_say() -> None:
    found = dependency_map(EVERYTHING)
    assert (found.name, found.namespaces, found.dns) == ("all", ("shop",), False)
    web, pods = found.workloads
    assert web.subject == WorkloadName("shop", "web", "Deployment")
    assert pods.subject == Pods(None, (("team", "one"),))
    assert [call.destination for call in web.calls] == [
        ServiceName("shop", "db"),
        Pods("shop", (), (("tier", "back"),)),
        Pods(None, (), ()),
        Domain("*.example.com"),
        Block("fd00::/64"),
    ]
    assert web.calls[0].ports == ()
    assert web.calls[1].ports == (
        Port(first=8080, last=8080),
        Port(first=53, last=53, protocol=Protocol.UDP),
        Port(first=8000, last=8100),
        Port(name="metrics"),
        Port(name="dns", protocol=Protocol.UDP),
    )
    assert web.calls[1].http == (HttpRequest(("GET", "POST"), "/v1/*"),)
    assert (web.calls[1].owner, web.calls[1].reason) == ("them", "because")
    assert web.calls[2].ports is None
    assert [caller.source for caller in web.callers] == [Place.INTERNET, Block("10.0.0.1/32")]
    assert {call.source for call in web.calls} == {web.subject}


def problems(text: str) -> list[tuple[int | None, str]]:
    reading = read_text(HEAD + text, "map.yaml")
    assert reading.map is None
    return [(problem.location.line, problem.message) for problem in reading.problems]


CALL = "namespaces: [a]\nworkloads:\n  - workload: a/b\n    calls:\n      - "


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("namespace: [a]\n", 3, "unknown key `namespace`; did you mean `namespaces`?"),
        ("dns: true\n", 1, "`namespaces` is missing: say which namespaces the map covers"),
        ("namespaces: [a, a]\n", 3, "`a` is listed twice"),
        ("namespaces: [yes]\n", 3, "expected text, found the truth value `true`: put it in quotes"),
        ("namespaces: a\n", 3, "`namespaces` is a list, found the text `a`"),
        ("namespaces: [a]\ndns: maybe\n", 4, "`dns` is true or false"),
        ("namespaces: [a]\nworkloads: [{}]\n", 4, "an entry says either `workload` or `pods`"),
        (
            "namespaces: [a]\nworkloads: [{workload: b}]\n",
            4,
            "`b` is no workload: write `namespace/name`",
        ),
        (
            "namespaces: [a]\nworkloads:\n  - workload: a/b\n  - workload: a/b\n",
            6,
            "`a/b` has an entry already, at line 5",
        ),
        (CALL + "ports: [1]\n", 7, "`to` is missing"),
        (CALL + "to: a/c\n", 7, "`ports` is missing: list them, or write `ports: any`"),
        (CALL + "{to: a/c, ports: []}\n", 7, "`ports` lists none: strike the entry, or the key"),
        (
            CALL + "{to: a/c, ports: [0]}\n",
            7,
            "`0` is no port from 1 to 65535, nor a range of such",
        ),
        (CALL + "{to: a/c, ports: [true]}\n", 7, "expected a port, found the truth value `true`"),
        (CALL + "{to: a/c, ports: [80/ICMP]}\n", 7, "`ICMP` is none of TCP, UDP, SCTP"),
        (
            CALL + "{to: 10.0.0.1/8, ports: [80]}\n",
            7,
            "`10.0.0.1/8` has bits set behind its prefix: `10.0.0.0/8` is meant, or fewer",
        ),
        (CALL + "{to: 10.0.0.300, ports: [80]}\n", 7, "`10.0.0.300` is no address or CIDR"),
        (
            CALL + "{to: x.example, ports: [https]}\n",
            7,
            "`x.example` has no port names: write `https`'s number",
        ),
        (
            CALL + "{to: {labels: {a: b}}, ports: any}\n",
            7,
            "pods are selected in a `namespace`, or by `namespaceLabels`",
        ),
        (
            CALL + "{to: {namespace: a, labels: {pod-template-hash: x}}, ports: any}\n",
            7,
            "`pod-template-hash` changes with every roll-out or run: select by another",
        ),
        (
            CALL + "{to: a/c, ports: any, http: [{path: /}]}\n",
            7,
            "`http` needs the ports on which HTTP is spoken",
        ),
        (
            CALL + "{to: a/c, ports: [80], http: [{}]}\n",
            7,
            "a request says `methods`, a `path`, or both",
        ),
        (
            CALL + "{to: a/c, ports: [80], http: [{methods: [get]}]}\n",
            7,
            "`get` is no HTTP method: write `GET`, `POST` …",
        ),
        (
            CALL + "{to: a/c, ports: [80], http: [{path: v1}]}\n",
            7,
            "`v1` is no path: write `/v1/charges`, or `/v1/*` for all below it",
        ),
    ],
)
def test_tells_what_is_wrong_and_where(text: str, line: int, message: str) -> None:
    assert (line, message) in problems(text)


def test_a_service_and_a_domain_name_call_nobody() -> None:
    text = "namespaces: [a]\nworkloads:\n  - workload: a/b\n    callers:\n      - from: {}\n"
    for end, sort in (("svc/a/s", "a Service"), ("x.example", "a domain name")):
        found = problems(text.format("{}").replace("{}", end) + "        ports: [80]\n")
        assert found == [(7, f"`{end}` is {sort}, which calls nobody: name what does")]


def test_tells_all_problems_at_once_in_their_order() -> None:
    found = problems(CALL + "{to: a/c, port: [1], ports: [0]}\nmetadata: {nam: x}\n")
    assert [line for line, _ in found] == [7, 7, 8]


def test_another_document_is_no_map() -> None:
    reading = read_text("apiVersion: v1\nkind: Pod\n", "map.yaml")
    expected = "`ringfence.dev/v1`, `DependencyMap`, found `v1`, `Pod`"
    assert [str(problem) for problem in reading.problems] == [
        f"map.yaml:1: no dependency map: expected {expected}"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "map.yaml: holds no document: a dependency map is one"),
        ("a: 1\n---\nb: 2\n", "map.yaml:3: holds more than one document: a dependency map is one"),
        ("- 1\n", "map.yaml:1: no dependency map: expected `ringfence.dev/v1`, `DependencyMap`, "),
    ],
)
def test_a_map_is_one_document(text: str, message: str) -> None:
    [problem] = read_text(text, "map.yaml").problems
    assert str(problem).startswith(message)


def test_broken_yaml_is_told_with_its_line() -> None:
    [problem] = read_text(HEAD + "namespaces: [a\n", "map.yaml").problems
    assert problem.location.file == "map.yaml"
    assert problem.location.line is not None


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no such file"):
        read_file("absent/map.yaml")
