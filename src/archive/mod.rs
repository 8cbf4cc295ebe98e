//! How does a snapshot become a file that opens anywhere, and come back bit for bit?
//!
//! One HDF5 file per session, window and end bin, written whole or not at all: [`write_snapshot`] builds it in memory,
//! writes a temporary file beside it, syncs, reopens and verifies it, gives it its name and syncs the directory; a finished file is never
//! modified. [`read_snapshot`] gives back a [`Snapshot`](crate::session::Snapshot) equal to the one written;
//! [`describe`] reads attributes only, for listings.
//!
//! # Layout, version 3
//!
//! Files of versions 1 and 2 are read as well: both have no equilibrium models, and estimates of version 1 no scores and no standard errors
//! of fields.
//!
//! `n` = number of neurons, `L` = number of lags. Every dataset carries the attributes `unit`, `description` and
//! `dimensions` (its dimensions in words). Real numbers are never NaN or infinite.
//!
//! | attribute of `/` | type | meaning |
//! |---|---|---|
//! | `format`, `format_version` | text, u32 | `glauber-snapshot`, 3 |
//! | `glauber_version` | text | version of the program that wrote the file |
//! | `created` | text | RFC 3339, UTC |
//! | `source` | text | name of the recording, or `live` |
//! | `session_name`, `session_id` | text | the session |
//! | `bin_width_us` | u32 | width of a bin, µs |
//! | `origin_ns` | i64 | left edge of bin 0 on the recording's clock, ns |
//! | `window` | text | `all`, or a duration such as `10min` |
//! | `first_bin`, `end_bin` | u64 | the bins the window spans, end excluded |
//! | `bins_observed` | u64 | how many of them were observed |
//! | `gap_count`, `gap_bins` | u64 | gaps of the session so far, and the bins in them |
//! | `n_neurons` | u32 | `n` |
//! | `lags_bins` | u32 (L) | lags, in bins |
//! | `windows`, `estimators` | text lists | what the session keeps and runs |
//! | `refresh_interval_bins` | u64 | bins between estimates |
//! | `refit_interval_bins`, `refit_bins_max` | u64 | bins between refits, and the most that one reads |
//! | `score_memory_bins` | u64 | bins after which a score counts for 1/e when the recent score is formed |
//! | `equilibrium_methods` | text list | equilibrium models that the session fits |
//! | `equilibrium_interval_bins`, `equilibrium_bins_max`, `equilibrium_seed` | u64 | bins between fits, the most that one reads, seed |
//!
//! | dataset | type, shape | meaning |
//! |---|---|---|
//! | `/ridges` | f64 `(P)` | ridge `λ` of the estimators, or those to choose from |
//! | `/neurons/id` | i64 `(n)` | identifier in the source |
//! | `/neurons/label` | UTF-8 `(n)` | name or electrode label |
//! | `/magnetization` | f64 `(n)` | `m` over all observed bins |
//! | `/magnetization_sender`, `/magnetization_receiver` | f64 `(n)` | `m⁻`, `m⁺` over the lag-1 transitions |
//! | `/equal_time` | f64 `(n, n)` | `C` over the sender bins of the lag-1 transitions |
//! | `/delayed` | f64 `(L, n, n)` | `D(ℓ)`, row = receiver, column = sender |
//! | `/counts/spikes` | u64 `(n)` | bins in which the neuron fired, of the observed ones |
//! | `/counts/equal_time` | u64 `(n, n)` | sender bins of lag-1 transitions in which both fired; symmetric, in full |
//! | `/counts/transitions` | u64 `(L)` | pairs of bins at the lag |
//! | `/counts/sender`, `/counts/receiver` | u64 `(L, n)` | transitions in whose earlier, later bin the neuron fired |
//! | `/counts/delayed` | u64 `(L, n, n)` | transitions with the row's neuron in the later and the column's in the earlier bin |
//! | `/estimators/<name>/couplings` | f64 `(n, n)` | `J`, row = receiver, column = sender |
//! | `/estimators/<name>/fields` | f64 `(n)` | `h` |
//! | `/estimators/<name>/status` | text `(n)` | `OK`, `SILENT`, … of each receiver |
//! | `/estimators/<name>/standard_errors` | f64 `(n, n)` | standard error of each coupling; 0 = no estimate for the pair |
//! | `/estimators/<name>/field_standard_errors` | f64 `(n)` | standard error of each field; 0 = no estimate |
//! | `/estimators/<name>/q_values` | f64 `(n, n)` | false discovery rate at which each coupling is still significant, see [`Significance`](crate::model::Significance); 1 = in no family |
//! | `/estimators/<name>/field_q_values` | f64 `(n)` | the same of each field |
//! | `/estimators/<name>/sampling_variance_sender`, `…_receiver` | f64 `(n)` | factors: `SE_ij² = sender_j / (transitions · receiver_i)`, `SE(h_i)²` with the attribute `sampling_variance_field` above |
//! | `/estimators/<name>/sampling_variance_couplings`, `…_fields` | f64 `(n, n)`, `(n)` | or the squares themselves, where they do not factor |
//! | `/estimators/<name>/iterations`, `gradient_norm` | u64, f64 `(n)` | how an iteration ended |
//! | `/estimators/<name>/trial_fields`, `trial_fields_estimated` | f64, u64 `(n, bins)` | `h_i(t)` of each bin of a trial, and where it is estimated |
//! | `/estimators/<name>/trial_repeats` | u64 `(bins)` | repeats of each bin of a trial |
//! | `/estimators/<name>/score_spikes`, `score_gain_bits` | f64 `(n)` | spikes predicted by the estimates before, and the bits gained over independent rates |
//! | `/estimators/<name>/recent_score_spikes`, `…_gain_bits` | f64 `(n)` | the same with the past discounted |
//! | `/estimators/<name>/path_ridge`, `path_bits_per_spike`, `path_scored` | f64, f64, u64 `(P)` | ridges that were tried, recent score of each, and where there is one |
//!
//! Each `/estimators/<name>` has the attributes `estimator`, `ridge` (the one chosen), `transitions`, `first_bin`, `end_bin` (the
//! bins it was made on), `score_transitions`, `score_bits_per_spike` and the same with `recent_` (bits only once there
//! are spikes), `significant_couplings` (those between different neurons with q < 0.05) and `reference`.
//!
//! | dataset | type, shape | meaning |
//! |---|---|---|
//! | `/equilibrium/<method>/couplings` | f64 `(n, n)` | `J`, symmetric, zero on the diagonal |
//! | `/equilibrium/<method>/fields` | f64 `(n)` | `h` |
//! | `/equilibrium/<method>/status` | text `(n)` | `OK`, `SILENT`, … of each neuron |
//! | `/equilibrium/<method>/standard_errors`, `field_standard_errors` | f64 `(n, n)`, `(n)` | from differences between blocks of bins; 0 = none; absent where the method gives none |
//! | `/equilibrium/<method>/score_…`, `recent_score_…` | f64 `(n)` | as of the estimates; `…_transitions` are bins |
//! | `/equilibrium/<method>/path_epsilon`, `path_mean_energy`, `path_effective_samples`, `path_residual`, `path_iterations`, `path_converged` | f64, u64 `(P)` | of the erasure machine; `chosen` is a place in them |
//! | `/equilibrium/<method>/path_ridge`, `path_bits_per_bin`, `gradient_norm` | f64 `(P)`, `(n)` | of pseudo-likelihood |
//! | `/equilibrium/<method>/state_bins` | u64 `(S)` | of many-states: bins in each state |
//! | `/equilibrium/<method>/check/active`, `active_observed`, `active_predicted`, `active_predicted_error` | u64, f64 `(K)` | `P(K)` |
//! | `/equilibrium/<method>/check/pair_first`, `pair_second`, `pair_observed`, `…_error`, `pair_predicted`, `…_error` | u64, f64 `(P)` | single pairs; absent in older files |
//!
//! Each `/equilibrium/<method>` has the attributes `method`, `reference`, `first_bin`, `end_bin` (the bins it was fitted to) and either
//! `refusal`, why the method gives no model, and no model, or `bins_observed`, `distinct_configurations`, `iterations`, `diagnostics`
//! (which kind), `error_blocks` with standard errors, and what the kind has of `chosen`, `ridge`, `gradient_norm`, `log_likelihood_bits`,
//! `chains`, `sweeps`, `moment_residual`, `moment_residual_max`, `monte_carlo_error`, `parameter_error`, `chain_disagreement`, `converged` and `residual`; see
//! [`EquilibriumDiagnostics`](crate::model::EquilibriumDiagnostics). `check`, absent where no neuron has an estimate, has the attributes
//! `drawn`, `bins` and, of `means`, `pair_correlations` and `triplet_correlations` each, `…_values`, `…_correlation` (absent where it is not
//! defined), `…_rms_difference`, `…_rms_observed`, `…_rms_predicted_error`, `…_rms_observed_error` and `…_rms_error`; see
//! [`ModelCheck`](crate::model::ModelCheck).
//!
//! Standard errors and q are derived from the other values of an estimate, for those who read the file elsewhere: they are not read
//! back, and files without q are as good.

mod error;
mod read;
mod read_equilibrium;
mod read_estimate;
mod write;
mod write_equilibrium;
mod write_estimate;

use std::time::SystemTime;

pub use error::ArchiveError;
pub use read::{SnapshotSummary, StoredSnapshot, describe, read_snapshot};
pub use write::write_snapshot;

pub use crate::storage::{Overwrite, StorageError};

/// Value of the root attribute `format`.
const FORMAT: &str = "glauber-snapshot";
/// Version of the layout that is written, and the newest that is read.
const FORMAT_VERSION: u32 = 3;

/// Where a snapshot comes from: what its numbers alone do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Identifier of the session.
    pub session_id: String,
    /// Name of the recording, or `live`.
    pub source: String,
    /// Time of writing; kept in the file to the microsecond.
    pub created: SystemTime,
    /// Gaps of the session so far.
    pub gap_count: u64,
    /// Bins in those gaps.
    pub gap_bins: u64,
}
