"""What of Istio's objects enters into no verdict is told."""

import msgspec

from dialects.istio_documents import document, parsed
from ringfence.model.cluster import Namespace

ENTRY = document("ServiceEntry", {"hosts": ["x.test"], "ports": [{"number": 443}]})


def told(own: str | None, around: str | None = None) -> list[str]:
    labels = {} if own is None else {"labels": {"istio.io/use-waypoint": own}}
    body = {**ENTRY.body, "metadata": {**ENTRY.body["metadata"], **labels}}
    space = Namespace("shop", {} if around is None else {"istio.io/use-waypoint": around})
    found = parsed(msgspec.structs.replace(ENTRY, body=body), namespaces=[space])
    return [problem.message for problem in found.problems if "by waypoint" in problem.message]


def test_a_service_entry_with_a_waypoint_is_told() -> None:
    assert len(told("way")) == len(told(None, "way")) == 1
    assert told(None) == told("none", "way") == []
