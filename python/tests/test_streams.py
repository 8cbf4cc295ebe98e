"""Streams: nothing is lost, whoever is killed, and nothing wrong is sent."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import moments, raster, transitions

import glauber
from glauber import InputError

N = 40
QUIET = dict(windows=["all"], estimators=["nmf"], ridge=0.1, equilibrium_methods=())


def counts_are_those_of(session: glauber.Session, bins: np.ndarray, breaks: tuple[int, ...] = ()) -> None:
    x, y = transitions(bins, breaks)
    found = session.correlations()
    assert np.array_equal(found.spikes, bins.sum(0))
    assert np.array_equal(found.delayed, moments(x, y)[1])
    assert np.array_equal(found.equal_time, moments(x, y)[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_is_killed_in_mid_stream_loses_nothing(own_daemon, wait_for, how) -> None:
    bins = raster(20_000, N)
    with glauber.connect(own_daemon.address) as client:
        session = client.create_session(N, 0.001, name="killed", **QUIET)
        with session.stream() as stream:
            done = threading.Event()

            def push() -> None:
                # Pieces of uneven size, as a rig's: some wait together while the daemon is away.
                cuts = np.unique(np.random.default_rng(2).integers(1, len(bins), 700))
                for part in np.split(bins, cuts):
                    stream.push(part)
                    if stream.next_bin < 15_000:
                        done.wait(0.001)
                done.set()

            pusher = threading.Thread(target=push)
            pusher.start()
            for kill_after in (3_000, 7_000):
                wait_for(lambda after=kill_after: stream.watermarks[1] > after or done.is_set())
                own_daemon.stop(how)
                own_daemon.start()
            pusher.join()
            stream.flush(60)
            assert stream.watermarks[2] == len(bins)
            assert stream.reconnects >= 2 and stream.unacknowledged_bytes == 0
        info = session.info()
        assert (info.gap_count, info.durable_through, info.active_entries) == (0, len(bins), bins.sum())
        counts_are_those_of(session, bins)


def test_memory_is_bounded_while_the_daemon_is_away(own_daemon) -> None:
    bins = raster(4_000, N)
    with glauber.connect(own_daemon.address) as client:
        session = client.create_session(N, 0.001, **QUIET)
        with session.stream(buffer_bytes=10_000) as stream:
            stream.push(bins[:500])
            stream.flush(60)
            own_daemon.stop()
            with pytest.raises(glauber.WaitTimeoutError, match="buffer_bytes allows 10000"):
                while True:
                    stream.push(bins[stream.next_bin :][:100], timeout_s=0.2)
            assert stream.unacknowledged_bytes <= 10_000
            with pytest.raises(glauber.WaitTimeoutError, match="not yet all before"):
                stream.flush(0.1)
            own_daemon.start()
            while stream.next_bin < len(bins):
                stream.push(bins[stream.next_bin :][:100])
        counts_are_those_of(session, bins)


def test_pushes_of_several_threads_take_turns(client) -> None:
    first, second = np.zeros((6_000, N), bool), np.ones((6_000, N), bool)
    session = client.create_session(N, 0.001, **QUIET)
    begun: list[tuple[int, int]] = []
    failures: list[BaseException] = []
    # One message fits: a push of 60 waits for room again and again, and the other thread comes meanwhile.
    with session.stream(buffer_bytes=600) as stream:

        def push(bins: np.ndarray) -> None:
            try:
                for part in np.split(bins, 100):
                    begun.append((stream.push(part), len(part)))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=push, args=(bins,)) for bins in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        stream.flush(60)
        assert sorted(begun) == [(60 * k, 60) for k in range(200)]
    info = session.info()
    assert (info.applied_through, info.gap_bins, info.active_entries) == (12_000, 0, second.sum())


def test_a_push_whose_turn_does_not_come_says_so(own_daemon, wait_for) -> None:
    with glauber.connect(own_daemon.address) as client:
        session = client.create_session(N, 0.001, **QUIET)
        with session.stream(buffer_bytes=600) as stream:
            own_daemon.stop()
            stream.push(raster(60, N))
            waiting = threading.Thread(target=lambda: stream.push(raster(60, N)))
            waiting.start()
            wait_for(lambda: stream._sender.pushing.locked())
            with pytest.raises(glauber.WaitTimeoutError, match="buffer_bytes allows 600"):
                stream.push(raster(1, N), timeout_s=0.05)
            own_daemon.start()
            waiting.join(60)
            assert not waiting.is_alive() and stream.next_bin == 120


def test_a_daemon_that_lost_its_journal_is_told_apart(own_daemon, wait_for) -> None:
    import shutil

    with glauber.connect(own_daemon.address) as client:
        session = client.create_session(N, 0.001, **QUIET)
        stream = session.stream()
        stream.push(raster(100, N))
        stream.flush(60)
        own_daemon.stop()
        shutil.rmtree(own_daemon.directory / "journal")
        own_daemon.start()
        with pytest.raises(glauber.NotFoundError, match=session.session_id):
            while True:
                stream.push(raster(1, N))
                stream.flush(60)
        with pytest.raises(glauber.NotFoundError):
            stream.close()


def test_one_producer_at_a_time(client, wait_for) -> None:
    bins = raster(300, N)
    session = client.create_session(N, 0.001, **QUIET)
    first = session.stream()
    first.push(bins[:100])
    first.flush(60)
    with pytest.raises(glauber.ProducerConnectedError, match="take_over=True") as refused:
        session.stream()
    assert refused.value.code == "ALREADY_EXISTS"
    with session.stream(take_over=True) as second:
        assert second.next_bin == 100
        second.push(bins[100:200])
        with pytest.raises(glauber.FencedError, match="took session") as fenced:
            while True:
                first.push(bins[200:201])
                first.flush(60)
        assert fenced.value.code == "ABORTED"
    with pytest.raises(glauber.FencedError):
        first.close()
    # Who was fenced has left no trace; who comes later goes on.
    with session.stream() as third:
        assert third.next_bin == 200
        third.push(bins[200:])
    counts_are_those_of(session, bins)


def test_gaps_are_gaps(client) -> None:
    bins = raster(300, N)
    session = client.create_session(N, 0.001, **QUIET)
    with session.stream() as stream:
        stream.push(bins[:100])
        stream.skip(50)
        assert stream.push(bins[100]) == 150
        stream.push(bins[101:], first_bin=151)
        stream.push(np.empty((0, N), dtype=bool))
    info = session.info()
    assert (info.gap_count, info.gap_bins, info.applied_through) == (1, 50, 350)
    counts_are_those_of(session, bins, (100,))


def test_bins_that_do_not_fit_are_refused_before_they_are_sent(client) -> None:
    session = client.create_session(N, 0.001, **QUIET)
    with session.stream() as stream:
        stream.push(raster(10, N))
        wrong: list[tuple[object, dict[str, int], str]] = [
            (np.zeros((5, N + 1), bool), {}, rf"shape \(5, {N + 1}\); expected \(n_bins, {N}\)"),
            (np.zeros((2, 3, N), bool), {}, "shape"),
            (np.zeros((5, N)), {}, "dtype float64; expected bool"),
            (np.full((5, N), "x"), {}, "dtype <U1"),
            (np.eye(N, dtype=int) * 2, {}, "value 2 in row 0, neuron 0; expected 0 or 1"),
            (-np.eye(N, dtype=np.int8), {}, "value -1 in row 0"),
            (np.zeros((1, N), bool), {"first_bin": 9}, "first_bin: 9; bins before 10 were pushed already"),
            (np.zeros((1, N), bool), {"first_bin": 10.5}, "first_bin: 10.5; expected a whole number"),
        ]
        for bins, more, message in wrong:
            with pytest.raises(InputError, match=message):
                stream.push(bins, **more)  # type: ignore[arg-type]
        assert stream.next_bin == 10
        with pytest.raises(InputError, match="n_bins: -1"):
            stream.skip(-1)
    with pytest.raises(glauber.StreamClosedError):
        stream.push(raster(1, N))
    stream.close()
    assert session.info().applied_through == 10


def test_an_error_in_the_block_is_the_one_seen_and_what_was_pushed_arrives(client) -> None:
    session = client.create_session(N, 0.001, **QUIET)
    with pytest.raises(ZeroDivisionError), session.stream() as stream:
        stream.push(raster(100, N))
        _ = 1 / 0
    assert session.info().applied_through == 100


def test_what_the_daemon_refuses_is_typed_and_told_in_its_words(client) -> None:
    with pytest.raises(glauber.InvalidArgumentError, match="bin width 7 us") as refused:
        client.create_session(4, 7e-6)
    assert refused.value.code == "INVALID_ARGUMENT" and refused.value.field == "spec.bin_width_us"
    with pytest.raises(InputError, match="estimator: 'nmff' is not known; expected one of 'nmf', 'tap'"):
        client.create_session(4, 0.01, estimators=["nmff"])
    with pytest.raises(InputError, match="whole microseconds"):
        client.create_session(4, 0.0000005)
    with pytest.raises(InputError, match="labels: 2 for 4 neurons"):
        client.create_session(4, 0.01, labels=["a", "b"])
    with pytest.raises(glauber.NotFoundError, match="there is no session 'nobody'"):
        client.session("nobody")
    session = client.create_session(4, 0.01, name="named so", **QUIET)
    assert client.session("named so").session_id == client.session(session.session_id).session_id
    assert session.session_id in [one.session_id for one in client.sessions()]
    with pytest.raises(glauber.NotReadyError, match="published nothing yet") as early:
        session.couplings()
    assert early.value.code == "FAILED_PRECONDITION"
    with pytest.raises(glauber.InvalidArgumentError, match="'tap' is not one of this session"):
        session.couplings("tap")
    with pytest.raises(InputError, match="receivers: index 4; the session has 4 neurons"):
        session.couplings(receivers=[4])
    with pytest.raises(glauber.NotReadyError, match="no equilibrium models"):
        session.equilibrium_model()
    with pytest.raises(InputError, match="lag: 0"):
        session.correlations(0)
    session.mark_trial(10, 20)
    with pytest.raises(glauber.InvalidArgumentError, match="stops at bin 5"):
        session.mark_trial(30, 5)
    session.close()
    session.close()
    with pytest.raises(glauber.NotReadyError, match="is closed"):
        session.stream()


def test_a_closed_client_says_so(daemon, tmp_path) -> None:
    with glauber.connect(daemon.address) as client:
        session = client.create_session(N, 0.001, **QUIET)
        with session.stream() as stream:
            stream.push(raster(10, N))
    watch, predictions = session.watch(), session.predictions
    asked = [client.sessions, session.info, session.couplings, lambda: next(watch), predictions]
    for ask in [*asked, lambda: session.fetch_snapshot("none.nwb", tmp_path / "none.nwb")]:
        with pytest.raises(glauber.GlauberError, match=f"the client of {daemon.address} is closed"):
            ask()
    assert list(tmp_path.iterdir()) == []


def test_what_passes_is_told_from_what_stays() -> None:
    from glauber.errors import is_transient

    for code in ("INTERNAL", "UNKNOWN"):
        assert is_transient(glauber.DaemonError("Received RST_STREAM with error code 2", code=code))
        assert is_transient(glauber.DaemonError("Stream removed", code=code))
        assert not is_transient(glauber.DaemonError("a bug", code=code))
    assert is_transient(glauber.UnavailableError("gone", code="UNAVAILABLE"))
    assert not is_transient(glauber.LimitError("too many sessions", code="RESOURCE_EXHAUSTED"))
    assert not is_transient(glauber.DaemonError("RST_STREAM", code="DATA_LOSS"))


def test_nobody_there(tmp_path) -> None:
    with pytest.raises(glauber.UnavailableError, match="no daemon answers at 127.0.0.1:9") as nobody:
        glauber.connect("127.0.0.1:9")
    assert nobody.value.code == "UNAVAILABLE"
    for address in ("127.0.0.1:0", "ftp://127.0.0.1", ":50051", "host:port"):
        with pytest.raises(InputError, match="HOST:PORT"):
            glauber.connect(address)
    with pytest.raises(InputError, match="belong together"):
        glauber.connect("127.0.0.1:9", tls=glauber.Tls(certificate=tmp_path))


def test_tokens(tmp_path) -> None:
    from conftest import Daemon

    token = "0123456789abcdef" * 2
    (tmp_path / "tokens").write_text(f"# of this test\nme:{token}\n")
    (tmp_path / "tokens").chmod(0o600)

    class Guarded(Daemon):
        def start(self) -> None:
            self._command += ["--set", f"server.token_file={tmp_path / 'tokens'}"]
            super().start()

    daemon = Guarded(tmp_path)
    try:
        with pytest.raises(glauber.AccessError) as refused:
            glauber.connect(daemon.address)
        assert refused.value.code == "UNAUTHENTICATED"
        with glauber.connect(daemon.address, token_file=tmp_path / "tokens") as client:
            session = client.create_session(N, 0.001, **QUIET)
            with session.stream() as stream:
                stream.push(raster(10, N))
            assert session.info().applied_through == 10
    finally:
        daemon.stop()


def test_a_program_that_does_not_close_its_stream_loses_nothing(daemon, client) -> None:
    script = (
        "import glauber, numpy, sys\n"
        "session = glauber.connect(sys.argv[1]).create_session(8, 0.01, name='left open', equilibrium_methods=[])\n"
        "session.stream().push(numpy.ones((50000, 8), bool))\n"
    )
    left = subprocess.run([sys.executable, "-c", script, daemon.address], capture_output=True, text=True, timeout=60)
    assert left.returncode == 0, left.stderr
    assert client.session("left open").info().durable_through == 50_000, left.stderr
