//! The erasure machine: couplings from configurations reweighted towards equal probability.
//!
//! ```text
//! f̃ ∝ f · exp((ε − 1) w·O)      w = (h, J),   O = (s_i, s_i s_j),   f: shares of the bins
//! ε w = ⟨O⟩_f̃                    0 < ε ≤ 1;   ε = 1 is Hopfield's rule
//! ```
//!
//! Jo, Hoang & Periwal (arXiv:1909.04305) iterate `w ← w + α (⟨O⟩_f̃ − ε w)`, which oscillates where couplings are strong and creeps
//! where `ε` is small. But the equation says that the gradient of
//!
//! ```text
//! F(w) = log Σ_c f_c exp((ε − 1) w·O_c) / (1 − ε) + ε |w|² / 2,      Hessian ε + (1 − ε) Cov_f̃(O)
//! ```
//!
//! is zero, and `F` is strictly convex: the fixed point exists, is unique, and is found by minimising. Done so here, for every `ε` from
//! the one before (`minimize`). The `ε` chosen is that with the largest mean energy `⟨E⟩_f` over the bins as observed.
//!
//! Cost: one pass is `T n²` multiplications and additions each for energies and moments over `T` distinct configurations, or as
//! many as they have pairs of active neurons.
//!
//! Validity. The largest mean energy is a rule of thumb: for Sherrington-Kirkpatrick networks of 40 neurons (g = 0.5 and 1; 5,000 and
//! 10,000 bins) its `ε` is within 0.1 of that of the least error, and its error within 15 % of that (`tests/erasure.rs`). TAP is nearer the truth there with 10,000
//! bins; with 200 bins of 20 neurons at g = 1 the erasure machine is. Hundred plain iterations from zero, as published, never get to 1e-6
//! for any `ε` from 0.95 down; at the `ε` chosen the error of couplings differs by less than 2 % from that of the fixed point.
//!
//! Not for sparse recordings. A neuron that hardly ever fires needs a large negative field, and that is what `ε` penalises; on a recording of
//! a retina with 0.8 % of neurons active per bin the model describes bins that were left out far worse than independent rates do, by 87
//! bits per spike, and a numpy program of the published iteration says the same.

mod errors;
mod line;
mod memory;
mod minimize;
mod problem;

use std::ops::ControlFlow;

use ndarray::{Array1, Array2};

use self::minimize::Path;
use self::problem::{Point, Problem};
use super::kernels::unpack;
use super::{EquilibriumError, Samples};
use crate::model::{EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, ErasureStep, RowStatus};

/// How the fixed point of each `ε` is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErasureSolver {
    /// Minimise the convex function that has the fixed point for its minimum, each `ε` from the one before.
    Minimize {
        /// Most passes over the configurations for one `ε`; at least 1.
        iterations_max: u32,
    },
    /// The published iteration `w ← w + rate (⟨O⟩_f̃ − ε w)`, from zero for each `ε`. After few iterations it has not arrived, which
    /// acts as a stronger `ε`.
    Plain {
        /// Above 0, at most 1.
        rate: f64,
        /// Most iterations; at least 1.
        iterations: u32,
    },
}

/// What the erasure machine is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ErasureOptions {
    /// Every `ε` to try, 0 < ε ≤ 1, in any order; 1 to 1000 of them. Default: 1.00, 0.95, …, 0.05.
    ///
    /// Where the largest mean energy is that of the least `ε` (`chosen` is the last of the path), the maximum may lie below it; that of
    /// `ε = 1` is a bound by nature.
    pub epsilons: Vec<f64>,
    /// Largest `|⟨O⟩_f̃ − ε w|` that counts as zero, 1e-12 to 1. Default 1e-6: means of a million bins have errors of 1e-3, and a coupling
    /// is then wrong by some 1e-6 / ε. Errors of a direction in which all of `n (n + 1) / 2` parameters change add up to `n / √2` times that
    /// at worst, 0.006 at ε = 0.05 with 400 neurons: not a number to be had ten times larger.
    pub tolerance: f64,
    /// Default [`ErasureSolver::Minimize`] with at most 1000 passes.
    pub solver: ErasureSolver,
    /// Most threads to use; 0 counts as 1. No result depends on it.
    pub threads: usize,
    /// Whether to find standard errors, which costs about as much as a few `ε`. Default yes.
    pub errors: bool,
    /// [`erasure_machine`] ends the scan once `⟨E⟩` has been below its largest value at so many `ε` in succession; `None` tries every one,
    /// 0 counts as 1. Default 4.
    ///
    /// On the recordings and networks seen `⟨E⟩` has a single maximum, and the smallest `ε` cost most. That is no proof that it never rises
    /// again: what has been tried is in the path.
    pub stop_after_falls: Option<usize>,
}

impl Default for ErasureOptions {
    fn default() -> Self {
        Self {
            epsilons: (1..=20).rev().map(|k| f64::from(k) / 20.0).collect(),
            tolerance: 1e-6,
            solver: ErasureSolver::Minimize { iterations_max: 1000 },
            threads: 1,
            errors: true,
            stop_after_falls: Some(4),
        }
    }
}

const EPSILONS_MAX: usize = 1000;

