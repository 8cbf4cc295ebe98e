//! Couplings in the file of a session: a table for each model, and a table of the tables.
//!
//! ```text
//! /processing/glauber/estimates                        one row per kinetic model: table, window, estimator, ridge, first_bin, end_bin,
//!                                                      transitions, rows_ok, score_transitions, score_bits_per_spike
//! /processing/glauber/kinetic_<window>_<estimator>     one row per unit: unit (row of /units), status, fields, field_standard_errors,
//!                                                      couplings, standard_errors, z, q_values (n_units, n_units)
//! /processing/glauber/equilibrium_models               table, window, method, first_bin, end_bin, bins_observed, rows_ok, score_bins,
//!                                                      score_bits_per_spike
//! /processing/glauber/equilibrium_<window>_<method>    unit, status, fields, couplings and, where the method has them,
//!                                                      field_standard_errors, standard_errors
//! ```
//!
//! Rows are receivers, columns senders. Nothing is NaN: where a row or pair has no estimate, its status says so, its couplings and standard
//! errors are 0, and q is 1.

use std::path::Path;

use ndarray::Array2;

use super::RecordingError;
use super::nwb_write::NwbFile;
use super::own::MODULE;
use crate::model::{EquilibriumModel, Estimate, RowStatus, RunningScore, Score, Significance, Window};
use crate::storage::StorageError;

const DYNAMIC_TABLE: (&str, &str) = ("hdmf-common", "DynamicTable");

/// A kinetic model of one window, as the file of a session takes it.
#[derive(Debug, Clone, Copy)]
pub struct WindowEstimate<'a> {
    /// The window.
    pub window: Window,
    /// First bin that the estimate reaches back to.
    pub first_bin: u64,
    /// Bin after the newest one it was made on.
    pub end_bin: u64,
    /// The estimate.
    pub estimate: &'a Estimate,
    /// How the estimates before it have predicted the bins that came after each of them.
    pub score: &'a RunningScore,
}

/// An equilibrium model of one window, as the file of a session takes it.
#[derive(Debug, Clone, Copy)]
pub struct WindowModel<'a> {
    /// The window.
    pub window: Window,
    /// First bin it was fitted to.
    pub first_bin: u64,
    /// Bin after the last one.
    pub end_bin: u64,
    /// The model.
    pub model: &'a EquilibriumModel,
    /// How the models before it have predicted the bins that came after each of them.
    pub score: &'a RunningScore,
}

/// The columns of a table of tables that all models have.
struct Listed<'a> {
    name: String,
    window: Window,
    of: &'a str,
    bins: (u64, u64),
    status: &'a [RowStatus],
    score: &'a Score,
}

