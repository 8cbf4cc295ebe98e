"""Couplings, fields and what they are worth, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import GlauberError, InputError
from .names import RowStatus

if TYPE_CHECKING:
    import pandas

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def pandas_module() -> Any:
    """pandas, or an error that says how to get it."""
    try:
        import pandas
    except ImportError as error:
        raise GlauberError("pandas is not installed: pip install 'glauber[pandas]', or 'pandas'") from error
    return pandas


@dataclass(frozen=True)
class ScoreSum:
    """How much better than independent rates estimates predicted bins that came after them.

    Attributes
    ----------
    transitions, spikes : float
        Transitions scored, and spikes in their later bins; not whole once the past is discounted.
    gain_bits : float
        Log-likelihood gained over the rates, bits; negative when the estimates predict worse.
    bits_per_spike : float
        ``gain_bits / spikes``; NaN before the first spike was scored.
    neuron_spikes, neuron_gain_bits : ndarray, shape (n_neurons,)
        The same of each neuron.
    """

    transitions: float
    spikes: float
    gain_bits: float
    bits_per_spike: float
    neuron_spikes: Floats = field(repr=False)
    neuron_gain_bits: Floats = field(repr=False)


@dataclass(frozen=True)
class Score:
    """Score of an estimator's estimates since the session began, and with the past discounted."""

    total: ScoreSum
    recent: ScoreSum

    @property
    def bits_per_spike(self) -> float:
        """Recent score in bits per spike; NaN before the first spike was scored, below 0 when rates predict better."""
        return self.recent.bits_per_spike


@dataclass(frozen=True)
class TrialFields:
    """Fields of each bin of a trial, of estimators that read trials.

    Attributes
    ----------
    fields : ndarray, shape (n_neurons, n_bins)
        ``h_i(t)``, which acts from bin t of a trial on bin t + 1; NaN where it could not be estimated.
    repeats : ndarray of int, shape (n_bins,)
        Repeats that have the transition from each bin.
    """

    fields: Floats
    repeats: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Couplings:
    """An estimate of who drives whom: ``P(s_i(t+1)) ~ exp[s_i(t+1) (h_i + sum_j J_ij s_j(t))]``, s = +-1.

    Index order is ``[receiver, sender]`` throughout. Couplings and fields are dimensionless. ``couplings`` holds what the daemon
    sent, also where it is worth nothing: look at ``valid``, or use ``masked``.

    Attributes
    ----------
    session_id, estimator, window : str
        Whose, by what, over which window (``"all"`` or a duration).
    first_bin, end_bin : int
        Bins that the estimate was made on, end excluded.
    bins_observed, transitions : int
        Observed bins of the window, and lag-1 transitions that the estimate was made on.
    ridge : float
        The ridge it was made with.
    neuron_ids : ndarray of int64, shape (n_neurons,)
        Identifiers in the source; an index in any array here is a place in this one.
    labels : tuple of str, length n_neurons
        Names of the neurons; may be empty strings.
    receivers : ndarray of int, shape (n_rows,)
        Indices of the receivers, one per row; all neurons unless some were asked for.
    couplings : ndarray, shape (n_rows, n_neurons)
        ``J[receiver, sender]``.
    standard_errors : ndarray, shape (n_rows, n_neurons), or None
        Standard errors; NaN where there is none. None when not asked for.
    q_values : ndarray, shape (n_rows, n_neurons), or None
        False discovery rate at which each coupling is significant; NaN where there is none or the row is not OK.
    fields, field_standard_errors, field_q_values : ndarray, shape (n_neurons,)
        ``h``, with its standard errors and q; NaN where there is none.
    status : tuple of RowStatus, length n_neurons
        What each receiver's row is worth, by neuron index.
    score : Score or None
        How well such estimates have predicted bins that came after them; None in old files.
    ridge_path : dict of float to float
        Ridges there were to choose from, with their recent scores in bits per spike (NaN: none).
    publication : int or None
        Counts the publications of the session, from 1; None in files.
    skipped : int
        Publications that a watcher missed since the one before.
    reconnected : bool
        Whether a watcher lost the daemon since the one before; then more may have been missed than ``skipped`` says.
    age_s : float or None
        Age of the estimate in seconds when it was answered; None in files.
    bins_since : int or None
        Bins that were applied since; None in files.
    window_first_bin, window_end_bin : int
        Bins that the window spans.
    iterations, gradient_norm : ndarray, shape (n_neurons,), or None
        Of iterative estimators: passes over the transitions, and the norm of the gradient at the end.
    trial_fields : TrialFields or None
        Of estimators that read trials, when asked for.
    """

    session_id: str
    estimator: str
    window: str
    first_bin: int
    end_bin: int
    bins_observed: int
    transitions: int
    ridge: float
    neuron_ids: NDArray[np.int64] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    receivers: NDArray[np.int64] = field(repr=False)
    couplings: Floats = field(repr=False)
    standard_errors: Floats | None = field(repr=False)
    q_values: Floats | None = field(repr=False)
    fields: Floats = field(repr=False)
    field_standard_errors: Floats = field(repr=False)
    field_q_values: Floats = field(repr=False)
    status: tuple[RowStatus, ...] = field(repr=False)
    score: Score | None = field(repr=False)
    ridge_path: dict[float, float] = field(repr=False)
    publication: int | None = None
    skipped: int = 0
    reconnected: bool = False
    age_s: float | None = None
    bins_since: int | None = None
    window_first_bin: int = 0
    window_end_bin: int = 0
    iterations: NDArray[np.int64] | None = field(default=None, repr=False)
    gradient_norm: Floats | None = field(default=None, repr=False)
    trial_fields: TrialFields | None = field(default=None, repr=False)

    @property
    def n_neurons(self) -> int:
        """Number of neurons of the session."""
        return len(self.neuron_ids)

    @cached_property
    def valid(self) -> Booleans:
        """Which entries are estimates, shape (n_rows, n_neurons): the row is OK, and the sender takes part in it."""
        row_ok = np.array([self.status[receiver] is RowStatus.OK for receiver in self.receivers], dtype=bool)
        valid = row_ok[:, None] & participants(self.status)[None, :]
        return valid if self.standard_errors is None else valid & ~np.isnan(self.standard_errors)

    @cached_property
    def masked(self) -> Floats:
        """Couplings with NaN where they are not valid, shape (n_rows, n_neurons)."""
        return np.where(self.valid, self.couplings, np.nan)

    @cached_property
    def z(self) -> Floats:
        """Couplings over their standard errors, shape (n_rows, n_neurons); NaN where there is none or the row is not OK."""
        if self.standard_errors is None:
            raise GlauberError("z needs standard errors: ask for couplings with standard_errors=True")
        return np.where(self.valid, self.couplings / self.standard_errors, np.nan)

    @property
    def bits_per_spike(self) -> float:
        """Recent score in bits per spike; NaN where there is none."""
        return float("nan") if self.score is None else self.score.bits_per_spike

    def to_pandas(self) -> pandas.DataFrame:
        """One row per pair: indices, identifiers, labels, coupling, standard error, z, q, the row's status and whether it is valid."""
        return pairs_frame(
            receivers=self.receivers,
            neuron_ids=self.neuron_ids,
            labels=self.labels,
            status=[self.status[receiver].value for receiver in self.receivers],
            columns={
                "coupling": self.couplings,
                "standard_error": self.standard_errors,
                "z": None if self.standard_errors is None else self.z,
                "q": self.q_values,
                "valid": self.valid,
            },
        )

    def fields_to_pandas(self) -> pandas.DataFrame:
        """One row per neuron: index, identifier, label, field, standard error, q, status."""
        return fields_frame(self)


