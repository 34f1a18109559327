"""How the meshes of a cluster are set up: in ConfigMaps, or in a file that is given."""

import textwrap
from pathlib import Path

import pytest

import ringfence
from assemble.written import snapshot
from ringfence.assemble import mesh_settings
from ringfence.assemble.mesh_settings import Settings
from ringfence.errors import InputError
from ringfence.model.mesh import NO_MESH, IstioConfig, LinkerdConfig, Ports
from ringfence.model.snapshot import Snapshot
from ringfence.sources import snapshot_file


def read(text: str) -> Settings:
    return mesh_settings.from_text(textwrap.dedent(text), "mesh.yaml")


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


def istio(text: str) -> IstioConfig:
    found = read(text).istio
    assert found is not None
    return found


def linkerd(text: str) -> LinkerdConfig:
    found = read(text).linkerd
    assert found is not None
    return found


MESH_CONFIG = """\
trustDomain: corp
trustDomainAliases: [old, older]
rootNamespace: mesh
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
pathNormalization: {normalization: MERGE_SLASHES}
enableAutoMtls: false
extensionProviders:
- name: opa
  envoyExtAuthzGrpc: {service: opa.local, port: 9191}
- name: audit
unheard: of
"""
EXPECTED = IstioConfig(
    source="mesh.yaml",
    root_namespace="mesh",
    trust_domain="corp",
    trust_domain_aliases=("old", "older"),
    registry_only=True,
    normalization="MERGE_SLASHES",
    auto_mtls=False,
    providers=("audit", "opa"),
)


def test_a_mesh_config_is_read() -> None:
    assert istio(MESH_CONFIG) == EXPECTED


@pytest.mark.parametrize(
    "around", ["meshConfig:\n{}", "apiVersion: install.istio.io/v1alpha1\nspec:\n  meshConfig:\n{}"]
)
def test_values_and_operators_hold_a_mesh_config(around: str) -> None:
    assert istio(around.format(textwrap.indent(MESH_CONFIG, " " * 4))) == EXPECTED


def test_what_a_mesh_config_does_not_say_is_as_istio_has_it() -> None:
    assert istio("trustDomain: cluster.local") == IstioConfig("mesh.yaml")
    assert istio("pathNormalization: {normalization: DEFAULT}").normalization == "BASE"


def config_map(data: str, name: str = "istio", namespace: str = "istio-system") -> str:
    return f"""
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}}}
data:
{textwrap.indent(textwrap.dedent(data), "  ")}
"""


def test_a_config_map_may_be_given_as_a_file() -> None:
    found = istio(config_map("mesh: |\n" + textwrap.indent(MESH_CONFIG, "  ")))
    assert found.trust_domain == "corp"
    assert found.source == "mesh.yaml"


VALUES = """\
clusterDomain: corp.local
clusterNetworks: 10.0.0.0/8,fd00::/8
linkerdVersion: edge-25.1.1
proxy:
  defaultInboundPolicy: deny
  opaquePorts: 25
  outboundTransportMode: transport-header
  requireIdentityOnInboundPorts: "8080"
proxyInit: {ignoreInboundPorts: "9100", ignoreOutboundPorts: "25"}
policyController: {probeNetworks: [10.1.0.0/16]}
egress: {globalEgressNetworkNamespace: out}
"""


def test_values_of_linkerd_are_read() -> None:
    found = read(VALUES)
    assert found.linkerd == LinkerdConfig(
        source="mesh.yaml",
        trust_domain="corp.local",
        default_inbound="deny",
        cluster_networks=("10.0.0.0/8", "fd00::/8"),
        probe_networks=("10.1.0.0/16",),
        egress_namespace="out",
        transport_header=True,
    )
    assert found.injected == mesh_settings.Injected("9100", "25", "25", "8080")


def test_the_trust_domain_of_linkerd_comes_before_the_domain_of_the_cluster() -> None:
    assert linkerd("clusterDomain: a\nidentityTrustDomain: b\nproxy: {}").trust_domain == "b"


