"""Cilium's entities: what is no endpoint, or every endpoint, by a name of its own.

Source: Cilium `pkg/policy/api/entity.go`.
"""

import ipaddress
from collections.abc import Callable
from typing import Any

from ringfence.model.document import Path
from ringfence.model.profile import older_than
from ringfence.model.snapshot import Snapshot
from ringfence.reference import schema
from ringfence.reference.ends import Approach, Host, Outside, OwnPod, Party
from ringfence.reference.outcome import NO, YES, Match, certain, perhaps
from ringfence.reference.schema import NotUnderstoodError

API_SERVER_UNSURE = "the addresses behind the Service `default/kubernetes` are not known"
MESH = "whether the entity `cluster-mesh` holds the cluster itself is not settled"
API_SERVER_INSIDE = f"{API_SERVER_UNSURE}: taken to be the cluster's own for the entity `cluster`"

ALONE = ("host", "remote-node", "kube-apiserver", "world", "ingress", "health", "init", "unmanaged")
CLUSTER = ("host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver")
ENTITIES = (*ALONE, "none", "all", "cluster", "cluster-mesh")
"""`world-ipv4` and `world-ipv6` are known to the agent, but the schema rejects them."""


def entity(
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    snapshot: Snapshot,
) -> list[tuple[str, Match]]:
    """Return what an entity is made of: what each part is kept under, and whether it matches.

    `all` is anyone. `cluster` is every pod of the cluster and what else is of it: its nodes, the
    API server, and what no question can name. Where the API server's addresses are not known they
    are taken to be nodes' or pods', which belong to the cluster anyway. `cluster-mesh` (from 1.20)
    is that of all clusters that are connected.

    Raises:
        NotUnderstoodError: there is no such entity.
    """
    name = schema.choice(value, path, ENTITIES)
    if name == "all":
        return [("*", YES)]
    if name == "cluster-mesh" and older_than(snapshot.profile.version, 1, 20):
        raise NotUnderstoodError("there is no entity `cluster-mesh` before 1.20", path)
    if name in ("cluster", "cluster-mesh"):
        found = [(part, _is(part, here, snapshot)) for part in CLUSTER]
        if found[-1][1].because == (API_SERVER_UNSURE,):
            if isinstance(here.peer, Outside):
                here.notes.add(API_SERVER_INSIDE)
            found.pop()
        found.append(("pods", certain(isinstance(here.peer, OwnPod))))
        if name == "cluster":
            return found
        return [(key, match if match == NO else perhaps(MESH)) for key, match in found]
    return [(name, _is(name, here, snapshot))]


def _is(name: str, here: Approach, snapshot: Snapshot) -> Match:
    """Return whether the peer is what an entity alone stands for.

    `host` is the subject's own node with its host-network pods, `remote-node` any other. The
    API server is what stands behind `default/kubernetes`; outside the cluster it is also `world`.
    """
    tests: dict[str, Callable[[], Match]] = {
        "host": lambda: certain(isinstance(here.peer, Host) and bool(here.one_node)),
        "remote-node": lambda: certain(isinstance(here.peer, Host) and not here.one_node),
        "world": lambda: certain(isinstance(here.peer, Outside)),
        "kube-apiserver": lambda: is_api_server(here.peer, here.family, snapshot),
    }
    return tests[name]() if name in tests else NO


def is_api_server(party: Party, family: int, snapshot: Snapshot) -> Match:
    """Return whether an end is the API server: by the addresses behind `default/kubernetes`.

    Those of the family that is judged.

    A pod and a domain name never are.
    """
    if isinstance(party, OwnPod) or (isinstance(party, Outside) and party.domain):
        return NO
    service = next((s for s in snapshot.services if s.ref == "svc/default/kubernetes"), None)
    backends = service.backends if service else ()
    if not backends:
        return perhaps(API_SERVER_UNSURE)
    found = [ipaddress.ip_address(backend.address) for backend in backends]
    known = {int(address) for address in found if address.version == family}
    inside = [low in known and low == high for low, high in party.place]
    if inside and all(inside):
        return YES
    hit = any(low <= address <= high for low, high in party.place for address in known)
    return perhaps(party.why_unsure or API_SERVER_UNSURE) if hit else NO
