from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Estimator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ESTIMATOR_UNSPECIFIED: _ClassVar[Estimator]
    ESTIMATOR_NMF: _ClassVar[Estimator]
    ESTIMATOR_TAP: _ClassVar[Estimator]
    ESTIMATOR_TAP_SELF_CONSISTENT: _ClassVar[Estimator]
    ESTIMATOR_EXACT_MEAN_FIELD: _ClassVar[Estimator]
    ESTIMATOR_EXACT: _ClassVar[Estimator]
    ESTIMATOR_ONLINE: _ClassVar[Estimator]
    ESTIMATOR_TRIAL_NMF: _ClassVar[Estimator]
    ESTIMATOR_TRIAL_TAP: _ClassVar[Estimator]
    ESTIMATOR_TRIAL_EXACT: _ClassVar[Estimator]
    ESTIMATOR_BEST: _ClassVar[Estimator]

class EquilibriumMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EQUILIBRIUM_METHOD_UNSPECIFIED: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_ERASURE_MACHINE: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_HOPFIELD: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_NMF: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_TAP: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_PSEUDO_LIKELIHOOD: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_MAXIMUM_LIKELIHOOD: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_BOLTZMANN: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_MANY_STATES: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_MANY_STATES_TAP: _ClassVar[EquilibriumMethod]
    EQUILIBRIUM_METHOD_BEST: _ClassVar[EquilibriumMethod]

class RowStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROW_STATUS_UNSPECIFIED: _ClassVar[RowStatus]
    ROW_STATUS_OK: _ClassVar[RowStatus]
    ROW_STATUS_SILENT: _ClassVar[RowStatus]
    ROW_STATUS_SATURATED: _ClassVar[RowStatus]
    ROW_STATUS_DUPLICATE: _ClassVar[RowStatus]
    ROW_STATUS_UNDERSAMPLED: _ClassVar[RowStatus]
    ROW_STATUS_SINGULAR: _ClassVar[RowStatus]
    ROW_STATUS_TAP_NO_ROOT: _ClassVar[RowStatus]
    ROW_STATUS_EXACT_MEAN_FIELD_NO_ROOT: _ClassVar[RowStatus]
    ROW_STATUS_NOT_CONVERGED: _ClassVar[RowStatus]
    ROW_STATUS_MEAN_FIELD_INVALID: _ClassVar[RowStatus]
    ROW_STATUS_SEPARATED: _ClassVar[RowStatus]
    ROW_STATUS_TOO_FEW_REPEATS: _ClassVar[RowStatus]

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_OPEN: _ClassVar[SessionState]
    SESSION_STATE_CLOSED: _ClassVar[SessionState]
ESTIMATOR_UNSPECIFIED: Estimator
ESTIMATOR_NMF: Estimator
ESTIMATOR_TAP: Estimator
ESTIMATOR_TAP_SELF_CONSISTENT: Estimator
ESTIMATOR_EXACT_MEAN_FIELD: Estimator
ESTIMATOR_EXACT: Estimator
ESTIMATOR_ONLINE: Estimator
ESTIMATOR_TRIAL_NMF: Estimator
ESTIMATOR_TRIAL_TAP: Estimator
ESTIMATOR_TRIAL_EXACT: Estimator
ESTIMATOR_BEST: Estimator
EQUILIBRIUM_METHOD_UNSPECIFIED: EquilibriumMethod
EQUILIBRIUM_METHOD_ERASURE_MACHINE: EquilibriumMethod
EQUILIBRIUM_METHOD_HOPFIELD: EquilibriumMethod
EQUILIBRIUM_METHOD_NMF: EquilibriumMethod
EQUILIBRIUM_METHOD_TAP: EquilibriumMethod
EQUILIBRIUM_METHOD_PSEUDO_LIKELIHOOD: EquilibriumMethod
EQUILIBRIUM_METHOD_MAXIMUM_LIKELIHOOD: EquilibriumMethod
EQUILIBRIUM_METHOD_BOLTZMANN: EquilibriumMethod
EQUILIBRIUM_METHOD_MANY_STATES: EquilibriumMethod
EQUILIBRIUM_METHOD_MANY_STATES_TAP: EquilibriumMethod
EQUILIBRIUM_METHOD_BEST: EquilibriumMethod
ROW_STATUS_UNSPECIFIED: RowStatus
ROW_STATUS_OK: RowStatus
ROW_STATUS_SILENT: RowStatus
ROW_STATUS_SATURATED: RowStatus
ROW_STATUS_DUPLICATE: RowStatus
ROW_STATUS_UNDERSAMPLED: RowStatus
ROW_STATUS_SINGULAR: RowStatus
ROW_STATUS_TAP_NO_ROOT: RowStatus
ROW_STATUS_EXACT_MEAN_FIELD_NO_ROOT: RowStatus
ROW_STATUS_NOT_CONVERGED: RowStatus
ROW_STATUS_MEAN_FIELD_INVALID: RowStatus
ROW_STATUS_SEPARATED: RowStatus
ROW_STATUS_TOO_FEW_REPEATS: RowStatus
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_OPEN: SessionState
SESSION_STATE_CLOSED: SessionState

