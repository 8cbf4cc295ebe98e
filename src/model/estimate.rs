use std::fmt;
use std::str::FromStr;

use ndarray::{Array1, Array2};

use super::RowStatus;

/// Which cubic equation the TAP correction solves; the two differ beyond leading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapForm {
    /// `F (1 − F²) = r`, solvable for `r ≤ 2/(3√3)`; far the better for strong couplings.
    Preprint,
    /// `F (1 − F)² = r`, solvable for `r ≤ 4/27`; what the algebra of the TAP equations gives.
    SelfConsistent,
}

/// How couplings are computed from the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Estimator {
    /// Naive mean field.
    Nmf,
    /// Thouless–Anderson–Palmer correction of the naive mean field.
    Tap(TapForm),
    /// Exact mean field for large asymmetric networks.
    ExactMeanField,
    /// Maximum likelihood, the exact gradient of every transition of the window.
    Exact,
    /// Maximum likelihood followed as the bins come, by preconditioned steps on the newest transitions.
    Online,
    /// Naive mean field from repeated trials, with fields of each bin of a trial.
    TrialNmf,
    /// TAP from repeated trials, with fields of each bin of a trial.
    TrialTap,
    /// Maximum likelihood from repeated trials, with fields of each bin of a trial.
    TrialExact,
}

/// What an estimator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EstimatorInput {
    /// The counts of the window alone: closed form, at every refresh.
    Moments,
    /// The bins of the window: refitted at its own, slower pace.
    Bins,
    /// The bins since the last refresh, once.
    Stream,
    /// The bins of the trials in the window: refitted at its own, slower pace.
    Trials,
}

/// A name that is no estimator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an estimator: expected one of {}", Estimator::ALL.map(Estimator::as_str).join(", "))]
pub struct UnknownEstimator {
    /// What was given.
    pub text: String,
}

impl Estimator {
    /// Every estimator.
    pub const ALL: [Self; 9] = [
        Self::Nmf,
        Self::Tap(TapForm::Preprint),
        Self::Tap(TapForm::SelfConsistent),
        Self::ExactMeanField,
        Self::Exact,
        Self::Online,
        Self::TrialNmf,
        Self::TrialTap,
        Self::TrialExact,
    ];

    /// The estimators that need the counts of a window and nothing else.
    pub const MOMENTS: [Self; 4] =
        [Self::Nmf, Self::Tap(TapForm::Preprint), Self::Tap(TapForm::SelfConsistent), Self::ExactMeanField];

    /// What the estimator reads.
    #[must_use]
    pub fn input(self) -> EstimatorInput {
        match self {
            Self::Nmf | Self::Tap(_) | Self::ExactMeanField => EstimatorInput::Moments,
            Self::Exact => EstimatorInput::Bins,
            Self::Online => EstimatorInput::Stream,
            Self::TrialNmf | Self::TrialTap | Self::TrialExact => EstimatorInput::Trials,
        }
    }

    /// Name on the command line, in configuration and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nmf => "nmf",
            Self::Tap(TapForm::Preprint) => "tap",
            Self::Tap(TapForm::SelfConsistent) => "tap-self-consistent",
            Self::ExactMeanField => "exact-mean-field",
            Self::Exact => "exact",
            Self::Online => "online",
            Self::TrialNmf => "trial-nmf",
            Self::TrialTap => "trial-tap",
            Self::TrialExact => "trial-exact",
        }
    }
}

