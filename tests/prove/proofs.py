"""Maps and clusters to generate policies for, and emissions with something changed in them."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import msgspec
import yaml

from ringfence import assemble
from ringfence.examples import MAP, shop
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.read_map import read_text
from ringfence.model.proposal import Emission, EmittedFile
from ringfence.model.snapshot import Snapshot
from ringfence.prove.generated import Generation, Proof
from ringfence.sources import manifests
from written_maps import workload

Manifest = dict[str, Any]

TWO = workload("a/x", ports="[{name: http, containerPort: 80}]") + workload("b/w")
CALL = "namespaces: [a]\ndns: false\nworkloads: [{workload: a/x, calls: [{to: b/w, ports: [80]}]}]"
HTTP = (
    "namespaces: [a, b]\ndns: false\nworkloads:\n"
    "  - {workload: a/x, calls: [{to: b/w, ports: [80], "
    "http: [{methods: [POST], path: /v1/pay}]}]}\n"
)
NAMED = (
    "namespaces: [a]\nworkloads:\n"
    "  - {workload: a/x, calls: [{to: api.example.com, ports: [443]}]}\n"
)
DNS = workload(
    "kube-system/coredns",
    "k8s-app: kube-dns",
    "[{name: dns, containerPort: 53, protocol: UDP}]",
)


def example() -> tuple[Snapshot, DependencyMap]:
    """Return the bundled example: its cluster and its map."""
    files = shop()
    reading = read_text(files.pop(MAP).decode(), MAP)
    assert reading.map is not None, reading.problems
    text = b"\n---\n".join(files.values())
    return assemble.build(manifests.read(["-"], BytesIO(text))), reading.map


def proved(generation: Generation) -> Proof:
    """Return the proof, which there must be."""
    assert generation.proof is not None, generation.proposal.problems
    return generation.proof


def changed(emission: Emission, *pairs: tuple[str, str]) -> Emission:
    """Return an emission with words of its files replaced; each must stand somewhere."""
    files = list(emission.files)
    for old, new in pairs:
        assert any(old in file.text for file in files), old
        files = [EmittedFile(file.path, file.text.replace(old, new)) for file in files]
    return msgspec.structs.replace(emission, files=tuple(files))


def mutated(emission: Emission) -> Iterator[Emission]:
    """Yield the emission with one thing changed in one of its policies."""
    for number, file in enumerate(emission.files):
        objects = list(yaml.safe_load_all(file.text))
        for index, written in enumerate(objects):
            for mutant in mutants_of(written):
                changed = [*objects[:index], mutant, *objects[index + 1 :]]
                text = yaml.safe_dump_all(changed)
                files = [*emission.files]
                files[number] = EmittedFile(file.path, text)
                yield msgspec.structs.replace(emission, files=tuple(files))


def mutants_of(written: Manifest) -> Iterator[Manifest]:
    """Yield a policy with one thing changed: a rule more or less, or wider, or other pods."""
    spec = written["spec"]
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        rules = spec.get(direction, [])
        if direction.capitalize() in spec["policyTypes"]:
            yield with_spec(written, **{direction: [*rules, {}]})
        for index, rule in enumerate(rules):
            others = [*rules[:index], *rules[index + 1 :]]
            yield with_spec(written, **{direction: others})
            for key in (peers, "ports"):
                if key in rule:
                    wider = {k: v for k, v in rule.items() if k != key}
                    yield with_spec(written, **{direction: [*others, wider]})
    yield with_spec(written, podSelector={"matchLabels": {"app": "nobody"}})


def with_spec(written: Manifest, **fields: Any) -> Manifest:
    """Return a policy with other fields in its spec."""
    return written | {"spec": written["spec"] | fields}
