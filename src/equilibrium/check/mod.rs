mod predicted;
mod statistics;

use ndarray::{Array1, Array2};

use super::{EquilibriumError, Samples};
use crate::model::{ActiveCount, Agreement, CheckedPair, EquilibriumModel, ModelCheck, SpikeBlock};
use crate::moments::threads::map;
use crate::simulate::{EquilibriumIsing, GibbsSampler};
pub use predicted::{PredictedPairs, predicted_pairs};
use statistics::{Group, Statistics, Value, pairs, triplets};

/// Additions that drawing may cost at most, n² of them a sweep where every neuron flips.
const OPERATIONS_MAX: u64 = 1 << 32;
/// Triplets compared at most.
const TRIPLETS_MAX: usize = 2000;
/// Pairs told of one by one at most.
const PAIRS_MAX: usize = 2000;

/// How a model is drawn from for a check.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckOptions {
    /// Independent chains, 2 to 64: errors come from the differences between them. 8 unless told.
    pub chains: usize,
    /// Sweeps of each chain that are kept, one configuration a sweep, 1 to 100,000; 2,000 unless told. With many neurons fewer are made: all
    /// sweeps of all chains together make at most 2³² / n², 4,294 for n = 1000.
    pub sweeps: usize,
    /// Sweeps of each chain before those, at most 100,000 and at most half of what the bound above leaves; 500 unless told.
    pub burn_in: usize,
    /// Seed of the chains.
    pub seed: u64,
    /// Most threads to use; 0 counts as 1. No result depends on it.
    pub threads: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { chains: 8, sweeps: 2000, burn_in: 500, seed: 1, threads: 1 }
    }
}

impl CheckOptions {
    fn checked(&self) -> Result<(), EquilibriumError> {
        let within = |what, found, min, max| {
            let fits = (min..=max).contains(&found);
            if fits { Ok(()) } else { Err(EquilibriumError::Count { what, min, max, found }) }
        };
        within("chains", self.chains, 2, 64)?;
        within("sweeps", self.sweeps, 1, 100_000)?;
        within("burn-in sweeps", self.burn_in, 0, 100_000)
    }

    /// Burn-in and kept sweeps of a chain that the bound leaves for `n` neurons, at least one each where asked for.
    fn bounded(&self, n: usize) -> (usize, usize) {
        let sweep = (n * n).max(1) as u64;
        let each = (OPERATIONS_MAX / sweep / self.chains as u64) as usize;
        let burn_in = self.burn_in.min((each / 2).max(1));
        (burn_in, self.sweeps.min(each.saturating_sub(burn_in).max(1)))
    }
}

