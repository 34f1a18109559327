"""How far a cluster is on its way to mTLS everywhere, and what stands in the way."""

from enum import StrEnum

import msgspec

from ringfence.model.connectivity import Peer
from ringfence.model.location import Problem
from ringfence.model.profile import Profile


class Step(StrEnum):
    """What a namespace needs next."""

    STRICT = "strict"
    """Nothing: every workload of it that is in a mesh refuses plaintext."""
    READY = "ready"
    """Only to be made strict: nothing that anybody is known to call would break."""
    CALLERS = "callers first"
    """Callers that go in plaintext have to join the mesh before."""
    NONE = "not in a mesh"


class MtlsNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """One namespace, its pairs counted by where they end."""

    name: str
    workloads: int
    members: dict[str, int]
    """Workloads in a mesh, by data plane; proxies of gateways and waypoints as such."""
    mode: str
    """STRICT, PERMISSIVE, DISABLE or mixed; of Linkerd the default policy; `unknown`; empty where
    nobody is in a mesh."""
    over_mtls: int
    """Pairs of workloads that end here and have a served port open: those that are over mTLS at
    each of these."""
    partly: int
    plaintext: int
    breaking: int
    """Open pairs that would lose something if it were strict, callers from outside included."""
    step: Step
    change: str = ""
    """The manifest that makes it strict; empty where nothing is to be changed."""


class PlaintextCaller(msgspec.Struct, frozen=True, rename={"source": "from", "destination": "to"}):
    """Something that would break if the namespace of its destination were strict."""

    source: str
    destination: str
    kind: str
    """Of the source, as of a `Peer`."""
    ports: str
    """Those that are known to be served: `80,8080`."""
    why: str
    """Why it is plaintext."""
    unknown: bool = False
    """Whether it only might break."""


class Mtls(msgspec.Struct, frozen=True, kw_only=True):
    """Everything sorted: namespaces by name, callers by destination, then source."""

    profile: Profile
    endpoints: tuple[Peer, ...]
    namespaces: tuple[MtlsNamespace, ...]
    callers: tuple[PlaintextCaller, ...]
    from_map: bool = False
    """Whether only what a dependency map lists counts."""
    unknown_because: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
