"use strict";

/* The answer as the page uses it: peers in groups, and what any two of them may exchange. */

class Answer {
  constructor(data) {
    this.data = data;
    this.peers = data.peers.map(([name, kind, label], index) => ({ name, kind, label, index, group: -1,
      workload: name.split("[", 1)[0] }));
    this.groups = data.groups.map(([name, kind, first, count], index) => {
      for (let i = first; i < first + count; i++) this.peers[i].group = index;
      return { name, kind, first, count, index };
    });
    /* What may be exchanged, by number: 0 is nothing at all. */
    this.traffic = data.traffic.map(([text, any, allow, unknown]) =>
      ({ text, any: !!any, allow: !!allow, unknown: !!unknown }));
    this.byName = new Map(this.peers.map((peer) => [peer.name, peer]));
    this.namespaces = new Map(this.groups.filter((g) => g.kind === "namespace").map((g) => [g.name, g]));
    this.expanded = new Map();
    this.cells = this.count();
  }

  /* A peer's name within its group: without the namespace. */
  short(peer) {
    const group = this.groups[peer.group];
    return group.kind === "namespace" ? peer.name.slice(group.name.length + 1) : peer.label;
  }

  title(group) {
    return { namespace: group.name, nodes: "nodes", outside: "outside" }[group.kind];
  }

  members(group) {
    return this.peers.slice(group.first, group.first + group.count);
  }

  /* The runs of a source's row: [first destination, how many, traffic, ...]. */
  runs(source) {
    return this.data.rows[this.data.row_of[source]];
  }

  row(source) {
    const number = this.data.row_of[source];
    let row = this.expanded.get(number);
    if (!row) {
      row = new (this.traffic.length > 65535 ? Uint32Array : Uint16Array)(this.peers.length);
      const runs = this.data.rows[number];
      for (let i = 0; i < runs.length; i += 3) row.fill(runs[i + 2], runs[i], runs[i] + runs[i + 1]);
      this.expanded.set(number, row);
    }
    return row;
  }

  /* The number of what one peer may send another; 0 for nothing, and for a peer to itself. */
  between(source, destination) {
    return source === destination ? 0 : this.row(source)[destination];
  }

  /* Whether connections between two groups were judged at all. */
  judged(from, to) {
    const asked = this.data.namespace;
    if (asked !== null && from.name !== asked && to.name !== asked) return false;
    const subject = (group) => group.kind === "namespace" || (group.kind === "nodes" && this.data.policed);
    return subject(from) || subject(to);
  }

  /* Per pair of groups: how many pairs there are, and how many of them are open. */
  count() {
    const size = this.groups.length;
    const cells = Array.from({ length: size * size }, (_, i) => {
      const from = this.groups[Math.floor(i / size)], to = this.groups[i % size];
      return { pairs: from.count * to.count - (from === to ? this.alike(from) : 0), open: 0, any: 0, unknown: 0 };
    });
    const add = (cell, traffic, by) => {
      if (traffic.allow) cell.open += by;
      if (traffic.any) cell.any += by;
      if (traffic.unknown) cell.unknown += by;
    };
    for (const peer of this.peers) {
      const runs = this.runs(peer.index);
      for (let i = 0; i < runs.length; i += 3) {
        const traffic = this.traffic[runs[i + 2]], end = runs[i] + runs[i + 1];
        let at = runs[i];
        while (at < end) {
          const group = this.groups[this.peers[at].group];
          const stop = Math.min(end, group.first + group.count);
          const cell = cells[peer.group * size + group.index];
          add(cell, traffic, stop - at);
          if (peer.index >= at && peer.index < stop) add(cell, traffic, -1);
          at = stop;
        }
      }
    }
    return cells;
  }

  /* How many pairs of a group are of one workload with itself, its pods told apart or not. */
  alike(group) {
    const sizes = new Map();
    for (const peer of this.members(group)) sizes.set(peer.workload, (sizes.get(peer.workload) || 0) + 1);
    return [...sizes.values()].reduce((sum, size) => sum + size * size, 0);
  }

