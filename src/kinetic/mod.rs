//! Couplings from transitions: who drives whom one bin later?
//!
//! * [`estimate`] and [`path()`]: closed forms of the moments of the lag-1 transitions, below.
//! * [`exact()`] and [`exact_path`]: maximum likelihood of the bins themselves, by concave logistic regressions.
//! * [`Online`]: the same likelihood, followed by gradient steps as the bins come.
//! * [`from_trials`]: naive mean field, TAP and maximum likelihood of repeated trials, with fields of their own for each bin of a trial.
//!   Below some 20 repeats prefer the first two: maximum likelihood ([`Estimator::TrialExact`]) with a field per bin makes couplings
//!   too large by `R/(R − 1)` at `R` repeats, 1.25 at 5 and 1.05 at 20, which its standard errors do not contain.
//! * [`Predictor`]: probabilities of spikes from an estimate.
//!
//! The estimators of [`estimate`] share one Cholesky factorization:
//!
//! ```text
//! B = D (C + λI)⁻¹                               a_i = 1 − (m_i⁺)²
//! naive mean field    J_ij = B_ij / a_i          h_i = atanh m_i⁺ − Σ_j J_ij m_j⁻
//! TAP                 J_ij = B_ij / (a_i (1 − F_i))
//! exact mean field    J_ij = B_ij / α_i
//! ```
//!
//! The sampling variance of `J_ij` is `(C⁻¹)_jj / (T α_i)` with `α_i` the divisor of the row (`a_i`, `a_i (1 − F_i)`, `α_i`), the
//! estimator's own value of `⟨1 − tanh² θ_i⟩`. It does not contain the error of the mean field approximation, which more
//! data does not shrink, nor the bias of a ridge: q with a ridge tests shrunken couplings, and common drivers leak into them. A coupling
//! that is zero becomes significant if its sender fires together with a neuron that does drive the receiver, the more so the larger the
//! ridge (`tests/calibration.rs`).
//!
//! (Roudi & Hertz, PRL 106, 048702 (2011); Mézard & Sakellariou, J. Stat. Mech. L07001 (2011).)
//!
//! Cost of the closed forms O(n³) once for each ridge, O(n²) per estimator. Neurons that are silent, saturated or repeat another's spike
//! train take no part and are flagged; no result ever holds a NaN or an infinity. Checked against an independent numpy
//! implementation in `tests/reference.rs` and against known couplings in `tests/recovery.rs`.

mod exact;
mod exact_mean_field;
mod gauss_hermite;
mod inversion;
mod nmf;
mod online;
mod participation;
mod path;
mod predictor;
mod tap;
mod transitions;
mod trials;

pub use exact::{
    ExactOptions, FISHER_PASSES_MAX, FISHER_SECONDS_FREE, FISHER_SECONDS_MAX, exact, exact_path,
};
pub use online::Online;
pub(crate) use predictor::softplus;
pub use predictor::{Predictor, Rates, rate_log_odds};
pub use transitions::Transitions;

use crate::model::{Estimate, Estimator, EstimatorInput, RowStatus, SamplingVariance};
use crate::moments::Counts;
use inversion::{Inversion, InversionError, Moments};
use ndarray::{Array1, Array2};
use participation::Participation;

pub use path::{for_each_ridge, path};
pub use trials::{TRIAL_BINS_MAX, TrialOptions, from_trials};

/// Run those of `estimators` that need moments alone on the lag-1 transitions of `counts`, with ridge `λ` added to the diagonal of the
/// equal-time correlations.
///
/// Never fails: what cannot be estimated is zero and its [`RowStatus`] says why; a `λ` that is negative or not finite is no ridge and
/// makes every row [`RowStatus::Singular`]. Deterministic. For several ridges, [`path()`].
#[must_use]
pub fn estimate(counts: &Counts, estimators: &[Estimator], ridge: f64) -> Vec<Estimate> {
    Prepared::of(counts).estimate(estimators, ridge)
}

/// What does not depend on the ridge.
struct Prepared {
    participation: Participation,
    moments: Moments,
}

impl Prepared {
    fn of(counts: &Counts) -> Self {
        let participation = Participation::of(counts);
        let moments = Moments::of(counts, &participation.active);
        Self { participation, moments }
    }

    fn estimate(&self, estimators: &[Estimator], ridge: f64) -> Vec<Estimate> {
        match Inversion::of(&self.moments, ridge) {
            Ok(inversion) => estimators
                .iter()
                .filter_map(|&estimator| {
                    let rows = match estimator {
                        Estimator::Nmf => nmf::rows(&inversion),
                        Estimator::Tap(form) => tap::rows(&inversion, form),
                        Estimator::ExactMeanField => exact_mean_field::rows(&inversion),
                        Estimator::Exact
                        | Estimator::Online
                        | Estimator::TrialNmf
                        | Estimator::TrialTap
                        | Estimator::TrialExact => return None,
                    };
                    Some(expand(estimator, ridge, &self.participation, &inversion, rows))
                })
                .collect(),
            Err(error) => {
                let status = match error {
                    InversionError::Undersampled => RowStatus::Undersampled,
                    InversionError::Singular => RowStatus::Singular,
                };
                let moments = estimators.iter().filter(|e| e.input() == EstimatorInput::Moments);
                moments
                    .map(|&e| without_rows(e, ridge, &self.participation, status, self.moments.transitions))
                    .collect()
            }
        }
    }
}

/// All zeros; neurons that would take part say `why` they do not.
fn without_rows(
    estimator: Estimator,
    ridge: f64,
    participation: &Participation,
    why: RowStatus,
    transitions: u64,
) -> Estimate {
    let n = participation.status.len();
    let status = participation.status.iter().map(|&s| if s == RowStatus::Ok { why } else { s }).collect();
    Estimate {
        estimator,
        ridge,
        couplings: Array2::zeros((n, n)),
        fields: Array1::zeros(n),
        status,
        variance: SamplingVariance::none(n, transitions),
        convergence: None,
        trial_fields: None,
    }
}

/// Couplings and fields of the active neurons alone.
struct Rows {
    couplings: Array2<f64>,
    fields: Array1<f64>,
    status: Vec<RowStatus>,
    /// What `B` was divided by, `α_i ≈ ⟨1 − tanh² θ_i⟩`: also the information a transition carries about the row.
    gain: Array1<f64>,
}

/// Put the rows of the active neurons into matrices of all neurons.
fn expand(
    estimator: Estimator,
    ridge: f64,
    participation: &Participation,
    inversion: &Inversion,
    rows: Rows,
) -> Estimate {
    let n = participation.status.len();
    let active = &participation.active;
    let mut couplings = Array2::zeros((n, n));
    let mut fields = Array1::zeros(n);
    let mut sender = Array1::zeros(n);
    let mut receiver = Array1::zeros(n);
    let mut status = participation.status.clone();
    for (row, &i) in active.iter().enumerate() {
        fields[i] = rows.fields[row];
        sender[i] = inversion.sender_variance[row];
        receiver[i] = rows.gain[row];
        status[i] = rows.status[row];
        for (column, &j) in active.iter().enumerate() {
            couplings[[i, j]] = rows.couplings[[row, column]];
        }
    }
    let (field, transitions) = (inversion.field_variance, inversion.transitions);
    let variance = SamplingVariance::Factored { sender, receiver, field, transitions };
    Estimate { estimator, ridge, couplings, fields, status, variance, convergence: None, trial_fields: None }
}
