// The page: asks for what has changed, once a second, and shows it. One request of a kind at a time; a hidden page asks for nothing.

import { Gone, Refused, api, traffic } from "./api.js";
import { onScheme } from "./colours.js";
import { arrange, couplings, map, noCouplings, noPairs, pairs, tellAge } from "./couplings.js";
import { showFacts } from "./facts.js";
import { bytes, count, duration } from "./format.js";
import { equilibrium, noModel, noScores, raster, ratesOf, scatter, scoreHistory, scores, stream } from "./panels.js";
import { $, ask, asked, hurry, shownWindow, sleep, state, text } from "./state.js";

const POLL_MS = 1000,
  RATES_MS = 2000;
const chosen = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

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
  options(
    $("session"),
    sessions.map((one) => [one.session_id, named(one)]),
    session?.session_id ?? "",
  );
  const { windows = [], estimators = [], equilibrium_methods: methods = [] } = session?.spec ?? {};
  if (!windows.includes(chosen.window)) delete chosen.window;
  if (![...estimators, "best"].includes(chosen.estimator)) delete chosen.estimator;
  if (![...methods, "best"].includes(chosen.method)) delete chosen.method;
  const best = session?.best;
  const estimator = chosen.estimator ?? estimators[0] ?? "";
  const byScore = estimator === "best" ? [["", best ? `best score (${best.window})` : "best score"]] : [];
  options(
    $("window"),
    [...byScore, ...windows.map((one) => [one, one])],
    chosen.window ?? (estimator === "best" ? "" : (windows[0] ?? "")),
  );
  const all = session
    ? [["best", best ? `best (now ${best.estimator})` : "best (nothing scored yet)"], ...estimators.map((one) => [one, one])]
    : [];
  options($("estimator"), all, estimator);
  options($("method"), methods.length ? [["best", "best"], ...methods.map((one) => [one, one])] : [], chosen.method ?? methods[0] ?? "");
}

// ---- What is connected ----

function notice(words) {
  $("notice").hidden = !words;
  text($("notice"), words);
}

function age(words) {
  $("age").hidden = !words;
  text($("age"), words);
}

function link(kind, words) {
  $("link").dataset.state = kind;
  text($("link"), words);
}

function tellLink(why) {
  $("panels").classList.toggle("stale", state.gone);
  if (!state.gone) return;
  const heard =
    state.heardAt === null
      ? "It has not answered yet."
      : `Its last answer came at ${new Date(state.heardAt).toLocaleTimeString()}; what is shown is as of then.`;
  // Not in a live region: it would be read out every second.
  age(state.heardAt === null ? "" : `Last answer ${duration(Date.now() - state.heardAt)} ago.`);
  link("gone", "daemon gone");
  notice(`${why ?? "The daemon does not answer."} ${heard}\nThe page tries again every second and goes on by itself.`);
}

function tellEmpty({ sessions, daemon_version: version }, session) {
  if (session) {
    const lonely = session.state === "open" && !session.producer_connected,
      heard = session.last_bin_age_ms;
    const since = heard === null ? "no bin has come yet" : "what is shown is as of the last bin";
    notice(lonely ? `Nothing connected: no producer sends to this session; ${since}.` : "");
    age(lonely && heard !== null ? `Last bin ${duration(heard)} ago.` : "");
    return;
  }
  age("");
  if (sessions.length) return;
  notice(
    `Nothing connected: the daemon (version ${version}) runs and has no session yet.\nStart a rig, a bridge or a client; with a recording at hand: glauber replay session.nwb --speed 1x. The page shows it as soon as it is there.`,
  );
}

// ---- Asking ----

async function poll() {
  for (;;) {
    if (!document.hidden) await tried();
    await sleep(POLL_MS);
  }
}

/** Ask once; what goes wrong here is told, and asked for again like everything else. */
async function tried() {
  try {
    await once();
  } catch (error) {
    state.gone = true;
    tellLink(`The page could not show what the daemon answered: ${error?.message ?? error}.`);
    console.error(error);
  }
}