impl ErasureOptions {
    fn check(&self) -> Result<(), EquilibriumError> {
        let found = self.epsilons.len();
        if !(1..=EPSILONS_MAX).contains(&found) {
            return Err(EquilibriumError::Count { what: "epsilons", min: 1, max: EPSILONS_MAX, found });
        }
        if let Some(&found) = self.epsilons.iter().find(|&&epsilon| !(epsilon > 0.0 && epsilon <= 1.0)) {
            return Err(EquilibriumError::Epsilon { found });
        }
        let range = |what, found: f64, min, max| {
            if (min..=max).contains(&found) {
                Ok(())
            } else {
                Err(EquilibriumError::Range { what, found, min, max })
            }
        };
        range("tolerance", self.tolerance, 1e-12, 1.0)?;
        let passes = match self.solver {
            ErasureSolver::Minimize { iterations_max } => iterations_max,
            ErasureSolver::Plain { rate, iterations } => {
                range("rate", rate, f64::MIN_POSITIVE, 1.0)?;
                iterations
            }
        };
        range("iterations", f64::from(passes), 1.0, f64::from(u32::MAX))
    }
}

/// The erasure machine at the `ε` with the largest mean energy of those tried, from the largest down
/// ([`ErasureOptions::stop_after_falls`]).
///
/// When that one has not converged, its neurons say [`RowStatus::NotConverged`]. Standard errors are those at this `ε`: that the data also
/// chose it, and the bias towards zero that it brings, are not in them.
///
/// # Errors
/// [`EquilibriumError`] on options outside their ranges.
pub fn erasure_machine(
    samples: &Samples,
    options: &ErasureOptions,
) -> Result<EquilibriumModel, EquilibriumError> {
    options.check()?;
    let Some(problem) = problem_of(samples, options) else {
        return Ok(nothing(samples));
    };
    let (mut path, mut best): (Vec<ErasureStep>, Option<(usize, Point)>) = (Vec::new(), None);
    walk(&problem, options, |step, point| {
        let energy = |chosen: usize, path: &[ErasureStep]| path[chosen].mean_energy;
        if best.as_ref().is_none_or(|(chosen, _)| step.mean_energy > energy(*chosen, &path)) {
            best = Some((path.len(), point.clone()));
        }
        path.push(step);
        let since_best = path.len() - 1 - best.as_ref().map_or(0, |(chosen, _)| *chosen);
        if options.stop_after_falls.is_some_and(|falls| since_best >= falls.max(1)) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let Some((chosen, point)) = best else {
        return Ok(nothing(samples));
    };
    let iterations = path.iter().fold(0_u32, |sum, step| sum.saturating_add(step.iterations));
    let (epsilon, converged) = (path[chosen].epsilon, path[chosen].converged);
    let why = if converged { RowStatus::Ok } else { RowStatus::NotConverged };
    let (couplings, fields) = unpack(samples.n(), &point.parameters);
    let errors = (options.errors && converged)
        .then(|| errors::standard_errors(&problem, samples, epsilon, &point.weights, options.threads))
        .flatten();
    let diagnostics = EquilibriumDiagnostics::Erasure { chosen, path };
    Ok(EquilibriumModel {
        couplings: samples.spread_matrix(&couplings),
        fields: samples.spread(&fields),
        errors,
        iterations,
        ..samples.nothing(EquilibriumMethod::ErasureMachine, why, diagnostics)
    })
}

/// Couplings, shape `(n_neurons, n_neurons)`, and fields for every `ε`, from the largest down, one at a time: all of them, whatever
/// [`ErasureOptions::stop_after_falls`] says. `visit` is never called when the data allow no estimate.
///
/// # Errors
/// [`EquilibriumError`] on options outside their ranges.
pub fn erasure_path(
    samples: &Samples,
    options: &ErasureOptions,
    mut visit: impl FnMut(&ErasureStep, &Array2<f64>, &Array1<f64>),
) -> Result<(), EquilibriumError> {
    options.check()?;
    if let Some(problem) = problem_of(samples, options) {
        walk(&problem, options, |step, point| {
            let (couplings, fields) = unpack(samples.n(), &point.parameters);
            visit(&step, &samples.spread_matrix(&couplings), &samples.spread(&fields));
            ControlFlow::Continue(())
        });
    }
    Ok(())
}

fn problem_of<'a>(samples: &'a Samples, options: &ErasureOptions) -> Option<Problem<'a>> {
    (samples.n() > 0 && !samples.is_undersampled()).then(|| Problem::new(samples, options.threads))
}

fn nothing(samples: &Samples) -> EquilibriumModel {
    let diagnostics = EquilibriumDiagnostics::Erasure { chosen: 0, path: Vec::new() };
    samples.nothing(EquilibriumMethod::ErasureMachine, RowStatus::Undersampled, diagnostics)
}

fn walk(
    problem: &Problem,
    options: &ErasureOptions,
    mut visit: impl FnMut(ErasureStep, &Point) -> ControlFlow<()>,
) {
    let mut epsilons = options.epsilons.clone();
    epsilons.sort_by(|a, b| b.total_cmp(a));
    epsilons.dedup();
    let mut path = Path::new(problem);
    for epsilon in epsilons {
        let (point, iterations) = match options.solver {
            ErasureSolver::Minimize { iterations_max } => {
                path.advance(epsilon, options.tolerance, iterations_max)
            }
            ErasureSolver::Plain { rate, iterations } => {
                problem.iterate(epsilon, rate, options.tolerance, iterations)
            }
        };
        let residual = point.residual(epsilon);
        let square: f64 = point.weights.iter().map(|weight| weight * weight).sum();
        let step = ErasureStep {
            epsilon,
            mean_energy: problem.mean_energy(&point.parameters),
            effective_samples: 1.0 / square,
            residual,
            iterations,
            converged: residual <= options.tolerance,
        };
        if visit(step, &point).is_break() {
            break;
        }
    }
}
