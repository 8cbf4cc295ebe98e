"""Time-stamped spikes into a session: the daemon puts them into bins."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._proto import ingest_service_pb2, types_pb2
from ._rpc import Transport
from ._sender import Request, Sender
from .errors import GlauberError, InputError
from .spikes import nanoseconds, neuron_indices, stretches, whole_nanoseconds
from .stream import FAILING_CLOSE_S, MESSAGE_BYTES, OVERHEAD_BYTES

log = logging.getLogger("glauber")

#: Memory and message size of one spike.
SPIKE_BYTES = 12


@dataclass
class _Times:
    end_bin: int
    source: int
    neurons: NDArray[np.uint32]
    times_ns: NDArray[np.int64]
    clock_ns: int | None
    unobserved: list[tuple[int, int]]
    offset_ns: int  # of the source's clock, for this message
    new_offset: bool

    @property
    def n_bytes(self) -> int:
        return SPIKE_BYTES * len(self.neurons) + 32 * len(self.unobserved) + 2 * OVERHEAD_BYTES


class TimeStream:
    """Time-stamped spikes into a session, by one producer; made by `Session.time_stream`, best in a ``with`` statement.

    A spike at time t of a source lies in the bin ``floor((t + offset - origin) / bin width)``, in whole nanoseconds. A bin is complete once every source
    has come ``lateness_s`` past its right edge, by its newest spike or by its clock: tell the clocks (``clock_s``) also when nobody fires. Spikes are
    kept until their bin is durable, and sent again after a broken connection, as of `BinStream`. With several sources one that stays behind
    holds up all bins, and in the end who pushes.
    """

    def __init__(
        self,
        transport: Transport,
        session: types_pb2.Session,
        *,
        epoch: int,
        buffer_bytes: int,
        timeout_s: float,
        lateness_s: float,
        sources: Sequence[str] | Mapping[str, float],
    ) -> None:
        lateness = int(nanoseconds(lateness_s, "lateness_s")[()]) // 1000
        if not 0 <= lateness <= 60_000_000:
            raise InputError(f"lateness_s: {lateness_s}; expected 0 to 60 s")
        offsets = sources if isinstance(sources, Mapping) else {name: 0.0 for name in sources}
        if not isinstance(sources, Mapping) and len(offsets) != len(sources):
            raise InputError(f"sources: {list(sources)!r}; expected names that differ")
        self._sources = tuple(offsets) or ("",)
        self._n_neurons = session.spec.neuron_count or len(session.spec.neurons)
        self._sender = _TimeSender(transport, session, epoch=epoch, buffer_bytes=buffer_bytes)
        self._sender.lateness_us = lateness
        self._sender.names = self._sources
        self._sender.offsets_ns = [int(nanoseconds(offsets.get(name, 0.0), "sources")[()]) for name in self._sources]
        self._sender.reached_ns = [None] * len(self._sources)
        self._sender.pushing = [threading.Lock() for _ in self._sources]
        self._sender.width_ns = session.spec.bin_width_us * 1000
        self._sender.origin_ns = session.spec.origin_ns
        self._sender.start(timeout_s)

    @property
    def watermarks(self) -> tuple[int, int, int]:
        """Bins (received, applied, durable) through, as acknowledged last; only complete bins are."""
        return self._sender.watermarks

    @property
    def reconnects(self) -> int:
        """How often a broken connection was taken up again."""
        return self._sender.reconnects

    @property
    def unacknowledged_bytes(self) -> int:
        """Memory taken by spikes of bins that are not yet durable (applied, without a journal)."""
        return self._sender.unacknowledged_bytes

    def push_times(
        self,
        neurons: ArrayLike,
        times_s: ArrayLike | None = None,
        *,
        times_ns: ArrayLike | None = None,
        clock_s: float | None = None,
        clock_ns: int | None = None,
        source: int | str = 0,
        unobserved_s: Sequence[tuple[float, float]] = (),
        unobserved_ns: Sequence[tuple[int, int]] = (),
        offset_s: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Hand spikes of one source over, in any order; returns as soon as they are kept to be sent.

        Parameters
        ----------
        neurons : array_like of int, shape (n_spikes,)
            Index of the neuron of each spike; may be empty, when only the clock is told.
        times_s, times_ns : array_like, shape (n_spikes,)
            Times on the source's clock, in seconds (rounded to nanoseconds) or whole nanoseconds; one of the two.
        clock_s, clock_ns : float or int, optional
            How far the source's clock has come: that nothing earlier than ``lateness_s`` before it is to come.
        source : int or str
            Index or name of the source.
        unobserved_s, unobserved_ns : sequence of (start, stop)
            Stretches in which spikes may have been lost: bins that touch one become a gap.
        offset_s : float, optional
            New offset of the source's clock, from this push on: time on the recording's clock minus time on this one, seconds.
        timeout_s : float, optional
            Longest wait for room in the buffer; no limit by default.

        Raises
        ------
        InputError
            Of another dtype or shape, a neuron that does not exist, a time that is not finite, a clock that goes backwards; nothing was sent.
        WaitTimeoutError
            When the buffer stayed full; of more spikes than one message holds, those before may have been taken.
        GlauberError
            When the stream has failed.
        """
        place = self._place(source)
        indices = neuron_indices(neurons, self._n_neurons)
        times = _times(times_s, times_ns)
        if times.shape != indices.shape:
            raise InputError(f"times: shape {times.shape}; expected {indices.shape}, one for each of neurons")
        if clock_s is not None and clock_ns is not None:
            raise InputError("clock_s and clock_ns: expected one of the two")
        clock = clock_ns
        if clock_s is not None:
            clock = int(nanoseconds(clock_s, "clock_s")[()])
        elif clock_ns is not None:
            clock = int(whole_nanoseconds(clock_ns, "clock_ns")[()])
        lost = stretches(unobserved_s, seconds=True) + stretches(unobserved_ns, seconds=False)
        offset = None if offset_s is None else int(nanoseconds(offset_s, "offset_s")[()])
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._sender._turn(self._sender.pushing[place], deadline):
            self._sender.add(place, indices, times, clock, lost, offset, deadline)

    def _place(self, source: int | str) -> int:
        if isinstance(source, str):
            if source not in self._sources:
                raise InputError(f"source: {source!r}; expected one of {', '.join(map(repr, self._sources))}")
            return self._sources.index(source)
        if not 0 <= source < len(self._sources):
            raise InputError(f"source: {source}; the stream has {len(self._sources)} (0 to {len(self._sources) - 1})")
        return source

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until every bin that the clocks have completed is durable (applied, where the daemon keeps no journal).

        Spikes of later bins stay kept; closing the stream completes them.

        Raises
        ------
        WaitTimeoutError
            When that takes longer; spikes stay kept and go on being sent.
        GlauberError
            When the stream has failed.
        """
        with self._sender._state:
            self._sender._check()
            through = self._sender.complete_through()
        self._sender._wait_safe(through, timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Send what is left, have all bins up to the newest clock or spike completed and made durable, and end the stream.

        Raises
        ------
        WaitTimeoutError
            When that takes longer: the stream is given up, and what was not acknowledged may be missing.
        GlauberError
            When the stream has failed.
        """
        self._sender._end(timeout_s)

    def __enter__(self) -> TimeStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close(FAILING_CLOSE_S)
        except GlauberError as failure:
            # The error that ended the block is the one to be seen.
            log.warning("closing the stream: %s", failure)


