"""The kinds that are read, and by which names they are told apart."""

import pytest

from ringfence.model import kinds


def test_titles_are_different() -> None:
    titles = [kind.title for kind in kinds.KINDS if not kind.family]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize(
    ("api_version", "kind", "title"),
    [
        ("security.istio.io/v1", "AuthorizationPolicy", "AuthorizationPolicy"),
        (
            "policy.linkerd.io/v1alpha1",
            "AuthorizationPolicy",
            "AuthorizationPolicy.policy.linkerd.io",
        ),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "HTTPRoute"),
        ("policy.linkerd.io/v1beta3", "HTTPRoute", "HTTPRoute.policy.linkerd.io"),
        ("policy.linkerd.io/v1beta1", "Server", "Server"),
        ("networking.istio.io/v1alpha3", "Sidecar", "Sidecar"),
    ],
)
def test_of_kinds_that_share_a_name_one_goes_with_its_group(
    api_version: str, kind: str, title: str
) -> None:
    assert kinds.title(api_version, kind) == title


@pytest.mark.parametrize(
    ("group", "kind", "mesh", "policy"),
    [
        ("security.istio.io", "PeerAuthentication", "istio", True),
        ("networking.istio.io", "DestinationRule", "istio", True),
        ("policy.linkerd.io", "EgressNetwork", "linkerd", True),
        ("gateway.networking.k8s.io", "GRPCRoute", "linkerd", False),
        ("networking.k8s.io", "NetworkPolicy", "", True),
    ],
)
def test_a_kind_says_which_mesh_heeds_it(group: str, kind: str, mesh: str, policy: bool) -> None:
    found = kinds.BY_NAME[group, kind]
    assert (found.mesh, found.policy) == (mesh, policy)
