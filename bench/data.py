"""Writes generated clusters to `bench/data/`, once for each shape: YAML, snapshots, queries.

Writing happens in a process of its own (`python -m bench.data FORM SHAPE FOLDER`): a million pods
take gigabytes, and a process that had held them would pass its peak of memory on to the programs
that it measures.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from bench import calico, cilium, clusters, manifests, mesh, policies, scattered
from bench.clusters import Cluster, Shape, Workload

ROOT = Path(__file__).parent
DATA = ROOT / "data"
SOURCES = ROOT.parent / "src" / "ringfence"
QUERIES = 10_000


def ready(form: str, shape: Shape) -> Path:
    """Return the folder of a cluster in one form, written now if it is not there yet.

    It holds `manifests/` or `cluster.snapshot`, and `queries.jsonl`.

    Args:
        form: `yaml` or `snapshot`.
        shape: what the cluster is generated from.

    Raises:
        subprocess.CalledProcessError: the cluster could not be written.
    """
    name = f"{form}-{shape.workloads}-{shape.policies}-{shape.pods}"
    told = ("scattered" if shape.scattered else "", shape.dialect, shape.mesh)
    variant = "".join(f"-{word}" for word in told if word)
    folder = DATA / f"{name}{variant}-{digest(form, shape)}"
    if not folder.exists():
        DATA.mkdir(exist_ok=True)
        print(f"generating {folder.name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "bench.data", form, encode(shape), str(folder)]
        subprocess.run(command, check=True, cwd=ROOT.parent)
    return folder


def encode(shape: Shape) -> str:
    """Return a shape as one argument of a command line."""
    return msgspec.json.encode(shape).decode()


def digest(form: str, shape: Shape) -> str:
    """Return what tells data apart that was written by other code, or from another shape."""
    names = (
        *("clusters", "policies", "scattered", "calico", "cilium"),
        *("mesh", "paths", "manifests", "data"),
    )
    sources = [ROOT / f"{name}.py" for name in names]
    if form == "snapshot":
        # What a snapshot holds is decided by the program itself.
        rooms = ("model", "dialects", "sources", "assemble")
        sources += [path for room in rooms for path in SOURCES.glob(f"{room}*/**/*.py")]
        sources += SOURCES.glob("assemble.py")
    text = encode(shape).encode()
    for path in sorted(set(sources)):
        text += path.read_bytes()
    return hashlib.sha256(text).hexdigest()[:10]


def write(form: str, shape: Shape, folder: Path) -> None:
    """Write a cluster beside its final name, then rename it: a folder that exists is whole."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    cluster = clusters.draw(shape)
    if shape.mesh:
        cluster = mesh.joined(cluster)
    if form == "yaml":
        write_manifests(cluster, temporary / "manifests")
    else:
        write_snapshot(cluster, temporary / "cluster.snapshot")
    write_queries(cluster, temporary / "queries.jsonl")
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(temporary)  # another run was faster


def draw_policies(cluster: Cluster) -> list[manifests.Manifest]:
    """Return the policies of a cluster, of the kind that its shape names."""
    if cluster.shape.mesh:
        return mesh.draw(cluster)
    match cluster.shape.dialect:
        case "calico":
            return calico.draw(cluster)
        case "cilium":
            return cilium.draw(cluster)
    return scattered.draw(cluster) if cluster.shape.scattered else policies.draw(cluster)


def draw_surroundings(cluster: Cluster) -> list[manifests.Manifest]:
    """Return what the policies of a cluster rest upon, beside workloads, namespaces and nodes."""
    match cluster.shape.dialect:
        case "calico":
            return list(calico.surroundings(cluster))
        case "cilium":
            return list(cilium.surroundings(cluster))
    return []


