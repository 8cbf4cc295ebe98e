// The matrix of couplings: rows are receivers, columns are senders.

import { STEPS, css, pixel, scale, sized, variable } from "./colours.js";
import { nice, short, significant } from "./format.js";

const MARGIN = { left: 88, top: 6, right: 84, bottom: 46 };
const STATUS_WIDTH = 6;
/** No place in the scale of colours. */
const BARE = -1;
/** Rows with one of these hold no estimate; the column of a neuron that takes no part is zero, too. */
const WITHOUT_ESTIMATE = new Set(["SILENT", "SATURATED", "DUPLICATE", "UNDERSAMPLED", "SINGULAR", "SEPARATED", "TOO_FEW_REPEATS"]);
const NO_PART = new Set(["SILENT", "SATURATED", "DUPLICATE"]);

export class HeatMap {
  /** `moved(receiver, sender)` is told of each move of the cursor. */
  constructor(canvas, cursorCanvas, moved) {
    Object.assign(this, { canvas, cursorCanvas, moved });
    this.n = 0;
    this.cursor = null;
    this.view = { x: 0, y: 0, span: 0 };
    this.lastDrawMs = 0;
    this.drawn = 0;
    canvas.addEventListener("pointermove", (event) => this.#pointer(event));
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointerup", () => {
      this.dragging = null;
    });
    canvas.addEventListener("pointercancel", () => {
      this.dragging = null;
    });
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => {
      if (!this.cursor && this.n) this.#place(0, Math.min(1, this.n - 1));
    });
    new ResizeObserver(() => this.later()).observe(canvas);
  }

  /** Show another matrix; where neurons are the same, the view and the cursor stay. */
  set({ n, couplings, q, status, names }) {
    if (n !== this.n) {
      this.n = n;
      this.order = Uint32Array.from({ length: n }, (_, k) => k);
      this.view = { x: 0, y: 0, span: n };
      this.cursor = null;
    }
    Object.assign(this, { couplings, q, status, names });
    this.noRow = Uint8Array.from(status, (one) => (WITHOUT_ESTIMATE.has(one) ? 1 : 0));
    this.noColumn = Uint8Array.from(status, (one) => (NO_PART.has(one) ? 1 : 0));
    this.sizes = null;
    this.#limits();
    this.later();
  }

  clear() {
    this.n = 0;
    this.couplings = null;
    this.cursor = null;
    this.later();
  }

  /** Show neurons in another order; the cursor stays at its pair. */
  setOrder(order) {
    const pair = this.pair();
    this.order = order;
    if (pair) this.cursor = { row: order.indexOf(pair.receiver), column: order.indexOf(pair.sender) };
    this.later();
  }

  /** Colours reach to this share of |J| of pairs of different neurons. */
  setShare(share) {
    this.share = share;
    if (this.n) {
      this.#limits();
      this.later();
    }
  }

  setMostQ(mostQ) {
    this.mostQ = mostQ;
    this.levels = null;
    this.later();
  }

  /** How far colours reach, and with that the colour of each pair. */
  #limits() {
    const { n, couplings, noRow, noColumn } = this;
    if (!this.sizes) {
      // As exact as colours need: of many pairs, some.
      const step = Math.max(1, Math.floor((n * n) / 40000));
      const sizes = new Float32Array(Math.ceil((n * n) / step));
      let largest = 0,
        kept = 0,
        next = 0,
        seen = 0;
      for (let i = 0; i < n; i++) {
        if (noRow[i]) continue;
        for (let j = 0, k = i * n; j < n; j++, k++) {
          if (i === j || noColumn[j]) continue;
          const size = Math.abs(couplings[k]);
          if (size > largest) largest = size;
          if (seen++ === next) {
            sizes[kept++] = size;
            next += step;
          }
        }
      }
      this.sizes = sizes.subarray(0, kept).sort();
      this.largest = largest;
    }
    const share = this.share ?? 0.995;
    const place = Math.min(this.sizes.length - 1, Math.floor(share * this.sizes.length));
    this.limit = nice(share >= 1 ? this.largest : this.sizes[place]);
    this.levels = null;
  }

  /** The place of each pair in the scale of colours, BARE where there is no estimate. */
  #levels() {
    if (this.levels) return this.levels;
    const { n, couplings, noRow, noColumn, limit, mostQ } = this,
      q = mostQ ? this.q : null;
    const levels = new Int16Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0, k = i * n; j < n; j++, k++) {
        const part = couplings[k] / limit;
        if (noRow[i] || noColumn[j]) levels[k] = BARE;
        else if (q && i !== j && !(q[k] <= mostQ)) levels[k] = STEPS;
        else levels[k] = part >= 1 ? 2 * STEPS : part <= -1 ? 0 : Math.round((part + 1) * STEPS);
      }
    }
    this.levels = levels;
    return levels;
  }

  /** Draw at the next frame, once however often it is asked for. */
  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const began = performance.now();
    const { context, width, height, ratio } = sized(this.canvas);
    const side = Math.max(20, Math.min(width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom));
    this.plot = { left: MARGIN.left, top: MARGIN.top, side };
    if (this.n && this.couplings) {
      const pixels = Math.round(side * ratio);
      const image = this.#image(pixels);
      context.putImageData(image, Math.round(MARGIN.left * ratio), Math.round(MARGIN.top * ratio));
      this.#frame(context);
      this.#bar(context);
    }
    this.drawCursor();
    this.lastDrawMs = performance.now() - began;
    this.drawn += 1;
  }

  #image(pixels) {
    const image = new ImageData(pixels, pixels),
      out = new Uint32Array(image.data.buffer);
    const colours = scale(),
      [hatch, ground] = [pixel(variable("--hatch")), pixel(variable("--card"))];
    const bare = (x, y) => ((x + y) % 8 < 2 ? hatch : ground);
    if (pixels >= this.view.span) this.#cells(pixels, out, colours, bare);
    else this.#strongest(pixels, out, colours, bare);
    return image;
  }

  /** A pixel or more for each pair. */
  #cells(pixels, out, colours, bare) {
    const { n, order, noRow, noColumn, view } = this,
      levels = this.#levels(),
      perCell = pixels / view.span;
    const neurons = (from) => Int32Array.from({ length: pixels }, (_, p) => order[Math.min(n - 1, Math.floor(from + (p + 0.5) / perCell))]);
    const rows = neurons(view.y),
      columns = neurons(view.x);
    const hatched = Int32Array.from(columns.keys()).filter((x) => noColumn[columns[x]]);
    for (let y = 0; y < pixels; y++) {
      const row = rows[y],
        at = y * pixels,
        from = row * n;
      if (noRow[row]) {
        for (let x = 0; x < pixels; x++) out[at + x] = bare(x, y);
        continue;
      }
      // The lines of a row are equal but for what is hatched.
      if (y > 0 && row === rows[y - 1]) out.copyWithin(at, at - pixels, at);
      else for (let x = 0; x < pixels; x++) out[at + x] = colours[levels[from + columns[x]]];
      for (const x of hatched) out[at + x] = bare(x, y);
    }
  }

  /** More pairs than pixels: each pixel shows the strongest of its pairs. */
  #strongest(pixels, out, colours, bare) {
    const { n, order, noRow, view } = this,
      levels = this.#levels(),
      perCell = pixels / view.span;
    const found = new Int16Array(pixels * pixels).fill(BARE),
      strength = new Int16Array(pixels * pixels).fill(-1);
    const within = (place) => Math.max(0, Math.min(pixels - 1, Math.floor(place)));
    const last = (from) => Math.min(n, Math.ceil(from + view.span));
    const left = Math.floor(view.x),
      xs = Int32Array.from({ length: last(view.x) - left }, (_, c) => within((left + c - view.x) * perCell));
    for (let r = Math.floor(view.y); r < last(view.y); r++) {
      const row = order[r],
        at = within((r - view.y) * perCell) * pixels,
        from = row * n;
      if (noRow[row]) continue;
      for (let c = 0; c < xs.length; c++) {
        const level = levels[from + order[left + c]];
        if (level === BARE) continue;
        const size = level < STEPS ? STEPS - level : level - STEPS,
          into = at + xs[c];
        if (size > strength[into]) {
          strength[into] = size;
          found[into] = level;
        }
      }
    }
    for (let y = 0, k = 0; y < pixels; y++)
      for (let x = 0; x < pixels; x++, k++) out[k] = found[k] === BARE ? bare(x, y) : colours[found[k]];
  }

  /** Names of neurons, statuses of rows, titles. */
  #frame(context) {
    const { left, top, side } = this.plot,
      { view, n, order, names, status } = this;
    const cell = side / view.span;
    context.fillStyle = variable("--ink");
    context.strokeStyle = variable("--line");
    context.strokeRect(left - 0.5, top - 0.5, side + 1, side + 1);
    const first = Math.max(0, Math.floor(view.y)),
      last = Math.min(n, Math.ceil(view.y + view.span));
    const bad = variable("--bad");
    for (let r = first; r < last; r++) {
      const y = top + (r - view.y) * cell;
      if (status[order[r]] === "OK") continue;
      context.fillStyle = bad;
      context.fillRect(left - STATUS_WIDTH - 2, Math.max(top, y), STATUS_WIDTH, Math.max(1, Math.min(cell, top + side - y)));
    }
    context.fillStyle = variable("--muted");
    // A label needs a line of its own, in steps that are easy to read.
    const step = (room) => [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => one * cell >= room) ?? 2000;
    const down = step(15);
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let r = Math.ceil(first / down) * down; r < last; r += down) {
      const y = top + (r + 0.5 - view.y) * cell;
      if (y > top && y < top + side) context.fillText(short(names[order[r]]), left - STATUS_WIDTH - 6, y);
    }
    const widest = Math.max(
      ...Array.from(
        { length: Math.min(50, n) },
        (_, k) => context.measureText(short(names[order[Math.floor((k * n) / Math.min(50, n))]])).width,
      ),
    );
    const across = step(widest + 8);
    context.textAlign = "center";
    context.textBaseline = "top";
    for (let c = Math.ceil(Math.floor(view.x) / across) * across; c < Math.min(n, Math.ceil(view.x + view.span)); c += across) {
      const x = left + (c + 0.5 - view.x) * cell;
      if (x > left && x < left + side) context.fillText(short(names[order[c]]), x, top + side + 5);
    }
    context.fillStyle = variable("--ink");
    context.fillText("sender j", left + side / 2, top + side + 25);
    context.save();
    context.translate(8, top + side / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText("receiver i, one bin later", 0, 0);
    context.restore();
  }

  /** The scale of the colours. */
  #bar(context) {
    const { left, top, side } = this.plot,
      x = left + side + 16,
      width = 14;
    const height = Math.min(side, 260),
      colours = scale();
    for (let y = 0; y < height; y++) {
      context.fillStyle = css(colours[Math.round((1 - y / (height - 1)) * 2 * STEPS)]);
      context.fillRect(x, top + 14 + y, width, 1.5);
    }
    context.strokeStyle = variable("--line");
    context.strokeRect(x - 0.5, top + 13.5, width + 1, height + 1);
    context.fillStyle = variable("--ink");
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillText("J", x + 3, top - 4);
    context.textBaseline = "middle";
    for (const part of [1, 0.5, 0, -0.5, -1]) {
      const value = part * this.limit;
      context.fillText(
        (part > 0 ? "+" : "") + significant(value, 2).replace(/\.0$/, ""),
        x + width + 4,
        top + 14 + ((1 - part) / 2) * height,
      );
    }
    if (this.largest > this.limit) {
      context.fillStyle = variable("--muted");
      context.fillText("largest", x - 4, top + height + 34);
      context.fillText(significant(this.largest, 2), x - 4, top + height + 50);
    }
  }

  drawCursor() {
    const { context } = sized(this.cursorCanvas);
    if (!this.cursor || !this.n || !this.plot) return;
    const { left, top, side } = this.plot,
      cell = side / this.view.span;
    const x = left + (this.cursor.column - this.view.x) * cell,
      y = top + (this.cursor.row - this.view.y) * cell;
    context.save();
    context.beginPath();
    context.rect(left, top, side, side);
    context.clip();
    context.strokeStyle = variable("--ink");
    context.lineWidth = 1;
    context.globalAlpha = 0.45;
    context.beginPath();
    context.moveTo(left, y + cell / 2);
    context.lineTo(left + side, y + cell / 2);
    context.moveTo(x + cell / 2, top);
    context.lineTo(x + cell / 2, top + side);
    context.stroke();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    const grown = Math.max(cell, 7),
      off = (grown - cell) / 2;
    context.strokeRect(x - off - 1, y - off - 1, grown + 2, grown + 2);
    context.restore();
  }

  /** Move the cursor to a pair of neurons, into view. */
  show(receiver, sender) {
    if (!this.n) return;
    const row = this.order.indexOf(receiver),
      column = this.order.indexOf(sender);
    if (row >= 0 && column >= 0) this.#place(row, column, true);
  }

  /** The neurons under the cursor. */
  pair() {
    return this.cursor && this.n ? { receiver: this.order[this.cursor.row], sender: this.order[this.cursor.column] } : null;
  }

  #place(row, column, follow = false) {
    if (!this.n) return;
    const within = (place) => Math.max(0, Math.min(this.n - 1, place));
    this.cursor = { row: within(row), column: within(column) };
    if (follow) {
      const { view } = this;
      const kept = (from, place) => (place < from ? place : place + 1 > from + view.span ? place + 1 - view.span : from);
      const x = kept(view.x, this.cursor.column),
        y = kept(view.y, this.cursor.row);
      if (x !== view.x || y !== view.y) {
        this.view = { ...view, x, y };
        this.later();
      }
    }
    this.drawCursor();
    const pair = this.pair();
    this.moved(pair.receiver, pair.sender);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect(),
      { left, top, side } = this.plot ?? {};
    if (!side || !this.n) return null;
    const x = (event.clientX - box.left - left) / side,
      y = (event.clientY - box.top - top) / side;
    return x >= 0 && x < 1 && y >= 0 && y < 1 ? { x, y } : null;
  }

  #pointer(event) {
    if (this.dragging) {
      const { view, x, y } = this.dragging,
        cell = this.plot.side / view.span;
      this.#look({ ...view, x: view.x - (event.clientX - x) / cell, y: view.y - (event.clientY - y) / cell });
      return;
    }
    const at = this.#at(event);
    if (at) this.#place(Math.floor(this.view.y + at.y * this.view.span), Math.floor(this.view.x + at.x * this.view.span));
  }

  #down(event) {
    if (this.#at(event) && event.button === 0) {
      this.dragging = { view: { ...this.view }, x: event.clientX, y: event.clientY };
      this.canvas.setPointerCapture(event.pointerId);
    }
  }

  #wheel(event) {
    const at = this.#at(event);
    // Whoever scrolls past the map means the page: with a matrix shown whole, scrolling out is the page's.
    if (!at || (event.deltaY > 0 && this.view.span >= this.n)) return;
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1 / 1.25 : 1.25, at);
  }

  /** Show so much more or less, around a place of the plot, the cursor, or the middle. */
  zoom(factor, at) {
    if (!this.n) return;
    const { view } = this,
      span = Math.max(Math.min(this.n, 4), Math.min(this.n, view.span * factor));
    const seen = (place, from) => (place + 0.5 - from) / view.span;
    const cursor = this.cursor && { x: seen(this.cursor.column, view.x), y: seen(this.cursor.row, view.y) };
    const inside = cursor && cursor.x >= 0 && cursor.x <= 1 && cursor.y >= 0 && cursor.y <= 1;
    const around = at ?? (inside ? cursor : { x: 0.5, y: 0.5 });
    this.#look({ span, x: view.x + around.x * (view.span - span), y: view.y + around.y * (view.span - span) });
  }

  showAll() {
    this.#look({ x: 0, y: 0, span: this.n });
  }

  #look(view) {
    const kept = (from) => Math.max(0, Math.min(this.n - view.span, from));
    this.view = { span: view.span, x: kept(view.x), y: kept(view.y) };
    this.later();
  }

  #key(event) {
    if (!this.n || event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = this.cursor ?? { row: 0, column: 0 },
      far = event.shiftKey ? 10 : 1;
    const moves = {
      ArrowUp: [row - far, column],
      ArrowDown: [row + far, column],
      ArrowLeft: [row, column - far],
      ArrowRight: [row, column + far],
      Home: [row, 0],
      End: [row, this.n - 1],
      PageUp: [row - 10, column],
      PageDown: [row + 10, column],
    };
    const zooms = { "+": 1 / 1.25, "=": 1 / 1.25, "-": 1.25, "−": 1.25 };
    if (moves[event.key]) this.#place(...moves[event.key], true);
    else if (zooms[event.key]) this.zoom(zooms[event.key]);
    else if (event.key === "0") this.showAll();
    else return;
    event.preventDefault();
  }
}