class Neuron(_message.Message):
    __slots__ = ("id", "label")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    label: str
    def __init__(self, id: _Optional[int] = ..., label: _Optional[str] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class SessionSpec(_message.Message):
    __slots__ = ("name", "neurons", "neuron_count", "bin_width_us", "origin_ns", "windows", "lags_bins", "estimators", "ridge", "refresh_interval_bins", "ridge_path", "refit_interval_bins", "refit_bins_max", "score_memory_bins", "equilibrium_methods", "equilibrium_interval_bins", "equilibrium_bins_max", "equilibrium_seed", "no_equilibrium", "metadata")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    NEURON_COUNT_FIELD_NUMBER: _ClassVar[int]
    BIN_WIDTH_US_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_NS_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    LAGS_BINS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATORS_FIELD_NUMBER: _ClassVar[int]
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    REFRESH_INTERVAL_BINS_FIELD_NUMBER: _ClassVar[int]
    RIDGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFIT_INTERVAL_BINS_FIELD_NUMBER: _ClassVar[int]
    REFIT_BINS_MAX_FIELD_NUMBER: _ClassVar[int]
    SCORE_MEMORY_BINS_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_METHODS_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_INTERVAL_BINS_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_BINS_MAX_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_SEED_FIELD_NUMBER: _ClassVar[int]
    NO_EQUILIBRIUM_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    neurons: _containers.RepeatedCompositeFieldContainer[Neuron]
    neuron_count: int
    bin_width_us: int
    origin_ns: int
    windows: _containers.RepeatedScalarFieldContainer[str]
    lags_bins: _containers.RepeatedScalarFieldContainer[int]
    estimators: _containers.RepeatedScalarFieldContainer[Estimator]
    ridge: float
    refresh_interval_bins: int
    ridge_path: _containers.RepeatedScalarFieldContainer[float]
    refit_interval_bins: int
    refit_bins_max: int
    score_memory_bins: int
    equilibrium_methods: _containers.RepeatedScalarFieldContainer[EquilibriumMethod]
    equilibrium_interval_bins: int
    equilibrium_bins_max: int
    equilibrium_seed: int
    no_equilibrium: bool
    metadata: SessionMetadata
    def __init__(self, name: _Optional[str] = ..., neurons: _Optional[_Iterable[_Union[Neuron, _Mapping]]] = ..., neuron_count: _Optional[int] = ..., bin_width_us: _Optional[int] = ..., origin_ns: _Optional[int] = ..., windows: _Optional[_Iterable[str]] = ..., lags_bins: _Optional[_Iterable[int]] = ..., estimators: _Optional[_Iterable[_Union[Estimator, str]]] = ..., ridge: _Optional[float] = ..., refresh_interval_bins: _Optional[int] = ..., ridge_path: _Optional[_Iterable[float]] = ..., refit_interval_bins: _Optional[int] = ..., refit_bins_max: _Optional[int] = ..., score_memory_bins: _Optional[int] = ..., equilibrium_methods: _Optional[_Iterable[_Union[EquilibriumMethod, str]]] = ..., equilibrium_interval_bins: _Optional[int] = ..., equilibrium_bins_max: _Optional[int] = ..., equilibrium_seed: _Optional[int] = ..., no_equilibrium: bool = ..., metadata: _Optional[_Union[SessionMetadata, _Mapping]] = ...) -> None: ...

class SessionMetadata(_message.Message):
    __slots__ = ("description", "experimenters", "lab", "institution", "keywords", "start_unix_ns", "subject")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTERS_FIELD_NUMBER: _ClassVar[int]
    LAB_FIELD_NUMBER: _ClassVar[int]
    INSTITUTION_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    description: str
    experimenters: _containers.RepeatedScalarFieldContainer[str]
    lab: str
    institution: str
    keywords: _containers.RepeatedScalarFieldContainer[str]
    start_unix_ns: int
    subject: Subject
    def __init__(self, description: _Optional[str] = ..., experimenters: _Optional[_Iterable[str]] = ..., lab: _Optional[str] = ..., institution: _Optional[str] = ..., keywords: _Optional[_Iterable[str]] = ..., start_unix_ns: _Optional[int] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("subject_id", "species", "sex", "age", "description", "strain", "genotype")
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SPECIES_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STRAIN_FIELD_NUMBER: _ClassVar[int]
    GENOTYPE_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    species: str
    sex: str
    age: str
    description: str
    strain: str
    genotype: str
    def __init__(self, subject_id: _Optional[str] = ..., species: _Optional[str] = ..., sex: _Optional[str] = ..., age: _Optional[str] = ..., description: _Optional[str] = ..., strain: _Optional[str] = ..., genotype: _Optional[str] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("start_bin", "stop_bin")
    START_BIN_FIELD_NUMBER: _ClassVar[int]
    STOP_BIN_FIELD_NUMBER: _ClassVar[int]
    start_bin: int
    stop_bin: int
    def __init__(self, start_bin: _Optional[int] = ..., stop_bin: _Optional[int] = ...) -> None: ...

class Watermarks(_message.Message):
    __slots__ = ("received_through", "applied_through", "durable_through")
    RECEIVED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    APPLIED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    DURABLE_THROUGH_FIELD_NUMBER: _ClassVar[int]
    received_through: int
    applied_through: int
    durable_through: int
    def __init__(self, received_through: _Optional[int] = ..., applied_through: _Optional[int] = ..., durable_through: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "spec", "state", "watermarks", "gap_bins", "gap_count", "active_entries", "repeated_bins", "refreshes_published", "refreshes_skipped", "producer_connected", "producer_epoch", "memory_bytes", "last_bin_age_ms", "snapshot_failures", "last_snapshot_error", "best", "refits", "refit_running", "equilibrium_published", "equilibrium_skipped", "equilibrium_running", "late_spikes", "merged_spikes", "masked_spikes")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WATERMARKS_FIELD_NUMBER: _ClassVar[int]
    GAP_BINS_FIELD_NUMBER: _ClassVar[int]
    GAP_COUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REPEATED_BINS_FIELD_NUMBER: _ClassVar[int]
    REFRESHES_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    REFRESHES_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_BIN_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FAILURES_FIELD_NUMBER: _ClassVar[int]
    LAST_SNAPSHOT_ERROR_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    REFITS_FIELD_NUMBER: _ClassVar[int]
    REFIT_RUNNING_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    EQUILIBRIUM_RUNNING_FIELD_NUMBER: _ClassVar[int]
    LATE_SPIKES_FIELD_NUMBER: _ClassVar[int]
    MERGED_SPIKES_FIELD_NUMBER: _ClassVar[int]
    MASKED_SPIKES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    spec: SessionSpec
    state: SessionState
    watermarks: Watermarks
    gap_bins: int
    gap_count: int
    active_entries: int
    repeated_bins: int
    refreshes_published: int
    refreshes_skipped: int
    producer_connected: bool
    producer_epoch: int
    memory_bytes: int
    last_bin_age_ms: int
    snapshot_failures: int
    last_snapshot_error: str
    best: BestEstimate
    refits: int
    refit_running: bool
    equilibrium_published: int
    equilibrium_skipped: int
    equilibrium_running: bool
    late_spikes: int
    merged_spikes: int
    masked_spikes: int
    def __init__(self, session_id: _Optional[str] = ..., spec: _Optional[_Union[SessionSpec, _Mapping]] = ..., state: _Optional[_Union[SessionState, str]] = ..., watermarks: _Optional[_Union[Watermarks, _Mapping]] = ..., gap_bins: _Optional[int] = ..., gap_count: _Optional[int] = ..., active_entries: _Optional[int] = ..., repeated_bins: _Optional[int] = ..., refreshes_published: _Optional[int] = ..., refreshes_skipped: _Optional[int] = ..., producer_connected: bool = ..., producer_epoch: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., last_bin_age_ms: _Optional[int] = ..., snapshot_failures: _Optional[int] = ..., last_snapshot_error: _Optional[str] = ..., best: _Optional[_Union[BestEstimate, _Mapping]] = ..., refits: _Optional[int] = ..., refit_running: bool = ..., equilibrium_published: _Optional[int] = ..., equilibrium_skipped: _Optional[int] = ..., equilibrium_running: bool = ..., late_spikes: _Optional[int] = ..., merged_spikes: _Optional[int] = ..., masked_spikes: _Optional[int] = ...) -> None: ...

class BestEstimate(_message.Message):
    __slots__ = ("estimator", "window", "ridge", "bits_per_spike")
    ESTIMATOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_SPIKE_FIELD_NUMBER: _ClassVar[int]
    estimator: Estimator
    window: str
    ridge: float
    bits_per_spike: float
    def __init__(self, estimator: _Optional[_Union[Estimator, str]] = ..., window: _Optional[str] = ..., ridge: _Optional[float] = ..., bits_per_spike: _Optional[float] = ...) -> None: ...
