//! Pseudo-likelihood: which couplings make each neuron's state most probable, given that of all others?
//!
//! In a pairwise model `P(s_i | s_j, j ≠ i) = exp(s_i θ_i) / (2 cosh θ_i)` with `θ_i = h_i + Σ_{j≠i} J_ij s_j` (Besag, The Statistician 24,
//! 179 (1975); Ravikumar, Wainwright & Lafferty, Ann. Statist. 38, 1287 (2010)). Every neuron's row maximises on its own
//!
//! ```text
//! ⟨log P(s_i | s_j, j ≠ i)⟩ − (λ a_i / 2) Σ_j J_ij²        a_i = 1 − m_i²
//! ```
//!
//! a logistic regression on the others at equal time, by the solver of the kinetic estimator ([`crate::kinetic::exact()`]). Then
//! `J = (J + Jᵀ) / 2`, and fields are such that each neuron's mean input `h_i + Σ_j J_ij m_j` stays what its row found, so that
//! rates survive the averaging. Averaging the two rows halves most of the variance; on equilibrium samples the result is nearly
//! that of maximum likelihood.
//!
//! *Ridge.* Of several, the one is chosen whose symmetric model gives the highest pseudo-log-likelihood to bins left out, in contiguous
//! folds, since neighbouring bins are alike. Along the path each fit starts at its neighbour. Cost: that of one fit is some 10 passes over the
//! distinct configurations at O(active neurons) per configuration and neuron, or n with many active; the choice takes
//! folds × ridges shorter ones, with the default options some 14 times one fit.
//!
//! *Statuses.* [`RowStatus::Undersampled`] and [`RowStatus::Singular`] without a ridge only. A neuron whose likelihood has no finite
//! maximum without a ridge, as where two neurons never fire together, is [`RowStatus::Separated`]; a coupling needs both its neurons, so
//! that such a neuron has neither row nor column, and the others are fitted anew without it, as without silent ones. If ridges
//! are given to choose from, zero is not chosen then. [`RowStatus::NotConverged`] rows hold their last values, and are half of
//! what other neurons' couplings to them are made of.
//!
//! *Standard errors* come from [`ERROR_BLOCKS`] contiguous blocks of bins (the sandwich of White, Econometrica 50, 1 (1982), with blocks for
//! observations): a block moves row *i* by `(H_i + Λ_i)⁻¹ g_ib`, the symmetric coupling by the mean of both rows' movements, and
//! `SE² = B/(B − 1) Σ_b δ_b²`, but no less than if bins were independent, by Fisher information. That needs each row's own Fisher information: see [`ERRORS_SECONDS_MAX`].
//!
//! Results do not depend on the number of threads. Checked against scikit-learn and known couplings in `tests/pseudo_likelihood.rs`.

mod bins;
mod choice;
mod errors;
mod training;

use ndarray::Array1;

use super::{ERROR_BLOCKS, EquilibriumError, Samples};
use crate::model::{
    CrossValidated, EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod, EquilibriumModel, Ridges,
    RowStatus,
};
use crate::regression::{Progress, Stopping, separation};
use bins::Bins;
use errors::{Responses, StandardErrors};
use training::{Fitted, Symmetric, Training};

/// Standard errors are given if they are expected to take no more than this many seconds of one core with AVX-512 on top of the fit. Expected
/// costs depend on the numbers of neurons, distinct configurations and active pairs alone, so what is given is the same on every machine. 100
/// neurons, half of them active in each of 10⁴ bins, take 0.4 by this count; 10⁵ such bins are beyond.
pub const ERRORS_SECONDS_MAX: f64 = 4.0;

/// Most folds.
pub const FOLDS_MAX: usize = 100;

