//! The couplings a simulated recording was made from, kept in the recording's own file.
//!
//! ```text
//! /processing/misc/ground_truth       DynamicTable, one row per unit
//!   id         int64 (n_units)            the units' ids are in /units/id, in the same order
//!   fields     float64 (n_units)          h, dimensionless
//!   couplings  float64 (n_units, n_units) J, row = receiver, column = sender, dimensionless
//! ```

use std::path::Path;

use ndarray::{Array1, Array2};

use super::RecordingError;
use super::nwb_write::NwbFile;
use crate::storage::{Found, InputFile};

const MODULE: &str = "/processing/misc";
const TABLE: &str = "/processing/misc/ground_truth";
const FIELDS: &str = "/processing/misc/ground_truth/fields";
const COUPLINGS: &str = "/processing/misc/ground_truth/couplings";

/// Couplings and fields of the kinetic Ising model that a recording was simulated from.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// `J`, shape `(n_units, n_units)`, row = receiver, column = sender; dimensionless.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_units)`; dimensionless.
    pub fields: Array1<f64>,
}

pub(super) fn write(file: &NwbFile, path: &Path, truth: &Truth, units: usize) -> Result<(), RecordingError> {
    if truth.couplings.shape() != [units, units] || truth.fields.len() != units {
        return Err(RecordingError::TruthShape {
            path: path.to_owned(),
            couplings: truth.couplings.shape().to_vec(),
            fields: truth.fields.len(),
            units,
        });
    }
    let not_finite = |what| Err(RecordingError::TruthNotFinite { path: path.to_owned(), what });
    if !truth.couplings.iter().all(|j| j.is_finite()) {
        return not_finite("couplings");
    }
    if !truth.fields.iter().all(|h| h.is_finite()) {
        return not_finite("fields");
    }
    file.out.group(MODULE)?;
    file.mark(MODULE, "core", "ProcessingModule")?;
    file.out.set_text(MODULE, "description", "What the recording was simulated from")?;
    let ids: Vec<i64> = (0..units as i64).collect();
    file.table(
        TABLE,
        ("hdmf-common", "DynamicTable"),
        "Kinetic Ising model P(s_i(t+1) | s(t)) = exp(s_i(t+1) θ_i(t)) / 2 cosh θ_i(t), θ_i(t) = h_i + Σ_j J_ij s_j(t); \
         one row per unit, in the order of /units",
        &ids,
        &["fields", "couplings"],
    )?;
    let fields: Vec<f64> = truth.fields.iter().copied().collect();
    file.column(FIELDS, "field h_i of the unit, dimensionless", &[units], &fields)?;
    // Iteration is row-major whatever the layout in memory.
    let couplings: Vec<f64> = truth.couplings.iter().copied().collect();
    let description =
        "couplings J_ij to the unit (row, receiver i) from every unit (column, sender j), dimensionless";
    file.column(COUPLINGS, description, &[units, units], &couplings)?;
    Ok(())
}

/// The couplings and fields a file was simulated from; `None` when it carries none.
///
/// # Errors
/// [`RecordingError`] when the file cannot be read or its truth has the wrong shape.
pub fn read_truth(path: impl AsRef<Path>) -> Result<Option<Truth>, RecordingError> {
    let file = InputFile::open(path.as_ref())?;
    if file.find(TABLE)? != Found::Group {
        return Ok(None);
    }
    let fields = file.dataset(FIELDS, "fields of the simulated model")?.list()?;
    let units = fields.shape()[0];
    let couplings = file.dataset(COUPLINGS, "couplings of the simulated model")?;
    let couplings = couplings.with_shape(&[units, units])?;
    let fields = Array1::from_vec(fields.numbers()?);
    let read = Array2::from_shape_vec((units, units), couplings.numbers()?);
    let couplings = read.map_err(|_| couplings.wrong_shape(&format!("{:?}", [units, units])))?;
    Ok(Some(Truth { couplings, fields }))
}
