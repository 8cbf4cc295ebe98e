// Spikes, rates, scores and the equilibrium model.

import { api } from "./api.js";
import { clock, count, duration, significant, withError } from "./format.js";
import { Raster } from "./raster.js";
import { Scatter } from "./scatter.js";
import { Scores } from "./scores.js";
import { $, ask, shownWindow, sleep, state, text } from "./state.js";

const SPIKES_MS = 250;

export const raster = new Raster($("raster"), tellRate);
export const scatter = new Scatter($("scatter"), tellChecked);
export const scores = new Scores($("score-chart"), $("score-legend"));

// ---- Spikes and rates ----

export async function stream() {
  for (;;) {
    const { session, gone } = state;
    if (!document.hidden && session && !gone) {
      if (session.state !== "open") noSpikes("The session is closed: its newest bins are kept while it is open.");
      else if (!session.watermarks.applied_through) noSpikes("No bin has come yet.");
      else ask("spikes", () => spikes(session.session_id), noSpikes);
    }
    await sleep(SPIKES_MS);
  }
}

async function spikes(id) {
  const { bins, endBin: from } = raster;
  const found = await api.spikes(id, { bins, from });
  // An answer to what was asked before the depth, or the session, became another would leave a hole.
  if (state.session?.session_id !== id || raster.bins !== bins || raster.endBin !== from) return;
  if (found.end_bin !== raster.endBin) raster.add(found);
  $("raster-empty").hidden = true;
  const shown = Math.min(raster.bins, raster.endBin) * raster.binSeconds,
    asked = Number($("depth").value);
  const less = raster.bins * raster.binSeconds < asked - 1e-9 ? ` (the daemon keeps 16 384 bins, ${duration(shown * 1000)})` : "";
  text(
    $("raster-caption"),
    `Bins with a spike, newest at the right${less}; hatched: bins that never came. Rates: ${state.rateWords ?? "…"}.`,
  );
}

function noSpikes(why) {
  if (raster.endBin && state.session?.state !== "open") {
    text($("raster-caption"), `${why} Shown is what came before.`);
    return;
  }
  $("raster-empty").hidden = false;
  text($("raster-empty"), why);
}

export async function ratesOf(id) {
  const window = shownWindow();
  const found = await api.rates(id, { window });
  if (state.session?.session_id !== id || !found.bins_observed) return;
  const seconds = state.session.spec.bin_width_us / 1e6,
    bins = found.bins_observed;
  state.hz = found.spikes.map((spikes) => {
    const share = spikes / bins;
    return [share / seconds, Math.sqrt((share * (1 - share)) / bins) / seconds];
  });
  state.rateWords = `window ${found.window}, ${count(bins)} bins`;
  raster.setRates(state.hz.map(([hz]) => hz));
  if (raster.cursor !== null) tellRate(raster.cursor);
}

function tellRate(neuron) {
  const rate = state.hz?.[neuron];
  const head = Object.assign(document.createElement("b"), { textContent: state.names[neuron] });
  // A bin with two spikes counts as one: that is what is counted.
  const words = rate
    ? ` ${withError(rate[0], rate[1]).replace(" (no SE)", "")} bins with a spike per second (${state.rateWords}; SE as if bins were independent)`
    : " rate not known yet";
  $("rate-line").replaceChildren(head, words);
}

// ---- Scores ----

export async function scoreHistory(id) {
  const { series } = await api.scores(id);
  if (state.session?.session_id !== id) return;
  const kind = $("score-kind").value,
    { best, spec } = state.session,
    window = shownWindow();
  const shown = series.filter((one) => one.kind === kind && one.window === window);
  $("score-empty").hidden = shown.length > 0;
  $("score-chart").hidden = $("score-legend").hidden = !shown.length;
  if (!shown.length) {
    text(
      $("score-empty"),
      kind === "estimator"
        ? "Nothing is scored yet: an estimate is scored on the bins of the refresh that follows it."
        : "No equilibrium model is scored yet: one is scored on the bins of the fit that follows it.",
    );
    return;
  }
  const newest = (one) => one.bits_per_spike.at(-1);
  const leading =
    kind === "estimator" ? (best?.window === window ? best.estimator : "") : shown.reduce((a, b) => (newest(b) > newest(a) ? b : a)).name;
  scores.set(shown, spec.bin_width_us / 1e6, leading);
}

export function noScores(why) {
  $("score-empty").hidden = false;
  text($("score-empty"), why);
}

// ---- Equilibrium model ----

export async function equilibrium(id) {
  const found = await api.equilibrium(id, { method: $("method").value, window: shownWindow() });
  if (state.session?.session_id !== id) return;
  const { check } = found,
    agreement = check?.pair_correlations,
    pairs = check?.pairs;
  if (found.refusal || !pairs?.first.length) {
    noModel(found.refusal ? `${found.method} gives no model: ${found.refusal}` : "No pair of neurons can be compared.");
    return;
  }
  state.checked = pairs;
  $("scatter-empty").hidden = true;
  scatter.set(pairs);
  const seconds = state.session.spec.bin_width_us / 1e6,
    shown = pairs.first.length;
  const part = shown < agreement.values ? `${count(shown)} of ${count(agreement.values)} pairs, chosen at random` : `${count(shown)} pairs`;
  const r = agreement.correlation === null ? "r not defined" : `r = ${significant(agreement.correlation)}`;
  text(
    $("scatter-caption"),
    `${found.method} on window ${found.window}, ${clock(found.first_bin * seconds)} to ${clock(found.end_bin * seconds)}: ${part}; ${r}, differences ${significant(agreement.rms_difference, 2)} rms, errors of both ${significant(agreement.rms_error, 2)} rms. Bars: 1 SE; dashes: equality.`,
  );
}

export function noModel(why) {
  state.checked = null;
  scatter.set(null);
  text($("scatter-caption"), "");
  $("scatter-empty").hidden = false;
  text($("scatter-empty"), why);
}

function tellChecked(place) {
  const { checked, names } = state;
  if (!checked) return;
  const [observed, predicted] = [
    withError(checked.observed[place], checked.observed_error[place]),
    withError(checked.predicted[place], checked.predicted_error[place]),
  ];
  const head = Object.assign(document.createElement("b"), {
    textContent: `${names[checked.first[place]]} – ${names[checked.second[place]]}`,
  });
  $("scatter-line").replaceChildren(head, ` observed ${observed}, predicted ${predicted}`);
}
