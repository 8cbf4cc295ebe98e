// Colours that people with any kind of colour vision tell apart: blue for negative, orange for positive, and neither for nothing. The light scale ends
// in blues and oranges of ColorBrewer's RdBu and PuOr (Brewer 2002); the dark one has its middle in the ground of the page.

const LIGHT = ["#053061", "#2166ac", "#67a9cf", "#c3dcec", "#f7f7f7", "#fde0b4", "#fdb863", "#e06a02", "#7f3b08"];
const DARK = ["#c6e2ff", "#74b4f2", "#3a7fc4", "#1f466f", "#161b22", "#6b3f0e", "#bd6c12", "#f29a38", "#ffe0b5"];
// Okabe & Ito (2008), without their yellow, which is lost on white; dashes tell those apart that are close.
export const LINES_LIGHT = ["#0072b2", "#d55e00", "#009e73", "#9a4f7d", "#56b4e9", "#8a6d00", "#000000", "#777777", "#b22222"];
export const LINES_DARK = ["#56b4e9", "#f0862d", "#2fc99b", "#e39cc6", "#9ad0f5", "#f0e442", "#ffffff", "#aaaaaa", "#ff8d85"];
export const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [14, 4], [1, 4], [6, 6], [3, 1]];

const scheme = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => scheme.matches;
export const onScheme = (redraw) => scheme.addEventListener("change", redraw);
export const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export const STEPS = 255;

/** The scale as pixels in the order of memory, from −1 to 1 in 2 STEPS + 1 places. */
export function scale() {
  const stops = (isDark() ? DARK : LIGHT).map(parts);
  const pixels = new Uint32Array(2 * STEPS + 1);
  for (let k = 0; k < pixels.length; k++) {
    const at = (k / (2 * STEPS)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    const [r, g, b] = stops[low].map((from, c) => Math.round(from + (stops[low + 1][c] - from) * (at - low)));
    pixels[k] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return pixels;
}

export const css = (pixel) => `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;

/** A colour as a pixel in the order of memory. */
export function pixel(hex) {
  const [r, g, b] = parts(hex);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Make a canvas as large as it is shown; gives its context, in units of CSS pixels, and its size. */
export function sized(canvas) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const { clientWidth: width, clientHeight: height } = canvas;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, 'Segoe UI', Arial, sans-serif";
  return { context, width, height, ratio };
}