def participants(status: tuple[RowStatus, ...]) -> Booleans:
    """Which neurons take part as senders, shape (n_neurons,)."""
    return np.array([one.takes_part for one in status], dtype=bool)


def pairs_frame(
    *,
    receivers: NDArray[np.int64],
    neuron_ids: NDArray[np.int64],
    labels: tuple[str, ...],
    status: list[str],
    columns: dict[str, Any],
) -> pandas.DataFrame:
    """Matrices of shape (rows, neurons) as a table of pairs."""
    n = len(neuron_ids)
    names = np.array(labels, dtype=object)
    sender = np.tile(np.arange(n), len(receivers))
    receiver = np.repeat(receivers, n)
    table = {
        "receiver": receiver,
        "sender": sender,
        "receiver_id": neuron_ids[receiver],
        "sender_id": neuron_ids[sender],
        "receiver_label": names[receiver],
        "sender_label": names[sender],
        "status": np.repeat(np.array(status, dtype=object), n),
    }
    table |= {name: matrix.ravel() for name, matrix in columns.items() if matrix is not None}
    frame: pandas.DataFrame = pandas_module().DataFrame(table)
    return frame


def fields_frame(estimate: Any) -> pandas.DataFrame:
    """Fields of an estimate or equilibrium model as a table of neurons."""
    table = {
        "neuron": np.arange(len(estimate.neuron_ids)),
        "neuron_id": estimate.neuron_ids,
        "label": np.array(estimate.labels, dtype=object),
        "status": [one.value for one in estimate.status],
        "field": estimate.fields,
    }
    for name, column in (("field_standard_errors", "standard_error"), ("field_q_values", "q")):
        values = getattr(estimate, name, None)
        if values is not None:
            table[column] = values
    frame: pandas.DataFrame = pandas_module().DataFrame(table)
    return frame


@dataclass(frozen=True)
class Pair:
    """One coupling.

    Attributes
    ----------
    receiver, sender : int
        Indices of the neurons.
    receiver_id, sender_id : int
        Their identifiers.
    coupling, standard_error, z, p, q : float
        The coupling ``J[receiver, sender]``; standard error, z, two-sided p and q are NaN where there is none.
    status : RowStatus
        Status of the receiver's row.
    """

    receiver: int
    sender: int
    receiver_id: int
    sender_id: int
    coupling: float
    standard_error: float
    z: float
    p: float
    q: float
    status: RowStatus


