//! The couplings a simulated recording was made from, kept in the recording's own file.
//!
//! ```text
//! /processing/misc/ground_truth       DynamicTable, one row per unit
//!   id         int64 (n_units)            the units' ids are in /units/id, in the same order
//!   fields     float64 (n_units)          h, dimensionless
//!   couplings  float64 (n_units, n_units) J, row = receiver, column = sender, dimensionless
//! /processing/misc/equilibrium_ground_truth   the same of an equilibrium model, instead
//! ```

use std::path::Path;

use ndarray::{Array1, Array2};

use super::RecordingError;
use super::nwb_write::NwbFile;
use crate::storage::{Found, InputFile, InputLimits};

const MODULE: &str = "/processing/misc";
/// Which model couplings and fields are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TruthModel {
    /// Kinetic Ising: what bin t does to bin t + 1.
    Kinetic,
    /// Equilibrium Ising: what the neurons of a bin have to do with each other; `J` is symmetric.
    Equilibrium,
}

impl TruthModel {
    const ALL: [Self; 2] = [Self::Kinetic, Self::Equilibrium];

    /// The table that holds it. Each has its own, so that no reader takes the couplings of one for those of the other.
    fn table(self) -> &'static str {
        match self {
            Self::Kinetic => "/processing/misc/ground_truth",
            Self::Equilibrium => "/processing/misc/equilibrium_ground_truth",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Kinetic => {
                "Kinetic Ising model P(s_i(t+1) | s(t)) = exp(s_i(t+1) θ_i(t)) / 2 cosh θ_i(t), θ_i(t) = h_i + Σ_j J_ij s_j(t); \
                 one row per unit, in the order of /units"
            }
            Self::Equilibrium => {
                "Equilibrium Ising model P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j) of the bins, s = +1 for a spike and -1 \
                 for none; one row per unit, in the order of /units"
            }
        }
    }

    fn fields(self) -> String {
        format!("{}/fields", self.table())
    }

    fn couplings(self) -> String {
        format!("{}/couplings", self.table())
    }
}

/// Couplings and fields of the Ising model that a recording was simulated from.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The model they are of.
    pub model: TruthModel,
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
        truth.model.table(),
        ("hdmf-common", "DynamicTable"),
        truth.model.description(),
        &ids,
        &["fields", "couplings"],
    )?;
    let fields: Vec<f64> = truth.fields.iter().copied().collect();
    file.column(&truth.model.fields(), "field h_i of the unit, dimensionless", &[units], &fields)?;
    // Iteration is row-major whatever the layout in memory.
    let couplings: Vec<f64> = truth.couplings.iter().copied().collect();
    let description = match truth.model {
        TruthModel::Kinetic => {
            "couplings J_ij to the unit (row, receiver i) from every unit (column, sender j), dimensionless"
        }
        TruthModel::Equilibrium => {
            "couplings J_ij between the unit (row i) and every unit (column j), symmetric, dimensionless"
        }
    };
    file.column(&truth.model.couplings(), description, &[units, units], &couplings)?;
    Ok(())
}

/// The couplings and fields a file was simulated from; `None` when it carries none.
///
/// # Errors
/// [`RecordingError`] when the file cannot be read or its truth has the wrong shape.
pub fn read_truth(path: impl AsRef<Path>) -> Result<Option<Truth>, RecordingError> {
    let file = InputFile::open(path.as_ref(), InputLimits::SNAPSHOT)?;
    let mut model = None;
    for candidate in TruthModel::ALL {
        if file.find(candidate.table())? == Found::Group {
            model = Some(candidate);
            break;
        }
    }
    let Some(model) = model else { return Ok(None) };
    let fields_object = model.fields();
    let couplings_object = model.couplings();
    let fields = file.dataset(&fields_object, "fields of the simulated model")?.list()?;
    let units = fields.shape()[0];
    let couplings = file.dataset(&couplings_object, "couplings of the simulated model")?;
    let couplings = couplings.with_shape(&[units, units])?;
    let fields = Array1::from_vec(fields.numbers()?);
    let read = Array2::from_shape_vec((units, units), couplings.numbers()?);
    let couplings = read.map_err(|_| couplings.wrong_shape(&format!("{:?}", [units, units])))?;
    Ok(Some(Truth { model, couplings, fields }))
}
