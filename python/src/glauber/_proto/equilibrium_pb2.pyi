from . import matrices_pb2 as _matrices_pb2
from . import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetEquilibriumModelRequest(_message.Message):
    __slots__ = ("session_id", "method", "window", "neurons", "top_pairs", "header_only", "standard_errors", "checked_pairs")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    TOP_PAIRS_FIELD_NUMBER: _ClassVar[int]
    HEADER_ONLY_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_PAIRS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    method: _types_pb2.EquilibriumMethod
    window: str
    neurons: _containers.RepeatedScalarFieldContainer[int]
    top_pairs: int
    header_only: bool
    standard_errors: bool
    checked_pairs: bool
    def __init__(self, session_id: _Optional[str] = ..., method: _Optional[_Union[_types_pb2.EquilibriumMethod, str]] = ..., window: _Optional[str] = ..., neurons: _Optional[_Iterable[int]] = ..., top_pairs: _Optional[int] = ..., header_only: bool = ..., standard_errors: bool = ..., checked_pairs: bool = ...) -> None: ...

class GetEquilibriumModelResponse(_message.Message):
    __slots__ = ("header", "rows", "pairs")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    header: EquilibriumHeader
    rows: _matrices_pb2.CouplingRows
    pairs: _matrices_pb2.CouplingPairs
    def __init__(self, header: _Optional[_Union[EquilibriumHeader, _Mapping]] = ..., rows: _Optional[_Union[_matrices_pb2.CouplingRows, _Mapping]] = ..., pairs: _Optional[_Union[_matrices_pb2.CouplingPairs, _Mapping]] = ...) -> None: ...

class EquilibriumHeader(_message.Message):
    __slots__ = ("identity", "refusal", "bins_observed", "distinct_configurations", "status", "fields", "field_standard_errors", "error_blocks", "neuron_ids", "iterations", "erasure", "pseudo_likelihood", "maximum_likelihood", "boltzmann", "many_states", "score", "check", "age_ms", "bins_since", "skipped")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    BINS_OBSERVED_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    FIELD_STANDARD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    ERROR_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    NEURON_IDS_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    PSEUDO_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    BOLTZMANN_FIELD_NUMBER: _ClassVar[int]
    MANY_STATES_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    BINS_SINCE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    identity: EquilibriumIdentity
    refusal: str
    bins_observed: int
    distinct_configurations: int
    status: _containers.RepeatedScalarFieldContainer[_types_pb2.RowStatus]
    fields: _containers.RepeatedScalarFieldContainer[float]
    field_standard_errors: _containers.RepeatedScalarFieldContainer[float]
    error_blocks: int
    neuron_ids: _containers.RepeatedScalarFieldContainer[int]
    iterations: int
    erasure: ErasureDiagnostics
    pseudo_likelihood: PseudoLikelihoodDiagnostics
    maximum_likelihood: MaximumLikelihoodDiagnostics
    boltzmann: BoltzmannDiagnostics
    many_states: ManyStatesDiagnostics
    score: _matrices_pb2.Score
    check: ModelCheck
    age_ms: int
    bins_since: int
    skipped: int
    def __init__(self, identity: _Optional[_Union[EquilibriumIdentity, _Mapping]] = ..., refusal: _Optional[str] = ..., bins_observed: _Optional[int] = ..., distinct_configurations: _Optional[int] = ..., status: _Optional[_Iterable[_Union[_types_pb2.RowStatus, str]]] = ..., fields: _Optional[_Iterable[float]] = ..., field_standard_errors: _Optional[_Iterable[float]] = ..., error_blocks: _Optional[int] = ..., neuron_ids: _Optional[_Iterable[int]] = ..., iterations: _Optional[int] = ..., erasure: _Optional[_Union[ErasureDiagnostics, _Mapping]] = ..., pseudo_likelihood: _Optional[_Union[PseudoLikelihoodDiagnostics, _Mapping]] = ..., maximum_likelihood: _Optional[_Union[MaximumLikelihoodDiagnostics, _Mapping]] = ..., boltzmann: _Optional[_Union[BoltzmannDiagnostics, _Mapping]] = ..., many_states: _Optional[_Union[ManyStatesDiagnostics, _Mapping]] = ..., score: _Optional[_Union[_matrices_pb2.Score, _Mapping]] = ..., check: _Optional[_Union[ModelCheck, _Mapping]] = ..., age_ms: _Optional[int] = ..., bins_since: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class EquilibriumIdentity(_message.Message):
    __slots__ = ("session_id", "method", "window", "first_bin", "end_bin", "publication")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FIRST_BIN_FIELD_NUMBER: _ClassVar[int]
    END_BIN_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    method: _types_pb2.EquilibriumMethod
    window: str
    first_bin: int
    end_bin: int
    publication: int
    def __init__(self, session_id: _Optional[str] = ..., method: _Optional[_Union[_types_pb2.EquilibriumMethod, str]] = ..., window: _Optional[str] = ..., first_bin: _Optional[int] = ..., end_bin: _Optional[int] = ..., publication: _Optional[int] = ...) -> None: ...

class ErasureDiagnostics(_message.Message):
    __slots__ = ("chosen", "path")
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    chosen: int
    path: _containers.RepeatedCompositeFieldContainer[ErasureStep]
    def __init__(self, chosen: _Optional[int] = ..., path: _Optional[_Iterable[_Union[ErasureStep, _Mapping]]] = ...) -> None: ...

class ErasureStep(_message.Message):
    __slots__ = ("epsilon", "mean_energy", "effective_samples", "residual", "iterations", "converged")
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    epsilon: float
    mean_energy: float
    effective_samples: float
    residual: float
    iterations: int
    converged: bool
    def __init__(self, epsilon: _Optional[float] = ..., mean_energy: _Optional[float] = ..., effective_samples: _Optional[float] = ..., residual: _Optional[float] = ..., iterations: _Optional[int] = ..., converged: bool = ...) -> None: ...

class PseudoLikelihoodDiagnostics(_message.Message):
    __slots__ = ("ridge", "path", "gradient_norm")
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    ridge: float
    path: _containers.RepeatedCompositeFieldContainer[CrossValidatedRidge]
    gradient_norm: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, ridge: _Optional[float] = ..., path: _Optional[_Iterable[_Union[CrossValidatedRidge, _Mapping]]] = ..., gradient_norm: _Optional[_Iterable[float]] = ...) -> None: ...

