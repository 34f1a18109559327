"use strict";

/* Callers, workloads, callees: three lanes, with what is exchanged on a pill at the workload. */

const LANE = { row: 30, box: 24, pill: 22, gap: 10, top: 44, most: 34, tokens: 8, screen: 640 };

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

class Lanes {
  /* shown: the peers in the middle lane. */
  constructor(answer, shown, label) {
    this.answer = answer;
    this.shown = shown;
    this.context = document.createElement("canvas").getContext("2d");
    this.context.font = FONT;
    this.field = element("div", { class: "field lanes", tabindex: "0", role: "group", "aria-label": label });
    this.draw();
  }

  text(text) {
    return this.context.measureText(text).width;
  }

  /* One side of a workload: a socket per kind of traffic, and the tokens it is wired to. */
  sockets(peer, byTraffic, inward) {
    return [...byTraffic].map(([number, indices]) => {
      const traffic = this.answer.traffic[number];
      return { traffic, tokens: this.bundled(this.answer.describe(indices, peer, inward), indices, peer) };
    }).sort((a, b) => Number(b.traffic.any) - Number(a.traffic.any) || (a.traffic.text < b.traffic.text ? -1 : 1));
  }

  /* Many tokens as one: with several workloads in sight, a wire to each would hide them all. */
  bundled(tokens, indices, peer) {
    if (this.shown.length === 1 || tokens.length <= LANE.tokens) return tokens;
    const words = tokens.map((token) => token.text);
    /* With the workload itself among them, so that workloads that call each other share it. */
    const key = [...new Set([...indices, peer.index])].sort((a, b) => a - b).join();
    return [{ key, text: `${words[0]}, ${words[1]} and ${words.length - 2} more`,
      all: tokens.map((token) => `${token.text} ${token.note}`).join(", "), note: `${indices.length}`, group: true, href: null }];
  }

  /* Give the tokens of a lane a place each: one per screen of workloads, so that wires stay short. */
  register(items, side, lane) {
    const tokens = new Map();
    for (const item of items) {
      const screen = Math.floor((item.y - LANE.top) / LANE.screen);
      for (const socket of item[side]) {
        socket.keys = socket.tokens.map((token) => `${lane}${screen}.${token.key}`);
        socket.tokens.forEach((token, i) => {
          const key = socket.keys[i];
          if (!tokens.has(key)) tokens.set(key, { ...token, key, at: [] });
          tokens.get(key).at.push(socket.y);
        });
      }
    }
    return tokens;
  }

