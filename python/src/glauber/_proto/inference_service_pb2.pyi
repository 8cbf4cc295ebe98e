from . import equilibrium_pb2 as _equilibrium_pb2
from . import matrices_pb2 as _matrices_pb2
from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VarianceForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VARIANCE_FORM_UNSPECIFIED: _ClassVar[VarianceForm]
    VARIANCE_FORM_FACTORED: _ClassVar[VarianceForm]
    VARIANCE_FORM_FULL: _ClassVar[VarianceForm]
VARIANCE_FORM_UNSPECIFIED: VarianceForm
VARIANCE_FORM_FACTORED: VarianceForm
VARIANCE_FORM_FULL: VarianceForm

class CouplingsQuery(_message.Message):
    __slots__ = ("session_id", "estimator", "window", "receivers", "top_pairs", "header_only", "q_max", "standard_errors", "q_values", "trial_fields")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    TOP_PAIRS_FIELD_NUMBER: _ClassVar[int]
    HEADER_ONLY_FIELD_NUMBER: _ClassVar[int]
    Q_MAX_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    Q_VALUES_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELDS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    estimator: _types_pb2.Estimator
    window: str
    receivers: _containers.RepeatedScalarFieldContainer[int]
    top_pairs: int
    header_only: bool
    q_max: float
    standard_errors: bool
    q_values: bool
    trial_fields: bool
    def __init__(self, session_id: _Optional[str] = ..., estimator: _Optional[_Union[_types_pb2.Estimator, str]] = ..., window: _Optional[str] = ..., receivers: _Optional[_Iterable[int]] = ..., top_pairs: _Optional[int] = ..., header_only: bool = ..., q_max: _Optional[float] = ..., standard_errors: bool = ..., q_values: bool = ..., trial_fields: bool = ...) -> None: ...

class GetCouplingsRequest(_message.Message):
    __slots__ = ("query",)
    QUERY_FIELD_NUMBER: _ClassVar[int]
    query: CouplingsQuery
    def __init__(self, query: _Optional[_Union[CouplingsQuery, _Mapping]] = ...) -> None: ...

class GetCouplingsResponse(_message.Message):
    __slots__ = ("header", "rows", "pairs", "trial_fields")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELDS_FIELD_NUMBER: _ClassVar[int]
    header: EstimateHeader
    rows: _matrices_pb2.CouplingRows
    pairs: _matrices_pb2.CouplingPairs
    trial_fields: TrialFieldRows
    def __init__(self, header: _Optional[_Union[EstimateHeader, _Mapping]] = ..., rows: _Optional[_Union[_matrices_pb2.CouplingRows, _Mapping]] = ..., pairs: _Optional[_Union[_matrices_pb2.CouplingPairs, _Mapping]] = ..., trial_fields: _Optional[_Union[TrialFieldRows, _Mapping]] = ...) -> None: ...

class WatchCouplingsRequest(_message.Message):
    __slots__ = ("query",)
    QUERY_FIELD_NUMBER: _ClassVar[int]
    query: CouplingsQuery
    def __init__(self, query: _Optional[_Union[CouplingsQuery, _Mapping]] = ...) -> None: ...

class WatchCouplingsResponse(_message.Message):
    __slots__ = ("header", "rows", "pairs", "trial_fields")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELDS_FIELD_NUMBER: _ClassVar[int]
    header: EstimateHeader
    rows: _matrices_pb2.CouplingRows
    pairs: _matrices_pb2.CouplingPairs
    trial_fields: TrialFieldRows
    def __init__(self, header: _Optional[_Union[EstimateHeader, _Mapping]] = ..., rows: _Optional[_Union[_matrices_pb2.CouplingRows, _Mapping]] = ..., pairs: _Optional[_Union[_matrices_pb2.CouplingPairs, _Mapping]] = ..., trial_fields: _Optional[_Union[TrialFieldRows, _Mapping]] = ...) -> None: ...

