"""The literal judge: each specification transcribed from its own documents, one file per dialect.

It reads the policies' manifests as they were written, one connection at a time, and nothing here
is made to be fast: the files are meant to be read beside the specifications that they quote.

- `network`: the verdict of the network layer; `mesh`, `mesh_*`: how it comes together with that of
  a mesh, whose judges are `istio`, `istio_*` and `linkerd`, `linkerd_*`
- `ends`, `exemptions`: who the ends are; what no policy can forbid
- `side`, `composition`, `findings`, `outcome`: one side of a connection, tier by tier, and what
  may come of it
- `network_policy`; `cluster_network_policy`, `admin_network_policy`, and what they share:
  `cluster_rules`, `peers`
- `calico`, `calico_*`: the profile `calico`, whose policies are in `calico_policies`, their rules
  in `calico_rules`
- `cilium`, `cilium_*`: the profile `cilium`, whose policies are in `cilium_policy`, how they come
  together in `cilium_normal` and `cilium_cluster`
- `addresses`, `ports`, `selectors`, `schema`: what the manifests of several kinds have in common
"""

from ringfence.model.connection import Connection
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.reference import mesh
from ringfence.reference.network import INERT, OWN_NODE, REPLICAS, TWO_LIMITS

__all__ = ["INERT", "OWN_NODE", "REPLICAS", "TWO_LIMITS", "judge"]


def judge(snapshot: Snapshot, connection: Connection) -> Judgement:
    """Return the verdict on one connection: the network layer must allow it, and the mesh.

    Args:
        snapshot: the cluster; its `documents` are judged, not its `policies`.
        connection: what is asked, its ends resolved as the kernel sees them.
    """
    return mesh.judge(snapshot, connection)
