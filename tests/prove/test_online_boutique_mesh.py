"""Online Boutique with generated policies of Istio and of the network: proved equal to its map."""

from io import BytesIO
from pathlib import Path

import pytest
import yaml

from prove.proofs import changed, proved
from ringfence import assemble
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.wishes import CILIUM, ISTIO, KUBERNETES, LINKERD, Wishes
from ringfence.model.snapshot import Snapshot
from ringfence.prove.generated import generate, prove
from ringfence.sources import manifests
from written_maps import dependency_map

BOUTIQUE = Path(__file__).parents[3] / "shared" / "vectors" / "online-boutique"
pytestmark = pytest.mark.skipif(
    not BOUTIQUE.is_dir(), reason="no ../shared/vectors/online-boutique here"
)

CALLS = {
    "loadgenerator": ("frontend",),
    "frontend": (
        "productcatalogservice",
        "currencyservice",
        "cartservice",
        "recommendationservice",
        "shippingservice",
        "checkoutservice",
        "adservice",
    ),
    "checkoutservice": (
        "productcatalogservice",
        "shippingservice",
        "paymentservice",
        "emailservice",
        "currencyservice",
        "cartservice",
    ),
    "recommendationservice": ("productcatalogservice",),
    "cartservice": ("redis-cart",),
}
"""Who calls whom. Source: the addresses in the demo's own environment variables."""
CHARGE = {"methods": ["POST"], "path": "/hipstershop.PaymentService/Charge"}
MESHES = {
    "sidecar": "labels: {istio-injection: enabled}",
    "ambient": "labels: {istio.io/dataplane-mode: ambient}",
    "linkerd": "annotations: {linkerd.io/inject: enabled}",
}


def boutique(plane: str) -> Snapshot:
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: default, {MESHES[plane]}}}\n"
    text = namespace.encode() + b"---\n" + (BOUTIQUE / "kubernetes-manifests.yaml").read_bytes()
    return assemble.build(manifests.read(["-"], BytesIO(text)), pod_cidrs=("10.0.0.0/8",))


def its_map(*, charges: bool = True) -> DependencyMap:
    entries = []
    for caller, called in CALLS.items():
        calls = []
        for name in called:
            call: dict[str, object] = {"to": f"svc/default/{name}"}
            if name == "paymentservice" and charges:
                call["http"] = [CHARGE]
            calls.append(call)
        entries.append({"workload": f"default/{caller}", "calls": calls})
    return dependency_map(yaml.safe_dump({"namespaces": ["default"], "workloads": entries}))


@pytest.mark.parametrize("dialect", [KUBERNETES, CILIUM])
@pytest.mark.parametrize("plane", list(MESHES))
def test_the_policies_of_both_layers_are_equal_to_the_map(plane: str, dialect: str) -> None:
    mesh = LINKERD if plane == "linkerd" else ISTIO
    wishes = Wishes(dialect=dialect, mesh=mesh)
    generation = generate(its_map(), boutique(plane), wishes)
    proof = proved(generation)
    assert proof.holds, proof
    assert (proof.workloads, proof.connections) == (12, 16)
    wider = {each.sort for each in generation.emission.unsupported if each.wider}
    assert wider == ({"HTTP"} if plane == "ambient" else set())


def test_who_shares_no_account_but_the_default_one_is_told() -> None:
    generation = generate(its_map(), boutique("sidecar"), Wishes(dialect="", mesh=ISTIO))
    (offer,) = generation.offers
    assert offer.why.startswith("default/redis-cart runs as the service account `default`")
    assert [file.path for file in offer.files] == [
        "default/deployment-redis-cart.serviceaccount.yaml",
        "default/deployment-redis-cart.patch.yaml",
    ]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("/hipstershop.PaymentService/Charge", "/*", "more"),
        ("cluster.local/ns/default/sa/checkoutservice", '"*"', "more"),
        ("mode: STRICT", "mode: DISABLE", "less"),
        ("sa/cartservice", "sa/nobody", "less"),
    ],
)
def test_a_change_of_a_policy_is_found(old: str, new: str, found: str) -> None:
    snapshot = boutique("sidecar")
    generation = generate(its_map(), snapshot, Wishes(dialect="", mesh=ISTIO))
    assert proved(generation).holds
    emission = changed(generation.emission, (old, new))
    assert getattr(prove(its_map(), snapshot, generation.proposal, emission), found)