def _times(times_s: ArrayLike | None, times_ns: ArrayLike | None) -> NDArray[np.int64]:
    if times_s is not None and times_ns is not None:
        raise InputError("times_s and times_ns: expected one of the two")
    if times_ns is not None:
        return whole_nanoseconds(times_ns, "times_ns")
    return nanoseconds([] if times_s is None else times_s, "times_s")


class _TimeSender(Sender[_Times]):
    """What a stream of time-stamped spikes sends."""

    lateness_us = 0
    names: tuple[str, ...] = ()
    offsets_ns: list[int]
    reached_ns: list[int | None]  # newest clock or spike of each source, on the recording's clock: its own may begin anew
    pushing: list[threading.Lock]  # held for the whole of a push of each source: its offset goes with the order
    width_ns = 1
    origin_ns = 0

    def add(
        self,
        source: int,
        neurons: NDArray[np.uint32],
        times_ns: NDArray[np.int64],
        clock_ns: int | None,
        unobserved: list[tuple[int, int]],
        offset_ns: int | None,
        deadline: float | None,
    ) -> None:
        """Keep spikes to be sent; `_state` is held."""
        offset = self.offsets_ns[source] if offset_ns is None else offset_ns
        told = self._clocks_told.get(source)
        if clock_ns is not None and told is not None and clock_ns + offset < told - self.lateness_us * 1000:
            came_to = f"it had come to {told - offset} ns, and may go back by lateness_s at most"
            raise InputError(f"clock of source {source}: {clock_ns} ns; {came_to} (a clock that begins anew needs another offset_s)")
        step = MESSAGE_BYTES // SPIKE_BYTES
        if len(neurons) > step:
            # The newest spike of a message moves the clock: those of the next must not be late by that.
            order = np.argsort(times_ns, kind="stable")
            neurons, times_ns = neurons[order], times_ns[order]
        for start in range(0, max(len(neurons), 1), step):
            is_last = start + step >= len(neurons)
            part = times_ns[start : start + step]
            clock = clock_ns if is_last else None
            # A clock says that spikes before it have come: the last message has it. What was lost is told before anything moves the clock past it.
            newest = [int(part.max())] if len(part) else []
            newest += [clock] if clock is not None else []
            lost = unobserved if start == 0 else []
            reaches = newest + [stop - 1 for _, stop in lost]
            end_bin = max(((reach + offset - self.origin_ns) // self.width_ns + 1 for reach in reaches), default=0)
            changes = offset != self.offsets_ns[source]
            item = _Times(max(end_bin, 0), source, neurons[start : start + step], part, clock, lost, offset, changes)
            self._keep(item, deadline)
            self.offsets_ns[source] = offset
            if newest:
                reached, known = max(newest) + offset, self.reached_ns[source]
                self.reached_ns[source] = reached if known is None else max(reached, known)
        if clock_ns is not None:
            self._clocks_told[source] = max(clock_ns + offset, told if told is not None else clock_ns + offset)

    def __init__(self, transport: Transport, session: types_pb2.Session, *, epoch: int, buffer_bytes: int) -> None:
        super().__init__(transport, session, epoch=epoch, buffer_bytes=buffer_bytes)
        self._clocks_told: dict[int, int] = {}

    def complete_through(self) -> int:
        """Bin after the last one that all clocks have completed; `_state` is held."""
        reached: list[int] = []
        for one in self.reached_ns:
            if one is None:
                return 0
            reached.append(one)
        return max((min(reached) - self.lateness_us * 1000 - self.origin_ns) // self.width_ns, 0)

    def _open_request(self) -> ingest_service_pb2.OpenStream:
        with self._state:
            offsets = list(self.offsets_ns)
            # What is sent again begins with the offsets of then.
            for item in reversed(self._kept):
                offsets[item.source] = item.offset_ns
        sources = [
            ingest_service_pb2.ClockSource(name=name, clock_offset_ns=offset)
            for name, offset in zip(self.names, offsets, strict=True)
        ]
        settings = ingest_service_pb2.TimestampSettings(lateness_us=self.lateness_us, sources=sources)
        request = super()._open_request()
        request.timestamps.CopyFrom(settings)
        return request

    def _resume(self, from_bin: int) -> None:
        if not self._was_open:
            self._dropped_end = from_bin
            return
        if from_bin < self._dropped_end:
            self._check_resume(from_bin)
        # The daemon ignores spikes of bins that it has, and needs the clocks.
        self._taken = 0

    def _is_all_safe(self) -> bool:
        # The newest bin's last clock lies inside a bin: the daemon completed it, and its last acknowledgement came before the end of the stream.
        return True

    def _take(self) -> Request:
        item = self._kept[self._taken]
        self._taken += 1
        self._handed_end = max(self._handed_end, item.end_bin)
        message = ingest_service_pb2.SpikeTimes(
            source=item.source,
            neurons=item.neurons.tolist(),
            times_ns=item.times_ns.tolist(),
            clock_ns=item.clock_ns,
            unobserved=[ingest_service_pb2.TimeStretch(start_ns=start, stop_ns=stop) for start, stop in item.unobserved],
            clock_offset_ns=item.offset_ns if item.new_offset else None,
        )
        return Request(times=message)
