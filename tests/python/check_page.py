"""The live page in headless Chromium: what it shows equals what gRPC answers.  check_page.py GLAUBER [FOLDER FOR PICTURES]

Starts the daemon itself, since it also kills it. Skipped with a message where there is no Chromium.
"""
import json
import math
import os
import queue
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "proto"), str(Path(__file__).parent)]
import browser as chromium  # noqa: E402

if chromium.find() is None:
    print("skipped: no chromium on the PATH")
    sys.exit(0)

import grpc  # noqa: E402
import numpy as np  # noqa: E402

s, sessions = grpc.protos_and_services("glauber/v1/session_service.proto")
i, ingest = grpc.protos_and_services("glauber/v1/ingest_service.proto")
f, inference = grpc.protos_and_services("glauber/v1/inference_service.proto")
e, _ = grpc.protos_and_services("glauber/v1/equilibrium.proto")

N, BINS, SILENT, BIN_WIDTH_US = 12, 4000, 7, 10_000
ESTIMATORS = {"nmf": 1, "tap": 2, "best": 100}


class Daemon:
    """The real program, in a folder of its own."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.listen, self.page = "127.0.0.1:0", "127.0.0.1:0"
        self.start()

    def start(self):
        arguments = ["--json", "serve", "--listen", self.listen, "--web", self.page, "--archive-dir", "", "--journal-dir", f"{self.folder}/journal"]
        self.process = subprocess.Popen([self.program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        told = json.loads(self.process.stdout.readline())
        # The next one listens where this one did.
        self.listen, self.page = urlsplit(told["address"]).netloc, urlsplit(told["web"]).netloc
        self.channel = grpc.insecure_channel(self.listen)
        self.sessions = sessions.SessionServiceStub(self.channel)
        self.inference = inference.InferenceServiceStub(self.channel)

    def kill(self):
        self.channel.close()
        self.process.kill()
        self.process.wait()


class Rig:
    """A session whose producer stays connected."""

    def __init__(self, daemon):
        spec = dict(name="test rig", bin_width_us=BIN_WIDTH_US, windows=["all"], estimators=[1, 2], ridge=0.1, refresh_interval_bins=1000,
                    neurons=[dict(id=100 + k, label=f"unit {k}") for k in range(N)], equilibrium_methods=[2], equilibrium_interval_bins=1 << 40)
        self.id = daemon.sessions.CreateSession(s.CreateSessionRequest(spec=spec)).session.session_id
        self.requests = queue.SimpleQueue()
        self.replies = ingest.IngestServiceStub(daemon.channel).StreamSpikes(iter(self.requests.get, None))
        self.requests.put(i.StreamSpikesRequest(open=dict(session_id=self.id)))
        next(self.replies)

    def send(self, raster, first_bin):
        packed = dict(bin_count=len(raster), bits=np.packbits(raster, axis=1, bitorder="little").tobytes())
        self.requests.put(i.StreamSpikesRequest(bins=dict(first_bin=first_bin, packed=packed)))
        while next(self.replies).ack.watermarks.durable_through < first_bin + len(raster):
            pass


def chain(bins, seed):
    """Each neuron drives the next, the first one alone inhibits; one is silent."""
    random = np.random.default_rng(seed)
    drive = np.zeros((N, N))
    for k in range(N - 1):
        drive[k + 1, k] = 1.5 if k else -1.2
    raster, state = np.zeros((bins, N), bool), np.zeros(N)
    for t in range(bins):
        state = (random.random(N) < 1 / (1 + np.exp(1.6 - drive @ state))).astype(float)
        state[SILENT] = 0
        raster[t] = state > 0
    return raster


def number(text):
    return float(text.replace("\u2212", "-"))


def agrees(text, value):
    """Whether a text is the value, rounded to as many digits as it has."""
    shown = number(text)
    digits = re.sub(r"e.*", "", text)
    power = int(text.split("e")[1].replace("\u2212", "-")) if "e" in text else 0
    decimals = len(digits.split(".")[1]) if "." in digits else 0
    half = 0.5 * 10.0 ** (power - decimals)
    assert abs(shown - value) <= half * (1 + 1e-9) + 1e-15, f"the page says {text}, gRPC {value}"


def couplings(daemon, session, estimator, **query):
    asked = f.CouplingsQuery(session_id=session, estimator=ESTIMATORS[estimator], **query)
    return list(daemon.inference.GetCouplings(f.GetCouplingsRequest(query=asked)))


def check_pairs(page, daemon, session, estimator):
    """The list of the strongest pairs."""
    header, pairs = couplings(daemon, session, estimator, top_pairs=40)
    publication = header.header.publication
    page.until(f"document.querySelector('#pairs').dataset.publication == {publication} && glauber.state.estimate?.estimator == "
               f"{json.dumps({1: 'nmf', 2: 'tap'}[header.header.estimator])} && glauber.state.estimate.publication == {publication}")
    page.until(f"document.querySelectorAll('#pairs tbody tr').length == {len(pairs.pairs.pairs)}")
    rows = page.run("[...document.querySelectorAll('#pairs tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))")
    assert len(rows) == 40
    for pair, (sender, receiver, value, z, q, status) in zip(pairs.pairs.pairs, rows):
        assert (sender, receiver, status) == (f"unit {pair.sender}", f"unit {pair.receiver}", "OK"), (sender, receiver, pair)
        shown, error = value.split(" ± ")
        agrees(shown, pair.coupling)
        agrees(error, pair.standard_error)
        agrees(z, pair.z)
        check_q(q, pair.q)
    return header.header


def check_q(text, value):
    if text.startswith("<"):
        assert value < 1e-6, (text, value)
    else:
        agrees(text, value)


def check_readout(page, daemon, session, receiver, sender, estimator="nmf"):
    """The line about the pair under the cursor."""
    ends = f"unit {sender} → {'itself' if sender == receiver else f'unit {receiver}'}"
    text = page.until(f"(() => {{ const t = document.querySelector('#pair-line').textContent; return t.startsWith({json.dumps(ends)}) && t; }})()")
    header, rows = couplings(daemon, session, estimator, receivers=[receiver], standard_errors=True, q_values=True)
    status = header.header.status[receiver]
    if status != 1:
        assert rows.rows.couplings[sender] == 0 and f"no estimate; row of unit {receiver}: SILENT" in text, text
        return
    told = re.search(r"J = (\S+)(?: ± ([\d.e−]+))?(?: \(no SE\))?(?:, z = (\S+), q (?:= )?(< 10⁻⁶|[^;]+))?; row of unit (\d+): (\w+)", text)
    assert told, text
    agrees(told[1], rows.rows.couplings[sender])
    agrees(told[2], rows.rows.standard_errors[sender])
    agrees(told[3], rows.rows.couplings[sender] / rows.rows.standard_errors[sender])
    check_q(told[4], rows.rows.q_values[sender])
    assert (told[5], told[6]) == (str(receiver), "OK"), text


def check_keyboard(page, daemon, session):
    """Everything can be reached with Tab; arrow keys move over the map and through raster and points."""
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    seen = []
    for _ in range(70):
        page.key("Tab")
        seen.append(page.run("document.activeElement.id || document.activeElement.tagName"))
    wanted = ["session", "window", "estimator", "order", "limit", "shown", "zoom-in", "zoom-out", "zoom-all", "map", "depth", "raster", "BUTTON", "score-kind", "method", "scatter"]
    assert [one for one in wanted if one not in seen] == [], seen
    page.run("document.querySelector('#map').focus()")
    assert page.run("getComputedStyle(document.querySelector('#map')).outlineStyle") == "solid", "the focus is seen"
    page.key("Home")
    for _ in range(20):
        page.key("ArrowUp")
    check_readout(page, daemon, session, 0, 0)
    page.key("ArrowRight")
    for _ in range(2):
        page.key("ArrowDown")
    check_readout(page, daemon, session, 2, 1)
    page.key("End")
    check_readout(page, daemon, session, 2, N - 1)
    for _ in range(SILENT - 2):
        page.key("ArrowDown")
    check_readout(page, daemon, session, SILENT, N - 1)
    page.key("+")
    assert page.run("glauber.map.view.span") < N
    page.key("0")
    assert page.run("glauber.map.view.span") == N


def check_pointer(page, daemon, session):
    place = page.run("(() => { const box = document.querySelector('#map').getBoundingClientRect(), { left, top, side } = glauber.map.plot; return [box.left + left, box.top + top, side]; })()")
    for receiver, sender in ((1, 0), (5, 4), (11, 3)):
        page.point(place[0] + (sender + 0.5) * place[2] / N, place[1] + (receiver + 0.5) * place[2] / N)
        check_readout(page, daemon, session, receiver, sender)


def check_rates(page, daemon, session):
    answer = list(daemon.inference.GetCorrelations(f.GetCorrelationsRequest(session_id=session, header_only=True)))[0].header
    page.until(f"glauber.state.rateWords?.replace(/\\D/g, '') == '{answer.bins_observed}'")
    page.run("document.querySelector('#raster').focus()")
    page.key("Home")
    for neuron in range(N):
        text = page.until(f"(() => {{ const t = document.querySelector('#rate-line').textContent; return t.startsWith('unit {neuron} ') && t; }})()")
        rate, error = re.match(r"unit \d+ (\S+)(?: ± (\S+))? bins", text).groups()
        share = answer.spikes[neuron] / answer.bins_observed
        agrees(rate, share / BIN_WIDTH_US * 1e6)
        if share:
            agrees(error, math.sqrt(share * (1 - share) / answer.bins_observed) / BIN_WIDTH_US * 1e6)
        page.key("ArrowDown")


def check_raster(page, raster):
    """The spikes kept by the page are those that were sent last, and they are drawn."""
    page.until(f"glauber.raster.endBin == {len(raster)}")
    kept = page.run("glauber.raster.runs.flatMap(run => { let at = 0; return [...run.counts].flatMap((count, k) => "
                    "[...run.neurons.slice(at, at += count)].map(neuron => [run.first_bin + k, neuron])); })")
    first = page.run("glauber.raster.firstBin")
    assert len(raster) - first == 1000, "ten seconds are shown"
    expected = [[first + int(bin), int(neuron)] for bin, neuron in np.argwhere(raster[first:])]
    assert [spike for spike in kept if spike[0] >= first] == expected
    page.until("(() => { const c = document.querySelector('#raster'); const d = c.getContext('2d').getImageData(70, 20, 300, 250).data; return d.some((v, k) => k % 4 == 3 && v > 0); })()")


def check_scores(page, daemon, session):
    history = daemon.inference.GetScoreHistory(f.GetScoreHistoryRequest(session_id=session)).series
    names = {1: "nmf", 2: "tap"}
    newest = {names[one.estimator]: one.bits_per_spike[-1] for one in history if one.WhichOneof("model") == "estimator"}
    page.until("document.querySelectorAll('#score-legend li').length == 2")
    lines = page.run("[...document.querySelectorAll('#score-legend li')].map(li => li.textContent)")
    assert {line.split()[0] for line in lines} == set(newest), lines
    for line in lines:
        name, value = line.split()[:2]
        agrees(value.lstrip("+"), newest[name])
    assert sum("best" in line for line in lines) == 1, lines
    assert page.run("document.querySelectorAll('#score-chart canvas').length") == 1


def check_scatter(page, daemon, session):
    asked = e.GetEquilibriumModelRequest(session_id=session, header_only=True, checked_pairs=True)
    check = next(iter(daemon.inference.GetEquilibriumModel(asked))).header.check
    page.until("glauber.scatter.pairs?.first.length > 0")
    for name in ("first", "second", "observed", "observed_error", "predicted", "predicted_error"):
        assert page.run(f"glauber.scatter.pairs.{name}") == list(getattr(check.pairs, name)), name
    page.run("document.querySelector('#scatter').focus()")
    text = page.until("(() => { const t = document.querySelector('#scatter-line').textContent; return t.startsWith('unit') && t; })()")
    first, second, observed, predicted = re.match(r"unit (\d+) – unit (\d+) observed (.+) ± \S+, predicted (.+) ±", text).groups()
    place = list(zip(check.pairs.first, check.pairs.second)).index((int(first), int(second)))
    agrees(observed, check.pairs.observed[place])
    agrees(predicted, check.pairs.predicted[place])
    agrees(re.search(r"r = (\S+),", page.text("#scatter-caption"))[1], check.pair_correlations.correlation)


def check_orders(page):
    for how in ("strength", "cluster", "label", "index"):
        page.choose("#order", how)
        order = page.until(f"(() => {{ const o = [...glauber.map.order]; return o.length == {N} && o; }})()")
        assert sorted(order) == list(range(N)), order
    page.choose("#order", "strength")
    strengths = page.run("(() => { const { n, couplings: J, order } = glauber.map; return [...order].map(i => { let sum = 0; for (let j = 0; j < n; j++) if (j != i) sum += Math.abs(J[i * n + j]) + Math.abs(J[j * n + i]); return sum; }); })()")
    assert all(a >= b - 1e-6 for a, b in zip(strengths, strengths[1:])), strengths
    page.choose("#order", "cluster")
    page.until(f"glauber.state.costs.cluster && glauber.map.order[{N - 1}] == {SILENT}")  # who takes no part comes last
    page.choose("#order", "index")


def main():
    with tempfile.TemporaryDirectory() as folder, chromium.Browser() as page:
        daemon = Daemon(sys.argv[1], folder)
        try:
            run(page, daemon)
        finally:
            daemon.kill()
    print("all checks passed")


def run(page, daemon):
    page.open(f"http://{daemon.page}/")
    notice = page.until("document.querySelector('#notice')?.hidden === false && document.querySelector('#notice').textContent")
    assert notice.startswith("Nothing connected"), notice
    rig = Rig(daemon)
    page.until("document.querySelector('#session').value && document.querySelector('#notice').hidden")
    page.until("!document.querySelector('#raster-empty').hidden && document.querySelector('#raster-empty').textContent == 'No bin has come yet.'")
    assert "bin 1000" in page.until("!document.querySelector('#map-empty').hidden && document.querySelector('#map-empty').textContent"), "it says when"

    raster = chain(BINS, 3)
    for first in range(0, BINS, 1000):
        rig.send(raster[first:first + 1000], first)
        daemon.inference.Refit(f.RefitRequest(session_id=rig.id, equilibrium=True))
    header = check_pairs(page, daemon, rig.id, "nmf")
    assert "nmf on window all" in page.text("#map-caption") and header.end_bin == BINS
    assert "1 of 12 rows are not OK: 1 SILENT" in page.text("#rows-summary") and page.text("#rows") == f"unit {SILENT}: SILENT"
    facts = page.text("#facts")
    for words in ("receiving", "Ingest lag0 bins", "Gapsnone", "Journalworking", "Recorded0:40"):
        assert words in facts, (words, facts)
    check_pointer(page, daemon, rig.id)
    check_keyboard(page, daemon, rig.id)
    check_rates(page, daemon, rig.id)
    check_raster(page, raster)
    check_scores(page, daemon, rig.id)
    check_scatter(page, daemon, rig.id)
    check_orders(page)
    for estimator in ("tap", "best", "nmf"):
        page.choose("#estimator", estimator)
        check_pairs(page, daemon, rig.id, estimator)
    page.choose("#shown", "0.05")
    header, rows = couplings(daemon, rig.id, "nmf", q_values=True)
    page.until("glauber.map.q?.length == 144")
    assert page.run("[...glauber.map.q]") == [float(np.float32(q)) for q in rows.rows.q_values]
    if len(sys.argv) > 2:
        page.picture(f"{sys.argv[2]}/test.png")
    complaints = [one for one in page.complaints if "409 (Conflict)" not in one]
    assert complaints == [], complaints

    # Without a word it goes on when the daemon comes back, with what the journal kept.
    daemon.kill()
    page.until("document.querySelector('#link').textContent == 'daemon gone' && document.querySelector('#notice').textContent.includes('does not answer')")
    daemon.start()
    page.until("document.querySelector('#link').dataset.state == 'live' && document.querySelector('#notice').textContent.includes('no producer sends')")
    page.until("document.querySelector('#facts').textContent.includes('no producer')")
    check_pairs(page, daemon, rig.id, "nmf")

    own = {urlsplit(url).netloc for url in page.requests if urlsplit(url).scheme not in ("about", "data")}
    assert own == {daemon.page}, own


main()
