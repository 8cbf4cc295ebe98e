// The page: asks for what has changed, once a second, and shows it. One request of a kind at a time; a hidden page asks for nothing.

import { Gone, Refused, api, traffic } from "./api.js";
import { onScheme } from "./colours.js";
import { showFacts } from "./facts.js";
import { bytes, clock, count, duration, falseDiscovery, significant, withError } from "./format.js";
import { HeatMap } from "./heatmap.js";
import { Raster } from "./raster.js";
import { Scatter } from "./scatter.js";
import { Scores } from "./scores.js";

const POLL_MS = 1000, SPIKES_MS = 250, RATES_MS = 2000, CLUSTER_MS = 15000, TOP = 40;
const $ = (id) => document.getElementById(id);
const text = (element, words) => { if (element.textContent !== words) element.textContent = words; };
const equals = (words) => (words.startsWith("<") ? words : `= ${words}`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const chosen = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const state = {
  listed: null, listedAt: 0, session: null, names: [], ids: [], shown: {}, estimate: null, rows: new Map(), heardAt: null, gone: false, costs: {},
};

const map = new HeatMap($("map"), $("map-cursor"), tellPair);
const raster = new Raster($("raster"), tellRate);
const scatter = new Scatter($("scatter"), tellChecked);
const scores = new Scores($("score-chart"), $("score-legend"));

// ---- What is chosen ----

function options(select, values, value) {
  const key = JSON.stringify(values);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...values.map(([name, words]) => new Option(words, name)));
  }
  select.disabled = values.length === 0;
  if (values.length && select.value !== value) select.value = value;
}

function choose(key, value) {
  chosen[key] = value;
  history.replaceState(null, "", `#${new URLSearchParams(Object.entries(chosen).filter(([, one]) => one))}`);
}

/** The session that was chosen, or else the open one that was heard from last. */
function current(sessions) {
  const asked = sessions.find((session) => session.session_id === chosen.session);
  if (asked) return asked;
  const rank = (session) => [session.state === "open" ? 0 : 1, session.last_bin_age_ms ?? Infinity];
  return [...sessions].sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1])[0] ?? null;
}

function pickers(sessions, session) {
  const named = (one) => `${one.spec.name ? `${one.spec.name} · ` : ""}${one.session_id}${one.state === "open" ? "" : " (closed)"}`;
  options($("session"), sessions.map((one) => [one.session_id, named(one)]), session?.session_id ?? "");
  const { windows = [], estimators = [], equilibrium_methods: methods = [] } = session?.spec ?? {};
  if (!windows.includes(chosen.window)) delete chosen.window;
  if (![...estimators, "best"].includes(chosen.estimator)) delete chosen.estimator;
  if (![...methods, "best"].includes(chosen.method)) delete chosen.method;
  const best = session?.best;
  const estimator = chosen.estimator ?? estimators[0] ?? "";
  const byScore = estimator === "best" ? [["", best ? `best score (${best.window})` : "best score"]] : [];
  options($("window"), [...byScore, ...windows.map((one) => [one, one])], chosen.window ?? (estimator === "best" ? "" : windows[0] ?? ""));
  const all = session ? [["best", best ? `best (now ${best.estimator})` : "best (nothing scored yet)"], ...estimators.map((one) => [one, one])] : [];
  options($("estimator"), all, estimator);
  options($("method"), methods.length ? [["best", "best"], ...methods.map((one) => [one, one])] : [], chosen.method ?? methods[0] ?? "");
}

const asked = () => ({ estimator: $("estimator").value, window: $("window").value });
/** The window that is shown beside the map: the one of the best estimate, when that is asked for. */
const shownWindow = () => $("window").value || state.session?.best?.window || state.session?.spec.windows[0] || "";

// ---- What is connected ----

function notice(words) {
  $("notice").hidden = !words;
  text($("notice"), words);
}

function link(kind, words) {
  $("link").dataset.state = kind;
  text($("link"), words);
}