/// How the pseudo-likelihood is maximised.
#[derive(Debug, Clone, PartialEq)]
pub struct PseudoLikelihoodOptions {
    /// `λ ≥ 0`, dimensionless, in units of the variances `1 − m²`: to first order, what naive mean field would add to the diagonal of `C`. One,
    /// or several to choose from.
    pub ridges: Ridges,
    /// Contiguous folds of the bins for that choice, 2 to [`FOLDS_MAX`]; not read when there is one ridge. Never more than there are bins.
    pub folds: usize,
    /// A row has converged when the Euclidean norm of the gradient of its penalised mean log-likelihood with respect to `(h_i, J_i·)`
    /// is at most this, above 0 and at most 1. Fits to all but a fold may stop sooner.
    pub gradient_norm_max: f64,
    /// Most passes over the configurations in one fit, at least 1; rows still moving then are [`RowStatus::NotConverged`].
    pub iterations_max: u32,
    /// Whether standard errors are wanted where they are affordable, see [`ERRORS_SECONDS_MAX`].
    pub errors: bool,
    /// Most threads to use; 0 counts as 1. The result does not depend on it.
    pub threads: usize,
}

impl Default for PseudoLikelihoodOptions {
    /// Five folds and ridges 0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.
    fn default() -> Self {
        Self {
            ridges: Ridges::auto_pseudo_likelihood(),
            folds: 5,
            gradient_norm_max: 1e-8,
            iterations_max: 500,
            errors: true,
            threads: 1,
        }
    }
}

impl PseudoLikelihoodOptions {
    fn check(&self) -> Result<(), EquilibriumError> {
        let range = |what, found: f64, min: f64, max: f64| {
            let fine = (min..=max).contains(&found);
            if fine { Ok(()) } else { Err(EquilibriumError::Range { what, found, min, max }) }
        };
        range("number of folds", self.folds as f64, 2.0, FOLDS_MAX as f64)?;
        range("gradient_norm_max", self.gradient_norm_max, f64::MIN_POSITIVE, 1.0)?;
        range("iterations_max", f64::from(self.iterations_max), 1.0, f64::from(u32::MAX))
    }

    fn stopping(&self) -> Stopping {
        let Self { gradient_norm_max, iterations_max, threads, .. } = *self;
        Stopping { gradient_norm_max, iterations_max, threads }
    }
}

/// The pairwise model whose conditional probabilities fit the bins best; see the module's text.
///
/// # Errors
/// [`EquilibriumError::Range`] for options outside their ranges. What the data do not allow is a [`RowStatus`].
pub fn pseudo_likelihood(
    samples: &Samples,
    options: &PseudoLikelihoodOptions,
) -> Result<EquilibriumModel, EquilibriumError> {
    options.check()?;
    let ridges = options.ridges.as_slice();
    let all = Bins::all(&samples.configurations);
    let path = if ridges.len() > 1 && samples.n() > 0 {
        choice::scores(&samples.configurations, &all, ridges, options.folds, options.stopping())
    } else {
        Vec::new()
    };
    let mut candidates: Vec<CrossValidated> = path.clone();
    candidates.sort_by(|a, b| b.bits_per_bin.total_cmp(&a.bits_per_bin));
    let mut ridges: Vec<f64> = candidates.iter().map(|candidate| candidate.ridge).collect();
    // One ridge, or nothing that could be scored: then the largest is the safest.
    ridges.extend(options.ridges.as_slice().last().filter(|_| path.is_empty()));
    let mut first = None;
    for ridge in ridges {
        let fit = Fit::of(samples, &all, ridge, options);
        // Only zero can fail, where what was left out of a fold is found to separate.
        if fit.is_complete() {
            return Ok(fit.model(samples, path));
        }
        first.get_or_insert(fit);
    }
    let fit = first.unwrap_or_else(|| Fit::without(samples.n(), 0.0));
    Ok(fit.model(samples, path))
}

/// A fit to all bins.
struct Fit {
    ridge: f64,
    /// Of each neuron of the samples.
    status: Vec<RowStatus>,
    gradient_norm: Array1<f64>,
    iterations: u32,
    /// Neurons with an estimate, increasing.
    keep: Vec<usize>,
    model: Symmetric,
    errors: Option<StandardErrors>,
}

impl Fit {
    fn without(n: usize, ridge: f64) -> Self {
        let model = Symmetric { couplings: ndarray::Array2::zeros((0, 0)), fields: Array1::zeros(0) };
        let (status, gradient_norm) = (vec![RowStatus::Undersampled; n], Array1::zeros(n));
        Self { ridge, status, gradient_norm, iterations: 0, keep: Vec::new(), model, errors: None }
    }

