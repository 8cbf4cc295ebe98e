"""Time-stamped spikes: the daemon bins them as numpy does."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from conftest import moments, transitions

import glauber
from glauber import InputError

N, WIDTH_NS = 16, 5_000_000
QUIET = dict(windows=["all"], estimators=["nmf"], ridge=0.1, equilibrium_methods=())


def spikes(seconds: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Neurons and times in ns, by time, of Poisson neurons with bursts in common."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, seconds, int(300 * seconds)))
    neurons = rng.integers(0, N, len(times))
    return neurons, np.rint(times * 1e9).astype(np.int64)


def binned(neurons: np.ndarray, times_ns: np.ndarray, end_ns: int) -> np.ndarray:
    """The same as bins, by numpy: every bin up to the one before ``end_ns``."""
    bins = np.zeros((-(-end_ns // WIDTH_NS), N), dtype=bool)
    bins[times_ns // WIDTH_NS, neurons] = True
    return bins


def same_counts(session: glauber.Session, bins: np.ndarray, breaks: tuple[int, ...] = ()) -> None:
    x, y = transitions(bins, breaks)
    found = session.correlations()
    assert np.array_equal(found.spikes, bins.sum(0))
    assert np.array_equal(found.delayed, moments(x, y)[1])


def test_two_clocks_with_offsets_and_jitter_give_the_bins_of_numpy(client) -> None:
    neurons, times = spikes(20)
    session = client.create_session(N, WIDTH_NS / 1e9, **QUIET)
    amplifiers = {"a": 0.0, "b": -1.5}
    of_b = neurons >= N // 2
    rng = np.random.default_rng(4)
    with session.time_stream(lateness_s=0.05, sources=amplifiers) as stream:
        for start in range(0, 20_000_000_000, 250_000_000):
            now = (times >= start) & (times < start + 250_000_000)
            for name, mine, offset in (("a", ~of_b, 0), ("b", of_b, 1_500_000_000)):
                chosen = rng.permutation(np.flatnonzero(now & mine))
                clock = start + 250_000_000 + offset
                if name == "a":
                    stream.push_times(neurons[chosen], times_ns=times[chosen], clock_ns=clock, source=name)
                else:
                    stream.push_times(neurons[chosen], (times[chosen] + offset) / 1e9, clock_s=clock / 1e9, source=1)
        stream.flush(60)
        assert stream.watermarks[2] >= (20_000_000_000 - 50_000_000) // WIDTH_NS
    info = session.info()
    bins = binned(neurons, times, 20_000_000_000)
    assert (info.late_spikes, info.gap_bins, info.applied_through) == (0, 0, len(bins))
    assert info.merged_spikes == len(times) - bins.sum()
    same_counts(session, bins)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_daemon_gets_the_spikes_again(own_daemon, wait_for, how) -> None:
    neurons, times = spikes(30)
    with glauber.connect(own_daemon.address) as client:
        session = client.create_session(N, WIDTH_NS / 1e9, **QUIET)
        with session.time_stream(lateness_s=0.02, sources=["amplifier"]) as stream:
            for second in range(30):
                for start in range(second * 10**9, (second + 1) * 10**9, 100_000_000):
                    now = (times >= start) & (times < start + 100_000_000)
                    lost = [(start, start + 1)] if start == 12 * 10**9 else []
                    # A clock that is wrong by 1 ms from second 20 on, and told so.
                    offset = None if second < 20 else -0.001
                    stamps = times[now] + (0 if offset is None else 1_000_000)
                    clock = start + 100_000_000 + (0 if offset is None else 1_000_000)
                    stream.push_times(neurons[now], times_ns=stamps, clock_ns=clock, unobserved_ns=lost, offset_s=offset)
                if second in (7, 12, 22):
                    wait_for(lambda so_far=second: stream.watermarks[1] > (so_far - 1) * 10**9 // WIDTH_NS)
                    own_daemon.stop(how)
                    own_daemon.start()
            assert stream.reconnects >= 3
        info = session.info()
        gap = 12 * 10**9 // WIDTH_NS
        bins = np.delete(binned(neurons, times, 30 * 10**9), gap, axis=0)
        assert (info.late_spikes, info.gap_bins, info.applied_through) == (0, 1, len(bins) + 1)
        same_counts(session, bins, (gap,))


def test_a_clock_that_begins_anew_with_another_offset_is_flushed(client) -> None:
    session = client.create_session(N, WIDTH_NS / 1e9, **QUIET)
    with session.time_stream(lateness_s=0.0) as stream:
        stream.push_times([0], [0.5], clock_s=1.0)
        stream.push_times([1], [0.25], clock_s=0.5, offset_s=1.0)
        stream.flush(60)
        assert stream.watermarks[1] == 1_500_000_000 // WIDTH_NS
    assert (session.info().late_spikes, session.info().active_entries) == (0, 2)


def test_late_spikes_are_counted_and_left_out(client) -> None:
    session = client.create_session(N, WIDTH_NS / 1e9, **QUIET)
    with session.time_stream(lateness_s=0.0) as stream:
        stream.push_times([0, 1], [0.001, 0.012], clock_s=0.020)
        stream.push_times([2], [0.004], clock_s=0.025)
    info = session.info()
    assert (info.late_spikes, info.active_entries, info.applied_through) == (1, 2, 5)


def test_times_that_do_not_fit_are_refused_before_they_are_sent(client) -> None:
    session = client.create_session(N, WIDTH_NS / 1e9, **QUIET)
    with session.time_stream(sources=["a"], lateness_s=0.01) as stream:
        stream.push_times([1], [0.5], clock_s=1.0)
        wrong = [
            (dict(neurons=[0, 1], times_s=[0.1, np.nan]), "times_s: nan at place 1; expected finite"),
            (dict(neurons=[0], times_s=[np.inf]), "times_s: inf"),
            (dict(neurons=[0], times_ns=[0.1]), "times_ns: dtype float64; expected integers"),
            (dict(neurons=[0, 1], times_s=[0.1]), r"times: shape \(1,\); expected \(2,\)"),
            (dict(neurons=[N], times_s=[0.1]), f"index {N} at place 0; the session has {N} neurons"),
            (dict(neurons=[-1], times_s=[0.1]), "index -1"),
            (dict(neurons=[0.5], times_s=[0.1]), "dtype float64"),
            (dict(neurons=[0], times_s=[0.1], times_ns=[1]), "one of the two"),
            (dict(neurons=[], clock_s=0.5), "it had come to"),
            (dict(neurons=[], clock_s=float("nan")), "clock_s: nan"),
            (dict(neurons=[], source="b"), "source: 'b'; expected one of 'a'"),
            (dict(neurons=[], source=1), "source: 1; the stream has 1"),
            (dict(neurons=[], unobserved_s=[(2.0, 1.0)]), "not after its start"),
        ]
        for arguments, message in wrong:
            with pytest.raises(InputError, match=message):
                stream.push_times(**arguments)
    assert session.info().active_entries == 1
    with pytest.raises(InputError, match="lateness_s: 61"):
        session.time_stream(lateness_s=61)
