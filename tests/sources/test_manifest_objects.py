"""Which objects a value holds, and what is said of those that cannot be read."""

import pytest

from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.sources import manifest_objects, manifest_values
from ringfence.sources.manifest_values import Broken


def read(text: str, *, named: bool = True) -> list[Document | Problem]:
    found: list[Document | Problem] = []
    for part in manifest_values.read(text, "f.yaml"):
        assert not isinstance(part, Broken), part.error
        found += manifest_objects.read(part, "f.yaml", named=named)
    return found


def documents(text: str) -> list[Document]:
    found = read(text)
    assert all(isinstance(one, Document) for one in found), found
    return [one for one in found if isinstance(one, Document)]


def problem(text: str, *, named: bool = True) -> Problem:
    (found,) = read(text, named=named)
    assert isinstance(found, Problem), found
    return found


def manifest(api_version: str, kind: str, metadata: str = "{name: x}") -> str:
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {metadata}\n"


@pytest.mark.parametrize(
    ("api_version", "kind", "metadata", "ref"),
    [
        ("v1", "Pod", "{name: x, namespace: ns}", "Pod/ns/x"),
        ("v1", "Service", "{name: x}", "Service/default/x"),
        ("v1", "Service", "{name: x, namespace: ''}", "Service/default/x"),
        ("v1", "Service", "{name: x, namespace: null}", "Service/default/x"),
        ("v1", "Namespace", "{name: x, namespace: ns}", "Namespace/x"),
        ("batch/v1", "Job", "{generateName: x-}", "Job/default"),
        ("networking.k8s.io/v1", "NetworkPolicy", "{name: x}", "NetworkPolicy/default/x"),
        (
            "policy.networking.k8s.io/v1alpha2",
            "ClusterNetworkPolicy",
            "{name: x}",
            "ClusterNetworkPolicy/x",
        ),
        ("gateway.networking.k8s.io/v1beta1", "HTTPRoute", "{name: x}", "HTTPRoute/default/x"),
        (
            "v1",
            "ConfigMap",
            "{name: cilium-config, namespace: kube-system}",
            "ConfigMap/kube-system/cilium-config",
        ),
    ],
)
def test_an_object_of_interest_is_read(
    api_version: str, kind: str, metadata: str, ref: str
) -> None:
    (document,) = documents("\n" + manifest(api_version, kind, metadata))
    assert (document.ref, document.api_version, document.kind) == (ref, api_version, kind)
    assert (document.file, document.line) == ("f.yaml", 2)
    assert document.body["kind"] == kind


@pytest.mark.parametrize(
    ("api_version", "kind", "metadata"),
    [
        ("v1", "Secret", "{name: x}"),
        ("v1", "ConfigMap", "{name: x}"),
        ("v1", "ConfigMap", "{name: cilium-config}"),
        ("v1", "ConfigMap", "7"),
        ("example.org/v1", "Service", "{name: x}"),
        ("serving.knative.dev/v1", "Service", "{name: x}"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "{name: x}"),
        ("projectcalico.org/v3", "IPPool", "{name: x}"),
        ("kustomize.config.k8s.io/v1beta1", "Kustomization", "{}"),
    ],
)
def test_kinds_of_no_interest_are_skipped_quietly(
    api_version: str, kind: str, metadata: str
) -> None:
    assert read(manifest(api_version, kind, metadata)) == []


def test_lines_are_kept_where_something_points_at_them() -> None:
    lines = {
        kind: len(documents(manifest(version, kind))[0].lines)
        for version, kind in (
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("apps/v1", "Deployment"),
            ("batch/v1", "CronJob"),
            ("v1", "Service"),
        )
    }
    assert lines == {"NetworkPolicy": 4, "Deployment": 4, "CronJob": 4, "Service": 0}


def test_json_has_lines_for_policies_only() -> None:
    body = '{"apiVersion": "%s",\n"kind": "%s", "metadata": {\n"name": "x"}}'
    (policy,) = documents(body % ("networking.k8s.io/v1", "NetworkPolicy"))
    assert policy.lines == (1, 2, 2, 3)
    (pod,) = documents(body % ("v1", "Pod"))
    assert (pod.lines, pod.line) == ((), 1)


LIST = """\
apiVersion: {version}
kind: {kind}
metadata: {{}}
items:
- {head}
  metadata: {{name: a, namespace: ns}}
-
  {head}
  metadata:
    name: b
"""


def test_a_list_is_its_items() -> None:
    head = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy}"
    text = LIST.format(version="v1", kind="List", head="<<: " + head)
    first, second = documents(text)
    assert (first.ref, second.ref) == ("NetworkPolicy/ns/a", "NetworkPolicy/default/b")
    assert second.line_of(("metadata", "name")) == 10
    assert first.line_of(("metadata", "namespace")) == 6


