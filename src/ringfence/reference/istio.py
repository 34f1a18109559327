"""What Istio's proxies say of a connection that they take, at its source and at its destination."""

from ringfence.model.cluster import Service
from ringfence.model.rule import Direction
from ringfence.reference.findings import Side
from ringfence.reference.mesh_flow import Flow, absent


def judge_egress(flow: Flow) -> Side:
    """Return what the proxy of the source lets out."""
    return absent(Direction.EGRESS, "default")


def judge_ingress(flow: Flow) -> Side:
    """Return what the destination's proxy lets in: its mode of mTLS, then who may do what."""
    return absent(Direction.INGRESS, "default")


def judge_waypoint(flow: Flow, service: Service) -> Side:
    """Return what the waypoint of a Service lets through to it."""
    return absent(Direction.INGRESS, "default")
