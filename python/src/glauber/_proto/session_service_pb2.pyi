from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JournalHealth(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOURNAL_HEALTH_UNSPECIFIED: _ClassVar[JournalHealth]
    JOURNAL_HEALTH_WORKING: _ClassVar[JournalHealth]
    JOURNAL_HEALTH_FULL: _ClassVar[JournalHealth]
    JOURNAL_HEALTH_FAILED: _ClassVar[JournalHealth]
JOURNAL_HEALTH_UNSPECIFIED: JournalHealth
JOURNAL_HEALTH_WORKING: JournalHealth
JOURNAL_HEALTH_FULL: JournalHealth
JOURNAL_HEALTH_FAILED: JournalHealth

class CreateSessionRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _types_pb2.SessionSpec
    def __init__(self, spec: _Optional[_Union[_types_pb2.SessionSpec, _Mapping]] = ...) -> None: ...

class CreateSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: _types_pb2.Session
    def __init__(self, session: _Optional[_Union[_types_pb2.Session, _Mapping]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: _types_pb2.Session
    def __init__(self, session: _Optional[_Union[_types_pb2.Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "daemon_version", "journal")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    DAEMON_VERSION_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[_types_pb2.Session]
    daemon_version: str
    journal: JournalStatus
    def __init__(self, sessions: _Optional[_Iterable[_Union[_types_pb2.Session, _Mapping]]] = ..., daemon_version: _Optional[str] = ..., journal: _Optional[_Union[JournalStatus, _Mapping]] = ...) -> None: ...

class JournalStatus(_message.Message):
    __slots__ = ("health", "reason", "entry_bytes", "file_bytes", "bytes_max")
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ENTRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    health: JournalHealth
    reason: str
    entry_bytes: int
    file_bytes: int
    bytes_max: int
    def __init__(self, health: _Optional[_Union[JournalHealth, str]] = ..., reason: _Optional[str] = ..., entry_bytes: _Optional[int] = ..., file_bytes: _Optional[int] = ..., bytes_max: _Optional[int] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ("session", "snapshot_paths", "recording_paths")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_PATHS_FIELD_NUMBER: _ClassVar[int]
    RECORDING_PATHS_FIELD_NUMBER: _ClassVar[int]
    session: _types_pb2.Session
    snapshot_paths: _containers.RepeatedScalarFieldContainer[str]
    recording_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session: _Optional[_Union[_types_pb2.Session, _Mapping]] = ..., snapshot_paths: _Optional[_Iterable[str]] = ..., recording_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class MarkTrialRequest(_message.Message):
    __slots__ = ("session_id", "start_bin", "stop_bin")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    START_BIN_FIELD_NUMBER: _ClassVar[int]
    STOP_BIN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    start_bin: int
    stop_bin: int
    def __init__(self, session_id: _Optional[str] = ..., start_bin: _Optional[int] = ..., stop_bin: _Optional[int] = ...) -> None: ...

class MarkTrialResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
