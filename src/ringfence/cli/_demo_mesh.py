"""`ringfence demo --mesh`: identity as a second layer, on the bundled example in Istio's mesh."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ringfence.cli._page import Page

if TYPE_CHECKING:
    from ringfence.model.verdict import Judgement
    from ringfence.questions.check import Checker

CALLED: Final = "svc/shop/payment:80"
POST, GET = "POST /v1/payment", "GET /v1/payment"
CALLER, STRANGER, NEIGHBOUR = "shop/api", "shop/debug", "batch/nightly-report"
"""Who is meant to call; a pod outside the mesh in the same namespace; one from another."""
ASKED: Final = (
    (CALLER, POST),
    (CALLER, GET),
    ("shop/web", POST),
)
PLANES: Final = {
    "sidecar": (
        "Every pod of the shop has a proxy of Istio's beside it. At payment, an "
        "AuthorizationPolicy lets in the service account of the shop's API, with one request; a "
        "PeerAuthentication refuses whatever is not mTLS. A NetworkPolicy lets in the whole shop, "
        "on any port."
    ),
    "ambient": (
        "A proxy on each node carries what pods of the shop send, over mTLS, on port 15008: the "
        "NetworkPolicy has to let that through. It does not look into requests; the shop's "
        "waypoint does. So there are two AuthorizationPolicies for payment: at the waypoint, for "
        "the API's service account and one request; at the pod, for nobody but the waypoint."
    ),
}


def walk(page: Page, folder: Path, plane: str, written: int) -> int:
    """Walk through the example in a mesh, and return 0 if all is as it should be.

    Args:
        page: what to print on.
        folder: where the example is.
        plane: `sidecar` or `ambient`.
        written: how many manifests it has.
    """
    from ringfence import assemble
    from ringfence.questions.check import Checker

    cluster = str(folder / "cluster")
    page.title(f"Identity as a second layer: the small shop in a mesh ({plane})")
    page.text(
        f"The example is in {folder}: {written} manifests. No cluster is touched and nothing "
        "leaves this machine."
    )
    page.text(PLANES[plane])
    checker = Checker(assemble.load([cluster]))
    held = []

    page.step("Who may call the payment service, with what?")
    for source, request in ASKED:
        page.command("check", cluster, source, CALLED, "--http", request)
        judgement = _asked(checker, source, request)
        page.lines(answered(source, request, judgement))
        held.append((judgement.verdict.value == "allow") is ((source, request) == ASKED[0]))

    page.step(
        "And a pod outside the mesh, in the same namespace?",
        *("explain", cluster, STRANGER, CALLED, "--http", POST),
    )
    judgement = _asked(checker, STRANGER, POST)
    page.lines(explained(STRANGER, judgement, folder))
    held.append(judgement.verdict.value == "deny")

    page.step(
        "And one that the network keeps out already?",
        *("explain", cluster, NEIGHBOUR, CALLED, "--http", POST),
    )
    judgement = _asked(checker, NEIGHBOUR, POST)
    page.lines(explained(NEIGHBOUR, judgement, folder))
    held.append(judgement.verdict.value == "deny")

    page.title("Next")
    page.text("What goes over mTLS, and which callers must join before plaintext can be refused:")
    page.command("mtls", cluster)
    page.text("And on your own cluster:")
    page.command("mtls", "--live")
    return 0 if all(held) else 1


def _asked(checker: "Checker", source: str, request: str) -> "Judgement":
    import msgspec

    from ringfence.cli.check import parse_query
    from ringfence.model.query import Http

    method, _, path = request.partition(" ")
    query = msgspec.structs.replace(parse_query(source, CALLED), http=Http(method, path))
    return checker.ask(query)


def answered(source: str, request: str, judgement: "Judgement") -> Iterator[str]:
    """Yield a verdict, how the mesh carries it and, where it is denied, which layer does that."""
    from ringfence.outputs._layers import carried, denied_by

    yield f"{judgement.verdict.value.upper()}  {source} -> {CALLED} {request}"
    if judgement.mesh is not None:
        yield f"  {carried(judgement.mesh)}"
    if denial := denied_by(judgement):
        yield f"  {denial}"


def explained(source: str, judgement: "Judgement", folder: Path) -> Iterator[str]:
    """Yield the same with what each layer says at the payment service, and where it is written."""
    yield from answered(source, POST, judgement)
    for evidence in judgement.evidence:
        if evidence.direction != "ingress" or not evidence.object:
            continue
        path = Path(evidence.file or "")
        place = path.relative_to(folder) if path.is_relative_to(folder) else path
        yield f"  {evidence.layer} {evidence.action}: {evidence.object} {evidence.rule}"
        yield f"      {place}:{evidence.line}"
