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
use exact_mean_field::Rule;
use inversion::{Inversion, InversionError, Moments, SenderVariance};
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
    path(counts, estimators, &[ridge]).pop().unwrap_or_default()
}

/// What does not depend on the ridge.
struct Prepared<'a> {
    participation: &'a Participation,
    moments: &'a Moments,
    /// Of a row, what it does not take a ridge to know; the strength is that of the ridge at hand.
    facts: Vec<Facts>,
    /// `1 − (m_j⁻)²`, shape `(n_active)`.
    sender_gain: Array1<f64>,
    rule: Rule,
}

/// What a row of a mean field estimate follows from, besides its regression.
struct Facts {
    /// `m_i⁺`.
    magnetization: f64,
    /// `a_i = 1 − (m_i⁺)²`.
    gain: f64,
    /// `r_i = a_i Σ_j J_ij² (1 − (m_j⁻)²)` of naive mean field couplings: how strongly the summed input of the neuron varies.
    strength: f64,
}

/// One row of an estimate, but for its regression.
struct Row {
    /// The couplings are the regression divided by the one, then by the other.
    divisors: [f64; 2],
    /// The field is this, less `Σ_j J_ij m_j⁻`, plus the Onsager term.
    own_field: f64,
    onsager: f64,
    /// `α_i ≈ ⟨1 − tanh² θ_i⟩`: the information a transition carries about the row.
    gain: f64,
    status: RowStatus,
}

impl<'a> Prepared<'a> {
    fn of(participation: &'a Participation, moments: &'a Moments) -> Self {
        let facts = moments.magnetization_receiver.iter();
        let facts = facts.map(|&m| Facts { magnetization: m, gain: 1.0 - m * m, strength: 0.0 }).collect();
        let sender_gain = moments.magnetization_sender.mapv(|m| 1.0 - m * m);
        Self { participation, moments, facts, sender_gain, rule: Rule::new() }
    }

    /// The estimates of each ridge to `take`, with standard errors of those for which it `wants_errors`.
    fn for_each_ridge(
        &mut self,
        estimators: &[Estimator],
        ridges: &[f64],
        wants_errors: &dyn Fn(usize) -> bool,
        take: &mut dyn FnMut(usize, Vec<Estimate>),
    ) {
        let is_moments = |estimator: &Estimator| estimator.input() == EstimatorInput::Moments;
        let estimators: Vec<Estimator> = estimators.iter().copied().filter(is_moments).collect();
        if estimators.is_empty() {
            ridges.iter().enumerate().for_each(|(place, _)| take(place, Vec::new()));
            return;
        }
        let (n, transitions) = (self.moments.n_active(), self.moments.transitions);
        let mut regression = Array2::zeros((n, n));
        let mut inversion = Inversion::new(self.moments);
        for (place, &ridge) in ridges.iter().enumerate() {
            let solved = inversion.factorize(ridge).and_then(|()| {
                inversion.regression(&mut regression);
                wants_errors(place).then(|| inversion.variance()).transpose()
            });
            let estimates = match solved {
                Ok(variance) => {
                    self.find_strengths(&regression);
                    let rows = |&e| self.estimate(e, ridge, &regression, variance.as_ref());
                    estimators.iter().map(rows).collect()
                }
                Err(error) => {
                    let status = match error {
                        InversionError::Undersampled => RowStatus::Undersampled,
                        InversionError::Singular => RowStatus::Singular,
                    };
                    let nothing = |&e| without_rows(e, ridge, self.participation, status, transitions);
                    estimators.iter().map(nothing).collect()
                }
            };
            take(place, estimates);
        }
    }

    fn find_strengths(&mut self, regression: &Array2<f64>) {
        let mut squares = Array1::zeros(self.facts.len());
        for (facts, row) in self.facts.iter_mut().zip(regression.rows()) {
            squares.zip_mut_with(&row, |square, b| *square = (b / facts.gain) * (b / facts.gain));
            facts.strength = squares.dot(&self.sender_gain) * facts.gain;
        }
    }

    /// Put the rows of the active neurons into matrices of all neurons.
    fn estimate(
        &self,
        estimator: Estimator,
        ridge: f64,
        regression: &Array2<f64>,
        errors: Option<&SenderVariance>,
    ) -> Estimate {
        let (n, active) = (self.participation.status.len(), &self.participation.active);
        let mut status = self.participation.status.clone();
        let (mut couplings, mut fields) = (Array2::zeros((n, n)), Array1::zeros(n));
        let (mut sender, mut receiver) = (Array1::zeros(n), Array1::zeros(n));
        let mut of_active = Array1::zeros(active.len());
        for ((facts, regression), (place, &i)) in
            self.facts.iter().zip(regression.rows()).zip(active.iter().enumerate())
        {
            let row = match estimator {
                Estimator::Tap(form) => tap::row(facts, form),
                Estimator::ExactMeanField => exact_mean_field::row(facts, &self.rule),
                _ => nmf::row(facts),
            };
            let [first, second] = row.divisors;
            of_active.zip_mut_with(&regression, |j, b| *j = b / first / second);
            fields[i] = row.own_field - of_active.dot(&self.moments.magnetization_sender) + row.onsager;
            status[i] = row.status;
            receiver[i] = row.gain;
            sender[i] = errors.map_or(0.0, |errors| errors.sender[place]);
            let mut row = couplings.row_mut(i);
            if active.len() == n {
                row.assign(&of_active);
            } else {
                active.iter().zip(&of_active).for_each(|(&j, &coupling)| row[j] = coupling);
            }
        }
        let transitions = self.moments.transitions;
        let variance = match errors {
            Some(errors) => SamplingVariance::Factored { sender, receiver, field: errors.field, transitions },
            None => SamplingVariance::none(n, transitions),
        };
        Estimate {
            estimator,
            ridge,
            couplings,
            fields,
            status,
            variance,
            convergence: None,
            trial_fields: None,
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
