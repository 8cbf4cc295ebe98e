// Asking the daemon. Every answer is counted, so that what an update takes can be looked at.

export const traffic = { requests: 0, bytes: 0 };

/** No answer: the daemon is gone, or too slow. */
export class Gone extends Error {}

/** The daemon answers that it cannot: `code` as gRPC clients get it. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const PATIENCE_MS = 20000;

async function get(path, asked = {}) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== "" && value !== undefined && value !== false));
  const url = query.size ? `api/${path}?${query}` : `api/${path}`;
  let response, body;
  try {
    response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    body = await response.arrayBuffer();
  } catch (error) {
    throw new Gone(String(error.message ?? error));
  }
  traffic.requests += 1;
  traffic.bytes += body.byteLength;
  if (response.ok) return body;
  let told = {};
  try {
    told = JSON.parse(new TextDecoder().decode(body));
  } catch {
    /* A refusal in no words. */
  }
  throw new Refused(response.status, told.code ?? "", told.error ?? `the daemon answers ${response.status}`);
}

export async function getJson(path, asked) {
  return JSON.parse(new TextDecoder().decode(await get(path, asked)));
}

/** Numbers after a header: `{ header, body, offset }`, the numbers begin at `offset` of `body`, a multiple of 8. */
export async function getPacked(path, asked) {
  const body = await get(path, asked);
  const view = new DataView(body);
  if (body.byteLength < 8 || view.getUint32(0, false) !== 0x474c4231) throw new Gone("an answer of another form");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 8, length)));
  return { header, body, offset: 8 + length };
}

const of = (session) => `sessions/${encodeURIComponent(session)}`;

export const api = {
  sessions: () => getJson("sessions"),
  session: (session) => getJson(of(session)),
  pairs: (session, asked) => getJson(`${of(session)}/pairs`, asked),
  row: (session, asked) => getJson(`${of(session)}/row`, asked),
  rates: (session, asked) => getJson(`${of(session)}/rates`, asked),
  scores: (session) => getJson(`${of(session)}/scores`),
  equilibrium: (session, asked) => getJson(`${of(session)}/equilibrium`, asked),

  /** `couplings` and, when asked for with `q`, `q`: receivers × senders, row after row. */
  async couplings(session, asked) {
    const { header, body, offset } = await getPacked(`${of(session)}/couplings`, asked);
    const n = header.status.length;
    const matrices = asked.q ? 2 : 1;
    const all = new Float32Array(body, offset);
    if (all.length !== n * n * matrices) throw new Gone("a matrix of another size");
    if (!asked.q) return { header, n, couplings: all, q: null };
    const couplings = new Float32Array(n * n),
      q = new Float32Array(n * n);
    for (let i = 0; i < n; i++) {
      couplings.set(all.subarray(2 * i * n, (2 * i + 1) * n), i * n);
      q.set(all.subarray((2 * i + 1) * n, (2 * i + 2) * n), i * n);
    }
    return { header, n, couplings, q };
  },

  /** Bins run by run: `{ first_bin, end_bin, runs: [{ first_bin, counts, neurons }] }`. */
  async spikes(session, asked) {
    const { header, body, offset } = await getPacked(`${of(session)}/spikes`, asked);
    const bins = header.runs.reduce((sum, run) => sum + run.bins, 0);
    let count = offset,
      spike = offset + 2 * bins;
    const runs = header.runs.map((run) => {
      const counts = new Uint16Array(body.slice(count, (count += 2 * run.bins)));
      const neurons = new Uint16Array(body.slice(spike, (spike += 2 * run.spikes)));
      return { first_bin: run.first_bin, counts, neurons };
    });
    return { first_bin: header.first_bin, end_bin: header.end_bin, runs };
  },
};
