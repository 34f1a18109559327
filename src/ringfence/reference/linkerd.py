"""What Linkerd's proxies say of a connection that they take."""

from ringfence.model.rule import Direction
from ringfence.reference.findings import Side
from ringfence.reference.mesh_flow import Flow, absent


def judge_egress(flow: Flow) -> Side:
    """Return what the proxy of the source lets out."""
    return absent(Direction.EGRESS, "default")


def judge_ingress(flow: Flow) -> Side:
    """Return what the destination's proxy lets in."""
    return absent(Direction.INGRESS, "default")
