"use strict";

/* The page: figures at the top, then the view that the address behind the # names. */

const SHOWN_LINES = 300;
const SHOWN_PAIRS = 14;

async function decode() {
  const packed = Uint8Array.from(atob(document.getElementById("data").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

class Page {
  constructor(answer) {
    this.answer = answer;
    this.main = document.getElementById("main");
    this.figures();
    this.search();
    addEventListener("hashchange", () => this.route());
    addEventListener("keydown", (event) => this.key(event));
    this.route();
  }

  figures() {
    const { data } = this.answer, { summary } = data;
    const figure = (value, words, kind, meter) => element("div", { class: `figure ${kind || ""}` },
      element("b", {}, value), element("span", {}, words), meter || null);
    const filled = element("i", {});
    filled.style.width = `${summary.pairs ? (100 * summary.open) / summary.pairs : 0}%`;
    const share = element("div", { class: "bar", "aria-hidden": "true" }, filled);
    const parts = [
      figure(percent(summary.open, summary.pairs), `${number(summary.open)} of ${number(summary.pairs)} pairs open`, "", share),
      figure(number(summary.any), "open for any traffic", summary.any ? "any" : ""),
      figure(number(summary.workloads), `workloads in ${plural(this.answer.namespaces.size, "namespace")}`),
      figure(number(summary.from_outside), "reached from outside"),
      figure(number(summary.to_outside), "reach the outside"),
    ];
    if (summary.unknown) parts.splice(2, 0, figure(number(summary.unknown), "pairs partly unknown", "doubt"));
    parts.push(figure(data.profile.cni, data.profile.why, "text"));
    document.getElementById("figures").append(...parts);
    if (data.profile.cni === "none") {
      const warning = document.getElementById("warning");
      warning.textContent = "Nothing enforces policies in this cluster: everything is open, whatever the policies say.";
      warning.hidden = false;
    }
    const count = data.notes.length + data.unknown_because.length + data.problems.length;
    const tab = document.querySelector('[data-tab="notes"]');
    if (count) tab.textContent = `Notes (${count})`;
  }

  search() {
    const input = document.getElementById("find-name");
    const names = [...this.answer.namespaces.keys(), ...this.answer.peers.filter((p) => p.kind !== "External").map((p) => p.name)];
    document.getElementById("names").append(...names.map((name) => element("option", { value: name })));
    const go = () => {
      const wanted = input.value.trim(), peer = this.answer.byName.get(wanted);
      const group = this.answer.namespaces.get(wanted);
      if (group) location.hash = hrefs.namespace(group);
      else if (peer) location.hash = hrefs.peer(peer);
      else return false;
      input.value = "";
      input.blur();
      return true;
    };
    input.addEventListener("input", (event) => { if (event.inputType === "insertReplacementText" || !event.inputType) go(); });
    document.getElementById("find").addEventListener("submit", (event) => {
      event.preventDefault();
      if (go()) return;
      const wanted = input.value.trim().toLowerCase();
      const close = names.find((name) => name.toLowerCase().includes(wanted));
      if (wanted && close) { input.value = close; go(); }
    });
  }

  key(event) {
    const typing = event.target.closest && event.target.closest("input");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      document.getElementById("find-name").focus();
    } else if (event.key === "Escape") {
      if (typing) typing.blur();
      else if (location.hash.length > 2) location.hash = "#/";
    }
  }

  route() {
    const [view, ...names] = location.hash.replace(/^#\/?/, "").split("/").map(part);
    const group = (name) => this.answer.groups.find((g) => g.name === name);
    const tab = { lines: "lines", notes: "notes" }[view] || "matrix";
    for (const link of document.querySelectorAll("[data-tab]")) {
      if (link.dataset.tab === tab) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (view === "lines") this.lines();
    else if (view === "notes") this.notes();
    else if (view === "cell" && group(names[0]) && group(names[1])) this.cell(group(names[0]), group(names[1]));
    else if (view === "namespace" && this.answer.namespaces.has(names[0])) this.namespace(this.answer.namespaces.get(names[0]));
    else if (view === "peer" && this.answer.byName.has(names[0])) this.peer(this.answer.byName.get(names[0]));
    else this.overview();
  }

  trail(parts, hint, tools) {
    const title = element("h1", {});
    parts.forEach((words, i) => { if (i) title.append(element("i", {}, "›")); title.append(words); });
    return element("div", { class: "trail" }, title, hint ? element("span", { class: "hint" }, hint) : null,
      tools ? element("div", { class: "tools" }, ...tools) : null);
  }

  zooms(matrix) {
    const button = (text, label, by) => element("button", { type: "button", "aria-label": label, title: label, onclick: () => matrix().zoom(by) }, text);
    return [button("−", "Smaller cells", 1 / 1.3), button("+", "Larger cells", 1.3), button("Fit", "Fit everything in sight", "fit")];
  }

  home() {
    return element("a", { href: "#/" }, "All namespaces");
  }

  show(...children) {
    this.main.replaceChildren(...children);
  }

  split(field, legend) {
    this.detail = element("section", { class: "card", "aria-label": "Details" });
    this.show(this.head, element("div", { class: "split" }, field, element("div", { class: "side" }, this.detail, legend)));
  }

  overview() {
    const { answer } = this, groups = answer.groups;
    const heads = groups.map((group) => ({ label: answer.title(group), soft: group.kind !== "namespace" }));
    const matrix = new Matrix({
      label: "Open pairs from each namespace to each other. Arrow keys move, Enter opens.",
      corner: "from ↓   to →", rows: heads, columns: heads,
      size: {
        width: Math.min(132, Math.max(38, (this.main.clientWidth - (innerWidth > 1000 ? 520 : 190)) / groups.length)),
        height: Math.min(56, Math.max(24, (this.main.clientHeight - 190) / groups.length)),
      },
      cell: (row, column) => {
        if (!answer.judged(groups[row], groups[column])) return { blank: true };
        const cell = answer.cell(groups[row], groups[column]);
        if (!cell.pairs) return { self: true };
        const share = cell.open / cell.pairs;
        return { fill: cell.open ? Math.min(5, 1 + Math.floor(share * 4.0001)) : 0, text: cell.open ? compact(cell.open) : "?", any: cell.any > 0, unknown: cell.unknown > 0 };
      },
      say: (row, column) => this.sayGroups(row, column),
      look: (row, column) => this.lookGroups(row, column),
      open: (row, column) => {
        const one = row < 0 ? groups[column] : column < 0 ? groups[row] : null;
        if (one) { if (one.kind === "namespace") location.hash = hrefs.namespace(one); }
        else if (answer.judged(groups[row], groups[column])) location.hash = hrefs.cell(groups[row], groups[column]);
      },
    });
    this.head = this.trail(["All namespaces"], "who may call whom, counted in pairs", this.zooms(() => matrix));
    this.split(matrix.field, legend(LEGEND_GROUPS, true));
    this.lookGroups(null, null);
  }

  sayGroups(row, column) {
    const { answer } = this, { groups } = answer;
    if (row < 0 || column < 0) {
      const group = groups[row < 0 ? column : row];
      return `${answer.title(group)}, ${group.count} peers`;
    }
    const cell = answer.cell(groups[row], groups[column]);
    return `${answer.title(groups[row])} to ${answer.title(groups[column])}: ${cell.open} of ${cell.pairs} pairs open, ${cell.any} for any traffic${cell.unknown ? `, ${cell.unknown} unknown` : ""}`;
  }

  lookGroups(row, column) {
    const { answer } = this, { groups } = answer;
    if (row === null) {
      this.describe("Point at a cell", [["Rows call, columns are called. A cell counts the open pairs of workloads; its shade is their share."]], []);
      return;
    }
    if (row < 0 || column < 0) {
      const group = groups[row < 0 ? column : row];
      const sum = (pick) => groups.reduce((total, other) => {
        const cell = pick(other);
        return other === group ? total : { open: total.open + cell.open, any: total.any + cell.any };
      }, { open: 0, any: 0 });
      const into = sum((other) => answer.cell(other, group)), out = sum((other) => answer.cell(group, other));
      this.describe(answer.title(group), [
        [bold(group.count), group.kind === "namespace" ? " workloads" : group.kind === "nodes" ? " nodes" : " ranges of addresses"],
        [bold(into.open), ` open pairs into it, ${number(into.any)} for any traffic`],
        [bold(out.open), ` open pairs out of it, ${number(out.any)} for any traffic`],
      ], group.kind === "namespace" ? [["Its callers and callees", hrefs.namespace(group)]] : []);
      return;
    }
    const from = groups[row], to = groups[column], title = `${answer.title(from)} → ${answer.title(to)}`;
    if (!answer.judged(from, to)) {
      this.describe(title, [["No policy of this cluster has a say in this."]], []);
      return;
    }
    const cell = answer.cell(from, to);
    this.describe(title, [
      [bold(cell.open), ` of ${number(cell.pairs)} pairs open (${percent(cell.open, cell.pairs)})`],
      [bold(cell.any), " for any traffic"],
      cell.unknown ? [bold(cell.unknown), " partly unknown"] : null,
    ], [["Its workloads", hrefs.cell(from, to)]], this.pairs(from, to));
  }

  /* The first open pairs of two groups. */
  pairs(from, to) {
    const { answer } = this, found = [];
    for (const source of answer.members(from)) {
      for (const destination of answer.members(to)) {
        const exchanged = answer.between(source.index, destination.index);
        if (!exchanged) continue;
        found.push([source, destination, answer.traffic[exchanged]]);
        if (found.length === SHOWN_PAIRS) return found;
      }
    }
    return found;
  }

  describe(title, sentences, links, pairs) {
    const list = (pairs || []).map(([source, destination, traffic]) => element("li", {},
      `${this.answer.short(source)} → ${this.answer.short(destination)}`,
      element("span", { class: traffic.any ? "any" : traffic.allow ? "" : "doubt" }, traffic.text)));
    if (list.length === SHOWN_PAIRS) list.push(element("li", {}, element("span", {}, "…")));
    this.detail.replaceChildren(
      element("h2", {}, title),
      ...sentences.filter(Boolean).map((sentence) => element("p", {}, ...sentence)),
      ...(links.length ? [element("div", { class: "go" }, ...links.map(([words, href]) => element("a", { href }, words)))] : []),
      ...(list.length ? [element("ul", {}, ...list)] : []));
  }

  cell(from, to) {
    const { answer } = this, rows = answer.members(from), columns = answer.members(to);
    const name = (group) => (peer) => ({ label: answer.short(peer), soft: false });
    const room = Math.max(60, innerWidth - 700) / columns.length;
    const matrix = new Matrix({
      label: `What the workloads of ${answer.title(from)} may send those of ${answer.title(to)}. Arrow keys move, Enter opens.`,
      corner: "from ↓   to →", rows: rows.map(name(from)), columns: columns.map(name(to)),
      size: {
        width: Math.min(150, Math.max(26, room)),
        height: Math.min(42, Math.max(20, (this.main.clientHeight - 190) / rows.length)),
      },
      cell: (row, column) => {
        if (rows[row].workload === columns[column].workload) return { self: true };
        const traffic = answer.traffic[answer.between(rows[row].index, columns[column].index)];
        if (!traffic.text) return { fill: 0 };
        return { fill: traffic.any ? 5 : traffic.allow ? 2 : 0, part: !traffic.any, text: traffic.text, any: traffic.any, unknown: traffic.unknown };
      },
      say: (row, column) => {
        if (row < 0 || column < 0) return (row < 0 ? columns[column] : rows[row]).name;
        const traffic = answer.traffic[answer.between(rows[row].index, columns[column].index)];
        return `${rows[row].name} to ${columns[column].name}: ${traffic.text || "nothing"}`;
      },
      look: (row, column) => this.lookPeers(rows, columns, row, column, from, to),
      open: (row, column) => {
        const peer = row < 0 ? columns[column] : rows[row];
        location.hash = hrefs.peer(peer);
      },
    });
    const link = (group) => group.kind === "namespace" ? element("a", { href: hrefs.namespace(group) }, answer.title(group)) : answer.title(group);
    const title = element("span", {}, link(from), " → ", link(to));
    const cell = answer.cell(from, to);
    const back = from === to ? null : element("a", { href: hrefs.cell(to, from) }, "⇄ the other way");
    this.head = this.trail([this.home(), title], `${number(cell.open)} of ${number(cell.pairs)} pairs open`,
      [...(back ? [back] : []), ...this.zooms(() => matrix)]);
    this.split(matrix.field, legend(LEGEND_PEERS, true));
    this.lookPeers(rows, columns, null, null, from, to);
  }

  lookPeers(rows, columns, row, column, from, to) {
    const { answer } = this;
    if (row === null) {
      this.describe(`${answer.title(from)} → ${answer.title(to)}`, [["Point at a cell to see what may be sent; choose one to see all that its workload exchanges."]], [], this.pairs(from, to));
      return;
    }
    if (row < 0 || column < 0) {
      const peer = row < 0 ? columns[column] : rows[row];
      this.describe(peer.name, [[peer.kind]], [["Its callers and callees", hrefs.peer(peer)]]);
      return;
    }
    const source = rows[row], destination = columns[column];
    const forth = answer.traffic[answer.between(source.index, destination.index)];
    const back = answer.traffic[answer.between(destination.index, source.index)];
    this.describe(`${source.name} → ${destination.name}`, [
      [bold(forth.text || (source === destination ? "itself" : "nothing"))],
      source === destination ? null : ["The other way: ", bold(back.text || "nothing")],
      [`${source.kind} to ${destination.kind}`],
    ], [[source.name, hrefs.peer(source)], [destination.name, hrefs.peer(destination)]]);
  }

  namespace(group) {
    const { answer } = this, members = answer.members(group);
    const holder = element("div", { class: "lanes-holder" });
    const filter = element("input", { type: "search", placeholder: "Filter its workloads", "aria-label": "Filter the workloads", spellcheck: "false" });
    let shown = LANE.most;
    const draw = () => {
      const wanted = filter.value.trim().toLowerCase();
      const kept = members.filter((peer) => answer.short(peer).toLowerCase().includes(wanted));
      const lanes = new Lanes(answer, kept.slice(0, shown), `Callers and callees of ${group.name}`);
      if (kept.length > shown) {
        lanes.field.append(element("button", { class: "more", type: "button", onclick: () => { shown += 100; draw(); } },
          `Show more of the ${kept.length} workloads`));
      }
      holder.replaceChildren(lanes.field);
    };
    filter.addEventListener("input", draw);
    const inside = element("a", { href: hrefs.cell(group, group) }, "Matrix of its workloads");
    this.head = this.trail([this.home(), group.name], `${plural(group.count, "workload")}, with callers and callees`, [inside, filter]);
    this.show(this.head, holder);
    draw();
  }

  peer(peer) {
    const { answer } = this, group = answer.groups[peer.group];
    const parent = group.kind === "namespace" ? [element("a", { href: hrefs.namespace(group) }, group.name)] : [];
    const lanes = new Lanes(answer, [peer], `Callers and callees of ${peer.name}`);
    this.head = this.trail([this.home(), ...parent, answer.short(peer)], peer.kind);
    this.show(this.head, lanes.field);
  }

  lines() {
    const { lines, line_count: total } = this.answer.data;
    if (!lines.length && total) {
      this.show(this.trail(["Lines"]), element("p", { class: "empty" }, `Said in full sentences, the pairs take ${number(total)} lines: too many to read. The matrix holds all of them.`));
      return;
    }
    const filter = element("input", { type: "search", placeholder: "Filter: a name, a port", "aria-label": "Filter the lines", spellcheck: "false" });
    const body = element("tbody", {}), more = element("div", {});
    const hint = element("span", { class: "hint" });
    let shown = SHOWN_LINES;
    const draw = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kept = lines.filter((line) => words.every((word) => `${line[4]} ${line[2]}`.toLowerCase().includes(word)));
      hint.textContent = `${number(kept.length)} of ${number(total)} lines say all pairs`;
      body.replaceChildren(...kept.slice(0, shown).map(([from, to, traffic, any]) => element("tr", {},
        element("td", {}, from), element("td", {}, to), element("td", { class: any ? "any" : "" }, traffic))));
      more.replaceChildren(...(kept.length > shown
        ? [element("button", { class: "more", type: "button", onclick: () => { shown += SHOWN_LINES; draw(); } }, "Show more")] : []));
    };
    filter.addEventListener("input", () => { shown = SHOWN_LINES; draw(); });
    const head = this.trail(["Lines"], null, [filter]);
    head.insertBefore(hint, head.lastChild);
    const names = element("tr", {}, ...["From", "To", "Traffic"].map((title) => element("th", { scope: "col" }, title)));
    this.show(head, element("div", { class: "listing", tabindex: "0" }, element("table", {}, element("thead", {}, names), body), more));
    draw();
  }

  notes() {
    const { data } = this.answer, section = (title, texts) => texts.length
      ? [element("h2", {}, title), element("ul", {}, ...texts.map((text) => element("li", {}, text)))] : [];
    const parts = [...section("Unknown because", data.unknown_because), ...section("Notes", data.notes),
      ...section("Could not be read", data.problems)];
    this.show(this.trail(["Notes"]), element("div", { class: "notes" },
      element("p", {}, `Judged by the ${data.profile.cni} profile: ${data.profile.why}.`),
      ...(parts.length ? parts : [element("p", {}, "Everything could be read, and nothing had to be assumed.")])));
  }
}

const bold = (value) => element("b", {}, typeof value === "number" ? number(value) : value);
const plural = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/* A number that fits a cell: 999, 1.2k, 34k, 5.6M. */
function compact(value) {
  if (value < 1000) return `${value}`;
  const [unit, letter] = value < 1e6 ? [1e3, "k"] : [1e6, "M"];
  return `${(value / unit).toFixed(value < 10 * unit ? 1 : 0)}${letter}`;
}

/* A part of the address; one that is no valid encoding names nothing. */
function part(text) {
  try { return decodeURIComponent(text); } catch { return ""; }
}

const LEGEND_GROUPS = [["closed", "no pair is open"], ["shades", "share of pairs open: few to all"],
  ["corner", "corner: some for any traffic"], ["doubt", "dashed: something is unknown"]];
const LEGEND_PEERS = [["closed", "nothing may be sent"], ["part", "some ports may be sent"],
  ["corner-full", "filled, with a corner: any traffic"], ["doubt", "dashed: something is unknown"]];

function legend(entries, keys) {
  const swatch = (kind) => {
    const picture = element("svg", { width: 26, height: 18, "aria-hidden": "true" });
    const paint = (node, fill, stroke) => { node.style.fill = fill; if (stroke) node.style.stroke = stroke; return node; };
    const box = (fill) => paint(element("rect", { x: 0.5, y: 0.5, width: 25, height: 17, rx: 2 }), fill);
    const shade = { part: "var(--s2)", corner: "var(--s3)", "corner-full": "var(--s5)" }[kind];
    if (shade) picture.append(box(shade));
    if (kind === "shades") {
      for (let i = 0; i < 5; i++) picture.append(paint(element("rect", { x: 0.5 + i * 5, y: 0.5, width: 5, height: 17 }), `var(--s${i + 1})`));
    }
    if (kind === "closed") picture.append(paint(element("circle", { cx: 13, cy: 9, r: 1.8 }), "var(--faint)"));
    if (kind.startsWith("corner")) picture.append(paint(element("path", { d: "M25.5,.5H15.5L25.5,10.5Z" }), "var(--any)"));
    if (kind === "doubt") {
      const dashed = element("rect", { x: 1.5, y: 1.5, width: 23, height: 15, "stroke-dasharray": "3 2", "stroke-width": 1.5 });
      picture.append(paint(dashed, "none", "var(--doubt)"));
    }
    return picture;
  };
  const rows = entries.map(([kind, words]) => element("div", {}, swatch(kind), words));
  const help = keys ? [element("div", { class: "keys" }, element("kbd", {}, "←↑→↓"), " move, ", element("kbd", {}, "Enter"), " open, ",
    element("kbd", {}, "Esc"), " back to all, ", element("kbd", {}, "/"), " find")] : [];
  return element("section", { class: "card legend", "aria-label": "Legend" }, ...rows, ...help);
}

decode().then((data) => new Page(new Answer(data)), (error) => {
  document.getElementById("main").textContent = `This page could not read its own data: ${error.message}`;
});
