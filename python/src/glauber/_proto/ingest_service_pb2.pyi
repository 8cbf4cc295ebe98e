from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamSpikesRequest(_message.Message):
    __slots__ = ("open", "bins", "times")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    open: OpenStream
    bins: SpikeBins
    times: SpikeTimes
    def __init__(self, open: _Optional[_Union[OpenStream, _Mapping]] = ..., bins: _Optional[_Union[SpikeBins, _Mapping]] = ..., times: _Optional[_Union[SpikeTimes, _Mapping]] = ...) -> None: ...

class OpenStream(_message.Message):
    __slots__ = ("session_id", "producer_epoch", "durable_acks_only", "timestamps")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    DURABLE_ACKS_ONLY_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    producer_epoch: int
    durable_acks_only: bool
    timestamps: TimestampSettings
    def __init__(self, session_id: _Optional[str] = ..., producer_epoch: _Optional[int] = ..., durable_acks_only: bool = ..., timestamps: _Optional[_Union[TimestampSettings, _Mapping]] = ...) -> None: ...

class TimestampSettings(_message.Message):
    __slots__ = ("lateness_us", "sources")
    LATENESS_US_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    lateness_us: int
    sources: _containers.RepeatedCompositeFieldContainer[ClockSource]
    def __init__(self, lateness_us: _Optional[int] = ..., sources: _Optional[_Iterable[_Union[ClockSource, _Mapping]]] = ...) -> None: ...

class ClockSource(_message.Message):
    __slots__ = ("name", "clock_offset_ns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_NS_FIELD_NUMBER: _ClassVar[int]
    name: str
    clock_offset_ns: int
    def __init__(self, name: _Optional[str] = ..., clock_offset_ns: _Optional[int] = ...) -> None: ...

class SpikeTimes(_message.Message):
    __slots__ = ("source", "neurons", "times_ns", "clock_ns", "unobserved", "clock_offset_ns")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    TIMES_NS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_NS_FIELD_NUMBER: _ClassVar[int]
    UNOBSERVED_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_NS_FIELD_NUMBER: _ClassVar[int]
    source: int
    neurons: _containers.RepeatedScalarFieldContainer[int]
    times_ns: _containers.RepeatedScalarFieldContainer[int]
    clock_ns: int
    unobserved: _containers.RepeatedCompositeFieldContainer[TimeStretch]
    clock_offset_ns: int
    def __init__(self, source: _Optional[int] = ..., neurons: _Optional[_Iterable[int]] = ..., times_ns: _Optional[_Iterable[int]] = ..., clock_ns: _Optional[int] = ..., unobserved: _Optional[_Iterable[_Union[TimeStretch, _Mapping]]] = ..., clock_offset_ns: _Optional[int] = ...) -> None: ...

class TimeStretch(_message.Message):
    __slots__ = ("start_ns", "stop_ns")
    START_NS_FIELD_NUMBER: _ClassVar[int]
    STOP_NS_FIELD_NUMBER: _ClassVar[int]
    start_ns: int
    stop_ns: int
    def __init__(self, start_ns: _Optional[int] = ..., stop_ns: _Optional[int] = ...) -> None: ...

class SpikeBins(_message.Message):
    __slots__ = ("first_bin", "sparse", "packed", "trial_edges", "trials")
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    SPARSE_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    TRIAL_EDGES_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    first_bin: int
    sparse: SparseBins
    packed: PackedBins
    trial_edges: _containers.RepeatedScalarFieldContainer[int]
    trials: _containers.RepeatedCompositeFieldContainer[_types_pb2.Trial]
    def __init__(self, first_bin: _Optional[int] = ..., sparse: _Optional[_Union[SparseBins, _Mapping]] = ..., packed: _Optional[_Union[PackedBins, _Mapping]] = ..., trial_edges: _Optional[_Iterable[int]] = ..., trials: _Optional[_Iterable[_Union[_types_pb2.Trial, _Mapping]]] = ...) -> None: ...

class SparseBins(_message.Message):
    __slots__ = ("active_counts", "neurons")
    ACTIVE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    active_counts: _containers.RepeatedScalarFieldContainer[int]
    neurons: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, active_counts: _Optional[_Iterable[int]] = ..., neurons: _Optional[_Iterable[int]] = ...) -> None: ...

class PackedBins(_message.Message):
    __slots__ = ("bin_count", "bits")
    BIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    bin_count: int
    bits: bytes
    def __init__(self, bin_count: _Optional[int] = ..., bits: _Optional[bytes] = ...) -> None: ...

class StreamSpikesResponse(_message.Message):
    __slots__ = ("opened", "ack")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    opened: StreamOpened
    ack: Ack
    def __init__(self, opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ...) -> None: ...

class StreamOpened(_message.Message):
    __slots__ = ("resume_from_bin", "watermarks")
    RESUME_FROM_BIN_FIELD_NUMBER: _ClassVar[int]
    WATERMARKS_FIELD_NUMBER: _ClassVar[int]
    resume_from_bin: int
    watermarks: _types_pb2.Watermarks
    def __init__(self, resume_from_bin: _Optional[int] = ..., watermarks: _Optional[_Union[_types_pb2.Watermarks, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("watermarks",)
    WATERMARKS_FIELD_NUMBER: _ClassVar[int]
    watermarks: _types_pb2.Watermarks
    def __init__(self, watermarks: _Optional[_Union[_types_pb2.Watermarks, _Mapping]] = ...) -> None: ...