class CrossValidatedRidge(_message.Message):
    __slots__ = ("ridge", "bits_per_bin")
    RIDGE_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_BIN_FIELD_NUMBER: _ClassVar[int]
    ridge: float
    bits_per_bin: float
    def __init__(self, ridge: _Optional[float] = ..., bits_per_bin: _Optional[float] = ...) -> None: ...

class MaximumLikelihoodDiagnostics(_message.Message):
    __slots__ = ("gradient_norm", "log_likelihood_bits")
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    LOG_LIKELIHOOD_BITS_FIELD_NUMBER: _ClassVar[int]
    gradient_norm: float
    log_likelihood_bits: float
    def __init__(self, gradient_norm: _Optional[float] = ..., log_likelihood_bits: _Optional[float] = ...) -> None: ...

class BoltzmannDiagnostics(_message.Message):
    __slots__ = ("chains", "sweeps", "moment_residual", "moment_residual_max", "monte_carlo_error", "parameter_error", "converged", "chain_disagreement")
    CHAINS_FIELD_NUMBER: _ClassVar[int]
    SWEEPS_FIELD_NUMBER: _ClassVar[int]
    MOMENT_RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    MOMENT_RESIDUAL_MAX_FIELD_NUMBER: _ClassVar[int]
    MONTE_CARLO_ERROR_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_ERROR_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    CHAIN_DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    chains: int
    sweeps: int
    moment_residual: float
    moment_residual_max: float
    monte_carlo_error: float
    parameter_error: float
    converged: bool
    chain_disagreement: float
    def __init__(self, chains: _Optional[int] = ..., sweeps: _Optional[int] = ..., moment_residual: _Optional[float] = ..., moment_residual_max: _Optional[float] = ..., monte_carlo_error: _Optional[float] = ..., parameter_error: _Optional[float] = ..., converged: bool = ..., chain_disagreement: _Optional[float] = ...) -> None: ...

class ManyStatesDiagnostics(_message.Message):
    __slots__ = ("bins", "residual")
    BINS_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    bins: _containers.RepeatedScalarFieldContainer[int]
    residual: float
    def __init__(self, bins: _Optional[_Iterable[int]] = ..., residual: _Optional[float] = ...) -> None: ...

class ModelCheck(_message.Message):
    __slots__ = ("drawn", "bins", "means", "pair_correlations", "triplet_correlations", "active_counts", "pairs")
    DRAWN_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    PAIR_CORRELATIONS_FIELD_NUMBER: _ClassVar[int]
    TRIPLET_CORRELATIONS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    drawn: int
    bins: int
    means: Agreement
    pair_correlations: Agreement
    triplet_correlations: Agreement
    active_counts: _containers.RepeatedCompositeFieldContainer[ActiveCount]
    pairs: CheckedPairs
    def __init__(self, drawn: _Optional[int] = ..., bins: _Optional[int] = ..., means: _Optional[_Union[Agreement, _Mapping]] = ..., pair_correlations: _Optional[_Union[Agreement, _Mapping]] = ..., triplet_correlations: _Optional[_Union[Agreement, _Mapping]] = ..., active_counts: _Optional[_Iterable[_Union[ActiveCount, _Mapping]]] = ..., pairs: _Optional[_Union[CheckedPairs, _Mapping]] = ...) -> None: ...