class EstimateHeader(_message.Message):
    __slots__ = ("session_id", "estimator", "window", "first_bin", "end_bin", "bins_observed", "transitions", "ridge", "publication", "skipped", "age_ms", "bins_since", "status", "fields", "neuron_ids", "variance_sender", "variance_receiver", "variance_field", "variance_form", "window_first_bin", "window_end_bin", "score", "ridge_path", "field_standard_errors", "field_z", "field_p", "field_q", "iterations", "gradient_norm")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    END_BIN_FIELD_NUMBER: _ClassVar[int]
    BINS_OBSERVED_FIELD_NUMBER: _ClassVar[int]
    TRANSITIONS_FIELD_NUMBER: _ClassVar[int]
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    BINS_SINCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    NEURON_IDS_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_SENDER_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_RECEIVER_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FIELD_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FORM_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_BIN_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RIDGE_PATH_FIELD_NUMBER: _ClassVar[int]
    FIELD_STANDARD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    FIELD_Z_FIELD_NUMBER: _ClassVar[int]
    FIELD_P_FIELD_NUMBER: _ClassVar[int]
    FIELD_Q_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    estimator: _types_pb2.Estimator
    window: str
    first_bin: int
    end_bin: int
    bins_observed: int
    transitions: int
    ridge: float
    publication: int
    skipped: int
    age_ms: int
    bins_since: int
    status: _containers.RepeatedScalarFieldContainer[_types_pb2.RowStatus]
    fields: _containers.RepeatedScalarFieldContainer[float]
    neuron_ids: _containers.RepeatedScalarFieldContainer[int]
    variance_sender: _containers.RepeatedScalarFieldContainer[float]
    variance_receiver: _containers.RepeatedScalarFieldContainer[float]
    variance_field: float
    variance_form: VarianceForm
    window_first_bin: int
    window_end_bin: int
    score: _matrices_pb2.Score
    ridge_path: _containers.RepeatedCompositeFieldContainer[RidgeScore]
    field_standard_errors: _containers.RepeatedScalarFieldContainer[float]
    field_z: _containers.RepeatedScalarFieldContainer[float]
    field_p: _containers.RepeatedScalarFieldContainer[float]
    field_q: _containers.RepeatedScalarFieldContainer[float]
    iterations: _containers.RepeatedScalarFieldContainer[int]
    gradient_norm: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, session_id: _Optional[str] = ..., estimator: _Optional[_Union[_types_pb2.Estimator, str]] = ..., window: _Optional[str] = ..., first_bin: _Optional[int] = ..., end_bin: _Optional[int] = ..., bins_observed: _Optional[int] = ..., transitions: _Optional[int] = ..., ridge: _Optional[float] = ..., publication: _Optional[int] = ..., skipped: _Optional[int] = ..., age_ms: _Optional[int] = ..., bins_since: _Optional[int] = ..., status: _Optional[_Iterable[_Union[_types_pb2.RowStatus, str]]] = ..., fields: _Optional[_Iterable[float]] = ..., neuron_ids: _Optional[_Iterable[int]] = ..., variance_sender: _Optional[_Iterable[float]] = ..., variance_receiver: _Optional[_Iterable[float]] = ..., variance_field: _Optional[float] = ..., variance_form: _Optional[_Union[VarianceForm, str]] = ..., window_first_bin: _Optional[int] = ..., window_end_bin: _Optional[int] = ..., score: _Optional[_Union[_matrices_pb2.Score, _Mapping]] = ..., ridge_path: _Optional[_Iterable[_Union[RidgeScore, _Mapping]]] = ..., field_standard_errors: _Optional[_Iterable[float]] = ..., field_z: _Optional[_Iterable[float]] = ..., field_p: _Optional[_Iterable[float]] = ..., field_q: _Optional[_Iterable[float]] = ..., iterations: _Optional[_Iterable[int]] = ..., gradient_norm: _Optional[_Iterable[float]] = ...) -> None: ...

class RidgeScore(_message.Message):
    __slots__ = ("ridge", "bits_per_spike")
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_SPIKE_FIELD_NUMBER: _ClassVar[int]
    ridge: float
    bits_per_spike: float
    def __init__(self, ridge: _Optional[float] = ..., bits_per_spike: _Optional[float] = ...) -> None: ...

class TrialFieldRows(_message.Message):
    __slots__ = ("receivers", "bin_count", "fields", "estimated", "repeats")
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    BIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    receivers: _containers.RepeatedScalarFieldContainer[int]
    bin_count: int
    fields: _containers.RepeatedScalarFieldContainer[float]
    estimated: _containers.RepeatedScalarFieldContainer[bool]
    repeats: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, receivers: _Optional[_Iterable[int]] = ..., bin_count: _Optional[int] = ..., fields: _Optional[_Iterable[float]] = ..., estimated: _Optional[_Iterable[bool]] = ..., repeats: _Optional[_Iterable[int]] = ...) -> None: ...

