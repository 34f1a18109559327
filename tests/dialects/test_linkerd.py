"""Linkerd's objects as a whole: an unknown field or a wrong type is told, wherever it stands."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from dialects.linkerd_documents import (
    GATEWAY,
    GROUP,
    TO_WEB,
    WEB,
    account,
    authorization,
    document,
    parsed,
    route,
    server,
)
from ringfence import dialects
from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni, Profile

EXPRESSION = {"key": "app", "operator": "In", "values": ["web"]}
MATCH = {
    "path": {"type": "Exact", "value": "/a"},
    "method": "GET",
    "headers": [{"type": "Exact", "name": "x", "value": "1"}],
    "queryParams": [{"type": "Exact", "name": "x", "value": "1"}],
}
CALL = {"method": {"service": "a", "method": "b"}, "headers": [{"name": "x", "value": "1"}]}
NETWORKS = [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]
OUT = {"group": GROUP, "kind": "EgressNetwork", "name": "out", "port": 443}

FULL = [
    server(
        podSelector={"matchLabels": {"app": "web"}, "matchExpressions": [EXPRESSION]},
        proxyProtocol="HTTP/1",
        accessPolicy="deny",
    ),
    document("Server", "vm", {"externalWorkloadSelector": WEB, "port": "http"}),
    authorization(TO_WEB, account(namespace="pay", group="")),
    document(
        "ServerAuthorization",
        "saz",
        {
            "server": {"selector": WEB},
            "client": {
                "networks": NETWORKS,
                "meshTLS": {
                    "identities": ["*"],
                    "serviceAccounts": [{"name": "a", "namespace": "b"}],
                },
            },
        },
    ),
    document("MeshTLSAuthentication", "ids", {"identities": ["*", "a.b"]}),
    document("MeshTLSAuthentication", "refs", {"identityRefs": [account(group="core")]}),
    document("NetworkAuthentication", "nets", {"networks": NETWORKS}),
    route("r", MATCH, hostnames=["web.example"]),
    route("r", MATCH, group=GATEWAY),
    route("g", CALL, kind="GRPCRoute", group=GATEWAY),
    document("EgressNetwork", "out", {"trafficPolicy": "Deny", "networks": NETWORKS}),
    route("tls", kind="TLSRoute", group=GATEWAY, parentRefs=[OUT], rules=[{}], hostnames=["a.b"]),
    route("tcp", kind="TCPRoute", group=GATEWAY, parentRefs=[OUT], rules=[{}]),
]


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if path and path[-1] in ("matchLabels", "metadata", "status"):
        return
    listed = enumerate(value) if isinstance(value, list) else ()
    for key, child in value.items() if isinstance(value, dict) else listed:
        yield from places(child, (*path, key))


def replaced(found: Document, path: Path, value: Any) -> Document:
    body = copy.deepcopy(found.body)
    at: Any = body
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return msgspec.structs.replace(found, body=body)


def errors(found: Document) -> list[str]:
    return [p.message for p in parsed(found).problems if p.severity == "error"]


def test_the_full_documents_are_understood() -> None:
    assert [errors(found) for found in FULL] == [[] for _ in FULL]


MAPS = [
    pytest.param(found, path, id=f"{found.ref}-{'.'.join(map(str, path))}")
    for found in FULL
    for path, value in places(found.body)
    if isinstance(value, dict) and path and path[-1] not in ("matchLabels", "metadata")
]


@pytest.mark.parametrize(("found", "path"), MAPS)
def test_an_unknown_field_is_told(found: Document, path: Path) -> None:
    (message,) = errors(replaced(found, (*path, "unheardOf"), 1))
    assert "unknown field `unheardOf`" in message


LEAVES = [
    pytest.param(found, path, id=f"{found.ref}-{'.'.join(map(str, path))}")
    for found in FULL
    for path, value in places(found.body)
    if path
    and path[0] == "spec"
    and not isinstance(value, dict)
    # Of a parent group and kind say first whether it is any of Linkerd's business.
    and not ("parentRefs" in path and path[-1] in ("parentRefs", "group", "kind"))
]


@pytest.mark.parametrize(("found", "path"), LEAVES)
def test_a_wrong_type_is_told_at_its_place(found: Document, path: Path) -> None:
    (message,) = errors(replaced(found, path, {"a": 1}))
    assert "expected" in message or "unknown field `a`" in message
    assert str(path[-1]) in message


@pytest.mark.parametrize("kind", sorted({(found.title) for found in FULL}))
def test_no_spec_is_told(kind: str) -> None:
    found = next(each for each in FULL if each.title == kind)
    empty = msgspec.structs.replace(found, body={**found.body, "spec": None})
    gateway = kind in ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
    ours = gateway or kind == "HTTPRoute.policy.linkerd.io"
    assert bool(errors(empty)) is not ours


@pytest.mark.parametrize("cni", list(Cni))
def test_all_kinds_have_effect_whatever_the_cni(cni: Cni) -> None:
    of_linkerd = {found.title for found in FULL}
    assert of_linkerd <= dialects.enforced_kinds(Profile(cni))


def test_each_policy_stands_in_the_document_that_says_it() -> None:
    found = parsed(*FULL)
    for policy in found.policies:
        assert FULL[policy.document].ref == policy.ref
