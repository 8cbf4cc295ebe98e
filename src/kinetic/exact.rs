//! Exact maximum likelihood: which couplings make the transitions most probable?
//!
//! For every receiver *i* the penalised mean log-likelihood of its `T` transitions is maximised on its own,
//!
//! ```text
//! (1/T) Σ_t log P(s_i(t+1) | s(t)) − (λ a_i / 2) Σ_j J_ij²        a_i = 1 − (m_i⁺)²
//! ∂/∂J_ij = ⟨s_i(t+1) s_j(t)⟩ − ⟨tanh θ_i(t) s_j(t)⟩ − λ a_i J_ij
//! ∂/∂h_i  = m_i⁺ − ⟨tanh θ_i(t)⟩                                  θ_i(t) = h_i + Σ_j J_ij s_j(t)
//! ```
//!
//! a concave logistic regression (Roudi & Hertz, PRL 106, 048702 (2011), Eqs. 2 and 3). Scaled by `a_i`, the ridge `λ` is to first order
//! that of naive mean field, `B = D (C + λI)⁻¹`: one value serves all estimators.
//!
//! How: [`crate::regression`], which equilibrium models share. The start is independent rates, from which the first step is naive mean
//! field, or a warm start.
//!
//! What cannot be estimated is zero and says why. Silent, saturated and repeated neurons take no part. Without a ridge, rows whose
//! likelihood has no finite maximum are [`RowStatus::Separated`]: told exactly from the counts if one sender is to blame, which is common
//! where spikes are rare; if several are, from a coefficient about which the data hold less than a hundredth of an observation at the
//! end of the iteration.
//!
//! Results do not depend on the number of threads, bit for bit. Memory is that of the distinct patterns (2 bytes per spike and some 40 per
//! pattern), some 25 n² numbers and, while rows take Newton steps or get standard errors from Fisher information, per thread another 16 n²
//! (sums over pairs of active senders) or 32 n² (products of matrices). Checked against scikit-learn, scipy and the Cramér–Rao bound in `tests/exact.rs`.

use ndarray::{Array1, Array2};

use super::inversion::{InversionError, Moments, SenderVariance};
use super::participation::Participation;
use super::without_rows;
use crate::model::{Convergence, Estimate, Estimator, Ridges, RowStatus, Runs, SamplingVariance};
use crate::moments::Counts;
use crate::regression::{self, separation};
use crate::regression::{
    Costs, LogOdds, Own, Patterns, Problem, Progress, Row, RowVariance, Stopping, Summand, Table,
};

/// Standard errors come from each row's own Fisher information ([`SamplingVariance::Full`]) if that is expected to cost no more than
/// this many passes over the transitions, about twice a fit, and no more than [`FISHER_SECONDS_MAX`]; or less than
/// [`FISHER_SECONDS_FREE`]. Otherwise they are [`SamplingVariance::Factored`].
///
/// Factored ones take the information of a row to be its mean gain times the covariance of the senders, and with a ridge `λ` also the
/// penalty relative to it to be `λ`, where it is `λ a_i / ⟨1 − tanh² θ_i⟩`: the mean gain is below `a_i` where couplings are strong, so
/// that with a ridge they are too large there, and `z` too small. Without a ridge there is no such error.
///
/// Expected costs depend on the numbers of neurons, distinct sender bins and active pairs alone, so the kind of variance is the same on
/// every machine.
pub const FISHER_PASSES_MAX: f64 = 32.0;

/// See [`FISHER_PASSES_MAX`]; expected seconds of one core with AVX-512.
pub const FISHER_SECONDS_MAX: f64 = 4.0;

/// See [`FISHER_PASSES_MAX`]; expected seconds of one core with AVX-512.
pub const FISHER_SECONDS_FREE: f64 = 0.1;

/// How the likelihood is maximised.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactOptions {
    /// `λ ≥ 0`, dimensionless; see [`Estimate::ridge`]. A value that [`Ridges::allows`] refuses makes every row [`RowStatus::Singular`].
    pub ridge: f64,
    /// A row has converged when the Euclidean norm of the gradient of its penalised mean log-likelihood with respect to
    /// `(h_i, J_i·)` is at most this.
    pub gradient_norm_max: f64,
    /// Most passes over the transitions; rows still moving then are [`RowStatus::NotConverged`].
    pub iterations_max: u32,
    /// Whether standard errors may come from the Fisher information of each row where that is affordable, see
    /// [`FISHER_PASSES_MAX`]; they are [`SamplingVariance::Factored`] otherwise.
    pub fisher: bool,
    /// Most threads to use; 0 counts as 1. The result does not depend on it.
    pub threads: usize,
}

impl Default for ExactOptions {
    fn default() -> Self {
        Self { ridge: 0.0, gradient_norm_max: 1e-8, iterations_max: 500, fisher: true, threads: 1 }
    }
}