  draw() {
    const { answer } = this;
    const items = this.shown.map((peer) => ({
      peer,
      into: this.sockets(peer, answer.callers(peer), true),
      out: this.sockets(peer, answer.callees(peer), false),
    }));
    let y = LANE.top;
    for (const item of items) {
      item.rows = Math.max(1, item.into.length, item.out.length);
      item.y = y;
      item.high = item.rows * (LANE.pill + 4);
      this.stack(item.into, item);
      this.stack(item.out, item);
      y += item.high + LANE.gap;
    }
    const left = this.register(items, "into", "l"), right = this.register(items, "out", "r");
    const widest = (tokens) => Math.min(300, Math.max(90, ...[...tokens.values()].map((t) => this.text(t.text) + this.text(t.note) + 34)));
    const view = Math.max(860, document.getElementById("main").clientWidth - 52);
    /* What HTTP is limited to takes words: the pills may take a good part of a wide screen. */
    this.pill = Math.max(190, Math.min(460, view * 0.25));
    const pillWidth = (sockets) => Math.min(this.pill, Math.max(0, ...sockets.map((s) => this.text(s.traffic.text) + 20)));
    const into = Math.max(40, ...items.map((i) => pillWidth(i.into)));
    const out = Math.max(40, ...items.map((i) => pillWidth(i.out)));
    const name = Math.min(280, Math.max(120, ...items.map((i) => this.text(answer.short(i.peer)) + 26)));
    const sides = { left: widest(left), right: widest(right) };
    const middle = into + 8 + name + 8 + out;
    const wire = Math.max(70, (view - 40 - sides.left - sides.right - middle) / 2);
    const x = { left: 20, pills: 20 + sides.left + wire };
    x.name = x.pills + into + 8;
    x.out = x.name + name + 8;
    x.right = x.out + out + wire;
    const width = x.right + sides.right + 20;

    this.place(left, y);
    this.place(right, y);
    /* Once more, now that it is known where the tokens stand: fewer wires cross. */
    for (const token of [...left.values(), ...right.values()]) token.at = [];
    for (const item of items) {
      for (const [sockets, tokens] of [[item.into, left], [item.out, right]]) {
        for (const socket of sockets) socket.aim = mean(socket.keys.map((key) => tokens.get(key).y));
        sockets.sort((a, b) => a.aim - b.aim);
        this.stack(sockets, item);
        for (const socket of sockets) for (const key of socket.keys) tokens.get(key).at.push(socket.y);
      }
    }
    const height = Math.max(y, this.place(left, y), this.place(right, y)) + 10;

    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "presentation" });
    const title = (text, at, anchor) => element("text", { x: at, y: 24, class: "title", "text-anchor": anchor }, text);
    svg.append(title("Callers", x.left, "start"), title("Workloads", x.name + name / 2, "middle"),
      title("Callees", x.right + sides.right, "end"));
    const wires = element("g"), nodes = element("g");
    svg.append(wires, nodes);
    this.lit = new Map();
    for (const item of items) {
      const own = `m${item.peer.index}`;
      this.wire(wires, item.into, left, own, x.left + sides.left, x.pills);
      this.wire(wires, item.out, right, own, x.right, x.out + out);
      this.node(nodes, own, x.name, item.y + item.high / 2, name, answer.short(item.peer), "", "own",
        hrefs.peer(item.peer), Math.max(LANE.box, item.high - 4));
      this.pills(nodes, own, item.into, x.pills, into, "end");
      this.pills(nodes, own, item.out, x.out, out, "start");
      if (!item.into.length) this.quiet(nodes, x.pills + into - 4, item, "nobody", "end");
      if (!item.out.length) this.quiet(nodes, x.out + 4, item, "nothing", "start");
    }
    for (const [tokens, at, width] of [[left, x.left, sides.left], [right, x.right, sides.right]]) {
      for (const token of tokens.values()) {
        this.node(nodes, token.key, at, token.y, width, token.text, token.note,
          token.group ? "group" : "", token.href, LANE.box, token.all);
      }
    }
    this.field.replaceChildren(svg);
  }

  /* Give the sockets of one side of a workload their heights, one below the other. */
  stack(sockets, item) {
    const shift = (item.rows - sockets.length) * (LANE.pill + 4) / 2;
    sockets.forEach((socket, i) => {
      socket.y = item.y + 2 + shift + i * (LANE.pill + 4) + LANE.pill / 2;
    });
  }

  /* Give the tokens of a lane their heights: near what they are wired to, none upon another. */
  place(tokens, height) {
    const order = [...tokens.values()].sort((a, b) => mean(a.at) - mean(b.at) || (a.text < b.text ? -1 : 1));
    const need = order.length * LANE.row;
    let y = LANE.top + LANE.box / 2;
    order.forEach((token, i) => {
      const room = Math.max(height, need + LANE.top) - (order.length - 1 - i) * LANE.row - LANE.box;
      token.y = Math.max(y, Math.min(mean(token.at), room));
      y = token.y + LANE.row;
    });
    return y;
  }

  kind(traffic) {
    return traffic.any ? "any" : traffic.allow ? "" : "doubt";
  }

  wire(parent, sockets, tokens, own, from, to) {
    for (const socket of sockets) {
      for (const key of socket.keys) {
        const token = tokens.get(key), bend = (to - from) / 2;
        const path = element("path", {
          class: `wire ${this.kind(socket.traffic)}`,
          d: `M${from},${token.y}C${from + bend},${token.y} ${to - bend},${socket.y} ${to},${socket.y}`,
        });
        parent.append(path);
        const ends = [own, key];
        for (const end of ends) (this.lit.get(end) || this.lit.set(end, []).get(end)).push([path, ends]);
      }
    }
  }

  pills(parent, own, sockets, x, width, anchor) {
    for (const socket of sockets) {
      const text = clip(this.context, socket.traffic.text, this.pill - 18);
      const wide = this.text(text) + 16, at = anchor === "end" ? x + width - wide : x;
      parent.append(element("g", { class: `pill node ${this.kind(socket.traffic)}`, "data-node": own },
        element("title", {}, socket.traffic.text),
        element("rect", { x: at, y: socket.y - LANE.pill / 2 + 0.5, width: wide, height: LANE.pill - 1, rx: 10 }),
        element("text", { x: at + wide / 2, y: socket.y + 4, "text-anchor": "middle" }, text)));
      /* The wire ends at the lane's border: lead it on to the pill. */
      const [a, b] = anchor === "end" ? [x, at] : [at + wide, x + width];
      if (b - a > 1) {
        const lead = element("path", { class: `wire ${this.kind(socket.traffic)}`, d: `M${a},${socket.y}H${b}` });
        parent.prepend(lead);
        (this.lit.get(own) || this.lit.set(own, []).get(own)).push([lead, [own]]);
      }
    }
  }

  quiet(parent, x, item, words, anchor) {
    parent.append(element("text", { class: "quiet", x, y: item.y + item.high / 2 + 4, "text-anchor": anchor }, words));
  }

  node(parent, key, x, y, width, text, note, kind, href, high, all) {
    const room = note ? width - this.text(note) - 30 : width - 18;
    const light = () => this.light(key), dark = () => this.light(null);
    const link = element("a:svg", {
      class: `node ${kind}`, "data-node": key, href: href || null, tabindex: "0",
      "aria-label": `${text} ${note}`, onmouseenter: light, onmouseleave: dark, onfocus: light, onblur: dark,
    },
    element("title", {}, `${all || text}${note ? ` (${note})` : ""}`),
    element("rect", { class: "box", x, y: y - high / 2, width, height: high, rx: 6 }),
    element("text", { x: x + 9, y: y + 4.5 }, clip(this.context, text, room)),
    note ? element("text", { class: "dim", x: x + width - 9, y: y + 4.5, "text-anchor": "end" }, note) : null);
    parent.append(link);
  }

  /* Show only the wires of one node, and what they lead to. */
  light(key) {
    this.field.classList.toggle("chosen", key !== null);
    for (const lit of this.field.querySelectorAll(".lit")) lit.classList.remove("lit");
    if (key === null) return;
    const near = new Set([key]);
    for (const [path, ends] of this.lit.get(key) || []) {
      path.classList.add("lit");
      for (const end of ends) near.add(end);
    }
    for (const node of this.field.querySelectorAll("[data-node]")) {
      if (near.has(node.dataset.node)) node.classList.add("lit");
    }
  }
}
