// How well what was published has predicted, over the time of the recording.

import { DASHES, LINES_DARK, LINES_LIGHT, isDark, variable } from "./colours.js";
import { clock, significant } from "./format.js";

const HEIGHT = 230;

export class Scores {
  constructor(box, legend) {
    Object.assign(this, { box, legend, chart: null, series: [] });
    new ResizeObserver(() => {
      if (this.chart && box.clientWidth) this.chart.setSize({ width: box.clientWidth, height: HEIGHT });
    }).observe(box);
  }

  /** Series of `{ name, end_bins, bits_per_spike }`; `leading` is the name of the one that predicts best. */
  set(series, binSeconds, leading) {
    this.series = series;
    const same = this.names === series.map((one) => one.name).join();
    const data = aligned(series, binSeconds);
    if (this.chart && same && this.dark === isDark()) this.chart.setData(data);
    else this.#make(data);
    this.#tell(leading);
  }

  #make(data) {
    this.chart?.destroy();
    this.names = this.series.map((one) => one.name).join();
    this.dark = isDark();
    const colours = this.dark ? LINES_DARK : LINES_LIGHT,
      [ink, grid] = [variable("--ink"), variable("--grid")];
    const axis = (label, values) => ({
      stroke: ink,
      grid: { stroke: grid, width: 1 },
      ticks: { stroke: grid, width: 1 },
      label,
      labelSize: 20,
      font: "12px system-ui",
      labelFont: "12px system-ui",
      values,
    });
    const line = (one, k) => ({
      label: one.name,
      stroke: colours[k % colours.length],
      dash: DASHES[k % DASHES.length],
      width: 2,
      spanGaps: true,
      points: { show: one.end_bins.length < 3 },
    });
    const zero = (chart) => {
      const { ctx, bbox } = chart,
        y = chart.valToPos(0, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) return;
      ctx.save();
      ctx.strokeStyle = variable("--muted");
      ctx.setLineDash([6, 4]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
    };
    const low = (min, max) => [
      Math.min(0, min) - 0.05 * (Math.max(0, max) - Math.min(0, min) || 1),
      Math.max(0, max) + 0.05 * (Math.max(0, max) - Math.min(0, min) || 1),
    ];
    this.chart = new uPlot(
      {
        width: this.box.clientWidth || 400,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { x: { time: false }, y: { range: (_, min, max) => low(min ?? 0, max ?? 0) } },
        axes: [
          axis("recording time (min:s)", (_, places) => places.map((at) => clock(at))),
          { ...axis("bits per spike", (_, places) => places.map((at) => significant(at, 3).replace(/\.?0+$/, "") || "0")), size: 62 },
        ],
        series: [{}, ...this.series.map(line)],
        hooks: { drawClear: [zero], setCursor: [() => this.#tell(this.leading)] },
      },
      data,
      this.box,
    );
  }

  /** Names with the score under the cursor, or the newest. */
  #tell(leading) {
    this.leading = leading;
    const colours = this.dark ? LINES_DARK : LINES_LIGHT,
      at = this.chart?.cursor.idx,
      data = this.chart?.data;
    const items = this.series.map((one, k) => {
      const item = document.createElement("li"),
        swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [name, value] of Object.entries({
        x1: 0,
        x2: 28,
        y1: 5,
        y2: 5,
        stroke: colours[k % colours.length],
        "stroke-width": 3,
        "stroke-dasharray": DASHES[k % DASHES.length].join(" "),
      }))
        line.setAttribute(name, value);
      swatch.append(line);
      swatch.setAttribute("aria-hidden", "true");
      const under = at !== null && at !== undefined && data ? data[k + 1][at] : undefined;
      const value = under ?? one.bits_per_spike.at(-1),
        when = under === undefined || under === null ? "" : ` at ${clock(data[0][at])}`;
      item.append(swatch, `${one.name} ${value > 0 ? "+" : ""}${significant(value)}${when}${one.name === leading ? " · best" : ""}`);
      item.classList.toggle("best", one.name === leading);
      return item;
    });
    this.legend.replaceChildren(...items);
  }
}

/** Series of their own places as columns of common ones. */
function aligned(series, binSeconds) {
  const places = [...new Set(series.flatMap((one) => one.end_bins))].sort((a, b) => a - b);
  const at = new Map(places.map((bin, k) => [bin, k]));
  const columns = series.map((one) => {
    const column = new Array(places.length).fill(null);
    one.end_bins.forEach((bin, k) => {
      column[at.get(bin)] = one.bits_per_spike[k];
    });
    return column;
  });
  return [places.map((bin) => bin * binSeconds), ...columns];
}
