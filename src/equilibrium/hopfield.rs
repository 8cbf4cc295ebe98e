use ndarray::{Array1, Array2};

use super::{EquilibriumError, Samples, jackknife};
use crate::model::{EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus};

/// What Hopfield's rule is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct HopfieldOptions {
    /// Whether to find standard errors. Default yes.
    pub errors: bool,
}

impl Default for HopfieldOptions {
    fn default() -> Self {
        Self { errors: true }
    }
}

/// Hopfield's rule: `J_ij = ⟨s_i s_j⟩`, `h_i = ⟨s_i⟩` (Hopfield 1982). Right only where couplings and fields are so small that
/// correlations are them; the point of `ε = 1` of the erasure machine.
///
/// # Errors
/// None at present.
pub fn hopfield(samples: &Samples, options: &HopfieldOptions) -> Result<EquilibriumModel, EquilibriumError> {
    let method = EquilibriumMethod::Hopfield;
    let closed = |why| samples.nothing(method, why, EquilibriumDiagnostics::ClosedForm);
    if samples.is_undersampled() {
        return Ok(closed(RowStatus::Undersampled));
    }
    let full = rule(&samples.magnetizations, &samples.second_moments);
    let errors =
        options.errors.then(|| jackknife::standard_errors(samples, &full, |m, q| Some(rule(m, q)))).flatten();
    Ok(EquilibriumModel {
        couplings: samples.spread_matrix(&full.0),
        fields: samples.spread(&full.1),
        errors,
        ..closed(RowStatus::Ok)
    })
}

fn rule(magnetizations: &Array1<f64>, second_moments: &Array2<f64>) -> (Array2<f64>, Array1<f64>) {
    let mut couplings = second_moments.clone();
    couplings.diag_mut().fill(0.0);
    (couplings, magnetizations.clone())
}