function tellLink() {
  $("panels").classList.toggle("stale", state.gone);
  if (!state.gone) return;
  const heard = state.heardAt === null ? "It has not answered yet." : `Its last answer is ${duration(Date.now() - state.heardAt)} old; what is shown is as of then.`;
  link("gone", "daemon gone");
  notice(`The daemon does not answer. ${heard}\nThe page tries again every second and goes on by itself.`);
}

function tellEmpty({ sessions, daemon_version: version }) {
  if (sessions.length) { notice(""); return; }
  notice(`Nothing connected: the daemon (version ${version}) runs and has no session yet.\nStart a rig, a bridge or a client; with a recording at hand: glauber replay session.nwb --speed 1x. The page shows it as soon as it is there.`);
}

// ---- Asking ----

/** Run `work` unless it is running, or its kind takes so long that it needs a rest; what it is refused is shown by `refused`. */
const running = new Set(), restUntil = {};
function ask(kind, work, refused = () => {}) {
  if (running.has(kind) || performance.now() < (restUntil[kind] ?? 0)) return false;
  running.add(kind);
  const began = performance.now(), before = traffic.bytes;
  work()
    .catch((error) => {
      if (error instanceof Refused) refused(error.message);
      else if (!(error instanceof Gone)) throw error;
      // What there is not yet comes with another publication; what failed is asked for again.
      if (error.status !== 409) state.shown[kind] = null;
    })
    .finally(() => {
      running.delete(kind);
      const ms = performance.now() - began;
      state.costs[kind] = { ms, bytes: traffic.bytes - before };
      // At most a third of the time: the page stays smooth, and the daemon has others to answer.
      restUntil[kind] = performance.now() + Math.min(10000, 2 * ms);
    });
  return true;
}

async function poll() {
  for (;;) {
    if (!document.hidden) await once();
    await sleep(POLL_MS);
  }
}

async function once() {
  try {
    const listed = await api.sessions();
    Object.assign(state, { listed, listedAt: performance.now(), heardAt: Date.now(), gone: false });
  } catch (error) {
    if (!(error instanceof Gone) && !(error instanceof Refused)) throw error;
    state.gone = true;
    tellLink();
    return;
  }
  link("live", `live · daemon ${state.listed.daemon_version}`);
  tellLink();
  tellEmpty(state.listed);
  const session = current(state.listed.sessions);
  $("panels").hidden = !session;
  pickers(state.listed.sessions, session);
  showFacts($("facts"), session, state.listed, 0);
  if (!session) { state.session = null; return; }
  await enter(session);
  if (state.session) follow(session);
}

/** Take up a session: its neurons are listed once. */
async function enter(session) {
  if (state.session?.session_id === session.session_id) { state.session = session; return; }
  let whole;
  try { whole = await api.session(session.session_id); } catch { return; }
  Object.assign(state, { session, shown: {}, estimate: null, hz: null, checked: null, ratesAfter: 0 });
  state.rows.clear();
  const { neurons } = whole.spec;
  state.ids = neurons.map((neuron) => neuron.id);
  state.names = neurons.map((neuron) => neuron.label || neuron.id);
  map.clear(); scatter.set(null); raster.reset();
  raster.setDepth(Number($("depth").value));
  raster.setNeurons({ n: neurons.length, names: state.names, binSeconds: session.spec.bin_width_us / 1e6 });
  for (const [id, words] of [["pair-line", "Point at a pair, or move to the map with Tab and use the arrow keys."], ["rate-line", "Point at a neuron, or use the up and down keys."], ["scatter-line", ""]]) text($(id), words);
}

