"""Bridges against emulators of what rigs speak."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from conftest import moments, raster, transitions

import glauber
from glauber.bridge.timeline import LEFT_OUT, RateError, Timeline

N = 20


# Where samples belong, without any network.


def placed(timestamps: list[float], width_s: float = 0.01, **more: float) -> list[int]:
    timeline = Timeline(width_s, **more)
    bins = [bin_ for start in range(0, len(timestamps), 7) for bin_ in timeline.add(timestamps[start : start + 7])]
    return bins + timeline.end()


def test_samples_in_time_follow_each_other() -> None:
    assert placed(list(100 + 0.01 * np.arange(500))) == list(range(500))


def test_late_timestamps_are_no_gaps() -> None:
    rng = np.random.default_rng(1)
    stamps = 100 + 0.01 * np.arange(2000) + rng.exponential(0.002, 2000)
    stamps[500:520] += 0.15  # one stretch of the sender's scheduling
    assert placed(list(np.maximum.accumulate(stamps))) == list(range(2000))


def test_a_clock_that_drifts_is_followed() -> None:
    assert placed(list(100 + 0.01 * (1 + 2e-4) * np.arange(20_000))) == list(range(20_000))


@pytest.mark.parametrize("missing", [1, 2, 17, 5000])
def test_missing_samples_are_gaps_of_the_right_length(missing: int) -> None:
    rng = np.random.default_rng(2)
    true = np.concatenate([np.arange(700), 700 + missing + np.arange(800)])
    stamps = 100 + 0.01 * true + rng.uniform(0, 0.003, len(true))
    assert placed(list(stamps)) == list(true)
    assert placed(list(stamps), first_bin=40) == list(true + 40)


def test_a_gap_behind_a_delay_is_found() -> None:
    true = np.concatenate([np.arange(300), 310 + np.arange(300)])
    stamps = 100 + 0.01 * true
    stamps[300:305] += 0.04
    assert placed(list(stamps)) == list(true)


def test_a_clock_that_begins_anew_is_a_gap_of_a_bin() -> None:
    stamps = [*(100 + 0.01 * np.arange(300)), *(5 + 0.01 * np.arange(300))]
    assert placed(stamps) == [*range(300), *range(301, 601)]


@pytest.mark.parametrize("actual", [0.009, 0.011, 0.02, 0.005])
def test_another_rate_is_told_before_anything_is_placed(actual: float) -> None:
    timeline = Timeline(0.01)
    with pytest.raises(RateError, match="ms apart"):
        timeline.add(list(100 + actual * np.arange(200)))
    assert timeline.next_bin == 0


def test_chunks_at_another_rate_are_told() -> None:
    # Timestamps inside a chunk are made up from the rate, so that only chunks tell the truth.
    stamps = [100 + 0.12 * chunk + 0.01 * k for chunk in range(100) for k in range(10)]
    with pytest.raises(RateError, match="12 ms apart"):
        placed(stamps)


def test_a_stream_that_loses_samples_from_the_start_is_told() -> None:
    stamps = 100 + 0.01 * np.flatnonzero(np.arange(300) % 12)
    with pytest.raises(RateError, match="apart|do not come every 10 ms"):
        placed(list(stamps), jitter_s=0.02)


def test_losses_in_mid_recording_are_gaps_and_end_nothing(caplog) -> None:
    # The network is bad for a while: a sample of 12 is lost, then all is well.
    true = np.concatenate([np.arange(300), 300 + np.flatnonzero(np.arange(600) % 12), 900 + np.arange(500)])
    rng = np.random.default_rng(6)
    stamps = 100 + 0.01 * true + rng.uniform(0, 0.003, len(true))
    assert placed(list(stamps), jitter_s=0.05) == list(true)
    assert "do not come every 10 ms: gaps are left" in caplog.text


def test_another_rate_in_mid_recording_is_left_out(caplog) -> None:
    stamps = np.concatenate([100 + 0.01 * np.arange(300), 103 + 0.0125 * np.arange(400), 108 + 0.01 * np.arange(500)])
    bins = np.array(placed(list(stamps)))
    assert list(bins[:300]) == list(range(300))
    assert (bins[450:600] == LEFT_OUT).all() and "12.5 ms apart" in caplog.text
    # Where it comes back, bins are where the timestamps say.
    assert list(bins[-300:]) == list(range(1000, 1300))
    kept = bins[bins != LEFT_OUT]
    assert (np.diff(kept) > 0).all()


def test_a_clock_that_begins_anew_while_bins_are_found_anew() -> None:
    before = np.concatenate([np.arange(300), 300 + np.flatnonzero(np.arange(80) % 12)])
    stamps = [*(100 + 0.01 * before), *(5 + 0.01 * np.arange(400))]
    timeline = Timeline(0.01, jitter_s=0.05)
    bins = [*timeline.add(stamps), *timeline.end()]
    assert timeline.clock_resets == 1 and timeline.n_held == 0
    assert bins == [*before, *range(before[-1] + 2, before[-1] + 402)]


@pytest.mark.parametrize("missing", [float("nan"), float("inf"), -float("inf")])
def test_a_sample_without_a_time_is_a_lost_sample(missing: float) -> None:
    stamps = 100 + 0.01 * np.arange(600)
    stamps[[30, 300, 301, 599]] = missing
    expected = np.arange(600)
    expected[[30, 300, 301, 599]] = LEFT_OUT
    assert placed(list(stamps)) == list(expected)


# Lab Streaming Layer: pylsl's outlet is the emulator.


@pytest.fixture(scope="module")
def lsl(tmp_path_factory: pytest.TempPathFactory) -> object:
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text(
        "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n"
        "MachineAddresses = {127.0.0.1}\nAddressesOverride = {127.0.0.1}\n[lab]\nKnownPeers = {127.0.0.1}\n[log]\nlevel = -2\n"
    )
    os.environ["LSLAPICFG"] = str(config)
    return pytest.importorskip("pylsl")


class Rig:
    """An outlet and a bridge to the daemon; timestamps run ahead of the clock, so that a test need not wait for them."""

    def __init__(self, lsl: object, client: glauber.Client, wait_for: Callable[..., None], *more: str) -> None:
        self.lsl, self.client, self.wait_for = lsl, client, wait_for
        self.name = f"spikes-{uuid.uuid4().hex[:8]}"
        self.rate, self.format = 100.0, "int16"
        self.now_s = lsl.local_clock()  # type: ignore[attr-defined]
        self.outlet: object = None
        self.error: BaseException | None = None
        self.more = more
        self.bridge: object = None
        self.thread: threading.Thread | None = None

    def offer(self, n: int = N) -> None:
        lsl = self.lsl
        info = lsl.StreamInfo(self.name, "SpikeCounts", n, self.rate, self.format, f"source of {self.name}")
        channels = info.desc().append_child("channels")
        for k in range(n):
            channels.append_child("channel").append_child_value("label", f"unit {k}")
        self.outlet = lsl.StreamOutlet(info, 0, 360)

    def start(self) -> None:
        from glauber.bridge import lsl as bridge

        options = bridge.arguments(["--name", self.name, "--session", self.name, "--report", "0.05", "--wait", "20", *self.more])
        self.bridge = bridge.LslBridge(options, self.client)

        def run() -> None:
            try:
                self.bridge.run()
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()
        self.heard()

    def heard(self) -> None:
        """Wait until somebody listens: what is pushed before is not sent."""
        self.wait_for(lambda: self.error is not None or self.outlet.have_consumers())

    def push(self, counts: np.ndarray) -> None:
        width_s = 1 / (self.rate or 100.0)
        for row in counts:
            self.outlet.push_sample(row.tolist(), self.now_s)
            self.now_s += width_s

    def received(self, n: int) -> None:
        """Wait until so many samples have come to the bridge, and those held by it are told from a gap."""

        def has_come() -> bool:
            if self.error is not None:
                raise self.error
            return self.bridge.forwarder is not None and self.bridge.forwarder.account.bins_received >= n

        self.wait_for(has_come)

    def end(self) -> glauber.Session:
        self.bridge.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.client.session(self.name)


@pytest.fixture
def rig(lsl, client, wait_for) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(*more: str) -> Rig:
        made.append(Rig(lsl, client, wait_for, *more))
        return made[-1]

    yield make
    for one in made:
        if one.bridge is not None:
            one.bridge.stop.set()
            one.thread.join(60)
        one.outlet = None


def test_lsl_counts_gaps_and_a_restart_become_bins(rig, caplog) -> None:
    caplog.set_level(logging.INFO, logger="glauber.bridge")
    bins = raster(900, N)
    counts = bins * np.random.default_rng(5).integers(1, 4, bins.shape)
    lsl_rig = rig()
    lsl_rig.offer()
    lsl_rig.start()
    lsl_rig.push(counts[:400])
    lsl_rig.now_s += 25 / 100  # the sender lost 25 samples
    lsl_rig.push(counts[400:600])
    lsl_rig.received(600)
    lsl_rig.outlet = None  # and ends,
    lsl_rig.wait_for(lambda: "is lost" in caplog.text)
    lsl_rig.now_s += 1.5  # 150 bins later
    lsl_rig.offer()  # to be started again
    lsl_rig.heard()
    lsl_rig.push(counts[600:])
    lsl_rig.received(900)
    session = lsl_rig.end()
    info = session.info()
    assert (info.gap_count, info.gap_bins, info.applied_through) == (2, 175, 1075)
    assert session.labels[3] == "unit 3" and info.bin_width_s == 0.01 and info.origin_ns != 0
    x, y = transitions(bins, (400, 600))
    found = session.correlations()
    assert np.array_equal(found.spikes, bins.sum(0)) and np.array_equal(found.delayed, moments(x, y)[1])
    merged = int((counts[bins] - 1).sum())
    assert f"{merged} further spikes merged" in caplog.text and "received 900 bins" in caplog.text
    assert "gap: 25 bins before bin 425" in caplog.text and "gap: 150 bins" in caplog.text


def test_lsl_samples_that_are_no_counts_are_not_observed(rig, caplog) -> None:
    caplog.set_level(logging.INFO, logger="glauber.bridge")
    bins = raster(300, N)
    values = bins.astype(np.float32)
    values[100, 3], values[150, 0], values[151, 1], values[200, 7] = np.nan, -1, 0.5, np.inf
    lsl_rig = rig()
    lsl_rig.format = "float32"
    lsl_rig.offer()
    lsl_rig.start()
    lsl_rig.push(values)
    lsl_rig.received(300)
    session = lsl_rig.end()
    assert (session.info().gap_count, session.info().gap_bins) == (3, 4)
    assert "bin 100: neuron 3 has nan spikes, which is no count" in caplog.text
    assert "4 bins unusable" in caplog.text
    left = np.delete(bins, [100, 150, 151, 200], axis=0)
    assert np.array_equal(session.correlations().spikes, left.sum(0))


def test_lsl_bridge_that_is_started_again_goes_on_after_a_gap(rig, lsl) -> None:
    bins = raster(400, N)
    lsl_rig = rig()
    lsl_rig.offer()
    lsl_rig.start()
    lsl_rig.push(bins[:200].astype(int))
    lsl_rig.received(200)
    lsl_rig.end()
    lsl_rig.wait_for(lambda: not lsl_rig.outlet.have_consumers())
    lsl_rig.push(np.zeros((30, N), int))  # nobody hears these
    lsl_rig.start()
    lsl_rig.push(bins[200:].astype(int))
    lsl_rig.received(200)
    session = lsl_rig.end()
    assert (session.info().gap_count, session.info().gap_bins) == (1, 30)
    assert np.array_equal(session.correlations().spikes, bins.sum(0))


def test_lsl_streams_that_do_not_fit_are_refused(rig, client) -> None:
    irregular = rig()
    irregular.rate = 0.0
    irregular.offer()
    irregular.start()
    with pytest.raises(glauber.InputError, match="no regular rate"):
        irregular.end()

    texts = rig()
    texts.format = "string"
    texts.offer()
    texts.start()
    with pytest.raises(glauber.InputError, match="no numbers"):
        texts.end()

    client.create_session(N + 1, 0.01, name="wider")
    other = rig("--session", "wider")
    other.offer()
    other.start()
    other.push(np.zeros((5, N), int))
    other.wait_for(lambda: other.error is not None)
    with pytest.raises(glauber.InputError, match=f"has {N + 1} neurons, the stream {N} channels"):
        other.end()

    slow = rig()
    slow.offer()
    slow.start()
    slow.rate = 80.0  # what it does is not what it said
    slow.push(np.ones((150, N), int))
    slow.wait_for(lambda: slow.error is not None)
    with pytest.raises(RateError, match="12.5 ms apart"):
        slow.end()
    assert client.session(slow.name).info().applied_through == 0, "nothing wrong was counted"


def test_lsl_stream_that_comes_back_with_other_channels_is_refused(rig, caplog) -> None:
    caplog.set_level(logging.INFO, logger="glauber.bridge")
    lsl_rig = rig()
    lsl_rig.offer()
    lsl_rig.start()
    lsl_rig.push(np.ones((150, N), int))
    lsl_rig.received(150)
    lsl_rig.outlet = None
    lsl_rig.wait_for(lambda: "is lost" in caplog.text)
    lsl_rig.offer(N + 1)
    lsl_rig.wait_for(lambda: lsl_rig.error is not None)
    with pytest.raises(glauber.InputError, match=f"another channel_count: {N + 1} instead of {N}"):
        lsl_rig.end()
    assert lsl_rig.client.session(lsl_rig.name).info().applied_through == 150


def test_lsl_bridge_as_a_program(lsl, daemon, client, wait_for) -> None:
    rig = Rig(lsl, client, wait_for)
    rig.offer()
    command = [sys.executable, "-m", "glauber.bridge.lsl", "--name", rig.name, "--session", rig.name, "--connect", daemon.address]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        rig.heard()
        rig.push(np.ones((200, N), int))
        wait_for(lambda: any(one.name == rig.name and one.applied_through > 0 for one in client.sessions()))
        program.send_signal(signal.SIGTERM)
        _, log = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == 0, log
    assert client.session(rig.name).info().durable_through == 200, log
    assert "created session" in log and "received 200 bins" in log and "all bins before 200 have arrived" in log


def test_lsl_help_and_missing_stream(lsl, client, capsys) -> None:
    from glauber.bridge import lsl as bridge

    with pytest.raises(SystemExit):
        bridge.arguments(["--help"])
    assert "examples:" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        bridge.arguments([])
    assert "--source-id is needed" in capsys.readouterr().err
    options = bridge.arguments(["--name", "nobody's".replace("'", ""), "--wait", "0.1"])
    with pytest.raises(glauber.GlauberError, match="no stream with name='nobodys' appeared"):
        bridge.LslBridge(options, client).run()


# BRAND: a server that speaks as much of Redis as the bridge asks for.


class RedisEmulator:
    """XREVRANGE and XREAD of one stream, in RESP 2, on a port of this machine."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, list[bytes]]] = []
        self.state = threading.Condition()
        self.server: socketserver.ThreadingTCPServer | None = None
        self.connections: list[socket.socket] = []
        self.port = 0
        self.start()

    def add(self, **fields: bytes) -> None:
        with self.state:
            flat = [part for name, value in fields.items() for part in (name.encode(), value)]
            self.entries.append((f"{len(self.entries) + 1}-0", flat))
            self.state.notify_all()

    def start(self) -> None:
        emulator = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                emulator.connections.append(self.connection)
                try:
                    while command := self.command():
                        self.wfile.write(emulator.answer(command))
                except OSError:
                    pass

            def command(self) -> list[bytes]:
                line = self.rfile.readline()
                parts = []
                for _ in range(int(line[1:]) if line else 0):
                    size = int(self.rfile.readline()[1:])
                    parts.append(self.rfile.read(size + 2)[:-2])
                return parts

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def answer(self, command: list[bytes]) -> bytes:
        name = command[0].upper()
        if name == b"XREVRANGE":
            return resp([self.message(entry) for entry in self.entries[-1:]])
        if name == b"XREAD":
            after = int(command[-1].split(b"-")[0])
            block_ms = int(command[[part.upper() for part in command].index(b"BLOCK") + 1])
            with self.state:
                self.state.wait_for(lambda: len(self.entries) > after, block_ms / 1000)
                found = self.entries[after : after + 256]
            return resp([[command[-2], [self.message(entry) for entry in found]]]) if found else b"*-1\r\n"
        return b"+OK\r\n"

    @staticmethod
    def message(entry: tuple[str, list[bytes]]) -> list[object]:
        return [entry[0].encode(), list(entry[1])]


