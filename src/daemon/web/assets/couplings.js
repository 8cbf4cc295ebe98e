// The map of couplings, what is said of a pair, and the strongest pairs.

import { Gone, Refused, api } from "./api.js";
import { clock, count, duration, falseDiscovery, significant, withError } from "./format.js";
import { HeatMap } from "./heatmap.js";
import { $, asked, state, text } from "./state.js";

const CLUSTER_MS = 15000,
  TOP = 40,
  ROWS_KEPT = 64;
/** More neurons than this would be a matrix of more than 36 MB a time. */
const MAP_NEURONS_MAX = 3000;
const equals = (words) => (words.startsWith("<") ? words : `= ${words}`);

export const map = new HeatMap($("map"), $("map-cursor"), tellPair);

export async function couplings(id) {
  if (state.names.length > MAP_NEURONS_MAX) {
    noCouplings(
      `${count(state.names.length)} neurons are more than a map can show (${count(MAP_NEURONS_MAX)}); the strongest pairs are listed.`,
    );
    return;
  }
  const mostQ = Number($("shown").value) || 0,
    of = JSON.stringify(asked());
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

export function noCouplings(why) {
  state.estimate = null;
  map.clear();
  $("rows-box").hidden = true;
  $("map-empty").hidden = false;
  text($("map-empty"), why);
  text($("map-caption"), "");
}

export function tellAge() {
  const { estimate, session } = state;
  if (!estimate || !session) return;
  const seconds = session.spec.bin_width_us / 1e6,
    age = estimate.age_ms + performance.now() - estimate.heardAt;
  const since = Math.max(0, session.watermarks.applied_through - estimate.end_bin);
  const gain = estimate.score.recent?.bits_per_spike;
  const scored =
    gain === null || gain === undefined ? "Not scored yet" : `${gain > 0 ? "+" : ""}${significant(gain)} bits per spike over rates`;
  const caption = $("map-caption");
  const words =
    `${estimate.estimator} on window ${estimate.window}, ${clock(estimate.first_bin * seconds)} to ${clock(estimate.end_bin * seconds)} (${count(estimate.transitions)} transitions, ridge ${significant(estimate.ridge, 2)}), ` +
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
  const tally = Object.entries(counts)
    .map(([one, times]) => `${count(times)} ${one}`)
    .join(", ");
  text(
    $("rows-summary"),
    `${bad.length} of ${status.length} rows are not OK: ${tally} (marked at the left edge; hatched where there is no estimate)`,
  );
  const listed = bad
    .slice(0, 400)
    .map(([one, k]) => Object.assign(document.createElement("li"), { textContent: `${state.names[k]}: ${one}` }));
  $("rows").replaceChildren(...listed);
}

/** Say what is known of a pair, in numbers of the daemon. Its row is asked for once for each publication, and one row at a time: a pointer passes many. */
async function tellPair(receiver, sender) {
  state.wanted = { receiver, sender };
  if (state.asking) return;
  state.asking = true;
  try {
    while (state.wanted && state.estimate && state.session) {
      const { wanted, estimate } = state,
        kept = state.rows.get(wanted.receiver);
      const row = kept ?? (await api.row(state.session.session_id, { ...asked(), receiver: wanted.receiver }));
      if (state.estimate !== estimate) continue;
      if (!kept) {
        if (state.rows.size >= ROWS_KEPT) state.rows.clear();
        state.rows.set(wanted.receiver, row);
      }
      if (wanted !== state.wanted) continue;
      state.wanted = null;
      sayPair(estimate, row, wanted);
    }
  } catch (error) {
    if (!(error instanceof Gone) && !(error instanceof Refused)) throw error;
    text($("pair-line"), error instanceof Refused ? error.message : "The daemon does not answer.");
  } finally {
    state.asking = false;
  }
}

function sayPair(estimate, row, { receiver, sender }) {
  const { names } = state,
    status = estimate.status[receiver];
  const [value, error] = [row.couplings[sender], row.standard_errors[sender]];
  const which = receiver === sender ? "itself" : names[receiver];
  const head = Object.assign(document.createElement("b"), { textContent: `${names[sender]} → ${which}` });
  const z = error > 0 ? `, z = ${significant(value / error)}` : "";
  // Without a standard error there is no q, and rows that are not OK are in no family.
  const q = error > 0 && status === "OK" ? `, q ${equals(falseDiscovery(row.q_values[sender]))}` : "";
  // A neuron that takes no part has neither couplings to others nor from them.
  const other = estimate.status[sender] === "OK" || sender === receiver ? "" : `, of ${names[sender]}: ${estimate.status[sender]}`;
  const told = error > 0 || value !== 0 ? `J = ${withError(value, error)}` : "no estimate";
  const newer = row.publication === estimate.publication ? "" : " (newer than the map)";
  say(head, `  ${told}${z}${q}; row of ${names[receiver]}: ${status}${other}${newer}`);
}

/** Of a pair of the list, while there is no map. */
function sayListed({ receiver, sender, coupling, standard_error: error, z, q, status }) {
  const { names } = state,
    head = Object.assign(document.createElement("b"), { textContent: `${names[sender]} → ${names[receiver]}` });
  const family = status === "OK" ? `, q ${equals(falseDiscovery(q))}` : "";
  say(head, `  J = ${withError(coupling, error)}, z = ${significant(z)}${family}; row of ${names[receiver]}: ${status}`);
}

/** Say it once: the line is read out when it changes. */
function say(head, words) {
  const line = $("pair-line");
  if (line.textContent !== head.textContent + words) line.replaceChildren(head, words);
}

// ---- The order of the map ----

const NOTES = {
  cluster: "Cluster: average linkage of the correlation between neurons’ couplings, in and out; made anew every 15 s.",
  strength: "Strength: sum of |J| to and from all others, largest first.",
};
const worker = { ticket: 0, at: -CLUSTER_MS };
export function arrange(now = false) {
  const { n, couplings: values, noColumn, noRow, limit } = map,
    how = $("order").value;
  if (!n) return;
  const index = Array.from({ length: n }, (_, k) => k);
  if (how !== "cluster") text($("order-note"), NOTES[how] ?? "");
  if (how === "index") map.setOrder(Uint32Array.from(index));
  if (how === "label")
    map.setOrder(
      Uint32Array.from(index.sort((a, b) => state.names[a].localeCompare(state.names[b], undefined, { numeric: true }) || a - b)),
    );
  if (how === "strength") {
    const sums = new Float64Array(n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        if (i !== j) {
          const size = Math.abs(values[i * n + j]);
          sums[i] += size;
          sums[j] += size;
        }
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
    onerror: () => {
      // The next arrangement begins with another one.
      worker.thread?.terminate();
      Object.assign(worker, { thread: null, busy: false });
      if ($("order").value === "cluster") text($("order-note"), "The clusters could not be found; the next estimate is tried again.");
    },
  });
  Object.assign(worker, { ticket: worker.ticket + 1, at: performance.now(), busy: true });
  if (now) text($("order-note"), "Ordering by clusters …");
  const takesPart = noColumn.map((none, k) => (none || noRow[k] ? 0 : 1));
  worker.thread.postMessage({ ticket: worker.ticket, n, couplings: values, takesPart, limit });
}

// ---- Strongest pairs ----

export async function pairs(id) {
  const found = await api.pairs(id, { ...asked(), top: TOP });
  if (state.session?.session_id !== id) return;
  const cell = (words, kind) => Object.assign(document.createElement("td"), { textContent: words, className: kind ?? "" });
  const rows = found.pairs.map((pair) => {
    const row = document.createElement("tr"),
      from = document.createElement("td"),
      go = document.createElement("button");
    go.type = "button";
    go.textContent = state.names[pair.sender];
    go.setAttribute("aria-label", `${state.names[pair.sender]} to ${state.names[pair.receiver]}: show in the map`);
    go.addEventListener("click", () => {
      if (map.n) map.show(pair.receiver, pair.sender);
      else sayListed(pair);
      $("map").scrollIntoView({ block: "nearest" });
    });
    from.append(go);
    Object.assign(row.dataset, { sender: pair.sender, receiver: pair.receiver });
    row.append(
      from,
      cell(state.names[pair.receiver]),
      cell(withError(pair.coupling, pair.standard_error), "number"),
      cell(significant(pair.z), "number"),
      cell(falseDiscovery(pair.q), "number"),
      cell(pair.status, pair.status === "OK" ? "" : "other"),
    );
    return row;
  });
  const focused = document.activeElement?.closest?.("#pairs tr");
  const [body] = $("pairs").tBodies,
    at = focused ? [...body.rows].indexOf(focused) : -1;
  body.replaceChildren(...rows);
  if (at >= 0) body.rows[Math.min(at, rows.length - 1)]?.querySelector("button").focus();
  $("pairs").hidden = !rows.length;
  $("pairs-empty").hidden = rows.length > 0;
  $("pairs").dataset.publication = found.publication;
  text($("pairs-empty"), "No pair can be estimated: see the statuses of the rows.");
}

export function noPairs(why) {
  $("pairs").hidden = true;
  $("pairs-empty").hidden = false;
  text($("pairs-empty"), why);
}
