"""The real daemon for tests: $GLAUBER_BIN, on a free port of this machine, in a directory of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import glauber

WAIT_S = 60.0


class Daemon:
    """A process that can be killed and started again at the same address with the same journal."""

    def __init__(self, directory: Path, *, journal: bool = True) -> None:
        binary = os.environ.get("GLAUBER_BIN")
        if not binary:
            pytest.skip("set GLAUBER_BIN to a glauber program")
        self.directory = directory
        keeping = ["--journal-dir", str(directory / "journal")] if journal else ["--set", "journal.directory="]
        self._command = [binary, "--json", "serve", "--archive-dir", str(directory / "archive"), *keeping]
        self.address = "127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        with open(self.directory / "daemon.log", "a") as log:
            self.process = subprocess.Popen(
                [*self._command, "--listen", self.address], stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.directory
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError((self.directory / "daemon.log").read_text())
        self.address = json.loads(line)["address"].removeprefix("http://")

    def stop(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(WAIT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests that leave it as it is."""
    started = Daemon(tmp_path_factory.mktemp("daemon"))
    yield started
    started.stop()


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that a test may kill."""
    started = Daemon(tmp_path)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.stop()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[glauber.Client]:
    with glauber.connect(daemon.address) as connected:
        yield connected


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Ask again until a condition holds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    return wait


def raster(n_bins: int, n_neurons: int, seed: int = 1) -> np.ndarray:
    """Bins of coupled neurons, bool of shape (n_bins, n_neurons)."""
    rng = np.random.default_rng(seed)
    couplings = rng.normal(0, 0.4 / np.sqrt(n_neurons), (n_neurons, n_neurons))
    spins = np.empty((n_bins, n_neurons))
    spins[0] = -1
    draws = rng.random((n_bins, n_neurons))
    for t in range(1, n_bins):
        field = -0.6 + couplings @ spins[t - 1]
        spins[t] = np.where(draws[t] < 1 / (1 + np.exp(-2 * field)), 1, -1)
    return spins > 0


def transitions(bins: np.ndarray, breaks: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Earlier and later bins as counts 0 and 1, without those that cross a gap before the rows in ``breaks``."""
    keep = np.ones(len(bins) - 1, bool)
    keep[[row - 1 for row in breaks]] = False
    return bins[:-1][keep].astype(float), bins[1:][keep].astype(float)


def moments(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C and D from counts, the sums in whole numbers: 4 (T k_ij - k_i k_j) / T^2."""
    total = float(len(x))
    equal_time = 4 * (total * (x.T @ x) - np.outer(x.sum(0), x.sum(0))) / total**2
    delayed = 4 * (total * (y.T @ x) - np.outer(y.sum(0), x.sum(0))) / total**2
    return equal_time, delayed


def naive_mean_field(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Couplings, fields and standard errors of naive mean field, from 0/1 transitions."""
    x, y = 2 * x - 1, 2 * y - 1
    m_x, m_y = x.mean(0), y.mean(0)
    c = x.T @ x / len(x) - np.outer(m_x, m_x)
    d = y.T @ x / len(x) - np.outer(m_y, m_x)
    gain = 1 - m_y**2
    couplings = np.linalg.solve(c, d.T).T / gain[:, None]
    errors = np.sqrt(np.outer(1 / gain, np.diag(np.linalg.inv(c))) / len(x))
    return couplings, np.arctanh(m_y) - couplings @ m_x, errors
