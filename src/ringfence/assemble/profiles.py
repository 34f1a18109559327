"""Finds out which CNI enforces the policies, from the agents that run on the nodes.

What runs counts, not which custom resource definitions are installed: those outlive a CNI.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from ringfence.assemble import cilium_config
from ringfence.assemble.catalog import Catalog
from ringfence.assemble.owners import controller
from ringfence.assemble.values import Malformed, mapping, mappings, number, string_map, text
from ringfence.errors import UsageError
from ringfence.model.document import Document, Path
from ringfence.model.location import Location, Problem
from ringfence.model.profile import Cni, Profile


@dataclass(frozen=True)
class Agent:
    """How the agent of a CNI is known."""

    cni: Cni
    namespaces: frozenset[str]
    """Where its DaemonSet lives by default; there the name or the label is enough."""
    names: frozenset[str]
    image: re.Pattern[str]
    """The repository of its image, wherever the DaemonSet lives; mirrors join it with `-`."""
    label: tuple[str, str] | None = None
    """A label of the DaemonSet's that distributions keep where they rename it."""

    def runs_in(self, daemon_set: "DaemonSet") -> bool:
        """Return whether a DaemonSet runs this agent."""
        if daemon_set.namespace in self.namespaces and (
            daemon_set.name in self.names
            or (self.label and daemon_set.labels.get(self.label[0]) == self.label[1])
        ):
            return True
        return any(self.image.search(repository(image)) for image in daemon_set.images)


SYSTEM: Final = frozenset({"kube-system"})
AGENTS: Final = (
    Agent(
        Cni.CILIUM,
        SYSTEM,
        frozenset({"cilium"}),
        re.compile(r"(^|[/-])cilium[/-]cilium$"),
        ("k8s-app", "cilium"),
    ),
    Agent(
        Cni.CALICO,
        SYSTEM | {"calico-system"},
        frozenset({"calico-node", "canal"}),
        re.compile(r"(^|[/-])calico[/-]node$"),
    ),
    Agent(
        Cni.OVN_KUBERNETES,
        SYSTEM | {"ovn-kubernetes", "openshift-ovn-kubernetes"},
        frozenset({"ovnkube-node"}),
        re.compile(r"(^|/)ovn-kube(-[a-z]+)?$"),
    ),
    Agent(
        Cni.ANTREA,
        SYSTEM,
        frozenset({"antrea-agent"}),
        re.compile(r"(^|/)antrea-agent(-[a-z]+)?$"),
    ),
    Agent(Cni.GENERIC, SYSTEM, frozenset({"kindnet"}), re.compile(r"(^|/)kindnetd$")),
    Agent(
        Cni.GENERIC,
        SYSTEM,
        frozenset({"kube-network-policies"}),
        re.compile(r"(^|/)kube-network-policies$"),
    ),
    # Flannel carries packets and enforces nothing.
    Agent(
        Cni.NONE,
        SYSTEM | {"kube-flannel"},
        frozenset({"kube-flannel", "kube-flannel-ds"}),
        re.compile(r"(^|[/-])flannel$"),
    ),
)
"""The enforcing ones in the order in which one is chosen where nothing else decides.

Source: the installation manifests of each project."""
AGENT_NAMESPACES: Final = frozenset(name for agent in AGENTS for name in agent.namespaces)

VERSION: Final = re.compile(r"v?(\d+(?:\.\d+)+)")
SPEC: Final[Path] = ("spec",)


@dataclass(frozen=True)
class DaemonSet:
    """What is looked at of a DaemonSet."""

    namespace: str
    name: str
    labels: dict[str, str]
    images: tuple[str, ...]
    ready: bool
    location: Location


@dataclass(frozen=True)
class Found:
    """An agent that was found."""

    cni: Cni
    rank: int
    """Its place in `AGENTS`."""
    version: str
    daemon_set: DaemonSet

    @property
    def evidence(self) -> str:
        """Return what it was found in, as `DaemonSet kube-system/calico-node`."""
        return f"DaemonSet {self.daemon_set.namespace}/{self.daemon_set.name}"


def choose(
    cni: str | None, catalog: Catalog, problems: list[Problem], version: str | None = None
) -> Profile:
    """Return the profile that is given or, failing that, detected; `generic` if neither is.

    Contradictory evidence goes to `problems`.

    Raises:
        UsageError: the profile given is none, or the version is none.
    """
    found = _agents(catalog)
    config = cilium_config.read(catalog, problems)
    enabled = config.cluster_network_policy if config else None
    settings = config.settings if config else None
    written = None if version is None else parse_version(version)
    if cni is not None:
        given = parse(cni)
        detected = next((f.version for f in found if f.cni is given), "")
        return Profile(given, "given", "", written or detected, enabled, settings)
    chosen = _detect(found, problems)
    if chosen is None:
        return Profile(version=written or "", cluster_network_policy=enabled, cilium=settings)
    return Profile(
        chosen.cni, "detected", chosen.evidence, written or chosen.version, enabled, settings
    )


