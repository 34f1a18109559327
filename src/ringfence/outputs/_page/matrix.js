"use strict";

/* A matrix of any size on a canvas: only what is in sight is drawn. Its rows and columns can be
 * walked with the arrow keys; -1 is the head of a row or column.
 *
 * options: rows, columns: [{label, title}]; cell(row, column): {fill 0..5, text, any, unknown,
 * self, blank}; say(row, column): words for a screen reader; look(row, column): the cursor moved;
 * open(row, column): chosen; size: {width, height} of a cell at first; corner: words. */

class Matrix {
  constructor(options) {
    this.options = options;
    this.cursor = null;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.extent = element("div", { class: "extent" }, this.canvas);
    this.field = element("div", {
      class: "field", tabindex: "0", role: "application", "aria-roledescription": "matrix",
      "aria-label": options.label, onscroll: () => this.later(), onkeydown: (e) => this.key(e),
      onmousemove: (e) => this.point(e), onmouseleave: () => this.leave(), onclick: (e) => this.click(e),
      onfocus: () => { if (!this.cursor && this.field.matches(":focus-visible")) this.move(0, 0); },
    }, this.extent);
    this.width = options.size.width;
    this.height = options.size.height;
    new ResizeObserver(() => this.later()).observe(this.field);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.later());
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  /* Make all cells this many times as large, or as large as fits ("fit"). */
  zoom(by) {
    const { rows, columns } = this.options;
    if (by === "fit") {
      const wide = (this.field.clientWidth - this.head.width - 2) / columns.length;
      const high = (this.field.clientHeight - this.head.height - 2) / rows.length;
      const fit = Math.max(3, Math.min(wide, high));
      this.width = Math.min(this.options.size.width, Math.max(fit, Math.min(wide, fit * 3)));
      this.height = Math.min(this.options.size.height, fit);
    } else {
      this.width = Math.min(240, Math.max(3, this.width * by));
      this.height = Math.min(64, Math.max(3, this.height * by));
    }
    this.later();
  }

  measure(context) {
    const { rows, columns } = this.options;
    const widest = (list) => list.reduce((most, one) => Math.max(most, context.measureText(one.label).width), 0);
    context.font = BOLD;
    this.flat = widest(columns) + 12 <= this.width;
    const most = Math.max(90, this.field.clientWidth * 0.3);
    return {
      width: Math.min(most, Math.max(widest(rows), context.measureText(this.options.corner).width) + 26),
      height: this.flat ? 34 : Math.min(Math.max(90, this.field.clientHeight * 0.35), widest(columns) + 22),
    };
  }