class GetCorrelationsRequest(_message.Message):
    __slots__ = ("session_id", "window", "lag_bins", "header_only")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LAG_BINS_FIELD_NUMBER: _ClassVar[int]
    HEADER_ONLY_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    window: str
    lag_bins: int
    header_only: bool
    def __init__(self, session_id: _Optional[str] = ..., window: _Optional[str] = ..., lag_bins: _Optional[int] = ..., header_only: bool = ...) -> None: ...

class GetCorrelationsResponse(_message.Message):
    __slots__ = ("header", "rows")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    header: CorrelationsHeader
    rows: CorrelationRows
    def __init__(self, header: _Optional[_Union[CorrelationsHeader, _Mapping]] = ..., rows: _Optional[_Union[CorrelationRows, _Mapping]] = ...) -> None: ...

class CorrelationsHeader(_message.Message):
    __slots__ = ("session_id", "window", "first_bin", "end_bin", "bins_observed", "lag_bins", "transitions", "spikes", "magnetization", "magnetization_sender", "magnetization_receiver", "neuron_ids")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    END_BIN_FIELD_NUMBER: _ClassVar[int]
    BINS_OBSERVED_FIELD_NUMBER: _ClassVar[int]
    LAG_BINS_FIELD_NUMBER: _ClassVar[int]
    TRANSITIONS_FIELD_NUMBER: _ClassVar[int]
    SPIKES_FIELD_NUMBER: _ClassVar[int]
    MAGNETIZATION_FIELD_NUMBER: _ClassVar[int]
    MAGNETIZATION_SENDER_FIELD_NUMBER: _ClassVar[int]
    MAGNETIZATION_RECEIVER_FIELD_NUMBER: _ClassVar[int]
    NEURON_IDS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    window: str
    first_bin: int
    end_bin: int
    bins_observed: int
    lag_bins: int
    transitions: int
    spikes: _containers.RepeatedScalarFieldContainer[int]
    magnetization: _containers.RepeatedScalarFieldContainer[float]
    magnetization_sender: _containers.RepeatedScalarFieldContainer[float]
    magnetization_receiver: _containers.RepeatedScalarFieldContainer[float]
    neuron_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, session_id: _Optional[str] = ..., window: _Optional[str] = ..., first_bin: _Optional[int] = ..., end_bin: _Optional[int] = ..., bins_observed: _Optional[int] = ..., lag_bins: _Optional[int] = ..., transitions: _Optional[int] = ..., spikes: _Optional[_Iterable[int]] = ..., magnetization: _Optional[_Iterable[float]] = ..., magnetization_sender: _Optional[_Iterable[float]] = ..., magnetization_receiver: _Optional[_Iterable[float]] = ..., neuron_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class CorrelationRows(_message.Message):
    __slots__ = ("first_row", "row_count", "equal_time", "delayed")
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    EQUAL_TIME_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    first_row: int
    row_count: int
    equal_time: _containers.RepeatedScalarFieldContainer[float]
    delayed: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, first_row: _Optional[int] = ..., row_count: _Optional[int] = ..., equal_time: _Optional[_Iterable[float]] = ..., delayed: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamPredictionsRequest(_message.Message):
    __slots__ = ("session_id", "estimator", "window", "neurons")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    estimator: _types_pb2.Estimator
    window: str
    neurons: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, session_id: _Optional[str] = ..., estimator: _Optional[_Union[_types_pb2.Estimator, str]] = ..., window: _Optional[str] = ..., neurons: _Optional[_Iterable[int]] = ...) -> None: ...

class StreamPredictionsResponse(_message.Message):
    __slots__ = ("header", "predictions")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    header: PredictionsHeader
    predictions: Predictions
    def __init__(self, header: _Optional[_Union[PredictionsHeader, _Mapping]] = ..., predictions: _Optional[_Union[Predictions, _Mapping]] = ...) -> None: ...

