"""A graph for Graphviz: a box per namespace, an edge per line of the condensed pairs.

Groups of peers (`anything`, a whole namespace) are nodes of their own, drawn dashed: an open
cluster is a handful of edges, not a ball of wool.
"""

from collections.abc import Iterator
from typing import Final

from ringfence.model.connectivity import Connectivity
from ringfence.outputs import Output, Style
from ringfence.outputs._condense import Line, condense, say
from ringfence.outputs._peers import Group, GroupKind, Peers
from ringfence.outputs._words import allowance_text, encoded, inert, is_any

HEAD = """\
digraph connectivity {
  rankdir=LR; compound=true; newrank=true; nodesep=0.25; ranksep=1.2;
  graph [fontname="Helvetica", fontsize=12, style="rounded", color="#8a94a6"];
  node [fontname="Helvetica", fontsize=11, shape=box, style="rounded,filled", fillcolor="#f4f6fa", \
color="#51607a"];
  edge [fontname="Helvetica", fontsize=9, color="#51607a", arrowsize=0.7];"""


def quoted(text: str) -> str:
    r"""Return a string of the DOT language: quotes and backslashes stand for themselves.

    Source: graphviz.org/doc/info/lang.html (only `\"` is an escape there) and escString, in
    which labels read further backslashes (`\N`, `\l`): doubled, they are signs again.
    """
    return '"' + inert(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def connectivity_dot(connectivity: Connectivity, style: Style) -> Iterator[bytes]:  # noqa: ARG001
    """Yield the graph."""
    return encoded(_lines(connectivity))


def _lines(connectivity: Connectivity) -> Iterator[str]:
    peers = Peers(connectivity.endpoints)
    edges = [
        (*say(line.sources, line.destinations, peers), line)
        for line in condense(connectivity, peers)
    ]
    groups = {group for sources, destinations, _ in edges for group in (*sources, *destinations)}
    yield HEAD
    profile = f"profile {connectivity.profile.cni}"
    yield f"  label={quoted(profile)}; labelloc=b;"
    for number, (namespace, inside) in enumerate(peers.namespaces.items()):
        yield f"  subgraph cluster_{number} {{"
        yield f"    label={quoted(namespace)}; labelloc=t;"
        for member in inside:
            name = peers.all[member].name
            short = name.partition("/")[2]
            yield f"    {quoted(name)} [label={quoted(short)}, tooltip={quoted(name)}];"
        for group in sorted(groups):
            if group.kind is GroupKind.NAMESPACE and group.namespace == namespace:
                yield f"    {_node(group, peers)} [label={quoted(group.text)}, style=dashed];"
        yield "  }"
    for number in peers.nodes:
        yield f"  {quoted(peers.all[number].name)} [shape=box3d];"
    outer = {GroupKind.ANYTHING, GroupKind.WORKLOADS, GroupKind.NODES, GroupKind.OUTSIDE}
    for group in sorted(groups):
        if group.kind in outer:
            shape = "ellipse" if group.kind is GroupKind.OUTSIDE else "box"
            yield (
                f"  {_node(group, peers)} [label={quoted(group.text)}, shape={shape}, "
                f"style={'solid' if shape == 'ellipse' else 'dashed'}];"
            )
    for sources, destinations, line in edges:
        for source in sources:
            for destination in destinations:
                ends = f"{_node(source, peers)} -> {_node(destination, peers)}"
                yield f"  {ends} [{_edge(line)}];"
    yield "}"


def _node(group: Group, peers: Peers) -> str:
    """Return the name of a group's node; one that no peer has where it stands for several."""
    if group.kind is GroupKind.PEER:
        return quoted(peers.all[group.members[0]].name)
    return quoted(f"{group.kind}: {group.text}")


def _edge(line: Line) -> str:
    words = [*map(allowance_text, line.allow), *(f"{allowance_text(a)}?" for a in line.unknown)]
    attributes = [f"label={quoted(', '.join(words))}"]
    if not line.allow:
        attributes.append("style=dashed")
    elif is_any(line.allow):
        attributes += ["penwidth=2.2", 'color="#b3261e"']
    return ", ".join(attributes)


OUTPUT: Final = Output({Connectivity: connectivity_dot})
