"""What tests of reading from a live cluster ask for, and what they expect of it."""

import base64
from pathlib import Path

import pytest

from ringfence.errors import ClusterError, UsageError
from ringfence.model.location import Location, Problem
from ringfence.model.reading import Reading
from ringfence.sources.live import read_cluster
from sources.api_server import told

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
PODS = "/api/v1/pods"
PAGE = b'{"items":[{"metadata":{"name":"web","namespace":"shop"}}]}'


def names(reading: Reading, kind: str) -> list[str]:
    """Return the objects of a kind that were read."""
    return [
        f"{document.namespace}/{document.name}"
        for document in reading.documents
        if document.kind == kind
    ]


def problem(message: str, kind: str, severity: str = "error", spared: str | None = None) -> Problem:
    """Return a problem of the cluster, as it is told of a kind."""
    return Problem(message, Location("live:test"), (kind,), severity=severity, spared=spared)


def inline(path: Path) -> str:
    """Return a file as kubeconfigs hold it."""
    return base64.b64encode(path.read_bytes()).decode()


def assert_read(kubeconfig: str | None = None) -> None:
    """Hold that the one namespace of the cluster is read, and nothing is amiss."""
    reading = read_cluster(kubeconfig=kubeconfig)
    assert [document.ref for document in reading.documents] == ["Namespace/shop"]
    assert told(reading) == ()


def refusal(kubeconfig: str | None = None, context: str | None = None) -> str:
    """Return the message of the error, which must be one line and say what exit code it means."""
    with pytest.raises((UsageError, ClusterError)) as caught:
        read_cluster(kubeconfig=kubeconfig, context=context)
    assert "\n" not in str(caught.value)
    return f"{caught.value.exit_code}: {caught.value}"
