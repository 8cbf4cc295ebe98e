"""Bins of spikes into a session."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from numpy.typing import ArrayLike

from ._proto import ingest_service_pb2, types_pb2
from ._rpc import Transport
from ._sender import Request, Sender
from .errors import GlauberError, InputError
from .spikes import packed_bins

log = logging.getLogger("glauber")

#: Largest body of one message, well below the 4 MiB that a daemon takes by default.
MESSAGE_BYTES = 1 << 20
MESSAGE_BINS = 16_384
#: Bins pushed while others wait to be sent go into one message with them, up to this.
GATHERED_BYTES = 1 << 16
#: Memory of a message besides its bits.
OVERHEAD_BYTES = 200
#: How long closing waits when the program is already failing.
FAILING_CLOSE_S = 5.0


@dataclass
class _Bins:
    first_bin: int
    n_bins: int
    bits: bytearray

    @property
    def end_bin(self) -> int:
        return self.first_bin + self.n_bins

    @property
    def n_bytes(self) -> int:
        return len(self.bits) + OVERHEAD_BYTES


class BinStream:
    """Bins into a session, by one producer; made by `Session.stream`, best in a ``with`` statement.

    What is not yet durable (applied, where the daemon keeps no journal) is kept in memory, up to ``buffer_bytes``; when that is full, `push`
    waits. A connection that breaks, or a daemon that is started again, is taken up again where the daemon says, for as long as it takes.
    Where something is lost for good, every call raises, naming the bins. All methods may be called from several threads: one push is after
    the other, and bins are numbered in that order.
    """

    def __init__(self, transport: Transport, session: types_pb2.Session, *, epoch: int, buffer_bytes: int, timeout_s: float) -> None:
        self._n_neurons = session.spec.neuron_count or len(session.spec.neurons)
        self._sender = _BinSender(transport, session, epoch=epoch, buffer_bytes=buffer_bytes)
        self._row_bytes = (self._n_neurons + 7) // 8
        self._sender.row_bytes = self._row_bytes
        self._sender.start(timeout_s)

    @property
    def n_neurons(self) -> int:
        """Number of columns that pushed arrays have."""
        return self._n_neurons

    @property
    def next_bin(self) -> int:
        """Number of the bin that is pushed next."""
        with self._sender._state:
            return self._sender.next_bin

    @property
    def watermarks(self) -> tuple[int, int, int]:
        """Bins (received, applied, durable) through, as acknowledged last; durable is 0 without a journal."""
        return self._sender.watermarks

    @property
    def reconnects(self) -> int:
        """How often a broken connection was taken up again."""
        return self._sender.reconnects

    @property
    def unacknowledged_bytes(self) -> int:
        """Memory taken by bins that are not yet durable (applied, without a journal)."""
        return self._sender.unacknowledged_bytes

    def push(self, bins: ArrayLike, first_bin: int | None = None, *, timeout_s: float | None = None) -> int:
        """Hand bins over; returns as soon as they are kept to be sent, not when they have arrived (see `flush`).

        Parameters
        ----------
        bins : array_like of bool or of integers 0 and 1, shape (n_bins, n_neurons) or (n_neurons,)
            Whether each neuron fired in each bin, neurons in the session's index order; one bin when it has one dimension.
        first_bin : int, optional
            Number of the first one, `next_bin` by default. Bins left out before it become a gap: not silence, and no transition crosses it.
        timeout_s : float, optional
            Longest wait for room in the buffer; no limit by default.

        Returns
        -------
        int
            Number of the first bin pushed.

        Raises
        ------
        InputError
            Of another dtype or shape, with values other than 0 and 1, or when ``first_bin`` was pushed already; nothing was sent.
        WaitTimeoutError
            When the buffer stayed full; bins before `next_bin` were taken.
        GlauberError
            When the stream has failed: another producer took over, the session was closed, bins are lost.
        """
        bits = packed_bins(bins, self._n_neurons)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        step = max(1, min(MESSAGE_BINS, MESSAGE_BYTES // max(self._row_bytes, 1)))
        sender = self._sender
        with sender._turn(sender.pushing, deadline):
            first = sender.next_bin if first_bin is None else first_bin
            if isinstance(first, bool) or not hasattr(first, "__index__"):
                raise InputError(f"first_bin: {first!r}; expected a whole number")
            first = int(first)
            if first < sender.next_bin:
                raise InputError(
                    f"first_bin: {first}; bins before {sender.next_bin} were pushed already, expected {sender.next_bin} or, "
                    "to leave a gap, more"
                )
            for start in range(0, len(bits), step):
                part = bits[start : start + step]
                sender.add(first + start, len(part), part.tobytes(), deadline)
        return first

    def skip(self, n_bins: int) -> None:
        """Leave so many bins out as not observed: a gap, which the daemon learns of with the next bin pushed. Waits for a push that waits for room."""
        if n_bins < 0:
            raise InputError(f"n_bins: {n_bins}; expected 0 or more")
        with self._sender._turn(self._sender.pushing, None):
            self._sender.next_bin += n_bins

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until every bin pushed is durable (applied, where the daemon keeps no journal).

        Raises
        ------
        WaitTimeoutError
            When that takes longer; bins stay kept and go on being sent.
        GlauberError
            When the stream has failed.
        """
        with self._sender._state:
            self._sender._check()
            through = self._sender.pushed_end
        self._sender._wait_safe(through, timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Send what is left, wait until all of it is durable (applied, without a journal), and end the stream. Closing again is no error.

        Raises
        ------
        WaitTimeoutError
            When that takes longer: the stream is given up, and bins that were not acknowledged may be missing.
        GlauberError
            When the stream has failed.
        """
        self._sender._end(timeout_s)

    def __enter__(self) -> BinStream:
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


class _BinSender(Sender[_Bins]):
    """What a stream of bins sends."""

    row_bytes = 0
    next_bin = 0
    pushed_end = 0

    def __init__(self, transport: Transport, session: types_pb2.Session, *, epoch: int, buffer_bytes: int) -> None:
        super().__init__(transport, session, epoch=epoch, buffer_bytes=buffer_bytes)
        #: Held for the whole of a push, so that its bins are consecutive.
        self.pushing = threading.Lock()

    def add(self, first_bin: int, n_bins: int, bits: bytes, deadline: float | None) -> None:
        """Keep bins to be sent, together with those that wait already; `_state` is held."""
        last = self._kept[-1] if len(self._kept) > self._taken else None
        gathers = last is not None and last.end_bin == first_bin and len(last.bits) + len(bits) <= GATHERED_BYTES
        if last is not None and gathers and self._kept_bytes + len(bits) <= self._buffer_bytes:
            last.bits += bits
            last.n_bins += n_bins
            self._kept_bytes += len(bits)
        else:
            self._keep(_Bins(first_bin, n_bins, bytearray(bits)), deadline)
        self.next_bin = self.pushed_end = first_bin + n_bins

    def _resume(self, from_bin: int) -> None:
        if not self._was_open:
            self.next_bin = self.pushed_end = self._dropped_end = self._handed_end = from_bin
            return
        self._check_resume(from_bin)
        self._taken = 0
        for place, item in enumerate(self._kept):
            if item.end_bin > from_bin:
                if item.first_bin < from_bin:
                    # Bins that it has would only be counted as repeated.
                    cut = from_bin - item.first_bin
                    head = _Bins(item.first_bin, cut, item.bits[: cut * self.row_bytes])
                    item.first_bin, item.n_bins, item.bits = from_bin, item.n_bins - cut, item.bits[cut * self.row_bytes :]
                    self._kept.insert(place, head)
                    self._kept_bytes += OVERHEAD_BYTES
                    self._taken += 1
                return
            self._taken += 1

    def _take(self) -> Request:
        item = self._kept[self._taken]
        self._taken += 1
        self._handed_end = max(self._handed_end, item.end_bin)
        packed = ingest_service_pb2.PackedBins(bin_count=item.n_bins, bits=bytes(item.bits))
        return Request(bins=ingest_service_pb2.SpikeBins(first_bin=item.first_bin, packed=packed))
