//! Couplings from repeated trials: what is left when everything that the stimulus explains is taken away?
//!
//! A stimulus that comes again and again drives neurons together, and an estimator that takes fields for constant finds couplings
//! where there are none. Here the field of each neuron is free in every bin of a trial, the same in all repeats, and couplings are
//! what makes repeats differ. With `⟨·⟩_r` the mean over the `R_t` repeats that have the transition from trial bin `t` to `t + 1`,
//! `m_i(t)`, `C(t)`, `D(t)` the moments over these, and `⟨·⟩_t` the mean over trial bins weighted by their repeats
//!
//! ```text
//! a_i(t) = R_t/(R_t − 1) (1 − m_i²(t+1))
//! naive mean field   J_i· = ⟨D_i·(t)⟩_t [⟨a_i(t) C(t)⟩_t + λ ⟨a_i⟩_t I]⁻¹       h_i(t) = atanh m_i(t+1) − Σ_j J_ij m_j(t)
//! TAP                the same with a_i(t) [1 − a_i(t) Σ_l J_il² (1 − m_l²(t))] for a_i(t), iterated
//! exact              max over J_i· and h_i(t) of ⟨⟨ln P(s_i(t+1) | s(t))⟩_r⟩_t − (λ/2) ⟨a_i⟩_t Σ_j J_ij²
//! ```
//!
//! (Roudi & Hertz, PRL 106, 048702 (2011).) With one bin per trial and many repeats the first is [`super::estimate`]'s naive mean field,
//! ridge included: the penalty of both is `λ` times the mean gain.
//!
//! *Finite repeats.* Means that are taken from the repeats themselves make `C(t)`, `D(t)` and `1 − m_i²(t+1)` too small by
//! `(R − 1)/R`. In `C` and `D` it cancels; in `1 − m_i²` it does not, hence the factor in `a_i(t)`, without which couplings would be too large
//! by `R/(R − 1)`. Maximum likelihood with a parameter per bin has that very bias (Neyman & Scott, Econometrica 16, 1 (1948)): found over true
//! couplings is 1.28, 1.13, 1.05, 1.02, 1.01 at R = 5, 10, 20, 40, 80 (n = 10, g = 0.3; `tests/trials.rs` holds two of
//! them to `R/(R − 1)`). It is not corrected.
//!
//! Trial bins that fewer than two repeats have are left out, and so are those in which the receiver fired in no repeat or in all: its
//! field is infinite there (for predictions, one of a smoothed rate stands in its place), and they tell nothing about couplings. A neuron that does the same in every repeat of every bin takes no
//! part. Trials that overlap: one ends where the next begins.
//!
//! Cost of a row: naive mean field and each round of TAP O(L n²) for L trial bins, or O(T k²) for T transitions with k spikes when the
//! correlations of all bins do not fit into 256 MB; exact O(T k) per evaluation and O(T k²) for its variance; O(n³) each. Memory per thread:
//! 16 bytes per transition and some n² floats. Rows are shared out between threads and do not depend on how.
//!
//! Checked against numpy and scikit-learn in `tests/reference.rs`, and against known couplings in `tests/trials.rs`.

mod correlations;
mod exact;
mod likelihood;
mod linear;
mod mean_field;
mod repeats;
mod row;

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array1, Array2};

use crate::model::{
    Convergence, Estimate, Estimator, EstimatorInput, Runs, SamplingVariance, Trial, TrialFields,
};
use correlations::BinCorrelations;
use repeats::Repeats;
pub use repeats::TRIAL_BINS_MAX;
use row::{Receiver, Row};

/// How couplings are estimated from trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialOptions {
    /// Ridge `λ ≥ 0`, dimensionless: `λ` times the mean gain `⟨a_i⟩_t` of the row is added to the diagonal of its `⟨a_i(t) C(t)⟩_t`, and
    /// `(λ ⟨a_i⟩_t / 2) Σ_j J_ij²` is taken from its mean log-likelihood.
    /// A value that [`crate::model::Ridges::allows`] refuses makes every row [`crate::model::RowStatus::Singular`].
    pub ridge: f64,
    /// Gradient norm at which maximum likelihood has converged; see [`Convergence::gradient_norm`].
    pub gradient_norm_max: f64,
    /// Most evaluations of the likelihood of a row, and most rounds of TAP.
    pub iterations_max: u32,
    /// Threads that share the rows, at least 1. Results do not depend on it.
    pub threads: usize,
}

impl Default for TrialOptions {
    /// No ridge, a gradient norm of 1e-8, 500 iterations, one thread.
    fn default() -> Self {
        Self { ridge: 0.0, gradient_norm_max: 1e-8, iterations_max: 500, threads: 1 }
    }
}

