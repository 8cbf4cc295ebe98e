"""A stream of spikes that outlives its connection: what is not yet durable is kept, and sent again after a new connection.

One thread per stream reads acknowledgements and connects anew; gRPC's own thread takes requests out of `_requests`, one as soon as the one before is
on its way, so that a daemon that is behind slows down who pushes. Everything shared is guarded by one condition.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import grpc

from ._proto import ingest_service_pb2, session_service_pb2, types_pb2
from ._rpc import Transport
from .errors import (
    BinsLostError,
    DaemonError,
    GlauberError,
    LimitError,
    NotReadyError,
    ProducerConnectedError,
    StreamClosedError,
    UnavailableError,
    WaitTimeoutError,
    from_rpc,
    is_transient,
)

log = logging.getLogger("glauber")

PAUSE_FIRST_S = 0.05
PAUSE_LONGEST_S = 3.0
#: A lost connection is told of at once, then not more often than this.
WARNING_EVERY_S = 10.0

Request = ingest_service_pb2.StreamSpikesRequest


class Kept(Protocol):
    """What was pushed and is not yet known to be safe."""

    @property
    def end_bin(self) -> int:
        """Bin after the last one it speaks of."""

    @property
    def n_bytes(self) -> int:
        """Memory it takes."""


Item = TypeVar("Item", bound=Kept)

#: Streams that nobody has closed yet.
_open_senders: weakref.WeakSet[Any] = weakref.WeakSet()
#: How long a program that ends without closing its streams waits for each.
EXIT_WAIT_S = 10.0


@atexit.register
def _end_open_senders() -> None:
    for sender in list(_open_senders):
        try:
            sender._end(EXIT_WAIT_S)
        except GlauberError as error:
            log.error("a stream into session %s was not closed, and not all of it has arrived: %s", sender._session_id, error)


class Sender(Generic[Item]):
    """Base of the streams: connection, acknowledgements, memory bound, waiting. What is sent is theirs."""

    def __init__(self, transport: Transport, session: types_pb2.Session, *, epoch: int, buffer_bytes: int) -> None:
        self._transport = transport
        self._session_id = session.session_id
        self._epoch = epoch
        self._buffer_bytes = buffer_bytes
        self._state = threading.Condition()
        # All of these are guarded by `_state`.
        self._kept: deque[Item] = deque()
        self._kept_bytes = 0
        self._taken = 0  # how many of `_kept` the present connection has been given
        self._connection = 0  # counts connections; requests of an older one end
        self._is_open = False
        self._was_open = False
        self._ending = False
        self._ended = False
        self._failure: GlauberError | None = None
        self._marks = types_pb2.Watermarks()
        self._journaled = False
        self._reconnects = 0
        self._call: Any = None
        self._dropped_end = 0  # everything before this bin is safe and no longer kept
        self._handed_end = 0  # everything before this bin has been given to a connection
        self._thread = threading.Thread(target=self._run, name=f"glauber-{self._session_id}", daemon=True)

    # What the two kinds of streams differ in; all but `_open_request` are called with `_state` held.

    def _open_request(self) -> ingest_service_pb2.OpenStream:
        return ingest_service_pb2.OpenStream(session_id=self._session_id, producer_epoch=self._epoch)

    def _resume(self, from_bin: int) -> None:
        """Set `_taken` to what a new connection need not be given again."""
        raise NotImplementedError

    def _take(self) -> Request:
        """The next request; there is something to send."""
        raise NotImplementedError

    # What they have in common.

    def start(self, timeout_s: float) -> None:
        """Connect, and wait until the daemon says where to go on."""
        self._thread.start()
        _open_senders.add(self)
        deadline = time.monotonic() + timeout_s
        with self._state:
            while not self._was_open:
                self._check()
                if not self._state.wait(max(deadline - time.monotonic(), 0)):
                    self._fail(UnavailableError(f"no stream into session {self._session_id} within {timeout_s:g} s"))
            self._check()

    @property
    def watermarks(self) -> tuple[int, int, int]:
        """Bins received, applied and durable through, as acknowledged last; durable is 0 without a journal."""
        with self._state:
            return self._marks.received_through, self._marks.applied_through, self._marks.durable_through

    @property
    def reconnects(self) -> int:
        """How often a broken connection was taken up again."""
        with self._state:
            return self._reconnects

    @property
    def unacknowledged_bytes(self) -> int:
        """Memory that is taken by what is not yet durable (applied, without a journal)."""
        with self._state:
            return self._kept_bytes

    def _safe_through(self) -> int:
        return self._marks.durable_through if self._journaled else self._marks.applied_through

    def _check(self) -> None:
        if self._failure is not None:
            # Anew each time, so that tracebacks of several callers do not pile up on one exception.
            failure = self._failure
            raise type(failure)(failure.details, code=failure.code, field=failure.field) from failure
        if self._ended or self._ending:
            raise StreamClosedError("the stream is closed")

    def _fail(self, error: GlauberError) -> None:
        if self._failure is None and not self._ended:
            self._failure = error
        self._ended = True
        if self._call is not None:
            self._call.cancel()
        self._state.notify_all()

    def _keep(self, item: Item, deadline: float | None) -> None:
        """Add what is to be sent, once there is room."""
        while self._kept and self._kept_bytes + item.n_bytes > self._buffer_bytes:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeoutError(
                    f"{self._kept_bytes} bytes wait to become {self._safe_name()}, and buffer_bytes allows {self._buffer_bytes}"
                )
            self._state.wait(left)
            self._check()
        self._kept.append(item)
        self._kept_bytes += item.n_bytes
        self._state.notify_all()

    @contextmanager
    def _turn(self, lock: threading.Lock, deadline: float | None) -> Iterator[None]:
        """One push after another: `_keep` lets go of `_state` while it waits for room, and what another pushes meanwhile would take its numbers."""
        if not lock.acquire(timeout=-1 if deadline is None else max(deadline - time.monotonic(), 0)):
            raise WaitTimeoutError(f"another push waits for room: buffer_bytes allows {self._buffer_bytes}")
        try:
            with self._state:
                self._check()
                yield
        finally:
            lock.release()

    def _safe_name(self) -> str:
        return "durable" if self._journaled else "applied"

    def _drop_safe(self) -> None:
        through = self._safe_through()
        while self._kept and self._taken and self._kept[0].end_bin <= through:
            item = self._kept.popleft()
            self._kept_bytes -= item.n_bytes
            self._taken -= 1
            self._dropped_end = max(self._dropped_end, item.end_bin)
        self._state.notify_all()

    def _wait_safe(self, through: int, timeout_s: float | None) -> None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._state:
            while self._safe_through() < through:
                if self._failure is not None or self._ended:
                    self._check()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise WaitTimeoutError(
                        f"bins before {self._safe_through()} are {self._safe_name()}, not yet all before {through}"
                    )
                self._state.wait(left)

    def _end(self, timeout_s: float | None) -> None:
        """End the stream in order: all that was pushed is sent and acknowledged first."""
        _open_senders.discard(self)
        with self._state:
            if self._ended and self._failure is None:
                return
            self._ending = True
            self._state.notify_all()
            ended = self._state.wait_for(lambda: self._ended, timeout_s)
            if not ended:
                self._fail(WaitTimeoutError(f"the stream did not end within {timeout_s} s"))
            # A session that was closed meanwhile has all of it, as long as nothing was left to be told.
            if isinstance(self._failure, NotReadyError) and not self._kept:
                self._failure = None
            if self._failure is not None:
                failure = self._failure
                raise type(failure)(failure.details, code=failure.code, field=failure.field) from failure
        self._thread.join(timeout=5)

    # The thread of the stream.

    def _run(self) -> None:
        failures, warned_at = 0, -WARNING_EVERY_S
        while True:
            channel = self._transport.open_channel()
            try:
                done = self._connect(channel)
                error: GlauberError = UnavailableError("the daemon ended the stream")
            except grpc.RpcError as broken:
                done, error = False, from_rpc(broken)
            except GlauberError as refused:
                done, error = False, refused
            except Exception as bug:  # noqa: BLE001 - a thread that dies in silence would leave its pusher waiting for ever
                log.exception("the stream into session %s failed", self._session_id)
                done, error = False, DaemonError(f"{type(bug).__name__}: {bug}")
            if not done and isinstance(error, NotReadyError):
                self._learn_how_far(channel)
            channel.close()
            with self._state:
                failures = 0 if self._is_open else failures
                self._is_open, self._call = False, None
                self._connection += 1
                self._state.notify_all()
                if self._ended:
                    return
                if done:
                    self._ended = True
                    return
                if not self._may_try_again(error):
                    self._fail(error)
                    return
                self._reconnects += 1
            pause_s = min(PAUSE_FIRST_S * 2**failures, PAUSE_LONGEST_S)
            failures = min(failures + 1, 16)
            if time.monotonic() - warned_at >= WARNING_EVERY_S:
                warned_at = time.monotonic()
                log.warning(
                    "stream into session %s: %s; connecting again, %d bytes are kept", self._session_id, error, self._kept_bytes
                )
            with self._state:
                self._state.wait_for(lambda: self._ended, pause_s)
                if self._ended:
                    return

    def _may_try_again(self, error: GlauberError) -> bool:
        """Whether a further connection can help. Called with `_state` held."""
        if not self._was_open:
            return False
        if isinstance(error, ProducerConnectedError):
            # The daemon has not noticed yet that this very stream broke; no other producer has this epoch.
            self._epoch += 1
            return True
        if isinstance(error, LimitError):
            return "journal" in error.details or "connections" in error.details
        # A journal that has failed: bins become durable again once the daemon was started anew.
        journal_failed = isinstance(error, DaemonError) and error.code == "INTERNAL" and "journal" in error.details
        return journal_failed or is_transient(error)

    def _connect(self, channel: grpc.Channel) -> bool:
        """One connection, until it ends; tells whether it ended because all is sent and acknowledged."""
        listed = self._transport.call(
            self._transport.sessions_of(channel).ListSessions, session_service_pb2.ListSessionsRequest(), timeout_s=10
        )
        with self._state:
            if self._ended:
                return False
            self._journaled = listed.HasField("journal")
            connection = self._connection
            ingest = self._transport.ingest(channel)
            call = ingest.StreamSpikes(self._requests(connection), metadata=self._transport.metadata)
            self._call = call
        for response in call:
            with self._state:
                if response.WhichOneof("message") == "opened":
                    self._opened(response.opened)
                else:
                    self._marks = response.ack.watermarks
                    self._drop_safe()
        with self._state:
            return self._ending and self._taken == len(self._kept) and self._is_open and self._is_all_safe()

    def _learn_how_far(self, channel: grpc.Channel) -> None:
        """Ask how far a session is whose stream ended without a last acknowledgement, as that of one which was closed does."""
        request = session_service_pb2.GetSessionRequest(session_id=self._session_id)
        try:
            found = self._transport.call(self._transport.sessions_of(channel).GetSession, request, timeout_s=10)
        except GlauberError as error:
            log.warning("session %s: %s", self._session_id, error)
            return
        with self._state:
            self._marks = found.session.watermarks
            self._drop_safe()

    def _is_all_safe(self) -> bool:
        return not self._kept

    def _opened(self, opened: ingest_service_pb2.StreamOpened) -> None:
        self._marks = opened.watermarks
        self._resume(opened.resume_from_bin)
        self._is_open = self._was_open = True
        self._drop_safe()

    def _check_resume(self, from_bin: int) -> None:
        """Whether the daemon goes on where this stream can."""
        if from_bin < self._dropped_end:
            raise BinsLostError(
                f"the daemon goes on at bin {from_bin}, but acknowledged all before {self._dropped_end} as {self._safe_name()}: "
                "bins between are lost; was it started without its journal?"
            )
        if from_bin > self._handed_end:
            raise BinsLostError(
                f"session {self._session_id} has bins up to {from_bin}, and this stream has sent none after {self._handed_end}: "
                "another producer did"
            )

    def _requests(self, connection: int) -> Iterator[Request]:
        yield Request(open=self._open_request())
        while True:
            with self._state:
                self._state.wait_for(
                    lambda: self._connection != connection
                    or self._ended
                    or (self._is_open and (self._taken < len(self._kept) or self._ending))
                )
                if self._connection != connection or self._ended or self._taken >= len(self._kept):
                    return
                request = self._take()
            yield request
