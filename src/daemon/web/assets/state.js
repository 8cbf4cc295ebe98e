// What the parts of the page share: what is shown and chosen, and how the daemon is asked.

import { Gone, Refused } from "./api.js";

export const $ = (id) => document.getElementById(id);
export const text = (element, words) => {
  if (element.textContent !== words) element.textContent = words;
};
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export const state = {
  /** Every session as told last, and when that was. */
  listed: null,
  heardAt: null,
  gone: false,
  /** The session that is shown, and names of its neurons. */
  session: null,
  names: [],
  /** What was asked for last of each kind: with the same, nothing is asked for. */
  shown: {},
  estimate: null,
  rows: new Map(),
  costs: {},
};

export const asked = () => ({ estimator: $("estimator").value, window: $("window").value });
/** The window that is shown beside the map: the one of the best estimate, when that is asked for. */
export const shownWindow = () => $("window").value || state.session?.best?.window || state.session?.spec.windows[0] || "";

const running = new Set(),
  restUntil = {};

/** Run `work` unless it is running, or its kind takes so long that it needs a rest; what it is refused is shown by `refused`. */
export function ask(kind, work, refused = () => {}) {
  if (running.has(kind) || performance.now() < (restUntil[kind] ?? 0)) return false;
  running.add(kind);
  const began = performance.now();
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
      state.costs[kind] = { ms };
      // At most a third of the time: the page stays smooth, and the daemon has others to answer.
      restUntil[kind] = performance.now() + Math.min(10000, 2 * ms);
    });
  return true;
}

/** Ask for these kinds at once, however long they took before. */
export function hurry(...kinds) {
  for (const kind of kinds) restUntil[kind] = 0;
}