@dataclass(frozen=True)
class StrongestPairs:
    """The strongest couplings by ``|J| / SE``, strongest first; rows that are not OK last, self-couplings left out.

    Attributes
    ----------
    pairs : tuple of Pair
    found : int or None
        With ``q_max``: how many pairs there are with a q at most that, sent or not; else None.
    estimator, window, ridge, transitions, age_s
        As of `Couplings`.
    """

    pairs: tuple[Pair, ...]
    found: int | None
    estimator: str
    window: str
    ridge: float
    transitions: int
    age_s: float

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: int) -> Pair:
        return self.pairs[place]

    def to_pandas(self) -> pandas.DataFrame:
        """One row per pair."""
        columns = list(Pair.__dataclass_fields__)
        rows = [[getattr(pair, name) for name in columns] for pair in self.pairs]
        frame: pandas.DataFrame = pandas_module().DataFrame(rows, columns=columns)
        frame["status"] = [pair.status.value for pair in self.pairs]
        return frame


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Exact counts of a window and the correlations they give, of spins s = +-1.

    Attributes
    ----------
    session_id, window : str
    first_bin, end_bin, bins_observed : int
        Bins that the window spans, end excluded, and how many of them were observed.
    lag_bins, transitions : int
        Lag of ``delayed``, and pairs of bins at that lag with no gap or trial edge between them.
    neuron_ids : ndarray of int64, shape (n_neurons,)
    labels : tuple of str
    spikes : ndarray of int64, shape (n_neurons,)
        Observed bins in which each neuron fired.
    magnetization : ndarray, shape (n_neurons,)
        Mean spin over the observed bins.
    magnetization_sender, magnetization_receiver : ndarray, shape (n_neurons,)
        Mean spin over the earlier and later bins of the transitions.
    equal_time : ndarray, shape (n_neurons, n_neurons)
        ``C``, over the earlier bins of the lag-1 transitions; symmetric.
    delayed : ndarray, shape (n_neurons, n_neurons)
        ``D[receiver, sender]`` at the lag: receiver later, sender earlier.
    """

    session_id: str
    window: str
    first_bin: int
    end_bin: int
    bins_observed: int
    lag_bins: int
    transitions: int
    neuron_ids: NDArray[np.int64] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    spikes: NDArray[np.int64] = field(repr=False)
    magnetization: Floats = field(repr=False)
    magnetization_sender: Floats = field(repr=False)
    magnetization_receiver: Floats = field(repr=False)
    equal_time: Floats = field(repr=False)
    delayed: Floats = field(repr=False)

    @cached_property
    def delayed_counts(self) -> NDArray[np.int64]:
        """Transitions in which the sender fired in the earlier and the receiver in the later bin, shape (n_neurons, n_neurons).

        Whole numbers, taken back out of ``delayed``; exact below 10^14 transitions.
        """
        return self._counts(self.delayed, self.magnetization_receiver, self.magnetization_sender)

    @cached_property
    def delayed_standard_errors(self) -> Floats:
        """Standard error of each delayed correlation if receiver and sender were independent, shape (n_neurons, n_neurons).

        ``sqrt((1 - m_i^2) (1 - m_j^2) / transitions)``: what chance alone makes of no correlation, transitions taken as independent. NaN
        where one of the neurons is silent or saturated, or there are no transitions.
        """
        if self.transitions == 0:
            return np.full(self.delayed.shape, np.nan)
        variance = np.outer(1 - self.magnetization_receiver**2, 1 - self.magnetization_sender**2)
        return np.where(variance > 0, np.sqrt(np.maximum(variance, 0) / self.transitions), np.nan)

    def _counts(self, correlations: Floats, rows: Floats, columns: Floats) -> NDArray[np.int64]:
        total = float(self.transitions)
        fired_rows, fired_columns = np.rint((1 + rows) / 2 * total), np.rint((1 + columns) / 2 * total)
        if total == 0:
            return np.zeros(correlations.shape, dtype=np.int64)
        joint = correlations * total / 4 + np.outer(fired_rows, fired_columns) / total
        return np.rint(joint).astype(np.int64)

    def to_pandas(self) -> pandas.DataFrame:
        """One row per pair: ``equal_time``, ``delayed``, what its standard error would be by chance, and its count."""
        if self.delayed.shape[0] != len(self.neuron_ids):
            raise InputError("there are no rows to make a table of")
        frame = pairs_frame(
            receivers=np.arange(len(self.neuron_ids)),
            neuron_ids=self.neuron_ids,
            labels=self.labels,
            status=[""] * len(self.neuron_ids),
            columns={
                "equal_time": self.equal_time,
                "delayed": self.delayed,
                "delayed_standard_error": self.delayed_standard_errors,
                "delayed_count": self.delayed_counts,
            },
        )
        return frame.drop(columns="status")