/// Maximum likelihood couplings of the lag-1 transitions of `runs`, whose counts are `counts`.
///
/// Rows start at `warm` if it is of as many neurons, finite, and more likely than independent rates; a cold start is
/// bit-reproducible. Never fails: what cannot be estimated is zero and its [`RowStatus`] says why.
///
/// # Panics
/// When `counts` are not those of `runs`.
#[must_use]
pub fn exact(runs: &Runs, counts: &Counts, options: &ExactOptions, warm: Option<&Estimate>) -> Estimate {
    Fit::new(runs, counts).estimate(options, warm)
}

/// [`exact`] for several ridges, in the order of `ridges`; [`ExactOptions::ridge`] is not read.
///
/// Computed from the largest down, each started at its neighbour, the largest at `warm`.
///
/// # Panics
/// As [`exact`].
#[must_use]
pub fn exact_path(
    runs: &Runs,
    counts: &Counts,
    ridges: &[f64],
    options: &ExactOptions,
    warm: Option<&Estimate>,
) -> Vec<Estimate> {
    let fit = Fit::new(runs, counts);
    let mut order: Vec<usize> = (0..ridges.len()).collect();
    order.sort_by(|&a, &b| ridges[b].total_cmp(&ridges[a]));
    let mut estimates: Vec<(usize, Estimate)> = Vec::with_capacity(ridges.len());
    for place in order {
        let options = ExactOptions { ridge: ridges[place], ..options.clone() };
        let estimate = fit.estimate(&options, estimates.last().map(|(_, e)| e).or(warm));
        estimates.push((place, estimate));
    }
    estimates.sort_by_key(|&(place, _)| place);
    estimates.into_iter().map(|(_, estimate)| estimate).collect()
}

/// What does not depend on the ridge.
struct Fit<'a> {
    counts: &'a Counts,
    participation: Participation,
    table: Table,
    patterns: Patterns,
}

impl<'a> Fit<'a> {
    fn new(runs: &Runs, counts: &'a Counts) -> Self {
        let lag = &counts.lags[0];
        assert_eq!(runs.n_neurons, counts.n_neurons, "counts of other neurons");
        assert_eq!((1, runs.transitions()), (lag.lag_bins, lag.transitions), "counts of other bins");
        let participation = Participation::of(counts);
        let table = table(counts, &participation.active);
        let patterns = Patterns::of_transitions(runs, &participation.active);
        Self { counts, participation, table, patterns }
    }

    fn estimate(&self, options: &ExactOptions, warm: Option<&Estimate>) -> Estimate {
        let active = &self.participation.active;
        if active.is_empty() {
            return self.nothing(options, RowStatus::Undersampled);
        }
        if !Ridges::allows(options.ridge) {
            return self.nothing(options, RowStatus::Singular);
        }
        let senders = match SenderVariance::of(&Moments::of(self.counts, active), options.ridge) {
            Ok(senders) => senders,
            Err(InversionError::Undersampled) => return self.nothing(options, RowStatus::Undersampled),
            Err(InversionError::Singular) => return self.nothing(options, RowStatus::Singular),
        };
        let Some(problem) = Problem::new(&self.table, &self.patterns, options.ridge) else {
            return self.nothing(options, RowStatus::Singular);
        };
        let mut rows: Vec<Row> = (0..problem.n())
            .filter(|&row| options.ridge > 0.0 || !problem.has_empty_cell(row))
            .map(|row| {
                let (parameters, here) = problem.independent(row);
                Row::new(row, parameters, here)
            })
            .collect();
        if let Some(warm) = warm {
            start_at(&problem, active, &mut rows, warm, options.threads);
        }
        let ExactOptions { gradient_norm_max, iterations_max, threads, .. } = *options;
        regression::maximise(&problem, &mut rows, Stopping { gradient_norm_max, iterations_max, threads });
        let full = options.fisher && fisher_is_affordable(&problem.costs, rows.len());
        let errors = if full { row_variances(&problem, &rows, threads) } else { Vec::new() };
        let separated = if full {
            separation::by_variances(&problem, &rows, errors.iter().map(Option::as_ref))
        } else {
            separation::by_gains(&problem, &rows, threads)
        };
        let mut result = self.nothing(options, RowStatus::Separated);
        result.variance = if full {
            self.full(&rows, &separated, errors)
        } else {
            self.factored(&senders, &rows, &separated)
        };
        fill(&mut result, &problem, active, &rows, &separated);
        result
    }

    /// All zeros; neurons that would take part say `why` they do not.
    fn nothing(&self, options: &ExactOptions, why: RowStatus) -> Estimate {
        let n = self.counts.n_neurons;
        let convergence = Convergence { iterations: vec![0; n], gradient_norm: Array1::zeros(n) };
        let empty = without_rows(
            Estimator::Exact,
            options.ridge,
            &self.participation,
            why,
            self.counts.lags[0].transitions,
        );
        Estimate { convergence: Some(convergence), ..empty }
    }

