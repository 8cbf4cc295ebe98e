"""A session: spikes in, couplings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _decode
from ._proto import archive_service_pb2, equilibrium_pb2, inference_service_pb2, session_service_pb2, types_pb2
from ._rpc import Transport
from .equilibrium import EquilibriumModel
from .errors import DaemonError, InputError, ProducerConnectedError
from .estimates import Correlations, Couplings, StrongestPairs
from .names import EquilibriumMethod, Estimator, estimator_number, method_name, method_number
from .session_info import ClosedSession, Reconstruction, Refit, SessionInfo, SnapshotFile, session_info
from .stream import BinStream
from .times import TimeStream
from .watch import CouplingsWatch, PredictionStream

#: Bytes kept until they are durable, by default.
BUFFER_BYTES = 64 << 20


class Session:
    """A session of a daemon; made by `Client.create_session` and `Client.session`. Safe to use from several threads.

    Wherever an ``estimator`` can be named, None is the session's first, ``"best"`` the one that has predicted best of late; wherever a
    ``window`` can be, None is the session's first or, for ``"best"``, the one with the best score.
    """

    def __init__(self, transport: Transport, message: types_pb2.Session) -> None:
        self._transport = transport
        self._message = message
        spec = message.spec
        n = spec.neuron_count or len(spec.neurons)
        listed = len(spec.neurons) > 0
        self.session_id: str = message.session_id
        #: Identifiers of the neurons, shape (n_neurons,).
        self.neuron_ids: NDArray[np.int64] = np.array(
            [one.id for one in spec.neurons] if listed else range(n), dtype=np.int64
        )
        #: Their labels; may be empty strings.
        self.labels: tuple[str, ...] = tuple(one.label for one in spec.neurons) if listed else ("",) * n

    def __repr__(self) -> str:
        return f"Session({self.session_id!r}, name={self.name!r}, {self.n_neurons} neurons, bins of {self.bin_width_s:g} s)"

    @property
    def name(self) -> str:
        """Name for people."""
        return self._message.spec.name

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return len(self.neuron_ids)

    @property
    def bin_width_s(self) -> float:
        """Width of a bin, seconds."""
        return self._message.spec.bin_width_us / 1e6

    def _get(self) -> types_pb2.Session:
        request = session_service_pb2.GetSessionRequest(session_id=self.session_id)
        answer = self._transport.call(self._transport.sessions.GetSession, request)
        session: types_pb2.Session = answer.session
        return session

    def info(self) -> SessionInfo:
        """Where the session stands now."""
        return session_info(self._get())

    # Spikes in.

    def _epoch(self, take_over: bool) -> tuple[types_pb2.Session, int]:
        """An epoch that no producer had, so that one that was lost cannot mix in later."""
        session = self._get()
        if session.producer_connected and not take_over:
            raise ProducerConnectedError(
                f"session '{self.session_id}' has a producer of epoch {session.producer_epoch}; take_over=True would end its stream",
                code="ALREADY_EXISTS",
            )
        return session, session.producer_epoch + 1

    def stream(self, *, take_over: bool = False, buffer_bytes: int = BUFFER_BYTES, timeout_s: float = 30.0) -> BinStream:
        """Begin to push bins; one producer at a time.

        Parameters
        ----------
        take_over : bool
            End the stream of a producer that is connected; it gets a `FencedError`.
        buffer_bytes : int
            Memory for bins that are not yet durable; `BinStream.push` waits when it is full.
        timeout_s : float
            Longest wait for the daemon's consent, seconds.

        Raises
        ------
        ProducerConnectedError
            When another producer is connected.
        NotReadyError
            When the session is closed.
        """
        session, epoch = self._epoch(take_over)
        return BinStream(self._transport, session, epoch=epoch, buffer_bytes=buffer_bytes, timeout_s=timeout_s)

    def time_stream(
        self,
        *,
        lateness_s: float = 0.1,
        sources: Sequence[str] | Mapping[str, float] = (),
        take_over: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
        timeout_s: float = 30.0,
    ) -> TimeStream:
        """Begin to push time-stamped spikes, which the daemon puts into bins.

        Parameters
        ----------
        lateness_s : float
            How much later than others, by the clocks, a spike may come, 0 to 60 s; later ones are left out and counted.
        sources : sequence of str, or mapping of str to float
            Names of the clocks that times are told by, with offsets: time on the recording's clock minus time on this one, seconds. One without
            an offset by default.
        take_over, buffer_bytes, timeout_s
            As of `stream`.
        """
        session, epoch = self._epoch(take_over)
        return TimeStream(
            self._transport,
            session,
            epoch=epoch,
            buffer_bytes=buffer_bytes,
            timeout_s=timeout_s,
            lateness_s=lateness_s,
            sources=sources,
        )

    def mark_trial(self, start_bin: int, stop_bin: int | None = None) -> None:
        """Declare a trial, whose edges are not yet received: no transition crosses them.

        Parameters
        ----------
        start_bin : int
            First bin.
        stop_bin : int, optional
            Bin after the last one; the trial lasts until the next one by default, and may be ended by marking it again.
        """
        request = session_service_pb2.MarkTrialRequest(session_id=self.session_id, start_bin=start_bin, stop_bin=stop_bin)
        self._transport.call(self._transport.sessions.MarkTrial, request)

    # Couplings out.

    def _query(
        self,
        estimator: str | Estimator | None,
        window: str | None,
        receivers: Sequence[int] | None,
        standard_errors: bool,
        q: bool,
        trial_fields: bool = False,
    ) -> tuple[inference_service_pb2.CouplingsQuery, list[str], int]:
        query = inference_service_pb2.CouplingsQuery(
            session_id=self.session_id,
            estimator=estimator_number(estimator),
            window=window or "",
            receivers=self._indices(receivers, "receivers"),
            # q is told apart from none by the standard errors.
            standard_errors=standard_errors or q,
            q_values=q,
            trial_fields=trial_fields,
        )
        names = ["couplings", *(["standard_errors"] if standard_errors or q else []), *(["q_values"] if q else [])]
        return query, names, len(query.receivers) or self.n_neurons

    def _indices(self, neurons: Sequence[int] | None, what: str) -> list[int]:
        found = [int(one) for one in neurons or ()] if neurons is None or len(neurons) else None
        if found is None:
            raise InputError(f"{what}: empty; expected at least one neuron, or None for all")
        wrong = [one for one in found if not 0 <= one < self.n_neurons]
        if wrong:
            raise InputError(f"{what}: index {wrong[0]}; the session has {self.n_neurons} neurons (0 to {self.n_neurons - 1})")
        return found

    def couplings(
        self,
        estimator: str | Estimator | None = None,
        window: str | None = None,
        *,
        standard_errors: bool = True,
        q: bool = True,
        receivers: Sequence[int] | None = None,
        trial_fields: bool = False,
    ) -> Couplings:
        """The couplings published last.

        Parameters
        ----------
        estimator : str or Estimator, optional
        window : str, optional
        standard_errors, q : bool
            Ask for standard errors, and for false discovery rates (which bring standard errors along).
        receivers : sequence of int, optional
            Rows of these receivers only.
        trial_fields : bool
            Ask for fields of each bin of a trial as well, of estimators that read trials.

        Raises
        ------
        NotReadyError
            While there is no estimate.
        InvalidArgumentError
            When the session has no such estimator or window.
        """
        query, names, n_rows = self._query(estimator, window, receivers, standard_errors, q, trial_fields)
        request = inference_service_pb2.GetCouplingsRequest(query=query)
        parts: _decode.CouplingsParts | None = None
        for part in self._transport.parts(self._transport.inference.GetCouplings, request):
            if part.WhichOneof("part") == "header":
                parts = _decode.CouplingsParts(part.header, n_rows, names, trial_fields)
            elif parts is not None:
                parts.add(part)
        if parts is None or not parts.is_complete:
            raise DaemonError("the daemon sent an answer that is not complete")
        return parts.couplings(self.labels)

    def strongest_pairs(
        self,
        top: int | None = None,
        *,
        estimator: str | Estimator | None = None,
        window: str | None = None,
        q_max: float | None = None,
    ) -> StrongestPairs:
        """The strongest couplings between different neurons, by ``|J| / SE``.

        Parameters
        ----------
        top : int, optional
            At most so many; 20 by default, and with ``q_max`` all up to 1,000,000.
        estimator, window
            As of `couplings`.
        q_max : float, optional
            Only pairs whose false discovery rate is at most this, above 0, at most 1.
        """
        count = top if top is not None else 0 if q_max is not None else 20
        if count < 0 or (count == 0 and q_max is None):
            raise InputError(f"top: {top}; expected at least 1")
        query = inference_service_pb2.CouplingsQuery(
            session_id=self.session_id,
            estimator=estimator_number(estimator),
            window=window or "",
            top_pairs=count,
            q_max=q_max,
        )
        request = inference_service_pb2.GetCouplingsRequest(query=query)
        parts = self._transport.parts(self._transport.inference.GetCouplings, request)
        return _decode.strongest_pairs(parts, has_q_max=q_max is not None)

    def correlations(self, lag: int = 1, window: str | None = None) -> Correlations:
        """Exact counts and correlations of a window, including the newest bin applied.

        Parameters
        ----------
        lag : int
            Lag of the delayed correlations in bins, one of the session's.
        window : str, optional
        """
        if lag < 1:
            raise InputError(f"lag: {lag}; expected at least 1 bin")
        request = inference_service_pb2.GetCorrelationsRequest(
            session_id=self.session_id, window=window or "", lag_bins=lag
        )
        parts = self._transport.parts(self._transport.inference.GetCorrelations, request)
        return _decode.correlations(parts, self.labels)

    def equilibrium_model(
        self, method: str | EquilibriumMethod | None = None, window: str | None = None, *, standard_errors: bool = True
    ) -> EquilibriumModel:
        """An equilibrium model as fitted last: who fires with whom.

        Parameters
        ----------
        method : str or EquilibriumMethod, optional
            The session's first by default; ``"best"`` for the one that has predicted best of late.
        window : str, optional
        standard_errors : bool
            Ask for standard errors, where the method gives them.

        Raises
        ------
        NotReadyError
            While there is no model, or the session fits none.
        """
        request = equilibrium_pb2.GetEquilibriumModelRequest(
            session_id=self.session_id, method=method_number(method), window=window or "", standard_errors=standard_errors
        )
        parts = self._transport.parts(self._transport.inference.GetEquilibriumModel, request)
        return _decode.equilibrium_model(parts, self.labels)

    def reconstruct(
        self,
        active: Sequence[int] = (),
        silent: Sequence[int] = (),
        *,
        method: str | EquilibriumMethod | None = None,
        window: str | None = None,
        seed: int | None = None,
    ) -> Reconstruction:
        """What the neurons in neither list did in a bin, by an equilibrium model.

        Parameters
        ----------
        active, silent : sequence of int
            Indices of the neurons that were seen to be active, and to be silent.
        method, window
            As of `equilibrium_model`.
        seed : int, optional
            Of the random numbers that are drawn where there are too many neurons to enumerate.
        """
        request = equilibrium_pb2.ReconstructRequest(
            session_id=self.session_id,
            method=method_number(method),
            window=window or "",
            active=[int(one) for one in active],
            silent=[int(one) for one in silent],
            seed=seed,
        )
        answer = self._transport.call(self._transport.inference.Reconstruct, request)

        def values(name: str) -> NDArray[np.float64]:
            known = [float(getattr(one, name)) if one.HasField(name) else float("nan") for one in answer.neurons]
            return np.array(known, dtype=np.float64)

        return Reconstruction(
            neurons=np.array([one.neuron for one in answer.neurons], dtype=np.int64),
            probability=values("probability"),
            probability_error=values("probability_error"),
            active=values("active"),
            exact=answer.exact,
            method=method_name(answer.identity.method),
            window=answer.identity.window,
        )

    def watch(
        self,
        estimator: str | Estimator | None = None,
        window: str | None = None,
        *,
        standard_errors: bool = True,
        q: bool = True,
        receivers: Sequence[int] | None = None,
        reconnect: bool = True,
    ) -> CouplingsWatch:
        """Follow the couplings as they are published: the newest one first, until the session is closed.

        Parameters
        ----------
        estimator, window, standard_errors, q, receivers
            As of `couplings`.
        reconnect : bool
            Go on when the daemon is lost and comes back; otherwise raise `UnavailableError`.
        """
        query, names, _ = self._query(estimator, window, receivers, standard_errors, q)
        return CouplingsWatch(self._transport, query, names, self.labels, reconnect=reconnect)

    def predictions(
        self,
        estimator: str | Estimator | None = None,
        window: str | None = None,
        *,
        neurons: Sequence[int] | None = None,
        reconnect: bool = True,
    ) -> PredictionStream:
        """For each bin as it is counted, how probable a spike is in the next one; begins before this returns.

        Parameters
        ----------
        estimator : str or Estimator, optional
            The best by score when None.
        window : str, optional
        neurons : sequence of int, optional
            Predict these only, in this order.
        reconnect : bool
            As of `watch`.
        """
        request = inference_service_pb2.StreamPredictionsRequest(
            session_id=self.session_id,
            estimator=estimator_number(estimator),
            window=window or "",
            neurons=self._indices(neurons, "neurons"),
        )
        return PredictionStream(self._transport, request, reconnect=reconnect).start()

    def refit(self, *, equilibrium: bool = False, timeout_s: float | None = None) -> Refit:
        """Estimate anew now, and wait until that is published.

        Parameters
        ----------
        equilibrium : bool
            Fit the equilibrium models as well, which can take much longer.
        timeout_s : float, optional
            Longest wait; no limit by default.
        """
        request = inference_service_pb2.RefitRequest(session_id=self.session_id, equilibrium=equilibrium)
        answer = self._transport.call(self._transport.inference.Refit, request, timeout_s=timeout_s)
        published = answer.equilibrium_publication if answer.HasField("equilibrium_publication") else None
        return Refit(answer.publication, answer.end_bin, published)

    # The end, and what stays.

    def close(self, *, timeout_s: float | None = None) -> ClosedSession:
        """Close the session: final estimates are published and archived, then it takes no more bins. Closing again is no error."""
        request = session_service_pb2.CloseSessionRequest(session_id=self.session_id)
        answer = self._transport.call(self._transport.sessions.CloseSession, request, timeout_s=timeout_s)
        return ClosedSession(
            session_info(answer.session), tuple(answer.snapshot_paths), tuple(answer.recording_paths)
        )

    def snapshots(self) -> list[SnapshotFile]:
        """Snapshots of the session on the daemon's disk, by file name."""
        request = archive_service_pb2.ListSnapshotsRequest(session_id=self.session_id)
        answer: Any = self._transport.call(self._transport.archive.ListSnapshots, request)
        return [
            SnapshotFile(one.file_name, one.window, one.end_bin, one.size_bytes, one.path) for one in answer.snapshots
        ]

    def fetch_snapshot(self, file_name: str, path: str | Path, *, timeout_s: float | None = None) -> Path:
        """Copy a snapshot from the daemon's disk to a file here, whole or not at all; `glauber.open_snapshot` reads it.

        Raises
        ------
        WaitTimeoutError
            When that takes longer than ``timeout_s``; no limit by default, for snapshots can be large and the network slow.
        GlauberError
            When there is no such snapshot, or the daemon is lost.
        """
        target = Path(path)
        request = archive_service_pb2.FetchSnapshotRequest(session_id=self.session_id, file_name=file_name)
        partial = target.with_name(target.name + ".part")
        try:
            with open(partial, "wb") as file:
                for part in self._transport.parts(self._transport.archive.FetchSnapshot, request, timeout_s=timeout_s):
                    file.write(part.chunk)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target
