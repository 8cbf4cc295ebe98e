"""The connection: address, encryption, token, calls with errors as exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from ._proto import archive_service_pb2_grpc, inference_service_pb2_grpc, ingest_service_pb2_grpc, session_service_pb2_grpc
from .errors import GlauberError, InputError, from_rpc

DEFAULT_PORT = 50051

_OPTIONS = [
    # Answers come in chunks that the daemon keeps small; what it sends is to be read.
    ("grpc.max_receive_message_length", -1),
    # A peer that has vanished is noticed.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Also by one who only listens: without this, pings end after two when nothing is sent.
    ("grpc.http2.max_pings_without_data", 0),
    # A daemon that is started again is found soon.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Which is also how long an attempt may take.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
    # Connections of one process to one daemon are not shared: a client that closes takes none along.
    ("grpc.use_local_subchannel_pool", 1),
]

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Tls:
    """How the connection is encrypted.

    Attributes
    ----------
    ca : path, optional
        PEM file of the authority that signed the daemon's certificate; the system's authorities when None.
    certificate, key : path, optional
        PEM files of the client's own certificate and key, where the daemon asks for one.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The same as gRPC wants it."""
        if (self.certificate is None) != (self.key is None):
            raise InputError("tls: certificate and key belong together, and one of them is missing")
        read = [None if path is None else Path(path).read_bytes() for path in (self.ca, self.key, self.certificate)]
        return grpc.ssl_channel_credentials(*read)


class Transport:
    """One connection to a daemon, which gRPC makes anew when it breaks."""

    def __init__(self, address: str, *, token: str | None, tls: bool | Tls) -> None:
        self.target, encrypted = parse_address(address)
        self._token = token
        self._tls = tls if isinstance(tls, Tls) else Tls() if tls or encrypted else None
        self.metadata: Sequence[tuple[str, str]] = [("authorization", f"Bearer {token}")] if token else []
        self.channel = self.open_channel()
        self.is_closed = False
        self.sessions: Any = session_service_pb2_grpc.SessionServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.inference: Any = inference_service_pb2_grpc.InferenceServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.archive: Any = archive_service_pb2_grpc.ArchiveServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def open_channel(self) -> grpc.Channel:
        """A further connection of its own, with the same credentials."""
        if self._tls is None:
            return grpc.insecure_channel(self.target, options=_OPTIONS)
        return grpc.secure_channel(self.target, self._tls.credentials(), options=_OPTIONS)

    def sessions_of(self, channel: grpc.Channel) -> Any:
        """The calls of the session service on a channel."""
        return session_service_pb2_grpc.SessionServiceStub(channel)  # type: ignore[no-untyped-call]

    def ingest(self, channel: grpc.Channel) -> Any:
        """The calls of the ingest service on a channel."""
        return ingest_service_pb2_grpc.IngestServiceStub(channel)  # type: ignore[no-untyped-call]

    def begin(self, method: Callable[..., Any], request: object, *, timeout_s: float | None = None) -> Any:
        """What gRPC gives for a request, with its own errors; a `GlauberError` when the connection was closed here."""
        try:
            return method(request, timeout=timeout_s, metadata=self.metadata)
        except ValueError as error:
            if not self.is_closed:
                raise
            raise GlauberError(f"the client of {self.target} is closed") from error

    def call(self, method: Callable[..., Any], request: object, *, timeout_s: float | None = 60.0) -> Any:
        """One answer to one request.

        Raises
        ------
        GlauberError
            Of the kind that the status asks for.
        """
        try:
            return self.begin(method, request, timeout_s=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def parts(self, method: Callable[..., Any], request: object, *, timeout_s: float | None = 120.0) -> Iterator[Any]:
        """The messages of a streamed answer; errors as of `call`."""
        try:
            yield from self.begin(method, request, timeout_s=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def close(self) -> None:
        """Close the connection; calls that are open end."""
        self.is_closed = True
        self.channel.close()


def parse_address(address: str) -> tuple[str, bool]:
    """Host and port of an address, and whether it asks for encryption (``https://``)."""
    scheme, separator, rest = address.rpartition("://")
    if separator and scheme not in ("http", "https"):
        raise InputError(f"address {address!r}: expected HOST:PORT, http://HOST:PORT or https://HOST:PORT")
    rest = rest.rstrip("/")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(DEFAULT_PORT)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(f"address {address!r}: expected HOST:PORT with a port of 1 to 65535")
    return f"{host}:{port}", scheme == "https"


def read_token(path: str | Path) -> str:
    """The token in a file with one line ``name:token`` or ``token``; lines with # are comments."""
    lines = [line.strip() for line in Path(path).read_text().splitlines()]
    tokens = [line.rpartition(":")[2].strip() for line in lines if line and not line.startswith("#")]
    if len(tokens) != 1:
        raise InputError(f"token file {path}: expected one line name:token, found {len(tokens)}")
    return tokens[0]
