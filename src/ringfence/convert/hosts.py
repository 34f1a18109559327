"""Tells which policies are for hosts, or for what they forward: none of these are converted."""

from collections.abc import Iterator
from typing import Final

from ringfence.convert.told import Effect, Told
from ringfence.engine import bits
from ringfence.engine.host_endpoints import HostEndpoints
from ringfence.model.document import Document, Path
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import LabelPeer, Policy
from ringfence.model.snapshot import Snapshot
from ringfence.model.tiers import CALICO_PRE_DNAT, is_before_nat

HOST_ENDPOINT: Final = "HostEndpoint"
NODE_SELECTOR: Final = "nodeSelector"


def tell(snapshot: Snapshot) -> list[Told]:
    """Return one remark for each policy that is for hosts, and for each host endpoint."""
    match snapshot.profile.cni:
        case Cni.CALICO:
            found = [*_host_endpoints(snapshot), *_of_calico(snapshot)]
        case Cni.CILIUM:
            found = list(_of_cilium(snapshot))
        case _:
            found = []
    return found


def _host_endpoints(snapshot: Snapshot) -> Iterator[Told]:
    for document in snapshot.documents:
        if document.kind == HOST_ENDPOINT:
            what = "what a host sends and receives is not converted"
            yield _told(document, (), what, "nothing of the host")


def _of_calico(snapshot: Snapshot) -> Iterator[Told]:
    """Yield what is said of policies that select host endpoints, or judge what hosts forward."""
    hosts = HostEndpoints(snapshot.host_endpoints)
    for policy in snapshot.policies:
        document = snapshot.documents[policy.document]
        if document.kind == HOST_ENDPOINT:
            continue
        way = _way(policy)
        selected = 0
        if isinstance(policy.subject, LabelPeer):
            selected = hosts.where(policy.subject.expression)
        names = ", ".join(hosts.all[number].name for number in bits.members(selected))
        if not way and not names:
            continue
        what = f"what it says of {way or 'host endpoints'}"
        at = f" at {names}" if way else f" ({names})"
        where = at if names else ""
        yield _told(document, ("spec",), f"{what}{where} is not converted", "nothing of hosts")


def _way(policy: Policy) -> str:
    """Return what of a host's traffic a policy is for; empty where it says nothing of that."""
    if not policy.forward:
        return ""
    if is_before_nat(policy.tier):
        return "what hosts receive before NAT (preDNAT)"
    if policy.tier.order < CALICO_PRE_DNAT:
        return "what hosts do not track (doNotTrack)"
    return "what hosts forward (applyOnForward)"


def _of_cilium(snapshot: Snapshot) -> Iterator[Told]:
    """Yield what is said of policies that select nodes, whether or not anything enforces them."""
    on = (snapshot.profile.cilium or CiliumConfig()).host_firewall
    what = "policies of nodes are not converted"
    instead = "nothing of the nodes" if on else "nothing: the host firewall is off, as far as known"
    for document in snapshot.documents:
        if document.kind != "CiliumClusterwideNetworkPolicy":
            continue
        for path in _node_selectors(document):
            yield _told(document, path, what, instead)


def _node_selectors(document: Document) -> Iterator[Path]:
    spec, specs = document.body.get("spec"), document.body.get("specs")
    if isinstance(spec, dict) and NODE_SELECTOR in spec:
        yield ("spec", NODE_SELECTOR)
    for number, each in enumerate(specs if isinstance(specs, list) else ()):
        if isinstance(each, dict) and NODE_SELECTOR in each:
            yield ("specs", number, NODE_SELECTOR)


def _told(document: Document, path: Path, what: str, instead: str) -> Told:
    at = document.location_of(path)
    return Told(
        file=at.file,
        line=at.line,
        object=document.ref,
        rule="",
        what=what,
        instead=instead,
        effect=Effect.LEFT,
    )