def test_linkerd_before_2_18_has_no_transport_header() -> None:
    assert not linkerd("linkerdVersion: stable-2.14.0\nproxy: {}").transport_header
    assert linkerd("proxy: {}").transport_header
    assert not linkerd("proxy: {outboundTransportMode: transparent}").transport_header


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "mesh.yaml:1: invalid YAML"),
        ("- trustDomain", "a map is expected, not a list"),
        ("some: thing", "mesh.yaml:1: neither a mesh configuration of Istio nor values of Linkerd"),
        ("", "no mesh configuration in it"),
        ("trustDomain: corp\nrootNamespace: 7", "mesh.yaml:2: expected a string"),
        ("trustDomain: corp\nenableAutoMtls: maybe", "mesh.yaml:2: expected true or false"),
        ("trustDomain: x\noutboundTrafficPolicy:\n  mode: ANY", "mesh.yaml:3: `ANY` is none of"),
        ("proxy: {opaquePorts: http}", "`http` is no list of ports"),
        ("proxy: {defaultInboundPolicy: open}", "`open` is none of"),
        ("clusterNetworks: everywhere", "`everywhere` is no CIDR"),
        ("kind: ConfigMap\ndata: {a: b}", "a ConfigMap with neither `mesh`"),
        ("kind: ConfigMap\ndata:\n  mesh: |\n    x: 1\n    rootNamespace: 7", "mesh.yaml:5: "),
        ("kind: ConfigMap\ndata:\n  mesh: |\n    x: 1\n    y: ]\n", "mesh.yaml:5: invalid YAML"),
        ("kind: ConfigMap\ndata: {mesh: {a: b}}", "`data.mesh` is a map, not a string"),
    ],
)
def test_what_cannot_be_understood_is_told_with_its_line(text: str, told: str) -> None:
    assert told in refused(text)