/** Ask for what has changed of a session. */
function follow(session) {
  const id = session.session_id;
  const key = JSON.stringify([id, asked(), session.refreshes_published]);
  if (state.shown.couplings !== key + $("shown").value && ask("couplings", () => couplings(id), noCouplings)) state.shown.couplings = key + $("shown").value;
  if (state.shown.pairs !== key && ask("pairs", () => pairs(id), noPairs)) state.shown.pairs = key;
  const history = JSON.stringify([key, session.equilibrium_published, $("score-kind").value]);
  if (state.shown.scores !== history && ask("scores", () => scoreHistory(id), noScores)) state.shown.scores = history;
  const model = JSON.stringify([id, $("method").value, shownWindow(), session.equilibrium_published]);
  if (!session.spec.equilibrium_methods.length) noModel("This session fits no equilibrium models (defaults.equilibrium_methods).");
  else if (state.shown.model !== model && ask("model", () => equilibrium(id), noModel)) state.shown.model = model;
  const applied = session.watermarks.applied_through;
  const rates = JSON.stringify([id, shownWindow(), applied]);
  if (applied && state.shown.rates !== rates && performance.now() >= (state.ratesAfter ?? 0) && ask("rates", () => ratesOf(id))) {
    state.shown.rates = rates;
    state.ratesAfter = performance.now() + RATES_MS;
  }
  tellAge();
}

// ---- Couplings ----

async function couplings(id) {
  const mostQ = Number($("shown").value) || 0, of = JSON.stringify(asked());
  const found = await api.couplings(id, { ...asked(), q: mostQ > 0 });
  if (state.session?.session_id !== id || of !== JSON.stringify(asked())) return;
  const { header, n } = found;
  state.estimate = { ...header, heardAt: performance.now(), couplings: found.couplings };
  state.rows.clear();
  $("map-empty").hidden = true;
  const began = performance.now();
  map.mostQ = mostQ;
  map.set({ n, couplings: found.couplings, q: found.q, status: header.status, names: state.names });
  state.costs.set = performance.now() - began;
  arrange();
  tellRows(header);
  tellAge();
  const pair = map.pair();
  if (pair) tellPair(pair.receiver, pair.sender);
}

function noCouplings(why) {
  state.estimate = null;
  map.clear();
  $("rows-box").hidden = true;
  $("map-empty").hidden = false;
  text($("map-empty"), `No estimate to show yet:\n${why}`);
  text($("map-caption"), "");
}

function tellAge() {
  const { estimate, session } = state;
  if (!estimate || !session) return;
  const seconds = session.spec.bin_width_us / 1e6, age = estimate.age_ms + performance.now() - estimate.heardAt;
  const since = Math.max(0, session.watermarks.applied_through - estimate.end_bin);
  const gain = estimate.score.recent?.bits_per_spike;
  const scored = gain === null || gain === undefined ? "Not scored yet" : `${gain > 0 ? "+" : ""}${significant(gain)} bits per spike over rates`;
  const caption = $("map-caption");
  const words = `${estimate.estimator} on window ${estimate.window}, ${clock(estimate.first_bin * seconds)} to ${clock(estimate.end_bin * seconds)} (${count(estimate.transitions)} transitions, ridge ${significant(estimate.ridge, 2)}), ` +
    `${duration(age)} old, ${count(since)} bins since. ${scored}.`;
  const worse = gain <= 0 && gain !== null ? " Predicts worse than rates alone: do not read single couplings." : "";
  if (caption.dataset.words === words + worse) return;
  caption.dataset.words = words + worse;
  const strong = document.createElement("strong");
  strong.textContent = worse;
  caption.replaceChildren(words, strong);
}

/** Rows that are not OK. */
function tellRows({ status }) {
  const bad = status.map((one, k) => [one, k]).filter(([one]) => one !== "OK");
  $("rows-box").hidden = bad.length === 0;
  if (!bad.length) return;
  const counts = {};
  for (const [one] of bad) counts[one] = (counts[one] ?? 0) + 1;
  const tally = Object.entries(counts).map(([one, times]) => `${count(times)} ${one}`).join(", ");
  text($("rows-summary"), `${bad.length} of ${status.length} rows are not OK: ${tally} (marked at the left edge; hatched where there is no estimate)`);
  const listed = bad.slice(0, 400).map(([one, k]) => Object.assign(document.createElement("li"), { textContent: `${state.names[k]}: ${one}` }));
  $("rows").replaceChildren(...listed);
}

