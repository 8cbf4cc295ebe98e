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
/// Cost O(n²) a proposal; memory 8 bytes a proposal and the bins.
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
    let mut spins = vec![false; n];
    let mut logs = Vec::with_capacity(proposals);
    for _ in 0..proposals {
        propose(&mut spins, &mut random);
        logs.push(model.minus_energy(&spins));
    }
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut cumulative = logs;
    for log in &mut cumulative {
        let weight = (*log - largest).exp();
        sum += weight;
        squares += weight * weight;
        *log = sum;
    }
    // All proposals would be gigabytes: those chosen are drawn again, each from where its random numbers begin.
    let mut again = random.clone();
    let mut active = Vec::new();
    let mut bins = SpikeBlock::empty(0);
    for _ in 0..n_bins {
        let uniform = sum * random.random::<f64>();
        let chosen = cumulative.partition_point(|&upto| upto <= uniform).min(proposals - 1);
        again.set_word_pos(chosen as u128 * n as u128);
        propose(&mut spins, &mut again);
        active_of(&spins, &mut active);
        bins.push_sorted(&active);
    }
    Ok(ImportanceSample { bins, proposals, effective_samples: sum * sum / squares })
}

/// A uniform configuration: one 32-bit word of random numbers for each neuron, which is how it can be found again.
fn propose(spins: &mut [bool], random: &mut ChaCha8Rng) {
    spins.iter_mut().for_each(|fires| *fires = random.random::<u32>() >> 31 == 1);
}
