//! What a model says of single neurons and of pairs, without bins to compare it with.

use super::statistics::{Group, Statistics};
use super::{CheckOptions, draw};
use crate::equilibrium::EquilibriumError;
use crate::model::EquilibriumModel;

/// Moments of configurations drawn from a model.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictedPairs {
    /// Indices of the neurons that the model has an estimate of, increasing; everything below is of these.
    pub neurons: Vec<usize>,
    /// Configurations drawn.
    pub drawn: u64,
    /// `⟨s_i⟩`.
    pub means: Vec<f64>,
    /// `⟨(s_i − m_i)(s_j − m_j)⟩` over pairs `i < j` of `neurons`, row by row.
    pub correlations: Vec<f64>,
    /// Standard errors of `correlations`: of drawing alone, from the differences between chains.
    pub correlation_errors: Vec<f64>,
}

/// Draw from a model as [`check`](super::check) does, and tell the pair correlations that it predicts.
///
/// The same options give the same configurations as a check. Cost: that of a check, without its triplets.
///
/// # Errors
/// [`EquilibriumError::Count`] for options outside their ranges.
pub fn predicted_pairs(
    model: &EquilibriumModel,
    options: &CheckOptions,
) -> Result<PredictedPairs, EquilibriumError> {
    options.checked()?;
    let neurons: Vec<usize> = (0..model.n_neurons()).filter(|&i| model.status[i].has_estimate()).collect();
    if neurons.is_empty() {
        let nothing = Vec::new;
        return Ok(PredictedPairs {
            neurons,
            drawn: 0,
            means: nothing(),
            correlations: nothing(),
            correlation_errors: nothing(),
        });
    }
    let chains = draw(model, &neurons, options);
    let groups: Vec<Group<'_>> =
        chains.iter().map(|chain| chain.bins().map(|bin| (bin, 1.0)).collect()).collect();
    let found = Statistics::of(neurons.len(), &[], &groups);
    Ok(PredictedPairs {
        drawn: groups.iter().map(|group| group.len() as u64).sum(),
        means: found.means.iter().map(|value| value.mean).collect(),
        correlations: found.pairs.iter().map(|value| value.mean).collect(),
        correlation_errors: found.pairs.iter().map(|value| value.variance.sqrt()).collect(),
        neurons,
    })
}