MESHED = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {containers: [{name: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: lab}
spec: {template: {spec: {containers: [{name: app}]}}}
"""


def principals(found: Snapshot) -> list[str]:
    members = [i.mesh for workload in found.workloads for i in workload.identities]
    return [member.principal for member in members if member]


def test_where_no_configuration_is_in_the_input_the_defaults_are_told() -> None:
    found = snapshot(MESHED)
    assert [(p.severity, p.message) for p in found.problems] == [
        (
            "note",
            (
                "Istio's mesh configuration is not in the input: root namespace istio-system, "
                "trust domain cluster.local and outbound mode ALLOW_ANY are assumed; --mesh-config "
                "settles it"
            ),
        ),
        (
            "note",
            (
                "Linkerd's configuration is not in the input: control plane in namespace linkerd, "
                "trust domain cluster.local and inbound policy all-unauthenticated are assumed; "
                "--mesh-config settles it"
            ),
        ),
    ]
    assert found.mesh.istio == IstioConfig()
    assert found.mesh.linkerd == LinkerdConfig()


def test_where_nothing_of_a_mesh_is_there_nothing_is_said_of_it() -> None:
    found = snapshot(MESHED.replace("enabled", "disabled"))
    assert found.problems == ()
    assert found.mesh == NO_MESH


def test_config_maps_of_the_cluster_tell_how_its_meshes_are_set_up() -> None:
    found = snapshot(
        MESHED
        + config_map("mesh: 'trustDomain: corp'")
        + config_map("values: 'identityTrustDomain: lk'", "linkerd-config", "linkerd")
    )
    assert found.problems == ()
    assert found.mesh.istio is not None
    assert found.mesh.istio.source == "ConfigMap/istio-system/istio"
    assert principals(found) == [
        "default.lab.serviceaccount.identity.linkerd.lk",
        "corp/ns/shop/sa/default",
    ]


def test_of_several_control_planes_the_one_without_a_revision_counts() -> None:
    found = snapshot(
        MESHED
        + config_map("mesh: 'trustDomain: new'", "istio-canary")
        + config_map("mesh: 'trustDomain: old'")
        + config_map("values: 'proxy: {}'", "linkerd-config", "linkerd")
    )
    assert found.mesh.istio is not None
    assert found.mesh.istio.trust_domain == "old"
    (problem,) = found.problems
    assert problem.message == (
        "ConfigMap/istio-system/istio and ConfigMap/istio-system/istio-canary differ: the former "
        "counts, --mesh-config settles it"
    )


def test_a_broken_config_map_is_an_error_and_no_default_is_assumed() -> None:
    found = snapshot(MESHED + config_map("mesh: 'trustDomain: ['"))
    errors = [problem for problem in found.problems if problem.severity == "error"]
    assert [(p.object, p.affects) for p in errors] == [
        ("ConfigMap/istio-system/istio", ("AuthorizationPolicy",))
    ]
    assert [p.message[:7] for p in found.problems if p.severity == "note"] == ["Linkerd"]


# -- a file that is given --------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(MESHED + config_map("mesh: 'trustDomain: corp'"))
    return path


@pytest.fixture
def given(tmp_path: Path) -> str:
    path = tmp_path / "mesh.yaml"
    path.write_text(
        "trustDomain: given\n---\nidentityTrustDomain: lk\nproxyInit:\n"
        "  ignoreInboundPorts: '9100'\n"
    )
    return str(path)


def test_a_file_that_is_given_comes_before_what_the_cluster_says(cluster: Path, given: str) -> None:
    found = ringfence.load([str(cluster)], mesh_config=given)
    assert found.problems == ()
    assert principals(found) == [
        "default.lab.serviceaccount.identity.linkerd.lk",
        "given/ns/shop/sa/default",
    ]
    member = found.workloads[0].identities[0].mesh
    assert member is not None
    assert member.inbound == Ports(((4190, 4190), (9100, 9100)))


def test_a_snapshot_keeps_how_pods_take_part(cluster: Path, tmp_path: Path) -> None:
    found = ringfence.load([str(cluster)])
    saved = str(tmp_path / "saved")
    snapshot_file.write(found, saved)
    again = ringfence.load([saved])
    assert (again.mesh, again.workloads) == (found.mesh, found.workloads)


def test_a_file_that_is_given_settles_a_snapshot_too(
    cluster: Path, tmp_path: Path, given: str
) -> None:
    saved = str(tmp_path / "saved")
    snapshot_file.write(ringfence.load([str(cluster)]), saved)
    again = ringfence.load([saved], mesh_config=given)
    assert principals(again) == [
        "default.lab.serviceaccount.identity.linkerd.lk",
        "given/ns/shop/sa/default",
    ]
    assert again.problems == ()


def test_a_file_that_is_not_there_is_an_error(cluster: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        ringfence.load([str(cluster)], mesh_config=str(tmp_path / "none.yaml"))


def test_linkerds_control_plane_is_where_its_config_map_is() -> None:
    text = MESHED + config_map("values: 'proxy: {}'", "linkerd-config", "mesh")
    found = snapshot(text)
    assert found.mesh.linkerd is not None
    assert found.mesh.linkerd.namespace == "mesh"
    assert "default.lab.serviceaccount.identity.mesh.cluster.local" in principals(found)


def test_that_some_namespaces_are_not_known_to_istio_is_told_not_to_be_judged() -> None:
    found = snapshot(MESHED + config_map("mesh: 'discoverySelectors: [{matchLabels: {a: b}}]'"))
    (warning,) = [problem for problem in found.problems if problem.severity == "warning"]
    assert "`discoverySelectors` is not judged" in warning.message


def test_that_what_is_exported_where_nothing_says_so_is_told_not_to_be_judged() -> None:
    said = "mesh: 'defaultServiceExportTo: [.]\n\n    defaultDestinationRuleExportTo: [\"*\"]'"
    found = snapshot(MESHED + config_map(said))
    (warning,) = [problem for problem in found.problems if problem.severity == "warning"]
    assert "`defaultServiceExportTo` is not judged" in warning.message


def test_values_that_are_given_leave_the_control_plane_where_pods_say_it_is(
    tmp_path: Path, given: str
) -> None:
    meshed = tmp_path / "cluster.yaml"
    meshed.write_text(
        "apiVersion: v1\nkind: Pod\n"
        "metadata: {name: x, namespace: lab, labels: {linkerd.io/control-plane-ns: mesh}}\n"
        "spec: {containers: [{name: linkerd-proxy}]}\nstatus: {phase: Running}\n"
    )
    direct = ringfence.load([str(meshed)], mesh_config=given)
    saved = str(tmp_path / "saved")
    snapshot_file.write(ringfence.load([str(meshed)]), saved)
    for found in (direct, ringfence.load([saved], mesh_config=given)):
        assert found.mesh.linkerd is not None
        assert found.mesh.linkerd.namespace == "mesh"
        assert principals(found) == ["default.lab.serviceaccount.identity.mesh.lk"]
