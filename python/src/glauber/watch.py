"""Followers: couplings as they are published, predictions as bins come in. They connect anew when the daemon is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from ._decode import CouplingsParts, integers
from ._proto import inference_service_pb2
from ._rpc import Transport
from ._sender import PAUSE_FIRST_S, PAUSE_LONGEST_S
from .errors import GlauberError, LimitError, from_rpc, is_transient
from .estimates import Couplings
from .names import estimator_name

log = logging.getLogger("glauber")

Item = TypeVar("Item")


class Follower(Generic[Item]):
    """Base of what follows a session: an iterator, and a context manager that ends the call."""

    def __init__(self, transport: Transport, *, reconnect: bool) -> None:
        self._transport = transport
        self._reconnect = reconnect
        self._guard = threading.Lock()
        self._call: Any = None
        self._closed = threading.Event()
        self._reconnected = False
        self._items: Iterator[Item] = self._follow()

    def _begin(self) -> Any:
        raise NotImplementedError

    def _read(self, call: Any) -> Iterator[Item]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return next(self._items)

    def _follow(self) -> Iterator[Item]:
        pause_s = PAUSE_FIRST_S
        while not self._closed.is_set():
            try:
                with self._guard:
                    if self._closed.is_set():
                        return
                    call = self._call = self._call or self._begin()
                for item in self._read(call):
                    pause_s = PAUSE_FIRST_S
                    yield item
                    self._reconnected = False
                # The session is closed, and all of it was told.
                return
            except grpc.RpcError as broken:
                error = from_rpc(broken)
                if self._closed.is_set() or self._transport.is_closed:
                    return
                if not self._reconnect or not (is_transient(error) or isinstance(error, LimitError)):
                    raise error from None
                log.warning("%s; connecting again", error)
                self._reconnected, self._call = True, None
            self._closed.wait(pause_s)
            pause_s = min(2 * pause_s, PAUSE_LONGEST_S)

    def close(self) -> None:
        """End the call; the iteration ends, also one that is waiting in another thread."""
        self._closed.set()
        with self._guard:
            if self._call is not None:
                self._call.cancel()

    def __enter__(self: Any) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class CouplingsWatch(Follower[Couplings]):
    """Yields `Couplings` each time new ones are published, until the session is closed; made by `Session.watch`.

    A slow reader skips publications (``skipped``), and one that lost the daemon is told so (``reconnected``).
    """

    def __init__(
        self,
        transport: Transport,
        query: inference_service_pb2.CouplingsQuery,
        names: list[str],
        labels: tuple[str, ...],
        *,
        reconnect: bool,
    ) -> None:
        self._query, self._names, self._labels = query, names, labels
        self._last: tuple[int | None, int] | None = None
        super().__init__(transport, reconnect=reconnect)

    def _begin(self) -> Any:
        request = inference_service_pb2.WatchCouplingsRequest(query=self._query)
        return self._transport.begin(self._transport.inference.WatchCouplings, request)

    def _read(self, call: Any) -> Iterator[Couplings]:
        parts: CouplingsParts | None = None
        for part in call:
            if part.WhichOneof("part") == "header":
                n_rows = len(self._query.receivers) or len(part.header.neuron_ids)
                parts = CouplingsParts(part.header, n_rows, self._names, self._query.trial_fields)
                continue
            if parts is None:
                continue
            parts.add(part)
            if parts.is_complete:
                couplings = parts.couplings(self._labels, reconnected=self._reconnected)
                parts = None
                # A daemon that was started again counts publications from 1.
                now = (couplings.publication, couplings.end_bin)
                if self._reconnected and now == self._last:
                    # Sent again by a daemon that was there all the time.
                    continue
                before = self._last[0] if self._last is not None else None
                if self._reconnected and before is not None and couplings.publication is not None:
                    couplings = replace(couplings, skipped=max(couplings.publication - before - 1, 0))
                self._last = now
                yield couplings


@dataclass(frozen=True)
class Predictions:
    """How probable a spike is in the bins that follow some that were counted.

    Attributes
    ----------
    first_bin : int
        The first of the bins predicted from; row k of ``probabilities`` is of the spikes in bin ``first_bin + k + 1``.
    probabilities : ndarray of float32, shape (n_bins, n_predicted)
        P(spike in the next bin), columns in the order of ``neurons``.
    neurons : ndarray of int64, shape (n_predicted,)
        Indices of the neurons predicted.
    neuron_ids : ndarray of int64, shape (n_predicted,)
    estimator, window : str
        Of the estimate that predicts.
    ridge : float
    publication, end_bin : int
        Its publication, and the bin after the last one it was made on.
    skipped : int
        Counted bins since the predictions before that were not predicted from, because this reader was too slow. Gaps are not among them.
    reconnected : bool
        Whether the daemon was lost since the predictions before.
    received_at : float
        ``time.perf_counter()`` when they came, seconds.
    """

    first_bin: int
    probabilities: NDArray[np.float32] = field(repr=False)
    neurons: NDArray[np.int64] = field(repr=False)
    neuron_ids: NDArray[np.int64] = field(repr=False)
    estimator: str
    window: str
    ridge: float
    publication: int
    end_bin: int
    skipped: int
    reconnected: bool
    received_at: float

    @property
    def last_bin(self) -> int:
        """The last of the bins predicted from."""
        return self.first_bin + len(self.probabilities) - 1


class PredictionStream(Follower[Predictions]):
    """Yields `Predictions` as bins are counted, until the session is closed; made by `Session.predictions`."""

    def __init__(self, transport: Transport, request: inference_service_pb2.StreamPredictionsRequest, *, reconnect: bool) -> None:
        self._request = request
        self._header: inference_service_pb2.PredictionsHeader | None = None
        super().__init__(transport, reconnect=reconnect)

    def _begin(self) -> Any:
        return self._transport.begin(self._transport.inference.StreamPredictions, self._request)

    def start(self) -> PredictionStream:
        """Wait until the daemon has begun to predict for this reader, so that bins pushed from now on are not missed.

        Raises
        ------
        GlauberError
            When it refuses.
        """
        with self._guard:
            self._call = self._begin()
        try:
            self._header = next(self._call).header
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        except StopIteration:
            raise GlauberError("the session is closed: it predicts nothing") from None
        return self

    def _read(self, call: Any) -> Iterator[Predictions]:
        header = self._header if self._header is not None else inference_service_pb2.PredictionsHeader()
        neurons, ids = integers(header.neurons), integers(header.neuron_ids)
        for part in call:
            if part.WhichOneof("part") == "header":
                neurons, ids = integers(part.header.neurons), integers(part.header.neuron_ids)
                continue
            received_at = time.perf_counter()
            told = part.predictions
            values = np.array(told.probabilities, dtype=np.float32)
            yield Predictions(
                first_bin=told.first_bin,
                probabilities=values.reshape(told.bin_count, len(neurons)),
                neurons=neurons,
                neuron_ids=ids,
                estimator=estimator_name(told.model.estimator),
                window=told.model.window,
                ridge=told.model.ridge,
                publication=told.model.publication,
                end_bin=told.model.end_bin,
                skipped=told.skipped,
                reconnected=self._reconnected,
                received_at=received_at,
            )
            self._reconnected = False
