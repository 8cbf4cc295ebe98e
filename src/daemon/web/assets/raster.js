// The spikes of the last seconds, a row per neuron, and beside it how often each neuron fires.

import { pixel, sized, variable } from "./colours.js";
import { clock, nice, short, significant, ticks } from "./format.js";

const MARGIN = { left: 66, top: 8, between: 26, right: 12, bottom: 42 };
const RATES_SHARE = 0.2;

export class Raster {
  /** `moved(neuron)` is told of each move of the cursor. */
  constructor(canvas, moved) {
    Object.assign(this, { canvas, moved });
    this.lastDrawMs = 0;
    this.reset();
    canvas.addEventListener("pointermove", (event) => {
      const y = event.offsetY - MARGIN.top;
      if (this.n && y >= 0 && y < this.height) this.#place(Math.floor((y / this.height) * this.n));
    });
    canvas.addEventListener("focus", () => {
      if (this.n && this.cursor === null) this.#place(0);
    });
    canvas.addEventListener("keydown", (event) => {
      const far = event.shiftKey ? 10 : 1,
        at = this.cursor ?? 0;
      const moves = { ArrowUp: at - far, ArrowDown: at + far, PageUp: at - 10, PageDown: at + 10, Home: 0, End: this.n - 1 };
      if (!this.n || moves[event.key] === undefined) return;
      this.#place(moves[event.key]);
      event.preventDefault();
    });
    new ResizeObserver(() => this.later()).observe(canvas);
  }

  /** Forget everything: another session is shown. */
  reset() {
    Object.assign(this, { n: 0, runs: [], gaps: [], endBin: 0, firstBin: 0, hz: null, cursor: null });
    this.later();
  }

  /** Forget the spikes: all are asked for anew. */
  forget() {
    Object.assign(this, { runs: [], gaps: [], endBin: 0, firstBin: 0 });
  }

  setNeurons({ n, names, binSeconds }) {
    Object.assign(this, { n, names, binSeconds });
    this.later();
  }

  setDepth(seconds) {
    this.seconds = seconds;
    this.later();
  }

  /** Bins that the page keeps. */
  get bins() {
    return Math.max(1, Math.min(16384, Math.round(this.seconds / this.binSeconds)));
  }

  /** Add newer bins; what lies between is a gap. */
  add({ first_bin, end_bin, runs }) {
    if (first_bin > this.endBin || end_bin < this.endBin) {
      this.runs = [];
      this.gaps = [];
      this.firstBin = first_bin;
    }
    let expected = Math.max(first_bin, this.endBin);
    for (const run of runs) {
      if (run.first_bin > expected) this.gaps.push([expected, run.first_bin]);
      this.runs.push(run);
      expected = run.first_bin + run.counts.length;
    }
    if (end_bin > expected) this.gaps.push([expected, end_bin]);
    this.endBin = end_bin;
    const oldest = end_bin - this.bins;
    this.runs = this.runs.filter((run) => run.first_bin + run.counts.length > oldest);
    this.gaps = this.gaps.filter(([, end]) => end > oldest);
    this.firstBin = Math.max(this.firstBin, oldest, 0);
    this.later();
  }

