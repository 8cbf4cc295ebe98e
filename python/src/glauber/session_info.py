"""What a daemon says of a session besides its estimates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ._proto import types_pb2
from .names import estimator_name, method_name


@dataclass(frozen=True, kw_only=True)
class SessionInfo:
    """A session and where it stands.

    Attributes
    ----------
    session_id, name : str
    is_open : bool
    n_neurons : int
    bin_width_s : float
    origin_ns : int
        Time of the left edge of bin 0 on the recording's clock, nanoseconds.
    windows, estimators, equilibrium_methods : tuple of str
    lags_bins : tuple of int
    ridges : tuple of float
    refresh_interval_bins : int
    received_through, applied_through, durable_through : int
        Every bin before these was received, is in the counts, survives a crash; durable is 0 without a journal.
    gap_bins, gap_count : int
        Bins that never arrived, and in how many gaps.
    active_entries, repeated_bins : int
        Active (neuron, bin) entries received; bins that came again and were ignored.
    late_spikes, merged_spikes, masked_spikes : int
        Of time-stamped spikes: those that came too late, those in a bin in which their neuron had fired already, those in unobserved bins.
    refreshes_published, refreshes_skipped, refits : int
    producer_connected : bool
    producer_epoch : int
    memory_bytes : int
    last_bin_age_s : float or None
    best_estimator, best_window : str
        What has predicted best of late; empty before anything is scored.
    best_bits_per_spike : float
        Its recent score; NaN before anything is scored.
    """

    session_id: str
    name: str
    is_open: bool
    n_neurons: int
    bin_width_s: float
    origin_ns: int
    windows: tuple[str, ...]
    estimators: tuple[str, ...]
    equilibrium_methods: tuple[str, ...]
    lags_bins: tuple[int, ...]
    ridges: tuple[float, ...]
    refresh_interval_bins: int
    received_through: int
    applied_through: int
    durable_through: int
    gap_bins: int
    gap_count: int
    active_entries: int
    repeated_bins: int
    late_spikes: int
    merged_spikes: int
    masked_spikes: int
    refreshes_published: int
    refreshes_skipped: int
    refits: int
    producer_connected: bool
    producer_epoch: int
    memory_bytes: int
    last_bin_age_s: float | None
    best_estimator: str
    best_window: str
    best_bits_per_spike: float


def session_info(message: types_pb2.Session) -> SessionInfo:
    """A session of the interface."""
    spec, marks, best = message.spec, message.watermarks, message.best
    has_best = message.HasField("best")
    return SessionInfo(
        session_id=message.session_id,
        name=spec.name,
        is_open=message.state == types_pb2.SESSION_STATE_OPEN,
        n_neurons=spec.neuron_count or len(spec.neurons),
        bin_width_s=spec.bin_width_us / 1e6,
        origin_ns=spec.origin_ns,
        windows=tuple(spec.windows),
        estimators=tuple(estimator_name(one) for one in spec.estimators),
        equilibrium_methods=tuple(method_name(one) for one in spec.equilibrium_methods),
        lags_bins=tuple(spec.lags_bins),
        ridges=tuple(spec.ridge_path) or ((spec.ridge,) if spec.HasField("ridge") else ()),
        refresh_interval_bins=spec.refresh_interval_bins,
        received_through=marks.received_through,
        applied_through=marks.applied_through,
        durable_through=marks.durable_through,
        gap_bins=message.gap_bins,
        gap_count=message.gap_count,
        active_entries=message.active_entries,
        repeated_bins=message.repeated_bins,
        late_spikes=message.late_spikes,
        merged_spikes=message.merged_spikes,
        masked_spikes=message.masked_spikes,
        refreshes_published=message.refreshes_published,
        refreshes_skipped=message.refreshes_skipped,
        refits=message.refits,
        producer_connected=message.producer_connected,
        producer_epoch=message.producer_epoch,
        memory_bytes=message.memory_bytes,
        last_bin_age_s=message.last_bin_age_ms / 1000 if message.HasField("last_bin_age_ms") else None,
        best_estimator=estimator_name(best.estimator) if has_best else "",
        best_window=best.window,
        best_bits_per_spike=best.bits_per_spike if has_best else float("nan"),
    )


@dataclass(frozen=True)
class ClosedSession:
    """What is left of a session that was closed.

    Attributes
    ----------
    info : SessionInfo
    snapshot_paths, recording_paths : tuple of str
        HDF5 and NWB files on the daemon's machine; empty when it keeps none, or failed.
    """

    info: SessionInfo
    snapshot_paths: tuple[str, ...]
    recording_paths: tuple[str, ...]


@dataclass(frozen=True)
class SnapshotFile:
    """A snapshot on the daemon's disk."""

    file_name: str
    window: str
    end_bin: int
    size_bytes: int
    path: str


@dataclass(frozen=True)
class Refit:
    """What a refit has published.

    Attributes
    ----------
    publication, end_bin : int
        The publication that holds the new estimates, and the bin after the last one counted in it.
    equilibrium_publication : int or None
    """

    publication: int
    end_bin: int
    equilibrium_publication: int | None


@dataclass(frozen=True)
class Reconstruction:
    """What neurons that were not observed in a bin did, by an equilibrium model.

    Attributes
    ----------
    neurons : ndarray of int64, shape (n_hidden,)
        Indices of the neurons that were not observed, increasing.
    probability : ndarray, shape (n_hidden,)
        P(active | observed); NaN where the model has no estimate of the neuron.
    probability_error : ndarray, shape (n_hidden,)
        Monte Carlo error, 0 where the probability is exact; NaN as above.
    active : ndarray, shape (n_hidden,)
        1 or 0 in the most likely configuration of all of them together; NaN as above.
    exact : bool
        Whether every configuration was looked at.
    method, window : str
    """

    neurons: NDArray[np.int64] = field(repr=False)
    probability: NDArray[np.float64] = field(repr=False)
    probability_error: NDArray[np.float64] = field(repr=False)
    active: NDArray[np.float64] = field(repr=False)
    exact: bool
    method: str
    window: str