/** Say what is known of a pair, as numbers of the daemon: its row is asked for once for each publication. */
async function tellPair(receiver, sender) {
  const { estimate, session, names } = state;
  if (!estimate) return;
  const line = $("pair-line"), ticket = (state.ticket = (state.ticket ?? 0) + 1);
  let row = state.rows.get(receiver);
  if (!row) {
    row = api.row(session.session_id, { ...asked(), receiver });
    state.rows.set(receiver, row);
  }
  try {
    row = await row;
  } catch {
    state.rows.delete(receiver);
    return;
  }
  if (ticket !== state.ticket || state.estimate !== estimate) return;
  const status = estimate.status[receiver], [value, error] = [row.couplings[sender], row.standard_errors[sender]];
  const which = receiver === sender ? "itself" : names[receiver];
  const head = Object.assign(document.createElement("b"), { textContent: `${names[sender]} → ${which}` });
  const z = error > 0 ? `, z = ${significant(value / error)}` : "";
  // Fields and self-couplings are families of their own: without a standard error there is no q.
  const q = error > 0 && status === "OK" ? `, q ${equals(falseDiscovery(row.q_values[sender]))}` : "";
  line.replaceChildren(head, `  J = ${withError(value, error)}${z}${q}; row of ${names[receiver]}: ${status}${row.publication === estimate.publication ? "" : " (newer than the map)"}`);
}

// ---- The order of the map ----

const NOTES = {
  cluster: "Cluster: average linkage of the correlation between neurons’ couplings, in and out; made anew every 15 s.",
  strength: "Strength: sum of |J| to and from all others, largest first.",
};
const worker = { ticket: 0, at: -CLUSTER_MS };
function arrange(now = false) {
  const { n, couplings: values, noColumn, noRow, limit } = map, how = $("order").value;
  if (!n) return;
  const index = Array.from({ length: n }, (_, k) => k);
  if (how !== "cluster") text($("order-note"), NOTES[how] ?? "");
  if (how === "index") map.setOrder(Uint32Array.from(index));
  if (how === "label") map.setOrder(Uint32Array.from(index.sort((a, b) => state.names[a].localeCompare(state.names[b], undefined, { numeric: true }) || a - b)));
  if (how === "strength") {
    const sums = new Float64Array(n);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i !== j) { const size = Math.abs(values[i * n + j]); sums[i] += size; sums[j] += size; }
    map.setOrder(Uint32Array.from(index.sort((a, b) => sums[b] - sums[a] || a - b)));
  }
  if (how !== "cluster" || (!now && performance.now() - worker.at < CLUSTER_MS) || worker.busy) return;
  worker.thread ??= Object.assign(new Worker("assets/order.js", { type: "module" }), {
    onmessage: ({ data: { ticket, order } }) => {
      worker.busy = false;
      if ($("order").value === "cluster") text($("order-note"), NOTES.cluster);
      state.costs.cluster = performance.now() - worker.at;
      if (ticket === worker.ticket && $("order").value === "cluster" && order.length === map.n) map.setOrder(order);
    },
  });
  Object.assign(worker, { ticket: worker.ticket + 1, at: performance.now(), busy: true });
  if (now) text($("order-note"), "Ordering by clusters …");
  const takesPart = noColumn.map((none, k) => (none || noRow[k] ? 0 : 1));
  worker.thread.postMessage({ ticket: worker.ticket, n, couplings: values, takesPart, limit });
}

// ---- Strongest pairs ----