class PredictionsHeader(_message.Message):
    __slots__ = ("session_id", "neurons", "neuron_ids")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    NEURON_IDS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    neurons: _containers.RepeatedScalarFieldContainer[int]
    neuron_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, session_id: _Optional[str] = ..., neurons: _Optional[_Iterable[int]] = ..., neuron_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Predictions(_message.Message):
    __slots__ = ("first_bin", "bin_count", "probabilities", "model", "skipped")
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    BIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    first_bin: int
    bin_count: int
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    model: PredictionModel
    skipped: int
    def __init__(self, first_bin: _Optional[int] = ..., bin_count: _Optional[int] = ..., probabilities: _Optional[_Iterable[float]] = ..., model: _Optional[_Union[PredictionModel, _Mapping]] = ..., skipped: _Optional[int] = ...) -> None: ...

class PredictionModel(_message.Message):
    __slots__ = ("publication", "estimator", "window", "ridge", "end_bin")
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    END_BIN_FIELD_NUMBER: _ClassVar[int]
    publication: int
    estimator: _types_pb2.Estimator
    window: str
    ridge: float
    end_bin: int
    def __init__(self, publication: _Optional[int] = ..., estimator: _Optional[_Union[_types_pb2.Estimator, str]] = ..., window: _Optional[str] = ..., ridge: _Optional[float] = ..., end_bin: _Optional[int] = ...) -> None: ...

class RefitRequest(_message.Message):
    __slots__ = ("session_id", "equilibrium")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    equilibrium: bool
    def __init__(self, session_id: _Optional[str] = ..., equilibrium: bool = ...) -> None: ...

class RefitResponse(_message.Message):
    __slots__ = ("publication", "end_bin", "equilibrium_publication")
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    END_BIN_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    publication: int
    end_bin: int
    equilibrium_publication: int
    def __init__(self, publication: _Optional[int] = ..., end_bin: _Optional[int] = ..., equilibrium_publication: _Optional[int] = ...) -> None: ...

class GetRecentSpikesRequest(_message.Message):
    __slots__ = ("session_id", "bins_max", "from_bin")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    BINS_MAX_FIELD_NUMBER: _ClassVar[int]
    FROM_BIN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    bins_max: int
    from_bin: int
    def __init__(self, session_id: _Optional[str] = ..., bins_max: _Optional[int] = ..., from_bin: _Optional[int] = ...) -> None: ...

class GetRecentSpikesResponse(_message.Message):
    __slots__ = ("first_bin", "end_bin", "runs")
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    END_BIN_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    first_bin: int
    end_bin: int
    runs: _containers.RepeatedCompositeFieldContainer[SpikeRun]
    def __init__(self, first_bin: _Optional[int] = ..., end_bin: _Optional[int] = ..., runs: _Optional[_Iterable[_Union[SpikeRun, _Mapping]]] = ...) -> None: ...

class SpikeRun(_message.Message):
    __slots__ = ("first_bin", "active_counts", "neurons")
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    first_bin: int
    active_counts: _containers.RepeatedScalarFieldContainer[int]
    neurons: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, first_bin: _Optional[int] = ..., active_counts: _Optional[_Iterable[int]] = ..., neurons: _Optional[_Iterable[int]] = ...) -> None: ...

class GetScoreHistoryRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetScoreHistoryResponse(_message.Message):
    __slots__ = ("series", "points_max")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    POINTS_MAX_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[ScoreSeries]
    points_max: int
    def __init__(self, series: _Optional[_Iterable[_Union[ScoreSeries, _Mapping]]] = ..., points_max: _Optional[int] = ...) -> None: ...

class ScoreSeries(_message.Message):
    __slots__ = ("estimator", "method", "window", "end_bins", "bits_per_spike", "ridge")
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    END_BINS_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_SPIKE_FIELD_NUMBER: _ClassVar[int]
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    estimator: _types_pb2.Estimator
    method: _types_pb2.EquilibriumMethod
    window: str
    end_bins: _containers.RepeatedScalarFieldContainer[int]
    bits_per_spike: _containers.RepeatedScalarFieldContainer[float]
    ridge: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, estimator: _Optional[_Union[_types_pb2.Estimator, str]] = ..., method: _Optional[_Union[_types_pb2.EquilibriumMethod, str]] = ..., window: _Optional[str] = ..., end_bins: _Optional[_Iterable[int]] = ..., bits_per_spike: _Optional[_Iterable[float]] = ..., ridge: _Optional[_Iterable[float]] = ...) -> None: ...