/// Compare what a model predicts with what bins show, its own or newer ones.
///
/// The model is drawn from by Gibbs sampling: chains that begin at random, so that a model with several states that chains do not move between
/// shows it as a large error. Compared are the neurons that have an estimate in the model and take part in `samples`; what the former
/// say of others is left out. Of fewer than two bins nothing is compared. [`Agreement`] tells what differences to expect. Errors of the bins
/// are from [`ERROR_BLOCKS`](super::ERROR_BLOCKS) contiguous blocks, of fewer bins from fewer.
///
/// Cost: [`CheckOptions::sweeps`] states the bound on drawing; counting costs Σ k² over distinct configurations of each block or chain with k
/// active neurons, twice.
///
/// # Errors
/// [`EquilibriumError::Count`] for options outside their ranges.
///
/// # Panics
/// When model and samples have different numbers of neurons.
pub fn check(
    samples: &Samples,
    model: &EquilibriumModel,
    options: &CheckOptions,
) -> Result<ModelCheck, EquilibriumError> {
    options.checked()?;
    assert_eq!(model.n_neurons(), samples.status.len(), "a model and its samples are of the same neurons");
    let estimated: Vec<usize> = (0..model.n_neurons()).filter(|&i| model.status[i].has_estimate()).collect();
    // Place of each estimated neuron, and of each neuron of the samples, among the compared ones.
    let compared: Vec<usize> =
        estimated.iter().copied().filter(|i| samples.taking_part.binary_search(i).is_ok()).collect();
    let n = compared.len();
    let chosen = triplets(n, TRIPLETS_MAX);
    // A single bin tells nothing of its own error.
    if n == 0 || samples.n_bins() < 2 {
        return Ok(nothing(samples.n_bins()));
    }
    let drawn = draw(model, &estimated, options);
    let drawn = drawn.iter().map(|chain| seen_by(chain.bins().map(|bin| (bin, 1.0)), &estimated, &compared));
    let drawn: Vec<Listed> = drawn.collect();
    let observed: Vec<Listed> =
        blocks(samples).map(|block| seen_by(block.into_iter(), &samples.taking_part, &compared)).collect();
    let predicted = Statistics::of(n, &chosen, &drawn.iter().map(Listed::group).collect::<Vec<_>>());
    let observed = Statistics::of(n, &chosen, &observed.iter().map(Listed::group).collect::<Vec<_>>());
    let highest = |found: &Statistics| found.active_counts.iter().rposition(|share| share.mean > 0.0);
    let counts = highest(&observed).max(highest(&predicted)).map_or(0, |k| k + 1);
    let shares = observed.active_counts.iter().zip(&predicted.active_counts).take(counts).enumerate();
    Ok(ModelCheck {
        drawn: drawn.iter().map(|chain| chain.counts.len() as u64).sum(),
        bins: samples.n_bins(),
        means: agreement(&observed.means, &predicted.means),
        pair_correlations: agreement(&observed.pairs, &predicted.pairs),
        triplet_correlations: agreement(&observed.triplets, &predicted.triplets),
        active_counts: shares
            .map(|(k, (observed, predicted))| ActiveCount {
                active: k as u32,
                observed: observed.mean,
                predicted: predicted.mean,
                predicted_error: predicted.variance.sqrt(),
            })
            .collect(),
        pairs: checked_pairs(&compared, &observed.pairs, &predicted.pairs),
    })
}

/// Single pairs of the compared neurons, of which the values are in the order of [`Statistics::pairs`].
fn checked_pairs(compared: &[usize], observed: &[Value], predicted: &[Value]) -> Vec<CheckedPair> {
    let n = compared.len();
    let checked = |[i, j]: [usize; 2]| {
        // Rows above hold n − 1, n − 2, … pairs.
        let place = i * (2 * n - i - 1) / 2 + (j - i - 1);
        let (observed, predicted) = (observed[place], predicted[place]);
        CheckedPair {
            neurons: [compared[i] as u32, compared[j] as u32],
            observed: observed.mean,
            observed_error: observed.variance.sqrt(),
            predicted: predicted.mean,
            predicted_error: predicted.variance.sqrt(),
        }
    };
    pairs(n, PAIRS_MAX).into_iter().map(checked).collect()
}

fn nothing(bins: u64) -> ModelCheck {
    let [means, pair_correlations, triplet_correlations] = [Agreement::default(); 3];
    ModelCheck {
        drawn: 0,
        bins,
        means,
        pair_correlations,
        triplet_correlations,
        active_counts: Vec::new(),
        pairs: Vec::new(),
    }
}

/// The kept configurations of every chain, seen by the estimated neurons.
fn draw(model: &EquilibriumModel, estimated: &[usize], options: &CheckOptions) -> Vec<SpikeBlock> {
    let n = estimated.len();
    let (burn_in, sweeps) = options.bounded(n);
    let part = EquilibriumIsing {
        couplings: Array2::from_shape_fn((n, n), |(i, j)| model.couplings[[estimated[i], estimated[j]]]),
        fields: Array1::from_shape_fn(n, |i| model.fields[estimated[i]]),
    };
    map(options.threads, options.chains, |chain| {
        let mut sampler = GibbsSampler::new(&part, chain_seed(options.seed, chain as u64));
        (0..burn_in).for_each(|_| sampler.sweep());
        sampler.bins(sweeps, 1)
    })
}

