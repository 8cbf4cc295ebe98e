/// What an equilibrium model predicts of statistics next to what the bins show: pairs it was (mostly) fitted to, and triplets and the number
/// of active neurons, which it was not.
///
/// Predictions are Monte Carlo estimates with errors of their own.
#[derive(Debug, Clone, PartialEq)]
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
}

/// How observed and predicted values of one kind agree.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Agreement {
    /// Number of values.
    pub values: u64,
    /// Pearson correlation of observed and predicted values; `None` where either does not vary.
    pub correlation: Option<f64>,
    /// Root mean square difference.
    pub rms_difference: f64,
    /// Root mean square size of the observed values.
    pub rms_observed: f64,
    /// Root mean square standard error of the difference: of the predictions, from the spread between chains, and of the observed
    /// values, from that between blocks of bins.
    pub rms_error: f64,
}

/// The probability that so many neurons are active in a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
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
