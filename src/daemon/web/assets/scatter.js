// Correlations of pairs as an equilibrium model predicts them, against those observed.

import { sized, variable } from "./colours.js";
import { ticks } from "./format.js";

const MARGIN = { left: 66, top: 10, right: 14, bottom: 44 };

export class Scatter {
  /** `moved(place)` is told of each move of the cursor, by the place among the pairs. */
  constructor(canvas, moved) {
    Object.assign(this, { canvas, moved, pairs: null, cursor: null });
    canvas.addEventListener("pointermove", (event) => this.#near(event.offsetX, event.offsetY));
    canvas.addEventListener("focus", () => {
      if (this.pairs && this.cursor === null) this.#step(0);
    });
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (!this.pairs || !steps[event.key]) return;
      this.#step(steps[event.key]);
      event.preventDefault();
    });
    new ResizeObserver(() => this.later()).observe(canvas);
  }

  set(pairs) {
    this.pairs = pairs?.first.length ? pairs : null;
    this.cursor = null;
    if (this.pairs) {
      const { observed, predicted, observed_error, predicted_error } = pairs;
      const off = (k) => Math.abs(observed[k] - predicted[k]) / (Math.hypot(observed_error[k], predicted_error[k]) || 1);
      this.ranked = observed.map((_, k) => k).sort((a, b) => off(b) - off(a));
      const all = [...observed, ...predicted];
      const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)],
        edge = (high - low || 0.01) * 0.06;
      this.range = [low - edge, high + edge];
    }
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
    const { context, width, height } = sized(this.canvas);
    if (!this.pairs) return;
    const [w, h] = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom],
      [low, high] = this.range;
    const x = (value) => MARGIN.left + ((value - low) / (high - low)) * w,
      y = (value) => MARGIN.top + (1 - (value - low) / (high - low)) * h;
    Object.assign(this, { x, y });
    context.textBaseline = "top";
    context.textAlign = "center";
    context.lineWidth = 1;
    for (const { at, text } of ticks(low, high, w / 80)) {
      context.strokeStyle = variable("--grid");
      context.beginPath();
      context.moveTo(x(at), MARGIN.top);
      context.lineTo(x(at), MARGIN.top + h);
      context.stroke();
      context.fillStyle = variable("--muted");
      context.fillText(text, x(at), MARGIN.top + h + 5);
    }
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const { at, text } of ticks(low, high, h / 45)) {
      context.strokeStyle = variable("--grid");
      context.beginPath();
      context.moveTo(MARGIN.left, y(at));
      context.lineTo(MARGIN.left + w, y(at));
      context.stroke();
      context.fillStyle = variable("--muted");
      context.fillText(text, MARGIN.left - 6, y(at));
    }
    context.strokeStyle = variable("--muted");
    context.setLineDash([6, 4]);
    context.beginPath();
    context.moveTo(x(low), y(low));
    context.lineTo(x(high), y(high));
    context.stroke();
    context.setLineDash([]);
    this.#points(context, x, y);
    context.fillStyle = variable("--ink");
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText("observed ⟨sᵢsⱼ⟩ − ⟨sᵢ⟩⟨sⱼ⟩", MARGIN.left + w / 2, MARGIN.top + h + 23);
    context.save();
    context.translate(12, MARGIN.top + h / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText("predicted", 0, 0);
    context.restore();
  }

  #points(context, x, y) {
    const { observed, predicted, observed_error, predicted_error } = this.pairs,
      many = observed.length;
    context.strokeStyle = variable("--bar");
    context.globalAlpha = many > 800 ? 0.13 : 0.35;
    context.beginPath();
    for (let k = 0; k < many; k++) {
      const [at, up] = [x(observed[k]), y(predicted[k])];
      context.moveTo(x(observed[k] - observed_error[k]), up);
      context.lineTo(x(observed[k] + observed_error[k]), up);
      context.moveTo(at, y(predicted[k] - predicted_error[k]));
      context.lineTo(at, y(predicted[k] + predicted_error[k]));
    }
    context.stroke();
    context.globalAlpha = many > 800 ? 0.55 : 0.85;
    context.fillStyle = variable("--accent");
    const radius = many > 800 ? 1.6 : 2.4;
    for (let k = 0; k < many; k++) {
      context.beginPath();
      context.arc(x(observed[k]), y(predicted[k]), radius, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    if (this.cursor === null) return;
    context.strokeStyle = variable("--bad");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x(observed[this.cursor]), y(predicted[this.cursor]), 6, 0, 7);
    context.stroke();
  }

  #near(left, top) {
    if (!this.pairs || !this.x) return;
    const { observed, predicted } = this.pairs;
    let best = null,
      least = 20 * 20;
    for (let k = 0; k < observed.length; k++) {
      const away = (this.x(observed[k]) - left) ** 2 + (this.y(predicted[k]) - top) ** 2;
      if (away < least) {
        least = away;
        best = k;
      }
    }
    if (best !== null) this.#place(best);
  }

  #step(by) {
    const at = this.cursor === null ? 0 : this.ranked.indexOf(this.cursor) + by;
    this.#place(this.ranked[Math.max(0, Math.min(this.ranked.length - 1, at))]);
  }

  #place(place) {
    if (place !== this.cursor) {
      this.cursor = place;
      this.later();
    }
    this.moved(place);
  }
}
