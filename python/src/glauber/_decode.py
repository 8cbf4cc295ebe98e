"""Messages of the interface as the dataclasses of this package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._proto import equilibrium_pb2, inference_service_pb2, matrices_pb2
from .equilibrium import Agreement, EquilibriumModel, ModelCheck
from .errors import DaemonError
from .estimates import Booleans, Correlations, Couplings, Floats, Pair, Score, ScoreSum, StrongestPairs, TrialFields
from .names import RowStatus, estimator_name, method_name, row_status


def floats(values: Sequence[float]) -> Floats:
    """Repeated numbers as an array."""
    # By far the fastest where protobuf hands its memory over, and as fast as any other way where it does not.
    return np.array(values, dtype=np.float64)


def integers(values: Sequence[int]) -> NDArray[np.int64]:
    """Repeated whole numbers as an array."""
    return np.array(values, dtype=np.int64)


def nan_for_none(errors: Floats) -> Floats:
    """Standard errors with NaN in place of the 0 that says there is none."""
    return np.where(errors > 0, errors, np.nan)


def q_or_nan(q: Floats, errors: Floats, status: Sequence[RowStatus]) -> Floats:
    """q with NaN in place of the 1 that says there is none: of rows that are not OK, and without a standard error.

    ``q`` and ``errors`` have the shape (n_rows,) or (n_rows, n_neurons), ``status`` the length n_rows.
    """
    ok: Booleans = np.array([one is RowStatus.OK for one in status], dtype=bool)
    return np.where(ok.reshape([-1] + [1] * (q.ndim - 1)) & ~np.isnan(errors), q, np.nan)


def score(message: matrices_pb2.Score) -> Score:
    """A score."""
    return Score(_score_sum(message.total), _score_sum(message.recent))


def _score_sum(message: matrices_pb2.ScoreSum) -> ScoreSum:
    return ScoreSum(
        transitions=message.transitions,
        spikes=message.spikes,
        gain_bits=message.gain_bits,
        bits_per_spike=message.bits_per_spike if message.HasField("bits_per_spike") else float("nan"),
        neuron_spikes=floats(message.neuron_spikes),
        neuron_gain_bits=floats(message.neuron_gain_bits),
    )


class Rows:
    """Rows of matrices of (n_rows, n_neurons) as they come in chunks."""

    def __init__(self, n_neurons: int) -> None:
        self._n_neurons = n_neurons
        self._parts: dict[str, list[Floats]] = {}
        self.receivers: list[int] = []

    def add(self, message: Any, receivers: Iterable[int], names: Iterable[str]) -> None:
        """Take the rows of these receivers out of the fields of a message."""
        self.receivers.extend(receivers)
        for name in names:
            self._parts.setdefault(name, []).append(floats(getattr(message, name)))

    def matrix(self, name: str) -> Floats:
        """What came of a field, shape (n_rows, n_neurons)."""
        parts = self._parts.get(name, [])
        values = np.concatenate(parts) if parts else np.empty(0)
        if len(values) != len(self.receivers) * self._n_neurons:
            raise DaemonError(
                f"the daemon sent {len(values)} values of {name} for {len(self.receivers)} rows of {self._n_neurons} neurons"
            )
        return values.reshape(-1, self._n_neurons)


def _trial_fields(parts: list[inference_service_pb2.TrialFieldRows], n_neurons: int) -> TrialFields | None:
    if not parts:
        return None
    n_bins = parts[0].bin_count
    fields = np.full((n_neurons, n_bins), np.nan)
    for part in parts:
        values = floats(part.fields).reshape(-1, n_bins)
        known = np.array(part.estimated, dtype=bool).reshape(-1, n_bins)
        fields[list(part.receivers)] = np.where(known, values, np.nan)
    return TrialFields(fields, integers(parts[0].repeats))


class CouplingsParts:
    """Collects the messages of one answer or publication."""

    ROWS = ("couplings", "standard_errors", "q_values")

    def __init__(self, header: inference_service_pb2.EstimateHeader, n_rows: int, names: Sequence[str], trial_fields: bool) -> None:
        self.header = header
        self._names = names
        self._n_rows = n_rows
        self._wants_trial_fields = trial_fields
        self._rows = Rows(len(header.neuron_ids))
        self._trial_parts: list[inference_service_pb2.TrialFieldRows] = []
        self._trial_rows = 0

    def add(self, part: Any) -> None:
        """Take a message that is not a header."""
        if part.WhichOneof("part") == "rows":
            self._rows.add(part.rows, part.rows.receivers, self._names)
        elif part.WhichOneof("part") == "trial_fields":
            self._trial_parts.append(part.trial_fields)
            self._trial_rows += len(part.trial_fields.receivers)

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for has come."""
        rows = len(self._rows.receivers) >= self._n_rows
        return rows and (not self._wants_trial_fields or self._trial_rows >= self._n_rows)

    def couplings(self, labels: tuple[str, ...], *, reconnected: bool = False) -> Couplings:
        """The estimate."""
        header, rows = self.header, self._rows
        status = tuple(row_status(number) for number in header.status)
        of_rows = [status[receiver] for receiver in rows.receivers]
        errors = nan_for_none(rows.matrix("standard_errors")) if "standard_errors" in self._names else None
        q = None
        if "q_values" in self._names:
            q = q_or_nan(rows.matrix("q_values"), np.zeros(()) if errors is None else errors, of_rows)
        field_errors = nan_for_none(floats(header.field_standard_errors))
        path = {
            point.ridge: point.bits_per_spike if point.HasField("bits_per_spike") else float("nan")
            for point in header.ridge_path
        }
        return Couplings(
            session_id=header.session_id,
            estimator=estimator_name(header.estimator),
            window=header.window,
            first_bin=header.first_bin,
            end_bin=header.end_bin,
            bins_observed=header.bins_observed,
            transitions=header.transitions,
            ridge=header.ridge,
            neuron_ids=integers(header.neuron_ids),
            labels=labels,
            receivers=np.array(rows.receivers, dtype=np.int64),
            couplings=rows.matrix("couplings"),
            standard_errors=errors,
            q_values=q,
            fields=floats(header.fields),
            field_standard_errors=field_errors,
            field_q_values=q_or_nan(floats(header.field_q), field_errors, status),
            status=status,
            score=score(header.score) if header.HasField("score") else None,
            ridge_path=path,
            publication=header.publication,
            skipped=header.skipped,
            reconnected=reconnected,
            age_s=header.age_ms / 1000,
            bins_since=header.bins_since,
            window_first_bin=header.window_first_bin,
            window_end_bin=header.window_end_bin,
            iterations=integers(header.iterations) if header.iterations else None,
            gradient_norm=floats(header.gradient_norm) if header.gradient_norm else None,
            trial_fields=_trial_fields(self._trial_parts, len(status)),
        )


