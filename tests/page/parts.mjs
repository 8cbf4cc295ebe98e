// Parts of the page that need no browser: `node tests/page/parts.mjs`. The document is one where every element takes everything.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = mkdtempSync(join(tmpdir(), "glauber-page-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
cpSync(fileURLToPath(new URL("../../src/daemon/web/assets", import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, "package.json"), '{"type":"module"}');
const part = (name) => import(pathToFileURL(join(folder, name)).href);

class Element {
  constructor(id = "") {
    Object.assign(this, { id, textContent: "", hidden: false, value: "", dataset: {}, children: [], writes: 0, tBodies: [this], rows: [] });
    this.listeners = {};
    this.classList = { toggle() {} };
    this.style = {};
  }
  addEventListener(kind, listener) {
    this.listeners[kind] = listener;
  }
  replaceChildren(...parts) {
    this.writes += 1;
    this.children = parts;
    this.textContent = parts.map((one) => one.textContent ?? one).join("");
  }
  append(...parts) {
    this.children.push(...parts);
  }
  setAttribute() {}
  scrollIntoView() {}
  focus() {
    document.activeElement = this;
  }
  querySelector() {
    return new Element();
  }
}

const elements = {};
const element = (id) => (elements[id] ??= new Element(id));
let answers = {};
const posted = [];
class Thread {
  constructor() {
    Thread.newest = this;
  }
  postMessage(message) {
    posted.push(message);
  }
  terminate() {
    this.ended = true;
  }
}
Object.assign(globalThis, {
  document: Object.assign(new Element(), { getElementById: element, createElement: () => new Element(), hidden: false, activeElement: null }),
  location: { hash: "#session=s&window=all" },
  history: { replaceState: () => assert.fail("nothing was chosen") },
  matchMedia: () => new Element(),
  getComputedStyle: () => ({ getPropertyValue: () => "#000" }),
  ResizeObserver: class {
    observe() {}
  },
  requestAnimationFrame: () => 0,
  Option: Element,
  Worker: Thread,
  fetch: async (url) => {
    const answer = answers[url.split("?")[0]];
    if (!answer) throw new Error("nobody there");
    return { ok: true, arrayBuffer: async () => await answer() };
  },
});
// The page's loops wait for a turn that a test gives.
const waiting = [];
globalThis.setTimeout = (done) => waiting.push(done);
globalThis.setInterval = () => 0;
const settled = () => new Promise((done) => setImmediate(() => setImmediate(() => setImmediate(done))));
const turn = async () => {
  for (const done of waiting.splice(0)) done();
  await settled();
};
const json = (value) => () => new TextEncoder().encode(JSON.stringify(value)).buffer;

element("depth").value = "10";
console.error = () => {};
await part("main.js");
await settled();
const { map, raster, state } = globalThis.glauber;
const { arrange, pairs } = await part("couplings.js");

// The daemon is away, then answers what cannot be shown: the page says so, and goes on.
assert.equal(element("link").textContent, "daemon gone");
answers["api/sessions"] = json({ daemon_version: "1", sessions: null });
await turn();
assert.match(element("notice").textContent, /could not show what the daemon answered/);
answers["api/sessions"] = json({ daemon_version: "1", sessions: [] });
await turn();
assert.equal(element("link").textContent, "live · daemon 1");
assert.match(element("notice").textContent, /has no session yet/);

// What is read out says no age; that is beside it.
answers = {};
await turn();
const told = element("notice").textContent;
await turn();
assert.equal(element("notice").textContent, told);
assert.match(element("age").textContent, /^Last answer .* ago\.$/);
assert.equal(element("age").hidden, false);

// The skip link moves the focus and leaves the address.
let prevented = false;
element("skip").listeners.click({ preventDefault: () => (prevented = true) });
assert.ok(prevented && document.activeElement === element("map"));

// A strongest pair without a matrix is told, once.
Object.assign(state, { session: { session_id: "s", spec: { windows: ["all"] } }, names: ["a", "b"] });
const pair = { sender: 0, receiver: 1, coupling: 0.5, standard_error: 0.1, z: 5, q: 0.001, status: "OK" };
answers["api/sessions/s/pairs"] = json({ pairs: [pair], publication: 1 });
await pairs("s");
const [row] = element("pairs").children;
const go = row.children[0].children[0].listeners.click;
map.show(1, 0);
go();
assert.match(element("pair-line").textContent, /^a → b  J = .*row of b: OK$/);
const writes = element("pair-line").writes;
go();
assert.equal(element("pair-line").writes, writes);

// A worker that fails is replaced.
const two = { n: 2, couplings: new Float32Array(4), q: null, status: ["OK", "OK"], names: ["a", "b"] };
map.set(two);
element("order").value = "cluster";
arrange(true);
const first = Thread.newest;
first.onerror();
assert.ok(first.ended);
arrange(true);
assert.ok(Thread.newest !== first && posted.length === 2);

// Spikes that were asked for before another depth was chosen are dropped.
const packed = (header) => {
  const words = new TextEncoder().encode(JSON.stringify(header).padEnd(256));
  const body = new ArrayBuffer(8 + words.length);
  new DataView(body).setUint32(0, 0x474c4231, false);
  new DataView(body).setUint32(4, words.length, true);
  new Uint8Array(body, 8).set(words);
  return body;
};
Object.assign(state, { gone: false });
Object.assign(state.session, { state: "open", watermarks: { applied_through: 900 } });
raster.setDepth(10);
raster.setNeurons({ n: 2, names: ["a", "b"], binSeconds: 0.01 });
raster.endBin = 800;
let answer;
answers["api/sessions/s/spikes"] = () => new Promise((done) => (answer = done));
await turn();
element("depth").value = "60";
element("depth").listeners.change();
answer(packed({ first_bin: 800, end_bin: 900, runs: [] }));
await settled();
assert.equal(raster.endBin, 0, "an answer about the newest 100 bins is none about a minute");
console.log("all checks passed");
process.exit(0);