  cell(from, to) {
    return this.cells[from.index * this.groups.length + to.index];
  }

  /* The peers on the other side of one, by what is exchanged: Map of traffic number to indices. */
  callers(peer) {
    return this.byTraffic((other) => this.between(other, peer.index));
  }

  callees(peer) {
    return this.byTraffic((other) => this.between(peer.index, other));
  }

  byTraffic(numberOf) {
    const found = new Map();
    for (let other = 0; other < this.peers.length; other++) {
      const number = numberOf(other);
      if (number) (found.get(number) || found.set(number, []).get(number)).push(other);
    }
    return found;
  }

  /* Few names for a set of peers, seen from one workload: everything, whole namespaces, parts of
   * namespaces, single peers. The workload itself may be counted in, where that makes a whole.
   * inward: whether they call it, rather than it them. */
  describe(indices, self, inward) {
    const chosen = new Set(indices);
    chosen.add(self.index);
    const inside = (group) => {
      let count = 0;
      for (let i = group.first; i < group.first + group.count; i++) if (chosen.has(i)) count++;
      return count;
    };
    const whole = (group) => inside(group) === group.count;
    const spaces = this.groups.filter((group) => group.kind === "namespace");
    const others = this.groups.filter((group) => group.kind !== "namespace");
    if (spaces.length > 1 && spaces.every(whole)) {
      if (others.length && others.every(whole)) return [{ key: "*", text: "anything", note: "", group: true }];
      const count = spaces.reduce((sum, group) => sum + group.count, 0);
      return [{ key: "w*", text: "any workload", note: `${count}`, group: true },
        ...others.flatMap((group) => this.tokens(group, chosen, inside(group), self, inward))];
    }
    return this.groups.flatMap((group) => this.tokens(group, chosen, inside(group), self, inward));
  }

  tokens(group, chosen, count, self, inward) {
    const own = self.group === group.index ? 1 : 0;
    if (count === own) return [];
    const space = group.kind === "namespace";
    const members = this.members(group).filter((peer) => chosen.has(peer.index) && peer !== self);
    if (count === group.count && members.length > 1) {
      const words = { namespace: `${group.name}/*`, nodes: "any node", outside: "outside" }[group.kind];
      return [{ key: `g${group.index}`, text: words, note: `${group.count}`, group: true,
        href: space ? hrefs.namespace(group) : null }];
    }
    if (members.length > FEW_PEERS) {
      const names = members.map((peer) => this.short(peer)), home = this.groups[self.group];
      return [{ key: `${group.index}:${members.map((peer) => peer.index)}`, group: true, all: names.join(", "),
        text: space ? `${group.name}/…` : this.title(group), note: `${members.length} of ${group.count - own}`,
        href: inward ? hrefs.cell(group, home) : hrefs.cell(home, group) }];
    }
    return members.map((peer) => ({ key: `p${peer.index}`, text: peer.label, group: false,
      note: ["Deployment", "External"].includes(peer.kind) ? "" : peer.kind, href: space ? hrefs.peer(peer) : null }));
  }
}

/* More peers of a group than this are told by their number. */
const FEW_PEERS = 3;

const hrefs = {
  cell: (from, to) => `#/cell/${encodeURIComponent(from.name)}/${encodeURIComponent(to.name)}`,
  namespace: (group) => `#/namespace/${encodeURIComponent(group.name)}`,
  peer: (peer) => `#/peer/${encodeURIComponent(peer.name)}`,
};

/* Names only ever become text: nothing on this page parses them as HTML. */
function element(tag, attributes, ...children) {
  const svg = ["svg", "g", "path", "rect", "text", "title", "a:svg", "line", "circle"].includes(tag);
  const made = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.replace(":svg", ""))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const number = (value) => value.toLocaleString("en-US");

function percent(part, whole) {
  if (!whole) return "–";
  if (part === 0 || part === whole) return part ? "100 %" : "0 %";
  return `${Math.min(Math.max(Math.round((100 * part) / whole), 1), 99)} %`;
}