def strongest_pairs(parts: Iterable[Any], *, has_q_max: bool) -> StrongestPairs:
    """The pairs of an answer."""
    header: inference_service_pb2.EstimateHeader | None = None
    pairs: list[Pair] = []
    found = 0
    for part in parts:
        if part.WhichOneof("part") == "header":
            header = part.header
        elif part.WhichOneof("part") == "pairs":
            pairs.extend(_pair(pair) for pair in part.pairs.pairs)
            found = part.pairs.found
    if header is None:
        raise DaemonError("the daemon sent an answer without a header")
    return StrongestPairs(
        pairs=tuple(pairs),
        found=found if has_q_max else None,
        estimator=estimator_name(header.estimator),
        window=header.window,
        ridge=header.ridge,
        transitions=header.transitions,
        age_s=header.age_ms / 1000,
    )


def _pair(pair: matrices_pb2.CouplingPair) -> Pair:
    none = float("nan")
    known = pair.standard_error > 0
    return Pair(
        receiver=pair.receiver,
        sender=pair.sender,
        receiver_id=pair.receiver_id,
        sender_id=pair.sender_id,
        coupling=pair.coupling,
        standard_error=pair.standard_error if known else none,
        z=pair.z if known else none,
        p=pair.p if known else none,
        q=pair.q if known and pair.HasField("q") else none,
        status=row_status(pair.status),
    )