def override(profile: Profile, cni: str | None, version: str | None = None) -> Profile:
    """Return a profile that was chosen earlier, or the one that is given now.

    Raises:
        UsageError: the profile given is none, or the version is none.
    """
    if version is not None:
        profile = msgspec.structs.replace(profile, version=parse_version(version))
    if cni is None:
        return profile
    given = parse(cni)
    kept = profile.version if version is not None or profile.cni is given else ""
    return msgspec.structs.replace(profile, cni=given, chosen="given", evidence="", version=kept)


def parse_version(written: str) -> str:
    """Return an agent's version, as `1.18`.

    Raises:
        UsageError: it is none.
    """
    found = VERSION.fullmatch(written)
    if found is None:
        raise UsageError(f"`{written}` is no version: give one as `1.18`")
    return found[1]


def parse(cni: str) -> Cni:
    """Return the profile of a name.

    Raises:
        UsageError: there is none.
    """
    try:
        return Cni(cni)
    except ValueError:
        raise UsageError(f"`{cni}` is no profile: give one of {', '.join(Cni)}") from None


def _detect(found: list[Found], problems: list[Problem]) -> Found | None:
    enforcing = [f for f in found if f.cni is not Cni.NONE]
    if not enforcing:
        return found[0] if found else None
    chosen = min(enforcing, key=lambda f: (not f.daemon_set.ready, f.rank, f.evidence))
    others = sorted(f.evidence for f in enforcing if f.cni is not chosen.cni)
    if others:
        problems.append(
            Problem(
                f"{chosen.evidence} and {' and '.join(others)} contradict each other: judged by "
                f"the profile `{chosen.cni}`, `--profile` settles it",
                chosen.daemon_set.location,
                severity="warning",
            )
        )
    return chosen


def _agents(catalog: Catalog) -> list[Found]:
    """Return the agents that run, sorted by namespace and name."""
    daemon_sets: dict[tuple[str, str], DaemonSet] = {}
    # A DaemonSet that is not in the input is known by its pods, where it may be an agent's.
    pods = (pod for pod in catalog.of("Pod") if pod.namespace in AGENT_NAMESPACES)
    for document in (*catalog.of("DaemonSet"), *pods):
        try:
            daemon_set = _daemon_set(document)
        except Malformed:
            continue  # told where the workloads are read
        if daemon_set is None:
            continue
        key = (daemon_set.namespace, daemon_set.name)
        if key not in daemon_sets or (daemon_set.ready and not daemon_sets[key].ready):
            daemon_sets[key] = daemon_set
    found: list[Found] = []
    for key in sorted(daemon_sets):
        daemon_set = daemon_sets[key]
        for rank, agent in enumerate(AGENTS):
            if agent.runs_in(daemon_set):
                own = (
                    image for image in daemon_set.images if agent.image.search(repository(image))
                )
                found.append(Found(agent.cni, rank, tag(next(own, "")), daemon_set))
                break
    return found


def _daemon_set(document: Document) -> DaemonSet | None:
    """Return a DaemonSet, or the one that a pod belongs to; None for any other pod."""
    body = document.body
    metadata, status = mapping(body, "metadata", ()), mapping(body, "status", ())
    spec, at, name = mapping(body, "spec", ()), SPEC, document.name
    labels = string_map(metadata, "labels", ("metadata",))
    if document.kind == "Pod":
        owner = controller(metadata)
        if owner is None or owner[0] != "DaemonSet":
            return None
        name = owner[1]
        conditions = mappings(status, "conditions", ("status",))
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    else:
        ready = bool(number(status, "numberReady", ("status",), 0, 2**31 - 1))
        template, at = mapping(spec, "template", at), (*SPEC, "template", "spec")
        spec = mapping(template, "spec", at[:-1])
    return DaemonSet(
        document.namespace,
        name,
        labels,
        tuple(text(container, "image", at) for container in mappings(spec, "containers", at)),
        ready,
        document.location_of(),
    )


def repository(image: str) -> str:
    """Return an image's name without tag and digest."""
    name, _, _ = image.partition("@")
    stem, colon, tagged = name.rpartition(":")
    return stem if colon and "/" not in tagged else name


def tag(image: str) -> str:
    """Return the version that an image's tag begins with, as `1.18.2`; empty if it has none."""
    name, _, _ = image.partition("@")
    match = VERSION.match(name.removeprefix(repository(image)).removeprefix(":"))
    return match[1] if match else ""
