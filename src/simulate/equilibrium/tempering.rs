use super::gibbs::{GibbsChain, InputRows};
use super::{EquilibriumIsing, active_of};
use crate::model::SpikeBlock;

/// Replica exchange (Swendsen & Wang 1986; Hukushima & Nemoto 1996): chains at a ladder of inverse temperatures `1 = β₁ > … > β_R`
/// relative to the model's own; after each sweep of all, neighbours exchange their configurations with probability
/// `min(1, exp((β_a − β_b)(E_a − E_b)))`, which leaves the product of their distributions as it is.
///
/// A configuration that is stuck climbs to a temperature at which it is not, and others come down.
#[derive(Debug, Clone)]
pub struct TemperedSampler<'a> {
    model: &'a EquilibriumIsing,
    rows: InputRows<'a>,
    /// Inverse temperatures, decreasing from 1.
    betas: Vec<f64>,
    /// The configuration at each of them.
    chains: Vec<GibbsChain>,
    /// Of each pair of neighbours: exchanges tried and made.
    exchanges: Vec<(u64, u64)>,
    rounds: u64,
    next_bin: u64,
}

impl<'a> TemperedSampler<'a> {
    /// Most replicas.
    pub const REPLICAS_MAX: usize = 64;
    /// Rounds after which [`Self::burnt_in`] takes the replicas to have forgotten their start.
    pub const BURN_IN_SWEEPS: usize = 2000;

    /// The hottest replica is so hot that the largest eigenvalue of `β J` is at most one half: no state is frozen there. From it to the
    /// model itself, inverse temperatures rise by equal factors in `1 + √n ln(1/β_R)` steps, at most [`Self::REPLICAS_MAX`], so that
    /// neighbours' energies overlap. The same model and seed always give the same.
    #[must_use]
    pub fn new(model: &'a EquilibriumIsing, seed: u64) -> Self {
        let hottest = (0.5 / spectral_radius(model)).min(1.0);
        let steps = (model.n_neurons() as f64).sqrt() * (1.0 / hottest).ln();
        let replicas = (1 + steps.ceil() as usize).min(Self::REPLICAS_MAX);
        let beta = |r: usize| hottest.powf(r as f64 / (replicas - 1).max(1) as f64);
        let rows = InputRows::of(model);
        let betas: Vec<f64> = (0..replicas).map(beta).collect();
        // Each replica has a seed of its own, apart from those of other samplers with neighbouring seeds.
        let seed_of = |r: usize| seed.wrapping_add((r as u64) << 32);
        let chains = (0..replicas).map(|r| GibbsChain::new(&rows, &model.fields, seed_of(r))).collect();
        let exchanges = vec![(0, 0); replicas - 1];
        Self { model, rows, betas, chains, exchanges, rounds: 0, next_bin: 0 }
    }

    /// The same replicas [`Self::BURN_IN_SWEEPS`] sweeps later.
    #[must_use]
    pub fn burnt_in(mut self) -> Self {
        (0..Self::BURN_IN_SWEEPS).for_each(|_| self.sweep());
        self.exchanges.fill((0, 0));
        self
    }

    /// Inverse temperatures of the replicas relative to the model's, decreasing from 1.
    #[must_use]
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// Share of the exchanges tried that were made, for each pair of neighbouring temperatures; 0 where none was tried.
    #[must_use]
    pub fn exchange_rates(&self) -> Vec<f64> {
        self.exchanges.iter().map(|&(tried, made)| made as f64 / tried.max(1) as f64).collect()
    }

    /// One sweep of every replica, then exchanges: of the pairs (1, 2), (3, 4), … and of (2, 3), (4, 5), … in turn.
    pub fn sweep(&mut self) {
        for (chain, &beta) in self.chains.iter_mut().zip(&self.betas) {
            chain.sweep(&self.rows, beta);
        }
        let first = (self.rounds % 2) as usize;
        for upper in (first..self.exchanges.len()).step_by(2) {
            let gain = self.minus_energy(upper + 1) - self.minus_energy(upper);
            let log_odds = (self.betas[upper] - self.betas[upper + 1]) * gain;
            let made = log_odds >= 0.0 || self.chains[upper].uniform() < log_odds.exp();
            if made {
                self.chains.swap(upper, upper + 1);
            }
            self.exchanges[upper].0 += 1;
            self.exchanges[upper].1 += u64::from(made);
        }
        self.rounds += 1;
    }

    /// `−E = ½ Σ_i s_i (h_i + θ_i)`.
    fn minus_energy(&self, replica: usize) -> f64 {
        let chain = &self.chains[replica];
        let inputs = chain.inputs.iter().zip(&self.model.fields);
        let of = |((input, h), &fires): ((&f64, &f64), &bool)| if fires { input + h } else { -(input + h) };
        0.5 * inputs.zip(&chain.spins).map(of).sum::<f64>()
    }

    /// Whether each neuron fires, in the replica at the model's own temperature.
    #[must_use]
    pub fn spins(&self) -> &[bool] {
        self.chains[0].spins()
    }

    /// The next so many configurations, each so many sweeps after the one before.
    pub fn bins(&mut self, n_bins: usize, sweeps: usize) -> SpikeBlock {
        let mut block = SpikeBlock::empty(self.next_bin);
        let mut active = Vec::new();
        for _ in 0..n_bins {
            (0..sweeps).for_each(|_| self.sweep());
            active_of(self.spins(), &mut active);
            block.push_sorted(&active);
        }
        self.next_bin += n_bins as u64;
        block
    }
}

/// About the largest absolute eigenvalue of the couplings, by the power method; never 0.
fn spectral_radius(model: &EquilibriumIsing) -> f64 {
    let n = model.n_neurons();
    // A start that is orthogonal to no simple pattern.
    let mut vector: Vec<f64> = (0..n).map(|i| 1.0 + 0.5 * (i as f64).sin()).collect();
    let mut norm = 0.0;
    for _ in 0..50 {
        let next = model.couplings.dot(&ndarray::ArrayView1::from(&vector));
        norm = next.dot(&next).sqrt();
        if norm == 0.0 {
            break;
        }
        vector = next.iter().map(|v| v / norm).collect();
    }
    norm.max(f64::MIN_POSITIVE)
}
