import pytest

from assemble.written import snapshot
from ringfence.assemble import profiles
from ringfence.errors import UsageError
from ringfence.model.profile import Cni, Profile


def daemon_set(
    name: str,
    image: str = "",
    namespace: str = "kube-system",
    labels: str = "{}",
    status: str = "",
) -> str:
    return f"""
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {name}, namespace: {namespace}, labels: {labels}}}
spec: {{template: {{spec: {{containers: [{{name: agent, image: "{image}"}}]}}}}}}
status: {{{status}}}
"""


def profile(text: str, cni: str | None = None) -> Profile:
    found = snapshot(text, cni=cni)
    assert found.problems == ()
    return found.profile


@pytest.mark.parametrize(
    ("name", "namespace", "cni"),
    [
        ("calico-node", "kube-system", Cni.CALICO),
        ("calico-node", "calico-system", Cni.CALICO),
        ("canal", "kube-system", Cni.CALICO),
        ("cilium", "kube-system", Cni.CILIUM),
        ("ovnkube-node", "openshift-ovn-kubernetes", Cni.OVN_KUBERNETES),
        ("ovnkube-node", "ovn-kubernetes", Cni.OVN_KUBERNETES),
        ("antrea-agent", "kube-system", Cni.ANTREA),
        ("kindnet", "kube-system", Cni.GENERIC),
        ("kube-network-policies", "kube-system", Cni.GENERIC),
        ("kube-flannel-ds", "kube-flannel", Cni.NONE),
        ("kube-flannel-ds", "kube-system", Cni.NONE),
    ],
)
def test_an_agent_is_known_by_its_name_where_it_lives(name: str, namespace: str, cni: Cni) -> None:
    found = profile(daemon_set(name, "mirror.example/agent:1", namespace))
    assert found == Profile(cni, "detected", f"DaemonSet {namespace}/{name}")
    assert profile(daemon_set(name, "x:1", "shop")) == Profile()


@pytest.mark.parametrize(
    ("image", "cni", "version"),
    [
        ("quay.io/cilium/cilium:v1.18.2@sha256:abc", Cni.CILIUM, "1.18.2"),
        ("rancher/mirrored-cilium-cilium:v1.17.0", Cni.CILIUM, "1.17.0"),
        ("quay.io/calico/node:v3.31.0-eks.1", Cni.CALICO, "3.31.0"),
        ("registry:5000/calico/node", Cni.CALICO, ""),
        ("docker.io/antrea/antrea-agent-ubuntu:v2.4.0", Cni.ANTREA, "2.4.0"),
        ("ghcr.io/ovn-kubernetes/ovn-kubernetes/ovn-kube-ubuntu:master", Cni.OVN_KUBERNETES, ""),
        ("ghcr.io/flannel-io/flannel:v0.27.0", Cni.NONE, "0.27.0"),
        ("quay.io/cilium/cilium-envoy:v1.33.0", Cni.GENERIC, ""),
        ("quay.io/calico/node-windows:v3.31.0", Cni.GENERIC, ""),
    ],
)
def test_an_agent_is_known_by_its_image_anywhere(image: str, cni: Cni, version: str) -> None:
    found = profile(daemon_set("net", image, "networking"))
    assert (found.cni, found.version) == (cni, version)


def test_a_renamed_cilium_is_known_by_its_label() -> None:
    found = profile(daemon_set("anetd", "gke.example/agent:1", labels="{k8s-app: cilium}"))
    assert (found.cni, found.evidence) == (Cni.CILIUM, "DaemonSet kube-system/anetd")


def test_nothing_found_is_generic_by_default() -> None:
    assert profile(daemon_set("node-exporter")) == Profile(Cni.GENERIC, "default")


def test_flannel_beside_an_enforcing_agent_does_not_count() -> None:
    text = daemon_set("kube-flannel-ds") + daemon_set("calico-node")
    assert profile(text).cni is Cni.CALICO


def test_an_agent_whose_daemon_set_is_missing_is_known_by_its_pods() -> None:
    text = """
apiVersion: v1
kind: Pod
metadata:
  name: cilium-x1
  namespace: kube-system
  ownerReferences: [{kind: DaemonSet, name: cilium, controller: true}]
spec: {containers: [{name: agent, image: "quay.io/cilium/cilium:v1.20.0"}]}
"""
    found = profile(text)
    assert (found.cni, found.version) == (Cni.CILIUM, "1.20.0")
    assert profile(text.replace("DaemonSet", "ReplicaSet")).cni is Cni.GENERIC


READY = "numberReady: 3"


@pytest.mark.parametrize(
    ("calico", "cilium", "chosen"),
    [
        (READY, "", Cni.CALICO),
        ("", READY, Cni.CILIUM),
        (READY, READY, Cni.CILIUM),
        ("", "", Cni.CILIUM),
    ],
)
def test_a_contradiction_is_told_and_settled_by_who_is_ready(
    calico: str, cilium: str, chosen: Cni
) -> None:
    text = daemon_set("calico-node", status=calico) + daemon_set("cilium", status=cilium)
    found = snapshot(text)
    assert found.profile.cni is chosen
    (problem,) = found.problems
    assert problem.severity == "warning"
    assert "DaemonSet kube-system/calico-node" in problem.message
    assert "DaemonSet kube-system/cilium" in problem.message
    assert snapshot(text, cni="calico").problems == ()


def test_a_given_profile_counts_and_keeps_a_version_that_fits() -> None:
    text = daemon_set("cilium", "quay.io/cilium/cilium:v1.18.2")
    assert profile(text, "cilium") == Profile(Cni.CILIUM, "given", version="1.18.2")
    assert profile(text, "calico") == Profile(Cni.CALICO, "given")
    with pytest.raises(UsageError, match="`weave` is no profile"):
        snapshot(text, cni="weave")


def test_a_later_profile_overrides_an_earlier_one() -> None:
    earlier = Profile(Cni.CILIUM, "detected", "DaemonSet x/cilium", "1.18.2", True)
    assert profiles.override(earlier, None) == earlier
    assert profiles.override(earlier, "cilium") == Profile(Cni.CILIUM, "given", "", "1.18.2", True)
    assert profiles.override(earlier, "calico") == Profile(Cni.CALICO, "given", "", "", True)


@pytest.mark.parametrize(
    ("data", "enabled"),
    [
        ('{enable-k8s-cluster-network-policy: "true"}', True),
        ('{enable-k8s-cluster-network-policy: "1"}', True),
        ('{enable-k8s-cluster-network-policy: "false"}', False),
        ('{enable-policy: "default"}', False),
    ],
)
def test_ciliums_configuration_tells_of_cluster_network_policy(data: str, enabled: bool) -> None:
    config = f"""
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: cilium-config, namespace: kube-system}}
data: {data}
"""
    assert profile(daemon_set("cilium") + config).cluster_network_policy is enabled
    assert profile(daemon_set("cilium")).cluster_network_policy is None


def test_a_malformed_configuration_is_told() -> None:
    config = """
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-k8s-cluster-network-policy: true}
"""
    found = snapshot(config)
    assert found.profile.cluster_network_policy is None
    assert [problem.affects for problem in found.problems] == [("ConfigMap",)]