def resp(value: object) -> bytes:
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(resp(one) for one in value)


def test_brand_gaps_restarts_and_malformed_entries(client, wait_for, caplog) -> None:
    pytest.importorskip("redis")
    from glauber.bridge import brand

    caplog.set_level(logging.INFO, logger="glauber.bridge")
    bins = raster(600, N)
    counts = (bins * 3).astype(np.int8)
    emulator = RedisEmulator()
    emulator.add(samples=b"\x01" * N, i=b"0", ts=b"0")  # before the bridge: not its business
    options = brand.arguments(
        ["--bin-width", "10", "--redis", f"redis://127.0.0.1:{emulator.port}", "--session", "brand", "--report", "0.05"]
    )
    bridge = brand.BrandBridge(options, client)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            bridge.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def add(rows: range, number: int, time_ms: int) -> None:
        for k, row in enumerate(rows):
            stamp = (10**6 * (time_ms + 10 * k)).to_bytes(8, "little")
            emulator.add(samples=counts[row].tobytes(), i=str(number + k).encode(), ts=stamp, sync=b"{}")

    def forwarded(n: int) -> None:
        wait_for(lambda: failures or (bridge.forwarder is not None and bridge.forwarder.account.bins_forwarded >= n))
        assert not failures

    try:
        wait_for(lambda: bridge._last_id != "$")
        add(range(0, 200), 1, 10)
        add(range(200, 300), 1 + 220, 2210)  # 20 bins lost
        emulator.add(samples=b"\x00" * (N - 1), i=b"321", ts=b"3210000000")  # a neuron is missing
        emulator.add(other=b"x")
        forwarded(300)
        emulator.stop()  # the connection breaks
        wait_for(lambda: "redis: " in caplog.text)
        emulator.start()
        add(range(300, 400), 322, 3220)
        add(range(400, 600), 0, 5000)  # the node was away from 4.22 s to 5 s, and counts anew
        forwarded(600)
    finally:
        bridge.stop.set()
        thread.join(60)
        emulator.stop()
    assert not failures and not thread.is_alive()
    session = client.session("brand")
    info = session.info()
    assert (info.gap_count, info.gap_bins) == (3, 20 + 1 + 78)
    x, y = transitions(bins, (200, 300, 400))
    found = session.correlations()
    assert np.array_equal(found.spikes, bins.sum(0)) and np.array_equal(found.delayed, moments(x, y)[1])
    assert f"entry 321 has {N - 1} counts; expected {N}" in caplog.text
    assert "an entry has no field 'samples', only other" in caplog.text
    assert "entry 0 after entry 421: the node began anew; 78 bins" in caplog.text
    assert f"{2 * int(bins.sum())} further spikes merged" in caplog.text


