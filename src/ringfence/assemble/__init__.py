"""Turns what sources read into a `Snapshot`: who there is, and which policies stand.

- Workloads come from templates and from pods, pods being folded into the top of their chain of
  owners, and within a workload into identities: all pods that no policy can tell apart.
- Namespaces, Services, routes and nodes are kept as far as connections depend on them.
- The CNI profile is given, or detected from the agents that run.
- How pods take part in a service mesh is told by what they carry or, before they are created, by
  labels and annotations; how the mesh is set up, by its ConfigMap or a file that is given.
- What cannot be read becomes a `Problem` and, where it may hide policies, a `BlindSpot`.

Everything is sorted: equal clusters give equal snapshots, whatever the order of their documents.

`load` and `load_live` read a source themselves; `build` takes what a source has read, and does
no input or output. `with_documents` and `add_documents` give the same cluster other policies.
"""

from ringfence.assemble.building import add_documents, build, with_documents
from ringfence.assemble.loading import load, load_live

__all__ = ["add_documents", "build", "load", "load_live", "with_documents"]
