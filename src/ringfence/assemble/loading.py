"""Loads a cluster from wherever it is: manifests, a snapshot file, an API server."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from ringfence.assemble import building, profiles
from ringfence.errors import UsageError
from ringfence.model.snapshot import Snapshot
from ringfence.sources import live, manifests, snapshot_file
from ringfence.sources.live import Progress


def load(
    inputs: Sequence[str],
    *,
    cni: str | None = None,
    version: str | None = None,
    pod_cidrs: Sequence[str] = (),
    staged: bool | None = None,
    stdin: BinaryIO | None = None,
) -> Snapshot:
    """Return the cluster that files, directories, `-` or one snapshot file describe.

    Args:
        inputs: paths, or `-`.
        cni: the profile; detected where None.
        version: of the CNI's agent, as `1.18`; detected where None.
        pod_cidrs: where pods without a known address live; worked out where empty.
        staged: whether staged policies count as enforced; where None not, or as a snapshot has it.
        stdin: read for `-`.

    Raises:
        UsageError: a snapshot file beside other inputs, no such profile, version or CIDR.
        InputError: an input is not there, or the snapshot file is damaged.
    """
    saved = [path for path in inputs if _is_snapshot(path)]
    if not saved:
        return building.build(
            manifests.read(inputs, stdin),
            cni=cni,
            version=version,
            pod_cidrs=pod_cidrs,
            staged=bool(staged),
        )
    if len(inputs) > 1:
        raise UsageError(f"`{saved[0]}` is a snapshot, which is an input by itself alone")
    snapshot = snapshot_file.read(saved[0])
    return msgspec.structs.replace(
        building.rejudged(
            snapshot,
            snapshot.documents,
            profile=profiles.override(snapshot.profile, cni, version),
            pod_cidrs=pod_cidrs,
            staged=staged,
        ),
        source=saved[0],
    )


def load_live(
    *,
    context: str | None = None,
    kubeconfig: str | None = None,
    namespace: str | None = None,
    cni: str | None = None,
    version: str | None = None,
    pod_cidrs: Sequence[str] = (),
    staged: bool | None = None,
    progress: Progress | None = None,
) -> Snapshot:
    """Return a live cluster.

    Args:
        context: of the kubeconfig; its current one where None.
        kubeconfig: the file; `KUBECONFIG`, the default place, or the pod's account where None.
        namespace: where to look if the account may not look everywhere.
        cni: the profile; detected where None.
        version: of the CNI's agent, as `1.18`; detected where None.
        pod_cidrs: where pods without a known address live; worked out where empty.
        staged: whether staged policies count as enforced.
        progress: called with a kind's plural and how many of it have been read.

    Raises:
        UsageError: the kubeconfig cannot be used, no such profile, no such CIDR.
        ClusterError: the server cannot be reached, or fails.
    """
    reading = live.read_cluster(
        context=context, kubeconfig=kubeconfig, namespace=namespace, progress=progress
    )
    return building.build(
        reading, cni=cni, version=version, pod_cidrs=pod_cidrs, staged=bool(staged)
    )


def _is_snapshot(path: str) -> bool:
    file = Path(path)
    if path == "-" or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            return snapshot_file.looks_like_snapshot(stream.read(4096))
    except OSError:
        return False  # the manifests' source tells why it cannot be read