def test_brand_bridge_that_is_started_again_leaves_the_time_away_as_a_gap(client, wait_for) -> None:
    pytest.importorskip("redis")
    from glauber.bridge import brand

    bins = raster(200, N)
    emulator = RedisEmulator()

    def forward(rows: np.ndarray, number: int, time_ms: int) -> None:
        options = brand.arguments(
            ["--bin-width", "10", "--redis", f"redis://127.0.0.1:{emulator.port}", "--session", "brand again"]
        )
        bridge = brand.BrandBridge(options, client)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                bridge.run()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_for(lambda: bridge._last_id != "$")
            for k, row in enumerate(rows):
                stamp = str(10**6 * (time_ms + 10 * k)).encode()
                emulator.add(samples=row.astype(np.int8).tobytes(), i=str(number + k).encode(), ts=stamp)
            wait_for(lambda: failures or (bridge.forwarder is not None and bridge.forwarder.account.bins_forwarded >= len(rows)))
        finally:
            bridge.stop.set()
            thread.join(60)
        if failures:
            raise failures[0]

    try:
        forward(bins[:100], 1, 70_000)
        forward(bins[100:], 501, 75_000)  # 1 s was forwarded, and the bridge was away for 4
        info = client.session("brand again").info()
        assert (info.gap_count, info.gap_bins, info.applied_through) == (1, 400, 600)
        with pytest.raises(glauber.InputError, match="was the machine started anew"):
            forward(bins[:1], 1, 10)
    finally:
        emulator.stop()


def test_brand_help(capsys) -> None:
    from glauber.bridge import brand

    with pytest.raises(SystemExit):
        brand.arguments(["--help"])
    assert "examples:" in capsys.readouterr().out


def test_lsl_bridge_keeps_what_comes_while_the_daemon_is_away(lsl, own_daemon, wait_for) -> None:
    bins = raster(900, N)
    with glauber.connect(own_daemon.address) as client:
        rig = Rig(lsl, client, wait_for)
        rig.offer()
        rig.start()
        try:
            rig.push(bins[:300].astype(int))
            rig.received(300)
            own_daemon.stop()
            rig.push(bins[300:600].astype(int))
            rig.received(600)
            own_daemon.start()
            rig.push(bins[600:].astype(int))
            rig.received(900)
            session = rig.end()
        finally:
            rig.bridge.stop.set()
            rig.thread.join(60)
        info = session.info()
        assert (info.gap_count, info.durable_through) == (0, 900)
        x, y = transitions(bins)
        assert np.array_equal(session.correlations().delayed, moments(x, y)[1])