impl FromStr for Estimator {
    type Err = UnknownEstimator;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|e| e.as_str() == text)
            .ok_or_else(|| UnknownEstimator { text: text.to_owned() })
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Sampling variance of couplings and fields. Neither the bias of a ridge nor the error of a mean field approximation is part of
/// it. Entries of neurons that take no part are zero.
#[derive(Debug, Clone, PartialEq)]
pub enum SamplingVariance {
    /// `SE(J_ij)² = sender[j] / (transitions · receiver[i])`, `SE(h_i)² = field / (transitions · receiver[i])`: the information of
    /// a transition about row `i` is taken to be its mean gain times the covariance of the senders.
    Factored {
        /// `[(C + λI)⁻¹ C (C + λI)⁻¹]_jj`, which without a ridge is `(C⁻¹)_jj`; shape `(n_neurons)`.
        sender: Array1<f64>,
        /// The estimator's value of the mean gain `⟨1 − tanh² θ_i⟩`; shape `(n_neurons)`.
        receiver: Array1<f64>,
        /// `1 + m⁻ᵀ (C + λI)⁻¹ C (C + λI)⁻¹ m⁻`.
        field: f64,
        /// Number of transitions the estimate is taken over.
        transitions: u64,
    },
    /// Squared standard errors themselves, from the Fisher information of each row.
    Full {
        /// `SE(J_ij)²`, shape `(n_neurons, n_neurons)`, row = receiver.
        couplings: Array2<f64>,
        /// `SE(h_i)²`, shape `(n_neurons)`.
        fields: Array1<f64>,
        /// Number of transitions the estimate is taken over.
        transitions: u64,
    },
}

impl SamplingVariance {
    /// Nothing is known of any of `n_neurons` rows.
    #[must_use]
    pub fn none(n_neurons: usize, transitions: u64) -> Self {
        let zeros = || Array1::zeros(n_neurons);
        Self::Factored { sender: zeros(), receiver: zeros(), field: 0.0, transitions }
    }

    /// Number of transitions the estimate is taken over.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        match self {
            Self::Factored { transitions, .. } | Self::Full { transitions, .. } => *transitions,
        }
    }

    /// `SE(J_ij)²`; 0 when either neuron takes no part.
    #[must_use]
    pub fn of_coupling(&self, receiver: usize, sender: usize) -> f64 {
        match self {
            Self::Factored { sender: s, receiver: r, transitions, .. } => {
                factored(s[sender], r[receiver], *transitions)
            }
            Self::Full { couplings, .. } => couplings[[receiver, sender]],
        }
    }

    /// `SE(h_i)²`; 0 when the neuron takes no part.
    #[must_use]
    pub fn of_field(&self, receiver: usize) -> f64 {
        match self {
            Self::Factored { receiver: r, field, transitions, .. } => {
                factored(*field, r[receiver], *transitions)
            }
            Self::Full { fields, .. } => fields[receiver],
        }
    }
}

fn factored(numerator: f64, gain: f64, transitions: u64) -> f64 {
    if transitions > 0 && gain > 0.0 { numerator / (transitions as f64 * gain) } else { 0.0 }
}

/// How an iterative estimate ended, row by row; zeros for rows that take no part.
#[derive(Debug, Clone, PartialEq)]
pub struct Convergence {
    /// Passes over the transitions in which the row was still moving; shape `(n_neurons)`.
    pub iterations: Vec<u32>,
    /// Euclidean norm of the gradient of the mean log-likelihood (penalty included) with respect to `(h_i, J_i·)`; shape `(n_neurons)`.
    pub gradient_norm: Array1<f64>,
}

/// Fields of each bin of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialFields {
    /// `h_i(t)`, shape `(n_neurons, n_bins)`: acts from bin `t` of a trial on bin `t + 1`. Where it is not estimated for want of
    /// variation, the field of the smoothed rate `(K + ½)/(R + 1)`, for predictions; else 0.
    pub fields: Array2<f64>,
    /// Whether `h_i(t)` could be estimated: a neuron that never, or always, fired in a bin over all repeats has no finite
    /// field there. Same shape.
    pub estimated: Array2<bool>,
    /// Repeats that have the transition from each bin, shape `(n_bins)`; a bin with fewer than 2 is left out.
    pub repeats: Vec<u64>,
}

impl TrialFields {
    /// `h_i(t)` of neuron `i` at bin `t` of a trial, or that of its smoothed rate there; `None` for bins that fewer than two repeats
    /// have.
    #[must_use]
    pub fn at(&self, neuron: usize, trial_bin: usize) -> Option<f64> {
        let known = self.repeats.get(trial_bin).is_some_and(|&repeats| repeats >= 2);
        known.then(|| self.fields[[neuron, trial_bin]])
    }
}