class CheckedPairs(_message.Message):
    __slots__ = ("first", "second", "observed", "observed_error", "predicted", "predicted_error")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_ERROR_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_ERROR_FIELD_NUMBER: _ClassVar[int]
    first: _containers.RepeatedScalarFieldContainer[int]
    second: _containers.RepeatedScalarFieldContainer[int]
    observed: _containers.RepeatedScalarFieldContainer[float]
    observed_error: _containers.RepeatedScalarFieldContainer[float]
    predicted: _containers.RepeatedScalarFieldContainer[float]
    predicted_error: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, first: _Optional[_Iterable[int]] = ..., second: _Optional[_Iterable[int]] = ..., observed: _Optional[_Iterable[float]] = ..., observed_error: _Optional[_Iterable[float]] = ..., predicted: _Optional[_Iterable[float]] = ..., predicted_error: _Optional[_Iterable[float]] = ...) -> None: ...

class Agreement(_message.Message):
    __slots__ = ("values", "correlation", "rms_difference", "rms_observed", "rms_error", "rms_predicted_error", "rms_observed_error")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_FIELD_NUMBER: _ClassVar[int]
    RMS_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RMS_OBSERVED_FIELD_NUMBER: _ClassVar[int]
    RMS_ERROR_FIELD_NUMBER: _ClassVar[int]
    RMS_PREDICTED_ERROR_FIELD_NUMBER: _ClassVar[int]
    RMS_OBSERVED_ERROR_FIELD_NUMBER: _ClassVar[int]
    values: int
    correlation: float
    rms_difference: float
    rms_observed: float
    rms_error: float
    rms_predicted_error: float
    rms_observed_error: float
    def __init__(self, values: _Optional[int] = ..., correlation: _Optional[float] = ..., rms_difference: _Optional[float] = ..., rms_observed: _Optional[float] = ..., rms_error: _Optional[float] = ..., rms_predicted_error: _Optional[float] = ..., rms_observed_error: _Optional[float] = ...) -> None: ...

class ActiveCount(_message.Message):
    __slots__ = ("active", "observed", "predicted", "predicted_error")
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_ERROR_FIELD_NUMBER: _ClassVar[int]
    active: int
    observed: float
    predicted: float
    predicted_error: float
    def __init__(self, active: _Optional[int] = ..., observed: _Optional[float] = ..., predicted: _Optional[float] = ..., predicted_error: _Optional[float] = ...) -> None: ...

class ReconstructRequest(_message.Message):
    __slots__ = ("session_id", "method", "window", "active", "silent", "seed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    method: _types_pb2.EquilibriumMethod
    window: str
    active: _containers.RepeatedScalarFieldContainer[int]
    silent: _containers.RepeatedScalarFieldContainer[int]
    seed: int
    def __init__(self, session_id: _Optional[str] = ..., method: _Optional[_Union[_types_pb2.EquilibriumMethod, str]] = ..., window: _Optional[str] = ..., active: _Optional[_Iterable[int]] = ..., silent: _Optional[_Iterable[int]] = ..., seed: _Optional[int] = ...) -> None: ...

class ReconstructResponse(_message.Message):
    __slots__ = ("identity", "neurons", "exact")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    identity: EquilibriumIdentity
    neurons: _containers.RepeatedCompositeFieldContainer[ReconstructedNeuron]
    exact: bool
    def __init__(self, identity: _Optional[_Union[EquilibriumIdentity, _Mapping]] = ..., neurons: _Optional[_Iterable[_Union[ReconstructedNeuron, _Mapping]]] = ..., exact: bool = ...) -> None: ...

class ReconstructedNeuron(_message.Message):
    __slots__ = ("neuron", "neuron_id", "active", "probability", "probability_error", "status")
    NEURON_FIELD_NUMBER: _ClassVar[int]
    NEURON_ID_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_ERROR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    neuron: int
    neuron_id: int
    active: bool
    probability: float
    probability_error: float
    status: _types_pb2.RowStatus
    def __init__(self, neuron: _Optional[int] = ..., neuron_id: _Optional[int] = ..., active: bool = ..., probability: _Optional[float] = ..., probability_error: _Optional[float] = ..., status: _Optional[_Union[_types_pb2.RowStatus, str]] = ...) -> None: ...
