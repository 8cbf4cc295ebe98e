use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{check_coupling, check_field, check_neurons};
use crate::model::SpikeBlock;
use crate::simulate::SimulationError;

/// Independent configurations of the Curie–Weiss model: the number of active neurons from its exact distribution
/// `P(K) ∝ (n over K) exp(β M²/2n + h M)`, `M = 2K − n`, then which ones, all choices alike.
#[derive(Debug, Clone)]
pub struct CurieWeissSampler {
    /// `P(at most K active)`.
    cumulative: Vec<f64>,
    /// A permutation of the neurons; the first K are active.
    neurons: Vec<u16>,
    random: ChaCha8Rng,
    next_bin: u64,
}

impl CurieWeissSampler {
    /// The same model and seed always give the same.
    ///
    /// # Errors
    /// [`SimulationError`] for values outside their range.
    pub fn new(n_neurons: usize, beta: f64, field: f64, seed: u64) -> Result<Self, SimulationError> {
        check_neurons(n_neurons)?;
        check_coupling("inverse temperature", beta)?;
        check_field(field)?;
        let mut cumulative = active_probabilities(n_neurons, beta, field);
        for k in 1..cumulative.len() {
            cumulative[k] += cumulative[k - 1];
        }
        let neurons = (0..n_neurons).map(|i| i as u16).collect();
        Ok(Self { cumulative, neurons, random: ChaCha8Rng::seed_from_u64(seed), next_bin: 0 })
    }

    /// `P(K)` of `K = 0, …, n` active neurons.
    #[must_use]
    pub fn active_probabilities(&self) -> Vec<f64> {
        let before = std::iter::once(0.0).chain(self.cumulative.iter().copied());
        self.cumulative.iter().zip(before).map(|(upto, before)| upto - before).collect()
    }

    /// The next so many configurations.
    pub fn bins(&mut self, n_bins: usize) -> SpikeBlock {
        let mut block = SpikeBlock::empty(self.next_bin);
        let mut active = Vec::new();
        let n = self.neurons.len();
        for _ in 0..n_bins {
            let total = self.cumulative[n];
            let uniform = total * self.random.random::<f64>();
            let k = self.cumulative.partition_point(|&upto| upto <= uniform).min(n);
            // The first k steps of a Fisher–Yates shuffle, of whatever order there was.
            for place in 0..k {
                let other = self.random.random_range(place..n);
                self.neurons.swap(place, other);
            }
            active.clear();
            active.extend_from_slice(&self.neurons[..k]);
            active.sort_unstable();
            block.push_sorted(&active);
        }
        self.next_bin += n_bins as u64;
        block
    }
}

fn active_probabilities(n: usize, beta: f64, field: f64) -> Vec<f64> {
    let size = n as f64;
    let log_choices =
        |k: f64| libm::lgamma(size + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(size - k + 1.0);
    let logs: Vec<f64> = (0..=n)
        .map(|k| {
            let magnetization = 2.0 * k as f64 - size;
            log_choices(k as f64)
                + beta * magnetization * magnetization / (2.0 * size)
                + field * magnetization
        })
        .collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}
