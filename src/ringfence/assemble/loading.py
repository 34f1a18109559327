"""Loads a cluster from wherever it is: manifests, a snapshot file, an API server."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from ringfence.assemble import building, mesh_settings, profiles
from ringfence.assemble.mesh_settings import NOTHING, Settings
from ringfence.errors import InputError, UsageError
from ringfence.model.location import Location
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
    mesh_config: str | None = None,
    stdin: BinaryIO | None = None,
) -> Snapshot:
    """Return the cluster that files, directories, `-` or one snapshot file describe.

    Args:
        inputs: paths, or `-`.
        cni: the profile; detected where None.
        version: of the CNI's agent, as `1.18`; detected where None.
        pod_cidrs: where pods without a known address live; worked out where empty.
        staged: whether staged policies count as enforced; where None not, or as a snapshot has it.
        mesh_config: a file with the configuration of Istio or Linkerd (a MeshConfig, Linkerd's
            values, or a ConfigMap that holds one of them); what the input says where None.
        stdin: read for `-`.

    Raises:
        UsageError: a snapshot file beside other inputs, no such profile, version or CIDR.
        InputError: an input is not there, the snapshot file is damaged, or the configuration of
            the mesh cannot be understood.
    """
    settings = NOTHING if mesh_config is None else _mesh_settings(mesh_config)
    saved = [path for path in inputs if _is_snapshot(path)]
    if not saved:
        return building.build(
            manifests.read(inputs, stdin),
            cni=cni,
            version=version,
            pod_cidrs=pod_cidrs,
            staged=bool(staged),
            settings=settings,
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
            settings=settings,
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
    mesh_config: str | None = None,
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
        mesh_config: a file with the configuration of Istio or Linkerd; the cluster's own where
            None.
        progress: called with a kind's plural and how many of it have been read.

    Raises:
        UsageError: the kubeconfig cannot be used, no such profile, no such CIDR.
        ClusterError: the server cannot be reached, or fails.
        InputError: the configuration of the mesh cannot be understood.
    """
    settings = NOTHING if mesh_config is None else _mesh_settings(mesh_config)
    reading = live.read_cluster(
        context=context, kubeconfig=kubeconfig, namespace=namespace, progress=progress
    )
    return building.build(
        reading,
        cni=cni,
        version=version,
        pod_cidrs=pod_cidrs,
        staged=bool(staged),
        settings=settings,
    )


def _mesh_settings(path: str) -> Settings:
    """Return what a file says of the meshes.

    Raises:
        InputError: it cannot be read, or be understood.
    """
    try:
        written = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", Location(path)) from error
    return mesh_settings.from_text(written, path)


def _is_snapshot(path: str) -> bool:
    file = Path(path)
    if path == "-" or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            return snapshot_file.looks_like_snapshot(stream.read(4096))
    except OSError:
        return False  # the manifests' source tells why it cannot be read