async function once() {
  try {
    const listed = await api.sessions();
    Object.assign(state, { listed, heardAt: Date.now(), gone: false });
  } catch (error) {
    if (!(error instanceof Gone) && !(error instanceof Refused)) throw error;
    state.gone = true;
    tellLink();
    return;
  }
  link("live", `live · daemon ${state.listed.daemon_version}`);
  tellLink();
  const session = current(state.listed.sessions);
  tellEmpty(state.listed, session);
  $("panels").hidden = !session;
  pickers(state.listed.sessions, session);
  showFacts($("facts"), session, state.listed, 0);
  if (!session) {
    state.session = null;
    return;
  }
  await enter(session);
  if (state.session) follow(session);
}

/** Take up a session: its neurons are listed once. */
async function enter(session) {
  if (state.session?.session_id === session.session_id) {
    state.session = session;
    return;
  }
  let whole;
  try {
    whole = await api.session(session.session_id);
  } catch {
    return;
  }
  Object.assign(state, { session, shown: {}, estimate: null, hz: null, checked: null, ratesAfter: 0 });
  state.rows.clear();
  const { neurons } = whole.spec;
  state.names = neurons.map((neuron) => neuron.label || neuron.id);
  map.clear();
  scatter.set(null);
  raster.reset();
  raster.setDepth(Number($("depth").value));
  raster.setNeurons({ n: neurons.length, names: state.names, binSeconds: session.spec.bin_width_us / 1e6 });
  for (const [id, words] of [
    ["pair-line", "Point at a pair, or move to the map with Tab and use the arrow keys."],
    ["rate-line", "Point at a neuron, or use the up and down keys."],
    ["scatter-line", ""],
  ])
    text($(id), words);
}

/** Ask for what has changed of a session. */
function follow(session) {
  const id = session.session_id;
  const key = JSON.stringify([id, asked(), session.refreshes_published]);
  if (state.shown.couplings !== key + $("shown").value && ask("couplings", () => couplings(id), noCouplings))
    state.shown.couplings = key + $("shown").value;
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

// ---- What people do ----

const again = () => {
  if (state.listed && !state.gone) {
    const session = current(state.listed.sessions);
    pickers(state.listed.sessions, session);
    if (session && state.session?.session_id === session.session_id) follow(session);
  }
};
for (const key of ["session", "window", "estimator", "method"]) {
  $(key).addEventListener("change", () => {
    choose(key, $(key).value);
    if (key === "session") {
      delete chosen.window;
      delete chosen.estimator;
      delete chosen.method;
      tried();
      return;
    }
    hurry("couplings", "pairs", "model", "scores", "rates");
    state.ratesAfter = 0;
    again();
  });
}
$("order").addEventListener("change", () => arrange(true));
$("limit").addEventListener("change", () => map.setShare(Number($("limit").value)));
$("shown").addEventListener("change", () => {
  hurry("couplings");
  map.setMostQ(Number($("shown").value) || 0);
  again();
});
$("score-kind").addEventListener("change", () => {
  hurry("scores");
  again();
});
$("depth").addEventListener("change", () => {
  raster.setDepth(Number($("depth").value));
  raster.forget();
});
$("skip").addEventListener("click", (event) => {
  // Following the link would overwrite what is chosen, which the address holds.
  event.preventDefault();
  $("map").focus();
});
$("zoom-in").addEventListener("click", () => map.zoom(1 / 1.5));
$("zoom-out").addEventListener("click", () => map.zoom(1.5));
$("zoom-all").addEventListener("click", () => map.showAll());
onScheme(() => {
  for (const one of [map, raster, scatter]) one.later();
  state.shown.scores = null;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) again();
});
setInterval(() => text($("foot"), `${count(traffic.requests)} requests, ${bytes(traffic.bytes)} since the page was opened.`), 2000);

// For measurements and tests.
globalThis.glauber = { state, map, raster, scatter, scores, traffic };
poll();
stream();