def correlations(parts: Iterable[Any], labels: tuple[str, ...]) -> Correlations:
    """The correlations of an answer."""
    header: inference_service_pb2.CorrelationsHeader | None = None
    rows: Rows | None = None
    for part in parts:
        if part.WhichOneof("part") == "header":
            header = part.header
            rows = Rows(len(part.header.neuron_ids))
        elif rows is not None:
            message = part.rows
            rows.add(message, range(message.first_row, message.first_row + message.row_count), ("equal_time", "delayed"))
    if header is None or rows is None:
        raise DaemonError("the daemon sent an answer without a header")
    return Correlations(
        session_id=header.session_id,
        window=header.window,
        first_bin=header.first_bin,
        end_bin=header.end_bin,
        bins_observed=header.bins_observed,
        lag_bins=header.lag_bins,
        transitions=header.transitions,
        neuron_ids=integers(header.neuron_ids),
        labels=labels,
        spikes=integers(header.spikes),
        magnetization=floats(header.magnetization),
        magnetization_sender=floats(header.magnetization_sender),
        magnetization_receiver=floats(header.magnetization_receiver),
        equal_time=rows.matrix("equal_time"),
        delayed=rows.matrix("delayed"),
    )


def _agreement(message: equilibrium_pb2.Agreement) -> Agreement:
    return Agreement(
        values=message.values,
        correlation=message.correlation if message.HasField("correlation") else float("nan"),
        rms_difference=message.rms_difference,
        rms_observed=message.rms_observed,
        rms_error=message.rms_error,
    )


def _check(message: equilibrium_pb2.ModelCheck) -> ModelCheck:
    counts = message.active_counts
    return ModelCheck(
        drawn=message.drawn,
        bins=message.bins,
        means=_agreement(message.means),
        pair_correlations=_agreement(message.pair_correlations),
        triplet_correlations=_agreement(message.triplet_correlations),
        active=np.array([count.active for count in counts], dtype=np.int64),
        observed=np.array([count.observed for count in counts], dtype=np.float64),
        predicted=np.array([count.predicted for count in counts], dtype=np.float64),
        predicted_error=np.array([count.predicted_error for count in counts], dtype=np.float64),
    )


def equilibrium_model(parts: Iterable[Any], labels: tuple[str, ...]) -> EquilibriumModel:
    """The equilibrium model of an answer."""
    header: equilibrium_pb2.EquilibriumHeader | None = None
    rows: Rows | None = None
    for part in parts:
        if part.WhichOneof("part") == "header":
            header = part.header
            rows = Rows(len(part.header.neuron_ids))
        elif rows is not None:
            names = ("couplings", "standard_errors") if part.rows.standard_errors else ("couplings",)
            rows.add(part.rows, part.rows.receivers, names)
    if header is None or rows is None:
        raise DaemonError("the daemon sent an answer without a header")
    n = len(header.neuron_ids)
    refused = bool(header.refusal)
    nothing = np.full((n, n), np.nan)
    has_errors = not refused and header.error_blocks > 0
    kind = header.WhichOneof("diagnostics")
    converged = None
    if kind == "boltzmann":
        converged = header.boltzmann.converged
    elif kind == "erasure" and header.erasure.path:
        converged = header.erasure.path[header.erasure.chosen].converged
    return EquilibriumModel(
        session_id=header.identity.session_id,
        method=method_name(header.identity.method),
        window=header.identity.window,
        first_bin=header.identity.first_bin,
        end_bin=header.identity.end_bin,
        bins_observed=header.bins_observed,
        distinct_configurations=header.distinct_configurations,
        refusal=header.refusal,
        neuron_ids=integers(header.neuron_ids),
        labels=labels,
        couplings=nothing if refused else rows.matrix("couplings"),
        standard_errors=nan_for_none(rows.matrix("standard_errors")) if has_errors else None,
        fields=np.full(n, np.nan) if refused else floats(header.fields),
        field_standard_errors=nan_for_none(floats(header.field_standard_errors)) if has_errors else None,
        error_blocks=0 if refused else header.error_blocks,
        status=(RowStatus.UNKNOWN,) * n if refused else tuple(row_status(number) for number in header.status),
        iterations=header.iterations,
        diagnostics="" if refused else (kind or "closed_form").replace("_", "-"),
        converged=converged,
        score=score(header.score) if header.HasField("score") else None,
        check=_check(header.check) if header.HasField("check") else None,
        age_s=header.age_ms / 1000,
        bins_since=header.bins_since,
        publication=header.identity.publication,
        skipped=header.skipped,
    )