async function pairs(id) {
  const found = await api.pairs(id, { ...asked(), top: TOP });
  if (state.session?.session_id !== id) return;
  const cell = (words, kind) => Object.assign(document.createElement("td"), { textContent: words, className: kind ?? "" });
  const rows = found.pairs.map((pair) => {
    const row = document.createElement("tr"), from = document.createElement("td"), go = document.createElement("button");
    go.type = "button";
    go.textContent = state.names[pair.sender];
    go.setAttribute("aria-label", `${state.names[pair.sender]} to ${state.names[pair.receiver]}: show in the map`);
    go.addEventListener("click", () => { map.show(pair.receiver, pair.sender); $("map").scrollIntoView({ block: "nearest" }); });
    from.append(go);
    Object.assign(row.dataset, { sender: pair.sender, receiver: pair.receiver });
    row.append(from, cell(state.names[pair.receiver]), cell(withError(pair.coupling, pair.standard_error), "number"), cell(significant(pair.z), "number"), cell(falseDiscovery(pair.q), "number"), cell(pair.status, pair.status === "OK" ? "" : "other"));
    return row;
  });
  const focused = document.activeElement?.closest?.("#pairs tr");
  const [body] = $("pairs").tBodies, at = focused ? [...body.rows].indexOf(focused) : -1;
  body.replaceChildren(...rows);
  if (at >= 0) body.rows[Math.min(at, rows.length - 1)]?.querySelector("button").focus();
  $("pairs").hidden = !rows.length;
  $("pairs-empty").hidden = rows.length > 0;
  $("pairs").dataset.publication = found.publication;
  text($("pairs-empty"), "No pair can be estimated: see the statuses of the rows.");
}

function noPairs(why) {
  $("pairs").hidden = true;
  $("pairs-empty").hidden = false;
  text($("pairs-empty"), why);
}

// ---- Spikes and rates ----

async function stream() {
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
  const found = await api.spikes(id, { bins: raster.bins, from: raster.endBin });
  if (state.session?.session_id !== id) return;
  if (found.end_bin !== raster.endBin) raster.add(found);
  $("raster-empty").hidden = true;
  const shown = Math.min(raster.bins, raster.endBin) * raster.binSeconds, asked = Number($("depth").value);
  const less = raster.bins * raster.binSeconds < asked - 1e-9 ? ` (the daemon keeps 16 384 bins, ${duration(shown * 1000)})` : "";
  text($("raster-caption"), `Bins with a spike, newest at the right${less}; hatched: bins that never came. Rates: ${state.rateWords ?? "…"}.`);
}

function noSpikes(why) {
  if (raster.endBin && state.session?.state !== "open") { text($("raster-caption"), `${why} Shown is what came before.`); return; }
  $("raster-empty").hidden = false;
  text($("raster-empty"), why);
}

async function ratesOf(id) {
  const window = shownWindow();
  const found = await api.rates(id, { window });
  if (state.session?.session_id !== id || !found.bins_observed) return;
  const seconds = state.session.spec.bin_width_us / 1e6, bins = found.bins_observed;
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
  const words = rate ? ` ${withError(rate[0], rate[1]).replace(" (no SE)", "")} bins with a spike per second (${state.rateWords}; SE as if bins were independent)` : " rate not known yet";
  $("rate-line").replaceChildren(head, words);
}

// ---- Scores ----

async function scoreHistory(id) {
  const { series } = await api.scores(id);
  if (state.session?.session_id !== id) return;
  const kind = $("score-kind").value, { best, spec } = state.session, window = shownWindow();
  const shown = series.filter((one) => one.kind === kind && one.window === window);
  $("score-empty").hidden = shown.length > 0;
  $("score-chart").hidden = $("score-legend").hidden = !shown.length;
  if (!shown.length) {
    text($("score-empty"), kind === "estimator" ? "Nothing is scored yet: an estimate is scored on the bins of the refresh that follows it." : "No equilibrium model is scored yet: one is scored on the bins of the fit that follows it.");
    return;
  }
  const newest = (one) => one.bits_per_spike.at(-1);
  const leading = kind === "estimator" ? (best?.window === window ? best.estimator : "") : shown.reduce((a, b) => (newest(b) > newest(a) ? b : a)).name;
  scores.set(shown, spec.bin_width_us / 1e6, leading);
}

