"""The examples run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import glauber

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(script: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent / "src"), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_push_watch_and_plot(daemon, client, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = run("push_rig.py", daemon.address)
    assert "1600 of 1600 couplings valid" in out and "strongest pairs" in out
    assert "bits/spike" in run("watch.py", daemon.address, "simulated rig", "1")
    session = client.session("simulated rig")
    newest = max(session.snapshots(), key=lambda one: one.end_bin)
    path = session.fetch_snapshot(newest.file_name, tmp_path / "snapshot.h5")
    assert "1560 valid couplings" in run("plot_snapshot.py", str(path), str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_time_stamps(daemon) -> None:
    out = run("push_times.py", daemon.address)
    assert ", 0 late" in out and "in 6000 bins" in out


def test_closed_loop(daemon) -> None:
    out = run("closed_loop.py", "--connect", daemon.address, "--neurons", "30", "--bins", "100", "--width-ms", "5")
    assert "p50" in out and "100 bins of 30 neurons" in out


def test_the_notebook_runs_as_it_is(daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("GLAUBER_CONNECT", daemon.address)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent / "src"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    executed = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    text = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    assert "20000 bins are durable" in text and "400 of 400 valid" in text
    with glauber.connect(daemon.address) as client:
        assert not client.session("notebook").info().is_open