@pytest.mark.parametrize("head", ["spec: {}", "kind: null", "apiVersion: networking.k8s.io/v1"])
def test_a_typed_list_says_what_its_items_are(head: str) -> None:
    text = LIST.format(version="networking.k8s.io/v1", kind="NetworkPolicyList", head=head)
    first, second = documents(text)
    assert {first.kind, second.kind} == {"NetworkPolicy"}
    assert {first.api_version, second.api_version} == {"networking.k8s.io/v1"}
    assert second.line_of(("metadata", "name")) == 10
    assert second.line == 8


def test_lists_may_stand_in_lists() -> None:
    inner = '{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata":\n{"name": "x"}}]}'
    text = '{"apiVersion": "v1", "kind": "List", "items": [\n%s, %s]}' % (inner, inner)  # noqa: UP031
    assert [(document.ref, document.line) for document in documents(text)] == [
        ("Pod/default/x", 2),
        ("Pod/default/x", 3),
    ]


def test_lists_in_lists_end_somewhere() -> None:
    text = '{"apiVersion": "v1", "kind": "List", "items": [' * 20 + "]}" * 20
    assert problem(text).message == "lists in lists, more than 8 levels deep"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: List\nitems: []\n",
        "apiVersion: v1\nkind: List\nitems: null\n",
        "apiVersion: v1\nkind: List\n",
        "apiVersion: v1\nkind: SecretList\nitems: [{metadata: {name: x}}]\n",
        "apiVersion: x.io/v1\nkind: AllowList\nitems: [a, b]\n",
        "apiVersion: x.io/v1\nkind: AllowList\nitems: {a: b}\n",
    ],
)
def test_lists_may_hold_nothing_of_interest(text: str) -> None:
    assert read(text) == []


def test_an_item_that_is_no_object_is_an_error_wherever_the_list_was_found() -> None:
    found = problem("apiVersion: v1\nkind: List\nitems:\n- x\n", named=False)
    assert (found.location.line, found.affects, found.severity) == (4, (), "error")
    found = problem("apiVersion: v1\nkind: PodList\nitems:\n- x\n", named=False)
    assert (found.location.line, found.affects, found.severity) == (4, ("Pod",), "error")
    found = problem("apiVersion: v1\nkind: List\nitems:\n- metadata: {name: x}\n", named=False)
    assert (found.location.line, found.affects, found.severity) == (4, (), "error")


@pytest.mark.parametrize(
    ("metadata", "reason", "line"),
    [
        ("{name: 12}", "`metadata.name` is `12`, not a string: quote it", 3),
        ("\n  name: on", "`metadata.name` is `True`, not a string: quote it", 4),
        (
            "\n  name: x\n  namespace: [a]",
            "`metadata.namespace` is `['a']`, not a string: quote it",
            5,
        ),
        ("{generateName: 1}", "`metadata.generateName` is `1`, not a string: quote it", 3),
        ("{}", "`metadata.name` is missing", 3),
        ("{name: ''}", "`metadata.name` is missing", 3),
        ("[name]", "`metadata` is not an object", 3),
        ("null", "`metadata.name` is missing", 1),
    ],
)
@pytest.mark.parametrize(
    ("api_version", "kind"), [("networking.k8s.io/v1", "NetworkPolicy"), ("v1", "Service")]
)
def test_an_object_needs_a_name_that_is_a_string(
    api_version: str, kind: str, metadata: str, reason: str, line: int
) -> None:
    found = problem(manifest(api_version, kind, metadata))
    assert (found.message, found.location.line) == (f"{kind}: {reason}", line)
    assert (found.affects, found.severity) == ((kind,), "error")


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("networking.k8s.io/v2", "NetworkPolicy"),
        ("extensions/v1beta1", "NetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha1", "ClusterNetworkPolicy"),
        ("policy.networking.k8s.io/v1beta1", "AdminNetworkPolicy"),
        ("extensions/v1beta1", "Ingress"),
        ("networking.k8s.io/v1beta1", "Ingress"),
    ],
)
def test_a_policy_of_an_unknown_version_is_an_error(api_version: str, kind: str) -> None:
    found = problem("\n" + manifest(api_version, kind, "{name: x, namespace: ns}"))
    assert found.message.startswith(
        f"API version `{api_version}` of {kind} is not read: it takes `"
    )
    assert found.location.line == 2
    assert found.affects == (kind,)
    assert found.severity == "error"
    assert found.object in {f"{kind}/ns/x", f"{kind}/x"}


