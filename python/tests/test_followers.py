"""Watching couplings, predictions for closed loops."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import naive_mean_field, raster, transitions

import glauber
from glauber._proto import inference_service_pb2

N = 12


def a_session(client: glauber.Client) -> glauber.Session:
    return client.create_session(
        N, 0.01, windows=["all"], estimators=["nmf"], ridge=0.0, refresh_interval_bins=500, equilibrium_methods=()
    )


def test_watching_tells_each_publication_until_the_session_is_closed(client) -> None:
    bins = raster(3000, N)
    session = a_session(client)
    seen: list[glauber.Couplings] = []
    watch = session.watch("nmf")
    watcher = threading.Thread(target=lambda: seen.extend(watch))
    watcher.start()
    with session.stream() as stream:
        for start in range(0, len(bins), 500):
            stream.push(bins[start : start + 500])
            stream.flush(60)
    session.close()
    watcher.join(60)
    assert not watcher.is_alive(), "the iteration ends with the session"
    publications = [one.publication for one in seen]
    assert publications == sorted(set(publications)) and len(seen) >= 1
    for one, before in zip(seen[1:], publications, strict=False):
        assert one.skipped == one.publication - before - 1
    last = seen[-1]
    couplings, _, errors = naive_mean_field(*transitions(bins[: last.end_bin]))
    assert last.end_bin == len(bins)
    np.testing.assert_allclose(last.couplings, couplings, rtol=0, atol=1e-9)
    np.testing.assert_allclose(last.standard_errors, errors, rtol=1e-9)


def test_a_watch_outlives_the_daemon_and_says_so(own_daemon) -> None:
    bins = raster(3000, N)
    with glauber.connect(own_daemon.address) as client:
        session = a_session(client)
        with session.stream() as stream, session.watch("nmf") as watch, session.watch("nmf", reconnect=False) as fragile:
            stream.push(bins[:1000])
            first, _ = next(watch), next(fragile)
            assert not first.reconnected
            stream.flush(60)
            own_daemon.stop()
            own_daemon.start()
            with pytest.raises(glauber.UnavailableError):
                for _ in fragile:
                    pass
            stream.push(bins[1000:])
            stream.flush(60)
            after: list[glauber.Couplings] = []
            while not after or after[-1].end_bin != len(bins):
                after.append(next(watch))
            assert after[-1].couplings.shape == (N, N) and stream.reconnects >= 1
            # Those that had come before the daemon was lost are first; then one says so, once.
            assert [one.reconnected for one in after].count(True) == 1
        with pytest.raises(StopIteration):
            next(watch)


def test_a_watch_of_a_closed_client_ends(daemon, wait_for) -> None:
    client = glauber.connect(daemon.address)
    session = a_session(client)
    watch = session.watch()
    reader = threading.Thread(target=lambda: list(watch))
    reader.start()
    wait_for(lambda: watch._call is not None)
    client.close()
    reader.join(60)
    assert not reader.is_alive()


class Parts:
    """Couplings that come whole, in place of what decodes them."""

    is_complete = True

    def __init__(self, header, *_) -> None:
        self.told = header

    def add(self, part) -> None:
        pass

    def couplings(self, labels, *, reconnected):
        return Told(self.told.publication, self.told.end_bin, 0, reconnected)


@dataclass(frozen=True)
class Told:
    publication: int
    end_bin: int
    skipped: int
    reconnected: bool


def test_publications_of_a_daemon_that_was_started_again_are_not_those_before(monkeypatch) -> None:
    from glauber import watch as module

    monkeypatch.setattr(module, "CouplingsParts", Parts)
    followed = module.CouplingsWatch(None, inference_service_pb2.CouplingsQuery(receivers=[0]), [], (), reconnect=True)

    def read(publication: int, end_bin: int) -> list[Told]:
        header = SimpleNamespace(publication=publication, end_bin=end_bin)
        message = [SimpleNamespace(WhichOneof=lambda _, one=one: one, header=header) for one in ("header", "row")]
        return list(followed._read(message))

    assert read(3, 300) == [Told(3, 300, 0, False)]
    followed._reconnected = True
    assert read(3, 300) == [], "sent again"
    assert read(3, 700) == [Told(3, 700, 0, True)], "the third of another start"
    assert read(1, 800) == [Told(1, 800, 0, True)], "counted back: nothing was skipped"
    assert read(4, 1100) == [Told(4, 1100, 2, True)]


def test_a_watch_that_is_closed_elsewhere_ends(client) -> None:
    session = a_session(client)
    watch = session.watch()
    seen: list[glauber.Couplings] = []
    reader = threading.Thread(target=lambda: seen.extend(watch))
    reader.start()
    watch.close()
    reader.join(60)
    assert not reader.is_alive() and seen == []


def test_predictions_follow_each_bin(client) -> None:
    bins = raster(2200, N)
    session = a_session(client)
    with session.stream() as stream:
        stream.push(bins[:2000])
        stream.flush(60)
        estimate = next(one for one in session.watch("nmf", standard_errors=False, q=False) if one.end_bin == 2000)
        wanted = [3, 0, 7]
        with session.predictions("nmf", neurons=wanted) as predictions:
            for bin_, row in enumerate(bins[2000:2200], start=2000):
                stream.push(row)
                told = next(predictions)
                assert (told.first_bin, told.last_bin, told.skipped) == (bin_, bin_, 0)
                assert list(told.neurons) == wanted and told.estimator == "nmf"
                if told.publication == estimate.publication:
                    field = estimate.fields + estimate.couplings @ (2.0 * row - 1)
                    expected = 1 / (1 + np.exp(-2 * field[wanted]))
                    np.testing.assert_allclose(told.probabilities[0], expected, rtol=0, atol=1e-6)
            assert told.probabilities.dtype == np.float32
            session.close()
            assert list(predictions) == []
    with pytest.raises(glauber.InputError, match="neurons: index 12"):
        session.predictions(neurons=[12])


def test_refit_publishes(client) -> None:
    session = a_session(client)
    with session.stream() as stream:
        stream.push(raster(300, N))
        stream.flush(60)
        refit = session.refit(timeout_s=60)
    assert refit.end_bin == 300
    assert session.couplings().publication >= refit.publication