/// Couplings and fields of one window by one estimator.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The method.
    pub estimator: Estimator,
    /// Ridge `λ`; dimensionless, 0 = none. Added to the diagonal of the equal-time correlations or, for maximum likelihood, a penalty
    /// `(λ a_i / 2) Σ_j J_ij²` on the mean log-likelihood of row `i` with `a_i = 1 − (m_i⁺)²`, which to first order is the same.
    pub ridge: f64,
    /// `J`, shape `(n_neurons, n_neurons)`, row = receiver, column = sender; dimensionless.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_neurons)`; dimensionless. With [`Estimate::trial_fields`], their mean over those bins of a trial in
    /// which they are estimated.
    pub fields: Array1<f64>,
    /// One status per row.
    pub status: Vec<RowStatus>,
    /// Sampling variance of `couplings` and `fields`.
    pub variance: SamplingVariance,
    /// How the iteration ended; `None` for closed forms.
    pub convergence: Option<Convergence>,
    /// Fields of each bin of a trial; `None` when the fields are constant.
    pub trial_fields: Option<TrialFields>,
}

impl Estimate {
    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.status.len()
    }

    /// Asymptotic standard error of the coupling from `sender` to `receiver`.
    ///
    /// `None` when either neuron takes no part in the estimate, so that there is no number to be unsure of.
    #[must_use]
    pub fn standard_error(&self, receiver: usize, sender: usize) -> Option<f64> {
        let variance = self.variance.of_coupling(receiver, sender);
        (variance > 0.0).then(|| variance.sqrt())
    }

    /// [`Estimate::standard_error`] of all couplings of a row, 0 where there is none.
    ///
    /// # Panics
    /// When there is no such row, or `into` has not one place per neuron.
    pub fn standard_errors_into(&self, receiver: usize, into: &mut [f64]) {
        let n = self.n_neurons();
        assert_eq!(into.len(), n, "one place per neuron");
        match &self.variance {
            SamplingVariance::Factored { sender, receiver: gain, transitions, .. } => {
                let information = *transitions as f64 * gain[receiver];
                if information > 0.0 {
                    into.iter_mut()
                        .zip(sender)
                        .for_each(|(into, s)| *into = (s / information).max(0.0).sqrt());
                } else {
                    into.fill(0.0);
                }
            }
            SamplingVariance::Full { couplings, .. } => {
                into.iter_mut().zip(couplings.row(receiver)).for_each(|(into, v)| *into = v.max(0.0).sqrt());
            }
        }
    }

    /// Asymptotic standard error of the field of `receiver`; `None` when it takes no part in the estimate.
    #[must_use]
    pub fn field_standard_error(&self, receiver: usize) -> Option<f64> {
        let variance = self.variance.of_field(receiver);
        (variance > 0.0).then(|| variance.sqrt())
    }

    /// Field that acts on `neuron` from bin `trial_bin` of a trial (0 = its first) on the next; `None` for a bin outside of any trial.
    ///
    /// Falls back to the neuron's mean field [`Estimate::fields`] where there is no field of that very bin: outside of trials, past
    /// the last bin of the trials estimated from, and in bins with fewer than two repeats.
    ///
    /// # Panics
    /// When there is no such neuron.
    #[must_use]
    pub fn field_at(&self, neuron: usize, trial_bin: Option<u64>) -> f64 {
        let bin = trial_bin.and_then(|bin| usize::try_from(bin).ok());
        let of_bin = self.trial_fields.as_ref().zip(bin).and_then(|(fields, bin)| fields.at(neuron, bin));
        of_bin.unwrap_or(self.fields[neuron])
    }

    /// Number of rows with status [`RowStatus::Ok`].
    #[must_use]
    pub fn n_ok(&self) -> usize {
        self.status.iter().filter(|&&s| s == RowStatus::Ok).count()
    }
}