    fn full(&self, rows: &[Row], separated: &[bool], errors: Vec<Option<RowVariance>>) -> SamplingVariance {
        let n = self.counts.n_neurons;
        let active = &self.participation.active;
        let (mut couplings, mut fields) = (Array2::zeros((n, n)), Array1::zeros(n));
        for ((row, _), errors) in rows.iter().zip(separated).zip(errors).filter(|((_, s), _)| !**s) {
            let Some(errors) = errors else { continue };
            let i = active[row.place];
            fields[i] = errors.field;
            for (&j, variance) in active.iter().zip(errors.couplings) {
                couplings[[i, j]] = variance;
            }
        }
        SamplingVariance::Full { couplings, fields, transitions: self.counts.lags[0].transitions }
    }

    fn factored(&self, senders: &SenderVariance, rows: &[Row], separated: &[bool]) -> SamplingVariance {
        let n = self.counts.n_neurons;
        let (mut sender, mut receiver) = (Array1::zeros(n), Array1::zeros(n));
        for (&j, &variance) in self.participation.active.iter().zip(&senders.sender) {
            sender[j] = variance;
        }
        for (row, _) in rows.iter().zip(separated).filter(|(_, s)| !**s) {
            receiver[self.participation.active[row.place]] = row.here.gain;
        }
        let (field, transitions) = (senders.field, self.counts.lags[0].transitions);
        SamplingVariance::Factored { sender, receiver, field, transitions }
    }
}

/// Put fitted rows into an estimate of all neurons; those separated keep their zeros.
fn fill(estimate: &mut Estimate, problem: &Problem, active: &[usize], rows: &[Row], separated: &[bool]) {
    for (row, &separated) in rows.iter().zip(separated) {
        let i = active[row.place];
        if let Some(convergence) = &mut estimate.convergence {
            convergence.iterations[i] = row.iterations;
            convergence.gradient_norm[i] = row.gradient_norm;
        }
        if separated {
            continue;
        }
        estimate.status[i] = match row.progress {
            Progress::Converged => RowStatus::Ok,
            Progress::Moving | Progress::Stopped => RowStatus::NotConverged,
        };
        estimate.fields[i] = problem.field(&row.parameters);
        for (&j, &coupling) in active.iter().zip(&row.parameters.couplings) {
            estimate.couplings[[i, j]] = coupling;
        }
    }
}

/// Counts and correlations of the lag-1 transitions, of the neurons that take part.
fn table(counts: &Counts, active: &[usize]) -> Table {
    let lag = &counts.lags[0];
    let (n, k) = (counts.n_neurons, active.len());
    let square = |all: Array2<f64>| Array2::from_shape_fn((k, k), |(i, j)| all[[active[i], active[j]]]);
    Table {
        observations: lag.transitions,
        senders: active.iter().map(|&j| lag.sender[j]).collect(),
        receivers: active.iter().map(|&i| lag.receiver[i]).collect(),
        together: active.iter().flat_map(|&i| active.iter().map(move |&j| lag.delayed[i * n + j])).collect(),
        correlations: square(counts.equal_time_correlations()),
        cross_correlations: square(lag.delayed_correlations()),
        own: Own::Free,
    }
}

/// Move rows to a warm start where that is more likely than independent rates.
fn start_at(problem: &Problem, active: &[usize], rows: &mut [Row], warm: &Estimate, threads: usize) {
    let n = warm.n_neurons();
    if active.last().is_none_or(|&last| last >= n) || warm.couplings.dim() != (n, n) {
        return;
    }
    let starts: Vec<_> = rows
        .iter()
        .map(|row| {
            let i = active[row.place];
            let couplings = active.iter().map(|&j| warm.couplings[[i, j]]).collect();
            problem.centred(couplings, warm.fields[i])
        })
        .collect();
    let log_odds: Vec<LogOdds> = starts.iter().map(|start| problem.log_odds(start)).collect();
    let layout = problem.costs.pass_layout;
    let sums = regression::sums(problem.patterns, layout, &log_odds, Summand::Probability, threads);
    for ((row, start), sums) in rows.iter_mut().zip(starts).zip(sums) {
        let there = problem.evaluation(row.place, &start, &sums);
        if start.is_finite() && there.gradient.is_finite() && there.value > row.here.value {
            *row = Row::new(row.place, start, there);
        }
        row.iterations = 1;
    }
}

fn fisher_is_affordable(costs: &Costs, rows: usize) -> bool {
    let seconds = 1e-9 * costs.fisher * rows as f64;
    let cheap = costs.fisher <= FISHER_PASSES_MAX * costs.pass && seconds <= FISHER_SECONDS_MAX;
    cheap || seconds <= FISHER_SECONDS_FREE
}

fn row_variances(problem: &Problem, rows: &[Row], threads: usize) -> Vec<Option<RowVariance>> {
    let points: Vec<_> = rows.iter().map(|row| (row.place, &row.parameters)).collect();
    regression::variances(problem, &points, threads)
}
