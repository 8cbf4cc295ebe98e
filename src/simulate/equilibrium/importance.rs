use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{EquilibriumIsing, active_of};
use crate::model::SpikeBlock;
use crate::simulate::SimulationError;

/// Most configurations to choose from.
pub const PROPOSALS_MAX: usize = 10_000_000;

/// How many uniform configurations are drawn to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proposals {
    /// 30 for each neuron, as published (Jo, Hoang & Periwal 2019).
    #[default]
    Published,
    /// So many, 1 to [`PROPOSALS_MAX`].
    Count(usize),
}

/// Configurations chosen among uniform ones by their weight in a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportanceSample {
    /// The configurations, one a bin.
    pub bins: SpikeBlock,
    /// Number of uniform configurations they were chosen from.
    pub proposals: usize,
    /// `(Σ w)² / Σ w²`: how many of these count. Near 1, nearly every bin is the same configuration, and far below the number of bins
    /// the sample is not one of the model.
    pub effective_samples: f64,
}

/// Draw uniform configurations and resample them, with replacement, with probabilities `∝ exp(−E(s))`: the generator of the published
/// comparisons of equilibrium methods. Not a sample of the model unless the proposals cover it, which at strong coupling takes some `2ⁿ`.
///
/// # Errors
/// [`SimulationError::Proposals`] for a number outside its range.
pub fn importance_resampled(
    model: &EquilibriumIsing,
    n_bins: usize,
    proposals: Proposals,
    seed: u64,
) -> Result<ImportanceSample, SimulationError> {
    let n = model.n_neurons();
    let proposals = match proposals {
        Proposals::Published => 30 * n,
        Proposals::Count(count) => count,
    };
    if !(1..=PROPOSALS_MAX).contains(&proposals) {
        return Err(SimulationError::Proposals { found: proposals });
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut block = SpikeBlock::empty(0);
    let (mut spins, mut active) = (vec![false; n], Vec::new());
    let mut logs = Vec::with_capacity(proposals);
    for _ in 0..proposals {
        spins.iter_mut().for_each(|fires| *fires = random.random());
        logs.push(model.minus_energy(&spins));
        active_of(&spins, &mut active);
        block.push_sorted(&active);
    }
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    let mut total = 0.0;
    let cumulative: Vec<f64> = weights
        .iter()
        .map(|weight| {
            total += weight;
            total
        })
        .collect();
    let mut bins = SpikeBlock::empty(0);
    for _ in 0..n_bins {
        let uniform = total * random.random::<f64>();
        let chosen = cumulative.partition_point(|&upto| upto <= uniform).min(proposals - 1);
        bins.push_sorted(block.bin(chosen));
    }
    Ok(ImportanceSample { bins, proposals, effective_samples: sum * sum / squares })
}
