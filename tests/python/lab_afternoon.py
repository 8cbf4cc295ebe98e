"""A lab's afternoon from end to end: an emulated Open Ephys rig, the bridge, the daemon, the live page in Chromium, the Python client; the
daemon is killed in the middle and started again; the session is closed, its NWB file read by pynwb and replayed.

usage: lab_afternoon.py GLAUBER DIRECTORY   (the program; where journal, snapshots and the picture of the page go)
"""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "python" / "src")]

import browser  # noqa: E402
import glauber  # noqa: E402
import zmq  # noqa: E402
from open_ephys_emulator import DETECTOR_DELAY, Plugin  # noqa: E402

ELECTRODES, UNITS = 4, 3
N = ELECTRODES * UNITS
BIN_NS, RATE, BLOCK = 10_000_000, 30_000, 1024
SAMPLES_PER_BIN = BIN_NS * RATE // 1_000_000_000
N_BINS = 24_000
FIRST_SAMPLE = 0
SAMPLES = np.zeros(BLOCK)
SPEED = 30
WAIT_S = 120
STARTED = []


def said(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def until(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


def simulate(rng):
    """Couplings, and the bins of a network that follows them."""
    couplings = rng.normal(0, 0.5 / np.sqrt(N), (N, N))
    spins = np.full((N_BINS, N), -1.0)
    draws = rng.random((N_BINS, N))
    for t in range(1, N_BINS):
        field = -0.9 + couplings @ spins[t - 1]
        spins[t] = np.where(draws[t] < 1 / (1 + np.exp(-2 * field)), 1, -1)
    return couplings, spins > 0


class Daemon:
    def __init__(self, program, directory):
        self.program, self.directory, self.address, self.web = program, directory, "127.0.0.1:0", "127.0.0.1:0"
        self.start()

    def start(self):
        command = [self.program, "--json", "serve", "--listen", self.address, "--web", self.web]
        command += ["--archive-dir", self.directory / "archive", "--journal-dir", self.directory / "journal"]
        log = open(self.directory / "daemon.log", "a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        STARTED.append(self.process)
        told = json.loads(self.process.stdout.readline())
        self.address, self.web = told["address"].removeprefix("http://"), told["web"].removeprefix("http://").rstrip("/")

    def kill(self):
        self.process.kill()
        self.process.wait()


def send(rig, spikes, blocks):
    """Blocks of samples with the spikes in them, faster than a rig."""
    for first in blocks:
        # The detector leaves the last samples of a block to the next.
        begin, end = np.searchsorted(spikes[:, 0], [first - DETECTOR_DELAY, first + BLOCK - DETECTOR_DELAY])
        for sample, unit in spikes[begin:end]:
            rig.spike(int(unit // UNITS), int(unit % UNITS + 1), int(sample))
        rig.data(0, int(first), SAMPLES)
        time.sleep(BLOCK / RATE / SPEED)


def expected_bins(spikes, origin_ns, n_bins):
    times_ns = spikes[:, 0] * 1_000_000_000 // RATE
    bins = (times_ns - origin_ns) // BIN_NS
    raster = np.zeros((n_bins, N), bool)
    inside = (bins >= 0) & (bins < n_bins)
    raster[bins[inside], spikes[inside, 1]] = True
    return raster


def main(program, directory):
    rng = np.random.default_rng(42)
    truth, bins = simulate(rng)
    at, unit = np.nonzero(bins)
    samples = FIRST_SAMPLE + at * SAMPLES_PER_BIN + rng.integers(0, SAMPLES_PER_BIN, len(at))
    spikes = np.stack([samples, unit], axis=1)[np.argsort(samples, kind="stable")]
    blocks = np.arange(FIRST_SAMPLE, FIRST_SAMPLE + N_BINS * SAMPLES_PER_BIN, BLOCK)
    third = len(blocks) // 3

    daemon = Daemon(program, directory)
    client = glauber.connect(daemon.address)
    rig = Plugin(zmq.Context(), float(RATE))
    neurons = directory / "neurons.txt"
    neurons.write_text("".join(f"Electrode {e + 1}, {u + 1}\n" for e in range(ELECTRODES) for u in range(UNITS)))
    bridge_log = open(directory / "bridge.log", "w")
    bridge = subprocess.Popen(
        [program, "bridge", "open-ephys", "--source", f"tcp://127.0.0.1:{rig.data_port}", "--heartbeat", f"tcp://127.0.0.1:{rig.listen_port}",
         "--connect", f"http://{daemon.address}", "--bin-width", "10ms", "--neurons", neurons, "--session-name", "afternoon",
         "--windows", "all,30s", "--estimators", "nmf,exact", "--ridge", "0", "--close", "--report-every", "1s"],
        stdout=bridge_log, stderr=bridge_log)
    STARTED.append(bridge)
    assert rig.heard.wait(WAIT_S), "no heartbeat of the bridge"
    # Its subscription may be a moment behind: events of an acquisition before, which hold nothing.
    rig.number = 1000
    for _ in range(50):
        rig.event(0)
        time.sleep(0.01)
    said("the bridge listens to the rig")
    rig.start()

    send(rig, spikes, blocks[:third])
    session = until(lambda: next((client.session(s.session_id) for s in client.sessions() if s.name == "afternoon"), None), "the session")
    until(lambda: session.info().refreshes_published > 0, "couplings")
    said(f"{session.info().applied_through} bins are counted")

    with browser.Browser() as page:
        page.open(f"http://{daemon.web}/")
        page.until("document.querySelectorAll('#pairs tbody tr').length > 0 && document.querySelector('#map-empty').hidden && glauber.raster.endBin > 0")
        assert "afternoon" in page.text("#session")
        page.picture(directory / "page.png")
        assert not page.complaints, page.complaints
    said("the live page shows it")

    send(rig, spikes, blocks[third : 2 * third])
    daemon.kill()
    said("the daemon is killed")
    send(rig, spikes, blocks[2 * third : 2 * third + third // 4])
    daemon.start()
    said("and started again; the rig has gone on all the while")
    send(rig, spikes, blocks[2 * third + third // 4 :])
    after = blocks[-1] + BLOCK + BLOCK * np.arange(10)
    send(rig, spikes, after)
    last = spikes[-1, 0] * 1_000_000_000 // RATE

    def origin():
        return json.loads(subprocess.check_output([program, "--json", "status", "--connect", f"http://{daemon.address}"]))["sessions"][0]["origin_ns"]

    session = client.session("afternoon")
    n_bins = int((last - origin()) // BIN_NS) + 1
    until(lambda: session.info().durable_through >= n_bins, "the last bins")
    bridge.send_signal(signal.SIGINT)
    assert bridge.wait(WAIT_S) == 0, (directory / "bridge.log").read_text()
    info = session.info()
    assert (info.gap_bins, info.late_spikes, info.masked_spikes) == (0, 0, 0), info
    n_bins = info.applied_through
    raster = expected_bins(spikes, origin(), n_bins)
    assert raster.sum() == info.active_entries == len(np.unique((spikes[:, 0] * 1_000_000_000 // RATE - origin()) // BIN_NS * N + spikes[:, 1]))
    correlations = session.correlations(window="all")
    x, y = raster[:-1].astype(float), raster[1:].astype(float)
    assert np.array_equal(correlations.delayed_counts, (y.T @ x).astype(np.int64)), "spikes were lost or counted twice"
    said(f"nothing is lost: {info.active_entries} entries of {n_bins} bins, every pair's count is that of numpy")

    estimate = session.couplings("exact", window="all", standard_errors=True, q=True)
    z = (estimate.couplings - truth) / estimate.standard_errors
    # Of 144 couplings the spread is known to 6 %.
    assert estimate.valid.all() and 0.75 < z.std() < 1.25, f"couplings are {z.std():.2f} standard errors from the truth"
    said(f"the couplings are {z.std():.2f} standard errors from the truth, r = {np.corrcoef(estimate.couplings.ravel(), truth.ravel())[0, 1]:.3f}")

    import pynwb

    [file] = (directory / "archive").rglob("*.nwb")
    with pynwb.NWBHDF5IO(str(file), "r") as nwb:
        units = nwb.read().units
        times = [np.asarray(units["spike_times"][k]) for k in range(len(units))]
    origin_s = origin() / 1e9
    for k in range(N):
        found = np.floor((times[k] - times_offset(times, raster)) / (BIN_NS / 1e9) + 1e-6).astype(int)
        assert np.array_equal(found, np.flatnonzero(raster[:, k])), f"unit {k} of the NWB file"
    said(f"pynwb reads {file.name}: {sum(map(len, times))} spikes of {len(times)} units")

    subprocess.check_call(
        [program, "--quiet", "replay", file, "--connect", f"http://{daemon.address}", "--bin-width", "10ms", "--speed", "max", "--name", "again",
         "--windows", "all,30s", "--estimators", "nmf,exact", "--ridge", "0"])
    again = client.session("again")
    for estimator in ("nmf", "exact"):
        live, replayed = (one.couplings(estimator, window="all", standard_errors=True) for one in (session, again))
        assert np.array_equal(live.couplings, replayed.couplings) and np.array_equal(live.standard_errors, replayed.standard_errors), estimator
    said("replayed, the file gives the same couplings, bit for bit")
    daemon.kill()


def times_offset(times, raster):
    first = min(t[0] for t in times if len(t))
    return first - np.flatnonzero(raster.any(1))[0] * BIN_NS / 1e9


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    finally:
        for process in STARTED:
            process.kill()