def write_manifests(cluster: Cluster, folder: Path) -> None:
    """Write a folder for each namespace, as repositories keep them; templates only, no pods.

    The Namespaces stand first, in a file of their own: network-config-analyzer does not heed the
    labels of one that it meets after its workloads.
    """
    files: dict[str, list[manifests.Manifest]] = {}
    files["00-namespaces.yaml"] = list(manifests.namespaces(cluster))
    for workload, replicas in zip(cluster.workloads, cluster.replicas, strict=True):
        own = files.setdefault(f"{workload.namespace}/{workload.application}.yaml", [])
        own += manifests.workload_manifests(workload, replicas)
    for policy in (*draw_surroundings(cluster), *draw_policies(cluster)):
        place = policy["metadata"].get("namespace", "cluster-wide")
        files.setdefault(f"{place}/policies.yaml", []).append(policy)
    for name, listed in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump(listed))


def dump(listed: Iterable[manifests.Manifest]) -> str:
    """Return YAML as people write it: no aliases, keys in their order."""
    dumper = type("Dumper", (yaml.CSafeDumper,), {"ignore_aliases": lambda *_: True})
    return yaml.dump_all(listed, Dumper=dumper, sort_keys=False, explicit_start=True)


def write_snapshot(cluster: Cluster, path: Path) -> None:
    """Write what `ringfence snapshot` would of a live cluster of this shape."""
    from ringfence import assemble  # noqa: PLC0415 - the other forms do without the program
    from ringfence.model.document import Document  # noqa: PLC0415
    from ringfence.model.reading import Reading  # noqa: PLC0415
    from ringfence.sources import snapshot_file  # noqa: PLC0415

    def everything() -> Iterable[manifests.Manifest]:
        yield from manifests.namespaces(cluster)
        yield from manifests.nodes(cluster)
        for workload, replicas in zip(cluster.workloads, cluster.replicas, strict=True):
            yield from manifests.workload_manifests(workload, replicas)
        pods = manifests.pods(cluster)
        yield from mesh.injected(cluster, pods) if cluster.shape.mesh else pods
        yield from draw_surroundings(cluster)
        yield from draw_policies(cluster)

    documents = tuple(
        Document(
            api_version=manifest["apiVersion"],
            kind=manifest["kind"],
            namespace=manifest["metadata"].get("namespace", ""),
            name=manifest["metadata"]["name"],
            body=manifest,
            file="live:bench",
        )
        for manifest in everything()
    )
    snapshot = assemble.build(Reading(documents=documents, source="live:bench"))
    snapshot_file.write(snapshot, str(path))


def write_queries(cluster: Cluster, path: Path) -> None:
    """Write questions for `check --queries`: calls that are made, and pairs at random."""
    rng = random.Random(f"{cluster.shape.seed} queries")
    lines = []
    for number in range(QUERIES):
        if rng.random() < 0.5 and cluster.calls:
            source, target = (cluster.workloads[i] for i in rng.choice(cluster.calls))
        else:
            source, target = rng.choice(cluster.workloads), rng.choice(cluster.workloads)
        query = {"id": str(number), "from": source.ref, "to": target.ref} | traffic(rng, target)
        match rng.randrange(20):
            case 0:
                query["from"] = rng.choice(("203.0.7.9", "172.20.1.1", "8.8.8.8", "2001:db8::7"))
            case 1:
                query |= {
                    "to": rng.choice(("203.0.7.9", "1.1.1.1", "169.254.169.254")),
                    "port": 443,
                }
            case 2 if target.ports:
                own = target.ports[0]
                query |= {"to": f"svc/{target.ref}", "port": own.number, "protocol": own.protocol}
            case _:
                pass
        lines.append(json.dumps(query))
    path.write_text("\n".join(lines) + "\n")


def traffic(rng: random.Random, target: Workload) -> dict[str, str | int]:
    """Return the port and protocol to ask for: one that the target listens on, mostly."""
    if not target.ports or rng.random() < 0.1:
        return {"port": rng.choice((22, 80, 443, 8080, 65535))}
    port = rng.choice(target.ports)
    return {
        "port": port.name if rng.random() < 0.2 else port.number,
        "protocol": port.protocol,
    }


if __name__ == "__main__":
    write(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Shape), Path(sys.argv[3]))
