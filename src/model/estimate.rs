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
}

/// A name that is no estimator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an estimator: expected one of nmf, tap, tap-self-consistent, exact-mean-field")]
pub struct UnknownEstimator {
    /// What was given.
    pub text: String,
}

impl Estimator {
    /// Every estimator.
    pub const ALL: [Self; 4] =
        [Self::Nmf, Self::Tap(TapForm::Preprint), Self::Tap(TapForm::SelfConsistent), Self::ExactMeanField];

    /// Name on the command line, in configuration and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nmf => "nmf",
            Self::Tap(TapForm::Preprint) => "tap",
            Self::Tap(TapForm::SelfConsistent) => "tap-self-consistent",
            Self::ExactMeanField => "exact-mean-field",
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

/// Sampling variance of the couplings in factored form: `SE(J_ij)² = sender[j] / (transitions · receiver[i])`.
///
/// `sender[j]` is `[(C + λI)⁻¹ C (C + λI)⁻¹]_jj`, which without a ridge is `(C⁻¹)_jj`; `receiver[i]` is the estimator's value of the
/// mean gain `⟨1 − tanh² θ_i⟩`. Entries of neurons that take no part are zero. Neither the bias of a ridge nor the
/// error of a mean field approximation is part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingVariance {
    /// Shape `(n_neurons)`.
    pub sender: Array1<f64>,
    /// Shape `(n_neurons)`.
    pub receiver: Array1<f64>,
    /// Number of transitions the estimate is taken over.
    pub transitions: u64,
}

/// Couplings and fields of one window by one estimator.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The method.
    pub estimator: Estimator,
    /// Ridge `λ` that was added to the diagonal of the equal-time correlations; dimensionless, 0 = none.
    pub ridge: f64,
    /// `J`, shape `(n_neurons, n_neurons)`, row = receiver, column = sender; dimensionless.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_neurons)`; dimensionless.
    pub fields: Array1<f64>,
    /// One status per row.
    pub status: Vec<RowStatus>,
    /// Sampling variance of `couplings`.
    pub variance: SamplingVariance,
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
        let v = &self.variance;
        let usable = v.transitions > 0 && v.receiver[receiver] > 0.0 && v.sender[sender] > 0.0;
        usable.then(|| (v.sender[sender] / (v.transitions as f64 * v.receiver[receiver])).sqrt())
    }

    /// Number of rows with status [`RowStatus::Ok`].
    #[must_use]
    pub fn n_ok(&self) -> usize {
        self.status.iter().filter(|&&s| s == RowStatus::Ok).count()
    }
}
