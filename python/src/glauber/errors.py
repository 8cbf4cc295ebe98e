"""What can go wrong, as exceptions with the daemon's own code and words."""

from __future__ import annotations

import re
from typing import Any

import grpc


class GlauberError(Exception):
    """Base of every error of this package.

    Attributes
    ----------
    code : str or None
        Name of the gRPC status, such as ``"INVALID_ARGUMENT"``; None where the daemon was not asked.
    details : str
        What is wrong: what, where, expected, got.
    field : str or None
        Path of the field of the request that is wrong, where the daemon says so.
    """

    def __init__(self, details: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.field = field


class InputError(GlauberError, ValueError):
    """An argument that does not fit; nothing was sent."""


class InvalidArgumentError(GlauberError, ValueError):
    """The daemon refuses a field of the request (INVALID_ARGUMENT, OUT_OF_RANGE)."""


class NotFoundError(GlauberError, LookupError):
    """There is no such session or snapshot; a daemon without a journal forgets its sessions when it ends."""


class NotReadyError(GlauberError):
    """What is asked for is not there (yet): no estimate, no score, a closed session (FAILED_PRECONDITION)."""


class ProducerConnectedError(GlauberError):
    """Another producer is sending into the session (ALREADY_EXISTS)."""


class FencedError(GlauberError):
    """Another producer took the session over (ABORTED)."""


class LimitError(GlauberError):
    """A limit of the daemon is reached, or its journal is full (RESOURCE_EXHAUSTED)."""


class AccessError(GlauberError):
    """A token or certificate is missing or not accepted (UNAUTHENTICATED, PERMISSION_DENIED)."""


class UnavailableError(GlauberError, ConnectionError):
    """The daemon cannot be reached, or is shutting down (UNAVAILABLE)."""


class DaemonError(GlauberError):
    """The daemon failed (INTERNAL and what else it should not answer)."""


class WaitTimeoutError(GlauberError, TimeoutError):
    """What was waited for did not come in time; nothing is lost by that."""


class BinsLostError(GlauberError):
    """The daemon no longer has, or never can have, bins that were pushed.

    It was started again without its journal, or another producer sent bins of the same numbers.
    """


class StreamClosedError(GlauberError):
    """The stream is closed."""


class SnapshotError(GlauberError, ValueError):
    """A file is not a snapshot that this version reads."""


_BY_CODE: dict[str, type[GlauberError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "OUT_OF_RANGE": InvalidArgumentError,
    "NOT_FOUND": NotFoundError,
    "FAILED_PRECONDITION": NotReadyError,
    "ALREADY_EXISTS": ProducerConnectedError,
    "ABORTED": FencedError,
    "RESOURCE_EXHAUSTED": LimitError,
    "UNAUTHENTICATED": AccessError,
    "PERMISSION_DENIED": AccessError,
    "UNAVAILABLE": UnavailableError,
    "CANCELLED": UnavailableError,
    "DEADLINE_EXCEEDED": WaitTimeoutError,
}


def from_rpc(error: grpc.RpcError) -> GlauberError:
    """The exception that stands for a call that failed."""
    # Every RpcError that grpc raises from a call is a Call as well; its type stubs do not say so.
    code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
    details = (error.details() if isinstance(error, grpc.Call) else None) or str(error)
    return _BY_CODE.get(code, DaemonError)(details, code=code, field=_field(error))


def is_transient(error: GlauberError) -> bool:
    """Whether the connection broke, or the daemon is away for a while: a further connection can help."""
    if isinstance(error, DaemonError):
        # How a connection that breaks in mid-message is told.
        return error.code in ("UNKNOWN", "INTERNAL") and ("RST_STREAM" in error.details or "Stream removed" in error.details)
    return isinstance(error, (UnavailableError, WaitTimeoutError))


def _field(error: grpc.RpcError) -> str | None:
    """Path of the field from the ``google.rpc.BadRequest`` among the details of the status.

    The path is the first string of its first violation; finding it in the encoded message spares a dependency on the googleapis protos.
    """
    trailing: Any = error.trailing_metadata() if isinstance(error, grpc.Call) else None
    for entry in trailing or ():
        if entry[0] == "grpc-status-details-bin" and isinstance(entry[1], bytes):
            found = re.search(rb"google\.rpc\.BadRequest\x12.\x0a.\x0a(.)", entry[1], re.DOTALL)
            if found:
                start = found.end()
                return entry[1][start : start + found.group(1)[0]].decode("utf-8", "replace")
    return None