pub(super) fn write_estimates(
    file: &NwbFile,
    path: &Path,
    units: usize,
    estimates: &[WindowEstimate<'_>],
) -> Result<(), RecordingError> {
    if estimates.is_empty() {
        return Ok(());
    }
    let mut listed = Vec::with_capacity(estimates.len());
    for &WindowEstimate { window, first_bin, end_bin, estimate, score } in estimates {
        let name = format!("kinetic_{window}_{}", estimate.estimator);
        check_size(path, &name, estimate.n_neurons(), units)?;
        write_estimate(file, &format!("{MODULE}/{name}"), estimate)?;
        let (of, status) = (estimate.estimator.as_str(), &estimate.status[..]);
        listed.push(Listed { name, window, of, bins: (first_bin, end_bin), status, score: &score.total });
    }
    let table = format!("{MODULE}/estimates");
    let description = "Kinetic Ising models P(s_i(t+1) | s(t)) = exp(s_i(t+1) θ_i(t)) / 2 cosh θ_i(t), θ_i(t) = h_i + Σ_j J_ij s_j(t), \
                       s = +1 for a spike in the bin and -1 for none; each in a table of its own";
    let particular = ["ridge", "transitions"];
    write_list(file, &table, description, "estimator", "score_transitions", &listed, &particular)?;
    let ridges: Vec<f64> = estimates.iter().map(|e| e.estimate.ridge).collect();
    let column = |name: &str| format!("{table}/{name}");
    file.column(
        &column("ridge"),
        "ridge of the estimator, dimensionless, 0 = none",
        &[ridges.len()],
        &ridges,
    )?;
    let transitions: Vec<i64> =
        estimates.iter().map(|e| integer(e.estimate.variance.transitions())).collect();
    let description = "pairs of successive bins that the estimate is taken over";
    Ok(file.integers(&column("transitions"), description, &transitions)?)
}

pub(super) fn write_models(
    file: &NwbFile,
    path: &Path,
    units: usize,
    models: &[WindowModel<'_>],
) -> Result<(), RecordingError> {
    if models.is_empty() {
        return Ok(());
    }
    let mut listed = Vec::with_capacity(models.len());
    for &WindowModel { window, first_bin, end_bin, model, score } in models {
        let name = format!("equilibrium_{window}_{}", model.method);
        check_size(path, &name, model.n_neurons(), units)?;
        write_model(file, &format!("{MODULE}/{name}"), model)?;
        let (of, status) = (model.method.as_str(), &model.status[..]);
        listed.push(Listed { name, window, of, bins: (first_bin, end_bin), status, score: &score.total });
    }
    let table = format!("{MODULE}/equilibrium_models");
    let description = "Equilibrium models P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j) of the bins, s = +1 for a spike in the bin and -1 \
                       for none; each in a table of its own";
    write_list(file, &table, description, "method", "score_bins", &listed, &["bins_observed"])?;
    let samples: Vec<i64> = models.iter().map(|m| integer(m.model.samples)).collect();
    Ok(file.integers(&format!("{table}/bins_observed"), "bins that the model was fitted to", &samples)?)
}

fn check_size(path: &Path, table: &str, neurons: usize, units: usize) -> Result<(), RecordingError> {
    if neurons == units {
        return Ok(());
    }
    Err(RecordingError::LengthMismatch {
        path: path.to_owned(),
        object: format!("{MODULE}/{table}"),
        got: neurons,
        expected: units,
        reference: "/units".to_owned(),
    })
}

/// The table of tables; the caller writes the columns named `particular`.
fn write_list(
    file: &NwbFile,
    table: &str,
    description: &str,
    of: &str,
    scored: &str,
    listed: &[Listed<'_>],
    particular: &[&str],
) -> Result<(), StorageError> {
    let ids: Vec<i64> = (0..listed.len() as i64).collect();
    let common = ["table", "window", of, "first_bin", "end_bin", "rows_ok", scored, "score_bits_per_spike"];
    let columns: Vec<&str> = common.iter().chain(particular).copied().collect();
    file.table(table, DYNAMIC_TABLE, description, &ids, &columns)?;
    let column = |name: &str| format!("{table}/{name}");
    let names: Vec<&str> = listed.iter().map(|row| row.name.as_str()).collect();
    file.text_column(&column("table"), "name of the model's table beside this one", &names)?;
    let windows: Vec<String> = listed.iter().map(|row| row.window.to_string()).collect();
    file.text_column(&column("window"), "window of the session, 'all' or a duration", &windows)?;
    let methods: Vec<&str> = listed.iter().map(|row| row.of).collect();
    file.text_column(&column(of), "how the couplings were computed", &methods)?;
    let first_bins: Vec<i64> = listed.iter().map(|row| integer(row.bins.0)).collect();
    file.integers(
        &column("first_bin"),
        "first bin of the session that the model reaches back to",
        &first_bins,
    )?;
    let end_bins: Vec<i64> = listed.iter().map(|row| integer(row.bins.1)).collect();
    file.integers(&column("end_bin"), "bin after the newest one that the model was made on", &end_bins)?;
    let ok = |row: &Listed<'_>| row.status.iter().filter(|&&status| status == RowStatus::Ok).count() as i64;
    let rows_ok: Vec<i64> = listed.iter().map(ok).collect();
    file.integers(&column("rows_ok"), "units whose status is OK", &rows_ok)?;
    let transitions: Vec<f64> = listed.iter().map(|row| row.score.transitions).collect();
    let description =
        "how many transitions, or bins, the models before this one have predicted after each was made";
    file.column(&column(scored), description, &[listed.len()], &transitions)?;
    let bits: Vec<f64> = listed.iter().map(|row| row.score.bits_per_spike().unwrap_or(0.0)).collect();
    let description = "log-likelihood they gained over independent rates on these, bits per spike; 0 also when there was nothing to score";
    file.column(&column("score_bits_per_spike"), description, &[listed.len()], &bits)
}

fn write_estimate(file: &NwbFile, table: &str, estimate: &Estimate) -> Result<(), StorageError> {
    let n = estimate.n_neurons();
    let columns = [
        "unit",
        "status",
        "fields",
        "field_standard_errors",
        "couplings",
        "standard_errors",
        "z",
        "q_values",
    ];
    let description = format!(
        "Kinetic Ising model by '{}': row i is the receiver, column j of a square the sender; dimensionless. A row without an estimate says \
         so in its status and holds zeros",
        estimate.estimator
    );
    write_rows(file, table, &description, &columns, &estimate.status)?;
    let column = |name: &str| format!("{table}/{name}");
    file.column(&column("fields"), "field h_i of the unit, dimensionless", &[n], &estimate.fields.to_vec())?;
    let errors: Vec<f64> = (0..n).map(|i| estimate.field_standard_error(i).unwrap_or(0.0)).collect();
    let description = "asymptotic standard error of the field; 0 = no estimate";
    file.column(&column("field_standard_errors"), description, &[n], &errors)?;

    let description =
        "couplings J_ij from every unit (column, sender j) to the unit (row, receiver i), dimensionless";
    square(file, &column("couplings"), description, &estimate.couplings)?;
    let error = |(i, j)| estimate.standard_error(i, j);
    let errors = Array2::from_shape_fn((n, n), |pair| error(pair).unwrap_or(0.0));
    let description = "asymptotic standard error of each coupling, without the bias of a ridge or of mean field; 0 = no estimate";
    square(file, &column("standard_errors"), description, &errors)?;
    let z = Array2::from_shape_fn((n, n), |pair| {
        error(pair).map_or(0.0, |error| estimate.couplings[pair] / error)
    });
    let description = "each coupling in units of its standard error; 0 = no estimate";
    square(file, &column("z"), description, &z)?;
    let q = Significance::of(estimate).couplings_q(estimate);
    let description = "false discovery rate at which each coupling is still significant (Benjamini & Hochberg), self-couplings as a family \
                       of their own; 1 in rows that are not OK";
    square(file, &column("q_values"), description, &q)
}

fn write_model(file: &NwbFile, table: &str, model: &EquilibriumModel) -> Result<(), StorageError> {
    let n = model.n_neurons();
    let mut columns = vec!["unit", "status", "fields", "couplings"];
    if model.errors.is_some() {
        columns.extend(["field_standard_errors", "standard_errors"]);
    }
    let description = format!(
        "Equilibrium model by '{}': couplings are symmetric and zero on the diagonal; dimensionless. A row without an estimate says so in \
         its status and holds zeros",
        model.method
    );
    write_rows(file, table, &description, &columns, &model.status)?;
    let column = |name: &str| format!("{table}/{name}");
    file.column(&column("fields"), "field h_i of the unit, dimensionless", &[n], &model.fields.to_vec())?;
    let description = "couplings J_ij between the unit (row i) and every unit (column j), dimensionless";
    square(file, &column("couplings"), description, &model.couplings)?;
    let Some(errors) = &model.errors else { return Ok(()) };
    let description = format!(
        "standard error of the field from the differences between {} blocks of bins; 0 = no estimate",
        errors.blocks
    );
    file.column(&column("field_standard_errors"), &description, &[n], &errors.fields.to_vec())?;
    let description = description.replacen("the field", "each coupling", 1);
    square(file, &column("standard_errors"), &description, &errors.couplings)
}

/// A table with a row for each unit, and its columns `unit` and `status`.
fn write_rows(
    file: &NwbFile,
    table: &str,
    description: &str,
    columns: &[&str],
    status: &[RowStatus],
) -> Result<(), StorageError> {
    let ids: Vec<i64> = (0..status.len() as i64).collect();
    file.table(table, DYNAMIC_TABLE, description, &ids, columns)?;
    file.units_region(&format!("{table}/unit"), status.len())?;
    let names: Vec<&str> = status.iter().map(|status| status.as_str()).collect();
    file.text_column(&format!("{table}/status"), "what the row is worth; only OK is unreserved", &names)
}

fn square(file: &NwbFile, object: &str, description: &str, values: &Array2<f64>) -> Result<(), StorageError> {
    // Iteration is row-major whatever the layout in memory.
    let row_major: Vec<f64> = values.iter().copied().collect();
    file.column(object, description, values.shape(), &row_major)
}

/// Signed, as Python's tables are.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