  /** Rates in Hz, one per neuron. */
  setRates(hz) {
    this.hz = hz;
    this.later();
  }

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
    this.height = height - MARGIN.top - MARGIN.bottom;
    const rates = Math.round((width - MARGIN.left - MARGIN.right) * RATES_SHARE);
    const across = width - MARGIN.left - MARGIN.right - MARGIN.between - rates;
    if (this.n && across > 50) {
      const place = { left: MARGIN.left, top: MARGIN.top, across };
      this.#spikes(context, ratio, place);
      this.#rates(context, MARGIN.left + across + MARGIN.between, rates);
      this.#axes(context, place);
      this.#cursor(context, width);
    }
    this.lastDrawMs = performance.now() - began;
  }

  #spikes(context, ratio, { left, top, across }) {
    const [w, h] = [Math.round(across * ratio), Math.round(this.height * ratio)];
    const image = new ImageData(w, h),
      out = new Uint32Array(image.data.buffer);
    const ink = pixel(variable("--spike")),
      hatch = pixel(variable("--hatch"));
    const { n, bins, endBin } = this,
      oldest = endBin - bins,
      perBin = w / bins,
      row = h / n;
    for (const [first, end] of this.gaps) {
      const from = Math.max(0, Math.floor((first - oldest) * perBin)),
        to = Math.min(w, Math.ceil((end - oldest) * perBin));
      for (let y = 0; y < h; y++) for (let x = from; x < to; x++) if ((x + y) % 8 < 2) out[y * w + x] = hatch;
    }
    // A tick is nearly as tall as its row and at least a pixel wide.
    const tall = Math.max(1, Math.floor(row * 0.75)),
      wide = Math.max(1, Math.min(Math.ceil(2 * ratio), Math.floor(perBin)) || 1);
    const tops = Int32Array.from({ length: n }, (_, k) => Math.min(h - tall, Math.floor(k * row)));
    for (const { first_bin, counts, neurons } of this.runs) {
      let spike = 0;
      for (let k = 0; k < counts.length; k++) {
        const x = Math.floor((first_bin + k - oldest) * perBin),
          end = spike + counts[k];
        if (x < 0 || x >= w) {
          spike = end;
          continue;
        }
        const right = Math.min(w, x + wide);
        for (; spike < end; spike++) {
          let at = tops[neurons[spike]] * w;
          for (let y = 0; y < tall; y++, at += w) for (let dx = x; dx < right; dx++) out[at + dx] = ink;
        }
      }
    }
    context.putImageData(image, Math.round(left * ratio), Math.round(top * ratio));
  }

  #rates(context, left, across) {
    context.strokeStyle = variable("--line");
    context.strokeRect(left - 0.5, MARGIN.top - 0.5, across, this.height + 1);
    if (!this.hz) return;
    const most = nice(this.hz.reduce((a, b) => Math.max(a, b), 0)),
      row = this.height / this.n;
    context.fillStyle = variable("--bar");
    for (let k = 0; k < this.n; k++) context.fillRect(left, MARGIN.top + k * row, (across * this.hz[k]) / most, Math.max(1, row * 0.8));
    context.fillStyle = variable("--muted");
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const value of [0, most])
      context.fillText(significant(value, 2).replace(/\.0$/, ""), left + (across * value) / most, MARGIN.top + this.height + 5);
    context.fillStyle = variable("--ink");
    context.fillText("rate (Hz)", left + across / 2, MARGIN.top + this.height + 22);
  }

  #axes(context, { left, top, across }) {
    context.strokeStyle = variable("--line");
    context.strokeRect(left - 0.5, top - 0.5, across + 1, this.height + 1);
    const span = this.bins * this.binSeconds,
      shown = ticks(-span, 0, Math.max(2, across / 90));
    context.fillStyle = variable("--muted");
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const { at, text } of shown) context.fillText(text, left + (1 + at / span) * across, top + this.height + 5);
    context.fillStyle = variable("--ink");
    context.fillText(`time (s) before ${clock(this.endBin * this.binSeconds)} of the recording`, left + across / 2, top + this.height + 22);
    const row = this.height / this.n,
      step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => one * row >= 15) ?? 2000;
    context.fillStyle = variable("--muted");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let k = 0; k < this.n; k += step) {
      const name = this.names[k];
      context.fillText(short(name), left - 5, top + (k + 0.5) * row);
    }
  }

  #cursor(context, width) {
    if (this.cursor === null) return;
    const row = this.height / this.n;
    context.fillStyle = variable("--accent");
    context.globalAlpha = 0.25;
    context.fillRect(MARGIN.left, MARGIN.top + this.cursor * row - 1, width - MARGIN.left - MARGIN.right, Math.max(3, row));
    context.globalAlpha = 1;
  }

  #place(neuron) {
    const at = Math.max(0, Math.min(this.n - 1, neuron));
    if (at !== this.cursor) {
      this.cursor = at;
      this.later();
    }
    this.moved(at);
  }
}