  draw() {
    const { field, canvas, options } = this;
    const wide = field.clientWidth, high = field.clientHeight, ratio = devicePixelRatio || 1;
    if (!wide || !high) return;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${high}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    this.colour = palette();
    this.head = this.measure(context);
    const { rows, columns } = options, { width, height, head } = this;
    this.extent.style.width = `${Math.max(wide, head.width + columns.length * width + 12)}px`;
    this.extent.style.height = `${Math.max(high, head.height + rows.length * height + 12)}px`;
    const left = field.scrollLeft, top = field.scrollTop;
    const x = (column) => head.width + column * width - left;
    const y = (row) => head.height + row * height - top;
    const range = (start, size, view, headSize, count) => [
      Math.max(0, Math.floor(start / size)),
      Math.min(count, Math.ceil((start + view - headSize) / size)),
    ];
    const [firstRow, lastRow] = range(top, height, high, head.height, rows.length);
    const [firstColumn, lastColumn] = range(left, width, wide, head.width, columns.length);

    context.save();
    context.beginPath();
    context.rect(head.width, head.height, wide, high);
    context.clip();
    for (let row = firstRow; row < lastRow; row++) {
      for (let column = firstColumn; column < lastColumn; column++) {
        this.drawCell(context, options.cell(row, column), x(column), y(row));
      }
    }
    this.outline(context, x, y);
    context.restore();

    this.drawRowHeads(context, firstRow, lastRow, y, high);
    this.drawColumnHeads(context, firstColumn, lastColumn, x, wide);
    context.fillStyle = this.colour.panel;
    context.fillRect(0, 0, head.width, head.height);
    context.strokeStyle = this.colour.edge;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, head.height - 0.5);
    context.lineTo(wide, head.height - 0.5);
    context.moveTo(head.width - 0.5, 0);
    context.lineTo(head.width - 0.5, high);
    context.stroke();
    context.font = SMALL;
    context.fillStyle = this.colour.soft;
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.fillText(options.corner, head.width - 10, head.height - 8);
  }

  drawCell(context, cell, x, y) {
    const { colour, width, height } = this;
    const gap = Math.min(width, height) > 9 ? 1 : 0;
    const w = width - gap, h = height - gap;
    if (cell.blank) return;
    if (cell.self) {
      context.strokeStyle = colour.edge;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x + 3, y + h - 3);
      context.lineTo(x + w - 3, y + 3);
      context.stroke();
      return;
    }
    const small = width < 22 || height < 16;
    if (!cell.fill && !cell.unknown) {
      context.fillStyle = colour.line;
      if (small) context.fillRect(x + w / 2 - 0.5, y + h / 2 - 0.5, 1, 1);
      else {
        context.beginPath();
        context.arc(x + w / 2, y + h / 2, 1.6, 0, 7);
        context.fill();
      }
      return;
    }
    context.fillStyle = colour.shades[cell.fill] || colour.line;
    if (small && cell.part) context.fillRect(x + w * 0.25, y + h * 0.25, Math.max(1, w / 2), Math.max(1, h / 2));
    else if (cell.fill) context.fillRect(x, y, w, h);
    if (cell.unknown && (w > 6 && h > 6)) {
      context.strokeStyle = colour.doubt;
      context.lineWidth = 1.5;
      context.setLineDash([3, 2]);
      context.strokeRect(x + 1.5, y + 1.5, w - 3, h - 3);
      context.setLineDash([]);
    }
    if (cell.any && w > 3 && h > 3) {
      const corner = Math.min(11, w / 2.2, h / 2);
      context.fillStyle = colour.any;
      context.beginPath();
      context.moveTo(x + w, y);
      context.lineTo(x + w - corner, y);
      context.lineTo(x + w, y + corner);
      context.fill();
    }
    if (!small && cell.text) {
      context.font = height > 40 && cell.part === undefined ? LARGE : FONT;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillStyle = !cell.fill ? colour.doubt : cell.fill >= 4 ? colour.onDark : colour.onLight;
      context.fillText(clip(context, cell.text, w - 6), x + w / 2, y + h / 2 + 0.5);
    }
  }

  outline(context, x, y) {
    if (!this.cursor) return;
    const { colour, width, height } = this, [row, column] = this.cursor;
    context.fillStyle = colour.cursor;
    context.globalAlpha = 0.05;
    if (row >= 0) context.fillRect(x(0), y(row), this.options.columns.length * width, height);
    if (column >= 0) context.fillRect(x(column), y(0), width, this.options.rows.length * height);
    context.globalAlpha = 1;
    if (row < 0 || column < 0) return;
    context.strokeStyle = colour.cursor;
    context.lineWidth = 2;
    context.strokeRect(x(column), y(row), width - 1, height - 1);
  }

  drawRowHeads(context, first, last, y, high) {
    const { colour, head, height } = this;
    context.fillStyle = colour.panel;
    context.fillRect(0, 0, head.width, high);
    context.textAlign = "right";
    context.textBaseline = "middle";
    const step = Math.max(1, Math.ceil(12 / height));
    for (let row = first; row < last; row++) {
      const lit = this.cursor && this.cursor[0] === row;
      if (row % step && !lit) continue;
      context.font = lit ? BOLD : FONT;
      context.fillStyle = lit ? colour.accent : this.options.rows[row].soft ? colour.soft : colour.ink;
      const text = clip(context, this.options.rows[row].label, head.width - 20);
      context.fillText(text, head.width - 10, Math.max(y(row) + height / 2, head.height + 7));
    }
  }

  drawColumnHeads(context, first, last, x, wide) {
    const { colour, head, width } = this;
    context.fillStyle = colour.panel;
    context.fillRect(head.width, 0, wide, head.height);
    const step = Math.max(1, Math.ceil(13 / width));
    context.save();
    context.beginPath();
    context.rect(head.width, 0, wide, head.height);
    context.clip();
    for (let column = first; column < last; column++) {
      const lit = this.cursor && this.cursor[1] === column;
      if (column % step && !lit) continue;
      context.font = lit ? BOLD : FONT;
      context.fillStyle = lit ? colour.accent : this.options.columns[column].soft ? colour.soft : colour.ink;
      context.textBaseline = "middle";
      const label = this.options.columns[column].label;
      if (this.flat) {
        context.textAlign = "center";
        context.fillText(clip(context, label, width - 6), x(column) + width / 2, head.height / 2);
      } else {
        context.save();
        context.translate(x(column) + width / 2, head.height - 8);
        context.rotate(-Math.PI / 2);
        context.textAlign = "left";
        context.fillText(clip(context, label, head.height - 14), 0, 0);
        context.restore();
      }
    }
    context.restore();
  }

  /* The cell under the pointer: [row, column], -1 for heads; null beside the matrix. */
  at(event) {
    if (!this.head) return null;
    const box = this.field.getBoundingClientRect(), { head, options } = this;
    const x = event.clientX - box.left - 1, y = event.clientY - box.top - 1;
    const column = x < head.width ? -1 : Math.floor((x - head.width + this.field.scrollLeft) / this.width);
    const row = y < head.height ? -1 : Math.floor((y - head.height + this.field.scrollTop) / this.height);
    if (row >= options.rows.length || column >= options.columns.length || (row < 0 && column < 0)) return null;
    return [row, column];
  }

  point(event) {
    const found = this.at(event);
    this.field.style.cursor = found ? "pointer" : "default";
    if (!found || (this.cursor && found[0] === this.cursor[0] && found[1] === this.cursor[1])) return;
    this.cursor = found;
    this.options.look(...found);
    this.later();
  }

  leave() {
    if (document.activeElement === this.field) return;
    this.cursor = null;
    this.options.look(null, null);
    this.later();
  }

  click(event) {
    const found = this.at(event);
    if (found) this.options.open(...found);
  }

  key(event) {
    const [row, column] = this.cursor || [0, 0];
    const { rows, columns } = this.options;
    const page = Math.max(1, Math.floor(this.field.clientHeight / this.height) - 2);
    const to = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageUp: [row - page, column], PageDown: [row + page, column],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? rows.length - 1 : row, columns.length - 1],
    }[event.key];
    if (to) {
      event.preventDefault();
      this.move(...to);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.cursor) this.options.open(row, column);
    }
  }

  move(row, column) {
    const { rows, columns } = this.options;
    row = Math.min(Math.max(row, -1), rows.length - 1);
    column = Math.min(Math.max(column, -1), columns.length - 1);
    if (row < 0 && column < 0) return;
    this.cursor = [row, column];
    this.show(row, column);
    this.options.look(row, column);
    document.getElementById("said").textContent = this.options.say(row, column);
    this.later();
  }

  /* Scroll so that a cell is in sight. */
  show(row, column) {
    if (!this.head) return;
    const { field, head, width, height } = this;
    const roomX = field.clientWidth - head.width, roomY = field.clientHeight - head.height;
    const x = Math.max(column, 0) * width, y = Math.max(row, 0) * height;
    if (x < field.scrollLeft) field.scrollLeft = x;
    if (x + width > field.scrollLeft + roomX) field.scrollLeft = x + width - roomX;
    if (y < field.scrollTop) field.scrollTop = y;
    if (y + height > field.scrollTop + roomY) field.scrollTop = y + height - roomY;
  }
}

const FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const FONT = `12.5px ${FAMILY}`;
const BOLD = `600 12.5px ${FAMILY}`;
const LARGE = `15px ${FAMILY}`;
const SMALL = `11.5px ${FAMILY}`;

function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    panel: of("panel"), edge: of("edge"), line: of("faint"), ink: of("ink"), soft: of("soft"),
    accent: of("accent"), any: of("any"), doubt: of("doubt"), cursor: of("cursor"),
    onLight: of("on-light"), onDark: of("on-dark"),
    shades: [null, of("s1"), of("s2"), of("s3"), of("s4"), of("s5")],
  };
}

/* Text cut to a width, with an ellipsis where something is missing. */
function clip(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return low ? `${text.slice(0, low)}…` : "";
}
