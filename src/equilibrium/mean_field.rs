//! Couplings from the inverse of the covariance `C_ij = ⟨s_i s_j⟩ − m_i m_j`.
//!
//! ```text
//! naive mean field   J_ij = −(C⁻¹)_ij                               h_i = atanh m_i − Σ_j J_ij m_j
//! TAP                (C⁻¹)_ij = −J_ij − 2 J_ij² m_i m_j               h_i = atanh m_i − Σ_j J_ij m_j + m_i Σ_j J_ij² (1 − m_j²)
//! ```
//!
//! Kappen & Rodríguez (1998); Roudi, Tyrcha & Hertz (2009). Both are expansions in small couplings. A ridge `λ` inverts `C + λ` instead,
//! and is the only remedy where `C` is singular. Cost O(n³).

use std::cell::RefCell;
use std::collections::BTreeSet;

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use ndarray::{Array1, Array2};

use super::{EquilibriumError, Samples, jackknife};
use crate::model::{EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus};

/// What naive mean field and TAP are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanFieldOptions {
    /// `λ`, 0 to 10⁶, added to the diagonal of the covariance. Default 0.
    pub ridge: f64,
    /// Whether to find standard errors, each of some 32 times the cost of the estimate. Default yes.
    pub errors: bool,
}

impl Default for MeanFieldOptions {
    fn default() -> Self {
        Self { ridge: 0.0, errors: true }
    }
}

const RIDGE_MAX: f64 = 1e6;

/// Naive mean field. Neurons say [`RowStatus::Singular`] where the covariance has no inverse.
///
/// # Errors
/// [`EquilibriumError::Range`] on a ridge outside its range.
pub fn nmf(samples: &Samples, options: &MeanFieldOptions) -> Result<EquilibriumModel, EquilibriumError> {
    closed_form(samples, options, EquilibriumMethod::Nmf, |moments| (moments.naive(), Vec::new()))
}

/// TAP, with the root that tends to naive mean field as couplings vanish. A pair of neurons without a real root keeps the naive mean field
/// coupling, and both say [`RowStatus::TapNoRoot`].
///
/// A pair whose root comes or goes as blocks of bins are left out jumps from one equation to the other; and where there is none, the error
/// would be that of naive mean field. Both have no standard error: 0, and so have the fields of their neurons.
///
/// # Errors
/// [`EquilibriumError::Range`] on a ridge outside its range.
pub fn tap(samples: &Samples, options: &MeanFieldOptions) -> Result<EquilibriumModel, EquilibriumError> {
    closed_form(samples, options, EquilibriumMethod::Tap, Inverted::tap)
}

/// `(J, h)`.
type Estimate = (Array2<f64>, Array1<f64>);

/// Fit by a closed form that gives the estimate and the pairs without a root.
fn closed_form(
    samples: &Samples,
    options: &MeanFieldOptions,
    method: EquilibriumMethod,
    form: impl Fn(&Inverted) -> (Estimate, Vec<(usize, usize)>),
) -> Result<EquilibriumModel, EquilibriumError> {
    if !(0.0..=RIDGE_MAX).contains(&options.ridge) {
        let found = options.ridge;
        return Err(EquilibriumError::Range { what: "ridge", found, min: 0.0, max: RIDGE_MAX });
    }
    let closed = |why| samples.nothing(method, why, EquilibriumDiagnostics::ClosedForm);
    if samples.is_undersampled() {
        return Ok(closed(RowStatus::Undersampled));
    }
    let Some(inverted) = Inverted::of(&samples.magnetizations, &samples.second_moments, options.ridge) else {
        return Ok(closed(RowStatus::Singular));
    };
    let (full, without_root) = form(&inverted);
    // Pairs without a root with all bins, or with part of a block taken away.
    let without_errors = RefCell::new(BTreeSet::from_iter(without_root.iter().copied()));
    let again = |m: &Array1<f64>, q: &Array2<f64>| {
        let (estimate, without_root) = form(&Inverted::of(m, q, options.ridge)?);
        without_errors.borrow_mut().extend(without_root);
        Some(estimate)
    };
    let mut errors = options.errors.then(|| jackknife::standard_errors(samples, &full, again)).flatten();
    if let Some(errors) = &mut errors {
        for &(i, j) in without_errors.borrow().iter() {
            let (i, j) = (samples.taking_part[i], samples.taking_part[j]);
            [errors.couplings[[i, j]], errors.couplings[[j, i]]] = [0.0; 2];
            [errors.fields[i], errors.fields[j]] = [0.0; 2];
        }
    }
    let mut model = EquilibriumModel {
        couplings: samples.spread_matrix(&full.0),
        fields: samples.spread(&full.1),
        errors,
        ..closed(RowStatus::Ok)
    };
    for k in without_root.iter().flat_map(|&(i, j)| [i, j]) {
        model.status[samples.taking_part[k]] = RowStatus::TapNoRoot;
    }
    Ok(model)
}

/// Magnetizations and the inverse of `C + λ`.
struct Inverted {
    magnetizations: Array1<f64>,
    inverse: Mat<f64>,
}

impl Inverted {
    /// `None` where there is no inverse.
    fn of(magnetizations: &Array1<f64>, second_moments: &Array2<f64>, ridge: f64) -> Option<Self> {
        let (m, n) = (magnetizations, magnetizations.len());
        let covariance = Mat::from_fn(n, n, |i, j| {
            if i == j { 1.0 - m[i] * m[i] + ridge } else { second_moments[[i, j]] - m[i] * m[j] }
        });
        let factor = covariance.llt(Side::Lower).ok()?;
        // A pivot is the variance of a neuron that the ones before it leave unexplained. Rounding alone leaves some n ε of it.
        let smallest = 64.0 * n as f64 * f64::EPSILON;
        let lower = factor.L();
        if (0..n).any(|k| lower[(k, k)] * lower[(k, k)] < smallest * covariance[(k, k)]) {
            return None;
        }
        Some(Self { magnetizations: magnetizations.clone(), inverse: factor.inverse() })
    }

    fn naive(&self) -> Estimate {
        let n = self.magnetizations.len();
        // The lower half for both, so that the couplings are symmetric to the last bit.
        let couplings =
            Array2::from_shape_fn(
                (n, n),
                |(i, j)| if i == j { 0.0 } else { -self.inverse[(i.max(j), i.min(j))] },
            );
        let fields = self.magnetizations.mapv(f64::atanh) - couplings.dot(&self.magnetizations);
        (couplings, fields)
    }

    fn tap(&self) -> (Estimate, Vec<(usize, usize)>) {
        let (mut couplings, mut fields) = self.naive();
        let (m, n) = (&self.magnetizations, self.magnetizations.len());
        let mut without_root = Vec::new();
        for i in 0..n {
            for j in 0..i {
                let naive = couplings[[i, j]];
                // 2 m_i m_j J² + J − J_naive = 0, in the form that loses no digits as m_i m_j vanishes.
                let discriminant = 1.0 + 8.0 * m[i] * m[j] * naive;
                if discriminant < 0.0 {
                    without_root.push((i, j));
                    continue;
                }
                let root = 2.0 * naive / (1.0 + discriminant.sqrt());
                couplings[[i, j]] = root;
                couplings[[j, i]] = root;
                let square = root * root;
                fields[i] += (naive - root) * m[j] + m[i] * square * (1.0 - m[j] * m[j]);
                fields[j] += (naive - root) * m[i] + m[j] * square * (1.0 - m[i] * m[i]);
            }
        }
        ((couplings, fields), without_root)
    }
}