/// Seeds of chains, so that neighbouring seeds share none.
pub(super) fn chain_seed(seed: u64, chain: u64) -> u64 {
    seed.wrapping_add(chain.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(17) ^ chain
}

/// Contiguous blocks of bins as distinct configurations with their counts.
fn blocks(samples: &Samples) -> impl Iterator<Item = Vec<(&[u16], f64)>> {
    let configurations = &samples.configurations;
    let listed = |(c, count)| (configurations.active(c), count);
    (0..configurations.n_blocks())
        .map(move |block| configurations.block_counts(block).into_iter().map(listed).collect())
}

/// Configurations as the compared neurons see them, numbered among these.
struct Listed {
    active: Vec<u16>,
    offsets: Vec<usize>,
    counts: Vec<f64>,
}

impl Listed {
    fn group(&self) -> Group<'_> {
        let lists = self.offsets.windows(2).map(|ends| &self.active[ends[0]..ends[1]]);
        lists.zip(self.counts.iter().copied()).collect()
    }
}

/// Number the neurons `from[k]` by their place in `compared`, leaving out those that are not in it.
fn seen_by<'a>(lists: impl Iterator<Item = (&'a [u16], f64)>, from: &[usize], compared: &[usize]) -> Listed {
    let place: Vec<Option<u16>> =
        from.iter().map(|neuron| compared.binary_search(neuron).ok().map(|k| k as u16)).collect();
    let mut listed = Listed { active: Vec::new(), offsets: vec![0], counts: Vec::new() };
    for (active, count) in lists {
        listed.active.extend(active.iter().filter_map(|&k| place[usize::from(k)]));
        listed.offsets.push(listed.active.len());
        listed.counts.push(count);
    }
    listed
}

fn agreement(observed: &[Value], predicted: &[Value]) -> Agreement {
    if observed.is_empty() {
        return Agreement::default();
    }
    let n = observed.len() as f64;
    let mean = |f: &dyn Fn(&Value, &Value) -> f64| {
        observed.iter().zip(predicted).map(|(o, p)| f(o, p)).sum::<f64>() / n
    };
    let (of_observed, of_predicted) = (mean(&|o, _| o.mean), mean(&|_, p| p.mean));
    let covariance = mean(&|o, p| (o.mean - of_observed) * (p.mean - of_predicted));
    let variance_observed = mean(&|o, _| (o.mean - of_observed).powi(2));
    let variance_predicted = mean(&|_, p| (p.mean - of_predicted).powi(2));
    // What differs by rounding alone does not vary.
    let varies = |variance: f64, square: f64| variance > 1e-24 * square;
    let both = varies(variance_observed, mean(&|o, _| o.mean * o.mean))
        && varies(variance_predicted, mean(&|_, p| p.mean * p.mean));
    let scale = (variance_observed * variance_predicted).sqrt();
    Agreement {
        values: observed.len() as u64,
        correlation: (both && scale > 0.0).then(|| (covariance / scale).clamp(-1.0, 1.0)),
        rms_difference: mean(&|o, p| (o.mean - p.mean).powi(2)).sqrt(),
        rms_observed: mean(&|o, _| o.mean * o.mean).sqrt(),
        rms_predicted_error: mean(&|_, p| p.variance).sqrt(),
        rms_observed_error: mean(&|o, _| o.variance).sqrt(),
        rms_error: mean(&|o, p| o.variance + p.variance).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_neurons_are_drawn_less_often() {
        let options = CheckOptions::default();
        assert_eq!(options.bounded(100), (500, 2000));
        let (burn_in, sweeps) = options.bounded(1000);
        assert!(burn_in > 200 && sweeps > 200, "{burn_in} and {sweeps}");
        assert!((burn_in + sweeps) as u64 * 8 * 1_000_000 <= OPERATIONS_MAX);
        assert_eq!(options.bounded(100_000), (1, 1));
    }
}
