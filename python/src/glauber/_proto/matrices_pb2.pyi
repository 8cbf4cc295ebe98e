from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Score(_message.Message):
    __slots__ = ("total", "recent")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    total: ScoreSum
    recent: ScoreSum
    def __init__(self, total: _Optional[_Union[ScoreSum, _Mapping]] = ..., recent: _Optional[_Union[ScoreSum, _Mapping]] = ...) -> None: ...

class ScoreSum(_message.Message):
    __slots__ = ("transitions", "spikes", "gain_bits", "bits_per_spike", "neuron_spikes", "neuron_gain_bits")
    TRANSITIONS_FIELD_NUMBER: _ClassVar[int]
    SPIKES_FIELD_NUMBER: _ClassVar[int]
    GAIN_BITS_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_SPIKE_FIELD_NUMBER: _ClassVar[int]
    NEURON_SPIKES_FIELD_NUMBER: _ClassVar[int]
    NEURON_GAIN_BITS_FIELD_NUMBER: _ClassVar[int]
    transitions: float
    spikes: float
    gain_bits: float
    bits_per_spike: float
    neuron_spikes: _containers.RepeatedScalarFieldContainer[float]
    neuron_gain_bits: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, transitions: _Optional[float] = ..., spikes: _Optional[float] = ..., gain_bits: _Optional[float] = ..., bits_per_spike: _Optional[float] = ..., neuron_spikes: _Optional[_Iterable[float]] = ..., neuron_gain_bits: _Optional[_Iterable[float]] = ...) -> None: ...

class CouplingRows(_message.Message):
    __slots__ = ("receivers", "couplings", "standard_errors", "q_values")
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    COUPLINGS_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    Q_VALUES_FIELD_NUMBER: _ClassVar[int]
    receivers: _containers.RepeatedScalarFieldContainer[int]
    couplings: _containers.RepeatedScalarFieldContainer[float]
    standard_errors: _containers.RepeatedScalarFieldContainer[float]
    q_values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, receivers: _Optional[_Iterable[int]] = ..., couplings: _Optional[_Iterable[float]] = ..., standard_errors: _Optional[_Iterable[float]] = ..., q_values: _Optional[_Iterable[float]] = ...) -> None: ...

class CouplingPairs(_message.Message):
    __slots__ = ("pairs", "found")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[CouplingPair]
    found: int
    def __init__(self, pairs: _Optional[_Iterable[_Union[CouplingPair, _Mapping]]] = ..., found: _Optional[int] = ...) -> None: ...

class CouplingPair(_message.Message):
    __slots__ = ("receiver", "sender", "receiver_id", "sender_id", "coupling", "standard_error", "z", "status", "p", "q")
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    COUPLING_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    receiver: int
    sender: int
    receiver_id: int
    sender_id: int
    coupling: float
    standard_error: float
    z: float
    status: _types_pb2.RowStatus
    p: float
    q: float
    def __init__(self, receiver: _Optional[int] = ..., sender: _Optional[int] = ..., receiver_id: _Optional[int] = ..., sender_id: _Optional[int] = ..., coupling: _Optional[float] = ..., standard_error: _Optional[float] = ..., z: _Optional[float] = ..., status: _Optional[_Union[_types_pb2.RowStatus, str]] = ..., p: _Optional[float] = ..., q: _Optional[float] = ...) -> None: ...
