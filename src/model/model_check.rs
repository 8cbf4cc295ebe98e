use serde::{Deserialize, Serialize};

/// What an equilibrium model predicts of statistics next to what the bins show: pairs it was (mostly) fitted to, and triplets and the number
/// of active neurons, which it was not.
///
/// Predictions are Monte Carlo estimates with errors of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCheck {
    /// Configurations drawn from the model.
    pub drawn: u64,
    /// Bins it is compared with.
    pub bins: u64,
    /// `⟨s_i⟩` over neurons.
    pub means: Agreement,
    /// `⟨s_i s_j⟩ − ⟨s_i⟩⟨s_j⟩` over pairs `i < j`.
    pub pair_correlations: Agreement,
    /// `⟨(s_i − m_i)(s_j − m_j)(s_k − m_k)⟩` over triplets `i < j < k`, all or, where there are many, a fixed random choice of them.
    pub triplet_correlations: Agreement,
    /// `P(K)` for `K = 0, 1, …` active neurons of a bin, up to the largest seen or drawn: observed and predicted.
    pub active_counts: Vec<ActiveCount>,
    /// `⟨s_i s_j⟩ − ⟨s_i⟩⟨s_j⟩` one by one, of all pairs or, where there are more than 2,000, a fixed random choice of them, in order. Empty where
    /// it was not kept.
    pub pairs: Vec<CheckedPair>,
}

/// The correlation of a pair of neurons, as observed and as a model predicts it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CheckedPair {
    /// Indices of the neurons, the first below the second.
    pub neurons: [u32; 2],
    /// Of the bins.
    pub observed: f64,
    /// Standard error of `observed`, from the spread between blocks of bins.
    pub observed_error: f64,
    /// By the model.
    pub predicted: f64,
    /// Monte Carlo error of `predicted`, from the spread between chains.
    pub predicted_error: f64,
}

/// How observed and predicted values of one kind agree.
///
/// What `rms_difference` to expect of a model that describes the neurons depends on the bins:
///
/// - Bins that are newer than the `T_fit` bins the model was fitted to differ by their own sampling error, by that of the model's parameters and
///   by the Monte Carlo error: `rms_difference / rms_error` is 1, and up to `√(1 + T_newer / T_fit)` where the Monte Carlo error is small. The error of
///   the parameters is not in `rms_error`.
/// - The very bins it was fitted to it follows. Maximum likelihood and Boltzmann learning match means and pairs, which differ by the Monte Carlo
///   error alone: `rms_difference / rms_predicted_error` is 1, and `rms_difference / rms_error` below 1. For triplets, which follow in part,
///   the latter is at most 1. Such agreement says that the fit has converged, not that the model is right.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Agreement {
    /// Number of values.
    pub values: u64,
    /// Pearson correlation of observed and predicted values; `None` where either does not vary.
    pub correlation: Option<f64>,
    /// Root mean square difference.
    pub rms_difference: f64,
    /// Root mean square size of the observed values.
    pub rms_observed: f64,
    /// Root mean square Monte Carlo error of the predictions, from the spread between chains.
    pub rms_predicted_error: f64,
    /// Root mean square sampling error of the observed values, from the spread between blocks of bins.
    pub rms_observed_error: f64,
    /// Of both, root mean square.
    pub rms_error: f64,
}

/// The probability that so many neurons are active in a bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActiveCount {
    /// Number of active neurons.
    pub active: u32,
    /// Share of the bins.
    pub observed: f64,
    /// By the model.
    pub predicted: f64,
    /// Monte Carlo error of that.
    pub predicted_error: f64,
}
