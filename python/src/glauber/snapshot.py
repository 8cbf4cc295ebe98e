"""Snapshot files of the daemon and of ``glauber fit``, read with h5py into what the daemon answers with."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._decode import nan_for_none, q_or_nan
from .equilibrium import Agreement, EquilibriumModel, ModelCheck
from .errors import GlauberError, InputError, SnapshotError
from .estimates import Correlations, Couplings, Floats, Score, ScoreSum, TrialFields
from .names import EquilibriumMethod, Estimator, RowStatus, row_status_named

FORMAT = "glauber-snapshot"
VERSIONS = (1, 2, 3)


def open_snapshot(path: str | Path) -> Snapshot:
    """Open a snapshot file.

    Parameters
    ----------
    path : path
        HDF5 file of ``glauber fit`` or of a session's archive, of layout versions 1 to 3.

    Returns
    -------
    Snapshot
        Also a context manager.

    Raises
    ------
    SnapshotError
        When it is not one.
    GlauberError
        When h5py is not installed.
    """
    return Snapshot(path)


class Snapshot:
    """A snapshot: counts, couplings and equilibrium models of one window of a session; made by `open_snapshot`.

    Attributes
    ----------
    path : Path
    version : int
        Of the layout.
    session_id, session_name, source, window, created, glauber_version : str
    bin_width_s : float
    first_bin, end_bin, bins_observed : int
        Bins that the window spans, end excluded, and how many of them were observed.
    gap_count, gap_bins : int
        Gaps of the session until then.
    lags_bins : tuple of int
    estimators, equilibrium_methods : tuple of str
        What the file holds.
    neuron_ids : ndarray of int64, shape (n_neurons,)
    labels : tuple of str
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise GlauberError("h5py is not installed: pip install 'glauber[h5py]', or 'h5py'") from error
        self.path = Path(path)
        if not self.path.exists():
            raise SnapshotError(f"{self.path}: there is no such file")
        try:
            self._file: Any = h5py.File(self.path, "r")
        except OSError as error:
            raise SnapshotError(f"{self.path}: not an HDF5 file ({error})") from None
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        attributes = self._file.attrs
        found = attributes.get("format")
        if found != FORMAT:
            raise SnapshotError(f"{self.path}: attribute 'format' is {found!r}; expected {FORMAT!r}")
        self.version = int(attributes.get("format_version", 0))
        if self.version not in VERSIONS:
            raise SnapshotError(f"{self.path}: layout version {self.version}; this package reads 1 to {VERSIONS[-1]}")
        self.session_id = str(self._attribute("/", "session_id"))
        self.session_name = str(self._attribute("/", "session_name"))
        self.source = str(self._attribute("/", "source"))
        self.window = str(self._attribute("/", "window"))
        self.created = str(self._attribute("/", "created"))
        self.glauber_version = str(self._attribute("/", "glauber_version"))
        self.bin_width_s = int(self._attribute("/", "bin_width_us")) / 1e6
        self.first_bin = int(self._attribute("/", "first_bin"))
        self.end_bin = int(self._attribute("/", "end_bin"))
        self.bins_observed = int(self._attribute("/", "bins_observed"))
        self.gap_count = int(attributes.get("gap_count", 0))
        self.gap_bins = int(attributes.get("gap_bins", 0))
        self.lags_bins = tuple(int(lag) for lag in self._attribute("/", "lags_bins"))
        self.neuron_ids: NDArray[np.int64] = self._values("/neurons/id").astype(np.int64)
        self.labels = tuple(str(one) for one in self._texts("/neurons/label"))
        self.estimators: tuple[str, ...] = tuple(str(one) for one in self._attribute("/", "estimators"))
        self.equilibrium_methods: tuple[str, ...] = tuple(self._file.get("equilibrium", {}))

    def __repr__(self) -> str:
        what = f"{len(self.neuron_ids)} neurons, window {self.window!r}, bins {self.first_bin} to {self.end_bin}"
        return f"Snapshot({str(self.path)!r}, {what})"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Reading without trust: what is missing is named.

    def _attribute(self, place: str, name: str) -> Any:
        try:
            return self._file[place].attrs[name]
        except KeyError:
            raise SnapshotError(f"{self.path}: {place} has no attribute '{name}'") from None

    def _values(self, place: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        try:
            values: NDArray[Any] = self._file[place][()]
        except (KeyError, AttributeError, TypeError):
            raise SnapshotError(f"{self.path}: there is no dataset {place}") from None
        if shape is not None and values.shape != shape:
            raise SnapshotError(f"{self.path}: {place} has shape {values.shape}; expected {shape}")
        return values

    def _texts(self, place: str) -> NDArray[Any]:
        try:
            texts: NDArray[Any] = self._file[place].asstr()[()]
        except (KeyError, AttributeError, TypeError):
            raise SnapshotError(f"{self.path}: there is no dataset of texts {place}") from None
        return texts

    def _optional(self, place: str, shape: tuple[int, ...] | None = None) -> NDArray[Any] | None:
        return self._values(place, shape) if place in self._file else None

    def _status(self, group: str) -> tuple[RowStatus, ...]:
        status = tuple(row_status_named(name) for name in self._texts(f"{group}/status"))
        if len(status) != len(self.neuron_ids):
            raise SnapshotError(f"{self.path}: {group}/status has {len(status)} entries; expected {len(self.neuron_ids)}")
        return status

    def _score_sum(self, group: str, name: str) -> ScoreSum:
        n = (len(self.neuron_ids),)
        spikes = self._values(f"{group}/{name}_spikes", n).astype(np.float64)
        gain = self._values(f"{group}/{name}_gain_bits", n).astype(np.float64)
        return ScoreSum(
            transitions=float(self._attribute(group, f"{name}_transitions")),
            spikes=float(spikes.sum()),
            gain_bits=float(gain.sum()),
            bits_per_spike=float(self._file[group].attrs.get(f"{name}_bits_per_spike", np.nan)),
            neuron_spikes=spikes,
            neuron_gain_bits=gain,
        )

    def _score(self, group: str) -> Score | None:
        if f"{group}/score_spikes" not in self._file:
            return None
        return Score(self._score_sum(group, "score"), self._score_sum(group, "recent_score"))

    def couplings(self, estimator: str | Estimator | None = None) -> Couplings:
        """The couplings of an estimator, the first one by default; standard errors and q are NaN where there is none.

        Raises
        ------
        InputError
            When the file has no such estimator.
        """
        name = _chosen(estimator, self.estimators, "estimator")
        group, n = f"/estimators/{name}", len(self.neuron_ids)
        status = self._status(group)
        errors = nan_for_none(self._values(f"{group}/standard_errors", (n, n)))
        q = self._optional(f"{group}/q_values", (n, n))
        # Version 1 has no errors of fields, early files no q.
        field_errors = self._optional(f"{group}/field_standard_errors", (n,))
        field_errors = np.full(n, np.nan) if field_errors is None else nan_for_none(field_errors)
        field_q = self._optional(f"{group}/field_q_values", (n,))
        attributes = self._file[group].attrs
        iterations = self._optional(f"{group}/iterations", (n,))
        return Couplings(
            session_id=self.session_id,
            estimator=name,
            window=self.window,
            first_bin=int(attributes.get("first_bin", self.first_bin)),
            end_bin=int(attributes.get("end_bin", self.end_bin)),
            bins_observed=self.bins_observed,
            transitions=int(self._attribute(group, "transitions")),
            ridge=float(self._attribute(group, "ridge")),
            neuron_ids=self.neuron_ids,
            labels=self.labels,
            receivers=np.arange(n, dtype=np.int64),
            couplings=self._values(f"{group}/couplings", (n, n)),
            standard_errors=errors,
            q_values=None if q is None else q_or_nan(q, errors, status),
            fields=self._values(f"{group}/fields", (n,)),
            field_standard_errors=field_errors,
            field_q_values=np.full(n, np.nan) if field_q is None else q_or_nan(field_q, field_errors, status),
            status=status,
            score=self._score(group),
            ridge_path=self._ridge_path(group),
            window_first_bin=self.first_bin,
            window_end_bin=self.end_bin,
            iterations=None if iterations is None else iterations.astype(np.int64),
            gradient_norm=self._optional(f"{group}/gradient_norm", (n,)),
            trial_fields=self._trial_fields(group),
        )

    def _ridge_path(self, group: str) -> dict[float, float]:
        ridges = self._optional(f"{group}/path_ridge")
        if ridges is None:
            return {}
        bits = self._values(f"{group}/path_bits_per_spike", ridges.shape)
        scored = self._values(f"{group}/path_scored", ridges.shape)
        return {float(r): float(b) if known else float("nan") for r, b, known in zip(ridges, bits, scored, strict=True)}

    def _trial_fields(self, group: str) -> TrialFields | None:
        fields = self._optional(f"{group}/trial_fields")
        if fields is None:
            return None
        known = self._values(f"{group}/trial_fields_estimated", fields.shape)
        repeats = self._values(f"{group}/trial_repeats", fields.shape[1:])
        return TrialFields(np.where(known != 0, fields, np.nan), repeats.astype(np.int64))

    def correlations(self, lag: int = 1) -> Correlations:
        """Counts and correlations at one of ``lags_bins``.

        Raises
        ------
        InputError
            When the file has no such lag.
        """
        if lag not in self.lags_bins:
            raise InputError(f"lag: {lag}; {self.path} has {', '.join(map(str, self.lags_bins))}")
        place, n, n_lags = self.lags_bins.index(lag), len(self.neuron_ids), len(self.lags_bins)
        transitions = self._values("/counts/transitions", (n_lags,))[place]

        def side(name: str) -> Floats:
            fired = self._values(f"/counts/{name}", (n_lags, n))[place].astype(np.float64)
            return (2 * fired - float(transitions)) / float(transitions) if transitions else np.zeros(n)

        return Correlations(
            session_id=self.session_id,
            window=self.window,
            first_bin=self.first_bin,
            end_bin=self.end_bin,
            bins_observed=self.bins_observed,
            lag_bins=lag,
            transitions=int(transitions),
            neuron_ids=self.neuron_ids,
            labels=self.labels,
            spikes=self._values("/counts/spikes", (n,)).astype(np.int64),
            magnetization=self._values("/magnetization", (n,)),
            magnetization_sender=side("sender"),
            magnetization_receiver=side("receiver"),
            equal_time=self._values("/equal_time", (n, n)),
            delayed=self._values("/delayed", (n_lags, n, n))[place],
        )

    def equilibrium_model(self, method: str | EquilibriumMethod | None = None) -> EquilibriumModel:
        """An equilibrium model, the first one by default.

        Raises
        ------
        InputError
            When the file has no such model.
        """
        name = _chosen(method, self.equilibrium_methods, "method")
        group, n = f"/equilibrium/{name}", len(self.neuron_ids)
        attributes = self._file[group].attrs
        refusal = str(attributes.get("refusal", ""))
        errors = self._optional(f"{group}/standard_errors", (n, n))
        field_errors = self._optional(f"{group}/field_standard_errors", (n,))
        return EquilibriumModel(
            session_id=self.session_id,
            method=name,
            window=self.window,
            first_bin=int(self._attribute(group, "first_bin")),
            end_bin=int(self._attribute(group, "end_bin")),
            bins_observed=int(attributes.get("bins_observed", 0)),
            distinct_configurations=int(attributes.get("distinct_configurations", 0)),
            refusal=refusal,
            neuron_ids=self.neuron_ids,
            labels=self.labels,
            couplings=np.full((n, n), np.nan) if refusal else self._values(f"{group}/couplings", (n, n)),
            standard_errors=None if errors is None else nan_for_none(errors),
            fields=np.full(n, np.nan) if refusal else self._values(f"{group}/fields", (n,)),
            field_standard_errors=None if field_errors is None else nan_for_none(field_errors),
            error_blocks=int(attributes.get("error_blocks", 0)),
            status=(RowStatus.UNKNOWN,) * n if refusal else self._status(group),
            iterations=int(attributes.get("iterations", 0)),
            diagnostics=str(attributes.get("diagnostics", "")),
            converged=self._converged(group),
            score=self._score(group),
            check=self._check(f"{group}/check"),
        )

    def _converged(self, group: str) -> bool | None:
        attributes = self._file[group].attrs
        if "converged" in attributes:
            return bool(attributes["converged"])
        path = self._optional(f"{group}/path_converged")
        if path is not None and "chosen" in attributes:
            return bool(path[int(attributes["chosen"])])
        return None

    def _check(self, group: str) -> ModelCheck | None:
        if group not in self._file:
            return None

        def agreement(name: str) -> Agreement:
            return Agreement(
                values=int(self._attribute(group, f"{name}_values")),
                correlation=float(self._file[group].attrs.get(f"{name}_correlation", np.nan)),
                rms_difference=float(self._attribute(group, f"{name}_rms_difference")),
                rms_observed=float(self._attribute(group, f"{name}_rms_observed")),
                rms_error=float(self._attribute(group, f"{name}_rms_error")),
            )

        return ModelCheck(
            drawn=int(self._attribute(group, "drawn")),
            bins=int(self._attribute(group, "bins")),
            means=agreement("means"),
            pair_correlations=agreement("pair_correlations"),
            triplet_correlations=agreement("triplet_correlations"),
            active=self._values(f"{group}/active").astype(np.int64),
            observed=self._values(f"{group}/active_observed"),
            predicted=self._values(f"{group}/active_predicted"),
            predicted_error=self._values(f"{group}/active_predicted_error"),
        )


def _chosen(name: str | Estimator | EquilibriumMethod | None, available: tuple[str, ...], what: str) -> str:
    if not available:
        raise InputError(f"{what}: the file has none")
    wanted = available[0] if name is None else getattr(name, "value", name)
    if wanted not in available:
        raise InputError(f"{what}: {wanted!r}; the file has {', '.join(map(repr, available))}")
    return str(wanted)