function noScores(why) {
  $("score-empty").hidden = false;
  text($("score-empty"), why);
}

// ---- Equilibrium model ----

async function equilibrium(id) {
  const found = await api.equilibrium(id, { method: $("method").value, window: shownWindow() });
  if (state.session?.session_id !== id) return;
  const { check } = found, agreement = check?.pair_correlations, pairs = check?.pairs;
  if (found.refusal || !pairs?.first.length) {
    noModel(found.refusal ? `${found.method} gives no model: ${found.refusal}` : "No pair of neurons can be compared.");
    return;
  }
  state.checked = pairs;
  $("scatter-empty").hidden = true;
  scatter.set(pairs);
  const seconds = state.session.spec.bin_width_us / 1e6, shown = pairs.first.length;
  const part = shown < agreement.values ? `${count(shown)} of ${count(agreement.values)} pairs, chosen at random` : `${count(shown)} pairs`;
  const r = agreement.correlation === null ? "r not defined" : `r = ${significant(agreement.correlation)}`;
  text($("scatter-caption"), `${found.method} on window ${found.window}, ${clock(found.first_bin * seconds)} to ${clock(found.end_bin * seconds)}: ${part}; ${r}, differences ${significant(agreement.rms_difference, 2)} rms, errors of both ${significant(agreement.rms_error, 2)} rms. Bars: 1 SE; dashes: equality.`);
}

function noModel(why) {
  state.checked = null;
  scatter.set(null);
  text($("scatter-caption"), "");
  $("scatter-empty").hidden = false;
  text($("scatter-empty"), why);
}

function tellChecked(place) {
  const { checked, names } = state;
  if (!checked) return;
  const [observed, predicted] = [withError(checked.observed[place], checked.observed_error[place]), withError(checked.predicted[place], checked.predicted_error[place])];
  const head = Object.assign(document.createElement("b"), { textContent: `${names[checked.first[place]]} – ${names[checked.second[place]]}` });
  $("scatter-line").replaceChildren(head, ` observed ${observed}, predicted ${predicted}`);
}

// ---- What people do ----

const again = () => { if (state.listed && !state.gone) { const session = current(state.listed.sessions); pickers(state.listed.sessions, session); if (session && state.session?.session_id === session.session_id) follow(session); } };
for (const key of ["session", "window", "estimator", "method"]) {
  $(key).addEventListener("change", () => {
    choose(key, $(key).value);
    if (key === "session") { delete chosen.window; delete chosen.estimator; delete chosen.method; once(); return; }
    for (const kind of ["couplings", "pairs", "model", "scores", "rates"]) restUntil[kind] = 0;
    state.ratesAfter = 0;
    again();
  });
}
$("order").addEventListener("change", () => arrange(true));
$("limit").addEventListener("change", () => map.setShare(Number($("limit").value)));
$("shown").addEventListener("change", () => { restUntil.couplings = 0; map.setMostQ(Number($("shown").value) || 0); again(); });
$("score-kind").addEventListener("change", () => { restUntil.scores = 0; again(); });
$("depth").addEventListener("change", () => { raster.setDepth(Number($("depth").value)); raster.endBin = 0; raster.runs = []; });
$("zoom-in").addEventListener("click", () => map.zoom(1 / 1.5));
$("zoom-out").addEventListener("click", () => map.zoom(1.5));
$("zoom-all").addEventListener("click", () => map.showAll());
onScheme(() => { for (const one of [map, raster, scatter]) one.later(); state.shown.scores = null; });
document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
setInterval(() => text($("foot"), `${count(traffic.requests)} requests, ${bytes(traffic.bytes)} since the page was opened.`), 2000);

// For measurements and tests.
globalThis.glauber = { state, map, raster, scatter, scores, traffic };
poll();
stream();