    /// Neurons that turn out to be separated leave, and the others are fitted anew.
    fn of(samples: &Samples, all: &Bins<'_>, ridge: f64, options: &PseudoLikelihoodOptions) -> Self {
        let mut fit = Self::without(samples.n(), ridge);
        let mut keep: Vec<usize> = (0..samples.n()).collect();
        while !keep.is_empty() {
            let training = Training::of(all, keep.clone());
            let fitted = match training.fit(ridge, None, options.stopping()) {
                Ok(fitted) => fitted,
                Err(why) => {
                    keep.iter().for_each(|&i| fit.status[i] = why);
                    return fit;
                }
            };
            let responses = responses(&fitted, samples, &keep, options);
            let separated = match &responses {
                Some(responses) => responses.separated(&fitted),
                None => separation::by_gains(&fitted.problem, &fitted.rows, options.threads),
            };
            let mut estimated = Vec::with_capacity(keep.len());
            keep.iter().for_each(|&i| fit.status[i] = RowStatus::Separated);
            for (row, _) in fitted.rows.iter().zip(&separated).filter(|(_, separated)| !**separated) {
                let i = keep[row.place];
                fit.status[i] =
                    if row.progress == Progress::Converged { RowStatus::Ok } else { RowStatus::NotConverged };
                estimated.push(i);
            }
            for row in &fitted.rows {
                fit.gradient_norm[keep[row.place]] = row.gradient_norm;
                fit.iterations = fit.iterations.max(row.iterations);
            }
            if estimated.len() == keep.len() {
                fit.model = fitted.symmetric();
                fit.errors = responses.and_then(|responses| responses.standard_errors(&fitted));
                fit.keep = keep;
                return fit;
            }
            keep = estimated;
        }
        fit
    }

    fn is_complete(&self) -> bool {
        !self.status.is_empty() && self.status.iter().all(|status| status.has_estimate())
    }

    fn model(self, samples: &Samples, path: Vec<CrossValidated>) -> EquilibriumModel {
        let gradient_norm = samples.spread(&self.gradient_norm);
        let diagnostics = EquilibriumDiagnostics::PseudoLikelihood { ridge: self.ridge, path, gradient_norm };
        let method = EquilibriumMethod::PseudoLikelihood;
        let mut model = samples.nothing(method, RowStatus::Undersampled, diagnostics);
        model.iterations = self.iterations;
        samples.taking_part.iter().zip(self.status).for_each(|(&i, status)| model.status[i] = status);
        let neurons: Vec<usize> = self.keep.iter().map(|&k| samples.taking_part[k]).collect();
        let mut errors = self.errors.map(|found| {
            let (couplings, fields) = (model.couplings.clone(), model.fields.clone());
            (EquilibriumErrors { couplings, fields, blocks: found.blocks }, found)
        });
        for (row, &i) in neurons.iter().enumerate() {
            model.fields[i] = self.model.fields[row];
            for (column, &j) in neurons.iter().enumerate() {
                model.couplings[[i, j]] = self.model.couplings[[row, column]];
            }
            if let Some((errors, found)) = &mut errors {
                errors.fields[i] = found.fields[row];
                for (column, &j) in neurons.iter().enumerate() {
                    errors.couplings[[i, j]] = found.couplings[[row, column]];
                }
            }
        }
        model.errors = errors.map(|(errors, _)| errors);
        model
    }
}

/// What standard errors are made of, if they are wanted and affordable and every row has an estimate so far.
fn responses(
    fitted: &Fitted<'_>,
    samples: &Samples,
    keep: &[usize],
    options: &PseudoLikelihoodOptions,
) -> Option<Responses> {
    let seconds = 1e-9 * fitted.problem.costs.fisher * fitted.rows.len() as f64;
    let affordable = options.errors && fitted.is_complete() && seconds <= ERRORS_SECONDS_MAX;
    let all = &samples.configurations;
    affordable.then(|| Responses::of(fitted, all, keep, ERROR_BLOCKS, options.threads))?
}
