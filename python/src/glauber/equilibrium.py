"""Equilibrium models: who fires with whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .estimates import Booleans, Floats, Score, fields_frame, pairs_frame, participants
from .names import RowStatus

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Agreement:
    """How observed statistics of one kind agree with those drawn from the model.

    Attributes
    ----------
    values : int
        Number of values compared.
    correlation : float
        Pearson correlation; NaN where either does not vary.
    rms_difference, rms_observed, rms_error : float
        Root mean square of the difference, of the observed values, and of both sampling errors together.
    """

    values: int
    correlation: float
    rms_difference: float
    rms_observed: float
    rms_error: float


@dataclass(frozen=True)
class ModelCheck:
    """What a model predicts next to what the bins show; triplets and active counts it was not fitted to.

    Attributes
    ----------
    drawn, bins : int
        Configurations drawn from the model, and bins they are compared with.
    means, pair_correlations, triplet_correlations : Agreement
    active : ndarray of int64, shape (k,)
        Numbers of active neurons of a bin.
    observed, predicted, predicted_error : ndarray, shape (k,)
        Share of the bins, and probability by the model with its Monte Carlo error.
    """

    drawn: int
    bins: int
    means: Agreement
    pair_correlations: Agreement
    triplet_correlations: Agreement
    active: NDArray[np.int64] = field(repr=False)
    observed: Floats = field(repr=False)
    predicted: Floats = field(repr=False)
    predicted_error: Floats = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class EquilibriumModel:
    """A model ``P(s) ~ exp(sum_i h_i s_i + sum_{i<j} J_ij s_i s_j)`` of the configurations of the bins of a window.

    Attributes
    ----------
    session_id, method, window : str
    first_bin, end_bin, bins_observed, distinct_configurations : int
        Bins it was fitted to, end excluded, how many of them were observed, and how many configurations they have.
    refusal : str
        Why the method gives no model of these bins; empty when it does. Then all numbers are NaN, and all statuses UNKNOWN.
    neuron_ids : ndarray of int64, shape (n_neurons,)
    labels : tuple of str
    couplings : ndarray, shape (n_neurons, n_neurons)
        Symmetric, zero on the diagonal, dimensionless.
    standard_errors : ndarray, shape (n_neurons, n_neurons), or None
        From differences between blocks of bins; NaN where there is none. None where the method gives none.
    fields : ndarray, shape (n_neurons,)
    field_standard_errors : ndarray, shape (n_neurons,), or None
    error_blocks : int
        Number of blocks that the standard errors are from; 0 where there are none.
    status : tuple of RowStatus, length n_neurons
    iterations : int
        Passes over the distinct configurations, or Monte Carlo updates.
    diagnostics : str
        What the method says of itself, such as ``"boltzmann"``.
    converged : bool or None
        Whether an iteration converged, where the method tells.
    score : Score or None
        How well models by this method told each neuron of a bin from the others, in bins that came after them.
    check : ModelCheck or None
    age_s : float or None
        Age of the publication in seconds; None in files.
    bins_since, publication, skipped : int or None
        Bins applied since, number of the publication, fits skipped since the session began; None in files.
    """

    session_id: str
    method: str
    window: str
    first_bin: int
    end_bin: int
    bins_observed: int
    distinct_configurations: int
    refusal: str
    neuron_ids: NDArray[np.int64] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    couplings: Floats = field(repr=False)
    standard_errors: Floats | None = field(repr=False)
    fields: Floats = field(repr=False)
    field_standard_errors: Floats | None = field(repr=False)
    error_blocks: int
    status: tuple[RowStatus, ...] = field(repr=False)
    iterations: int
    diagnostics: str
    converged: bool | None
    score: Score | None = field(repr=False)
    check: ModelCheck | None = field(repr=False)
    age_s: float | None = None
    bins_since: int | None = None
    publication: int | None = None
    skipped: int | None = None

    @cached_property
    def valid(self) -> Booleans:
        """Which couplings are estimates, shape (n_neurons, n_neurons): both neurons are OK, and differ."""
        ok = np.array([one is RowStatus.OK for one in self.status]) & participants(self.status)
        return ok[:, None] & ok[None, :] & ~np.eye(len(ok), dtype=bool)

    @cached_property
    def masked(self) -> Floats:
        """Couplings with NaN where they are not valid, shape (n_neurons, n_neurons)."""
        return np.where(self.valid, self.couplings, np.nan)

    def to_pandas(self) -> pandas.DataFrame:
        """One row per ordered pair of neurons; couplings are symmetric."""
        return pairs_frame(
            receivers=np.arange(len(self.neuron_ids)),
            neuron_ids=self.neuron_ids,
            labels=self.labels,
            status=[one.value for one in self.status],
            columns={"coupling": self.couplings, "standard_error": self.standard_errors, "valid": self.valid},
        ).rename(columns=lambda name: name.replace("receiver", "neuron_i").replace("sender", "neuron_j"))

    def fields_to_pandas(self) -> pandas.DataFrame:
        """One row per neuron: index, identifier, label, field, standard error, status."""
        return fields_frame(self)
