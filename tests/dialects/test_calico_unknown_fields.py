"""A field that nobody knows, at any depth of any Calico object, is told with its place."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dialects.calico_documents import STORED, USER, context, document
from ringfence import dialects
from ringfence.dialects import calico
from ringfence.model.document import Document, Path

ENTITY = {
    "nets": ["10.0.0.0/8"],
    "notNets": ["10.1.0.0/16"],
    "selector": "a == 'b'",
    "notSelector": "has(c)",
    "namespaceSelector": "all()",
    "serviceAccounts": {"names": ["web"], "selector": "d != 'e'"},
}
RULES: list[dict[str, Any]] = [
    {
        "action": "Allow",
        "ipVersion": 4,
        "protocol": "TCP",
        "source": {**ENTITY, "ports": [1], "notPorts": ["2:3"]},
        "destination": {**ENTITY, "ports": ["http"], "notPorts": [80]},
        "metadata": {"annotations": {"x": "y"}},
    },
    {"action": "Deny", "notProtocol": 47},
    {"action": "Pass", "protocol": "ICMP", "icmp": {"type": 8}, "notICMP": {"type": 8, "code": 0}},
    {"action": "Log"},
]
HTTP = {"methods": ["GET"], "paths": [{"exact": "/a"}, {"prefix": "/b"}]}
INGRESS = [*RULES, {"action": "Allow", "http": HTTP, "source": {"services": {"name": "web"}}}]
EGRESS = [
    *RULES,
    {"action": "Allow", "destination": {"services": {"name": "web", "namespace": "shop"}}},
    {"action": "Allow", "destination": {"domains": ["x.io"]}},
]
POLICY = {
    "tier": "t",
    "order": 1,
    "selector": "all()",
    "serviceAccountSelector": "has(a)",
    "types": ["Ingress", "Egress"],
    "ingress": INGRESS,
    "egress": EGRESS,
    "performanceHints": ["AssumeNeededOnEveryNode"],
}
INGRESS_OF_CLUSTER = [*RULES, {"action": "Allow", "http": HTTP}]
OF_CLUSTER = {**POLICY, "ingress": INGRESS_OF_CLUSTER, "namespaceSelector": "all()"}
KUBERNETES = {
    "podSelector": {"matchLabels": {"a": "b"}},
    "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}],
}
SPECS: dict[str, dict[str, Any]] = {
    "NetworkPolicy": POLICY,
    "GlobalNetworkPolicy": {**OF_CLUSTER, "applyOnForward": True, "doNotTrack": False},
    "StagedNetworkPolicy": {**POLICY, "stagedAction": "Set"},
    "StagedGlobalNetworkPolicy": {**OF_CLUSTER, "stagedAction": "Learn"},
    "StagedKubernetesNetworkPolicy": {**KUBERNETES, "stagedAction": "Set"},
    "Tier": {"order": 1, "defaultAction": "Pass"},
    "NetworkSet": {"nets": ["10.0.0.0/8"]},
    "GlobalNetworkSet": {"nets": ["10.0.0.0/8"], "allowedEgressDomains": ["x.io"]},
    "HostEndpoint": {
        "node": "n1",
        "interfaceName": "*",
        "expectedIPs": ["10.0.0.1"],
        "profiles": ["p"],
        "ports": [{"name": "ssh", "protocol": "TCP", "port": 22}],
    },
    "Profile": {"ingress": INGRESS_OF_CLUSTER, "egress": RULES, "labelsToApply": {"a": "b"}},
}
FREE = {"annotations", "labelsToApply", "matchLabels"}
"""Maps whose keys are anybody's."""


def maps(value: Any, path: Path) -> list[Path]:
    """Return the path of every map whose keys are given."""
    if isinstance(value, dict):
        below = [
            found for key, child in value.items() if key not in FREE
            for found in maps(child, (*path, key))
        ]  # fmt: skip
        return [path, *below]
    if isinstance(value, list):
        return [f for index, child in enumerate(value) for f in maps(child, (*path, index))]
    return []


def told(found: Document) -> set[Any]:
    """Return where something unreadable is told of."""
    tier = document("Tier", {"order": 1}, "t")
    around = context(*([] if found.kind == "Tier" else [tier]), found, staged=True)
    parsed = dialects.parse(around)
    # A note says more exactly where than what a network set itself can carry.
    errors = [p for p in (*parsed.problems, *calico.notes(around)) if p.severity == "error"]
    return set({p.message: p.location for p in errors}.values())


@given(
    st.sampled_from(sorted(SPECS)),
    st.sampled_from((USER, STORED)),
    st.none() | st.just({}),
    st.data(),
)
def test_an_unknown_field_at_any_depth_is_told_with_its_place(
    kind: str, api: str, value: Any, data: st.DataObject
) -> None:
    assert told(document(kind, SPECS[kind], api=api)) == set()
    # Not `deepcopy`: rules that stand in both sections must come apart.
    spec = json.loads(json.dumps(SPECS[kind]))
    path = data.draw(st.sampled_from(maps(spec, ("spec",))))
    target: Any = {"spec": spec}
    for part in path:
        target = target[part]
    target["surprise"] = value
    spoiled = document(kind, spec, api=api)
    assert told(spoiled) == {spoiled.location_of((*path, "surprise"))}


@given(st.sampled_from(sorted(SPECS)), st.sampled_from((USER, STORED)))
def test_an_unknown_field_of_the_object_itself_is_told(kind: str, api: str) -> None:
    spoiled = document(kind, SPECS[kind], api=api, surprise=1)
    assert told(spoiled) == {spoiled.location_of(("surprise",))}


WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 80, 65536, "", "80", "http", "TCP", "Ingress", "Allow", "x" * 120,
    "10.0.0.0", "10.0.0.0/33", "a = 'b'", "global()", [], {}, [None], [{}], {"app": "web"},
)  # fmt: skip


def places(value: Any, path: Path = ()) -> list[Path]:
    pairs: list[Any] = list(value.items() if isinstance(value, dict) else ())
    if isinstance(value, list):
        pairs = list(enumerate(value))
    return [path, *(p for key, child in pairs for p in places(child, (*path, key)))]


@given(st.sampled_from(sorted(SPECS)), st.sampled_from(WRONG), st.booleans(), st.data())
def test_whatever_a_document_holds_it_alone_is_to_blame(
    kind: str, wrong: Any, staged: bool, data: st.DataObject
) -> None:
    body: Any = {"spec": json.loads(json.dumps(SPECS[kind]))}
    path = data.draw(st.sampled_from(places(body["spec"], ("spec",))))
    parent = body
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = wrong
    spoiled = document(kind, body["spec"])
    around = context(spoiled, document("Tier", {}, "t"), staged=staged)
    parsed = dialects.parse(around)
    for policy in (*parsed.policies, *parsed.staged):
        assert around.documents[policy.document] is spoiled
        assert all(part.path[0] == "spec" for part in policy.unreadable)
        assert all(each.path[0] == "spec" for each in policy.rules if each.path)
    files = {problem.location.file for problem in (*parsed.problems, *calico.notes(around))}
    assert files <= {spoiled.file}
    assert calico.replaced(around) <= frozenset(range(len(around.documents)))
