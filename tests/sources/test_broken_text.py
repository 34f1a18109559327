"""Guesses at what stood in broken text: never less than what stood there."""

import pytest

from ringfence.sources.broken_text import guess


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("kind: NetworkPolicy\n\tx", ("NetworkPolicy",)),
        ("kind: 'NetworkPolicy' # that\n", ("NetworkPolicy",)),
        ('"kind" : "NetworkPolicy"\r\n', ("NetworkPolicy",)),
        ("a: 1\nkind: ConfigMap\ndata:\n  x: |\n    kind: NetworkPolicy\n", ("ConfigMap",)),
        ("kind: Service\nx\nkind: NetworkPolicy\n", ("NetworkPolicy", "Service")),
        ("# kind: ConfigMap\n  # kind: ConfigMap\nx: 1 # kind\n", ()),
        ("kind: {{ .Values.kind }}\n", ()),
        ("kind: ConfigMap\nkind: {{ x }}\n", ()),
        ("kind: ConfigMap\n{{ if x }}kind: Service{{ end }}\n", ()),
        ("kind NetworkPolicy\nmetadata:\n  ownerReferences:\n  - kind: ReplicaSet\n", ()),
        ("apiVersion: v1 kind: NetworkPolicy\n", ()),
        ("  kind: NetworkPolicy\n", ()),
        ("", ()),
        ("kind: List\nitems:\n- kind: Service\n  x: {\n- kind: Pod\n", ("Pod", "Service")),
        ("kind: List\nitems:\n- kind: {{ x }}\n", ()),
        ("kind: List\n", ()),
        ("kind: PodList\nitems:\n", ("Pod",)),
        ('{"kind": "Service", "spec": {', ("Service",)),
        ("{kind: Service, a: [}", ("Service",)),
        (
            '{"kind":"List","items":[{"kind":"Pod"},{"kind":"NetworkPolicy",]}',
            ("NetworkPolicy", "Pod"),
        ),
        ('{"kind": {', ()),
        ('{"kind": "Pod", "note": "a kind of"', ()),
    ],
)
def test_kinds(text: str, kinds: tuple[str, ...]) -> None:
    assert guess(text).kinds == kinds


METADATA = "kind: NetworkPolicy\nmetadata:\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (METADATA + "  name: db\n  namespace: shop\nspec: [", "NetworkPolicy/shop/db"),
        (METADATA + "# c\n\n\tname: 'db' # c\n\tnamespace: shop", "NetworkPolicy/shop/db"),
        (
            METADATA + "  labels:\n    name: x\n  namespace: shop\n  name: db\n",
            "NetworkPolicy/shop/db",
        ),
        (METADATA + "  labels:\n    name: x\n  namespace: shop\n", None),
        (METADATA + "  name: db\nspec: [", None),
        (METADATA + "  name: db\n  namespace; shop\n", None),
        (METADATA + "  name: db\n  namespace: {{ x }}\n", None),
        (METADATA + "  name: db\n  namespace: shop\n  namespace: other\n", None),
        (METADATA + "  name: a\n  namespace: b\nmetadata:\n  name: a\n  namespace: b\n", None),
        ("kind: Service\n" + METADATA + "  name: a\n  namespace: b\n", None),
        ("kind: AdminNetworkPolicy\nmetadata:\n  name: all\n", "AdminNetworkPolicy/all"),
        ("kind: NetworkPolicy\nname: a\nnamespace: b\n", None),
    ],
)
def test_names(text: str, told: str | None) -> None:
    assert guess(text).object == told
