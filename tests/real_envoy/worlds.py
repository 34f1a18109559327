"""Clusters of one mesh each, as manifests and as listeners of Envoy: a workload for each case.

A workload has an address of its own on loopback, and so has each client: what policies say of
addresses and ports is what the kernel sees.
"""

import random
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from real_envoy import drawn_policies
from real_envoy.compiler import Json, Settings
from real_envoy.listeners import Mesh, Port, listener, mode
from real_envoy.probes import CLIENTS

NAMESPACE: Final = "shop"
ROOT: Final = "istio-system"
PORTS: Final = {"http": "8080", "tcp": "9000", "other": "7000"}
"""What stands for the ports in policies."""


@dataclass
class Case:
    """A workload, and what applies to it."""

    number: int
    name: str
    policies: list[Json]
    """AuthorizationPolicies, as objects."""
    authentication: list[Json]
    """PeerAuthentications for it, as objects."""

    @property
    def app(self) -> str:
        return f"case-{self.number}"

    @property
    def address(self) -> str:
        return f"127.2.{self.number // 200}.{self.number % 200 + 1}"

    def __str__(self) -> str:
        return f"{self.name}\n{yaml.safe_dump_all([*self.policies, *self.authentication])}"


@dataclass
class World:
    """A mesh."""

    name: str
    ports: dict[str, int]
    """The numbers of the ports."""
    domains: tuple[str, ...] = ("cluster.local",)
    """The trust domain, and its aliases."""
    normalization: str = "BASE"
    authentication: list[Json] = field(default_factory=list)
    """What its PeerAuthentications say, by namespace: as objects without a selector."""
    cases: list[Case] = field(default_factory=list)

    def add(self, name: str, policies: list[Json], mtls: Json | None = None) -> None:
        """Add a case.

        Args:
            name: what it is about.
            policies: specs, or `{spec, annotations, namespace}`.
            mtls: the mode of the workload, and those of its ports.
        """
        number = len(self.cases)
        case = Case(number, name, [], [])
        selector = {"matchLabels": {"app": case.app}}
        for index, given in enumerate(policies):
            whole = given if "spec" in given else {"spec": given}
            meta = {"name": f"{case.app}-{index}", "namespace": whole.get("namespace", NAMESPACE)}
            if "annotations" in whole:
                meta["annotations"] = whole["annotations"]
            spec = self._numbered(whole["spec"]) | {"selector": selector}
            case.policies.append(_object("AuthorizationPolicy", meta, spec))
        if mtls is not None:
            said: Json = {"selector": selector}
            if "mode" in mtls:
                said["mtls"] = {"mode": mtls["mode"]}
            if mtls.get("ports"):
                listed = self._numbered(mtls["ports"])
                said["portLevelMtls"] = {port: {"mode": word} for port, word in listed.items()}
            meta = {"name": case.app, "namespace": NAMESPACE}
            case.authentication.append(_object("PeerAuthentication", meta, said))
        self.cases.append(case)

    def draw(self, count: int, seed: int) -> None:
        """Add cases drawn at random."""
        draw = random.Random(seed)
        for index in range(count):
            made = drawn_policies.policies(draw)
            self.add(f"drawn {index} of {self.name}", made, drawn_policies.mode(draw))

    def level(self, namespace: str, word: str) -> None:
        """Set the mode of a namespace, or of the mesh."""
        meta = {"name": "all", "namespace": namespace}
        self.authentication.append(_object("PeerAuthentication", meta, {"mtls": {"mode": word}}))

    def _numbered(self, value: Any) -> Any:
        """Return something with the real numbers in place of what stands for them."""
        numbers = {PORTS[reads]: number for reads, number in self.ports.items()}
        if isinstance(value, dict):
            return {self._numbered(key): self._numbered(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._numbered(inner) for inner in value]
        found = numbers.get(str(value))
        return value if found is None else type(value)(found)

    # -- as listeners ------------------------------------------------------------------------------

    def modes(self, case: Case) -> dict[str, str]:
        """Return of each port what it takes."""
        said = [*self.authentication, *case.authentication]
        labels = {"app": case.app}
        return {
            reads: mode(said, NAMESPACE, labels, number) for reads, number in self.ports.items()
        }

    def port(self, case: Case, reads: str) -> Port:
        """Return a port of a case's workload."""
        word = self.modes(case)[reads]
        return Port(case.address, self.ports[reads], reads, word, case.policies)

    def listeners(self, authority: Path, certificate: Path) -> list[Json]:
        """Return the listeners of all workloads."""
        mesh = Mesh(Settings(self.domains), self.normalization, authority, certificate)
        return [
            listener(self.port(case, reads), mesh) for case in self.cases for reads in self.ports
        ]

    # -- as manifests ------------------------------------------------------------------------------

    @cached_property
    def manifests(self) -> list[Json]:
        """Return the objects of the cluster."""
        mesh = {
            "trustDomain": self.domains[0],
            "trustDomainAliases": list(self.domains[1:]),
            "pathNormalization": {"normalization": self.normalization},
        }
        meta: Json = {"name": "istio", "namespace": ROOT}
        found: list[Json] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": meta,
                "data": {"mesh": yaml.safe_dump(mesh)},
            },
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ROOT}},
        ]
        for name in (NAMESPACE, "web", "web-2", "lab"):
            labels = {} if name == "lab" else {"istio-injection": "enabled"}
            meta = {"name": name, "labels": labels}
            found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        for client in CLIENTS:
            namespace, _, name = client.name.partition("/")
            found.append(_pod(namespace, name, client.account, client.address, client.meshed))
        for case in self.cases:
            found += [_pod(NAMESPACE, case.app, "api", case.address, True), self._service(case)]
            found += [*case.policies, *case.authentication]
        return [*found, *self.authentication]

    def _service(self, case: Case) -> Json:
        listed = [{"name": reads, "port": number} for reads, number in self.ports.items()]
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": case.app, "namespace": NAMESPACE},
            "spec": {"selector": {"app": case.app}, "ports": listed},
        }


def _object(kind: str, meta: Json, spec: Json) -> Json:
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def _pod(namespace: str, name: str, account: str, address: str, meshed: bool) -> Json:
    meta: Json = {"name": name, "namespace": namespace, "labels": {"app": name}}
    if meshed:
        meta["annotations"] = {"sidecar.istio.io/status": "{}"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"serviceAccountName": account, "containers": [{"name": "a"}]},
        "status": {"podIPs": [{"ip": address}]},
    }
