"""Counts of spikes per bin into a session, with an account of what came and what became of it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client import Client
from ..errors import InputError, NotFoundError, WaitTimeoutError
from ..session import Session
from ..stream import BinStream

log = logging.getLogger("glauber.bridge")

#: Wait for room in a full buffer, after which it is told, and looked whether to stop.
FULL_S = 1.0
#: Longest wait for the last bins to become durable.
FINISH_S = 30.0


@dataclass
class Account:
    """What came since the bridge began."""

    bins_received: int = 0
    bins_forwarded: int = 0
    gaps: int = 0
    gap_bins: int = 0
    unusable_bins: int = 0
    active: int = 0
    merged: int = 0


class Forwarder:
    """Binarises counts and pushes them; a bin that is no counts is left out as not observed."""

    def __init__(self, stream: BinStream, stop: threading.Event, *, report_interval_s: float = 5.0) -> None:
        self._stream = stream
        self._stop = stop
        self.account = Account()
        self._report_interval_s = report_interval_s
        self._reported_at = time.monotonic()
        self._reported_bins = 0
        self._told_unusable = 0
        self._has_pushed = False

    @property
    def next_bin(self) -> int:
        """Number of the bin after the last one pushed."""
        return self._stream.next_bin

    def take(self, first_bin: int, counts: NDArray[Any]) -> None:
        """Forward consecutive bins.

        Parameters
        ----------
        first_bin : int
            Number of the first; those left out before it become a gap.
        counts : ndarray, shape (n_bins, n_neurons)
            Spikes of each neuron in each bin, whole and not negative.

        Raises
        ------
        GlauberError
            When the stream has failed.
        """
        account = self.account
        account.bins_received += len(counts)
        usable = usable_rows(counts)
        if not usable.all():
            bad = np.flatnonzero(~usable)
            account.unusable_bins += len(bad)
            self._tell_unusable(first_bin + int(bad[0]), counts[bad[0]], len(bad))
        edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]]).astype(np.int8)))
        for start, stop in edges.reshape(-1, 2):
            self._push(first_bin + int(start), counts[start:stop])

    def leave_out(self, n_bins: int) -> None:
        """Account for bins that came, and whose number cannot be told."""
        self.account.bins_received += n_bins
        self.account.unusable_bins += n_bins

    def _push(self, first_bin: int, counts: NDArray[Any]) -> None:
        fired, account = counts > 0, self.account
        missing = first_bin - self._stream.next_bin
        if missing > 0 and self._has_pushed:
            account.gaps += 1
            account.gap_bins += missing
            log.warning("gap: %d bins before bin %d were lost and are left out as not observed", missing, first_bin)
        self._push_all(fired, first_bin)
        self._has_pushed = True
        account.bins_forwarded += len(counts)
        account.active += int(fired.sum())
        account.merged += int((counts[fired] - 1).sum())

    def _push_all(self, fired: NDArray[np.bool_], first_bin: int) -> None:
        """Push, waiting for room until told to stop."""
        done = 0
        while True:
            try:
                self._stream.push(fired[done:], first_bin + done, timeout_s=FULL_S)
            except WaitTimeoutError as full:
                log.warning("the daemon is behind or away, and the buffer is full: %s", full)
                # Of a long push, what there was room for was taken.
                done = max(self._stream.next_bin - first_bin, 0)
                if self._stop.is_set():
                    raise
            else:
                return

    def finish(self) -> None:
        """Wait until everything is durable, and end the stream.

        Raises
        ------
        WaitTimeoutError
            When the daemon does not answer: what is missing is said.
        """
        self.report(now=True)
        self._stream.close(FINISH_S)
        log.info("ended: all bins before %d have arrived", self._stream.next_bin)

    def _tell_unusable(self, bin_: int, row: NDArray[Any], n_bad: int) -> None:
        # The first is worth a line of its own; then the regular report counts them.
        if self._told_unusable == 0:
            wrong = int(np.argmax(~usable_values(row)))
            log.warning(
                "bin %d: neuron %d has %s spikes, which is no count: %d such bins are left out as not observed", bin_, wrong, row[wrong], n_bad
            )
        self._told_unusable += n_bad

    def report(self, *, now: bool = False) -> None:
        """Log how things stand, every so often."""
        at = time.monotonic()
        if not now and at - self._reported_at < self._report_interval_s:
            return
        account = self.account
        rate = (account.bins_received - self._reported_bins) / max(at - self._reported_at, 1e-9)
        self._reported_at, self._reported_bins = at, account.bins_received
        entries = account.bins_forwarded * max(self._stream.n_neurons, 1)
        log.info(
            "received %d bins (%.1f/s now), forwarded %d; %d gaps of %d bins, %d bins unusable; %.3g %% active, %d further spikes merged; "
            "durable through bin %d, %d bytes wait, %d reconnections",
            account.bins_received,
            rate,
            account.bins_forwarded,
            account.gaps,
            account.gap_bins,
            account.unusable_bins,
            100 * account.active / max(entries, 1),
            account.merged,
            self._stream.watermarks[2],
            self._stream.unacknowledged_bytes,
            self._stream.reconnects,
        )


def usable_values(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are counts: finite, whole, not negative; of the shape of ``counts``."""
    if np.issubdtype(counts.dtype, np.floating):
        with np.errstate(invalid="ignore"):
            usable: NDArray[np.bool_] = np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))
        return usable
    whole: NDArray[np.bool_] = np.asarray(counts >= 0)
    return whole


def usable_rows(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Which bins are counts, shape (n_bins,)."""
    usable: NDArray[np.bool_] = np.asarray(usable_values(counts).all(axis=1))
    return usable


def whole_microseconds(bin_width_s: float) -> float:
    """A bin width as the daemon has it, in seconds.

    Raises
    ------
    InputError
        When that is off by more than a thousandth, which no clock would explain.
    """
    us = round(bin_width_s * 1e6)
    if us < 1 or abs(us * 1e-6 - bin_width_s) > 1e-3 * bin_width_s:
        raise InputError(f"bins of {bin_width_s * 1e6:.6g} us: expected whole microseconds, 100 to 1000000")
    return us / 1e6


def session_for(
    client: Client, wanted: str | None, *, name: str, n_neurons: int, labels: list[str] | None, bin_width_s: float, origin_s: float
) -> Session:
    """The session to forward into: the one that is wanted, or a new one.

    Raises
    ------
    InputError
        When it has other neurons or bins than the stream.
    """
    if wanted is not None:
        try:
            session = client.session(wanted)
        except NotFoundError:
            if any(one.name == wanted for one in client.sessions()):
                raise
            log.info("there is no session %r: creating it", wanted)
            name = wanted
        else:
            if session.n_neurons != n_neurons:
                raise InputError(f"session {wanted!r} has {session.n_neurons} neurons, the stream {n_neurons} channels")
            if abs(session.bin_width_s - bin_width_s) > 1e-9:
                raise InputError(f"session {wanted!r} has bins of {session.bin_width_s:g} s, the stream of {bin_width_s:g} s")
            log.info("going on with session %s (%r) at bin %d", session.session_id, session.name, session.info().received_through)
            return session
    session = client.create_session(n_neurons, bin_width_s, name=name, labels=labels, origin=origin_s)
    log.info("created session %s (%r): %d neurons, bins of %g ms", session.session_id, name, n_neurons, 1e3 * bin_width_s)
    return session