/// Run those of `estimators` that read trials on the transitions of `trials` whose bins `runs` hold.
///
/// Trials are aligned at their first bin and need not be of one length. One that lies partly outside of the runs contributes what
/// is there; transitions past bin [`TRIAL_BINS_MAX`] of a trial are left out.
///
/// [`Estimate::variance`] is [`SamplingVariance::Full`]; its transitions are those of bins with two repeats or more.
/// [`Estimate::convergence`] is `None` for naive mean field; for TAP its gradient is the mean field's, `⟨D_i·⟩ − J_i· [⟨w_i C⟩ + λ ⟨w_i⟩ I]`.
///
/// Never fails: what cannot be estimated is zero and its [`crate::model::RowStatus`] says why. Deterministic.
#[must_use]
pub fn from_trials(
    runs: &Runs,
    trials: &[Trial],
    estimators: &[Estimator],
    options: &TrialOptions,
) -> Vec<Estimate> {
    let estimators: Vec<Estimator> =
        estimators.iter().copied().filter(|e| e.input() == EstimatorInput::Trials).collect();
    if estimators.is_empty() {
        return Vec::new();
    }
    let repeats = Repeats::of(runs, trials);
    let correlations = BinCorrelations::of(&repeats);
    let rows = on_threads(options.threads, repeats.n_active(), &|row| {
        rows_of(&Receiver::of(&repeats, row, options.ridge), &correlations, &estimators, options)
    });
    let assemble = |(place, &estimator): (usize, &Estimator)| {
        let mut estimate = empty(estimator, &repeats, options.ridge);
        for (row, each) in rows.iter().enumerate() {
            fill(&mut estimate, &Receiver::of(&repeats, row, options.ridge), &each[place]);
        }
        estimate
    };
    estimators.iter().enumerate().map(assemble).collect()
}

/// The row of one receiver by each estimator.
fn rows_of(
    receiver: &Receiver<'_>,
    correlations: &BinCorrelations<'_>,
    estimators: &[Estimator],
    options: &TrialOptions,
) -> Vec<Row> {
    let start = receiver.check().and_then(|()| receiver.regress(correlations, &receiver.gain));
    let row = |&estimator: &Estimator| match (&start, estimator) {
        (Err(status), _) => Row::without(*status),
        (Ok(start), Estimator::TrialTap) => {
            mean_field::tap(receiver, correlations, start, options.iterations_max)
        }
        (Ok(start), Estimator::TrialExact) => exact::exact(receiver, start, options),
        (Ok(start), _) => mean_field::nmf(receiver, start),
    };
    estimators.iter().map(row).collect()
}

/// `work(0), …, work(count − 1)`, shared out between threads. When the system gives no further thread, those there are do it all.
fn on_threads<T: Send>(threads: usize, count: usize, work: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done = Vec::new();
        loop {
            let row = next.fetch_add(1, Ordering::Relaxed);
            if row >= count {
                return done;
            }
            done.push((row, work(row)));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count))
            .filter_map(|k| {
                let thread = std::thread::Builder::new().name(format!("trials-{k}"));
                thread.spawn_scoped(scope, share).ok()
            })
            .collect();
        let mut all = share();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|&(row, _)| row);
    all.into_iter().map(|(_, value)| value).collect()
}

/// An estimate in which nobody has a row yet.
fn empty(estimator: Estimator, repeats: &Repeats, ridge: f64) -> Estimate {
    let (n, n_bins) = (repeats.status.len(), repeats.n_bins());
    let convergence = Convergence { iterations: vec![0; n], gradient_norm: Array1::zeros(n) };
    Estimate {
        estimator,
        ridge,
        couplings: Array2::zeros((n, n)),
        fields: Array1::zeros(n),
        status: repeats.status.clone(),
        variance: SamplingVariance::Full {
            couplings: Array2::zeros((n, n)),
            fields: Array1::zeros(n),
            transitions: repeats.transitions() as u64,
        },
        convergence: (estimator != Estimator::TrialNmf).then_some(convergence),
        trial_fields: Some(TrialFields {
            fields: Array2::zeros((n, n_bins)),
            estimated: Array2::from_elem((n, n_bins), false),
            repeats: repeats.repeats.clone(),
        }),
    }
}

fn fill(estimate: &mut Estimate, receiver: &Receiver<'_>, row: &Row) {
    let active = &receiver.repeats.active;
    let i = active[receiver.row];
    estimate.status[i] = row.status;
    if let Some(convergence) = &mut estimate.convergence {
        convergence.iterations[i] = row.iterations;
        convergence.gradient_norm[i] = row.gradient_norm;
    }
    if !row.status.has_estimate() {
        return;
    }
    for (&j, &coupling) in active.iter().zip(&row.couplings) {
        estimate.couplings[[i, j]] = coupling;
    }
    if let Some(trial_fields) = &mut estimate.trial_fields {
        for (t, smoothed) in receiver.smoothed_fields(&row.couplings) {
            trial_fields.fields[[i, t]] = smoothed;
        }
        for (&t, &field) in receiver.bins.iter().zip(&row.fields) {
            trial_fields.fields[[i, t]] = field;
            trial_fields.estimated[[i, t]] = true;
        }
    }
    estimate.fields[i] = row.fields.iter().sum::<f64>() / receiver.bins.len() as f64;
    if let SamplingVariance::Full { couplings, fields, .. } = &mut estimate.variance {
        fields[i] = row.field_variance;
        for (&j, &variance) in active.iter().zip(&row.coupling_variance) {
            couplings[[i, j]] = variance;
        }
    }
}