@pytest.mark.parametrize(
    ("api_version", "kind", "known"),
    [
        ("extensions/v1beta1", "Deployment", "apps/v1"),
        ("apps/v1beta2", "StatefulSet", "apps/v1"),
        ("batch/v1beta1", "CronJob", "batch/v1"),
        ("gateway.networking.k8s.io/v1alpha2", "HTTPRoute", "gateway.networking.k8s.io/v1"),
        ("v2", "Pod", "v1"),
    ],
)
def test_other_kinds_of_an_unknown_version_are_read_with_a_warning(
    api_version: str, kind: str, known: str
) -> None:
    warning, document = read(manifest(api_version, kind))
    assert isinstance(warning, Problem)
    assert isinstance(document, Document)
    assert warning.severity == "warning"
    assert warning.message == (
        f"API version `{api_version}` of {kind} is not known: read as `{known}`"
    )
    assert (document.api_version, document.kind) == (known, kind)


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("cilium.io/v2", "CiliumLocalRedirectPolicy"),
        ("crd.antrea.io/v1beta1", "ClusterNetworkPolicy"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        ("vendor.example/v1", "NetworkPolicy"),
    ],
)
def test_policies_that_are_not_judged_are_told(api_version: str, kind: str) -> None:
    found = problem("\n" + manifest(api_version, kind, "{name: x, namespace: ns}"))
    group = api_version.partition("/")[0]
    assert found.message == (
        f"{kind}/ns/x: {kind} of `{group}` is not judged yet, no verdict takes it into account"
    )
    assert (found.location.line, found.severity) == (2, "warning")
    assert found.affects == (f"{kind}.{group}",)
    assert found.object == f"{kind}/ns/x"


@pytest.mark.parametrize("kind", ["VirtualService", "WorkloadEntry", "WorkloadGroup"])
def test_what_only_routes_connections_is_told_as_a_note(kind: str) -> None:
    found = problem("\n" + manifest("networking.istio.io/v1", kind, "{name: x, namespace: ns}"))
    assert found.message == f"{kind}/ns/x: where it sends connections is not judged"
    assert (found.location.line, found.severity) == (2, "note")


def test_policies_that_are_not_judged_may_be_malformed() -> None:
    found = problem(manifest("cilium.io/v2", "CiliumLocalRedirectPolicy", "[]"))
    assert found.object == "CiliumLocalRedirectPolicy"


@pytest.mark.parametrize(
    "api_version", ["v1", "apps/v1", "policy/v1", "gateway.networking.k8s.io/v1"]
)
def test_a_policy_in_a_group_that_has_none_is_an_error(api_version: str) -> None:
    found = problem(manifest(api_version, "NetworkPolicy"))
    assert found.message == f"API version `{api_version}` has no kind NetworkPolicy"
    assert (found.affects, found.severity) == (("NetworkPolicy",), "error")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "replicas: 1\n",
            "no object of Kubernetes: `apiVersion` and `kind` must be given, as a string",
        ),
        (
            "apiVersion: v2\nname: chart\n",
            "no object of Kubernetes: `kind` must be given, as a string",
        ),
        ("kind: Foo\n", "no object of Kubernetes: `apiVersion` must be given, as a string"),
        (
            "kind: on\napiVersion: 1\n",
            "no object of Kubernetes: `apiVersion` and `kind` must be given, as a string",
        ),
        ("- a\n", "no object of Kubernetes, which has `apiVersion` and `kind`"),
        ("just words\n", "no object of Kubernetes, which has `apiVersion` and `kind`"),
        ('["a"]', "no object of Kubernetes, which has `apiVersion` and `kind`"),
    ],
)
def test_what_is_no_object_is_an_error_only_where_it_was_named(text: str, message: str) -> None:
    found = problem(text)
    assert (found.message, found.severity, found.affects) == (message, "error", ())
    found = problem(text, named=False)
    assert (found.message, found.severity) == (message + ", skipped", "warning")


@pytest.mark.parametrize(
    ("text", "affects"),
    [
        ("kind: NetworkPolicy\n", ("NetworkPolicy", "NetworkPolicy.projectcalico.org")),
        ("kind: Deployment\nmetadata: {}\n", ("Deployment",)),
        ("apiVersion: networking.k8s.io/v1\nKind: NetworkPolicy\n", ("NetworkPolicy",)),
        (
            "apiVersion: policy.networking.k8s.io/v1alpha1\n",
            ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"),
        ),
        ("- kind: NetworkPolicy\n- kind: Pod\n- x\n", ("NetworkPolicy", "Pod")),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_what_was_meant_as_an_object_is_an_error_anywhere(
    text: str, affects: tuple[str, ...], *, named: bool
) -> None:
    found = problem(text, named=named)
    assert (found.severity, found.affects) == ("error", affects)


def test_a_policy_that_nests_too_deep_is_an_error() -> None:
    text = (
        '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",\n'
        '"metadata": {"name": "x", "namespace": "ns"},\n"spec": ' + "[" * 300 + "]" * 300 + "}"
    )
    found = problem(text)
    assert str(found) == "f.yaml:3: nested more than 256 levels deep"
    assert (found.affects, found.object) == (("NetworkPolicy",), "NetworkPolicy/ns/x")
    text = text.replace('"ns"', "7")
    assert (
        problem(text).message
        == "NetworkPolicy: `metadata.namespace` is `7`, not a string: quote it"
    )
