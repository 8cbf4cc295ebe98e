// Numbers as people read them.

const MINUS = "−";
const sign = (text) => text.replace(/^-/, MINUS).replace("e-", `e${MINUS}`).replace("e+", "e");

/** So many significant digits, without a trail of zeros for very small ones. */
export function significant(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return sign(size < 1e-4 || size >= 1e6 ? value.toExponential(digits - 1) : value.toPrecision(digits));
}

/** A value and its standard error, to two digits of the error. */
export function withError(value, error) {
  if (!(error > 0)) return `${significant(value)} (no SE)`;
  const decimals = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(error))));
  return `${sign(value.toFixed(decimals))} ± ${error.toFixed(decimals)}`;
}

/** A false discovery rate; below the smallest that is worth telling apart, that. */
export function falseDiscovery(q) {
  if (q === null || q === undefined) return "–";
  return q < 1e-6 ? "< 10⁻⁶" : significant(q, 2);
}

export const count = (value) => Math.round(value).toLocaleString("en").replaceAll(",", " ");

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (value >= 1000 && place < units.length - 1) {
    value /= 1000;
    place += 1;
  }
  return `${place && value < 100 ? value.toPrecision(3) : Math.round(value)} ${units[place]}`;
}

/** A duration in its largest two units. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

/** A name with room for some eight letters: its end, for that is where the names of a recording differ. */
export function short(name) {
  return name.length > 9 ? `…${name.slice(-8).trimStart()}` : name;
}

/** Place on a clock that begins at 0: m:ss or h:mm:ss. */
export function clock(seconds) {
  const whole = Math.floor(Math.abs(seconds) + 1e-9);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (x) => String(x).padStart(2, "0");
  return (seconds < 0 ? MINUS : "") + (h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`);
}

/** The next of 1, 2, 5 × 10^k from a value up. */
export function nice(value) {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 5, 7, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9)) ?? 10 * power;
}

/** Round places of an axis from `low` to `high`, about so many. */
export function ticks(low, high, about) {
  const raw = (high - low) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= raw * (1 - 1e-9)) ?? 10 * power;
  const places = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9 && places.length < 60; k++) places.push(k * step);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return places.map((at) => ({ at, text: sign(at.toFixed(Math.min(decimals, 8))) }));
}
